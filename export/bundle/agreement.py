"""How far two traces agree, layer by layer.

agree    share of equal bits; flattered by sparse zeros, so also
matched  F1 of the spikes: 2 both / (first + second), 1 where neither has a spike; of several
         spikes in a step the smaller count is in both
margin   largest |v* - theta| among the bits that differ (float backends): near 0 means a tie,
         anything else a real difference; of several spikes in a step to the multiple of theta
         that v* should have crossed, or should not
membrane largest |v - v'| after a step, in units of the float model, where both recorded v
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.floatsim.floatsim import drive
from neurozsl.hardware.floatsim.rules import replay
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.thresholds import theta_of

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LayerAgreement:
    """One layer of a comparison; spikes and rate are those of the first trace.

    differing: number of unequal bits. first_step: earliest step with one (0-based) or None.
    """

    name: str
    agree: float
    matched: float
    spikes: int
    rate: float
    differing: int
    first_step: int | None = None
    margin: float | None = None
    membrane: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The row of `verify --json`; what does not apply is left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def compare(first: Trace, second: Trace, names: tuple[str, ...]) -> tuple[LayerAgreement, ...]:
    """Compare the layers `names` of two traces.

    Raises:
        BadInput: a layer is missing or has another shape.
    """
    a, b = first.to_numpy().spikes, second.to_numpy().spikes
    return tuple(_layer(name, _get(a, name), _get(b, name)) for name in names)


def _get(spikes: Mapping[str, Any], name: str) -> Bits:
    if name not in spikes:
        raise BadInput(f"trace has no layer '{name}'; it has {', '.join(spikes)}")
    return np.asarray(spikes[name])


def _layer(name: str, a: Bits, b: Bits) -> LayerAgreement:
    if a.shape != b.shape:
        raise BadInput(f"layer '{name}': traces of shape {a.shape} and {b.shape}")
    differ = a != b
    spikes, other = int(a.sum(dtype=np.int64)), int(b.sum(dtype=np.int64))
    both = int(np.minimum(a, b).sum(dtype=np.int64))
    steps = np.flatnonzero(differ.any(axis=(0, 2)))
    return LayerAgreement(
        name=name,
        agree=1.0 - float(differ.mean()),
        matched=2 * both / (spikes + other) if spikes + other else 1.0,
        spikes=spikes,
        rate=spikes / a.size,
        differing=int(differ.sum()),
        first_step=int(steps[0]) if steps.size else None,
    )


def told_processes(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Per backend that had some, which synapses ran as sparse Processes.

    document: of a verification (`Verification.as_json`, or the one in a manifest).

    >>> told_processes({"processes": {"lava": {"a": ["audio: Sparse"], "b": ["a: Dense"]}}})
    ('lava: 1 of 2 synapses ran as Sparse (audio -> a), the others as Dense',)
    """
    told = []
    for backend, layers in document.get("processes", {}).items():
        rows = [(layer, *text.rsplit(": ", 1)) for layer, texts in layers.items() for text in texts]
        sparse = [f"{source} -> {layer}" for layer, source, kind in rows if kind == "Sparse"]
        if not sparse:  # a float run, or a dense network
            continue
        others = sorted({kind for _, _, kind in rows if kind != "Sparse"})
        text = f"{backend}: {len(sparse)} of {len(rows)} synapses ran as Sparse"
        text += f" ({', '.join(sparse)})"
        told.append(text + (f", the others as {' and '.join(others)}" if others else ""))
    return tuple(told)


def worst_membranes(
    first: Trace, second: Trace, scales: tuple[Mapping[str, float], Mapping[str, float]]
) -> dict[str, float]:
    """Per layer that both traces recorded the largest difference of the membrane after a step.

    `scales`: per trace and layer the real value of one unit of its membrane; 1 where absent.
    """
    found = {}
    for name in first.membrane.keys() & second.membrane.keys():
        a, b = (
            np.asarray(trace.membrane[name], np.float64) * scale.get(name, 1.0)
            for trace, scale in zip((first, second), scales, strict=True)
        )
        found[name] = float(np.abs(a - b).max(initial=0.0))
    return found


def worst_margins(
    lowered: Lowered, chip: ChipInput, first: Trace, second: Trace
) -> dict[str, float]:
    """Per layer with unequal counts the largest |v* - n theta| there, v* on the path of `first`.

    `first` is the reference: its spikes feed the next layer and decide the resets.
    """
    chip = chip.to_numpy()
    values: dict[str, Any] = {n: chip.codes[n] * c.scale for n, c in lowered.inputs.items()}
    values |= first.to_numpy().spikes
    margins = {}
    for layer in lowered.layers:
        own, other = values[layer.name], second.to_numpy().spikes[layer.name]
        differ = own != other
        if differ.any():
            theta = np.broadcast_to(theta_of(layer, lowered.policy, chip), own.shape)
            edge = np.where(other > own, other, other + 1.0)  # 1 where neurons send one spike
            v = replay(layer, drive(layer, values), own, theta, reached=True)
            gap = np.abs(v - edge * theta)
            margins[layer.name] = float(gap[differ].max())
    return margins
