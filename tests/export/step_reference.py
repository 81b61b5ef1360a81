"""The equations of `Program` and `Lowered` one step after the other, in plain numpy: slow, obvious.

Everything that was ever sent is kept, so a delay is an index. Used by the tests of the runners.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neurozsl.core.signals import ChipInput
from neurozsl.hardware.loihi import fixedpoint as fp
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import pooled, weigh
from tests.hardware.fixedpoint_reference import decay_towards_zero, saturate_signed, wrap_signed

Values = dict[str, np.ndarray[Any, Any]]


def reference(network: Program | Lowered, chip: ChipInput) -> tuple[Values, Values]:
    """Spike counts and membranes of every layer, `(batch, time, neuron)`."""
    fixed = isinstance(network, Program)
    number = np.int64 if fixed else np.float64
    batch, steps = chip.batch, chip.steps
    sent: Values = {}
    for name, code in network.inputs.items():
        sent[name] = np.asarray(chip.codes[name]) * (1 if fixed else code.scale)
    membrane: Values = {}
    u, v = {}, {}
    for layer in network.layers:
        sent[layer.name] = np.zeros((batch, steps, layer.size), number)
        membrane[layer.name] = np.zeros((batch, steps, layer.size), number)
        u[layer.name], v[layer.name] = np.zeros((2, batch, layer.size), number)
    for t in range(steps):
        for layer in network.layers:
            name = layer.name
            total = np.zeros((batch, layer.size), number)
            for s in layer.synapses:
                if t >= s.link.delay:
                    seen = sent[s.source][:, t - s.link.delay]
                    total += weigh(replace(s, weight=s.weight.astype(number)), pooled(s.link, seen))
            if isinstance(layer, ProgramLayer):
                u[name], v[name] = integer_state(layer, u[name], v[name], total)
                theta: Any = layer.vth << 6
            else:
                u[name], v[name] = float_state(layer, u[name], v[name], total)
                theta = layer.threshold
            if layer.rule.spiking:
                sent[name][:, t] = spikes(layer.rule, v[name], theta)
                v[name] = after_reset(layer.rule, v[name], theta, sent[name][:, t])
            if layer.rule.low is not None:
                v[name] = np.maximum(v[name], layer.rule.low)
            membrane[name][:, t] = v[name]
    return {layer.name: sent[layer.name] for layer in network.layers}, membrane


def integer_state(layer: ProgramLayer, u: Any, v: Any, total: Any) -> tuple[Any, Any]:
    to_current = layer.bias_to == "current"
    a = fp.shift(total, layer.weight_exp) + (layer.bias >> 6 if to_current else 0)
    u = wrap_signed(decay_towards_zero(u, layer.du, 1) + (a << 6))
    v = decay_towards_zero(v, layer.dv) + u + (0 if to_current else layer.bias)
    return u, saturate_signed(v)


def float_state(layer: LoweredLayer, u: Any, v: Any, total: Any) -> tuple[Any, Any]:
    to_current = layer.bias_to == "current"
    u = (1 - layer.syn_leak) * u + total + (layer.bias if to_current else 0)
    return u, (1 - layer.leak) * v + u + (0 if to_current else layer.bias)


def spikes(rule: NeuronRule, v: Any, theta: Any) -> Any:
    above = v > theta if rule.compare == ">" else v >= theta
    if rule.max_spikes == 1:
        return above
    return np.where(above, np.minimum(np.floor(v / theta), rule.max_spikes), 0)


def after_reset(rule: NeuronRule, v: Any, theta: Any, n: Any) -> Any:
    return np.where(n > 0, 0, v) if rule.reset == "zero" else v - n * theta
