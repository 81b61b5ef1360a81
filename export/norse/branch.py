"""A `BranchSpec` run by real Norse cells: the reference of every float comparison of this package.

The neuron is Norse's, stepped in float64. `graph.from_norse` reads a stack of Norse's own, and
`nir.graph.from_nir` makes a `BranchSpec` of its graph.
"""

from functools import partial
from typing import Any

import torch
from torch import nn

from neurozsl.core.signals import BranchSpec, ChipInput, LayerSpec, Trace
from neurozsl.export.nir.check import check_spec, is_integrator
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.thresholds import theta_of
from neurozsl.norse import cells as norse


def run_norse(
    spec: BranchSpec, chip: ChipInput, *, record: tuple[Record, ...] = ("spikes",)
) -> Trace:
    """Step the branch with Norse cells; the trace has the spikes of every layer, uint8.

    The input has codes `(batch, time, size)`, and theta where the policy is dynamic. "membrane" in
    `record` adds v after each step.
    """
    check_spec(spec)
    membrane = {}
    chip = check_input(spec.inputs, spec.layers, spec.steps, spec.policy, chip)
    with torch.no_grad():
        values = {
            name: torch.as_tensor(chip.codes[name], dtype=torch.float64) * code.scale
            for name, code in spec.inputs.items()
        }
        for layer in spec.layers:
            current = _drive(layer, values[layer.source])
            theta = torch.as_tensor(theta_of(layer, spec.policy, chip), dtype=torch.float64)
            values[layer.name], v = _run_layer(layer, current, theta)
            if "membrane" in record:
                membrane[layer.name] = v.numpy()
    spikes = {x.name: values[x.name].to(torch.uint8).numpy() for x in spec.layers}
    return Trace(spikes, membrane=membrane)


def _drive(layer: LayerSpec, x: torch.Tensor) -> torch.Tensor:
    """W x + b, `(batch, time, size)`, of a matrix or a kernel, with the pools before it."""
    weight, bias = (torch.as_tensor(y, dtype=x.dtype) for y in (layer.weight, layer.bias))
    rows = x.flatten(0, 1)  # (batch x time, size)
    for pool in layer.pools:
        rows = nn.functional.avg_pool2d(
            rows.reshape(-1, *pool.shape),
            pool.kernel,
            pool.stride,
            pool.padding,
            divisor_override=1,
        )
    conv = layer.conv
    if conv is None:
        y = nn.functional.linear(rows.flatten(1), weight, bias)
    else:
        top, bottom, left, right = conv.padding
        maps = nn.functional.pad(rows.reshape(-1, *conv.shape), (left, right, top, bottom))
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
    tensor = partial(torch.as_tensor, dtype=like.dtype)
    rest, zero = torch.zeros_like(like[:, 0]), tensor(0.0)
    if is_integrator(layer):
        return norse.IAFCell(norse.IAFParameters(v_reset=zero)), norse.IAFFeedForwardState(v=rest)
    shared = {"tau_mem_inv": tensor(layer.kappa), "v_leak": zero, "v_reset": zero}
    if layer.syn_kappa is None:
        box = norse.LIFBoxParameters(**shared)
        return norse.LIFBoxCell(box, dt=1.0), norse.LIFBoxFeedForwardState(v=rest)
    lif = norse.LIFParameters(tau_syn_inv=tensor(layer.syn_kappa), **shared)
    return norse.LIFCell(lif, dt=1.0), norse.LIFFeedForwardState(v=rest, i=rest)
