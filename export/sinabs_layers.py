"""A lowered branch as Sinabs layers, built by us: `sinabs.from_nir` drops gains and resets.

    Sinabs LIF   i = alpha_syn (i + I);  v* = alpha v + i;  z = v* >= theta;  v = v* (1 - z)

equals our neuron with alpha = 1 - leak set directly (no exp/log rounding), norm_input off (the
gain is folded), SingleSpike, MembraneReset, no lower bound of v, and nextafter(theta) because
Sinabs compares with >=. Sinabs decays the fresh input too, so a synaptic current gets weights
and bias / alpha_syn. Nothing here imports `sinabs.backend.dynapcnn`: it imports samna, whose
package on the public index is a stub that starts an installer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sinabs.activation import MembraneReset, SingleSpike
from sinabs.layers import LIF
from torch import nn

from neurozsl.errors import BadInput
from neurozsl.export.thresholds import theta_of
from neurozsl.hardware.lower import Lowered, LoweredLayer
from neurozsl.hardware.program import check_input
from neurozsl.signals import ChipInput, Trace


def build_layer(layer: LoweredLayer) -> tuple[nn.Linear, Any]:
    """Linear and Sinabs LIF of one layer, float64.

    Raises:
        BadInput: some neurons of the layer have a synaptic memory and others have none.
    """
    retained = 1 - layer.syn_leak
    current = bool(np.any(retained > 0))
    if current and not np.all(retained > 0):
        raise BadInput(
            f"layer '{layer.name}': syn_kappa is 1 in some neurons and smaller in others; a Sinabs "
            "layer has a synaptic current or has none: use one value below 1"
        )
    gain = 1 / retained if current else np.ones_like(retained)
    linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0], dtype=torch.float64)
    linear.weight = _fixed(layer.weight * gain[:, None])
    # Without a memory the current is the input, so a bias of the membrane enters the same way.
    linear.bias = _fixed(layer.bias * gain)
    neuron = LIF(
        tau_mem=torch.ones(len(gain)),  # overwritten below: alphas are set, not computed
        tau_syn=torch.ones(len(gain)) if current else None,
        spike_threshold=_above(torch.as_tensor(layer.threshold)),
        spike_fn=SingleSpike,
        reset_fn=MembraneReset(),
        min_v_mem=None,
        train_alphas=True,
        norm_input=False,
    )
    neuron.alpha_mem = _fixed(1 - layer.leak)
    if current:
        neuron.alpha_syn = _fixed(retained)
    return linear, neuron


def run_sinabs(lowered: Lowered, chip: ChipInput) -> Trace:
    """Run all samples as one batch; every call starts from rest.

    Args:
        lowered: the branch, gain folded.
        chip: codes `(batch, time, size)`; theta where the policy is dynamic.
    """
    chip = check_input(lowered.inputs, lowered.layers, lowered.steps, lowered.policy, chip)
    with torch.no_grad():
        values = {
            name: torch.as_tensor(chip.codes[name], dtype=torch.float64) * code.scale
            for name, code in lowered.inputs.items()
        }
        for layer in lowered.layers:
            linear, neuron = build_layer(layer)
            current = linear(values[layer.source])
            theta = _above(torch.as_tensor(theta_of(layer, lowered.policy, chip)))
            values[layer.name] = _step(neuron, current, theta).double()
    spikes = {y.name: values[y.name].to(torch.uint8).numpy() for y in lowered.layers}
    return Trace(spikes)


def _step(neuron: Any, current: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """One call per step, because the threshold may change with it; the state persists."""
    if theta.shape[1] == 1:
        neuron.spike_threshold = nn.Parameter(theta[:, 0], requires_grad=False)
        spikes: torch.Tensor = neuron(current)
        return spikes
    steps = []
    for step in range(current.shape[1]):
        neuron.spike_threshold = nn.Parameter(theta[:, step], requires_grad=False)
        steps.append(neuron(current[:, step : step + 1]))
    return torch.cat(steps, dim=1)


def _above(theta: torch.Tensor) -> torch.Tensor:
    """The next float64: v >= that is v > theta."""
    theta = theta.to(torch.float64)
    return torch.nextafter(theta, torch.full_like(theta, torch.inf))


def _fixed(values: Any) -> nn.Parameter:
    return nn.Parameter(torch.as_tensor(np.asarray(values, np.float64)), requires_grad=False)
