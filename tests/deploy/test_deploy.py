"""The deployed model: no motion weight on the host, bundles of other runs refused, one report."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.deploy import deploy, samples
from neurozsl.deploy.score import score_backend
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.models.base import needed_branch
from neurozsl.models.motion import SpikingBranch
from neurozsl.report import read_report, write_report
from neurozsl.report.sections import build
from neurozsl.runs import run as runs
from neurozsl.scoring.samples import chip_input, spread
from neurozsl.simulation.simulate import simulate
from neurozsl.training.protocol import TrainConfig


def test_the_deployed_score_needs_no_motion_weight_on_the_host(
    run_dir: Path, lava_bundle: Path
) -> None:
    run = runs.open_run(run_dir)
    expected = deploy.evaluate_run(run, bundle=lava_bundle)
    with torch.no_grad():
        for parameter in needed_branch(run.model).parameters():
            parameter.fill_(float("nan"))
    found = score_backend(run, open_bundle(lava_bundle).backend("emulator")).scores
    for key in ("S", "U", "HM", "ZSL"):
        assert getattr(found, key) == getattr(expected, key)


def test_the_float_bundle_scores_as_the_trained_model(run_dir: Path) -> None:
    run = runs.open_run(run_dir)
    whole = deploy.evaluate_run(run)
    deployed = deploy.evaluate_run(run, bundle=run_dir / "deploy" / "sinabs")
    for key in ("S", "U", "HM", "ZSL"):  # folding BatchNorm rounds: a spike in a million may move
        assert abs(getattr(whole, key) - getattr(deployed, key)) < 2.0, key


def test_zsl_is_at_least_u_for_every_motion_backend(run_dir: Path, lava_bundle: Path) -> None:
    run = runs.open_run(run_dir)
    for name in ("norse", "sinabs", "emulator"):
        scores = deploy.evaluate_run(run, bundle=lava_bundle, backend=name)
        assert scores.ZSL >= scores.U, name
        assert scores.motion_backend == name


def test_a_bundle_with_other_input_codes_is_refused(run_dir: Path, lava_bundle: Path) -> None:
    run = runs.open_run(run_dir)
    branch = needed_branch(run.model)
    assert isinstance(branch, SpikingBranch)
    code = branch.codes["audio"]
    branch.set_code("audio", type(code)(code.size, "graded", 4, False, code.scale * 2))
    with pytest.raises(BadInput, match="input 'audio' is coded as"):
        deploy.evaluate_run(run, bundle=lava_bundle)


def test_golden_inputs_are_test_samples_of_seen_and_unseen_classes(run_dir: Path) -> None:
    run = runs.open_run(run_dir)
    chip = samples.golden_input(run, 16)
    assert chip.batch == 16
    stage = run.data.stage(2)
    first = chip_input(run.model, stage.seen, spread(len(stage.seen), 8))
    assert np.array_equal(chip.codes["video"][:8], first.codes["video"])


def test_the_simulated_chip_names_the_classes_that_the_evaluation_counts(
    lava_bundle: Path, run_dir: Path
) -> None:
    result = simulate(open_bundle(lava_bundle), backend="emulator", limit=96)
    data = runs.open_run(run_dir).data
    assert result.samples == 96
    assert {p.true for p in result.predictions} <= set(data.classes)
    right = sum(p.predicted == p.true for p in result.predictions)
    report = build.build(runs.open_run(run_dir), bundle=lava_bundle)
    counted = sum(c.recall / 100 * c.samples for c in report.classes)
    assert right == pytest.approx(counted, abs=1e-6)


def test_a_bundle_away_from_its_run_is_simulated_on_its_golden_samples(
    lava_bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(lava_bundle, tmp_path / "bundle")
    result = simulate(open_bundle(tmp_path / "bundle"), backend="emulator", limit=3)
    assert result.samples == 3
    assert result.predictions == ()


def test_the_report_counts_what_the_emulator_did(run_dir: Path, lava_bundle: Path) -> None:
    run = runs.open_run(run_dir)
    report = build.build(run, bundle=lava_bundle)
    assert report.host.motion_backend == "emulator"
    assert report.data.synthetic
    assert [layer.name for layer in report.layers] == [
        x.name for x in needed_branch(run.model).spec().layers
    ]
    for layer in report.layers:
        assert layer.neuron_updates == layer.neurons * 10
        assert layer.spikes == pytest.approx(layer.spike_rate * layer.neurons * 10)
        assert 0 < layer.synops <= layer.dense
    total = report.model.parameters
    assert total.total == total.motion + total.host
    expected = deploy.evaluate_run(run, bundle=lava_bundle)
    assert report.accuracy.HM == expected.HM
    loihi = next(e for e in report.energy if e.key == "loihi1")
    synops = sum(layer.synops for layer in report.layers)
    [operations] = [term for term in loihi.terms if term.cause == "synapses"]
    assert operations.joules == pytest.approx(synops * 23.6e-12)
    assert (loihi.joules_low, loihi.interval) == (None, "unpublished")


def test_a_written_report_reads_back_equal(
    run_dir: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    report = build.build(runs.open_run(run_dir), bundle=lava_bundle)
    write_report(report, tmp_path / "r.html", plot_folder=tmp_path / "plots")
    assert read_report(tmp_path / "r.json") == report
    names = {path.stem for path in (tmp_path / "plots").iterdir()}
    told = {"deployment", "raster", "spike_rate", "activity", "energy", "cores", "confusion"}
    assert told <= names


def test_a_model_without_motion_is_profiled_but_not_exported(run_dir: Path, tmp_path: Path) -> None:
    data_dir = run_dir.parent / "data"
    runs.create(
        tmp_path / "static",
        data_dir=data_dir,
        model="mdft",
        options={"motion": False, "embed": 16, "hidden": 32},
        train=TrainConfig(epochs=1),
    )
    run = runs.train(tmp_path / "static")
    report = build.build(run)
    assert report.layers == ()
    assert report.host.flops is not None and report.host.flops > 0
    with pytest.raises(BadInput, match="no spiking branch"):
        deploy.deploy(run, target="lava")
