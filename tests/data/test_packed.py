"""The memory-mapped file: the same data set, joined without a copy, whole or not at all."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from neurozsl.cli.data import app
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import SPLITS, Split, ZSLData, join
from neurozsl.data.benchmark import packed as packed_module
from neurozsl.data.index import gather, index_of
from neurozsl.data.mapped import Pages
from neurozsl.data.sets.fingerprint import fingerprint
from neurozsl.data.sets.load import convert, load
from neurozsl.data.sets.summary import summarise
from neurozsl.data.synthetic.scenes import SyntheticConfig, generate
from neurozsl.runs import run as runs
from neurozsl.training.protocol import TrainConfig


@pytest.fixture
def one_file(stand_in: Path, tmp_path: Path) -> Path:
    convert(stand_in, tmp_path / "one")
    return tmp_path / "one"


def same(left: ZSLData, right: ZSLData) -> None:
    assert (left.name, left.classes, left.synthetic, left.step_s, dict(left.meta)) == (
        right.name,
        right.classes,
        right.synthetic,
        right.step_s,
        dict(right.meta),
    )
    np.testing.assert_array_equal(left.vectors, right.vectors)
    for name in SPLITS:
        a, b = left.splits[name], right.splits[name]
        assert a.names == b.names
        for part in ("audio", "video", "label", "mask", "events"):
            np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
            x = getattr(a, part)
            assert x is None or x.dtype == getattr(b, part).dtype


def test_a_benchmark_comes_back_equal_in_both_alignments(stand_in: Path, one_file: Path) -> None:
    assert {p.name for p in one_file.iterdir()} == {"dataset.h5", "dataset.json"}
    same(load(one_file), load(stand_in))
    legacy = load(one_file, label_alignment="legacy")
    same(legacy, load(stand_in, label_alignment="legacy"))
    assert legacy.meta["classes_with_another_vector"] == 4
    assert not np.array_equal(legacy.vectors, load(one_file).vectors)


def test_a_set_with_time_and_events_comes_back_equal(tmp_path: Path) -> None:
    from neurozsl.data.store import save

    data = generate(SyntheticConfig(train_per_class=2, val_unseen_per_class=2, test_size=48))
    save(data, tmp_path / "set")
    again = convert(tmp_path / "set", tmp_path / "one")
    same(again, data)
    assert again.splits["train"].events is not None
    with pytest.raises(BadInput, match="no legacy vectors"):
        load(tmp_path / "one", label_alignment="legacy")
    with pytest.raises(BadInput, match="exists for benchmark data alone"):
        load(tmp_path / "set", label_alignment="legacy")


def test_stage_two_is_a_slice_of_the_file_and_batches_are_copies(one_file: Path) -> None:
    data = load(one_file)
    train = data.stage(2).train
    parts = [data.splits[name] for name in ("train", "val_seen", "val_unseen")]
    assert np.shares_memory(train.audio, parts[0].audio)
    assert np.shares_memory(train.video, parts[2].video)
    np.testing.assert_array_equal(train.audio, np.concatenate([p.audio for p in parts]))
    np.testing.assert_array_equal(train.mask, np.concatenate([p.mask for p in parts]))
    assert not train.audio.flags.writeable
    batch = train.batch([5, 0])
    np.testing.assert_array_equal(batch.audio.numpy(), train.audio[[5, 0]])
    batch.audio.zero_()
    assert train.audio[5].any()


def test_features_read_from_the_benchmark_are_joined_without_a_copy_too(stand_in: Path) -> None:
    data = load(stand_in)
    train = data.stage(2).train
    for name in ("train", "val_seen", "val_unseen"):
        assert np.shares_memory(train.video, data.splits[name].video)


def random_split(name: str, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    return Split(
        name=name,
        audio=rng.random((4, 2, 3), dtype=np.float32),
        video=rng.random((4, 2, 5), dtype=np.float32),
        label=np.arange(4),
        mask=np.ones((4, 2), dtype=np.bool_),
        names=tuple("abcd"),
    )


def test_splits_that_are_not_adjacent_are_joined_by_copying() -> None:
    whole = random_split("w", 0)

    def rows(part: slice) -> Split:
        return replace(
            whole,
            audio=whole.audio[part],
            video=whole.video[part],
            label=whole.label[part],
            mask=whole.mask[part],
            names=whole.names[part],
        )

    other = random_split("o", 1)
    for parts in (
        (rows(slice(0, 2)), rows(slice(2, 4))),  # adjacent
        (rows(slice(2, 4)), rows(slice(0, 2))),  # in another order
        (rows(slice(0, 1)), rows(slice(2, 4))),  # a gap
        (rows(slice(0, 3)), rows(slice(2, 4))),  # overlapping
        (rows(slice(0, 4, 2)), rows(slice(3, 4))),  # strided
        (whole, other),
        (rows(slice(2, 4)), other),
    ):
        joined = join(parts)
        for part in ("audio", "video", "mask"):
            expected = np.concatenate([getattr(p, part) for p in parts])
            np.testing.assert_array_equal(getattr(joined, part), expected)


def test_rows_taken_from_the_file_equal_indexing(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((300, 2, 7), dtype=np.float32)
    path = tmp_path / "values"
    path.write_bytes(b"12345678" + values.tobytes())
    pages = Pages(path)
    mapped = pages.array(8, values.shape, "<f4")
    for rows in ([5, 5, 0, 299, -1], [], [17], [3, 4, 5, 6], [6, 5, 4], list(range(300)), [-2, -1]):
        index = np.array(rows, dtype=np.int64)
        taken = pages.take(mapped, index)
        np.testing.assert_array_equal(taken, values[index])
        assert taken.flags.writeable and taken.dtype == np.float32
        np.testing.assert_array_equal(
            pages.take(mapped[100:], index % 200), values[100:][index % 200]
        )
        np.testing.assert_array_equal(
            pages.take(mapped[::2], index % 150), values[::2][index % 150]
        )
        np.testing.assert_array_equal(pages.take(values, index), values[index])  # not in the file
    for beyond in (300, -301):
        with pytest.raises(IndexError):
            pages.take(mapped, np.array([0, beyond]))


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="rows are read through the mapping here")
def test_a_file_cut_short_while_open_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(bytes(40_000))
    pages = Pages(path)
    mapped = pages.array(0, (10, 1000), "<f4")
    os.truncate(path, 10_000)
    assert not pages.take(mapped, np.array([0, 1])).any()
    with pytest.raises(OSError, match="ends at byte 10000"):
        pages.take(mapped, np.array([1, 2]))


def test_training_on_the_file_gives_the_numbers_of_training_on_the_folder(
    stand_in: Path, one_file: Path, tmp_path: Path
) -> None:
    options = {"motion_widths": [8, 8, 8], "embed": 16, "hidden": 16, "steps": 3}
    found = []
    for name, folder in (("a", stand_in), ("b", one_file)):
        runs.create(
            tmp_path / name,
            data_dir=folder,
            model="mdft",
            options=options,
            train=TrainConfig(epochs=1, batch=8),
        )
        found.append(runs.train(tmp_path / name))
    assert found[0].data.synthetic and found[1].data.synthetic
    assert found[0].result["test"] == found[1].result["test"]
    left, right = (run.model.state_dict() for run in found)
    assert all(torch.equal(left[key], right[key]) for key in left)
    assert runs.open_run(tmp_path / "b").result == found[1].result


def test_a_summary_of_the_file_equals_that_of_the_folder(stand_in: Path, one_file: Path) -> None:
    assert summarise(load(one_file)) == summarise(load(stand_in))
    train = load(stand_in).splits["train"]
    part = summarise(load(one_file)).splits[0]
    assert part.audio_mean == pytest.approx(float(train.audio.mean()), abs=1e-4)
    assert part.video_std == pytest.approx(float(train.video.std()), abs=1e-4)


def test_an_index_of_an_open_set_gathers_to_the_same_set(stand_in: Path) -> None:
    data = load(stand_in)
    again = gather(index_of(data))
    for name in SPLITS:
        np.testing.assert_array_equal(again.splits[name].video, data.splits[name].video)


def test_the_fingerprint_follows_the_contents_not_the_times(
    one_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(one_file)
    copy = shutil.copytree(one_file, tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(copy / "dataset.h5", ns=(1, 1))
    assert fingerprint(copy) == before
    with h5py.File(copy / "dataset.h5", "r+") as file:
        file["audio"][0, 0, 0] += 1
    assert fingerprint(copy) != before

    def read(path: Path) -> str:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(packed_module, "sha256", read)
    assert fingerprint(one_file) == before  # noted when it was written


def test_the_fingerprint_of_a_folder_sees_a_changed_file(stand_in: Path) -> None:
    before = fingerprint(stand_in)
    assert fingerprint(stand_in) == before
    (stand_in / "class-split" / "all_class.txt").write_text("x")
    assert fingerprint(stand_in) != before


def test_a_changed_or_truncated_file_is_refused(one_file: Path) -> None:
    path = one_file / "dataset.h5"
    with h5py.File(path, "r+") as file:
        file["video"][3, 0, 0] = np.nan
    with pytest.raises(BadInput, match=r"dataset\.h5: cut short, or changed since"):
        load(one_file)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadInput, match="cut short"):
        load(one_file)
    path.unlink()
    with pytest.raises(BadInput, match="does not exist"):
        load(one_file)


def test_counts_that_do_not_fit_the_arrays_are_refused(one_file: Path) -> None:
    facts = json.loads((one_file / "dataset.json").read_text())
    facts["counts"]["train"] += 1
    (one_file / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=r"52 samples, dataset\.json says 53"):
        load(one_file)


def test_a_value_that_is_not_finite_stops_the_conversion_and_leaves_nothing(
    stand_in: Path, tmp_path: Path
) -> None:
    path = stand_in / "features" / "main_features" / "audio" / "stage_1_train" / "Archery.h5"
    with h5py.File(path, "r+") as file:
        file["data"][1, 7] = np.inf
    with pytest.raises(BadInput, match="audio: sample 1 holds NaN or infinity"):
        convert(stand_in, tmp_path / "one")
    assert {p.name for p in tmp_path.iterdir()} == {"UCF"}


def test_files_of_another_width_stop_the_conversion_with_their_place(
    stand_in: Path, tmp_path: Path
) -> None:
    path = stand_in / "features" / "main_features" / "audio" / "stage_1_train" / "Fencing.h5"
    with h5py.File(path, "r+") as file:
        values = file["data"][:]
        del file["data"]
        file["data"] = values[:, :500]
    with pytest.raises(
        BadInput,
        match=r"split train, samples from .synthetic_stage_1_train_004_0000.: audio \(4, 1, 500\)",
    ):
        convert(stand_in, tmp_path / "one")


def test_other_features_and_the_source_itself_are_refused(one_file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds main_features, not cls"):
        load(one_file, feature_name="cls")
    with pytest.raises(BadInput, match="is what is converted"):
        convert(one_file, one_file)
    with pytest.raises(BadInput, match="holds 'UCF'"):
        convert(one_file, tmp_path)


def test_the_command_converts_and_inspects(stand_in: Path, tmp_path: Path) -> None:
    out = tmp_path / "one"
    arguments = ["convert", str(stand_in), "--out", str(out), "--features", "main", "--json"]
    made = CliRunner().invoke(app, arguments)
    assert made.exit_code == 0, made.output
    shown = CliRunner().invoke(app, ["inspect", str(out), "--json"])
    assert json.loads(shown.stdout) == json.loads(made.stdout)
    wrong = CliRunner().invoke(app, [*arguments[:-2], "video", "--json"])
    assert isinstance(wrong.exception, BadInput)
