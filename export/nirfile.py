"""`.nir` files: written as nir 1.0.4 lays them out, read from 1.0.4 and from later layouts.

nir >= 1.0.6 stores `v_reset` and gzips arrays; 1.0.4's own reader fails on the first with a
TypeError. So reading goes through h5py here and a table type -> constructor; writing goes through
`nir.write`, whose files every version up to 1.0.8 reads. A file of nir <= 1.0.5 was written when
the text of the standard said "subtract at a spike", one of >= 1.0.6 says "set to v_reset"; our
own metadata states the reset, and the importers of this package apply reset to zero.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from neurozsl.errors import BadInput, UnsupportedNode


@dataclass(frozen=True)
class _Fields:
    """How one node type is stored: constructor and the names of its datasets."""

    build: Any
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


_CONV = ("weight", "stride", "padding", "dilation", "groups", "bias")
_TYPES: Mapping[str, _Fields] = {
    "Affine": _Fields(nir.Affine, ("weight", "bias")),
    "Linear": _Fields(nir.Linear, ("weight",)),
    "Scale": _Fields(nir.Scale, ("scale",)),
    "LIF": _Fields(nir.LIF, ("tau", "r", "v_leak", "v_threshold")),
    "CubaLIF": _Fields(
        nir.CubaLIF, ("tau_mem", "tau_syn", "r", "v_leak", "v_threshold"), ("w_in",)
    ),
    "IF": _Fields(nir.IF, ("r", "v_threshold")),
    "LI": _Fields(nir.LI, ("tau", "r", "v_leak")),
    "I": _Fields(nir.I, ("r",)),
    "Threshold": _Fields(nir.Threshold, ("threshold",)),
    "Delay": _Fields(nir.Delay, ("delay",)),
    "Conv1d": _Fields(nir.Conv1d, _CONV, ("input_shape",)),
    "Conv2d": _Fields(nir.Conv2d, _CONV, ("input_shape",)),
    "SumPool2d": _Fields(nir.SumPool2d, ("kernel_size", "stride", "padding")),
    "AvgPool2d": _Fields(nir.AvgPool2d, ("kernel_size", "stride", "padding")),
    "Flatten": _Fields(
        lambda start_dim, end_dim, input_type: nir.Flatten(
            start_dim=start_dim, end_dim=end_dim, input_type={"input": np.asarray(input_type)}
        ),
        ("start_dim", "end_dim", "input_type"),
    ),
    "Input": _Fields(lambda shape: nir.Input(input_type={"input": np.asarray(shape)}), ("shape",)),
    "Output": _Fields(
        lambda shape: nir.Output(output_type={"output": np.asarray(shape)}), ("shape",)
    ),
}


def write(path: Path | str, graph: nir.NIRGraph) -> Path:
    """Write a graph; the file appears whole or not at all.

    Raises:
        BadInput: a parameter is NaN or infinite, or the folder cannot be written.
    """
    path = Path(path)
    faults = _not_finite(graph)
    if faults:
        raise BadInput(f"{path}: not written, values that are not finite in {', '.join(faults)}")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        nir.write(part, graph)
        os.replace(part, path)
    except OSError as error:
        raise BadInput(f"{path}: cannot write here ({_short(error)}); choose a folder") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def read(path: Path | str) -> nir.NIRGraph:
    """Read a graph written by any nir from 0.1 to 1.0.8.

    Raises:
        BadInput: not there, not HDF5, truncated, no NIR inside, a field missing, NaN, a reset
            potential other than 0 (nir 1.0.4 cannot hold it).
        UnsupportedNode: lists every node of a type that is not in the table.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give the path of a .nir file")
    try:
        with h5py.File(path, "r") as file:
            if "node" not in file:
                raise BadInput(
                    f"{path}: an HDF5 file without the group 'node', so no NIR graph; "
                    "write it with nir.write or `neurozsl export`"
                )
            content = _content(file["node"])
    except (OSError, RuntimeError, KeyError) as error:
        raise BadInput(
            f"{path}: truncated or not an HDF5 file ({_short(error)}); copy or export it again"
        ) from error
    graph = _graph(content, path)
    faults = _not_finite(graph)
    if faults:
        raise BadInput(
            f"{path}: values that are not finite (NaN or infinite) in {', '.join(faults)}; "
            "the training that wrote it diverged: export an earlier checkpoint"
        )
    return graph


def _short(error: Exception) -> str:
    return str(error).strip("\"'").split("(")[0].strip() or type(error).__name__


def _content(group: Any) -> dict[str, Any]:
    """The group as nested dicts, strings decoded."""
    found: dict[str, Any] = {}
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            found[key] = _content(item)
        else:
            value = item[()]
            found[key] = value.decode("utf8") if isinstance(value, bytes) else value
    return found


def _graph(content: dict[str, Any], path: Path) -> nir.NIRGraph:
    if content.get("type") != "NIRGraph" or not isinstance(content.get("nodes"), dict):
        raise BadInput(f"{path}: the root node is {content.get('type')!r}, expected a NIRGraph")
    unknown = [
        f"{name} ({node.get('type')})"
        for name, node in content["nodes"].items()
        if node.get("type") not in _TYPES
    ]
    if unknown:
        raise UnsupportedNode(unknown, str(path), "known types: " + ", ".join(sorted(_TYPES)))
    nodes = {name: _node(name, node, path) for name, node in content["nodes"].items()}
    edges = [tuple(_text(end) for end in edge) for edge in content.get("edges", ())]
    graph = nir.NIRGraph(nodes=nodes, edges=edges)
    graph.metadata = content.get("metadata", {})
    return graph


def _text(value: Any) -> str:
    return value.decode("utf8") if isinstance(value, bytes) else str(value)


def _node(name: str, stored: dict[str, Any], path: Path) -> Any:
    fields = _TYPES[stored["type"]]
    missing = [key for key in fields.required if key not in stored]
    if missing:
        raise BadInput(
            f"{path}: node '{name}' ({stored['type']}) lacks {', '.join(missing)}; export it again"
        )
    if np.any(np.asarray(stored.get("v_reset", 0.0)) != 0):
        raise BadInput(
            f"{path}: node '{name}' resets to {np.unique(stored['v_reset'])[:3]}, only 0 can be "
            "exported; shift v, threshold and bias by v_reset first"
        )
    arguments = {key: stored[key] for key in fields.required}
    arguments |= {key: stored[key] for key in fields.optional if key in stored}
    try:
        node = fields.build(**arguments)
    except (AssertionError, AttributeError, TypeError, ValueError, IndexError) as error:
        raise BadInput(
            f"{path}: node '{name}' ({stored['type']}) has parameters that do not fit together "
            f"({_short(error)})"
        ) from error
    if stored.get("metadata"):
        node.metadata = stored["metadata"]
    return node


def _not_finite(graph: nir.NIRGraph) -> list[str]:
    """`node.field` of every float parameter that holds NaN or infinity."""
    return [
        f"{name}.{key}"
        for name, node in graph.nodes.items()
        for key, value in vars(node).items()
        if isinstance(value, np.ndarray | np.floating)
        and np.issubdtype(value.dtype, np.floating)
        and not np.isfinite(value).all()
    ]
