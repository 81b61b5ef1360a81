"""Speck's integers of convolutional networks beside sinabs' own discretisation and layers.

`sinabs.backend.dynapcnn` imports samna, but its `discretize.py` needs torch and sinabs' layers
alone, so it is loaded here as the file that it is.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import torch
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract
from sinabs.layers import IAFSqueeze
from torch import nn
from torch.nn import functional

from neurozsl.core.signals import ChipInput
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Conv, Link, Pool, apply
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.hardware.speck.program import SpeckProgram
from neurozsl.hardware.speck.quantize import quantize_speck
from tests.factories.inputs import binary, binary_code
from tests.factories.networks import lowered
from tests.factories.networks import lowered_layer as layer

MULTI = NeuronRule("subtract", 255, ">=", -1.0)
SINGLE = NeuronRule("subtract", 1, ">=", -1.0)


@pytest.fixture(scope="module")
def discretize() -> ModuleType:
    found = importlib.util.find_spec("sinabs")
    assert found is not None and found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "backend" / "dynapcnn" / "discretize.py"
    spec = importlib.util.spec_from_file_location("sinabs_discretize", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_network(seed: int, rule: NeuronRule) -> Lowered:
    """Two convolutions with strides, paddings and biases, a pool, and a dense layer on a map."""
    rng = np.random.default_rng(seed)
    first, second = Conv((2, 12, 14), (2, 2), (2, 2, 1, 1)), Conv((6, 6, 6))
    gain = 10.0 ** rng.uniform(-0.5, 0.5, 3)
    pool = Link(pools=(Pool((4, 4, 4), (2, 2), (2, 2)),))
    rules = [replace(rule, low=None if rule.low is None else rule.low * g) for g in gain]
    layers = [
        layer("a", "x", rng.normal(0.1, 0.4, (6, 2, 5, 5)), link=Link(first), rule=rules[0]),
        layer("b", "a", rng.normal(0, 0.3, (4, 6, 3, 3)), link=Link(second), rule=rules[1]),
        layer("c", "b", rng.normal(0.1, 0.4, (7, 16)), link=pool, rule=rules[2]),
    ]
    scaled = []
    for x, g in zip(layers, gain, strict=True):
        bias = np.repeat(0.1 * g * rng.normal(size=x.shape[0]), x.size // x.shape[0])
        scaled.append(
            replace(x, weight=x.weight * g, threshold=np.full(x.size, np.float32(g)), bias=bias)
        )
    return lowered(*scaled, code=binary_code(336), steps=12)


def drawn(network: Lowered, samples: int, rate: float) -> ChipInput:
    size, rng = network.inputs["x"].size, np.random.default_rng(1)
    return binary(rng, size, samples, network.steps, rate)


def sinabs_layers(
    network: Lowered, program: SpeckProgram, codes: npt.NDArray[Any], module: ModuleType | None
) -> dict[str, dict[str, Any]]:
    """sinabs' convolution and neurons, layer after layer; discretised by `module`, else float.

    Sums are taken in float64, where those of integers are exact.
    """
    batch, steps, _ = codes.shape
    values: dict[str, Any] = {"x": torch.from_numpy(codes.astype(np.float64))}
    shapes: dict[str, tuple[int, ...]] = {}
    found: dict[str, dict[str, Any]] = {}
    for real, integers in zip(network.layers, program.layers, strict=True):
        rows = values[real.source].reshape(batch * steps, -1)
        conv = real.link.conv
        for pool in real.link.pools:  # as sinabs pools behind a core, but in float64
            maps = rows.reshape(-1, *pool.shape)
            rows = functional.lp_pool2d(maps, norm_type=1, kernel_size=pool.kernel)
        if conv is None:
            shape = tuple(rows.shape[1:]) if real.link.pools else shapes.get(real.source, (0, 1, 1))
            weight = real.weight.reshape(len(real.weight), -1, *shape[1:])
            conv = Conv((weight.shape[1], *weight.shape[2:]))
        else:
            weight = real.weight
        kernel = nn.Conv2d(
            conv.shape[0],
            weight.shape[0],
            weight.shape[2:],
            conv.stride,
            (conv.padding[0], conv.padding[2]),
        )
        per_channel = real.bias.reshape(weight.shape[0], -1)[:, 0]
        kernel.weight.data = torch.from_numpy(weight.astype(np.float32))
        kernel.bias = nn.Parameter(torch.from_numpy(per_channel.astype(np.float32)))
        spiking = IAFSqueeze(
            batch_size=batch,
            spike_threshold=torch.tensor(float(real.threshold[0])),
            min_v_mem=integers.low * integers.unit if real.rule.low is None else real.rule.low,
            spike_fn=MaxSpike(real.rule.max_spikes),
            reset_fn=MembraneReset() if real.rule.reset == "zero" else MembraneSubtract(),
        )
        if module is not None:
            kernel, spiking = module.discretize_conv_spike_(kernel, spiking, to_int=False)
        with torch.no_grad():
            spikes = spiking(kernel.double()(rows.reshape(-1, *conv.shape))).double()
        shapes[real.name] = tuple(spikes.shape[1:])
        values[real.name] = spikes.reshape(batch, steps, -1)
        found[real.name] = {
            "weight": kernel.weight.detach().numpy().reshape(real.weight.shape),
            "bias": dict(kernel.named_parameters())["bias"]
            .detach()
            .numpy()
            .repeat(real.size // weight.shape[0]),
            "threshold": float(spiking.spike_threshold),
            "low": float(spiking.min_v_mem),
            "spikes": values[real.name].numpy(),
        }
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "rule", [MULTI, SINGLE, NeuronRule("zero"), NeuronRule("zero", 3, ">=", -300.0)]
)
def test_integers_and_spikes_of_convolutions_are_those_of_sinabs(
    rule: NeuronRule, seed: int, discretize: ModuleType
) -> None:
    network = random_network(seed, rule)
    program, chip_input = quantize_speck(network), drawn(network, 6, 0.2)
    theirs = sinabs_layers(network, program, chip_input.codes["x"], discretize)
    ours = emulate_speck(program, chip_input)
    for made in program.layers:
        for key in ("weight", "bias", "threshold", "low"):
            assert np.array_equal(getattr(made, key), theirs[made.name][key]), (made.name, key)
        assert np.array_equal(ours.spikes[made.name], theirs[made.name]["spikes"]), made.name
        assert 0.01 < np.mean(ours.spikes[made.name] > 0) < 0.99
    most = max(x.max() for x in ours.spikes.values())
    assert most == 1 if rule.max_spikes == 1 else most > 1


# ---------------------------------------------------------------- a network of somebody else


def cnn_sinabs(folder: Path, rule: NeuronRule, steps: int = 20) -> Lowered:
    """`cnn_sinabs.nir` by hand: 2 x 34 x 34 -> 16 -> 16 -> sum 2 -> 8 -> sum 2 -> 256 -> 10."""
    with h5py.File(folder / "nir" / "cnn_sinabs.nir") as file:
        nodes = {
            name: {key: value[()] for key, value in node.items()}
            for name, node in file["node/nodes"].items()
        }
    links, pools, shape = {}, {"5": "4", "9": "7"}, (2, 34, 34)
    for name in ("0", "2", "5", "9", "11"):
        node = nodes[name]
        before: tuple[Pool, ...] = ()
        if name in pools:
            size = tuple(nodes[pools[name]]["kernel_size"].tolist())
            pool = Pool(shape, size, tuple(nodes[pools[name]]["stride"].tolist()))
            before, shape = (pool,), pool.out_shape
        if "stride" not in node:
            links[name] = Link(pools=before)
            continue
        (rows, columns), stride = node["padding"].tolist(), tuple(node["stride"].tolist())
        conv = Conv(shape, stride, (rows, rows, columns, columns))
        links[name] = Link(conv, before)
        shape = conv.out_shape(node["weight"].shape)
    layers = [
        layer(name, source, nodes[name]["weight"], link=link, rule=rule)
        for (source, name), link in zip(pairwise(["x", *links]), links.values(), strict=True)
    ]
    assert [x.shape for x in layers] == [(16, 16, 16), (16, 16, 16), (8, 8, 8), (256,), (10,)]
    return lowered(*layers, code=binary_code(2 * 34 * 34), steps=steps)


def in_python_integers(
    program: SpeckProgram, codes: npt.NDArray[np.int16]
) -> dict[str, npt.NDArray[np.uint8]]:
    """Weighted sums in int64 (`synapse.apply`), every neuron a loop in Python."""
    values: dict[str, Any] = {"x": codes.astype(np.int64)}
    for made in program.layers:
        synapse = replace(made.synapses[0], weight=made.weight.astype(np.int64))
        sums = apply(synapse, values[made.source])
        z = np.zeros(sums.shape, np.int64)
        for sample, drives in enumerate(np.moveaxis(sums, 1, 2).tolist()):
            for n, drive in enumerate(drives):
                v, bias = 0, int(made.bias[n])
                for t, add in enumerate(drive):
                    v = min(max(v + add + bias, -(2**15)), 2**15 - 1)
                    fired = min(v // made.threshold, made.max_spikes) if v >= made.threshold else 0
                    v = max(v - fired * made.threshold, made.low)
                    z[sample, t, n] = fired
        values[made.name] = z
    return {made.name: values[made.name] for made in program.layers}


@pytest.mark.parametrize("rule", [MULTI, SINGLE])
def test_cnn_sinabs_keeps_its_eight_bits_and_its_spikes(
    rule: NeuronRule, shared_data: Path, discretize: ModuleType
) -> None:
    network = cnn_sinabs(shared_data, rule)
    chip_input = drawn(network, 4, 0.05)
    program = quantize(network, "speck2f", calibration=chip_input)
    for made, loss in zip(program.layers, program.loss, strict=True):
        assert loss.limited_by == "weights" and loss.effective_bits >= np.log2(255)
        assert loss.weight_rms_error < 0.05
        assert (made.low, made.max_spikes) == (-made.threshold, rule.max_spikes)
    found, codes = emulate_speck(program, chip_input), chip_input.codes["x"]
    slow = in_python_integers(program, codes[:1])
    theirs = sinabs_layers(network, program, codes, discretize)
    real = simulate(network, chip_input)
    for made in program.layers:
        spikes = found.spikes[made.name]
        assert np.array_equal(spikes[:1], slow[made.name]), made.name
        for key in ("weight", "threshold", "low"):
            assert np.array_equal(getattr(made, key), theirs[made.name][key]), (made.name, key)
        assert np.array_equal(spikes, theirs[made.name]["spikes"]), made.name
        counts, wanted = spikes.sum(axis=1, dtype=np.int64), real.spikes[made.name].sum(axis=1)
        assert wanted.sum() > 0
        assert abs(counts.sum() / wanted.sum() - 1) < 0.1
