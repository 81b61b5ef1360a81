"""A run that was packed and opened in an empty folder gives, without its data, the same numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurozsl as nz
from neurozsl.core.errors import BadInput
from neurozsl.data.sets.load import load
from neurozsl.deploy.branch import branch_spec
from neurozsl.deploy.samples import calibration_input, golden_input
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.models.base import needed_branch
from neurozsl.portable.pack import pack
from neurozsl.runs.kept import KEPT, KeptData, read_kept, write_kept
from neurozsl.runs.run import open_run
from neurozsl.runs.settings import DataElsewhere, read_settings
from neurozsl.scoring.evaluation import problem_of
from neurozsl.scoring.samples import calibration_of
from neurozsl.training.train import make_model
from tests.cli.conftest import run_command
from tests.factories.event_sets import recordings


@pytest.fixture(scope="module")
def source(run_dir: Path, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny run and its bundles, beside a copy of its data."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(workspace / "data", folder / "data")
    return Path(shutil.copytree(run_dir, folder / "run"))


@pytest.fixture(scope="module")
def packed(source: Path) -> Path:
    """The zip of it."""
    return pack(source, source.with_name("run.zip")).path


@pytest.fixture
def opened(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run in an empty folder on a machine without its data."""
    monkeypatch.delenv("NEUROZSL_DATA", raising=False)
    place = tmp_path / "empty" / "run"
    ran = run_command("unpack", packed, "--out", place, "--json")
    assert ran.code == 0, ran.err
    assert ran.document["data"]["fingerprint"] == read_settings(place).data_fingerprint
    return place


def alike(found: dict[str, Any], wanted: dict[str, Any], *without: str) -> None:
    for key in without:
        found.pop(key)
        wanted.pop(key)
    assert found == wanted


def test_simulate_names_the_classes_and_has_the_spikes_that_it_has_with_the_data(
    opened: Path, source: Path
) -> None:
    ran, wanted = (
        run_command("simulate", x / "deploy" / "lava", "--backend", "emulator", "--json")
        for x in (opened, source)
    )
    assert (ran.code, wanted.code) == (0, 0), ran.err
    assert len(ran.document["predictions"]) == 16
    alike(ran.document, wanted.document, "seconds")


def test_simulate_stops_samples_as_with_the_data(opened: Path, source: Path) -> None:
    ran, wanted = (
        run_command("simulate", x / "deploy" / "lava", "--limit", 4, "--margin", "0.05", "--json")
        for x in (opened, source)
    )
    assert (ran.code, wanted.code) == (0, 0), ran.err
    assert all("steps" in x for x in ran.document["predictions"])
    alike(ran.document, wanted.document, "seconds")


def test_a_number_of_samples_that_is_not_kept_is_said_and_never_made_up(opened: Path) -> None:
    ran = run_command("simulate", opened / "deploy" / "lava", "--limit", 7, "--json")
    assert ran.code == 0 and ran.document["predictions"] == []
    assert "8 of 48 samples of test_seen are kept" in ran.document["source"]
    refused = run_command("simulate", opened / "deploy" / "lava", "--limit", 7, "--margin", "0.1")
    assert refused.code == 2 and "8 of 48 samples of test_seen are kept" in refused.err


def test_simulate_of_an_own_input_is_as_with_the_data(
    opened: Path, source: Path, tmp_path: Path
) -> None:
    golden = open_bundle(source / "deploy" / "lava").golden
    np.savez(tmp_path / "x.npz", **golden.codes)
    ran, wanted = (
        run_command(
            "simulate", x / "deploy" / "lava" / "motion.nir", "--input", tmp_path / "x.npz",
            "--json",
        )
        for x in (opened, source)
    )  # fmt: skip
    assert (ran.code, wanted.code) == (0, 0), ran.err
    assert ran.document["layers"] == wanted.document["layers"] != []


def test_verify_is_as_with_the_data(opened: Path, source: Path) -> None:
    ran, wanted = (
        run_command("verify", x / "deploy" / "sinabs", "--json") for x in (opened, source)
    )
    assert (ran.code, wanted.code) == (0, 0), ran.err
    assert ran.document["backends"] == wanted.document["backends"] != {}


@pytest.mark.parametrize("bundle", ["", "lava", "sinabs"])
def test_the_report_has_the_numbers_that_it_has_with_the_data(
    bundle: str, opened: Path, source: Path, tmp_path: Path
) -> None:
    deployed = {x: ["--bundle", x / "deploy" / bundle] if bundle else [] for x in (opened, source)}
    if not bundle:  # the float branch is what runs where nothing was exported
        shutil.rmtree(opened / "deploy")
    page = tmp_path / ("r.html" if bundle == "lava" else "r.json")  # a page takes its time
    ran = run_command("profile", opened, *deployed[opened], "--report", page)
    assert ran.code == 0, ran.err
    assert page.stat().st_size > 10_000
    found = json.loads(page.with_suffix(".json").read_text())
    # Measured again from the data, in the place where they are.
    measured = nz.profile(source, source / "deploy" / bundle if bundle else None)
    again = measured.model_dump(mode="json")
    told = found["notes"].pop()
    assert "Measured when the run was packed" in told and found["notes"] == again["notes"]
    for timed in ("seconds_per_inference", "energy"):  # of this minute
        found["host"].pop(timed)
        again["host"].pop(timed)
    alike(found, again, "created", "provenance", "notes")
    assert found["accuracy"]["HM"] > 0
    assert found["energy"] and found["layers"] and found["confusion"]


def test_what_a_kept_report_does_not_hold_needs_the_data(opened: Path) -> None:
    for options in (["--step-time", "0.1"], ["--margin", "0.1"]):
        ran = run_command("profile", opened, *options)
        assert ran.code == 2 and f"{options[0]}: was not measured" in ran.err
        assert read_settings(opened).data_fingerprint[:12] in ran.err


def test_evaluate_asks_for_the_data_by_fingerprint_and_takes_no_others(
    opened: Path, source: Path, tmp_path: Path
) -> None:
    found = read_settings(opened).data_fingerprint[:12]
    for more in ((), ("--bundle", opened / "deploy" / "lava"), ("--margin", "0.1")):
        ran = run_command("evaluate", opened, *more)
        assert (ran.code, ran.out) == (2, "")
        for said in ("'data'", found, str(opened.parent / "data"), "--data DIR", "NEUROZSL_DATA="):
            assert said in ran.err
    data = source.with_name("data")
    given = run_command("evaluate", opened, "--data", data, "--json")
    assert given.code == 0, given.err
    assert given.document == run_command("evaluate", source, "--json").document
    other = Path(shutil.copytree(data, tmp_path / "other"))
    (other / "dataset.json").write_text((other / "dataset.json").read_text() + " ")
    refused = run_command("evaluate", opened, "--data", other)
    assert refused.code == 2 and "changed since training or are others" in refused.err
    nowhere = run_command("evaluate", opened, "--data", tmp_path / "nowhere")
    assert nowhere.code == 2 and f"not found in --data {tmp_path / 'nowhere'}" in nowhere.err


def test_export_has_the_same_bits_and_says_that_it_scored_nothing(
    opened: Path, source: Path
) -> None:
    ran = run_command("export", opened, "--target", "nir", "--out", opened / "deploy" / "again")
    assert ran.code == 0, ran.err
    assert "warning: calibrated and verified on what the run kept" in ran.err
    wanted = nz.export(source, target="nir", out=source.parent / "nir", max_hm_drop=100)
    made = open_bundle(opened / "deploy" / "again")
    assert made.manifest.steps == () and len(wanted.manifest.steps) > 0
    for name, codes in wanted.golden.codes.items():
        np.testing.assert_array_equal(made.golden.codes[name], codes)
    for name, spikes in wanted.golden_trace.spikes.items():
        np.testing.assert_array_equal(made.golden_trace.spikes[name], spikes)
    assert made.manifest.verdict == wanted.manifest.verdict
    # What was never measured is not shown, and the way to it is told.
    shown = run_command("profile", opened, "--bundle", opened / "deploy" / "again")
    assert shown.code == 2 and "neurozsl pack" in shown.err and "--data DIR" in shown.err


def test_what_is_kept_is_what_the_data_say(source: Path, opened: Path) -> None:
    run, alone = open_run(source), open_run(opened)
    assert isinstance(alone.data, KeptData) and alone.data_path is None
    assert alone.data.classes == run.data.classes and alone.data.meta == run.data.meta
    assert (alone.data.name, alone.data.step_s) == (run.data.name, run.data.step_s)
    np.testing.assert_array_equal(alone.data.vectors, run.data.vectors)
    for name, split in run.data.splits.items():
        np.testing.assert_array_equal(alone.data.kept.roles[name], np.unique(split.label))
        assert alone.data.kept.sizes[name] == len(split)
    asked = problem_of(run.data.stage(2))
    kept = alone.data.kept.problem(asked.label)
    np.testing.assert_array_equal(kept.seen_ids, asked.seen_ids)
    np.testing.assert_array_equal(kept.unseen_ids, asked.unseen_ids)
    spec = branch_spec(run)
    pairs = [(calibration_input(run, spec), calibration_input(alone, spec))]
    pairs += [(golden_input(run, n), golden_input(alone, n)) for n in (16, 4, 1)]
    for one, other in pairs:
        assert one.code == other.code and one.codes.keys() == other.codes.keys()
        for name, codes in one.codes.items():
            np.testing.assert_array_equal(other.codes[name], codes)
    for ask in (lambda: alone.data.stage(2), lambda: alone.data.splits["train"]):
        with pytest.raises(DataElsewhere, match="with the fingerprint"):
            ask()
    assert (opened / KEPT).stat().st_size < 1_000_000


def test_the_same_run_gives_the_same_bytes_and_training_stays_behind(
    source: Path, packed: Path, tmp_path: Path
) -> None:
    again = pack(source, tmp_path / "again.zip")
    assert again.path.read_bytes() == packed.read_bytes()
    assert set(again.left_out) == {
        "stage1/best.safetensors", "stage1/last.safetensors", "stage2/last.safetensors",
    }  # fmt: skip
    assert again.notes == () and "deploy/lava/manifest.json" in again.files
    whole = pack(source, tmp_path / "whole.zip", bundles=False, checkpoints=True)
    assert "stage1/best.safetensors" in whole.files
    assert not any(name.startswith("deploy/") for name in whole.files)


def test_it_is_packed_again_where_its_data_are_not(opened: Path, packed: Path) -> None:
    again = pack(opened)
    assert again.path == opened.with_name("run.zip") and again.notes == ()
    assert again.path.read_bytes() == packed.read_bytes()
    shutil.rmtree(opened / "measured")
    assert any("was not measured" in note for note in pack(opened).notes)


def test_python_opens_the_zip_itself(packed: Path, source: Path) -> None:
    run = nz.load(packed)
    assert run.data.classes == open_run(source).data.classes
    assert run.path.is_dir() and run.path != source
    with pytest.raises(DataElsewhere):
        nz.evaluate(run)
    assert nz.load(packed, data=source.with_name("data")).data.stage(2).seen_ids.size > 0


@pytest.mark.parametrize("command", ["evaluate", "profile", "export", "verify", "simulate"])
def test_a_command_that_is_given_the_zip_says_how_to_open_it(command: str, packed: Path) -> None:
    more = ["--target", "nir"] if command == "export" else []
    ran = run_command(command, packed, *more)
    assert ran.code == 2 and f"neurozsl unpack {packed}" in ran.err


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: x / "inside.zip", "lies in the run itself"),
        (lambda x: x.with_name("run.tar"), "let its name end in .zip"),
    ],
)
def test_places_that_take_no_zip_are_refused(make: Any, said: str, source: Path) -> None:
    with pytest.raises(BadInput, match=said):
        pack(source, make(source))


def test_a_folder_that_holds_something_is_not_unpacked_into(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    ran = run_command("unpack", packed, "--out", tmp_path / "mine")
    assert ran.code == 2 and "is there and not empty" in ran.err
    assert [x.name for x in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    # The run itself may be there already, with more beside it.
    whole = tmp_path / "whole"
    assert run_command("unpack", packed, "--out", whole).code == 0
    (whole / "notes.txt").write_text("mine")
    assert run_command("unpack", packed, "--out", whole).code == 0
    assert (whole / "notes.txt").read_text() == "mine"
    (whole / "log.jsonl").write_text("")
    assert run_command("unpack", packed, "--out", whole).code == 2
    assert (whole / "log.jsonl").read_text() == ""


def test_a_classifier_travels_too(tmp_path: Path) -> None:
    events = recordings(tmp_path / "recordings")
    data, run = tmp_path / "set", tmp_path / "run"
    commands: tuple[tuple[object, ...], ...] = (
        ("data", "build", "--events", events, "--labels", events / "labels.csv", "--bins", 4,
         "--size", "10x10", "--out", data),
        ("train", "--network", "conv-if", "--data", data, "--out", run, "--epochs", 1),
        ("pack", run, "--out", tmp_path / "c.zip"),
        ("unpack", tmp_path / "c.zip", "--out", tmp_path / "elsewhere" / "run"),
    )  # fmt: skip
    for command in commands:
        ran = run_command(*command)
        assert ran.code == 0, ran.err
    with_data = run_command("simulate", run, "--json").document
    shutil.rmtree(data)
    ran = run_command("simulate", tmp_path / "elsewhere" / "run", "--json")
    assert ran.code == 0, ran.err
    assert ran.document["layers"] == with_data["layers"]
    assert run_command("evaluate", tmp_path / "elsewhere" / "run").code == 0


def test_a_run_of_a_model_that_does_not_spike_is_kept_too(workspace: Path, tmp_path: Path) -> None:
    from neurozsl.runs import run as runs
    from neurozsl.training.protocol import TrainConfig

    runs.create(
        tmp_path / "run", data_dir=workspace / "data", model="avca", options={},
        train=TrainConfig(epochs=1, batch=64),
    )  # fmt: skip
    runs.train(tmp_path / "run")
    kept = read_kept(tmp_path / "run")
    assert kept.calibration is None and len(kept.samples["test_seen"].rows) == 8
    packed = pack(tmp_path / "run", tmp_path / "a.zip")
    assert "measured/trained.json" in packed.files


@pytest.mark.parametrize(
    ("model", "options", "policy"),
    [("mdft", {"preset": "paper-wide"}, "dynamic"), ("stft", {}, "closed")],
)
def test_thresholds_that_follow_the_sample_are_kept_bit_for_bit(
    model: str, options: dict[str, Any], policy: Any, data_dir: Path, tmp_path: Path
) -> None:
    data = load(data_dir)
    made = make_model(model, data, options).eval()
    write_kept(tmp_path, data, made)
    found = read_kept(tmp_path).calibration
    assert needed_branch(made).spec().policy == policy and found is not None
    wanted = calibration_of(made, data.stage(2).train, policy).to_numpy()
    assert found.theta is not None and wanted.theta is not None
    assert found.theta.keys() == wanted.theta.keys() != set()
    for name, theta in wanted.theta.items():
        np.testing.assert_array_equal(found.theta[name], theta)
    for name, codes in wanted.codes.items():
        np.testing.assert_array_equal(found.codes[name], codes)
