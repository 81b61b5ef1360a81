"""Norse's cells as NIR nodes: one neuron node each, the recurrent one with its two matrices.

In: a cell and where it stands (`ModuleAt`). Out: its node (times in steps), decays as Norse rounds
them, dt and reset rule (`Made`), or `NotCarried` with the reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import nir
import numpy as np

from neurozsl.core.signals import FloatArray
from neurozsl.export.nir.nodes import CubaLI
from neurozsl.export.norse.layers import Made, ModuleAt, NotCarried, numbers
from neurozsl.hardware.network.neuron import Reset
from neurozsl.norse import cells as norse


def _lif_box(cell: Any, at: ModuleAt) -> Made:
    methods: dict[Any, Reset] = {norse.reset_value: "zero", norse.reset_subtract: "subtract"}
    if cell.p.reset_method not in methods:
        raise NotCarried("reset_method is neither reset_value nor reset_subtract")
    kappa = _decay(cell, "tau_mem_inv", at)
    node = nir.LIF(tau=1 / kappa, v_threshold=_values(cell.p.v_th, "v_th", at), **_rest(cell, at))
    return _made(cell, at, node, methods[cell.p.reset_method], kappa=kappa)


def _lif(cell: Any, at: ModuleAt) -> Made:
    kappa, syn = _decay(cell, "tau_mem_inv", at), _decay(cell, "tau_syn_inv", at)
    node = nir.CubaLIF(
        tau_mem=1 / kappa,
        tau_syn=1 / syn,
        w_in=1 / syn,  # the input jumps the current by exactly itself
        v_threshold=_values(cell.p.v_th, "v_th", at),
        **_rest(cell, at),
    )
    return _made(cell, at, node, "zero", kappa=kappa, syn_kappa=syn)


def _recurrent_lif(cell: Any, at: ModuleAt) -> Made:
    if at.shape != (int(cell.input_size),):
        raise NotCarried(
            f"reads {int(cell.input_size)} values, before it is {at.shape}; put Flatten in front"
        )
    inside = _lif(cell, replace(at, shape=(int(cell.hidden_size),)))
    into = nir.Linear(weight=numbers(cell.input_weights))
    loop = nir.Linear(weight=numbers(cell.recurrent_weights))
    return replace(inside, nodes={f"{at.name}_in": into, **inside.nodes}, loop=loop)


def _iaf(cell: Any, at: ModuleAt) -> Made:
    rest = _rest(cell, at)
    node = nir.IF(r=rest["r"], v_threshold=_values(cell.p.v_th, "v_th", at))
    return _made(cell, at, node, "zero")


def _li_box(cell: Any, at: ModuleAt) -> Made:
    kappa = _decay(cell, "tau_mem_inv", at)
    return _made(cell, at, nir.LI(tau=1 / kappa, **_rest(cell, at)), None, kappa=kappa)


def _li(cell: Any, at: ModuleAt) -> Made:
    kappa, syn = _decay(cell, "tau_mem_inv", at), _decay(cell, "tau_syn_inv", at)
    node = CubaLI(tau_mem=1 / kappa, tau_syn=1 / syn, w_in=1 / syn, **_rest(cell, at))
    return _made(cell, at, node, None, kappa=kappa, syn_kappa=syn)


def _made(cell: Any, at: ModuleAt, node: Any, reset: Reset | None, **decays: FloatArray) -> Made:
    exact = {key: value.ravel() for key, value in decays.items()}
    return Made({at.name: node}, at.shape, dt=cell.dt, decays=exact, reset=reset)


def _rest(cell: Any, at: ModuleAt) -> dict[str, Any]:
    """Gain 1 and rest 0; a Norse cell starts at v_leak, a sample here at 0."""
    for key in ("v_leak", "v_reset"):
        if np.any(numbers(getattr(cell.p, key, 0.0)) != 0):
            raise NotCarried(
                f"{key} is not 0; count the membrane from it and move it into the bias"
            )
    return {"r": np.ones(at.shape), "v_leak": np.zeros(at.shape)}


def _decay(cell: Any, key: str, at: ModuleAt) -> FloatArray:
    """Decay of a step, dt / tau, rounded as Norse rounds it."""
    kappa = _values(cell.dt * getattr(cell.p, key), key, at)
    if not np.all((kappa > 0) & (kappa <= 1)):
        raise NotCarried(
            f"dt {key} is {kappa.min():g}..{kappa.max():g}, expected a decay in (0, 1]; Norse's "
            "inverse time constants are in 1/s"
        )
    return kappa


def _values(value: Any, key: str, at: ModuleAt) -> FloatArray:
    """A parameter in the shape of the layer."""
    found = numbers(value)
    try:
        return np.array(np.broadcast_to(found, (1, *at.shape))[0])
    except ValueError:
        raise NotCarried(f"{key} has shape {found.shape}, the layer {at.shape}") from None


CELLS: Final[Mapping[type, Callable[[Any, ModuleAt], Made]]] = {
    norse.LIFBoxCell: _lif_box,
    norse.LIFCell: _lif,
    norse.IAFCell: _iaf,
    norse.LIBoxCell: _li_box,
    norse.LICell: _li,
    norse.LIFRecurrentCell: _recurrent_lif,
}
