"""Dead and saturated layers of a `Trace`, and the threshold scale that would move them.

A layer is dead when no neuron spiked in any sample, saturated when more than 90 % of all
neuron-steps spiked; several spikes of a neuron in one step are one such step. The suggested factor
multiplies every threshold of the layer:

    dead, membrane recorded   (95th percentile of v) / theta: then 5 % of the neuron-steps reach it
    dead, no membrane         1/2, repeat
    saturated                 2, repeat (the reset hides how far v went above theta)

A layer that only integrates sends no spikes and is never dead: its membrane is what is read.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from neurozsl.core.signals import Trace
from neurozsl.hardware.count.tally import Network

SATURATED_RATE: Final = 0.9
TARGET_RATE: Final = 0.05
State = Literal["ok", "dead", "saturated"]


@dataclass(frozen=True)
class Diagnosis:
    """State of one layer.

    rate: share of neuron-steps with a spike. silent_neurons: how many never spiked.
    threshold_scale: factor that would help; None where the layer is ok, or where its membrane
    never rises above 0 and no threshold can help.
    """

    layer: str
    state: State
    rate: float
    silent_neurons: int
    threshold_scale: float | None
    advice: str


def diagnose(
    trace: Trace,
    *,
    thresholds: Mapping[str, float] | None = None,
    readouts: Collection[str] = (),
    neurons: Mapping[str, int] | None = None,
) -> tuple[Diagnosis, ...]:
    """One `Diagnosis` per layer of the trace.

    thresholds: per layer in the unit of the membrane (`membrane_thresholds`); without them, or
    without a recorded membrane, the factor of a dead layer is 1/2. readouts: layers that do not
    spike (`integrating_layers`). neurons: of a layer that was trained with more than are left, how
    many: leaving out dead ones does not saturate it.
    """
    found = []
    for name, spikes in trace.to_numpy().spikes.items():
        if name in readouts:
            found.append(Diagnosis(name, "ok", 0.0, 0, None, "reads its membrane"))
            continue
        rate = float(np.mean(spikes != 0)) if spikes.size else 0.0
        rate *= spikes.shape[2] / (neurons or {}).get(name, spikes.shape[2])
        silent = int(np.count_nonzero(~spikes.any(axis=(0, 1))))
        state: State = "dead" if not spikes.any() else "ok"
        state = "saturated" if rate > SATURATED_RATE else state
        scale, advice = None, "-"
        if state == "dead":
            scale, advice = _revive(name, trace, thresholds or {})
        elif state == "saturated":
            scale, advice = 2.0, "double the threshold and run again"
        found.append(Diagnosis(name, state, rate, silent, scale, advice))
    return tuple(found)


def integrating_layers(network: Network) -> tuple[str, ...]:
    """Layers that do not spike, whose membrane is read; none on Speck."""
    return tuple(layer.name for layer in network.layers if not layer.rule.spiking)


def membrane_thresholds(network: Network) -> dict[str, float]:
    """Threshold per layer in the unit of its recorded membrane (the mean where they differ)."""
    return {layer.name: layer.membrane_threshold for layer in network.layers}


def _revive(name: str, trace: Trace, thresholds: Mapping[str, float]) -> tuple[float | None, str]:
    if name not in trace.membrane or name not in thresholds or thresholds[name] <= 0:
        return 0.5, "halve the threshold (or, where it was pruned, prune less) and run again"
    reached = float(np.quantile(np.asarray(trace.membrane[name]), 1.0 - TARGET_RATE))
    if reached <= 0:
        return None, "its membrane stays at or below 0: check weights, bias and input, not theta"
    scale = reached / thresholds[name]
    return scale, f"multiply the threshold by {scale:.3g}: {TARGET_RATE:.0%} of steps reach that"
