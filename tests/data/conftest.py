"""Class lists and vectors of a small invented benchmark, and a stand-in set made from them."""

from __future__ import annotations

import csv
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.data.synthetic.standin_set import write_stand_ins
from neurozsl.data.synthetic.standins import StandInConfig

CLASSES = ("Archery", "BabyCrawling", "CleanAndJerk", "Diving", "Fencing", "Typing")
MANUAL = ("Archery", "Baby Crawling", "Weight Lifting", "Diving", "Fencing", "Typing")
TRAIN, VAL, TEST = ("Archery", "BabyCrawling", "Fencing"), ("CleanAndJerk",), ("Diving", "Typing")
ROLES = {
    "stage_1_train": TRAIN,
    "stage_1_val_seen": TRAIN,
    "stage_1_val_unseen": VAL,
    "stage_2_train": (*TRAIN, *VAL),
    "stage_2_test_seen": (*TRAIN, *VAL),
    "stage_2_test_unseen": TEST,
}


@pytest.fixture(scope="session")
def class_lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class lists as the benchmark's UCF has them; cls_split lacks Typing."""
    folder = tmp_path_factory.mktemp("lists")
    (folder / "all_class.txt").write_text("\n".join(reversed(CLASSES)))
    with (folder / "ucf_w2v_class_names.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("original", "manual"), *zip(CLASSES, MANUAL, strict=True)])
    for split in ("main_split", "cls_split"):
        (folder / split).mkdir()
        for subsplit, names in ROLES.items():
            kept = [name for name in names if split == "main_split" or name != "Typing"]
            (folder / split / f"{subsplit}.txt").write_text("\n".join(kept))
    return folder


@pytest.fixture(scope="session")
def class_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unit vectors of the six classes in an `.npz`."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(MANUAL), 300))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    path = tmp_path_factory.mktemp("vectors") / "words.npz"
    np.savez(path, names=np.array(MANUAL), vectors=vectors.astype(np.float32))
    return path


@pytest.fixture(scope="session")
def _stand_in(
    class_lists: Path, class_vectors: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("set") / "UCF"
    write_stand_ins(StandInConfig("ucf", videos_per_class=4), class_lists, class_vectors, folder)
    return folder


@pytest.fixture
def stand_in(_stand_in: Path, tmp_path: Path) -> Path:
    """A stand-in set of 52 videos that a test may damage."""
    return Path(shutil.copytree(_stand_in, tmp_path / "UCF"))


Temporal = Callable[..., Path]


@pytest.fixture
def temporal(stand_in: Path) -> Temporal:
    """Writes TCaF's pickles for the classes of the stand-in set, next to its averaged features.

    lengths: vectors of audio and of video per video; content: what the vectors of a video hold.
    """

    def write(
        kind: str = "main",
        lengths: tuple[int, int] = (3, 3),
        widths: tuple[int, int] = (5, 6),
        folder: str | None = None,
    ) -> Path:
        name = folder or f"{kind}_features_non_averaged"
        features = stand_in / "features" / name
        shutil.copytree(stand_in / "features" / "main_features" / "text", features / "text")
        dropped = () if kind == "main" else ("Typing",)
        for subsplit, classes in ROLES.items():
            for part, length, width in zip(("audio", "video"), lengths, widths, strict=True):
                (features / part / subsplit).mkdir(parents=True)
                for label in set(classes) - set(dropped):
                    videos = [f"{label}_{subsplit}_{i}" for i in range(2)]
                    if part == "video":
                        videos.reverse()
                    value: dict[str, Any] = {
                        "features": [
                            np.full((length + int(v[-1]), width), float(v[-1]))
                            + np.arange(length + int(v[-1]))[:, None]
                            for v in videos
                        ],
                        "video_names": [v.encode() for v in videos],
                        "fps": [25] * len(videos),
                    }
                    with (features / part / subsplit / f"{label}.pkl").open("wb") as file:
                        pickle.dump(value, file)
        return stand_in

    return write
