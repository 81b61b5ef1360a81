"""`.nir` files: written as nir 1.0.4 lays them out, read from 0.1 to 1.0.8 and from hand-made ones.

    version                                        "0.2.0", "1.0.8", or missing
    node/type, node/edges (n, 2), node/metadata    the graph; the same again in nested graphs
    node/nodes/<name>/type, <parameter>..., metadata

nir >= 1.0.6 stores `v_reset`, CubaLI and gzips arrays; 1.0.4's own reader fails on the first two.
So reading goes through a table type -> constructor; writing goes through `nir.write`, whose files
every version up to 1.0.8 reads. A file of nir <= 1.0.5 was written when the text of the standard
said "subtract at a spike", one of >= 1.0.6 says "set to v_reset"; the reader keeps what the file
says and decides nothing.

What the objects of nir 1.0.4 have no field for travels as plain attributes of what `read` returns:
`node.v_reset` where the file stores it, `graph.version` (text or None), and `graph.repairs`, one
sentence per parameter that the file lacks and that a default of the standard fills.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, Final

import nir
import numpy as np

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.folders import whole_file
from neurozsl.core.hdf5_output import output
from neurozsl.export.nir import hdf5tree
from neurozsl.export.nir.nirfields import SHAPE_NAMES, TYPES, Stored
from neurozsl.export.nir.no_network import holds, no_network, stopped

MAX_NODES: Final = 10_000
MAX_EDGES: Final = 100_000
MAX_NESTING: Final = 16
_ENDLESS: Final = ("tau", "tau_mem", "tau_syn", "r", "w_in")  # infinite where nothing decays
_WORDS: Final = ("same", "valid")  # the texts that a padding may be


def write(path: Path | str, graph: nir.NIRGraph) -> Path:
    """Write a graph; the file appears whole or not at all.

    Args:
        path: of the file; an older one is replaced.
        graph: in the layout of nir 1.0.4, which versions up to 1.0.8 read.

    Raises:
        BadInput: a parameter is NaN or infinite, or the folder cannot be written.
        OSError: the disk is full.

    Example::

        nz.write_nir("own.nir", nz.from_norse(stack, example))
    """
    path = Path(path)
    faults = _not_finite(graph)
    if faults:
        raise BadInput(f"{path}: not written, values that are not finite in {', '.join(faults)}")
    moved = [n for n, node in graph.nodes.items() if _resets_elsewhere(node)]
    if moved:
        raise BadInput(
            f"{path}: not written, the layout of nir 1.0.4 has no room for the v_reset of "
            f"{', '.join(moved)}; count membrane, threshold and v_leak from v_reset first "
            "(`export.nir.foreign.from_graph` does)"
        )
    try:
        with whole_file(path) as part, output(part) as stream:
            nir.write(stream, graph)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise BadInput(
            f"{path}: cannot write here ({hdf5tree.short(error)}); choose a folder"
        ) from error
    return path


def _resets_elsewhere(node: Any) -> bool:
    v_reset = getattr(node, "v_reset", None)
    return v_reset is not None and bool(np.any(np.asarray(v_reset) != 0))


def read(path: Path | str) -> nir.NIRGraph:
    """Read a graph written by any nir from 0.1 to 1.0.8, or by hand; nested graphs stay nested.

    Arrays are as they are stored, attributes those of the module docstring.

    Args:
        path: may be hostile: time and memory are bounded by the limits above and of `hdf5tree`.

    Raises:
        BadInput: not there, not HDF5, truncated, no NIR inside, a field missing or unknown,
            parameters whose shapes disagree, NaN, a limit passed.
        UnsupportedNode: lists every node of a type that is not in the table, nested ones too.

    Example::

        network = nz.lower(nz.read_nir("own.nir"))
    """
    path = Path(path)
    content = hdf5tree.load(path)
    if not isinstance(content.get("node"), dict):
        raise no_network(path, f"it lacks the group 'node'{holds(content)}")
    reader = _GraphReader(path)
    reader.check(content["node"])
    graph = reader.graph(content["node"], "")
    graph.repairs = tuple(reader.repairs)
    graph.version = _text(content.get("version")) or None
    faults = _not_finite(graph)
    if faults:
        endless = all(fault.rpartition(".")[2] in _ENDLESS for fault in faults)
        cause = (
            "a decay of 1 (no leak, as snnTorch's beta = 1) has no time constant: set it just "
            "below 1, 0.999999, and export again"
            if endless
            else "the training that wrote it diverged: export an earlier checkpoint"
        )
        raise BadInput(
            f"{path}: values that are not finite (NaN or infinite) in {', '.join(faults)}; {cause}"
        )
    return graph


class _GraphReader:
    """Builds the graph of one file; collects the repairs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repairs: list[str] = []

    def refuse(self, text: str) -> BadInput:
        return BadInput(f"{self.path}: {text}")

    def check(self, root: Stored) -> None:
        """Counts, nesting and types, before anything is built."""
        kind = _text(root.get("type"))
        if kind != "NIRGraph":
            what = f"is one node of type {kind[:40]!r}" if kind else f"has no type{stopped(root)}"
            raise no_network(self.path, f"its root {what}, expected a NIRGraph")
        if not isinstance(root.get("nodes"), dict) or not root["nodes"]:
            raise no_network(self.path, "its root graph has no nodes")
        nodes = edges = 0
        unknown: list[str] = []
        for name, stored, depth in _walk(root):
            nodes += 1
            if depth > MAX_NESTING:
                raise self.refuse(
                    f"node '{name}' is nested {depth} graphs deep, limit {MAX_NESTING}"
                )
            if not isinstance(stored, dict):
                raise self.refuse(f"node '{name}' is not a group of parameters")
            kind = _text(stored.get("type"))
            if kind == "NIRGraph":
                edges += len(np.atleast_1d(np.asarray(stored.get("edges", ()), object)))
            elif kind not in TYPES:
                unknown.append(f"{name} ({kind[:40] or 'no type'})")
        edges += len(np.atleast_1d(np.asarray(root.get("edges", ()), object)))
        if nodes > MAX_NODES or edges > MAX_EDGES:
            raise self.refuse(
                f"{nodes} nodes and {edges} edges, at most {MAX_NODES} and {MAX_EDGES} are read"
            )
        if unknown:
            known = ", ".join(sorted((*TYPES, "NIRGraph")))
            raise UnsupportedNode(unknown, str(self.path), f"known types: {known}")

    def graph(self, stored: Stored, where: str) -> nir.NIRGraph:
        """The graph and, in it, its nested ones; `where` is '' or 'outer.'."""
        name = where.removesuffix(".")
        if not isinstance(stored.get("nodes"), dict):
            raise self.refuse(f"graph '{name}' lacks the group 'nodes'")
        self._refuse_unknown(name or "node", stored, ("nodes", "edges", "input_type"))
        nodes = {
            key: self.graph(node, f"{where}{key}.")
            if _text(node["type"]) == "NIRGraph"
            else self.node(f"{where}{key}", node)
            for key, node in stored["nodes"].items()
        }
        graph = nir.NIRGraph(nodes={}, edges=self._edges(stored.get("edges"), name))
        # Set afterwards: nir derives types from the ports, and shapes may still be missing.
        graph.nodes = nodes
        graph.metadata = self._metadata(stored, name or "node")
        graph.input_type = _port_types(nodes, nir.Input, "input_type")
        graph.output_type = _port_types(nodes, nir.Output, "output_type")
        return graph

    def _edges(self, stored: Any, name: str) -> list[tuple[str, str]]:
        graph = f"graph '{name}'" if name else "the graph"
        if stored is None:
            self.repairs.append(f"{graph}: no edges are stored, taken as none")
            return []
        rows = stored.tolist() if isinstance(stored, np.ndarray) else stored
        if not isinstance(rows, list) or not all(
            isinstance(row, list)
            and len(row) == 2
            and all(isinstance(end, str | int) and not isinstance(end, bool) for end in row)
            for row in rows
        ):
            raise self.refuse(
                f"the edges of {graph} are not pairs of node names; store an array "
                "of strings of shape (n, 2)"
            )
        if rows and not isinstance(rows[0][0], str):
            self.repairs.append(f"{graph}: edges are stored as numbers, read as node names")
        return [(str(source), str(target)) for source, target in rows]

    def node(self, name: str, stored: Stored) -> Any:
        kind = _text(stored["type"])
        fields = TYPES[kind]
        stored = self._shape_renamed(name, kind, stored)
        known = (*fields.required, *fields.optional, *fields.defaults)
        missing = [key for key in fields.required if key not in stored]
        if missing:
            raise self.refuse(f"node '{name}' ({kind}) lacks {', '.join(missing)}; export it again")
        self._refuse_unknown(name, stored, known)
        values = {key: self._value(name, key, stored[key]) for key in known if key in stored}
        for key, default in fields.defaults.items():
            if key not in values:
                values[key] = default(values)
                self.repairs.append(
                    f"node '{name}': {key} is not stored, {np.ravel(values[key])[:1].tolist()[0]:g}"
                    " is the default of NIR"
                )
        if "r" in values:
            values = self._same_shape(name, kind, values)
        reset = values.pop("v_reset", None)
        try:
            node = fields.build(**values)
        except (AssertionError, AttributeError, TypeError, ValueError, LookupError) as error:
            raise self.refuse(
                f"node '{name}' ({kind}) has parameters that do not fit together "
                f"({hdf5tree.short(error)})"
            ) from error
        if reset is not None:
            node.v_reset = reset
        if metadata := self._metadata(stored, name):
            node.metadata = metadata
        return node

    def _value(self, name: str, key: str, value: Any) -> Any:
        """A number or an array of numbers; text only where a padding may be text."""
        if key == "padding" and _text(value) in _WORDS:
            return _text(value)
        if not isinstance(value, np.ndarray | np.generic):
            raise self.refuse(f"node '{name}': {key} holds {str(value)[:40]!r}, expected numbers")
        return value

    def _same_shape(self, name: str, kind: str, values: Stored) -> Stored:
        """Single values beside arrays take the shape of the arrays; nir refuses a mixture."""
        shapes = {np.shape(value): key for key, value in values.items()}
        full = max(shapes, key=lambda shape: (prod(shape), len(shape)))
        filled = dict(values)
        for key, value in values.items():
            if np.shape(value) == full:
                continue
            if np.size(value) != 1:
                raise self.refuse(
                    f"node '{name}' ({kind}) has parameters that do not fit together: "
                    f"{key} has shape {np.shape(value)}, {shapes[full]} has {full}"
                )
            filled[key] = np.full(full, np.ravel(value)[0])
            self.repairs.append(
                f"node '{name}': {key} is one value, its shape {full} follows from {shapes[full]}"
            )
        return filled

    def _shape_renamed(self, name: str, kind: str, stored: Stored) -> Stored:
        """The shape of a port under its name of today, the one of a Flatten out of its group."""
        if kind == "Flatten" and isinstance(stored.get("input_type"), dict):
            return {**stored, "input_type": stored["input_type"].get("input")}
        for other, key in SHAPE_NAMES.get(kind, ()):
            if other in stored and "shape" not in stored:
                shape = stored[other]
                shape = shape.get(key) if isinstance(shape, dict) else shape
                rest = {k: v for k, v in stored.items() if k != other}
                self.repairs.append(f"node '{name}': its shape is stored as {other}")
                return {**rest, "shape": shape}
        return stored

    def _refuse_unknown(self, name: str, stored: Stored, known: tuple[str, ...]) -> None:
        rest = [key for key in stored if key not in (*known, "type", "metadata", "version")]
        if rest:
            raise self.refuse(
                f"node '{name}' ({_text(stored['type'])}) stores {', '.join(rest)}, "
                f"which the type does not have (it has {', '.join(known)}); delete what has no "
                "meaning with h5py"
            )

    def _metadata(self, stored: Stored, name: str) -> Stored:
        metadata = stored.get("metadata", {})
        if not isinstance(metadata, dict):
            raise self.refuse(f"the metadata of '{name}' is not a group")
        return metadata


def _walk(root: Stored) -> Iterator[tuple[str, Any, int]]:
    """Every node with its path of names and the number of graphs that it lies in."""
    pending = [("", root, 1)]
    while pending:
        prefix, graph, depth = pending.pop()
        nodes = graph.get("nodes")
        for key, node in nodes.items() if isinstance(nodes, dict) else ():
            yield f"{prefix}{key}", node, depth
            if isinstance(node, dict) and _text(node.get("type")) == "NIRGraph":
                pending.append((f"{prefix}{key}.", node, depth + 1))


def _port_types(nodes: Stored, kind: Any, key: str) -> dict[str, Any]:
    return {name: getattr(node, key) for name, node in nodes.items() if isinstance(node, kind)}


def _text(value: Any) -> str:
    """A text that is stored as one string or as an array of one string; '' for anything else."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else ""


def _not_finite(graph: nir.NIRGraph, where: str = "") -> list[str]:
    """`node.field` of every float parameter that holds NaN or infinity, nested graphs included."""
    found: list[str] = []
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            found += _not_finite(node, f"{where}{name}.")
            continue
        found += [
            f"{where}{name}.{key}"
            for key, value in vars(node).items()
            if isinstance(value, np.ndarray | np.floating)
            and np.issubdtype(value.dtype, np.floating)
            and not np.isfinite(value).all()
        ]
    return found
