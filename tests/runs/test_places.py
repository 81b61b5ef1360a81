"""A run that was copied alone, to another place or machine: what it can do, what it asks for."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.runs import run as runs
from neurozsl.runs.settings import DataElsewhere, data_folder, read_settings, write_settings
from neurozsl.simulation import simulate as simulation
from tests.cli.conftest import Ran, run_command
from tests.factories import runs as run_folders


@pytest.fixture
def alone(run_dir: Path, tmp_path: Path) -> Path:
    """The tiny run with its bundles, without its data."""
    return Path(shutil.copytree(run_dir, tmp_path / "other place" / "run"))


def asked_for(ran: Ran, run: Path) -> bool:
    """Whether this is the one message that says which data a run needs."""
    found = read_settings(run).data_fingerprint[:12]
    *before, line = ran.err.splitlines()
    assert all(x.startswith("profiling the deployed branch") for x in before)
    needed = f"needs the data set 'data' with the fingerprint {found}, not found at "
    return (ran.code, ran.out) == (2, "") and needed in line and "NEUROZSL_DATA=FOLDER" in line


@pytest.mark.parametrize(
    "command",
    [("evaluate", "RUN"), ("evaluate", "RUN", "--bundle", "BUNDLE"), ("profile", "RUN"),
     ("profile", "BUNDLE"), ("simulate", "BUNDLE", "--margin", "auto"),
     ("train", "--resume", "RUN", "--qat", "loihi2")],
    ids=" ".join,
)  # fmt: skip
def test_what_needs_data_says_which_and_how_to_give_it(
    command: tuple[str, ...], alone: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NEUROZSL_DATA", raising=False)
    places = {"RUN": alone, "BUNDLE": alone / "deploy" / "lava"}
    assert asked_for(run_command(*(places.get(word, word) for word in command)), alone)
    monkeypatch.setenv("NEUROZSL_DATA", str(tmp_path / "nowhere"))
    ran = run_command(*(places.get(word, word) for word in command))
    assert asked_for(ran, alone) and f"nor in NEUROZSL_DATA={tmp_path / 'nowhere'}" in ran.err


@pytest.mark.parametrize(
    "command",
    [("evaluate", "RUN"), ("export", "RUN", "--target", "nir"), ("profile", "RUN"),
     ("simulate", "BUNDLE", "--margin", "0.1")],
    ids=" ".join,
)  # fmt: skip
def test_a_run_of_an_earlier_version_needs_its_data_for_more(
    command: tuple[str, ...], alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROZSL_DATA", raising=False)
    run_folders.of_an_earlier_version(alone)
    places = {"RUN": alone, "BUNDLE": alone / "deploy" / "lava"}
    assert asked_for(run_command(*(places.get(word, word) for word in command)), alone)


def test_a_bundle_of_it_is_verified_and_simulated_on_its_golden_samples(
    alone: Path, lava_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROZSL_DATA", raising=False)
    run_folders.of_an_earlier_version(alone)  # which kept nothing of its data
    bundle = alone / "deploy" / "lava"
    ran = run_command("simulate", bundle, "--backend", "emulator", "--json")
    assert ran.code == 0, ran.err
    assert ran.document["predictions"] == []
    assert "golden samples of the bundle ran" in ran.document["source"]
    assert "with the fingerprint" in ran.document["source"]
    # The bundle by itself, in no run, has the same spikes and nothing to say of a run.
    single = shutil.copytree(lava_bundle, alone.parent / "lava")
    expected = simulation.simulate(open_bundle(single), backend="emulator").as_json()
    assert "source" not in expected
    assert ran.document["layers"] == expected["layers"]
    checked = run_command("verify", bundle, "--json")
    assert checked.code == 0 and checked.document["backends"], checked.err


@pytest.mark.parametrize("place", ["the data set", "the folder that holds it"])
def test_the_data_are_found_where_the_variable_says(
    place: str, alone: Path, run_dir: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = workspace / "data" if place == "the data set" else workspace
    monkeypatch.setenv("NEUROZSL_DATA", str(given))
    opened = runs.open_run(alone)
    assert opened.result == runs.open_run(run_dir).result
    assert opened.data.classes == runs.open_run(run_dir).data.classes


def test_data_with_another_fingerprint_are_refused_wherever_they_lie(
    alone: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path(shutil.copytree(workspace / "data", alone.parents[1] / "changed"))
    (other / "dataset.json").write_text((other / "dataset.json").read_text() + " ")
    monkeypatch.setenv("NEUROZSL_DATA", str(other))
    with pytest.raises(
        BadInput, match=r"changed since training or are others \(fingerprint"
    ) as told:
        runs.open_run(alone)
    assert not isinstance(told.value, DataElsewhere)
    # What lies where it was is another data set; the variable says where the right one is.
    shutil.copytree(other, alone.parent / "data")
    monkeypatch.setenv("NEUROZSL_DATA", str(workspace / "data"))
    assert data_folder(alone, read_settings(alone)) == workspace / "data"


def test_the_noted_place_may_be_edited_and_nothing_else(run_dir: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run_dir, tmp_path / "run"))
    settings = json.loads((copy / "run.json").read_text())
    moved = {**settings, "data": str((run_dir / settings["data"]).resolve())}
    (copy / "run.json").write_text(json.dumps(moved))
    assert runs.open_run(copy).result == runs.open_run(run_dir).result
    for key, value in settings.items():
        if key not in ("data", "digest"):
            (copy / "run.json").write_text(json.dumps({**moved, key: [value]}))
            with pytest.raises(BadInput, match=r"run\.json|schema"):
                runs.open_run(copy)


def test_a_run_of_an_earlier_version_opens_and_says_that_it_is_not_checked(
    run_dir: Path, tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROZSL_DATA", str(workspace))
    copy = run_folders.of_an_earlier_version(Path(shutil.copytree(run_dir, tmp_path / "run")))
    ran, now = (run_command("evaluate", x, "--json") for x in (copy, run_dir))
    assert (ran.code, now.code) == (0, 0), ran.err
    found = ran.document
    said = found.pop("note")
    assert "made by an earlier version" in said and found == now.document
    assert runs.open_run(copy).result["warnings"][-1] == said


def test_settings_that_claim_to_be_older_than_their_result_are_refused(
    run_dir: Path, tmp_path: Path
) -> None:
    """Taking the digests out of one file alone does not make the run unchecked."""
    copy = Path(shutil.copytree(run_dir, tmp_path / "run"))
    settings = read_settings(copy)
    settings = replace(settings, train=replace(settings.train, epochs=99), schema=1)
    write_settings(copy, settings)
    with pytest.raises(BadInput, match="other settings than those that were trained"):
        runs.open_run(copy)
    result = json.loads((copy / "result.json").read_text())
    for key in run_folders.SEAL:
        del result[key]
    shutil.copy(run_dir / "run.json", copy / "run.json")
    (copy / "result.json").write_text(json.dumps(result))
    with pytest.raises(BadInput, match=r"result\.json: 'settings', 'files', 'digest' missing"):
        runs.open_run(copy)


def test_whoever_may_read_the_folder_may_read_its_files(run_dir: Path) -> None:
    """Checkpoints were 0600, so that a run in a shared folder could not be opened by others."""
    mask = os.umask(0)
    os.umask(mask)
    files = [x for x in run_dir.rglob("*") if x.is_file() and "deploy" not in x.parts]
    assert len(files) >= 8
    assert {oct(x.stat().st_mode & 0o777) for x in files} == {oct(0o666 & ~mask)}
