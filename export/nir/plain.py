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
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np

from neurozsl.export.nir.dialects.base import TIMES, Evidence, Mended, NeuronNode, evidence
from neurozsl.export.nir.dialects.registry import Spoken
from neurozsl.export.nir.meaning import Meaning


@dataclass(frozen=True)
class Plain:
    """The graph in plain words, what was changed, and exact decays, `kappa/NODE`."""

    graph: nir.NIRGraph
    told: tuple[str, ...]
    decays: Mapping[str, Any]


def plain(graph: nir.NIRGraph, meant: Meaning, spoken: Spoken | None) -> Plain:
    """Shapes and edges stay."""
    nodes, told, decays = dict(graph.nodes), list[str](), dict[str, Any]()
    seen = evidence(graph)
    for name, node in graph.nodes.items():
        mended = _mended(name, node, meant, spoken, seen)
        if mended.values:
            nodes[name] = replace(node, **mended.values)
        if mended.text:
            told.append(f"node '{name}': {mended.text}")
        decays |= {f"{key}/{name}": value for key, value in mended.decays.items()}
    return Plain(nir.NIRGraph(nodes=nodes, edges=list(graph.edges)), tuple(told), decays)


def _mended(name: str, node: Any, meant: Meaning, spoken: Spoken | None, seen: Evidence) -> Mended:
    told, decays = list[str](), dict[str, Any]()
    values: dict[str, Any] = {
        key: np.asarray(getattr(node, key), np.float64) * meant.unit_s
        for key in (*TIMES, "delay")
        if meant.unit_s != 1 and hasattr(node, key)
    }
    if spoken is not None and hasattr(node, "r"):
        now = replace(node, **values) if values else node
        mended = spoken.dialect.mend(NeuronNode(name, now), meant.dt_s, spoken.variant, seen)
        values |= mended.values
        told += [mended.text] if mended.text else []
        decays |= mended.decays if meant.discretisation == "euler" else {}
    if meant.if_gain == "rate" and isinstance(node, nir.IF | nir.I):
        values["r"] = np.asarray(node.r, np.float64) * meant.dt_s
        told.append("r became r dt, the gain of a step")
    if meant.discretisation == "exponential":
        taus = {key: values.get(key, getattr(node, key)) for key in TIMES if hasattr(node, key)}
        for key, tau in taus.items():
            exact = np.asarray(tau, np.float64)
            if np.all(exact > 0):  # lowering refuses another by its name
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
    return Mended(values, "; ".join(told), decays)
