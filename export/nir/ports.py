"""Outputs and the ports of nested graphs: what they declare against the shape that arrives.

A port computes nothing, so a wrong label changes no number. It is put right where the rest proves
it, and says so:

    (60, 16, 5) where (5,) arrives    time and batch before the shape
    (1, 5) where (5,) arrives         ones
    (12,) where (38,) arrives         other channels, and the parameters of a node that gives or
                                      takes the value ask for 38 (snnTorch labelled the ports of
                                      its recurrent nests with the shape before the matrix)

Where nothing but other labels stands against a port, either may be the wrong one: refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import nir

from neurozsl.core.errors import BadInput
from neurozsl.export.nir import settle as rules
from neurozsl.export.nir.parameters import Shape
from neurozsl.export.nir.samples import Neighbours, Nodes, time_or_batch


@dataclass(frozen=True)
class Around:
    """The nodes as they were stored, their neighbours, the shapes that they give, found proofs."""

    nodes: Nodes
    before: Neighbours
    after: Neighbours
    shapes: Mapping[str, Shape]
    proofs: dict[str, str | None] = field(default_factory=dict)


def port_note(what: str, stored: Shape, source: str, around: Around) -> str:
    """One sentence on a port that declares another shape than `source` gives it; '' if the same.

    Raises:
        BadInput: it does not follow which of the two is right; the message says what is likely.
    """
    shape = around.shapes[source]
    if stored == shape:
        return ""
    lead = stored[: len(stored) - len(shape)]
    if lead and rules.unbatched(stored, shape) is not None:
        return f"{what}: {stored} has {time_or_batch(lead)}, '{source}' gives {shape}"
    if [n for n in stored if n != 1] == [n for n in shape if n != 1]:
        return f"{what}: shape {stored}, '{source}' gives {shape}"
    same_rest = len(stored) == len(shape) and stored[1:] == shape[1:]
    proof = _proof(source, around) if same_rest else None
    if proof is not None:
        return (
            f"{what}: its shape says {stored}, '{source}' gives {shape}, as the parameters of "
            f"'{proof}' ask"
        )
    raise BadInput(
        f"{what}: its shape is {stored}, but '{source}' gives {shape}; "
        f"{_meaning(what, stored, shape, around)}"
    )


def _meaning(what: str, stored: Shape, shape: Shape, around: Around) -> str:
    inputs = [name for name, node in around.nodes.items() if isinstance(node, nir.Input)]
    if len(shape) > len(stored) and rules.unbatched(shape, stored) is not None:
        return (
            f"most likely {shape[: len(shape) - len(stored)]} is time or batch that the Input "
            f"names ({', '.join(inputs[:8])}): store the shape of one sample there"
        )
    if prod(stored) == prod(shape):
        return (
            "most likely a Flatten between them is missing, or the axes stand in another order: "
            f"add the node, or store {shape} in the port"
        )
    if len(stored) == len(shape) and stored[1:] == shape[1:]:
        return (
            "no parameter says which of the two labels is wrong, most likely the one that differs "
            f"from the data: store {shape} in the port, or correct the Input "
            f"({', '.join(inputs[:8])})"
        )
    return (
        f"most likely the port was labelled at another place of the network: store {shape} in it, "
        "or add the node that is missing before it"
    )


def _proof(source: str, around: Around) -> str | None:
    """A node whose parameters, and no label, say how many channels the value of `source` has.

    All values that are searched have as many, so what is found for one holds for all.
    """
    pending, seen, found = [source], {source}, None
    while pending and found is None:
        at = pending.pop()
        if at in around.proofs:
            found = around.proofs[at]
            continue
        found = _asked_at(at, around)
        if rules.keeps_channels(around.nodes[at]):
            new = [name for name in around.before[at] if name not in seen]
            seen.update(new)
            pending += new
    around.proofs.update(dict.fromkeys(seen, found))
    return found


def _asked_at(at: str, around: Around) -> str | None:
    """A node at this value that asks for its channels: its source, or one that takes it."""
    shape = around.shapes.get(at)
    if isinstance(around.nodes[at], rules.SYNAPSES):
        return at
    near = (at, *around.after[at]) if shape else ()
    return next((n for n in near if _asks(n, around.nodes[n], shape or ())), None)


def _asks(name: str, node: Any, shape: Shape) -> bool:
    """Its parameters ask for this shape, or for as many values."""
    if not rules.is_proof(name, node) or isinstance(node, nir.Flatten):
        return False
    want = rules.wanted(name, node)
    return want is not None and (rules.fits(shape, want) or want == (prod(shape),))
