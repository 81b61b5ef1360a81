"""Neurons trained for a chip without a clock: held against loops, draws and the real order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurozsl.classifier import run as classifiers
from neurozsl.classifier.augment import Augment
from neurozsl.classifier.crossings import RULE, counted
from neurozsl.classifier.learner import StackLearner, TwinLearner
from neurozsl.classifier.recipe import Recipe
from neurozsl.classifier.settings import read_settings
from neurozsl.classifier.source import source_of
from neurozsl.classifier.twin import Twin
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.data.events.recordings.build import EventGrid, write_event_set
from neurozsl.export.nir import nirfile
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import lower
from neurozsl.norse import cells
from neurozsl.training.qat import Rounding
from tests.factories.event_sets import recordings

CODE = InputCode(72, "binary", 1, False, 1.0)
STEPS = 7


def _iaf(theta: float = 1.0) -> Any:
    one = torch.tensor(1.0)
    return cells.IAFCell(p=cells.IAFParameters(v_th=one * theta, method="tanh", alpha=one.clone()))


def _stack(*, norm: bool = True) -> nn.Sequential:
    torch.manual_seed(3)
    between = nn.BatchNorm2d(3) if norm else nn.Identity()
    stack = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), between, _iaf(0.7), nn.Dropout(0.2), nn.Flatten(),
        nn.Linear(108, 4), _iaf(),
    )  # fmt: skip
    with torch.no_grad():
        stack.get_submodule("0").get_parameter("weight").mul_(3)
        stack.get_submodule("5").get_parameter("weight").mul_(6)
    return stack


def _frames(n: int = 4, *, most: int = 1) -> torch.Tensor:
    drawn = np.random.default_rng(0).integers(0, most + 1, (n, STEPS, 2, 6, 6))
    return torch.from_numpy(drawn.astype(np.float32))


def _learner(*, norm: bool = True) -> StackLearner:
    return StackLearner(_stack(norm=norm), _frames(1), CODE, without_clock=True)


@pytest.mark.parametrize("theta", [0.5, 1.0, 2.0])
def test_spikes_are_those_of_a_loop_that_subtracts(theta: float) -> None:
    drive = torch.randn(5, 30, 8, dtype=torch.float64)
    found = counted(drive, torch.tensor(theta, dtype=torch.float64))
    wanted = np.zeros((5, 30, 8))
    for i, j in np.ndindex(5, 8):
        v = 0.0
        for t in range(30):
            v += float(drive[i, t, j])
            while v >= theta:
                v -= theta
                wanted[i, t, j] += 1
    np.testing.assert_array_equal(found.numpy(), wanted)
    assert wanted.max() >= 2


def test_drawn_paths_are_those_of_random_orders_on_the_average() -> None:
    """60 events of many weights in a step, in 4,000 orders, against 4,000 draws."""
    rng = np.random.default_rng(1)
    weights = rng.normal(0.02, 0.35, 60)
    orders = np.stack([rng.permutation(weights) for _ in range(4000)])
    path = np.cumsum(orders, 1)
    true = np.floor(np.maximum(path.max(1), 0)).mean()
    drive = torch.full((4000, 1, 1), float(weights.sum()), dtype=torch.float64)
    spread = torch.full_like(drive, float((weights**2).sum()))
    torch.manual_seed(0)
    drawn = float(counted(drive, torch.tensor(1.0, dtype=torch.float64), spread=spread).mean())
    by_the_sum = float(counted(drive, torch.tensor(1.0, dtype=torch.float64)).mean())
    # Whole steps of a walk reach a little less high than a path in continuous time.
    assert abs(drawn - true) < 0.25 * true
    assert abs(by_the_sum - true) > 2 * abs(drawn - true)


def test_a_bias_enters_at_the_end_of_a_step() -> None:
    drive, none = torch.full((2000, 1, 1), 0.9), torch.zeros(2000, 1, 1)
    held = counted(drive, torch.tensor(1.0), spread=none, bias=torch.tensor(0.9))
    assert float(held.detach().sum()) == 0  # a path of no events does not move before the tick
    spread = torch.full((2000, 1, 1), 0.2)
    early = counted(drive, torch.tensor(1.0), spread=spread)
    late = counted(drive, torch.tensor(1.0), spread=spread, bias=torch.tensor(0.9))
    assert float(late.sum()) < 0.7 * float(early.sum())


@pytest.mark.parametrize("norm", [True, False])
def test_what_is_written_counts_as_the_stack_did(norm: bool) -> None:
    learner = _learner(norm=norm)
    with torch.no_grad():
        for _ in range(20):
            learner.see(_frames())
    learner.module.eval()
    network = lower(learner.graph())
    assert [layer.rule for layer in network.layers] == [RULE, RULE]
    codes = _frames().reshape(4, STEPS, -1).numpy().astype(np.int16)
    trace = simulate(network, ChipInput({"input": codes}, network.inputs))
    for name, spikes in learner.see(_frames()).spikes.items():
        found = spikes.flatten(2).detach().numpy()
        assert trace.spikes[name].max() > 1
        assert float(np.mean(found == trace.spikes[name])) > 0.995  # float32 against float64


def test_spread_and_bias_of_a_stack_are_those_of_its_twin() -> None:
    """BatchNorm folded into weights against BatchNorm behind them, the same draws."""
    learner = _learner()
    with torch.no_grad():
        for _ in range(20):
            learner.see(_frames())
    learner.module.eval()
    learner.draws = True
    twin = TwinLearner(Twin(lower(learner.graph()), without_clock=True))
    twin.module.train()
    twin.draws = True
    with torch.no_grad():
        torch.manual_seed(5)
        ours = learner.see(_frames())
        torch.manual_seed(5)
        theirs = twin.see(_frames())
        twin.draws = False
        without = twin.see(_frames())
    for name, spikes in ours.spikes.items():
        other, plain = theirs.spikes[name], without.spikes[name]
        assert float((spikes.flatten(2) == other).float().mean()) > 0.99
        assert float((plain == other).float().mean()) < 0.97


def test_gradients_reach_the_first_layer_with_and_without_draws() -> None:
    for draws in (False, True):
        learner = _learner()
        learner.draws = draws
        learner.see(_frames()).read.sum().backward()  # type: ignore[no-untyped-call]
        gradient = learner.module.get_parameter("0.weight").grad
        assert gradient is not None and float(gradient.abs().sum()) > 0
        assert bool(torch.isfinite(gradient).all())


def test_in_integers_the_weights_are_the_chips_and_without_draws_the_spikes_too() -> None:
    learner = _learner(norm=False)
    twin = Twin(lower(learner.graph()), rounding=Rounding("speck2f"), without_clock=True)
    codes = _frames().flatten(2)
    twin.train()
    trace_of = twin(codes)
    for layer in twin.program().layers:
        assert layer.rule.reset == "subtract"
    twin.draws = True
    drawn = twin(codes)
    name = twin.output.name
    assert not torch.equal(trace_of[name], drawn[name])
    twin.eval()
    assert torch.equal(twin(codes)[name], trace_of[name])


def test_neurons_that_need_a_clock_are_refused_by_name() -> None:
    leaky = cells.LIFBoxCell(
        p=cells.LIFBoxParameters(method="tanh", alpha=torch.tensor(1.0)), dt=0.001
    )
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(72, 4), leaky)
    with pytest.raises(BadInput, match=r"layer '2' is a LIFBoxCell, whose leak needs one"):
        StackLearner(wrong, _frames(1), CODE, without_clock=True)
    open_end = nn.Sequential(nn.Flatten(), nn.Linear(72, 4), _iaf(), nn.Linear(4, 2))
    with pytest.raises(BadInput, match="ends with Linear"):
        StackLearner(open_end, _frames(1), CODE, without_clock=True)
    learns = nn.Sequential(nn.Flatten(), nn.Linear(72, 4), _iaf(0.0))
    with pytest.raises(BadInput, match=r"layer '2' has thresholds .* above 0"):
        StackLearner(learns, _frames(1), CODE, without_clock=True)
    plain = lower(StackLearner(_stack(), _frames(1), CODE).graph())
    with pytest.raises(BadInput, match=r"layer '2' spikes by NeuronRule.*--without-clock"):
        Twin(plain, without_clock=True)
    counting = lower(_learner().graph())
    leaking = tuple(replace(x, leak=np.full_like(x.leak, 0.5)) for x in counting.layers)
    with pytest.raises(BadInput, match=r"layer '2' leaks"):
        Twin(replace(counting, layers=leaking), without_clock=True)
    with pytest.raises(BadInput, match="without a clock: values counts"):
        Recipe(without_clock=True, values="counts")
    with pytest.raises(BadInput, match="readout last"):
        Recipe(without_clock=True, readout="last")


def test_time_surfaces_are_no_events(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "recordings")
    grid = EventGrid(4, size=(10, 10), form="surfaces")
    write_event_set(folder, folder / "labels.csv", tmp_path / "set", grid=grid)
    with pytest.raises(BadInput, match="time surfaces, whose codes are no events"):
        classifiers.create(
            tmp_path / "run",
            data=tmp_path / "set",
            network=source_of("conv-if"),
            recipe=Recipe(epochs=1, without_clock=True),
        )
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_the_setting_and_goes_on_to_the_same_weights(
    event_set: Path, tmp_path: Path
) -> None:
    recipe = Recipe(epochs=3, batch=2, without_clock=True, augment=Augment.read("shift=1"))
    for name in ("whole", "stopped"):
        classifiers.create(
            tmp_path / name, data=event_set, network=source_of("conv-if"), recipe=recipe
        )
    classifiers.train(tmp_path / "whole")

    def stop(done: int, total: int, text: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classifiers.train(tmp_path / "stopped", progress=stop)
    classifiers.train(tmp_path / "stopped")
    assert read_settings(tmp_path / "stopped").recipe == recipe
    networks = [
        lower(nirfile.read(tmp_path / name / "network.nir")) for name in ("whole", "stopped")
    ]
    for one, other in zip(networks[0].layers, networks[1].layers, strict=True):
        assert one.rule == RULE
        np.testing.assert_array_equal(one.weight, other.weight)
