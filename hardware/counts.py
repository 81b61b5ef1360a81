"""Operations of a run, per layer and per sample: spikes, synaptic operations, neuron updates.

Two definitions of a synaptic operation are in use, and both are reported under their names:

    effective (NeuroBench 2.3)  nonzero input x nonzero weight counts one; `Effective_ACs` where all
                                inputs of the layer in that step are in {-1, 0, 1} over the whole
                                batch, else `Effective_MACs`. Biases never count.
    weighted (sinabs 3.1)       input value x fan-out, zero weights included.

`Dense` counts every weight once per step. `synops` is the effective count (ACs + MACs): a graded
event is one operation per nonzero weight, as on a chip whose spikes carry a payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.errors import BadInput
from neurozsl.hardware.lower import Lowered
from neurozsl.hardware.speck import AnyProgram, SpeckLayer
from neurozsl.signals import ChipInput, Trace


@dataclass(frozen=True)
class LayerCounts:
    """One layer; every count is the mean over samples of one inference (all its steps).

    fan_in, neurons: shape of the weights. parameters: weights, and biases that are not zero.
    nonzero_weights: of the weights. spike_rate: spikes / (neurons x steps).
    input_events: nonzero codes or spikes that arrive. active_updates: neuron-steps in which at
    least one event arrived through a nonzero weight; the others are inactive_updates.
    """

    name: str
    source: str
    fan_in: int
    neurons: int
    parameters: int
    nonzero_weights: int
    steps: int
    spikes: float
    spike_rate: float
    input_events: float
    effective_acs: float
    effective_macs: float
    dense: float
    synops_weighted: float
    active_updates: float
    inactive_updates: float
    leaky: bool

    @property
    def synops(self) -> float:
        """Effective_ACs + Effective_MACs."""
        return self.effective_acs + self.effective_macs

    @property
    def neuron_updates(self) -> float:
        """Neurons x steps: on a clocked chip every neuron is visited in every step."""
        return self.active_updates + self.inactive_updates


@dataclass(frozen=True)
class Counts:
    """All layers of a branch in order, over `samples` inferences of `steps` steps."""

    layers: tuple[LayerCounts, ...]
    samples: int
    steps: int

    def total(self, key: str) -> float:
        """Sum of one count over the layers, e.g. `total("synops")`."""
        return float(sum(getattr(layer, key) for layer in self.layers))

    @property
    def leaky(self) -> bool:
        """True where a membrane or current decays (integrate-and-fire chips cannot run it)."""
        return any(layer.leaky for layer in self.layers)


def count(network: AnyProgram | Lowered, chip_input: ChipInput, trace: Trace) -> Counts:
    """Count the operations of a run.

    Args:
        network: gives weights and sources; of a Program the integer weights count (a weight that
            was rounded to 0 costs nothing).
        chip_input: the codes that went in `(samples, time, size)`.
        trace: the spikes that came out, same samples and steps.

    Raises:
        BadInput: trace and input do not belong together.
    """
    codes, spikes = chip_input.to_numpy().codes, trace.to_numpy().spikes
    samples, steps = chip_input.batch, chip_input.steps
    values: dict[str, npt.NDArray[Any]] = {**codes, **spikes}
    layers = []
    for layer in network.layers:
        out, fan_in = layer.weight.shape
        for name, size in ((layer.source, fan_in), (layer.name, out)):
            if name not in values or values[name].shape != (samples, steps, size):
                shape = values[name].shape if name in values else "missing"
                raise BadInput(
                    f"counts of layer '{layer.name}': '{name}' is {shape}, expected "
                    f"{(samples, steps, size)}; pass the input and the trace of the same run"
                )
        layers.append(_count_layer(layer, values[layer.source], values[layer.name]))
    return Counts(tuple(layers), samples, steps)


def _count_layer(layer: Any, arriving: npt.NDArray[Any], spikes: npt.NDArray[Any]) -> LayerCounts:
    samples, steps, _ = arriving.shape
    out, fan_in = layer.weight.shape
    connected = layer.weight != 0  # (out, in)
    fan_out = connected.sum(axis=0)
    event = arriving != 0  # (sample, time, in)
    per_step = event.sum(axis=0, dtype=np.int64) @ fan_out  # (time,)
    binary = np.all((arriving == 0) | (np.abs(arriving) == 1), axis=(0, 2))  # (time,)
    total = np.abs(arriving.astype(np.int64)).sum() * out
    active = _active_updates(event, connected)
    share = 1.0 / max(samples, 1)
    bias = layer.bias if hasattr(layer, "bias") else np.zeros(out)
    return LayerCounts(
        name=layer.name,
        source=layer.source,
        fan_in=fan_in,
        neurons=out,
        parameters=out * fan_in + (out if np.any(bias) else 0),
        nonzero_weights=int(connected.sum()),
        steps=steps,
        spikes=float(spikes.sum(dtype=np.int64)) * share,
        spike_rate=float(spikes.mean()) if spikes.size else 0.0,
        input_events=float(event.sum(dtype=np.int64)) * share,
        effective_acs=float(per_step[binary].sum()) * share,
        effective_macs=float(per_step[~binary].sum()) * share,
        dense=float(out * fan_in * steps),
        synops_weighted=float(total) * share,
        active_updates=active * share,
        inactive_updates=float(out * steps) - active * share,
        leaky=_leaky(layer),
    )


def _active_updates(event: npt.NDArray[Any], connected: npt.NDArray[Any]) -> float:
    """Neuron-steps that receive an event through a nonzero weight, over all samples."""
    out = int(connected.shape[0])
    if connected.all():  # every event reaches every neuron
        return float(int(np.count_nonzero(event.any(axis=2))) * out)
    # float32 counts events exactly up to 2^24 of them.
    rows = event.reshape(-1, event.shape[2]).astype(np.float32)
    return float(np.count_nonzero(rows @ connected.T.astype(np.float32)))


def _leaky(layer: Any) -> bool:
    if isinstance(layer, SpeckLayer):
        return False
    if hasattr(layer, "dv"):
        return bool(layer.dv > 0 or layer.du < 4095)
    return bool(np.any(layer.leak > 0) or np.any(layer.syn_leak < 1))
