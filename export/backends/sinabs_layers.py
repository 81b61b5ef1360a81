"""A lowered network as Sinabs layers, built by us: `sinabs.from_nir` drops gains and resets.

    Sinabs LIF   i = alpha_syn (i + I);  v* = alpha v + i;  z = v* >= theta;  v = v* (1 - z)

equals our neuron with alpha = 1 - leak set directly (no exp/log rounding), norm_input off (the
gain is folded), SingleSpike, MembraneReset, no lower bound of v, and nextafter(theta) because
Sinabs compares with >=. Sinabs decays the fresh input too, so a synaptic current gets weights
and bias / alpha_syn. Other rules are Sinabs' own: MembraneSubtract, MaxSpike, min_v_mem, theta as
it is where >= is meant; a layer that does not spike has no spike_fn, as Sinabs' ExpLeak. A late
subtraction of theta is one of theta / alpha at once, equal but for rounding; no reset subtracts 0.

Sinabs keeps v above a bound as relu(v - low) + low, which rounds v in its last bit.

A network without loops runs layer by layer over all steps; with loops one call per step and layer,
the state persists. Nothing here imports `sinabs.backend.dynapcnn`: it imports samna, whose package
on the public index is a stub that starts an installer.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import torch
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract, SingleSpike
from sinabs.layers import LIF
from torch import nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.lower.lower import Floats, Lowered, LoweredLayer
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.neuron import NeuronRule, Reset
from neurozsl.hardware.network.synapse import Synapse
from neurozsl.hardware.network.thresholds import theta_of
from neurozsl.hardware.network.wiring import is_recurrent


@dataclass(frozen=True)
class SinabsLayer:
    """One layer: a module per synapse, what the biases add, and Sinabs neurons, all float64.

    bias: `(size,)` of every step, divided by alpha_syn as the weights are; None where the one
    Linear has it. later: what is taken off it from the second step on.
    """

    synapses: tuple[nn.Module, ...]
    neuron: Any
    bias: torch.Tensor | None
    later: torch.Tensor | None


class StrictMaxSpike(MaxSpike):  # type: ignore[misc]  # sinabs is untyped
    """Several spikes, and none where v equals the threshold."""

    def apply(self, v_mem: Any, spike_threshold: Any, surrogate_grad_fn: Any) -> Any:
        """Spikes of one step."""
        spikes = super().apply(v_mem, spike_threshold, surrogate_grad_fn)
        return spikes * (v_mem > spike_threshold)


def build_layer(layer: LoweredLayer, *, record: bool = False) -> SinabsLayer:
    """Modules of one layer; `record` keeps the membrane of every step in `neuron.recordings`.

    Raises:
        BadInput: some neurons of the layer have a synaptic memory and others have none; a reset
            that Sinabs has not.
    """
    _check_reset(layer)
    retained = 1 - layer.syn_leak
    current = bool(np.any(retained > 0))
    if current and not np.all(retained > 0):
        raise BadInput(
            f"layer '{layer.name}': syn_kappa is 1 in some neurons and smaller in others; a Sinabs "
            "layer has a synaptic current or has none: use one value below 1"
        )
    gain = 1 / retained if current else np.ones_like(retained)
    spiking = layer.rule.spiking
    neuron = LIF(
        tau_mem=torch.ones(len(gain)),  # overwritten below: alphas are set, not computed
        tau_syn=torch.ones(len(gain)) if current else None,
        spike_fn=_spike_fn(layer.rule) if spiking else None,
        reset_fn=MembraneReset() if spiking else None,  # another one: `_set_threshold`
        min_v_mem=layer.rule.low,
        train_alphas=True,
        norm_input=False,
        record_states=record,
    )
    neuron.alpha_mem = _fixed(1 - layer.leak)
    if current:
        neuron.alpha_syn = _fixed(retained)
    if layer.rule.low is not None:
        neuron.min_v_mem = _fixed(layer.rule.low)
    scaled, drive = layer.bias * gain, layer.drive
    if layer.is_dense and drive is None and (not current or layer.bias_to == "current"):
        linear = nn.Linear(layer.weight.shape[1], layer.size, dtype=torch.float64)
        linear.weight = _fixed(layer.weight * gain[:, None])
        # Without a memory the current is the input, so a bias of the membrane enters the same way.
        linear.bias = _fixed(scaled)
        return SinabsLayer((linear,), neuron, None, None)
    # What enters the membrane beside a memory: the share of it that the current still holds is
    # taken off again.
    behind = drive if layer.bias_to == "current" else layer.bias
    later = _fixed(behind) if current and behind is not None else None
    if drive is not None:
        scaled = scaled + drive * gain
    modules = tuple(build_synapse(s, gain) for s in layer.synapses)
    return SinabsLayer(modules, neuron, _fixed(scaled), later)


def build_synapse(synapse: Synapse, gain: Any) -> nn.Module:
    """Window sums and weights on rows `(rows, size_in)`, without the delay.

    `gain` is the factor of every neuron that is reached, `(size_out,)`.
    """
    link, modules = synapse.link, list[nn.Module]()
    for pool in link.pools:
        # A mean with the divisor 1: Sinabs' SumPool2d divides by the window and multiplies again.
        sums = nn.AvgPool2d(pool.kernel, pool.stride, pool.padding, divisor_override=1)
        modules += [nn.Unflatten(1, pool.shape), sums, nn.Flatten(1)]
    if link.conv is None:
        linear = nn.Linear(synapse.weight.shape[1], synapse.size_out, False, dtype=torch.float64)
        linear.weight = _fixed(synapse.weight * np.asarray(gain)[:, None])
        return nn.Sequential(*modules, linear)
    conv, shape = link.conv, synapse.weight.shape
    top, bottom, left, right = conv.padding
    even = (top, left) == (bottom, right)
    modules.append(nn.Unflatten(1, conv.shape))
    if not even:
        modules.append(nn.ZeroPad2d((left, right, top, bottom)))
    kernel = nn.Conv2d(
        conv.shape[0],
        shape[0],
        shape[2:],
        conv.stride,
        (top, left) if even else 0,
        conv.dilation,
        conv.groups,
        bias=False,
        dtype=torch.float64,
    )
    kernel.weight = _fixed(synapse.weight)
    return nn.Sequential(*modules, kernel, nn.Flatten(1), _Times(gain))


class _Times(nn.Module):
    """A factor per neuron, where it is not 1 everywhere."""

    def __init__(self, factor: Any) -> None:
        super().__init__()
        self.factor = None if np.all(np.asarray(factor) == 1) else _fixed(factor)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows if self.factor is None else rows * self.factor


def run_sinabs(
    lowered: Lowered, chip: ChipInput, *, record: tuple[Record, ...] = ("spikes",)
) -> Trace:
    """Run all samples as one batch; every call starts from rest.

    The input has codes `(batch, time, size)`, and theta where the policy is dynamic. "membrane" in
    `record` adds v after each step; that of read-outs is always kept.

    Returns:
        Trace with spike counts of every layer, uint8; those of a layer that does not spike are 0.
    """
    chip = check_input(lowered.inputs, lowered.layers, lowered.steps, lowered.policy, chip)
    steps = chip.steps
    kept = {x.name for x in lowered.layers if "membrane" in record or not x.rule.spiking}
    # All steps of a layer at once, unless a later layer speaks to an earlier one.
    stride = 1 if is_recurrent(lowered.layers) else steps
    with torch.no_grad():
        values = {
            name: torch.as_tensor(chip.codes[name], dtype=torch.float64) * code.scale
            for name, code in lowered.inputs.items()
        }
        built = {x.name: build_layer(x, record=x.name in kept) for x in lowered.layers}
        theta = {
            x.name: torch.as_tensor(theta_of(x, lowered.policy, chip))
            for x in lowered.layers
            if x.rule.spiking
        }
        for x in lowered.layers:
            values[x.name] = torch.zeros(chip.batch, steps, x.size, dtype=torch.float64)
            if x.start is not None:
                _start(built[x.name].neuron, x.start, chip.batch)
        membrane = {name: torch.zeros_like(values[name]) for name in kept}
        for start in range(0, steps, stride):
            part = slice(start, start + stride)
            for x in lowered.layers:
                current = _current(x, built[x.name], values, part)
                sent, v = _step(built[x.name].neuron, current, theta.get(x.name), x, part)
                if x.rule.spiking:
                    values[x.name][:, part] = sent
                if v is not None:
                    membrane[x.name][:, part] = v
    spikes = {x.name: values[x.name].to(torch.uint8).numpy() for x in lowered.layers}
    return Trace(spikes, membrane={name: v.numpy() for name, v in membrane.items()})


def _start(neuron: Any, v: Floats, samples: int) -> None:
    neuron.init_state_with_shape((samples, len(v)))
    neuron.v_mem = torch.as_tensor(v, dtype=torch.float64).expand(samples, -1).clone()


def _current(
    layer: LoweredLayer, built: SinabsLayer, values: dict[str, torch.Tensor], part: slice
) -> torch.Tensor:
    """Weighted input of the steps in `part`, `(batch, steps, size)`."""
    sums = []
    for synapse, module in zip(layer.synapses, built.synapses, strict=True):
        rows = _seen(values[synapse.source], synapse.link.delay, part)
        sums.append(module(rows.flatten(0, 1)).unflatten(0, rows.shape[:2]))
    total: torch.Tensor = reduce(torch.add, sums)
    if built.bias is not None:
        total = total + built.bias
    if built.later is not None:
        first = max(1 - part.start, 0)
        total[:, first:] -= built.later
    return total


def _seen(values: torch.Tensor, delay: int, part: slice) -> torch.Tensor:
    """What was sent `delay` steps before the steps of `part`; zeros before the start."""
    sent = values[:, max(part.start - delay, 0) : max(part.stop - delay, 0)]
    missing = part.stop - part.start - sent.shape[1]
    return nn.functional.pad(sent, (0, 0, missing, 0))


def _step(
    neuron: Any, current: torch.Tensor, theta: torch.Tensor | None, layer: LoweredLayer, part: slice
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Spikes, and membrane where it is recorded; one call per step where theta changes with it."""
    if theta is None or theta.shape[1] == 1:
        if theta is not None:
            _set_threshold(neuron, theta[:, 0], layer)
        sent: torch.Tensor = neuron(current)
        v = neuron.recordings.get("v_mem")
        if v is not None and layer.rule.reset == "subtract-late":
            v = v + sent * neuron.reset_fn.subtract_value  # which the next step takes off
        return sent, v
    spikes, membranes = [], []
    for i, step in enumerate(range(part.start, part.start + current.shape[1])):
        _set_threshold(neuron, theta[:, step], layer)
        spikes.append(neuron(current[:, i : i + 1]))
        membranes.append(neuron.recordings.get("v_mem"))
    kept = None if membranes[0] is None else torch.cat(membranes, dim=1)
    return torch.cat(spikes, dim=1), kept


def _set_threshold(neuron: Any, theta: torch.Tensor, layer: LoweredLayer) -> None:
    rule = layer.rule
    above = np.nextafter(np.asarray(theta, np.float64), np.inf)  # v >= that is v > theta
    strict_single = rule.compare == ">" and rule.max_spikes == 1
    neuron.spike_threshold = _fixed(above if strict_single else theta)
    if rule.reset != "zero":  # subtracts theta itself, not the float above it
        taken = theta * 0 if rule.reset == "none" else theta
        if rule.reset == "subtract-late":
            taken = theta / _fixed(1 - layer.leak)
        neuron.reset_fn = MembraneSubtract(subtract_value=taken)


def _check_reset(layer: LoweredLayer) -> None:
    """Raise for a reset that is none of Sinabs' own."""
    if not layer.rule.spiking or layer.rule.reset in _RESETS:
        if layer.rule.reset != "subtract-late":
            return
        moving = layer.theta_table is not None or layer.rule.low is not None
        if not moving and np.all(layer.leak < 1):
            return
        raise BadInput(
            f"layer '{layer.name}': reset subtract-late beside a decay of 1, a lower bound or a "
            "threshold table; Sinabs' layers subtract at once: use `--backend floatsim`"
        )
    raise BadInput(
        f"layer '{layer.name}': reset {layer.rule.reset}, Sinabs' layers have "
        f"{', '.join(_RESETS)}; use `--backend floatsim`"
    )


def _spike_fn(rule: NeuronRule) -> Any:
    if rule.max_spikes == 1:
        return SingleSpike
    return (MaxSpike if rule.compare == ">=" else StrictMaxSpike)(rule.max_spikes)


_RESETS: Final[tuple[Reset, ...]] = ("zero", "subtract", "none", "subtract-late")


def _fixed(values: Any) -> nn.Parameter:
    return nn.Parameter(torch.as_tensor(np.asarray(values, np.float64)), requires_grad=False)
