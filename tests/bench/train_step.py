"""`train_step.*`: forward and backward of the spiking branch against its dense layers alone.

512 inputs, layers 512-512-512 (the preset `paper`: no BatchNorm), T = 10, batch 256, float32. The
dense pass multiplies the same matrices, all steps at once, forward and backward, and has neither
neurons nor losses. Every library has its own LIF neuron, leak 1/2, reset to zero, between the same
matrix products; only ours and Norse's are the same neuron to the last bit (checked here).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from neurozsl.models.neurons import NeuronConfig, fire, stepwise
from tests.bench.measure import Ratio, side_by_side

BATCH, STEPS, WIDTH, LAYERS = 256, 10, 512, 3
THETA, RATE = 0.05, 0.15  # a threshold at which layers with random weights fire
Spiking = Callable[[Tensor], Tensor]  # drive (batch, time, neuron) -> spikes


def measure() -> dict[str, Ratio]:
    """Ours, and every library that is installed, over the dense pass."""
    torch.manual_seed(0)
    x = (torch.rand(BATCH, STEPS, WIDTH) < RATE).float()
    gradient = torch.randn(BATCH, STEPS, WIDTH)
    layers = [nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)]
    config = NeuronConfig(theta=THETA)
    known: dict[str, Spiking] = {
        "ours": lambda drive: fire(drive, config),
        "norse": lambda drive: stepwise(drive, config),
    }
    known |= {name: make() for name, make in _LIBRARIES.items() if find_spec(name) is not None}

    def step(spiking: Spiking) -> Tensor:
        for layer in layers:
            layer.zero_grad(set_to_none=True)
        y = x
        for layer in layers:
            y = spiking(layer(y))
        torch.autograd.backward(y, gradient)
        return y.detach()

    def gradients(spiking: Spiking) -> list[Tensor]:
        spikes = step(spiking)
        return [
            spikes,
            *(p.grad for layer in layers for p in layer.parameters() if p.grad is not None),
        ]

    for left, right in zip(gradients(known["ours"]), gradients(known["norse"]), strict=True):
        if not torch.equal(left, right):
            raise AssertionError("the fused neurons differ from Norse's cell")
    rates = {name: round(float(step(spiking).mean()), 4) for name, spiking in known.items()}
    cases: dict[str, Callable[[], object]] = {"dense": lambda: step(lambda drive: drive)}
    for name, spiking in known.items():
        cases[name] = lambda spiking=spiking: step(spiking)  # type: ignore[misc]
    seconds = side_by_side(cases, rounds=5, repeats=3)
    details = {
        "network": f"{WIDTH}-{WIDTH}-{WIDTH}-{WIDTH}, T {STEPS}, batch {BATCH}, float32",
        "milliseconds": {name: round(1e3 * s, 2) for name, s in seconds.items()},
        "spike_rates": rates,
    }
    found = {}
    for name in ("ours", "norse", *_LIBRARIES):
        limit = 1.1 if name == "ours" else None
        if name in seconds:
            value = seconds[name] / seconds["dense"]
            found[f"train_step.{name}"] = Ratio(value, "less", limit, "", details)
        else:
            found[f"train_step.{name}"] = Ratio(None, "less", limit, f"{name} is not installed")
    return found


def _snntorch() -> Spiking:
    cell = import_module("snntorch").Leaky(beta=0.5, threshold=THETA, reset_mechanism="zero")

    def run(drive: Tensor) -> Tensor:
        state, spikes = torch.zeros_like(drive[:, 0]), []
        for now in drive.unbind(1):
            fired, state = cell(now, state)
            spikes.append(fired)
        return torch.stack(spikes, 1)

    return run


def _spikingjelly() -> Spiking:
    activation = import_module("spikingjelly.activation_based.neuron")
    reset = import_module("spikingjelly.activation_based.functional").reset_net
    node = activation.LIFNode(tau=2.0, v_threshold=THETA, step_mode="m")

    def run(drive: Tensor) -> Tensor:
        reset(node)
        spikes: Tensor = node(drive.transpose(0, 1)).transpose(0, 1)
        return spikes

    return run


def _sinabs() -> Spiking:
    layers: Any = import_module("sinabs.layers")
    activation: Any = import_module("sinabs.activation")
    neuron = layers.LIF(
        tau_mem=1.442695,  # exp(-1 / tau) = 1/2
        spike_threshold=THETA,
        spike_fn=activation.SingleSpike,
        reset_fn=activation.MembraneReset(),
        norm_input=True,
    )

    def run(drive: Tensor) -> Tensor:
        neuron.reset_states()
        spikes: Tensor = neuron(drive)
        return spikes

    return run


_LIBRARIES: dict[str, Callable[[], Spiking]] = {
    "snntorch": _snntorch,
    "spikingjelly": _spikingjelly,
    "sinabs": _sinabs,
}
