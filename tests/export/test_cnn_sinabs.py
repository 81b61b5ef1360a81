"""A convolutional network that sinabs wrote: its own simulation of the file, and ours, every spike.

`sinabs.from_nir` gives IAFSqueeze layers: MultiSpike, MembraneSubtract, v kept above -threshold.
Its modules are used as they come, in float64. Its spike functions return float32, so what leaves a
neuron layer is cast for the next convolution; spike counts are small integers, exact in both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sinabs.nir
import torch
from sinabs.activation import SingleSpike

from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.export.backends.sinabs_layers import run_sinabs
from neurozsl.export.backends.speck.run import run_discretised
from neurozsl.export.nir.foreign import from_graph
from neurozsl.export.nir.nirfile import read
from neurozsl.export.nir.said import Said
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Conv, Link, MapShape, Pool, Synapse, apply
from neurozsl.hardware.place.place import place
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.hardware.speck.program import STATE_MAX, STATE_MIN, SpeckProgram
from neurozsl.hardware.speck.quantize import quantize_speck
from tests.factories.networks import lowered_layer

STEPS, SAMPLES = 40, 3
NEURONS = ("1", "3", "6", "10", "12")

pytestmark = pytest.mark.filterwarnings("ignore:nirtorch.* is being deprecated:DeprecationWarning")


def by_hand(graph: Any, rule: NeuronRule) -> Lowered:
    """The file written as layers: r = 1, threshold 1, so nothing is folded."""

    def layer(name: str, source: str, weights: str, link: Link) -> LoweredLayer:
        node, threshold = graph.nodes[weights], graph.nodes[name].v_threshold.ravel()
        assert np.all(graph.nodes[name].r == 1) and np.all(threshold == 1)
        bias = np.asarray(node.bias, np.float64)
        bias = np.repeat(bias, threshold.size // len(bias))
        return lowered_layer(name, source, node.weight, bias=bias, link=link, rule=rule)

    def conv(shape: MapShape, stride: int, *pools: Pool) -> Link:
        return Link(Conv(shape, (stride, stride), (1, 1, 1, 1)), pools)

    first, second = (Pool(s, (2, 2), (2, 2)) for s in ((16, 16, 16), (8, 8, 8)))
    layers = (
        layer("1", "input", "0", conv((2, 34, 34), 2)),
        layer("3", "1", "2", conv((16, 16, 16), 1)),
        layer("6", "3", "5", conv((16, 8, 8), 1, first)),
        layer("10", "6", "9", Link(pools=(second,))),
        layer("12", "10", "11", Link()),
    )
    code = InputCode(2 * 34 * 34, "binary", 1, False, 1.0)
    return Lowered({"input": code}, layers, ("12",), 1e-3, STEPS, "fixed")


def sinabs_own(graph: Any, codes: Any, change: Callable[[Any], None]) -> dict[str, Any]:
    """Spikes `(batch, time, size)` of every neuron layer of sinabs' own import."""
    module: Any = sinabs.nir.from_nir(graph, batch_size=SAMPLES).double()
    found: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., Any]:
        def hook(layer: Any, inputs: Any, spikes: Any) -> Any:
            found[name] = spikes.reshape(SAMPLES, STEPS, -1).numpy()
            return spikes.double()

        return hook

    for name, child in module.named_modules():
        if name in NEURONS:
            change(child)
            child.register_forward_hook(keep(name))
    with torch.no_grad():
        module(torch.as_tensor(codes, dtype=torch.float64).reshape(-1, 2, 34, 34))
    return found


def single(layer: Any) -> None:
    layer.spike_fn = SingleSpike


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda layer: None, NeuronRule("subtract", 255, ">=", -1.0)),
        (single, NeuronRule("subtract", 1, ">=", -1.0)),
    ],
    ids=["several spikes", "single spikes"],
)
def test_our_sinabs_layers_equal_sinabs_own_simulation_of_its_file(
    change: Callable[[Any], None], rule: NeuronRule, shared_data: Path
) -> None:
    path = shared_data / "nir" / "cnn_sinabs.nir"
    graph = read(path)
    lowered = by_hand(graph, rule)
    said = Said(reset=rule.reset, compare=">=", max_spikes=rule.max_spikes, low=-1.0, steps=STEPS)
    opened = from_graph(read(path), path.name, said).lowered  # what `neurozsl simulate` runs
    rng = np.random.default_rng(0)
    codes = (rng.random((SAMPLES, STEPS, 2 * 34 * 34)) < 0.3).astype(np.int16)
    wanted = sinabs_own(graph, codes, change)
    given = ChipInput({"input": codes}, lowered.inputs)
    found = (run_sinabs(lowered, given), run_sinabs(opened, given), simulate(opened, given))
    assert tuple(wanted) == NEURONS
    for name in NEURONS:
        assert wanted[name].any(), name
        for trace in found:
            assert np.array_equal(trace.spikes[name], wanted[name]), name
    assert bool(wanted["1"].max() > 1) == (rule.max_spikes > 1)


@pytest.mark.parametrize("max_spikes", [255, 1])
def test_integers_and_spikes_on_speck_are_those_of_sinabs_own_discretisation(
    max_spikes: int, shared_data: Path
) -> None:
    graph = read(shared_data / "nir" / "cnn_sinabs.nir")
    lowered = by_hand(graph, NeuronRule("subtract", max_spikes, ">=", -1.0))
    rng = np.random.default_rng(1)
    codes = (rng.random((SAMPLES, STEPS, 2 * 34 * 34)) < 0.3).astype(np.int16)
    program, chip = quantize_speck(lowered), ChipInput({"input": codes}, lowered.inputs)
    theirs, ours = run_discretised(lowered, program, chip), speck_reference(program, codes)
    emulated = emulate_speck(program, chip)
    for name in NEURONS:
        assert ours[name].any(), name
        assert np.array_equal(theirs.spikes[name], ours[name]), name
        assert np.array_equal(emulated.spikes[name], ours[name]), name
    assert len(place(program, "speck2f").parts) == 5  # of its nine cores


def speck_reference(program: SpeckProgram, codes: Any) -> dict[str, Any]:
    """Spike counts of every layer, step by step as the module docstring of `speck` defines them."""
    values: dict[str, Any] = {"input": codes.astype(np.int64)}
    for layer in program.layers:
        sums = apply(
            Synapse(layer.source, layer.weight.astype(np.int64), layer.link), values[layer.source]
        )
        v, sent = np.zeros((SAMPLES, layer.size), np.int64), np.zeros_like(sums)
        for t in range(STEPS):
            v = np.clip(v + sums[:, t] + layer.bias, STATE_MIN, STATE_MAX)
            sent[:, t] = np.clip(v // layer.threshold, 0, layer.max_spikes)
            v = np.maximum(v - sent[:, t] * layer.threshold, layer.low)
        values[layer.name] = sent
    return values
