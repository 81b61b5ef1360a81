"""Samples of many lengths: stored end to end, padded by the batch, the same numbers as padded."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from inspect import stack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import SPLITS, AVBatch, Split, ZSLData, join
from neurozsl.data.benchmark.packed import load_packed, write
from neurozsl.data.checks import check_data
from neurozsl.data.hdf5 import BLOCK_BYTES
from neurozsl.data.index import Block, Index, gather, index_of
from neurozsl.data.ragged import RaggedRows, RaggedSplit, offsets
from neurozsl.data.sets.load import convert, load
from neurozsl.data.sets.summary import summarise
from neurozsl.models.base import ZSLModel, embed
from neurozsl.parallel.shared_layers import Scope
from neurozsl.parallel.shared_layers import convert as shared
from neurozsl.parallel.team import assembled_output, share
from neurozsl.runs import run as runs
from neurozsl.runs.kept import read_kept
from neurozsl.scoring.road import cast
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.train import make_model
from tests.parallel.thread_team import together

Temporal = Callable[..., Path]
WIDTHS = (6, 7)
ROLES = {"train": (0, 1, 2), "val_seen": (0, 1, 2), "val_unseen": (3,), "test_seen": (0, 1, 2, 3),
         "test_unseen": (4, 5)}  # fmt: skip


def index(per_class: int = 3, *, longest: int = 9, widths: tuple[int, int] = WIDTHS) -> Index:
    """An invented set whose blocks are drawn when they are read; classes move differently."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 300)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def block(name: str, label: int) -> Block:
        seed = [label, SPLITS.index(name)]
        lengths = np.random.default_rng(seed).integers(1, longest + 1, per_class)
        if (name, label) == ("test_seen", 3):
            lengths[0] = longest

        def read() -> RaggedRows:
            drawn, total = np.random.default_rng([*seed, 1]), int(lengths.sum())
            wave = np.sin(np.arange(total) * (label + 1))[:, None]
            audio, video = (
                (drawn.random((total, width)) + wave).astype(np.float32) for width in widths
            )
            return RaggedRows(audio, video, offsets(lengths), longest)

        names = tuple(f"{name}{label}.{i}" for i in range(per_class))
        return Block(np.full(per_class, label), names, read, lengths)

    return Index(
        name="ragged",
        classes=tuple("abcdef"),
        vectors={"by_name": vectors},
        blocks={name: tuple(block(name, label) for label in ROLES[name]) for name in SPLITS},
        audio_shape=(longest, widths[0]),
        video_shape=(longest, widths[1]),
        synthetic=True,
        step_s=1.0,
        meta={},
    )


def as_padded(data: ZSLData) -> ZSLData:
    """The same samples in the arrays of a set of one length."""
    splits = {
        s.name: Split(s.name, s.audio, s.video, s.label, s.mask, s.names)
        for s in data.splits.values()
    }
    return replace(data, splits=splits)


@pytest.fixture(scope="module")
def data() -> ZSLData:
    found = gather(index())
    check_data(found, "here")
    return found


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    write(index(), tmp_path / "set")
    return tmp_path / "set"


def slow(split: Split, rows: list[int]) -> tuple[list[Any], list[Any]]:
    """Audio and mask of a batch, a sample and a step after the other."""
    assert isinstance(split, RaggedSplit)
    whole, offset = split.rows.audio, split.rows.offset
    samples = [[whole[r].tolist() for r in range(offset[i], offset[i + 1])] for i in rows]
    longest = max(map(len, samples))
    zeros = [0.0] * split.widths[0]
    audio = [s + [zeros] * (longest - len(s)) for s in samples]
    return audio, [[t < len(s) for t in range(longest)] for s in samples]


@pytest.mark.parametrize("rows", [[0, 1, 2], [4, 0, 4], [7]])
def test_a_batch_is_as_long_as_its_longest_sample(data: ZSLData, rows: list[int]) -> None:
    split = data.splits["train"]
    audio, mask = slow(split, rows)
    batch = split.batch(rows)
    assert batch.audio.tolist() == audio and batch.mask.tolist() == mask
    assert batch.video.shape == (len(rows), len(mask[0]), WIDTHS[1])
    assert not batch.video[~batch.mask].any() and batch.longest == 9
    assert batch.label.tolist() == split.label[rows].tolist()
    whole = batch.padded()
    assert whole.audio.shape[1] == whole.mask.shape[1] == 9
    for part in ("audio", "video", "mask"):
        assert torch.equal(getattr(whole, part), torch.from_numpy(getattr(split, part)[rows]))
    assert whole.padded() is whole


def test_batches_differ_in_length_and_none_reaches_beyond_its_samples(data: ZSLData) -> None:
    split = data.splits["test_seen"]
    lengths = split.mask.sum(1)
    found = {i: split.batch([i]).audio.shape[1] for i in range(len(split))}
    assert found == dict(enumerate(lengths.tolist())) and len(set(found.values())) > 3
    assert split.steps == 9 == max(found.values())


def test_the_file_holds_rows_alone_and_gives_the_batches_of_the_memory(
    data: ZSLData, stored: Path
) -> None:
    mapped = load_packed(stored)
    with h5py.File(stored / "dataset.h5") as file:
        rows = int(file["offset"][-1])
        assert file["audio"].shape == (rows, 6) and file["video"].shape == (rows, 7)
        assert "mask" not in file
        assert rows == sum(int(s.mask.sum()) for s in data.splits.values())
    for name in SPLITS:
        one, two = data.splits[name], mapped.splits[name]
        assert isinstance(two, RaggedSplit) and two.rows.pages is not None
        for order in ([0], list(range(len(one))), [2, 0, 1]):
            a, b = one.batch(order), two.batch(order)
            assert torch.equal(a.audio, b.audio) and torch.equal(a.video, b.video)
            assert torch.equal(a.mask, b.mask) and a.longest == b.longest
    assert summarise(mapped) == summarise(data)


def test_stage_two_joins_neighbours_without_a_copy_and_others_with_one(data: ZSLData) -> None:
    train = data.stage(2).train
    assert isinstance(train, RaggedSplit)
    parts = [data.splits[name] for name in ("train", "val_seen", "val_unseen")]
    first = parts[0]
    assert isinstance(first, RaggedSplit) and train.rows.audio is first.rows.audio
    apart = join((parts[2], parts[0]))
    assert isinstance(apart, RaggedSplit) and apart.rows.audio is not first.rows.audio
    assert isinstance(join((as_padded(data).splits["train"], parts[1])), Split)
    cases = ((train, parts), (apart, [parts[2], parts[0]]))
    for joined, of in cases:
        for part in ("audio", "video", "mask", "label"):
            expected = np.concatenate([getattr(p, part) for p in of])
            np.testing.assert_array_equal(getattr(joined, part), expected)
        assert joined.names == tuple(name for p in of for name in p.names)


def test_a_converted_set_converts_again_and_gathers_to_the_same(
    data: ZSLData, stored: Path, tmp_path: Path
) -> None:
    again = convert(stored, tmp_path / "again")
    for other in (again, gather(index_of(data))):
        for name in SPLITS:
            np.testing.assert_array_equal(other.splits[name].audio, data.splits[name].audio)
            assert isinstance(other.splits[name], RaggedSplit)


# ---------------------------------------------------------------- models


SMALL: dict[str, dict[str, Any]] = {
    "mdft": {"motion_widths": (8, 8, 8), "embed": 16, "hidden": 16},
    "stft": {"embed": 16, "hidden": 16, "feed_hidden": 16},
    "mdst++": {"motion_widths": (8, 8, 8), "embed": 16, "hidden": 16, "stages": 1},
    "tcaf": {"depth": 1, "heads": 2, "head_width": 8, "enc_hidden": 16},
    "avca": {"embed": 16, "hidden": 16},
    "avmst": {"embed": 16, "hidden": 16, "spiking_hidden": 16, "steps": 3},
}


def made(name: str, data: ZSLData) -> ZSLModel:
    torch.manual_seed(0)
    model = make_model(name, data, SMALL[name])
    model.calibrate(data.splits["train"].batch())
    return model


def heads(model: ZSLModel, split: Split, size: int = 4) -> Tensor:
    """What the model says of a split, in batches of `size`."""
    starts = range(0, len(split), size)
    each = [embed(model, split.batch(range(i, min(i + size, len(split))))).heads for i in starts]
    return torch.cat([torch.cat(parts, 1) for parts in each])


@pytest.mark.parametrize("name", SMALL)
def test_a_model_says_of_a_batch_what_it_says_of_the_padded_set(data: ZSLData, name: str) -> None:
    padded = as_padded(data)
    one, two = made(name, data), made(name, padded)
    assert one.options() == two.options()
    for mode in (True, False):  # batch norm by the batch, then by what was seen
        for model in (one, two):
            model.train(mode)
            for module in model.modules():  # type: ignore[attr-defined]  # every model is a module
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
        with torch.no_grad():
            a, b = (heads(m, d.splits["test_seen"]) for m, d in ((one, data), (two, padded)))
        assert float(a.std()) > 0 and torch.allclose(a, b, atol=1e-5)
        if name in ("mdft", "stft", "mdst++"):  # padded to T again, so equal in every bit
            assert torch.equal(a, b)


def test_training_on_rows_gives_the_numbers_of_training_on_the_padded_set(
    data: ZSLData, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    batch = RaggedSplit.batch

    def noted(self: RaggedSplit, rows: Any = None, *, of: Any = None) -> AVBatch:
        if stack()[1].filename.endswith("stage_loop.py"):
            asked.append(of)
        return batch(self, rows, of=of)

    monkeypatch.setattr(RaggedSplit, "batch", noted)
    write(index_of(as_padded(data)), tmp_path / "padded")
    assert not isinstance(load(tmp_path / "padded").splits["train"], RaggedSplit)
    found = []
    for name, folder in (("a", stored), ("b", tmp_path / "padded")):
        runs.create(
            tmp_path / name,
            data_dir=folder,
            model="mdft",
            options=SMALL["mdft"],
            train=TrainConfig(epochs=1, batch=4),
        )
        found.append(runs.train(tmp_path / name))
    assert found[0].result["test"] == found[1].result["test"]
    assert asked and all(of is not None for of in asked)  # what several processes need
    for split in ("test_seen", "test_unseen"):  # a run's own samples are padded to T
        one, two = (read_kept(tmp_path / name).samples[split].split for name in "ab")
        assert one.audio.shape[1:] == (9, 6) and np.array_equal(one.audio, two.audio)
        assert np.array_equal(one.mask, two.mask) and not one.mask.all()
    left, right = (run.model.state_dict() for run in found)
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_parts_of_a_batch_in_several_processes_are_as_long_as_the_whole(data: ZSLData) -> None:
    """A TCaF with padded rows in its batch norm, dropout, and its inputs gathered again."""
    split = data.splits["train"]
    rows = np.argsort(split.mask.sum(1))  # the shorter samples in the first process
    torch.manual_seed(0)
    drawn = make_model("tcaf", data, {**SMALL["tcaf"], "norm_rows": "all", "extra_passes": True})

    def work(team: Any) -> Tensor:
        model = deepcopy(drawn).to(torch.float64).train()
        scope, mine = Scope(team), share(len(rows), team)
        shared(model, scope, dropout=True)
        scope.begin(0, 1, 0, 0)
        batch = cast(split.batch(rows[mine], of=rows), torch.float64)
        with scope.sliced(mine):
            output = embed(model, batch)
        output = assembled_output(team, output, mine, len(rows))
        return torch.cat([output.heads[0].flatten(), output.aux["audio"].flatten()])

    (one,) = together(1, work)
    for found in together(2, work):
        assert torch.allclose(found, one, atol=1e-9)


# ---------------------------------------------------------------- memory


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_follows_the_batch_and_not_the_number_of_samples(tmp_path: Path) -> None:
    """Written and read: 6,000 samples, 150 MB, that would be 300 MB if they were padded."""
    whole, many = index(23, longest=32, widths=(128, 256)), 20
    blocks = {name: each * many for name, each in whole.blocks.items()}
    whole = replace(whole, blocks=blocks)
    tracemalloc.start()
    write(whole, tmp_path / "set")
    written = tracemalloc.get_traced_memory()[1]
    size = (tmp_path / "set" / "dataset.h5").stat().st_size
    assert size > 150e6 and len(whole) == 23 * 13 * many
    assert written < 3.5 * BLOCK_BYTES  # which the hash of any set reads at once
    data = load_packed(tmp_path / "set")
    splits = (data.stage(2).train, data.splits["test_seen"])
    gc.collect()
    tracemalloc.reset_peak()
    held, before = tracemalloc.get_traced_memory()[0], resident()
    read = 0
    for split in splits:
        order = np.random.default_rng(0).permutation(len(split))
        for start in range(0, len(split), 16):
            read += split.batch(order[start : start + 16]).mask.numpy().sum()
    peak = tracemalloc.get_traced_memory()[1] - held
    tracemalloc.stop()
    batch = 16 * 32 * (128 + 256) * 4
    assert read * (128 + 256) * 4 > 100e6
    assert peak < 3 * batch
    assert resident() - before < 8e6


# ---------------------------------------------------------------- refusals


def test_offsets_that_are_none_are_refused(stored: Path) -> None:
    path = stored / "dataset.h5"
    state = path.stat()
    with h5py.File(path) as file:
        good = file["offset"][:]
    for place, value in ((0, 1), (3, good[2]), (5, good[4] - 1), (-1, good[-1] + 4), (2, -7)):
        with h5py.File(path, "r+") as file:
            bad = good.copy()
            bad[place] = value
            file["offset"][:] = bad
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # looks as it was written
        with pytest.raises(BadInput, match=r"offset: does not rise from 0 to \d+, .*data convert"):
            load_packed(stored)


def test_a_value_that_is_not_finite_is_named_in_memory_and_in_conversion(tmp_path: Path) -> None:
    whole = index()
    block = whole.blocks["val_seen"][1]

    def read() -> RaggedRows:
        rows = block.read()
        assert isinstance(rows, RaggedRows)
        rows.video[rows.offset[2]] = np.nan
        return rows

    blocks = list(whole.blocks["val_seen"])
    blocks[1] = replace(block, read=read)
    bad = replace(whole, blocks={**whole.blocks, "val_seen": tuple(blocks)})
    with pytest.raises(BadInput, match=r"split val_seen, video: sample 5 \(val_seen1\.2\) holds"):
        check_data(gather(bad), "here")
    with pytest.raises(BadInput, match="video: sample 14 holds NaN or infinity"):
        write(bad, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_block_of_other_lengths_than_it_said_is_refused(tmp_path: Path) -> None:
    whole = index()
    block = whole.blocks["train"][0]
    assert block.lengths is not None
    odd = replace(block, lengths=block.lengths + 1)
    blocks = {**whole.blocks, "train": (odd, *whole.blocks["train"][1:])}
    with pytest.raises(BadInput, match=r"split train, samples from 'train0\.0': audio"):
        gather(replace(whole, blocks=blocks))


def test_a_split_with_other_names_or_lengths_is_refused(data: ZSLData) -> None:
    split = data.splits["train"]
    assert isinstance(split, RaggedSplit)
    for broken in (
        RaggedSplit("train", split.rows, split.label, split.names[:-1]),
        RaggedSplit("train", split.rows.part(slice(0, 4)), split.label, split.names),
    ):
        with pytest.raises(BadInput, match=r"split train: \d+ names and \d+ lengths of 9 samples"):
            check_data(replace(data, splits={**data.splits, "train": broken}), "here")
