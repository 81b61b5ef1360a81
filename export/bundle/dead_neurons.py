"""Neurons that a deployment can do without, exactly, and the deployment without them.

In: the parts of a deployment, a branch with the integers made of it. Out: `Removal`, the branch and
the integers without neurons that never spike or that nobody reads (which these are says
`hardware.network.dead`).

The integers are those of the whole layer with rows and columns taken out, not rounded anew: the
largest weight of a layer sets the unit of all others, and it may leave with its neuron. So the rest
keeps every integer, and every spike. A neuron leaves only where float and integers both allow it.

Whether a bias wakes a neuron is simulated: without weights one sample shows all that T steps from
rest can do. In float a neuron stays already where it comes near its threshold (`_MARGIN`), because
simulators round; and where the host sends the thresholds (dynamic), every neuron may wake.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeVar

import numpy as np

from neurozsl.core.signals import BranchSpec, ChipInput, LayerSpec, Trace
from neurozsl.export.backends.registry import Parts
from neurozsl.hardware.arithmetic.emulate import emulate
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer
from neurozsl.hardware.network.dead import (
    Flags,
    Kept,
    LeftOut,
    View,
    find_dead,
    sub_matrix,
    without,
)
from neurozsl.hardware.network.program import ChipProgram

_MARGIN: Final = 1e-4  # of the threshold; float32 rounds at 1e-7 a step
N = TypeVar("N", Lowered, ChipProgram)


@dataclass(frozen=True)
class Removal:
    """A deployment without its dead neurons.

    spec, program: what is left. layers: which neurons left; () where none is dead.
    """

    spec: BranchSpec
    program: ChipProgram | None
    layers: tuple[LeftOut, ...]

    @property
    def kept(self) -> Kept:
        """Per layer that lost neurons, the numbers of those that stay."""
        return {row.layer: row.kept for row in self.layers}

    @property
    def count(self) -> int:
        """Neurons that left."""
        return sum(row.count for row in self.layers)

    def trace(self, whole: Trace) -> Trace:
        """A trace of the whole network, of the neurons that stay."""
        spikes = {k: np.asarray(v) for k, v in whole.to_numpy().spikes.items()}
        return Trace({k: v[:, :, self.kept[k]] if k in self.kept else v for k, v in spikes.items()})

    def differences(self, whole: Trace, lean: Trace) -> tuple[str, ...]:
        """What the samples show against the removal: nothing, unless it is wrong.

        whole, lean: spikes with and without the dead neurons, on the same samples.
        """
        before, after = whole.to_numpy().spikes, lean.to_numpy().spikes
        found = []
        for name, kept in self.trace(whole).spikes.items():
            if differ := int(np.count_nonzero(kept != after[name])):
                found.append(f"layer '{name}' differs in {differ} bits without its dead neurons")
        for row in self.layers:
            if spikes := int(before[row.layer][:, :, list(row.silent)].sum()):
                found.append(f"layer '{row.layer}': silent neurons gave {spikes} spikes")
        return tuple(found)


def remove_dead(parts: Parts, *, recount: bool = True) -> Removal:
    """The branch and the integers of a deployment without dead neurons.

    recount: the loss report counts the weights that rounding set to 0 among those that are left;
    False where the integers were not rounded from this branch.
    """
    spec, lowered, program = parts.spec, parts.lowered, parts.program
    assert spec is not None  # networks of files keep their neurons: nobody said what is read
    views = [View(lowered.layers, _woken_floats(lowered))]
    if program is not None:
        views.append(View(program.layers, _woken_integers(program)))
    layers = find_dead(views, spec.outputs)
    kept = {row.layer: row.kept for row in layers}
    left = replace(spec, layers=tuple(smaller(layer, kept) for layer in spec.layers))
    if program is not None and layers:
        program = replace(program, layers=without(program.layers, kept))  # type: ignore[type-var]
        if recount:
            program = _recounted(program, without(lowered.layers, kept))
    return Removal(left, program, layers)


def smaller(layer: LayerSpec, kept: Kept) -> LayerSpec:
    """A layer of the branch with the neurons `kept`."""
    rows = kept.get(layer.name)
    weight = sub_matrix(layer.weight, rows, kept.get(layer.source))
    if rows is None:
        return replace(layer, weight=weight)
    return replace(
        layer,
        weight=weight,
        bias=layer.bias[rows],
        kappa=layer.kappa[rows],
        threshold=layer.threshold[rows],
        syn_kappa=None if layer.syn_kappa is None else layer.syn_kappa[rows],
    )


def _woken_floats(lowered: Lowered) -> dict[str, Flags]:
    if lowered.policy == "dynamic":
        return _all(lowered)
    near = tuple(replace(layer, **_lower_thresholds(layer)) for layer in lowered.layers)
    still = _without_weights(replace(lowered, layers=near))
    return _spiked(simulate(still, _nothing(lowered)))


def _lower_thresholds(layer: LoweredLayer) -> dict[str, Any]:
    """Thresholds moved down by the margin."""
    given = {"threshold": layer.threshold, "theta_table": layer.theta_table}
    return {k: x - _MARGIN * np.abs(x) for k, x in given.items() if x is not None}


def _woken_integers(program: ChipProgram) -> dict[str, Flags]:
    if program.policy == "dynamic":
        return _all(program)
    return _spiked(emulate(_without_weights(program), _nothing(program)))


def _all(network: Lowered | ChipProgram) -> dict[str, Flags]:
    return {layer.name: np.ones(layer.size, bool) for layer in network.layers}


def _without_weights(network: N) -> N:
    """The network with nothing but its biases."""
    layers = tuple(
        replace(
            layer,  # type: ignore[type-var]  # layers are dataclasses
            weight=0 * layer.synapses[0].weight,
            also=tuple(replace(s, weight=0 * s.weight) for s in layer.synapses[1:]),
        )
        for layer in network.layers
    )
    return replace(network, layers=layers)


def _nothing(network: Lowered | ChipProgram) -> ChipInput:
    """One sample of zeros."""
    shapes = {name: (1, network.steps, code.size) for name, code in network.inputs.items()}
    return ChipInput({k: np.zeros(x, np.int16) for k, x in shapes.items()}, network.inputs)


def _spiked(trace: Trace) -> dict[str, Flags]:
    spikes = trace.to_numpy().spikes
    return {k: np.asarray(np.any(v, axis=(0, 1)), bool) for k, v in spikes.items()}


def _recounted(program: ChipProgram, floats: tuple[LoweredLayer, ...]) -> ChipProgram:
    """The loss report with `weight_zeroed` of the weights that are left.

    The rest of it, errors and scales, describes the layer as it was rounded.
    """
    real: Mapping[str, LoweredLayer] = {layer.name: layer for layer in floats}
    zeroed = {
        layer.name: sum(
            int(np.count_nonzero((made.weight == 0) & (float_.weight != 0)))
            for made, float_ in zip(layer.synapses, real[layer.name].synapses, strict=True)
        )
        for layer in program.layers
    }
    loss = tuple(
        replace(row, weight_zeroed=zeroed[row.name])
        if any(field.name == "weight_zeroed" for field in fields(row))
        else row
        for row in program.loss
    )
    return replace(program, loss=loss)
