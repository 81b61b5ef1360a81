"""Checks of a `BranchSpec` before anything is built from it: one error that names every fault.

A spec with a NaN, a forward reference or a decay outside (0, 1] would otherwise surface as a
silent zero, deep inside a simulator.
"""

import math
import re
from typing import Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.maps import Conv
from neurozsl.core.signals import BranchSpec, LayerSpec
from neurozsl.hardware.network.synapse import Link, Synapse, check_synapse

_OF_SYNAPSES: Final = re.compile(r"\.(w|flat|pool\d+)$")  # names of nodes before the neurons
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def check_spec(spec: BranchSpec) -> None:
    """Raise if the branch cannot be written as a graph.

    Raises:
        BadInput: lists all faults: names, order, shapes, ranges, values that are not finite.
    """
    faults = _branch_faults(spec)
    sizes = {name: code.size for name, code in spec.inputs.items()}
    maps: dict[str, tuple[int, ...]] = {}  # of convolutions, and of inputs read as one
    for layer in spec.layers:
        faults += _name_faults(layer.name, sizes)
        wrong = _geometry_faults(layer, sizes, maps)
        faults += wrong or _layer_faults(layer, sizes.get(layer.source), spec)
        sizes[layer.name] = -1 if wrong else layer.size
        if layer.conv is not None and not wrong:
            maps[layer.name] = layer.shape
        if layer.map_read is not None and not wrong:
            maps.setdefault(layer.source, layer.map_read)
    known = {layer.name for layer in spec.layers}
    faults += [f"output '{n}' is not one of the layers" for n in spec.outputs if n not in known]
    if faults:
        raise BadInput("spiking branch cannot be exported: " + "; ".join(faults))


def is_integrator(layer: LayerSpec) -> bool:
    """True for an integrate-and-fire layer: kappa is 0 in every neuron and the input gain is 1.

    A leaky neuron with kappa = 0 would never move (its gain is kappa too), so the value is free
    to say "no leak": v* = v + W x + b.
    """
    return not np.any(layer.kappa)


def _branch_faults(spec: BranchSpec) -> list[str]:
    rules = {
        "it has no input": bool(spec.inputs),
        "it has no layer": bool(spec.layers),
        "it has no output": bool(spec.outputs),
        f"dt_s = {spec.dt_s} must be a positive number of seconds": 0 < spec.dt_s < math.inf,
        f"steps = {spec.steps} must be at least 1": spec.steps >= 1,
    }
    for name, code in spec.inputs.items():
        exact = 0 < code.scale < math.inf and math.frexp(code.scale)[0] == 0.5
        rules[f"input '{name}' has size {code.size}"] = code.size >= 1
        rules[f"input '{name}': scale {code.scale} is not a power of two"] = exact
        rules[f"input '{name}': {code.bits} bits, expected 1 to 16"] = 1 <= code.bits <= 16
    return [text for text, kept in rules.items() if not kept]


def _name_faults(name: str, taken: dict[str, int]) -> list[str]:
    if name in taken:
        return [f"the name '{name}' is used twice"]
    if not name or "/" in name or name.startswith("out.") or _OF_SYNAPSES.search(name):
        return [
            f"layer name '{name}' is empty, holds '/', starts with 'out.', or ends with '.w', "
            "'.flat' or '.pool' and a number"
        ]
    return []


def _geometry_faults(
    layer: LayerSpec, sizes: dict[str, int], maps: dict[str, tuple[int, ...]]
) -> list[str]:
    """Faults of the weights' shape; a map is read with the shape that its source gives it."""
    where, conv, read = f"layer '{layer.name}'", layer.conv, layer.map_read
    if read is None:
        if layer.weight.ndim != 2:
            return [f"{where}: weight has shape {layer.weight.shape}, expected (out, in)"]
        return []
    try:
        check_synapse(where, Synapse(layer.source, layer.weight, Link(conv, layer.pools)))
    except BadInput as error:
        return [str(error)]
    faults = [] if conv is None else _kernel_faults(where, conv, layer)
    if layer.pools and 1 in (read[1], 2 if conv is None else conv.shape[1]):
        faults.append(f"{where}: pools a map {read}, NIR pools maps of height 2 or more")
    given = maps.get(layer.source, read if layer.source in sizes else None)
    if given is not None and given != read:
        faults.append(f"{where}: reads a map {read}, '{layer.source}' is one of {given}")
    return faults


def _kernel_faults(where: str, conv: Conv, layer: LayerSpec) -> list[str]:
    """Convolutions that have no node of NIR."""
    faults, (top, bottom, left, right) = [], conv.padding
    if (top, left) != (bottom, right):
        faults.append(f"{where}: padding {conv.padding}, NIR pads both ends of an axis alike")
    if conv.shape[1] == 1 and (layer.weight.shape[2], conv.stride[0], top) != (1, 1, 0):
        faults.append(f"{where}: a kernel on a map {conv.shape} has height and stride 1 there")
    return faults


def _layer_faults(layer: LayerSpec, source_size: int | None, spec: BranchSpec) -> list[str]:
    where = f"layer '{layer.name}'"
    faults = []
    size, width = layer.size, layer.size_in
    if source_size is None:
        faults.append(f"{where}: its source '{layer.source}' is no input and no earlier layer")
    elif source_size not in (width, -1):
        faults.append(f"{where}: {width} columns, but '{layer.source}' has {source_size} values")
    vectors = {"bias": layer.bias, "kappa": layer.kappa, "threshold": layer.threshold}
    if layer.syn_kappa is not None:
        vectors["syn_kappa"] = layer.syn_kappa
    for key, vector in vectors.items():
        expected = (layer.weight.shape[0] if key == "bias" else size,)
        if vector.shape != expected:
            faults.append(f"{where}: {key} has shape {vector.shape}, expected {expected}")
    table = layer.theta_table
    if table is not None and table.shape != (spec.steps,):
        faults.append(f"{where}: theta_table has shape {table.shape}, expected ({spec.steps},)")
    if spec.policy == "table" and table is None:
        faults.append(f"{where}: the policy 'table' needs a theta_table")
    arrays = {"weight": layer.weight, **vectors} | ({} if table is None else {"theta_table": table})
    for key, array in arrays.items():
        bad = int(np.size(array) - np.count_nonzero(np.abs(array) <= _FLOAT32_MAX))
        if bad:
            faults.append(f"{where}: {bad} values of {key} are NaN, infinite or beyond float32")
    return faults + _range_faults(layer, where)


def _range_faults(layer: LayerSpec, where: str) -> list[str]:
    faults = []
    inside = (layer.kappa > 0) & (layer.kappa <= 1)
    if not (inside.all() or is_integrator(layer)):
        faults.append(
            f"{where}: kappa {layer.kappa.min():g}..{layer.kappa.max():g} must lie in (0, 1], "
            "or be 0 in all neurons (integrate-and-fire)"
        )
    if layer.syn_kappa is not None:
        if not ((layer.syn_kappa > 0) & (layer.syn_kappa <= 1)).all():
            faults.append(f"{where}: syn_kappa must lie in (0, 1]")
        if is_integrator(layer):
            faults.append(f"{where}: a synaptic current needs a leaky membrane (kappa > 0)")
    if not (layer.threshold > 0).all():
        faults.append(f"{where}: a threshold is {layer.threshold.min():g}, it must be positive")
    if layer.theta_table is not None and not (layer.theta_table > 0).all():
        faults.append(f"{where}: theta_table holds values that are not positive")
    return faults
