"""Fine-tuned runs: start, control, going on after a kill, integers deployed as trained."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.deploy import deploy, finetune
from neurozsl.deploy.samples import training_spikes
from neurozsl.deploy.score import score_backend
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.targets import lava as lava_target
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program
from neurozsl.models.base import needed_branch
from neurozsl.models.motion import SpikingBranch
from neurozsl.runs import run as runs
from neurozsl.scoring import samples
from neurozsl.training import checkpoint
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.qat import Rounding
from tests.factories import runs as run_folders
from tests.factories.datasets import small_set

FINE = TrainConfig(epochs=2, lr=1e-3, batch=16)
SCORES = ("S", "U", "HM", "ZSL")


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with dynamic thresholds."""
    folder = tmp_path_factory.mktemp("finetune")
    small_set(folder / "data")
    torch.set_num_threads(1)
    runs.create(
        folder / "run",
        data_dir=folder / "data",
        model="mdft",
        options={"motion_widths": [32, 16, 16], "embed": 16, "hidden": 32, "threshold": "dynamic"},
        train=TrainConfig(epochs=4, batch=16),
    )
    runs.train(folder / "run")
    return folder / "run"


def tuned(parent: Path, out: Path, rounding: Rounding | None) -> runs.Run:
    opened = runs.open_run(parent)
    return runs.train(finetune.create(opened, rounding=rounding, train=FINE, out=out))


@pytest.fixture(scope="module")
def eight(parent: Path) -> runs.Run:
    """The run fine-tuned in 8 bits, beside its parent."""
    return tuned(parent, parent.with_name("run-qat8"), Rounding())


def test_the_start_is_the_parent_with_folded_norms_and_mean_thresholds(parent: Path) -> None:
    run = runs.open_run(parent)
    model = finetune.frozen_model(run)
    before, after = needed_branch(run.model).spec(), needed_branch(model).spec()
    assert (before.policy, after.policy) == ("dynamic", "frozen")
    stage = run.data.stage(2).train
    rows = samples.spread(len(stage), samples.CALIBRATION_ROWS)
    theta = samples.chip_input(run.model, stage, rows).theta
    assert theta is not None
    for old, new in zip(before.layers, after.layers, strict=True):
        assert np.array_equal(old.weight, new.weight) and np.array_equal(old.bias, new.bias)
        assert (new.threshold == np.float32(np.mean(theta[new.name]))).all()
    branch = needed_branch(model)
    assert isinstance(branch, SpikingBranch)
    assert all(layer.norm is None for layer in branch.named_layers().values())
    batch = stage.batch(rows[:8])
    with torch.no_grad():  # everything but the thresholds is the same model
        old_audio = run.model.prepare(batch).context.audio
        assert torch.equal(old_audio, model.prepare(batch).context.audio)


def test_fine_tuning_keeps_scores_before_and_what_stage_one_chose(
    parent: Path, eight: runs.Run
) -> None:
    first = runs.open_run(parent)
    assert [(s["step"], s["policy"]) for s in eight.result["before"]] == [
        ("trained", "dynamic"),
        ("frozen", "frozen"),
        ("fixed-point", "frozen"),
    ]
    assert eight.result["before"][0]["HM"] == first.result["test"]["HM"]
    assert eight.selected == first.selected
    start, _ = checkpoint.read(eight.path / "start.safetensors")
    end, _ = checkpoint.read(eight.path / "model.safetensors")
    moved = [k for k, v in start.items() if not torch.equal(v, end[k])]
    assert {k for k in start if "branch" in k} <= set(moved)
    lines = [json.loads(x) for x in (eight.path / "log.jsonl").read_text().splitlines()]
    assert [(x["stage"], x["epoch"]) for x in lines] == [(3, 1), (3, 2)]


def test_an_opened_run_scores_with_its_integers(eight: runs.Run) -> None:
    opened = runs.open_run(eight.path)
    scores = deploy.evaluate_run(opened)
    assert scores.motion_backend == "emulator" and scores.policy == "frozen"
    assert opened.program is not None
    program = opened.program
    by_hand = score_backend(opened, lambda chip: emulate(program, chip)).scores
    for key in SCORES:
        assert getattr(scores, key) == eight.result["test"][key] == getattr(by_hand, key)


@pytest.mark.slow
def test_the_control_trains_as_long_without_rounding(parent: Path, tmp_path: Path) -> None:
    control = tuned(parent, tmp_path / "control", None)
    again = tuned(parent, tmp_path / "again", None)
    branch = needed_branch(control.model)
    assert control.program is None
    assert isinstance(branch, SpikingBranch) and branch.override is None
    assert not (control.path / "program.npz").exists()
    assert deploy.evaluate_run(control).motion_backend == "norse"
    assert control.result["test"] == again.result["test"]
    first, second = (checkpoint.read(r.path / "model.safetensors")[0] for r in (control, again))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert [s["step"] for s in control.result["before"]] == ["trained", "frozen"]


@pytest.mark.slow
def test_a_fine_tuning_killed_in_the_middle_ends_with_the_same_integers(
    parent: Path, eight: runs.Run, tmp_path: Path
) -> None:
    path = finetune.create(
        runs.open_run(parent), rounding=Rounding(), train=FINE, out=tmp_path / "killed"
    )
    command = [sys.executable, "-m", "neurozsl", "train", "--resume", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (path / "stage3" / "last.safetensors").exists():
        assert process.poll() is None, "fine-tuning ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (path / "result.json").exists()
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    resumed = json.loads((path / "result.json").read_text())
    assert resumed == json.loads((eight.path / "result.json").read_text())
    first, second = (runs.open_run(p).program for p in (path, eight.path))
    assert first is not None and second is not None
    for a, b in zip(first.layers, second.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and (a.vth, a.unit) == (b.vth, b.unit)


@pytest.mark.lava
def test_after_fine_tuning_training_emulator_and_lava_agree_in_every_bit(
    eight: runs.Run, tmp_path: Path, lava_python: Path
) -> None:
    out = tmp_path / "lava"
    manifest = deploy.deploy(runs.open_run(eight.path), target="lava", out=out)
    assert (manifest.verdict, manifest.trained_forward) == ("PASS", "integers")
    assert manifest.losses == ()
    bundle = open_bundle(out)
    found = bundle.verify()
    assert found.verdict == "PASS"
    for check in ("training_vs_emulator", "training_vs_lava", "emulator_vs_lava_fixed"):
        assert [row.differing for row in found.checks[check]] == [0] * 6, check
        assert found.samples == 16
    assert {"norse_vs_lava_float", "norse_vs_sinabs", "emulator_vs_norse"} <= set(found.checks)
    steps = [(s.step, s.policy, s.backend) for s in manifest.steps]
    assert steps == [
        ("trained", "dynamic", "norse"),
        ("frozen", "frozen", "norse"),
        ("fixed-point", "frozen", "emulator"),
        ("after QAT", "frozen", "emulator"),
        ("after QAT, deployed", "frozen", "emulator"),
    ]
    assert manifest.steps[3].HM == manifest.steps[4].HM == eight.result["test"]["HM"]
    # Trained in these integers: they spike as often in both steps, and are counted once.
    counted = manifest.steps[4].operations
    assert counted is not None and counted.spikes > 0
    assert manifest.steps[3].operations == counted


@pytest.fixture(name="no_lava")
def _no_lava(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_target, "locate", lambda: None)


@pytest.mark.usefixtures("no_lava")
def test_a_bundle_ships_the_trained_integers_and_their_training_spikes(
    eight: runs.Run, tmp_path: Path
) -> None:
    deploy.deploy(eight, target="lava", out=tmp_path / "lava")
    bundle = open_bundle(tmp_path / "lava")
    assert bundle.manifest.verdict == "UNVERIFIED"
    assert isinstance(bundle.program, Program) and eight.program is not None
    for a, b in zip(bundle.program.layers, eight.program.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and a.vth == b.vth
    assert bundle.trained_trace is not None
    trained = training_spikes(eight, bundle.golden)
    for name, spikes in trained.spikes.items():
        assert np.array_equal(spikes, bundle.trained_trace.spikes[name])
    scores = deploy.evaluate_run(eight, bundle=tmp_path / "lava")
    assert all(getattr(scores, k) == eight.result["test"][k] for k in SCORES)


@pytest.mark.usefixtures("no_lava")
def test_one_changed_training_bit_fails_the_verification(eight: runs.Run, tmp_path: Path) -> None:
    deploy.deploy(eight, target="lava", out=tmp_path / "lava")
    bundle = open_bundle(tmp_path / "lava")
    assert bundle.trained_trace is not None
    bundle.trained_trace.spikes["audio.1"][3, 4, 5] ^= 1
    found = bundle.verify()
    assert found.verdict == "FAIL"
    assert found.reasons == (
        "training_vs_emulator: layer 'audio.1' differs in 1 bits, first at step 4",
    )


def test_float_targets_get_the_float_twin_of_the_integers(eight: runs.Run, tmp_path: Path) -> None:
    manifest = deploy.deploy(eight, target="nir", out=tmp_path / "nir")
    rows = manifest.verification["backends"]["training_vs_floatsim"]["layers"]
    assert all(row["agree"] > 0.999 for row in rows)
    lossless = all(row["agree"] == 1.0 for row in rows)
    assert manifest.verdict == ("PASS" if lossless else "PASS-WITH-LOSS")


@pytest.mark.usefixtures("no_lava")
def test_the_parents_export_lists_dynamic_frozen_fixed_and_its_fine_tuned_neighbour(
    parent: Path, eight: runs.Run, tmp_path: Path
) -> None:
    run = runs.open_run(parent)
    frozen = deploy.deploy(
        run, target="lava", out=tmp_path / "a", threshold="frozen", max_hm_drop=100
    )
    assert [s.step for s in frozen.steps] == ["trained", "frozen", "fixed-point", "after QAT"]
    assert frozen.steps[3].HM == eight.result["test"]["HM"]
    assert frozen.steps[2].HM == eight.result["before"][2]["HM"]
    dynamic = deploy.deploy(run, target="lava", out=tmp_path / "b", bits=7, max_hm_drop=100)
    assert [(s.step, s.policy) for s in dynamic.steps] == [
        ("trained", "dynamic"),
        ("frozen", "frozen"),
        ("fixed-point", "frozen"),
        ("fixed-point, dynamic", "dynamic"),
    ]  # no neighbour has 7 bits


@pytest.mark.usefixtures("no_lava")
def test_calibration_and_bias_correction_reach_the_manifest(parent: Path, tmp_path: Path) -> None:
    run = runs.open_run(parent)
    options: dict[str, Any] = {"target": "lava", "threshold": "frozen", "max_hm_drop": 100}
    plain = deploy.deploy(run, out=tmp_path / "a", bits=4, **options)
    made = deploy.deploy(run, out=tmp_path / "b", bits=4, scale="mse", correct_bias=True, **options)
    assert (plain.calibration, plain.bias_correction) == ("max", False)
    assert (made.calibration, made.bias_correction) == ("mse", True)
    for before, after in zip(plain.quantisation, made.quantisation, strict=True):
        assert before["weight_clipped"] == 0 and before["bias_correction"] == 0
        assert after["bias_correction"] > 0
        assert after["weight_rms_error"] <= before["weight_rms_error"]
    assert sum(row["weight_clipped"] for row in made.quantisation) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 4}, "trained in 8-bit integers .* asked for 4 bits"),
        ({"scale": "mse"}, "asked for 8 bits, scale mse"),
        ({"correct_bias": True}, "bias correction True"),
    ],
)
def test_trained_integers_are_not_rounded_again(
    options: dict[str, Any], message: str, eight: runs.Run, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        deploy.deploy(eight, target="lava", out=tmp_path / "lava", **options)
    assert list(tmp_path.iterdir()) == []


def test_integers_of_another_chip_are_refused_by_a_target(eight: runs.Run, tmp_path: Path) -> None:
    assert eight.program is not None
    run = replace(eight, program=replace(eight.program, chip="loihi1"))
    with pytest.raises(BadInput, match="in the integers of loihi1, the target is loihi2"):
        deploy.deploy(run, target="lava", out=tmp_path / "lava")


def test_a_folder_with_another_fine_tuning_is_refused_and_the_same_is_continued(
    parent: Path, eight: runs.Run
) -> None:
    run = runs.open_run(parent)
    assert finetune.create(run, rounding=Rounding(), train=FINE) == eight.path
    with pytest.raises(BadInput, match="exists with other settings"):
        finetune.create(run, rounding=Rounding(scale="mse"), train=FINE)
    with pytest.raises(BadInput, match="was fine-tuned itself"):
        finetune.create(eight, rounding=Rounding(), train=FINE)


def test_integers_that_the_weights_no_longer_give_are_noticed(
    eight: runs.Run, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(eight.path, copy, ignore=shutil.ignore_patterns("deploy"))
    settings = json.loads((copy / "run.json").read_text())
    settings["data"] = str((eight.path / settings["data"]).resolve())
    (copy / "run.json").write_text(json.dumps(settings))
    assert runs.open_run(copy).program is not None
    tensors, meta = checkpoint.read(copy / "model.safetensors")
    tensors["model/branch.pathways.audio.0.linear.weight"][0, 0] += 1.0
    checkpoint.write(copy / "model.safetensors", tensors, meta)
    run_folders.sealed_again(copy)
    with pytest.raises(BadInput, match=r"no longer round to the integers in program\.npz"):
        runs.open_run(copy)


def test_the_command_refuses_what_it_cannot_do(parent: Path) -> None:
    from typer.testing import CliRunner

    from neurozsl.cli import app

    elsewhere = ["--out", str(parent.with_name("speck"))]
    cases = (
        (["--qat", "loihi2"], "--resume RUN"),
        (["--resume", str(parent), "--qat", "loihi2", "--threshold", "table"], "use frozen"),
        (["--resume", str(parent), "--qat", "speck2f", *elsewhere], "cannot run on speck2f"),
    )
    for arguments, message in cases:
        result = CliRunner().invoke(app, ["train", *arguments])
        assert isinstance(result.exception, BadInput), arguments
        assert message in str(result.exception)
    assert not parent.with_name("speck").exists()
