"""What a study or benchmark finds in its folder: a run or a data set under the right name that is
another one is refused before anything is trained, and linked folders count in a fingerprint.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest

from neurozsl.cluster.tasks import ALONE
from neurozsl.core.errors import BadInput
from neurozsl.core.tree import files_below
from neurozsl.data.sets.fingerprint import fingerprint
from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic
from neurozsl.runs import run as runs
from neurozsl.runs.settings import read_settings, write_settings
from neurozsl.studies import base, benchmark, quantisation, trainings
from neurozsl.studies.base import StudySettings
from neurozsl.studies.benchmark import BenchmarkSettings
from neurozsl.training.protocol import TrainConfig
from tests.factories import runs as run_folders

SMALL: Mapping[str, Any] = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 16}


@pytest.fixture
def data(data_dir: Path, tmp_path: Path) -> Path:
    return shutil.copytree(data_dir, tmp_path / "data")


def asked(data: Path, **changes: Any) -> BenchmarkSettings:
    given = {"epochs": 1, "seeds": 1, "options": {"mdft": SMALL}, **changes}
    return BenchmarkSettings(data, ("mdft",), **given)


@pytest.fixture
def begun(data: Path, tmp_path: Path) -> Path:
    """The folder of a benchmark whose one run was begun."""
    settings, out = asked(data), tmp_path / "out"
    [one] = benchmark.plan(settings, out)
    train = settings.train(0)
    runs.create(one.job.out, data_dir=data, model="mdft", options=SMALL, train=train)
    return out


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"mdft": {**SMALL, "hidden": 32}},
        {"mdft": {k: v for k, v in SMALL.items() if k != "embed"}},
        {"mdft": {**SMALL, "heads": 1}},
        {"mdft": {**SMALL, "motion": False}},
    ],
)
def test_a_run_with_other_options_given_or_left_out_is_no_row_of_a_benchmark(
    begun: Path, data: Path, given: Mapping[str, Any]
) -> None:
    with pytest.raises(BadInput, match=r"was made with .* asked for"):
        benchmark.run(asked(data, options=given), out=begun)


def scaled(data: Path) -> None:
    with h5py.File(data / "dataset.h5", "r+") as file:
        file["test_seen/audio/sequence"][...] = file["test_seen/audio/sequence"][...] * 0.3


def test_a_run_of_the_data_as_they_were_before_is_no_row_of_a_benchmark(
    begun: Path, data: Path
) -> None:
    scaled(data)
    with pytest.raises(BadInput, match="changed since training or are others"):
        benchmark.run(asked(data), out=begun)


CHANGES: dict[str, Callable[[Path], object]] = {
    "epochs": lambda path: changed(path, train=TrainConfig(epochs=7)),
    "seed": lambda path: changed(path, train=TrainConfig(epochs=1, seed=3)),
    "options": lambda path: changed(path, options={"motion": False}),
    "model": lambda path: changed(path, model="avca"),
    "data": lambda path: changed(path, data="elsewhere"),
    "fingerprint": lambda path: changed(path, data_fingerprint="0" * 64),
}


def changed(path: Path, **changes: Any) -> None:
    found = read_settings(path)
    if "options" in changes:
        changes["options"] = {**found.options, **changes["options"]}
    write_settings(path, replace(found, **changes))
    run_folders.sealed_again(path)


@pytest.mark.parametrize("what", CHANGES)
def test_a_study_takes_no_other_run_that_lies_in_its_place(
    own_run: Path, run_dir: Path, what: str
) -> None:
    """The run is finished, so a study would read its scores."""
    job = trainings.new_run(
        "one",
        out=own_run,
        data=run_dir.parent / "data",
        model="mdft",
        seed=0,
        epochs=5,
        options={"motion": True},
    )
    trainings.train_all([job], on=ALONE, progress=None)  # it is the one
    CHANGES[what](own_run)
    with pytest.raises(BadInput, match=r"asked for|changed since"):
        trainings.train_all([job], on=ALONE, progress=None)


def test_a_study_takes_no_run_that_was_fine_tuned_from_another(run_dir: Path) -> None:
    [*_, job] = quantisation._tuned(run_dir.parent, 0.0, 0)
    assert job.kept is not None
    with pytest.raises(BadInput, match="parent nothing, asked for"):
        job.kept(run_dir)


@pytest.mark.parametrize(
    "other", [{"scene_bias": 0.9}, {"test_size": 60}, {"seed": 1}, {"unbiased_val": True}]
)
def test_a_study_takes_no_other_data_set_that_lies_in_its_place(
    tmp_path: Path, other: Mapping[str, Any]
) -> None:
    size = {"train_per_class": 40, "test_size": 48}
    config = SyntheticConfig(**{"scene_bias": 0.0, "seed": 0, **size, **other})
    folder = base.data_folder(tmp_path, 0.0, 0)
    folder.mkdir()
    facts = {"meta": {"config": json.loads(json.dumps(vars(config)))}}
    (folder / "dataset.json").write_text(json.dumps(facts))
    settings = StudySettings("motion", (0.0,), seeds=1, epochs=1, test_size=48)
    with pytest.raises(BadInput, match=f"{next(iter(other))} .*, asked for"):
        base.make_data(settings, tmp_path)


def test_sizes_that_cannot_be_made_are_refused_though_a_data_set_is_there(tmp_path: Path) -> None:
    folder = base.data_folder(tmp_path, 0.0, 0)
    write_synthetic(SyntheticConfig(0.0, train_per_class=2, test_size=48), folder)
    settings = StudySettings("motion", (0.0,), seeds=1, epochs=1, test_size=20)
    with pytest.raises(BadInput, match="at least 48"):
        base.make_data(settings, tmp_path)


def tree(folder: Path) -> Path:
    for name in ("class-split/all.txt", "features/audio/a.h5", "features/video/b.h5"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize("moved", ["features", "features/audio", "class-split"])
def test_files_in_linked_folders_count_in_a_fingerprint(tmp_path: Path, moved: str) -> None:
    plain, root, store = tree(tmp_path / "plain"), tree(tmp_path / "root"), tmp_path / "store"
    shutil.move(root / moved, store)
    (root / moved).symlink_to(store, target_is_directory=True)
    assert fingerprint(root) == fingerprint(plain)
    [first, *_] = [path for path in sorted(store.rglob("*")) if path.is_file()]
    first.write_text("other")
    assert fingerprint(root) != fingerprint(plain)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    before = files_below(root)
    (root / "features" / "up").symlink_to(root, target_is_directory=True)
    (root / "features" / "here").symlink_to(".", target_is_directory=True)
    (root / "nowhere").symlink_to(root / "nowhere")
    assert files_below(root) == before
    os.mkfifo(root / "pipe")
    assert files_below(root) == before
