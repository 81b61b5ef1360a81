"""The twin of a lowered network: spikes of the simulators, gradients of Norse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurozsl.classifier.twin import Twin
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.norse.graph import from_norse
from neurozsl.hardware.arithmetic.emulate import emulate
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.network.neuron import NeuronRule, Reset
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from neurozsl.norse.cells import LIFBoxCell, LIFBoxParameters, SequentialState
from neurozsl.training.qat import Rounding
from tests.factories.inputs import binary_code
from tests.factories.networks import lowered, lowered_layer

STEPS, SAMPLES = 12, 5


def _weights(*shape: int, gain: float = 0.6) -> Any:
    values = np.random.default_rng(sum(shape)).normal(size=shape) * gain
    return values.astype(np.float32).astype(np.float64)


def _codes(size: int, rate: float = 0.4) -> Any:
    return (np.random.default_rng(1).random((SAMPLES, STEPS, size)) < rate).astype(np.int16)


def _ruled(rule: NeuronRule, **changes: Any) -> Lowered:
    return lowered(
        lowered_layer("a", "x", _weights(6, 5), rule=rule, threshold=0.75, **changes),
        lowered_layer("b", "a", _weights(3, 6), rule=rule),
        code=binary_code(5),
        steps=STEPS,
    )


def _kernels(groups: int = 3) -> Lowered:
    pool = Pool((3, 6, 6), (2, 2), (2, 2))
    first = Conv((2, 6, 6), padding=(1, 1, 1, 1))
    second = Conv((3, 3, 3), stride=(2, 2), groups=groups)
    return lowered(
        lowered_layer("a", "x", _weights(3, 2, 3, 3), link=Link(first), bias=0.125),
        lowered_layer("b", "a", _weights(3, 3 // groups, 2, 2), link=Link(second, (pool,))),
        lowered_layer("c", "b", _weights(4, 3, gain=1.0)),
        code=binary_code(72),
        steps=STEPS,
    )


def _loops() -> Lowered:
    late = (
        Synapse("x", _weights(4, 5), Link(delay=2)),
        Synapse("b", _weights(4, 4), Link(delay=1)),
        Synapse("c", _weights(4, 3), Link(delay=2)),
    )
    return lowered(
        lowered_layer("a", "x", _weights(6, 5), leak=0.25, syn_leak=0.5, bias_to="current"),
        lowered_layer("b", "a", _weights(4, 6), also=late),
        lowered_layer("c", "b", _weights(3, 4), leak=0.5),
        code=binary_code(5),
        steps=STEPS,
    )


def _gradients(twin: Twin) -> list[torch.Tensor | None]:
    """Of the weights of every synapse."""
    return [twin.get_parameter(f"weights.{i}.map.weight").grad for i in range(len(twin.weights))]


RESETS: tuple[Reset, ...] = (
    "zero", "subtract", "none", "zero-late", "subtract-late", "subtract-nodelay",
)  # fmt: skip
FORMS = {**{f"{reset}, {leak}": (reset, leak) for reset in RESETS for leak in (0.0, 0.25)}}


def _case(name: str) -> Lowered:
    if name in FORMS:
        reset, leak = FORMS[name]
        return _ruled(NeuronRule(reset), leak=leak)
    return {
        "several spikes": lambda: _ruled(NeuronRule("subtract", 4, ">=", -0.5)),
        "kernels": _kernels,
        "kernels of one group": lambda: _kernels(1),
        "loops": _loops,
    }[name]()


def _close(found: Lowered) -> Any:
    """The twin in float64, with spikes of the simulator."""
    return Twin(found).double()


@pytest.mark.parametrize("name", [*FORMS, "several spikes", "kernels", "loops"])
def test_its_spikes_are_those_of_the_float_simulation(name: str) -> None:
    network = _case(name)
    twin = _close(network)
    codes = _codes(network.inputs["x"].size)
    wanted = simulate(network, ChipInput({"x": codes}, network.inputs))
    found = twin(torch.from_numpy(codes).double())
    assert sum(int(wanted.spikes[x.name].sum()) for x in network.layers) > 20
    for layer in network.layers:
        np.testing.assert_array_equal(
            found[layer.name].detach().numpy(), wanted.spikes[layer.name], err_msg=layer.name
        )


@pytest.mark.parametrize(
    ("name", "chip", "bits"),
    [
        ("zero, 0.25", "loihi2", 8),
        ("subtract, 0.25", "loihi2", 5),
        ("subtract-late, 0.25", "loihi2", 8),
        ("kernels", "loihi2", 6),
        ("loops", "loihi2", 8),
        ("zero, 0.0", "speck2f", 8),
        ("several spikes", "speck2f", 8),
        ("kernels of one group", "speck2f", 4),
    ],
)
def test_in_integers_its_spikes_are_those_of_the_emulator_and_every_weight_learns(
    name: str, chip: str, bits: int
) -> None:
    network = _case(name)
    twin = Twin(network, rounding=Rounding(chip, bits))
    codes = _codes(network.inputs["x"].size)
    program = quantize(network, chip, bits=bits)
    wanted = emulate(program, ChipInput({"x": codes}, program.inputs))
    found = twin(torch.from_numpy(codes).float())
    for layer in network.layers:
        np.testing.assert_array_equal(found[layer.name].detach().numpy(), wanted.spikes[layer.name])
    found[network.layers[-1].name].sum().backward()
    for gradient in _gradients(twin):
        assert gradient is not None and bool(torch.isfinite(gradient).all())
        assert float(gradient.abs().sum()) > 0


def test_a_read_out_of_integers_is_its_membrane_in_real_units() -> None:
    read = {"rule": NeuronRule(spiking=False), "threshold": np.inf, "leak": 0.5}
    network = lowered(
        lowered_layer("a", "x", _weights(6, 5), leak=0.25),
        lowered_layer("b", "a", _weights(3, 6), **read),
        code=binary_code(5),
        steps=STEPS,
    )
    codes = _codes(5)
    program = quantize(network, "loihi2")
    wanted = emulate(program, ChipInput({"x": codes}, program.inputs)).membrane["b"]
    twin = Twin(network, rounding=Rounding("loihi2"))
    found = twin(torch.from_numpy(codes).float())["b"]
    unit = program.layers[-1].state_unit
    np.testing.assert_allclose(found.detach().numpy(), wanted * unit, rtol=1e-6)
    assert float(found.detach().abs().max()) > 0.1
    same = simulate(dequantize(program), ChipInput({"x": codes}, program.inputs)).membrane["b"]
    np.testing.assert_allclose(found.detach().numpy(), same, atol=0.01)


def test_its_gradient_is_norses() -> None:
    """With thresholds of 1 the surrogate is that of the cell; the gain kappa is folded."""
    torch.manual_seed(0)
    kappa = 0.25
    cells = [
        LIFBoxCell(
            p=LIFBoxParameters(
                tau_mem_inv=torch.tensor(kappa).double(),
                v_th=torch.tensor(1.0).double(),
                method="tanh",
                alpha=torch.tensor(1.0).double(),
            ),
            dt=1.0,
        )
        for _ in range(2)
    ]
    stack = SequentialState(nn.Linear(5, 6), cells[0], nn.Linear(6, 3), cells[1]).double()
    with torch.no_grad():
        for layer in (stack[0], stack[2]):
            layer.weight *= 8
            layer.weight.copy_(layer.weight.float().double())
            layer.bias.copy_(layer.bias.float().double())
    codes = torch.from_numpy(_codes(5)).double()
    state, spikes = None, []
    for t in range(STEPS):
        z, state = stack(codes[:, t], state)
        spikes.append(z)
    wanted = torch.stack(spikes, 1)
    target = torch.randn(wanted.shape, dtype=torch.float64)
    (wanted * target).sum().backward()  # type: ignore[no-untyped-call]
    twin = Twin(lower(from_norse(stack, codes)), slope=1.0).double()
    found = twin(codes)
    last = found[twin.output.name]
    assert torch.equal(last, wanted) and float(wanted.detach().sum()) > 5
    (last * target).sum().backward()
    for place, layer in enumerate((stack[0], stack[2])):
        for key in ("weight", "bias"):
            found_one = twin.get_parameter(f"weights.{place}.map.{key}").grad
            torch.testing.assert_close(found_one, getattr(layer, key).grad / kappa)


def test_rounding_has_the_gradient_of_the_float_network_where_nothing_is_lost() -> None:
    """Weights that are whole steps of the grid, with one at its end: integers are the network."""
    weight = np.array([[0.5, -0.25, 127 / 128], [0.75, 0.25, -0.5]])
    network = lowered(
        lowered_layer("a", "x", weight, threshold=0.75, rule=NeuronRule(compare=">=")),
        code=binary_code(3),
        steps=STEPS,
    )
    codes = torch.from_numpy(_codes(3)).float()
    found = []
    for rounding in (None, Rounding("speck2f")):
        twin = Twin(replace(network), rounding=rounding)
        spikes = twin(codes)["a"]
        spikes.sum().backward()
        found.append((spikes.detach(), _gradients(twin)[0]))
    (float_spikes, float_gradient), (spikes, gradient) = found
    assert torch.equal(spikes, float_spikes)
    torch.testing.assert_close(gradient, float_gradient, rtol=0.02, atol=0.02)  # theta is rounded


def test_what_has_no_place_is_refused() -> None:
    plain = _ruled(NeuronRule())
    two = replace(plain, inputs={**plain.inputs, "y": binary_code(2)})
    with pytest.raises(BadInput, match="has the inputs x, y; one is trained"):
        Twin(two)
    with pytest.raises(BadInput, match="thresholds of this network come with its input"):
        Twin(replace(plain, policy="dynamic"))
    with pytest.raises(BadInput, match="has the outputs a, b; a classifier has one"):
        _ = Twin(replace(plain, outputs=("a", "b"))).output
