"""A graph as it is meant -> the same in plain words, so that any reader of our metadata agrees.

In: a flat graph and its `Meaning`. Out: a graph in seconds, with explicit Euler, the gain of a step
as r of an IF and every reset at 0:

    times           in seconds
    exponential     kappa = 1 - exp(-dt / tau), stored as tau = dt / kappa
    r of an IF      r dt where it was a rate
    v_reset         v' = v - v_reset, theta' = theta - v_reset, v_leak' = v_leak - v_reset (exact)

and a sentence for every change of a number.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import nir
import numpy as np

from neurozsl.export.nir.dialects.base import NeuronNode
from neurozsl.export.nir.dialects.registry import Spoken
from neurozsl.export.nir.meaning import Meaning

_TIMES: Final = ("tau", "tau_mem", "tau_syn", "delay")
_DECAYS: Final = ("tau", "tau_mem", "tau_syn")


def plain(
    graph: nir.NIRGraph, meant: Meaning, spoken: Spoken | None
) -> tuple[nir.NIRGraph, tuple[str, ...]]:
    """The graph in plain words, and what was changed; shapes and edges stay."""
    nodes, told = dict(graph.nodes), list[str]()
    for name, node in graph.nodes.items():
        changed, said = _plain(name, node, meant, spoken)
        if changed:
            nodes[name] = replace(node, **changed)
        told += [f"node '{name}': {text}" for text in said]
    return nir.NIRGraph(nodes=nodes, edges=list(graph.edges)), tuple(told)


def _plain(
    name: str, node: Any, meant: Meaning, spoken: Spoken | None
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    told = []
    values: dict[str, Any] = {
        key: np.asarray(getattr(node, key), np.float64) * meant.unit_s
        for key in _TIMES
        if meant.unit_s != 1 and hasattr(node, key)
    }
    if spoken is not None and hasattr(node, "r"):
        now = replace(node, **values) if values else node
        mended = spoken.dialect.mend(NeuronNode(name, now), meant.dt_s, spoken.variant)
        values |= mended.values
        told += [mended.text] if mended.text else []
    if meant.if_gain == "rate" and isinstance(node, nir.IF | nir.I):
        values["r"] = np.asarray(node.r, np.float64) * meant.dt_s
        told.append("r became r dt, the gain of a step")
    if meant.discretisation == "exponential":
        decays = {key: values.get(key, getattr(node, key)) for key in _DECAYS if hasattr(node, key)}
        for key, tau in decays.items():
            exact = np.asarray(tau, np.float64)
            values[key] = meant.dt_s / -np.expm1(-meant.dt_s / exact)
            told.append(f"{key} became dt / (1 - exp(-dt / {key})), which decays alike")
    reset = getattr(node, "v_reset", None)
    if reset is not None and np.any(np.asarray(reset) != 0):
        lowered = np.asarray(reset, np.float64)
        values |= {
            key: np.asarray(getattr(node, key), np.float64) - lowered
            for key in ("v_threshold", "v_leak")
            if hasattr(node, key)
        }
        told.append("membrane, threshold and v_leak are counted from v_reset")
    return values, tuple(told)
