"""Anytime inference of a run: scores, counts as used, and the margin that validation chooses."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.deploy import deploy
from neurozsl.deploy.anytime import chosen_rule, evaluate_anytime, rules, walk_every_step
from neurozsl.deploy.motion import motion
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.targets import lava as lava_target
from neurozsl.hardware.count.counts import count
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.scoring.anytime import NEVER, Stopping
from neurozsl.simulation.simulate import simulate
from neurozsl.training.protocol import TrainConfig


@pytest.fixture(name="run")
def _run(run_dir: Path) -> Run:
    return runs.open_run(run_dir)


def test_without_a_stop_a_deployment_scores_and_counts_as_it_does_otherwise(
    run: Run, lava_bundle: Path
) -> None:
    found = evaluate_anytime(run, [NEVER, 0.0], bundle=lava_bundle)
    assert replace(found, anytime=()) == deploy.evaluate_run(run, bundle=lava_bundle)
    never, first = found.anytime
    assert never.threshold is None and never.mean_steps == never.steps == 10
    assert (never.S, never.U, never.HM, never.ZSL) == (found.S, found.U, found.HM, found.ZSL)
    assert never.synops == never.full_synops and (never.saved, never.loss) == (0, 0)
    assert first.stopped == (96, *[0] * 9) and first.mean_steps == 1
    assert first.neuron_updates == pytest.approx(never.neuron_updates / 10)
    assert 0 < first.synops < never.synops and first.full_HM == found.HM


def test_the_own_branch_is_stopped_as_it_is_evaluated(run: Run) -> None:
    found = evaluate_anytime(run, [NEVER])
    assert replace(found, anytime=()) == deploy.evaluate_run(run)
    assert found.anytime[0].HM == found.HM and found.motion_backend == "norse"


def test_operations_are_those_of_samples_that_are_cut_short_one_by_one(
    run: Run, lava_bundle: Path
) -> None:
    bundle = open_bundle(lava_bundle)
    branch = motion(run, bundle)
    assert branch is not None and bundle.program is not None and branch.run is not None
    tested = walk_every_step(run, branch, branch.run)
    [rule] = rules(run, [0.03], "fixed")
    steps = tested.steps(rule.stopping)
    assert 3 < len(set(steps.tolist()))
    synops, updates = [], []
    for sample, t in enumerate(steps):
        short = tested.chip_input.take(slice(sample, sample + 1)).first_steps(int(t))
        counts = count(bundle.program, short, branch.run(short))  # a run that ends there
        synops.append(counts.total("synops"))
        updates.append(counts.total("neuron_updates"))
    score = tested.score(rule, tested.full())
    assert score.synops == pytest.approx(np.mean(synops))
    assert score.neuron_updates == pytest.approx(np.mean(updates))
    assert score.mean_steps == steps.mean()
    assert score.stopped == tuple(int((steps == t).sum()) for t in range(1, 11))
    # The emulator, told when to stop, gives the same spikes.
    told = branch.run(tested.chip_input.stopped(steps))
    cut = tested.trace.stopped(steps)
    assert all(np.array_equal(told.spikes[name], cut.spikes[name]) for name in cut.spikes)


def test_the_margin_comes_from_the_model_that_never_saw_the_validation_classes(run: Run) -> None:
    rule = chosen_rule(run, "fixed")
    assert rule.validated is not None
    # The model of stage 1, as it was when it was chosen.
    assert rule.validated.full_HM == pytest.approx(run.selected.val_hm)
    assert rule.validated.full_HM - rule.validated.HM <= rule.validated.max_loss == 0.5
    free = chosen_rule(run, "fixed", max_loss=100)
    assert free.stopping == Stopping(0.0) and free.validated is not None
    assert free.validated.steps == 1
    again, given = rules(run, ["auto", 0.2], "fixed")
    assert (again, given.stopping, given.validated) == (rule, Stopping(0.2), None)


def test_without_the_model_of_stage_1_auto_is_refused_and_a_number_is_not(
    run_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("stage1"))
    run = replace(runs.open_run(run_dir), path=tmp_path / "run")
    with pytest.raises(BadInput, match=r"stage1/best.safetensors is missing.*--margin auto"):
        rules(run, ["auto"], "fixed")
    assert rules(run, [0.1], "fixed")[0].stopping.threshold == 0.1


@pytest.mark.slow
def test_dynamic_thresholds_are_stopped_as_they_are_and_as_they_are_frozen(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lava_target, "locate", lambda: None)  # no oracle is asked
    runs.create(
        tmp_path / "run",
        data_dir=data_dir,
        model="mdft",
        options={"motion_widths": [32, 16, 16], "embed": 16, "hidden": 32, "threshold": "dynamic"},
        train=TrainConfig(epochs=4, batch=16),
    )
    run = runs.train(tmp_path / "run")
    for policy in ("frozen", "table", "dynamic"):
        out = tmp_path / policy
        deploy.deploy(run, target="lava", out=out, threshold=policy, max_hm_drop=100)
        found = evaluate_anytime(run, ["auto", NEVER], bundle=out)
        assert found.policy == policy and found.anytime[1].HM == found.HM
        assert found.anytime[0].validated is not None


def test_a_model_that_does_not_spike_has_no_steps_to_stop(data_dir: Path, tmp_path: Path) -> None:
    runs.create(
        tmp_path / "run",
        data_dir=data_dir,
        model="mdft",
        options={"motion": False, "embed": 16, "hidden": 32},
        train=TrainConfig(epochs=1, batch=16),
    )
    with pytest.raises(BadInput, match="nothing spikes, so there are no steps of a chip to stop"):
        evaluate_anytime(runs.train(tmp_path / "run"), [0.1])


def test_simulated_samples_stop_and_their_spikes_end(run: Run, lava_bundle: Path) -> None:
    bundle = open_bundle(lava_bundle)
    whole = simulate(bundle, backend="emulator", limit=12)
    found = simulate(bundle, backend="emulator", limit=12, margin=0.03)
    never = simulate(bundle, backend="emulator", limit=12, margin=NEVER)
    assert [p.predicted for p in never.predictions] == [p.predicted for p in whole.predictions]
    assert {p.steps for p in never.predictions} == {10}
    steps = [p.steps or 0 for p in found.predictions]
    assert min(steps) < 10 and found.margin == 0.03 and whole.margin is None
    for name, spikes in found.trace.spikes.items():
        for sample, t in enumerate(steps):
            assert np.array_equal(spikes[sample, :t], whole.trace.spikes[name][sample, :t])
            assert not spikes[sample, t:].any()
        places = spikes.shape[2] * sum(steps)
        assert found.rates[name] == pytest.approx(spikes.sum() / places)
    assert whole.rates == whole.trace.rates()
    assert "steps" not in whole.as_json()["predictions"][0] and "margin" not in whole.as_json()
    assert found.as_json()["predictions"][0]["steps"] == steps[0]
    assert never.as_json()["margin"] is None


def test_a_bundle_without_its_run_cannot_be_stopped(lava_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(lava_bundle, tmp_path / "deep" / "er" / "lava")
    with pytest.raises(BadInput, match="lies in no run, so no host finishes its samples"):
        simulate(open_bundle(tmp_path / "deep" / "er" / "lava"), backend="emulator", margin=0.1)
