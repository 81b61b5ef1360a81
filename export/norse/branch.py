"""A Norse stack of the user as a `BranchSpec`, and a `BranchSpec` run by real Norse cells.

`spec_from_norse` reads `nn.Sequential` or Norse's `SequentialState` made of

    Linear [BatchNorm1d] LIFBoxCell | LIFCell | IAFCell

(`norse_graph` reads more modules, into a NIR graph) and computes kappa = dt tau_mem_inv, syn_kappa
= dt tau_syn_inv (Norse's `dt` is an argument of the cell; its own `to_nir` multiplies by it twice,
norse issue 411). `run_norse` is the reference of every float comparison of this package: the neuron
is Norse's, stepped in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.signals import BranchSpec, ChipInput, FloatArray, InputCode, LayerSpec, Trace
from neurozsl.export.nir.check import check_spec, is_integrator
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.thresholds import theta_of
from neurozsl.norse import cells as norse


@dataclass(frozen=True)
class _Part:
    """What the modules read so far say about the layer being built; None until they said it."""

    weight: FloatArray | None = None
    bias: FloatArray | None = None


def spec_from_norse(
    module: nn.Module, *, steps: int, dt_s: float | None = None, input_code: InputCode | None = None
) -> BranchSpec:
    """Read a stack of Linear layers and Norse cells.

    Args:
        module: `nn.Sequential` or `SequentialState`, nested ones included.
        steps: time steps of a sample.
        dt_s: length of a step in seconds; None takes the cells' own dt.
        input_code: how the input is coded; None means binary spikes.

    Returns:
        BranchSpec with input "input" and layers "layer.0", "layer.1", ...; the last is read.

    Raises:
        UnsupportedNode: lists every module that cannot be carried over, with its reason.
    """
    layers: list[LayerSpec] = []
    part, faults, dts = _Part(), [], set()
    for path, child in flat_modules(module, ""):
        where = f"{path or 'module'} ({type(child).__name__})"
        try:
            reader = _READERS.get(type(child))
            if reader is None:
                raise NotCarried(_REASONS.get(type(child).__name__, "not in the table"))
            made = reader(child, part)
        except NotCarried as reason:
            faults.append(f"{where}: {reason}")
            # Go on as if the part had been read, so that one run names every fault.
            part = _Part() if hasattr(child, "dt") else part
            continue
        if isinstance(made, _Part):
            part = made
            continue
        source = f"layer.{len(layers) - 1}" if layers else "input"
        layers.append(replace(made, name=f"layer.{len(layers)}", source=source))
        dts.add(float(child.dt))
        part = _Part()
    if part.weight is not None and not faults:
        faults.append("the last Linear: no spiking cell after it")
    if faults:
        raise UnsupportedNode(faults, "Norse stack", "supported: " + _SUPPORTED)
    if not layers:
        raise BadInput(f"Norse stack: {type(module).__name__} holds no layer; {_SUPPORTED}")
    if dt_s is None and len(dts) > 1:
        raise BadInput(f"Norse stack: cells with different dt ({sorted(dts)}); pass dt_s")
    size = int(layers[0].weight.shape[1])
    code = input_code or InputCode(size=size, kind="binary", bits=1, signed=False, scale=1.0)
    step = dt_s if dt_s is not None else dts.pop()
    spec = BranchSpec({"input": code}, tuple(layers), (layers[-1].name,), step, steps)
    check_spec(spec)
    return spec


def run_norse(
    spec: BranchSpec,
    chip: ChipInput,
    *,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    record: tuple[Record, ...] = ("spikes",),
) -> Trace:
    """Step the branch with Norse cells.

    Args:
        spec: the branch.
        chip: codes `(batch, time, size)` per input; theta where the policy is dynamic.
        dtype: float64 is what equality is claimed in.
        device: torch device.
        record: add "membrane" for v after each step.

    Returns:
        Trace with the spikes of every layer, uint8.
    """
    check_spec(spec)
    membrane = {}
    chip = check_input(spec.inputs, spec.layers, spec.steps, spec.policy, chip)
    with torch.no_grad():
        values = {
            name: torch.as_tensor(chip.codes[name], dtype=dtype, device=device) * code.scale
            for name, code in spec.inputs.items()
        }
        for layer in spec.layers:
            current = _drive(layer, values[layer.source])
            theta = torch.as_tensor(theta_of(layer, spec.policy, chip), dtype=dtype, device=device)
            values[layer.name], v = _run_layer(layer, current, theta)
            if "membrane" in record:
                membrane[layer.name] = v.cpu().numpy()
    spikes = {x.name: values[x.name].to(torch.uint8).cpu().numpy() for x in spec.layers}
    return Trace(spikes, membrane=membrane)


def _drive(layer: LayerSpec, x: torch.Tensor) -> torch.Tensor:
    """W x + b, `(batch, time, size)`, of a matrix or a kernel."""
    weight, bias = (
        torch.as_tensor(value, dtype=x.dtype, device=x.device)
        for value in (layer.weight, layer.bias)
    )
    conv = layer.conv
    if conv is None:
        return nn.functional.linear(x, weight, bias)
    top, bottom, left, right = conv.padding
    maps = nn.functional.pad(x.reshape(-1, *conv.shape), (left, right, top, bottom))
    y = nn.functional.conv2d(
        maps, weight, bias, stride=conv.stride, dilation=conv.dilation, groups=conv.groups
    )
    return y.reshape(*x.shape[:2], -1)


def _run_layer(
    layer: LayerSpec, current: torch.Tensor, theta: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes and v `(batch, time, neuron)` of one layer; theta broadcasts to that shape."""
    cell, state = _cell(layer, current)
    theta = theta.expand(-1, current.shape[1], -1)
    spikes, membrane = [], []
    for step in range(current.shape[1]):
        cell.p = cell.p._replace(v_th=theta[:, step])
        z, state = cell(current[:, step], state)
        spikes.append(z)
        membrane.append(state.v)
    return torch.stack(spikes, dim=1), torch.stack(membrane, dim=1)


def _cell(layer: LayerSpec, like: torch.Tensor) -> tuple[Any, Any]:
    """The Norse cell of a layer (dt = 1, so tau_mem_inv is kappa) and its state at rest."""

    def tensor(x: Any) -> torch.Tensor:
        return torch.as_tensor(x, dtype=like.dtype, device=like.device)

    rest = torch.zeros_like(like[:, 0])
    zero = tensor(0.0)
    if is_integrator(layer):
        return norse.IAFCell(norse.IAFParameters(v_reset=zero)), norse.IAFFeedForwardState(v=rest)
    shared = {"tau_mem_inv": tensor(layer.kappa), "v_leak": zero, "v_reset": zero}
    if layer.syn_kappa is None:
        box = norse.LIFBoxParameters(**shared)
        return norse.LIFBoxCell(box, dt=1.0), norse.LIFBoxFeedForwardState(v=rest)
    lif = norse.LIFParameters(tau_syn_inv=tensor(layer.syn_kappa), **shared)
    return norse.LIFCell(lif, dt=1.0), norse.LIFFeedForwardState(v=rest, i=rest)


class NotCarried(Exception):
    """Why one module cannot be carried over."""


def flat_modules(module: nn.Module, path: str) -> Iterator[tuple[str, Any]]:
    """The modules of nested sequences in order, with their path."""
    if isinstance(module, nn.Sequential | norse.SequentialState):
        for name, child in module.named_children():
            yield from flat_modules(child, f"{path}.{name}" if path else name)
    else:
        yield path, module


def numbers(value: Any) -> FloatArray:
    """A tensor or number in float64."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().astype(np.float64)
    return np.asarray(value, np.float64)


def _read_linear(module: Any, part: _Part) -> _Part:
    if part.weight is not None:
        raise NotCarried("follows another Linear without a spiking cell between them")
    weight = module.weight.detach().cpu().numpy()
    bias = np.zeros(len(weight), weight.dtype) if module.bias is None else numbers(module.bias)
    return _Part(weight, bias)


def _read_batchnorm(module: Any, part: _Part) -> _Part:
    """Fold y = (x - mean) / sqrt(var + eps) gamma + beta into the Linear before."""
    if part.weight is None or part.bias is None:
        raise NotCarried("no Linear before it to fold into")
    if module.running_mean is None:
        raise NotCarried("keeps no running statistics (track_running_stats=False)")
    scale = 1 / np.sqrt(numbers(module.running_var) + module.eps)
    shift = -numbers(module.running_mean) * scale
    if module.affine:
        gamma, beta = numbers(module.weight), numbers(module.bias)
        scale, shift = scale * gamma, shift * gamma + beta
    return _Part(part.weight * scale[:, None], part.bias * scale + shift)


def _read_nothing(module: nn.Module, part: _Part) -> _Part:
    """Dropout and Identity do nothing when the network is used."""
    return part


def _layer(part: _Part, p: Any, **decays: Any) -> LayerSpec:
    if part.weight is None or part.bias is None:
        raise NotCarried("no Linear before it")
    size = len(part.weight)
    for key in ("v_leak", "v_reset"):
        if np.any(numbers(getattr(p, key, 0.0)) != 0):
            raise NotCarried(f"{key} is not 0")
    if getattr(p, "reset_method", norse.reset_value) is not norse.reset_value:
        raise NotCarried("reset_method is not reset_value (chips of this package reset to 0)")
    vectors: dict[str, Any] = {}
    for key, value in {"threshold": p.v_th, **decays}.items():
        value = numbers(value)
        if value.size not in (1, size):
            raise NotCarried(f"{key} has {value.size} values for {size} neurons")
        vectors[key] = np.array(np.broadcast_to(value.reshape(-1), (size,)))
    return LayerSpec(name="", source="", weight=part.weight, bias=part.bias, **vectors)


def _read_lif_box(cell: Any, part: _Part) -> LayerSpec:
    return _layer(part, cell.p, kappa=cell.dt * numbers(cell.p.tau_mem_inv))


def _read_lif(cell: Any, part: _Part) -> LayerSpec:
    kappa = cell.dt * numbers(cell.p.tau_mem_inv)
    return _layer(part, cell.p, kappa=kappa, syn_kappa=cell.dt * numbers(cell.p.tau_syn_inv))


def _read_iaf(cell: Any, part: _Part) -> LayerSpec:
    return _layer(part, cell.p, kappa=0.0)


_READERS: Mapping[type, Callable[[Any, _Part], _Part | LayerSpec]] = {
    nn.Linear: _read_linear,
    nn.BatchNorm1d: _read_batchnorm,
    nn.Dropout: _read_nothing,
    nn.Identity: _read_nothing,
    norse.LIFBoxCell: _read_lif_box,
    norse.LIFCell: _read_lif,
    norse.IAFCell: _read_iaf,
}
_SUPPORTED = "Linear, BatchNorm1d after it, then LIFBoxCell, LIFCell or IAFCell"
_REASONS: Mapping[str, str] = {
    "LIF": "wraps time itself; use LIFCell",
    "LIFRecurrentCell": "recurrence is not exported",
    "LIFRecurrent": "recurrence is not exported",
    "LIBoxCell": "does not spike; read the spikes and integrate on the host",
    "LICell": "does not spike; read the spikes and integrate on the host",
    "Conv2d": "convolutions are not exported",
    "Flatten": "give the stack flat input",
}
