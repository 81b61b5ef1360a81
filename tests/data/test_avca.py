"""The benchmark reader on the exact layout, and the pickle reader on hostile files."""

import csv
import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.benchmark.avca import align, load_avca
from neurozsl.data.benchmark.avca_layout import read_table, vector_keys
from neurozsl.data.benchmark.safe_pickle import load_npy, load_pickle
from neurozsl.data.sets.load import load

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "class_vectors"
NEEDS_SHARED = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared class vectors are not on this machine"
)
CLASSES = ("Archery", "CleanAndJerk", "Diving", "HandstandWalking", "Typing")
MANUAL = ("Archery", "Weight Lifting", "Diving", "Handstand Walking", "Typing")
SPLIT_CLASSES = {
    "stage_1_train": ("Archery", "HandStandWalking"),
    "stage_1_val_seen": ("Archery", "HandStandWalking"),
    "stage_1_val_unseen": ("CleanAndJerk",),
    "stage_2_test_seen": ("Archery", "CleanAndJerk", "HandStandWalking"),
    "stage_2_test_unseen": ("Diving",),
}


def feature(url: str, modality: str, width: int) -> npt.NDArray[np.float32]:
    seed = sum(ord(c) * (i + 1) for i, c in enumerate(url + modality))
    return np.random.default_rng(seed).random(width, dtype=np.float32)


def write_class(path: Path, urls: list[str], modality: str, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["data"] = np.stack([feature(url, modality, width) for url in urls])
        file["video_urls"] = np.array([url.encode() for url in urls], dtype="S80")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small data set in the benchmark's layout: cased names, unsorted rows, extra classes."""
    split = tmp_path / "class-split"
    (split / "main_split").mkdir(parents=True)
    (split / "all_class.txt").write_text("\n".join(reversed(CLASSES)))
    with (split / "ucf_w2v_class_names.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("original", "manual"), *zip(CLASSES, MANUAL, strict=True)])
    features = tmp_path / "features" / "main_features"
    for subsplit, names in SPLIT_CLASSES.items():
        (split / "main_split" / f"{subsplit}.txt").write_text("\n".join(names))
        for name in (*names, "Typing"):  # a class outside the split's list is ignored
            urls = [f"v_{name}_{subsplit}_{i}" for i in (2, 0, 1)]
            stem = name.replace("HandStand", "Handstand")
            write_class(features / "audio" / subsplit / f"{stem}.h5", urls, "a", 8)
            write_class(features / "video" / subsplit / f"{stem}.h5", urls[::-1], "v", 6)
    rng = np.random.default_rng(0)
    table = {}
    for name in MANUAL:
        vector = rng.normal(size=300)
        table[name] = (vector / np.linalg.norm(vector)).astype(np.float32)
    (features / "text").mkdir()
    boxed = np.array(table, dtype=object)
    np.save(features / "text" / "word_embeddings_ucf_normed.npy", boxed, allow_pickle=True)
    return tmp_path


def test_rows_are_sorted_and_joined_on_the_url(root: Path) -> None:
    data = load(root)
    assert data.classes == CLASSES and data.meta["averaged"] is True
    train = data.splits["train"]
    assert train.names == (
        *(f"v_Archery_stage_1_train_{i}" for i in range(3)),
        *(f"v_HandStandWalking_stage_1_train_{i}" for i in range(3)),
    )
    assert train.label.tolist() == [0, 0, 0, 3, 3, 3]
    assert train.audio.shape == (6, 1, 8) and train.video.shape == (6, 1, 6)
    for row, url in enumerate(train.names):
        np.testing.assert_array_equal(train.audio[row, 0], feature(url, "a", 8))
        np.testing.assert_array_equal(train.video[row, 0], feature(url, "v", 6))
    stage = data.stage(2)
    assert stage.train_ids.tolist() == [0, 1, 3] and stage.unseen_ids.tolist() == [2]


def test_by_name_gives_each_class_its_own_vector_and_legacy_the_permuted_one(root: Path) -> None:
    table = read_table(
        root / "features" / "main_features" / "text" / "word_embeddings_ucf_normed.npy"
    )
    right = load_avca(root)
    np.testing.assert_array_equal(right.vectors, np.stack([table[name] for name in MANUAL]))
    legacy = load_avca(root, label_alignment="legacy")
    np.testing.assert_array_equal(legacy.vectors, np.stack([table[n] for n in sorted(MANUAL)]))
    # CleanAndJerk -> Weight Lifting sorts last, so it and the three classes after it are wrong
    assert legacy.meta["classes_with_another_vector"] == 4
    assert right.meta["classes_with_another_vector"] == 0


@NEEDS_SHARED
def test_legacy_reproduces_the_published_counts_of_wrong_ucf_vectors() -> None:
    split = SHARED / "class_splits" / "UCF"
    classes = tuple(sorted((split / "all_class.txt").read_text().split()))
    table = read_table(SHARED / "word_embeddings_ucf_normed.npy")
    keys = vector_keys(split, "ucf", classes)
    legacy = align(keys, table, "legacy")
    assert align(keys, table, "by_name") == keys
    wrong = {name for name, a, b in zip(classes, keys, legacy, strict=True) if a != b}
    assert (len(wrong), len(classes)) == (79, 101)
    lowered = {name.lower() for name in wrong}
    counts = {}
    for part in ("stage_1_train", "stage_1_val_unseen", "stage_2_test_seen", "stage_2_test_unseen"):
        names = (split / "main_split" / f"{part}.txt").read_text().split()
        counts[part] = (sum(name.lower() in lowered for name in names), len(names))
    assert counts == {
        "stage_1_train": (23, 30),
        "stage_1_val_unseen": (8, 12),
        "stage_2_test_seen": (31, 42),
        "stage_2_test_unseen": (5, 9),
    }


@NEEDS_SHARED
def test_the_benchmarks_pickled_vectors_equal_the_plain_copy() -> None:
    table = read_table(SHARED / "word_embeddings_ucf_normed.npy")
    with np.load(SHARED / "word2vec_ucf_safe.npz", allow_pickle=False) as file:
        plain = dict(zip(file["names"].tolist(), file["vectors"], strict=True))
    assert table.keys() == plain.keys()
    for name, vector in plain.items():
        np.testing.assert_array_equal(table[name], vector)


def test_videos_that_only_one_modality_has_are_named(root: Path) -> None:
    path = root / "features" / "main_features" / "video" / "stage_1_train" / "Archery.h5"
    write_class(path, ["v_other"], "v", 6)
    with pytest.raises(BadInput, match=r"Archery\.h5: 3 videos with audio, 1 with picture"):
        load_avca(root)


def test_a_class_of_the_split_without_samples_is_named(root: Path) -> None:
    (root / "features" / "main_features" / "audio" / "stage_2_test_unseen" / "Diving.h5").unlink()
    with pytest.raises(BadInput, match=r"stage_2_test_unseen: no \.h5 for 1 class.*diving"):
        load_avca(root)


def test_a_truncated_feature_file_is_named(root: Path) -> None:
    path = root / "features" / "main_features" / "audio" / "stage_1_train" / "Archery.h5"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadInput, match=r"Archery\.h5: cannot be read"):
        load_avca(root)


def test_a_training_class_with_one_sample_is_named(root: Path) -> None:
    for part, width in (("audio", 8), ("video", 6)):
        folder = root / "features" / "main_features" / part / "stage_1_train"
        write_class(folder / "Archery.h5", ["v_only"], part[0], width)
    with pytest.raises(BadInput, match="1 sample, at least 2 are needed: Archery"):
        load_avca(root)


class Touch:
    """Creates a file when it is unpickled the ordinary way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_file_is_refused_and_not_executed(protocol: int, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    bad = tmp_path / "bad.npy"
    np.save(bad, np.array({"a": Touch(trap)}, dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match=r"bad\.npy: is not a plain .*refused: (posix|nt)\.mkdir"):
        load_npy(bad)
    with (tmp_path / "bad.pkl").open("wb") as file:
        pickle.dump([Touch(trap)], file, protocol=protocol)
    with pytest.raises(BadInput, match="refused"):
        load_pickle(tmp_path / "bad.pkl")
    assert not trap.exists()


def test_an_object_dtype_with_forged_flags_does_not_turn_bytes_into_pointers(
    tmp_path: Path,
) -> None:
    forged = (
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R"
        b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89C\x08AAAAAAAAtb."
    )
    path = tmp_path / "forged.pkl"
    path.write_bytes(forged)
    with pytest.raises(BadInput, match="object array without a list"):
        load_pickle(path)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_come_back_equal(protocol: int, tmp_path: Path) -> None:
    value: dict[str, Any] = {
        "features": [np.arange(6, dtype=">i4").reshape(2, 3), np.ones((2, 0), np.float32)],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "names": np.array(["a", "bc"]),
        "urls": [b"x", "y"],
        "number": np.float32(1.5),
        "rest": (1, 2.0, None, True),
        "objects": np.array([{"k": np.arange(3)}, "s"], dtype=object),
    }
    path = tmp_path / "value.pkl"
    with path.open("wb") as file:
        pickle.dump(value, file, protocol=protocol)
    got = load_pickle(path)
    assert isinstance(got, dict) and got.keys() == value.keys()
    for key in ("fortran", "names"):
        np.testing.assert_array_equal(got[key], value[key])
    for left, right in zip(got["features"], value["features"], strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    assert got["urls"] == [b"x", "y"] and got["rest"] == (1, 2.0, None, True)
    assert got["number"] == np.float32(1.5)
    np.testing.assert_array_equal(got["objects"][0]["k"], np.arange(3))


def test_a_plain_array_file_needs_no_pickle(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5.0))
    np.testing.assert_array_equal(np.asarray(load_npy(tmp_path / "a.npy")), np.arange(5.0))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"garbage"])
def test_damaged_files_are_one_clear_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.npy: is not a plain"):
        load_npy(path)
