"""A place that takes nothing is refused before the work, in every command that writes there."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place, problem
from tests.factories import network_files

Command = Callable[..., Any]


def impossible(folder: Path) -> dict[str, Path]:
    """Places that no command can write, by why."""
    (folder / "file").write_text("")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "nowhere").symlink_to(folder / "absent" / "deeper")
    return {
        "no folder": folder / "file" / "below" / "it",
        "at most 255": folder / "new" / ("n" * 300),
        "Too many levels of symbolic links": folder / "circle" / "set",
        "too long": folder.joinpath(*["n" * 200] * 25),
        "link to what is not there": folder / "nowhere" / "set",
    }


def test_the_reason_is_told(tmp_path: Path) -> None:
    for reason, place in impossible(tmp_path).items():
        assert reason in str(problem(place)), place
        with pytest.raises(BadInput, match="cannot be written") as refused:
            check_place(place, "bundle")
        assert str(refused.value).startswith(f"bundle '{place}'")
    assert problem(tmp_path / "new" / "deeper" / ("n" * 255)) is None
    assert sorted(x.name for x in tmp_path.iterdir()) == ["circle", "file", "nowhere"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT, errno.ENOSPC])
def test_what_the_disk_says_to_a_trial_is_told(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "x"))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert os.strerror(number) in str(problem(tmp_path / "set"))


def test_a_folder_of_the_system_is_refused() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("there is no /proc")
    assert problem(Path("/proc/set")) is not None


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was begun, of all that takes long."""
    from neurozsl.data.clips import build as clips
    from neurozsl.data.sets import load
    from neurozsl.data.synthetic import scenes, standin_set
    from neurozsl.deploy import deploy
    from neurozsl.export.network import build_network
    from neurozsl.report.sections import build
    from neurozsl.runs import run
    from neurozsl.studies import base, trainings

    begun: list[str] = []
    long = [(clips, "build"), (load, "write_packed"), (scenes, "generate"), (deploy, "deploy")]
    long += [(standin_set, "_write_features"), (build_network, "build_network_bundle")]
    long += [(build, "build"), (run, "train"), (trainings, "train_one")]
    long += [(base, "make_data")]
    for module, name in long:

        def begin(*_: object, name: str = name, **__: object) -> None:
            begun.append(name)
            raise AssertionError(name)

        monkeypatch.setattr(module, name, begin)
    return begun


def test_no_command_begins_work_for_a_place_that_takes_nothing(
    neurozsl: Command, workspace: Path, tmp_path: Path, worked: list[str]
) -> None:
    data, run = workspace / "data", workspace / "run"
    network = network_files.write(tmp_path / "net.nir", network_files.dense())
    (tmp_path / "labels.csv").write_text("file,label,role,embedding_name\n")
    commands: list[list[object]] = [
        ["data", "synth", "--out"],
        ["data", "convert", data, "--out"],
        ["data", "build", "--clips", tmp_path, "--labels", tmp_path / "labels.csv",
         "--vectors", tmp_path / "v.npz", "--out"],
        ["export", run, "--target", "lava", "--out"],
        ["export", network, "--target", "lava", "--poisson", "0.05", "--out"],
        ["train", "--data", data, "--out"],
        ["train", "--resume", run, "--sparsity", "0.9", "--out"],
        ["benchmark", "--data", data, "--models", "mdft", "--out"],
        ["benchmark", "--study", "motion", "--out"],
        ["benchmark", "--pareto", "--data", data, "--out"],
        ["benchmark", "--frontier", "--data", data, "--out"],
        ["demo", "--out"],
    ]  # fmt: skip
    places = impossible(tmp_path)
    for command in commands:
        for reason, place in places.items():
            ended = neurozsl(*command, place)
            assert ended.code == 2, (command, ended.err)
            assert "cannot be written" in ended.err and reason in ended.err, (command, ended.err)
            assert str(place) in ended.err.replace("\n", "")
    for reason, place in places.items():
        ended = neurozsl("profile", run, "--report", f"{place}.html")
        assert ended.code == 2 and "cannot be written" in ended.err, (reason, ended.err)
    ended = neurozsl("simulate", network, "--poisson", "0.05", "--out", tmp_path / ("n" * 300))
    assert ended.code == 2 and "at most 255" in ended.err
    assert worked == []
    assert "new" not in {x.name for x in tmp_path.iterdir()}


def test_a_set_that_a_killed_command_moved_aside_is_read(
    neurozsl: Command, data_dir: Path, tmp_path: Path
) -> None:
    aside = tmp_path / ".set@another-1-0.old"
    shutil.copytree(data_dir, aside)
    os.utime(aside)
    with pytest.MonkeyPatch.context() as patch:
        now = time.time()
        patch.setattr(time, "time", lambda: now + 120)
        ended = neurozsl("data", "inspect", tmp_path / "set")
    assert ended.code == 0, ended.err
    assert [x.name for x in tmp_path.iterdir()] == ["set"]
