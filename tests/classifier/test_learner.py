"""A stack that runs layer by layer is the stack that runs step by step, and what is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurozsl.classifier.learner import StackLearner
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import lower
from neurozsl.norse import cells

STEPS = 9


def _iaf(method: str) -> Any:
    one = torch.tensor(1.0)
    return cells.IAFCell(p=cells.IAFParameters(v_th=one, method=method, alpha=one.clone()))


def _stack(kind: str) -> nn.Sequential:
    torch.manual_seed(2)
    two = torch.tensor(0.5)
    box = cells.LIFBoxParameters(tau_mem_inv=two, method="tanh", alpha=torch.tensor(1.0))
    neuron: dict[str, Any] = {
        "fused": lambda: _iaf("tanh"),
        "stepped": lambda: _iaf("super"),
        "leaky": lambda: cells.LIFBoxCell(p=box, dt=1.0),
    }
    last = cells.LICell(dt=0.001) if kind == "read-out" else None
    make = neuron.get(kind, neuron["fused"])
    stack = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), make(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(27, 4), last or make(),
    )  # fmt: skip
    with torch.no_grad():
        for place, factor in ((0, 3), (1, 3), (5, 12)):  # so that neurons spike
            stack.get_submodule(str(place)).get_parameter("weight").mul_(factor)
    return stack


def _frames() -> torch.Tensor:
    drawn = np.random.default_rng(0).random((4, STEPS, 2, 6, 6)) < 0.4
    return torch.from_numpy(drawn.astype(np.float32))


def _learner(kind: str) -> StackLearner:
    frames = _frames()
    return StackLearner(_stack(kind), frames[:1], InputCode(72, "binary", 1, False, 1.0))


@pytest.mark.parametrize("kind", ["fused", "stepped", "leaky", "read-out"])
def test_layer_by_layer_is_step_by_step(kind: str) -> None:
    learner = _learner(kind)
    learner.module.eval()
    frames = _frames()
    found = learner.see(frames)
    state: dict[int, Any] = {}
    wanted = []
    for t in range(STEPS):
        x = frames[:, t]
        for place, module in enumerate(learner.module.children()):
            if "cells" in type(module).__module__ or hasattr(module, "activation"):
                x, state[place] = module(x, state.get(place))
            else:
                x = module(x)
        wanted.append(x)
    step_by_step = torch.stack(wanted, 1)
    if kind == "read-out":
        torch.testing.assert_close(found.read, step_by_step)
    else:  # sums of float32 in another order may cross a threshold once in a while
        assert float((found.read == step_by_step).float().mean()) > 0.995
    assert found.spiking == (kind != "read-out")
    assert float(found.read.detach().abs().sum()) > 1


@pytest.mark.parametrize("kind", ["fused", "stepped", "leaky"])
def test_what_is_written_gives_the_same_spikes(kind: str) -> None:
    learner = _learner(kind)
    with torch.no_grad():
        for _ in range(20):  # statistics of BatchNorm, which are folded
            learner.see(_frames())
    learner.module.eval()
    network = lower(learner.graph())
    codes = _frames().reshape(4, STEPS, -1).numpy().astype(np.int16)
    trace = simulate(network, ChipInput({"input": codes}, network.inputs))
    seen = learner.see(_frames())
    found = {name: x.flatten(2).detach().numpy() for name, x in seen.spikes.items()}
    assert list(found) == [layer.name for layer in network.layers]
    for layer in network.layers:
        spikes = trace.spikes[layer.name]
        assert spikes.sum() > 20
        # float32 against float64: nearly all of them
        assert float(np.mean(found[layer.name] == spikes)) > 0.995


def test_gradients_reach_the_first_layer() -> None:
    for kind in ("fused", "stepped", "leaky", "read-out"):
        learner = _learner(kind)
        learner.see(_frames()).read.sum().backward()  # type: ignore[no-untyped-call]
        gradient = learner.module.get_parameter("0.weight").grad
        assert gradient is not None and float(gradient.abs().sum()) > 0
