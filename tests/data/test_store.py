"""The HDF5 store: exact round trips, whole-or-nothing writes, one clear error per damage."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import SPLITS, Split, ZSLData
from neurozsl.data.sets.load import load
from neurozsl.data.store import load_store, save, time_mean

CLASSES = ("a", "b", "c", "d")
ROLES = {
    "train": (0, 1),
    "val_seen": (0, 1),
    "val_unseen": (2,),
    "test_seen": (0, 2),
    "test_unseen": (3,),
}


def make_split(name: str, ids: tuple[int, ...], seed: int) -> Split:
    rng = np.random.default_rng(seed)
    n = 3 * len(ids)
    mask = np.ones((n, 4), dtype=np.bool_)
    mask[0, 2:] = False
    return Split(
        name=name,
        audio=rng.normal(size=(n, 4, 5)).astype(np.float32),
        video=rng.normal(size=(n, 4, 6)).astype(np.float32),
        label=np.repeat(np.array(ids, dtype=np.int64), 3),
        mask=mask,
        names=tuple(f"{name}/ä {i}" for i in range(n)),
        events=rng.integers(0, 256, (n, 4, 8), dtype=np.uint8),
    )


def make_data() -> ZSLData:
    vectors = np.random.default_rng(9).normal(size=(4, 300))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return ZSLData(
        name="toy",
        classes=CLASSES,
        vectors=vectors.astype(np.float32),
        splits={name: make_split(name, ids, i) for i, (name, ids) in enumerate(ROLES.items())},
        synthetic=True,
        step_s=0.2,
        meta={"note": [1, 2.5, "x"]},
    )


def with_split(data: ZSLData, name: str, **changes: object) -> ZSLData:
    changed = replace(data.splits[name], **changes)  # type: ignore[arg-type]
    return replace(data, splits={**data.splits, name: changed})


def test_a_data_set_comes_back_bit_for_bit(tmp_path: Path) -> None:
    data = make_data()
    save(data, tmp_path / "set")
    again = load(tmp_path / "set")
    assert (again.name, again.classes, again.synthetic, again.step_s) == (
        data.name,
        data.classes,
        data.synthetic,
        data.step_s,
    )
    assert dict(again.meta) == dict(data.meta)
    np.testing.assert_array_equal(again.vectors, data.vectors)
    for name in SPLITS:
        before, after = data.splits[name], again.splits[name]
        assert after.names == before.names
        for part in ("audio", "video", "label", "mask", "events"):
            left, right = getattr(before, part), getattr(after, part)
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)


def test_data_holds_the_mean_over_real_steps(tmp_path: Path) -> None:
    data = make_data()
    save(data, tmp_path / "set")
    split = data.splits["train"]
    with h5py.File(tmp_path / "set" / "dataset.h5") as file:
        stored = file["train/audio/data"][:]
    np.testing.assert_allclose(stored[0], split.audio[0, :2].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(stored[1], split.audio[1].mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(stored, time_mean(split.audio, split.mask))


def test_saving_again_replaces_the_set_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    save(make_data(), tmp_path / "set")
    save(replace(make_data(), name="second"), tmp_path / "set")
    assert load(tmp_path / "set").name == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_failing_save_leaves_the_old_set_and_nothing_else(tmp_path: Path) -> None:
    save(make_data(), tmp_path / "set")
    with pytest.raises(TypeError):
        save(replace(make_data(), name="new", meta={"bad": object()}), tmp_path / "set")
    assert load(tmp_path / "set").name == "toy"
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_folder_with_other_content_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(BadInput, match=r"thesis\.txt"):
        save(make_data(), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "x"


def nan_audio(data: ZSLData) -> ZSLData:
    audio = data.splits["train"].audio.copy()
    audio[2, 1, 0] = np.nan
    return with_split(data, "train", audio=audio)


def relabel(data: ZSLData, labels: list[int]) -> ZSLData:
    return with_split(data, "train", label=np.array(labels, dtype=np.int64))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (nan_audio, r"train, audio: sample 2 \(train/ä 2\) holds NaN"),
        (lambda d: relabel(d, [0, 0, 0, 1, 1, 4]), r"sample 5 .* class id 4, 0 to 3 exist"),
        (lambda d: relabel(d, [0, 0, 0, 0, 0, 1]), r"1 sample, at least 2 are needed: b"),
        (
            lambda d: with_split(d, "val_seen", video=d.splits["val_seen"].video[:, :3]),
            r"val_seen, video: shape \(6, 3\), \(6, 4\)",
        ),
        (
            lambda d: with_split(d, "train", mask=np.zeros((6, 4), dtype=np.bool_)),
            r"sample 0 \(train/ä 0\) has no real step",
        ),
        (lambda d: replace(d, vectors=2 * d.vectors), r"class 'a' has length 2"),
        (lambda d: replace(d, vectors=d.vectors[:3]), r"one row for each of 4 classes"),
        (lambda d: replace(d, splits={"train": d.splits["train"]}), r"missing"),
    ],
)
def test_an_unusable_data_set_is_refused_with_place_and_remedy(
    damage: Callable[[ZSLData], ZSLData], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        save(damage(make_data()), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_nan_inside_a_stored_file_is_found_on_loading(tmp_path: Path) -> None:
    save(make_data(), tmp_path / "set")
    with h5py.File(tmp_path / "set" / "dataset.h5", "r+") as file:
        file["test_seen/video/sequence"][1, 0, 0] = np.inf
    with pytest.raises(BadInput, match=r"dataset\.h5, split test_seen, video: sample 1"):
        load(tmp_path / "set")


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_a_truncated_array_file_is_one_clear_error(keep: int, tmp_path: Path) -> None:
    save(make_data(), tmp_path / "set")
    path = tmp_path / "set" / "dataset.h5"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match=r"dataset\.h5: cannot be read .* make it again"):
        load(tmp_path / "set")


@pytest.mark.parametrize("missing", ["dataset.h5", "dataset.json"])
def test_a_missing_file_is_named(missing: str, tmp_path: Path) -> None:
    save(make_data(), tmp_path / "set")
    (tmp_path / "set" / missing).unlink()
    with pytest.raises(BadInput, match=f"{missing}: does not exist"):
        load(tmp_path / "set")


def test_another_schema_and_broken_json_are_refused(tmp_path: Path) -> None:
    save(make_data(), tmp_path / "set")
    path = tmp_path / "set" / "dataset.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "schema": 99}))
    with pytest.raises(BadInput, match="schema 99, this version reads 1"):
        load(tmp_path / "set")
    path.write_text("{")
    with pytest.raises(BadInput, match="is not readable JSON"):
        load(tmp_path / "set")


def test_files_of_two_different_sets_do_not_pass_together(tmp_path: Path) -> None:
    save(make_data(), tmp_path / "set")
    path = tmp_path / "set" / "dataset.json"
    facts = json.loads(path.read_text())
    facts["counts"]["train"] = 7
    path.write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=r"6 samples, dataset\.json says 7"):
        load_store(tmp_path / "set")


def test_a_missing_or_foreign_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no such data set folder.*data synth"):
        load(tmp_path / "nothing")
    with pytest.raises(BadInput, match="neither dataset"):
        load(tmp_path)


def test_a_batch_holds_the_chosen_rows_as_fresh_tensors() -> None:
    split = make_data().splits["train"]
    batch = split.batch([4, 1])
    assert len(batch) == 2
    assert batch.label.tolist() == [1, 0]
    np.testing.assert_array_equal(batch.video.numpy(), split.video[[4, 1]])
    assert batch.events is not None and batch.events.dtype == torch.float32
    batch.video.zero_()
    assert split.video[4].any()
    whole = split.batch()
    assert len(whole) == len(split)
    some = replace(whole, stop=1).take([5, 0])
    np.testing.assert_array_equal(some.audio.numpy(), split.audio[[5, 0]])
    assert some.events is not None and split.events is not None and some.stop == 1
    np.testing.assert_array_equal(some.events.numpy(), split.events[[5, 0]])


def test_stage_two_trains_on_three_splits_and_is_judged_on_test() -> None:
    stage = make_data().stage(2)
    assert len(stage.train) == 6 + 6 + 3
    assert stage.train_ids.tolist() == [0, 1, 2]
    assert stage.seen_ids.tolist() == [0, 2]
    assert stage.unseen_ids.tolist() == [3]
    assert stage.train.events is not None and stage.train.events.shape == (15, 4, 8)


def only(ids: list[int]) -> npt.NDArray[np.int64]:
    return np.array(ids, dtype=np.int64)


@pytest.mark.parametrize(
    ("split", "labels", "number", "message"),
    [
        ("val_unseen", [2, 2, 1], 1, r"training samples although it is unseen: b"),
        ("val_seen", [0, 0, 0, 1, 1, 3], 1, r"no training sample: d"),
        ("train", [0, 0, 0, 0, 0, 1], 1, r"1 sample, at least 2 are needed: b"),
        ("test_unseen", [3, 3, 2], 2, r"training samples although it is unseen: c"),
    ],
)
def test_a_stage_with_conflicting_classes_names_them(
    split: str, labels: list[int], number: int, message: str
) -> None:
    data = with_split(make_data(), split, label=only(labels))
    with pytest.raises(BadInput, match=message):
        data.stage(number)  # type: ignore[arg-type]


def test_an_evaluation_split_without_samples_is_refused() -> None:
    data = make_data()
    empty = data.splits["val_unseen"]
    changes = {
        part: getattr(empty, part)[:0] for part in ("audio", "video", "label", "mask", "events")
    }
    with pytest.raises(BadInput, match="split val_unseen: 0 samples"):
        with_split(data, "val_unseen", names=(), **changes).stage(1)
