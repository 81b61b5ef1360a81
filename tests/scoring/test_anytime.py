"""Anytime inference against samples that are cut short by hand, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, MotionBackend, Trace
from neurozsl.data.batch import AVBatch, Split, Stage
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.norse.branch import run_norse
from neurozsl.models import mdft, mdstpp, stft
from neurozsl.models.base import ZSLModel, distances, needed_branch
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.scoring import metrics, road
from neurozsl.scoring.anytime import NEVER, EveryStep, Finisher, Stopping, choose_stopping, margin
from neurozsl.scoring.evaluation import Collected, evaluate, walk
from neurozsl.scoring.metrics import Problem
from tests.factories import batches
from tests.toys.model import spiking

STEPS, SAMPLES = 6, 9
VECTORS = np.random.default_rng(1).normal(size=(3, 300)).astype(np.float32)
PROBLEM = Problem(np.arange(SAMPLES) % 3, np.array([0, 1]), np.array([2]))


# ---------------------------------------------------------------- when a sample stops


def test_the_margin_is_the_gap_of_the_two_best_calibrated_distances_as_a_share_of_the_second() -> (
    None
):
    problem = Problem(np.array([0]), np.array([0, 1]), np.array([2]))
    # Calibrated by beta 1: 2.0, 5.0 and 2.5; class 3 cannot be predicted.
    found = margin(np.array([[1.0, 4.0, 2.5, 0.1]]), problem, 1.0)
    assert found == pytest.approx([(2.5 - 2.0) / 2.5])
    assert margin(np.zeros((1, 4)), problem, 0.0).tolist() == [0.0]


def test_a_sample_stops_at_the_first_margin_that_reaches_the_threshold() -> None:
    margins = np.array([[0.5, 0.1, 0.2, 0.1], [0.1, 0.3, 0.2, 0.1], [0.9, 0.9, 0.2, 0.4]])
    last = np.array([3, 3, 3, 2])
    assert Stopping(0.3).steps(margins, last).tolist() == [1, 2, 3, 2]
    assert Stopping(0.3, min_steps=2).steps(margins, last).tolist() == [3, 2, 3, 2]
    assert Stopping(0.0).steps(margins, last).tolist() == [1, 1, 1, 1]
    assert Stopping(0.0, min_steps=3).steps(margins, last).tolist() == [3, 3, 3, 2]
    assert Stopping(NEVER).steps(margins, last).tolist() == last.tolist()


@pytest.mark.parametrize("threshold", [-0.1, float("nan")])
def test_a_margin_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(BadInput, match="expected 0 or more"):
        Stopping(threshold)


# ---------------------------------------------------------------- every model, cut by hand

LITTLE: dict[str, Any] = {"embed": 16, "hidden": 24, "proj": 8, "heads": 2, "head_width": 4}
SPIKING: dict[str, Any] = {**LITTLE, "motion_widths": [20, 16], "theta": 0.3, "steps": STEPS}
CONVOLVING: dict[str, Any] = {
    **LITTLE,
    "feed_hidden": 16,
    "channels": [3, 2],
    "strides": [1, 2],
    "tucker_width": 5,
    "rank": 3,
    "theta": 0.3,
    "steps": STEPS,
}
MODELS: dict[str, Callable[..., ZSLModel]] = {
    "mdft": lambda **o: mdft.build(**{**SPIKING, **o}),
    "mdft, rate codes": lambda **o: mdft.build(
        **{**SPIKING, "audio_code": "rate", "video_code": "on_off", **o}
    ),
    "mdft, dynamic": lambda **o: mdft.build(**{**SPIKING, "threshold": "dynamic", **o}),
    "mdft, two heads": lambda **o: mdft.build(**{**SPIKING, "preset": "deploy", **o}),
    "mdst++": lambda **o: mdstpp.build(**{**SPIKING, "stages": 2, **o}),
    "stft, fixed": lambda **o: stft.build(**{**CONVOLVING, "threshold": "fixed", **o}),
    "stft, closed loop": lambda **o: stft.build(**{**CONVOLVING, "threshold": "dynamic", **o}),
    "stft, change": lambda **o: stft.build(
        **{**CONVOLVING, "threshold": "fixed", "snn_input": "change", **o}
    ),
}


def made(name: str, *, encode: str = "sequence") -> ZSLModel:
    torch.manual_seed(0)
    model = MODELS[name](audio_dim=10, video_dim=14, encode=encode)
    model.calibrate(batches.batch(steps=STEPS if encode == "sequence" else 1))
    return model.to(torch.float64).eval()


def split_of(batch: AVBatch, mask: Any = None) -> Split:
    real = batch.mask.numpy() if mask is None else mask
    names = tuple(f"s{i}" for i in range(len(batch)))
    arrays = (batch.audio.numpy(), batch.video.numpy(), batch.label.numpy())
    return Split("test", *arrays, real, names)


def padded() -> Split:
    """Samples of 6, 4 and 2 real steps."""
    mask = np.ones((SAMPLES, STEPS), np.bool_)
    mask[1::3, 4:] = False
    mask[2::3, 2:] = False
    return split_of(batches.batch(SAMPLES, STEPS), mask)


def every_step(
    model: ZSLModel, split: Split, *, backend: MotionBackend | None = None, **more: Any
) -> EveryStep:
    policy = needed_branch(model).spec().policy
    how = {"head_weight": 0.5, "policy": policy, "own": backend is None, **more}
    host, rows = Finisher.of(model, VECTORS, **how), np.arange(len(split))
    with road.at_rest(model):
        parts = road.prepare(model, split, rows)
        return host.every_step(split, rows, parts, road.trace_of(model, parts, backend))


def cut_by_hand(model: ZSLModel, split: Split, sample: int, t: int) -> Any:
    """Distances of one sample whose clip ends after t steps; what follows is other data."""
    noise = np.random.default_rng(sample)
    one = split.batch(np.array([sample]))
    mask = one.mask.clone()
    mask[:, t:] = False
    audio, video = one.audio.clone(), one.video.clone()
    audio[:, t:] = torch.from_numpy(noise.random(audio[:, t:].shape, np.float32)) * 9
    video[:, t:] = torch.from_numpy(noise.random(video[:, t:].shape, np.float32)) * 9
    with road.at_rest(model):
        batch = road.cast(replace(one, audio=audio, video=video, mask=mask), torch.float64)
        prepared = model.prepare(batch)
        assert prepared.chip_input is not None
        short = prepared.chip_input.first_steps(t)  # a chip that runs t steps and no more
        spikes = needed_branch(model)(short, mask[:, :t]).spikes
        whole = {k: torch.zeros(1, STEPS, v.shape[2]).double() for k, v in spikes.items()}
        for name, found in spikes.items():
            whole[name][:, :t] = found
        output = model.finish(Trace(whole), prepared.context)
        heads = distances(output, road.words(model, VECTORS)).numpy()
    return Collected(heads, PROBLEM).combined(0.5)[0]


@pytest.mark.parametrize("name", MODELS)
def test_after_every_step_the_host_says_what_it_says_of_a_clip_that_ends_there(name: str) -> None:
    model, split = made(name), padded()
    found = every_step(model, split)
    assert found.last.tolist() == [6, 4, 2] * 3
    for sample in range(0, SAMPLES, 2):
        for t in range(1, int(found.last[sample]) + 1):
            slow = cut_by_hand(model, split, sample, t)
            assert found.distance[t - 1, sample] == pytest.approx(slow, rel=1e-9), (sample, t)
    assert not np.array_equal(found.distance[0], found.distance[-1])


@pytest.mark.parametrize("name", MODELS)
def test_stopping_follows_the_margins_of_clips_cut_by_hand(name: str) -> None:
    model, split, beta = made(name), padded(), 0.1
    found = every_step(model, split)
    margins = found.margins(PROBLEM, beta)
    threshold = float(np.median(margins[:2]))
    steps = found.stopped(Stopping(threshold), PROBLEM, beta)
    for sample in range(SAMPLES):
        for t in range(1, int(found.last[sample]) + 1):
            distance = cut_by_hand(model, split, sample, t)[None]
            if margin(distance, PROBLEM, beta)[0] >= threshold - 1e-12:
                break
        assert steps[sample] == t
        assert found.distance_at(steps)[sample] == pytest.approx(distance[0], rel=1e-9)
    assert len(set(steps.tolist())) > 1


REPEATED = [name for name in MODELS if name != "mdst++"]  # the lengths of its stages follow T


@pytest.mark.parametrize("name", REPEATED)
def test_averaged_features_that_are_shown_again_and_again_can_be_stopped(name: str) -> None:
    model = made(name, encode="repeat")
    split = split_of(batches.batch(SAMPLES, 1))
    found = every_step(model, split)
    assert found.distance.shape == (STEPS, SAMPLES, 3) and found.last.tolist() == [STEPS] * SAMPLES
    rows = np.arange(SAMPLES)
    for t in (1, 3):  # the model of t steps is the one that stops after t
        with road.at_rest(model):
            short = {k: v for k, v in model.options().items() if k not in ("codes", "thetas")}
            other = MODELS[name](**{**short, "steps": t})
            other.load_state_dict(model.state_dict())
            other = other.to(torch.float64).eval()
            codes = getattr(needed_branch(model), "codes")  # noqa: B009
            for key, code in codes.items():
                getattr(needed_branch(other), "set_code")(key, code)  # noqa: B009
            parts = road.prepare(other, split, rows)
            output = road.finish(other, parts, road.trace_of(other, parts))
            heads = distances(output, road.words(other, VECTORS)).numpy()
        wanted = Collected(heads, PROBLEM).combined(0.5)
        np.testing.assert_allclose(found.distance[t - 1], wanted, rtol=1e-9)


def test_stages_of_fewer_steps_on_the_host_can_be_stopped_too() -> None:
    found = every_step(made("mdst++", encode="repeat"), split_of(batches.batch(SAMPLES, 1)))
    assert found.distance.shape == (STEPS, SAMPLES, 3)
    assert not np.array_equal(found.distance[0], found.distance[-1])


def test_thresholds_that_look_ahead_are_refused_with_the_remedy() -> None:
    model = made("mdft, dynamic")
    prepare = model.prepare

    def ahead(batch: AVBatch) -> Any:
        made = prepare(batch)
        assert made.chip_input is not None and made.chip_input.theta is not None
        # Normalised over the whole clip: no threshold is known before its end.
        mean = {k: v / v.mean(1, keepdim=True) for k, v in made.chip_input.theta.items()}
        return made._replace(chip_input=replace(made.chip_input, theta=mean))

    model.prepare = ahead  # type: ignore[method-assign]
    with pytest.raises(BadInput, match=r"thresholds of layer 'audio.0'.*--threshold frozen"):
        every_step(model, padded())
    # A chip with constants does not read them.
    spec = replace(needed_branch(model).spec(), policy="frozen")
    backend = partial(run_norse, spec)
    found = every_step(model, padded(), backend=backend, policy="frozen")
    assert found.distance.shape == (STEPS, SAMPLES, 3)


def test_codes_that_look_ahead_are_refused() -> None:
    model = made("mdft")
    prepare = model.prepare

    def ahead(batch: AVBatch) -> Any:
        made = prepare(batch)
        assert made.chip_input is not None
        codes = {k: v.flip(1) for k, v in made.chip_input.codes.items()}
        return made._replace(chip_input=replace(made.chip_input, codes=codes))

    model.prepare = ahead  # type: ignore[method-assign]
    with pytest.raises(BadInput, match="codes of input 'audio' in the first 1 steps depend"):
        every_step(model, padded())


def test_a_branch_that_looks_ahead_is_refused() -> None:
    model = made("mdft")
    branch: Any = needed_branch(model)
    whole = branch.forward

    def ahead(chip_input: ChipInput, mask: Any = None) -> Trace:
        trace = whole(chip_input, mask)
        summed = {k: v.amax(1, keepdim=True).expand_as(v) for k, v in trace.spikes.items()}
        return Trace(summed)

    branch.forward = ahead
    with pytest.raises(BadInput, match=r"spikes of layer .* depend on later ones"):
        every_step(model, padded())


def test_a_model_that_knows_no_stop_is_refused() -> None:
    model = spiking(audio_dim=10, video_dim=14, steps=STEPS)
    with pytest.raises(BadInput, match=r"'Spiking' does not end its mask.*as_steps"):
        every_step(model, padded())


# ---------------------------------------------------------------- a trained run


@pytest.fixture(name="run")
def _run(run_dir: Path) -> Run:
    return runs.open_run(run_dir)


def padded_stage(run: Run, number: Any = 2) -> Stage:
    """The test, every second sample three steps shorter, every fifth seven."""
    stage = run.data.stage(number)

    def shorter(split: Split) -> Split:
        mask = split.mask.copy()
        mask[::2, -3:] = False
        mask[::5, -7:] = False
        return replace(split, mask=mask)

    return replace(stage, seen=shorter(stage.seen), unseen=shorter(stage.unseen))


@pytest.mark.parametrize("where", ["own", "emulator"])
def test_without_a_stop_the_scores_are_those_of_the_normal_evaluation(
    run: Run, lava_bundle: Path, where: str
) -> None:
    stage, chosen = padded_stage(run), run.selected
    backend = None if where == "own" else open_bundle(lava_bundle).backend("emulator")
    host = Finisher.of(
        run.model,
        run.data.vectors,
        head_weight=chosen.head_weight,
        policy="fixed",
        own=backend is None,
    )
    [(collected, kept)] = walk(
        run.model, stage, run.data.vectors, {"": backend}, keep=host.keep(stage), batch=20
    ).values()
    found, problem = EveryStep.join(kept), collected.problem
    steps = found.stopped(Stopping(NEVER), problem, chosen.beta)
    assert sorted(set(steps.tolist())) == [3, 7, 10]
    assert np.array_equal(found.distance_at(steps), collected.combined(chosen.head_weight))
    settings = {"beta": chosen.beta, "head_weight": chosen.head_weight}
    assert evaluate(found.at(steps, problem), **settings) == evaluate(collected, **settings)
    first = found.stopped(Stopping(0.0, min_steps=4), problem, chosen.beta)
    assert sorted(set(first.tolist())) == [3, 4]


def test_the_chosen_rule_takes_the_fewest_steps_of_those_that_lose_little(run: Run) -> None:
    stage, chosen = run.data.stage(1), run.selected
    host = Finisher.of(
        run.model, run.data.vectors, head_weight=chosen.head_weight, policy="fixed", own=True
    )
    [(collected, kept)] = walk(
        run.model, stage, run.data.vectors, {"": None}, keep=host.keep(stage)
    ).values()
    found, problem = EveryStep.join(kept), collected.problem

    def slow(stopping: Stopping) -> tuple[float, float]:
        distance, steps = [], []
        for sample in range(len(problem.label)):
            for t in range(10):
                here = found.distance[t, sample][None]
                reached = margin(here, problem, chosen.beta)[0] >= stopping.threshold
                if reached and t + 1 >= stopping.min_steps:
                    break
            distance.append(here[0])
            steps.append(t + 1)
        return metrics.score(np.array(distance), problem, chosen.beta).HM, float(np.mean(steps))

    full, _ = slow(Stopping(NEVER))
    margins = found.margins(problem, chosen.beta)[:-1]
    tried = [
        slow(Stopping(float(threshold), first))
        for threshold in np.quantile(margins, np.linspace(0, 1, 64))[::9]
        for first in (1, 4, 7)
    ]
    for max_loss in (0.0, 2.0, 100.0):
        rule, basis = choose_stopping(found, problem, chosen.beta, max_loss=max_loss)
        hm, steps = slow(rule)
        assert basis.HM == pytest.approx(hm) and basis.steps == pytest.approx(steps)
        assert basis.full_HM == pytest.approx(full) and full - hm <= max_loss == basis.max_loss
        assert all(full - x > max_loss or s >= steps - 1e-9 for x, s in tried)
    assert rule == Stopping(0.0) and basis.steps == 1.0
