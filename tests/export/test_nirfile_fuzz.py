"""Mutated files: one clear error, or a network that says exactly what plain h5py reads.

A file is made with h5py, then changed in its bytes or in its structure. Whatever comes of it,
nothing but an error of this package may leave the reader, and whatever is accepted is compared with
the file: each parameter bit for bit (or, where it is not stored, with its default and the repair
that lists it), each edge, each port. Examples are few and the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurozsl.core.errors import NeuroZSLError
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.normalise import Normalised, normalise

BOUNDED = settings(
    deadline=10_000, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
RNG = np.random.default_rng(5)
GEOMETRY = ("stride", "padding", "dilation", "groups", "kernel_size")
DEFAULTS = {"w_in": 1, "bias": 0, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
SHAPES = ("shape", "input_type", "output_type", "input_shape", "start_dim", "end_dim")


def _f32(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape).astype(np.float32)


def _neuron(kind: str, keys: str, *shape: int) -> dict[str, Any]:
    return {"type": kind} | {key: np.abs(_f32(*shape)) for key in keys.split()}


_CUBA = "tau_mem tau_syn r v_leak v_threshold w_in v_reset"
DENSE = {
    "nodes": {
        "input": {"type": "Input", "shape": np.array([1, 4])},
        "fc": {"type": "Affine", "weight": _f32(3, 4), "bias": _f32(3)},
        "lif1": {
            "type": "NIRGraph",
            "nodes": {
                "input": {"type": "Input", "shape": np.array([3])},
                "lif": _neuron("CubaLIF", _CUBA),
                "w_rec": {"type": "Linear", "weight": _f32(3, 3)},
                "output": {"type": "Output", "shape": np.array([3])},
            },
            "edges": [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
        },
        "fc2": {"type": "Linear", "weight": _f32(2, 3)},
        "li": _neuron("CubaLI", "tau_mem tau_syn r v_leak", 2),
        "output": {"type": "Output", "shape": np.array([2])},
    },
    "edges": [("input", "fc"), ("fc", "lif1"), ("lif1", "fc2"), ("fc2", "li"), ("li", "output")],
}
MAPS = {
    "nodes": {
        "input": {"type": "Input", "shape": np.array([2, 6, 7])},
        "conv": {
            "type": "Conv2d",
            "weight": _f32(4, 1, 3, 3),
            "bias": _f32(4),
            "stride": np.array([1, 1]),
            "padding": np.array([1, 1]),
            "dilation": np.array([1, 1]),
            "groups": 2,
            "input_shape": np.array([6, 7]),
        },
        "if": _neuron("IF", "r v_threshold v_reset", 4, 6, 7),
        "pool": {
            "type": "SumPool2d",
            "kernel_size": np.array([2, 2]),
            "stride": np.array([2, 2]),
            "padding": np.array([0, 0]),
        },
        "flat": {
            "type": "Flatten",
            "start_dim": 0,
            "end_dim": -1,
            "input_type": np.array([4, 3, 3]),
        },
        "fc": {"type": "Affine", "weight": _f32(2, 36), "bias": _f32(2)},
        "lif": _neuron("LIF", "tau r v_leak v_threshold", 2),
        "output": {"type": "Output", "shape": np.array([2])},
    },
    "edges": [
        ("input", "conv"),
        ("conv", "if"),
        ("if", "pool"),
        ("pool", "flat"),
        ("flat", "fc"),
        ("fc", "lif"),
        ("lif", "output"),
    ],
}
Tree = dict[str, Any]
NETS: dict[str, Tree] = {"dense": DENSE, "maps": MAPS}
LOOP = object()  # a hard link to the root


def _fill(group: h5py.Group, content: dict[str, Any], gzip: bool) -> None:
    for key, value in content.items():
        if isinstance(value, dict):
            _fill(group.create_group(key), value, gzip)
        elif value is LOOP:
            group[key] = group.file["/"]
        elif key == "edges" and isinstance(value, list):
            pairs = np.array(value, dtype=object)
            group.create_dataset(key, data=pairs, dtype=h5py.string_dtype())
        elif gzip and np.ndim(value):
            group.create_dataset(key, data=value, compression="gzip")
        else:
            group[key] = value


def _tree(net: str) -> Tree:
    """A copy that may be changed; the arrays are shared."""

    def copied(value: Any) -> Any:
        return {k: copied(v) for k, v in value.items()} if isinstance(value, dict) else value

    return {"version": "1.0.8", "node": {"type": "NIRGraph", **copied(NETS[net])}}


def _store(path: Path, tree: Tree, libver: str, gzip: bool) -> Path:
    with h5py.File(path, "w", libver=libver) as file:
        _fill(file, tree, gzip)
    return path


FORMS = [(net, libver, gzip) for net in NETS for libver in ("earliest", "latest")
         for gzip in (False, True)]  # fmt: skip


@pytest.fixture(name="originals", scope="module")
def _originals(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("originals")
    return [
        _store(folder / f"{i}.nir", _tree(net), libver, gzip).read_bytes()
        for i, (net, libver, gzip) in enumerate(FORMS)
    ]


# ---------------------------------------------------------------- what the file says


def _leaves(group: Any, prefix: str = "") -> dict[str, Any]:
    """Name -> group of every node that is not a graph, read with plain h5py."""
    found: dict[str, Any] = {}
    for name, node in group["nodes"].items():
        if "nodes" in node:
            found |= _leaves(node, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = node
    return found


def assert_says_what_the_file_says(result: Normalised, path: Path) -> None:
    added = {line.split("'")[1] for line in result.repairs if ": added" in line}
    with h5py.File(path) as file:
        leaves = _leaves(file["node"])
        ports = {name for name in set(leaves) - set(result.graph.nodes) if "." in name}
        assert all(leaves[name]["type"].asstr()[()] in ("Input", "Output") for name in ports)
        assert set(result.graph.nodes) == (set(leaves) - ports) | added
        for name, node in result.graph.nodes.items():
            if name not in added:
                stored = {key: item[()] for key, item in leaves[name].items() if key != "type"}
                assert type(node).__name__ == leaves[name]["type"].asstr()[()]
                _compare(name, node, stored, result)
        if not any("no such" in line for line in result.repairs):
            assert _flat_wires(result, added) == _stored_wires(file["node"], ports)


def _flat_wires(result: Normalised, added: set[str]) -> set[tuple[str, str]]:
    """The edges without the nodes that were added: ends, and a Flatten before its matrix."""
    after = {source: target for source, target in result.graph.edges if source in added}
    edges = {(a, after.get(b, b)) for a, b in result.graph.edges if a not in added}
    return {(a, b) for a, b in edges if b not in added}


def _stored_wires(root: Any, ports: set[str]) -> set[tuple[str, str]]:
    """The edges of all levels with ports as nodes, then every way through ports alone."""
    edges: set[tuple[str, str]] = set()

    def end(graph: Any, prefix: str, name: str, kind: str) -> str:
        head, _, rest = name.partition(".")
        nodes = graph["nodes"]
        if name in nodes and "nodes" not in nodes[name]:
            return f"{prefix}{name}"
        if name not in nodes:
            return end(nodes[head], f"{prefix}{head}.", rest, kind)
        inside = nodes[name]["nodes"]
        (port,) = (k for k in inside if inside[k]["type"][()] == kind.encode())
        return f"{prefix}{name}.{port}"

    def visit(graph: Any, prefix: str) -> None:
        for a, b in graph["edges"][()] if "edges" in graph else ():
            source = end(graph, prefix, _text(a), "Output")
            edges.add((source, end(graph, prefix, _text(b), "Input")))
        for name, node in graph["nodes"].items():
            if "nodes" in node:
                visit(node, f"{prefix}{name}.")

    visit(root, "")
    for port in ports:
        before = {a for a, b in edges if b == port}
        after = {b for a, b in edges if a == port}
        edges = {e for e in edges if port not in e} | {(a, b) for a in before for b in after}
    return edges


def _text(end: Any) -> str:
    return end.decode() if isinstance(end, bytes) else str(end)


def _compare(name: str, node: Any, stored: dict[str, Any], result: Normalised) -> None:
    listed = [line for line in result.repairs if f"'{name}'" in line]
    kept = vars(node)
    for key, value in stored.items():
        if key in SHAPES or key == "metadata":
            continue
        got = np.asarray(kept[key])
        if isinstance(value, bytes):
            assert any(f"{key} '{value.decode()}'" in line for line in listed)
        elif key in GEOMETRY:
            assert np.all(got == value), (name, key)
        else:
            raw = np.asarray(value)
            while raw.ndim > got.ndim:
                raw = raw[0]
            assert got.dtype == raw.dtype, (name, key)
            assert np.array_equal(got, np.broadcast_to(raw, got.shape)), (name, key)
            if got.shape != np.shape(value):
                assert any(key in line for line in listed), (name, key)
    for key, value in DEFAULTS.items():
        if key in kept and key not in stored:
            assert np.all(np.asarray(kept[key]) == value), (name, key)
            assert any(f"{key} is not stored" in line for line in listed), (name, key)
    shape = stored.get("shape")
    if shape is not None and tuple(np.ravel(shape)) != result.shapes[name]:
        assert listed, (name, shape)


def _try(path: Path) -> bool:
    """Read and compare; anything but an error of this package fails the test."""
    try:
        result = normalise(nirfile.read(path))
    except NeuroZSLError as error:
        assert len(str(error)) < 5_000
        return False
    assert_says_what_the_file_says(result, path)
    again = normalise(result.graph)
    assert again.repairs == ()
    assert again.shapes == result.shapes
    return True


def test_the_files_are_accepted_as_they_are(originals: list[bytes], tmp_path: Path) -> None:
    for content in originals:
        path = tmp_path / "f.nir"
        path.write_bytes(content)
        assert _try(path)


# ---------------------------------------------------------------- bytes


@given(data=st.data())
@settings(BOUNDED, max_examples=400)
def test_changed_bytes_never_crash_and_never_change_a_network_silently(
    originals: list[bytes], tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(data.draw(st.sampled_from(originals)))
    used = [i for i, byte in enumerate(content) if byte]
    for _ in range(data.draw(st.integers(1, 8))):
        at = used[data.draw(st.integers(0, len(used) - 1))]
        content[at] = data.draw(st.sampled_from([0, 1, 8, 127, 128, 255]) | st.integers(0, 255))
    if data.draw(st.integers(0, 9)) == 0:
        del content[data.draw(st.integers(0, len(content))) :]
    path = tmp_path / "f.nir"
    path.write_bytes(content)
    _try(path)


def test_a_file_cut_anywhere_is_an_error(originals: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "f.nir"
    tried = 0
    for content in originals[::2]:
        for keep in range(0, len(content) - 1, len(content) // 60):
            path.write_bytes(content[:keep])
            assert not _try(path)
            tried += 1
    assert tried > 200


# ---------------------------------------------------------------- structure

NUMBERS = [np.nan, np.inf, -np.inf, 1e308, -1.0, 0.0, 2**62, -(2**62), 0.5, 3]
WORDS = ["", "same", "valid", "NIRGraph", "Input", "lif1.input", "x" * 5_000, "ü", "lif", "fc"]


def _delete(group: Tree, key: str, data: st.DataObject) -> None:
    del group[key]


def _rename(group: Tree, key: str, data: st.DataObject) -> None:
    new = data.draw(st.sampled_from(["weights", "tau", "bias", "x", "shape", "v_reset", "lif"]))
    group[new] = group.pop(key)


def _retype(group: Tree, key: str, data: st.DataObject) -> None:
    if isinstance(group[key], np.ndarray | int):
        kind = data.draw(st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u2", "?", "c8", ">f4"]))
        group[key] = np.asarray(group[key]).astype(kind)


def _resize(group: Tree, key: str, data: st.DataObject) -> None:
    if isinstance(group[key], np.ndarray | int):
        value = np.asarray(group[key])
        group[key] = {
            "scalar": value.ravel()[0] if value.size else 0,
            "one": value.ravel()[:1],
            "lead": value[None],
            "trail": value[..., None],
            "flat": value.ravel(),
            "cut": value.ravel()[:-1],
            "none": value.ravel()[:0],
        }[data.draw(st.sampled_from(["scalar", "one", "lead", "trail", "flat", "cut", "none"]))]


def _revalue(group: Tree, key: str, data: st.DataObject) -> None:
    if isinstance(group[key], np.ndarray | int):
        value = np.array(group[key], dtype=np.float64)
        number = data.draw(st.sampled_from(NUMBERS))
        if value.size:
            value.flat[data.draw(st.integers(0, value.size - 1))] = number
        whole = np.asarray(group[key]).dtype.kind == "i" and abs(number) < 2**63
        group[key] = value.astype(np.int64) if whole else value


def _as_text(group: Tree, key: str, data: st.DataObject) -> None:
    group[key] = data.draw(st.sampled_from(WORDS))


def _as_group(group: Tree, key: str, data: st.DataObject) -> None:
    group[key] = {"nodes": {}}


def _link(group: Tree, key: str, data: st.DataObject) -> None:
    links = [h5py.SoftLink("/node"), h5py.ExternalLink("x.nir", "/"), LOOP]
    group[key] = data.draw(st.sampled_from(links))


def _nest(group: Tree, key: str, data: st.DataObject) -> None:
    """The same node in a graph of its own, between two ports of any name."""
    if isinstance(group[key], dict) and "type" in group[key]:
        a, b = data.draw(st.sampled_from([("input", "output"), ("in1", "out2"), ("a", "a.b")]))
        group[key] = {
            "type": "NIRGraph",
            "nodes": {a: {"type": "Input"}, "n": group[key], b: {"type": "Output"}},
            "edges": [(a, "n"), ("n", b)],
        }


CHANGES: list[Callable[[Tree, str, st.DataObject], None]] = [
    _delete,
    _rename,
    _retype,
    _resize,
    _revalue,
    _as_text,
    _as_group,
    _link,
    _nest,
]
NAMES = ["input", "fc", "lif1", "fc2", "output", "conv", "lif1.lif", "lif1.input", "gone"]


def _rewire(tree: Tree, data: st.DataObject) -> None:
    edges = list(tree["node"]["edges"])
    how = data.draw(st.sampled_from(["add", "drop", "twice", "swap"]))
    at = data.draw(st.integers(0, len(edges) - 1))
    end = st.sampled_from(NAMES)
    if how == "add":
        edges.append((data.draw(end), data.draw(end)))
    else:
        edges[at : at + 1] = {"drop": [], "twice": [edges[at]] * 2, "swap": [edges[at][::-1]]}[how]
    tree["node"]["edges"] = edges


def _places(tree: Tree) -> list[tuple[Tree, str]]:
    found: list[tuple[Tree, str]] = []
    for key, value in tree.items():
        found.append((tree, key))
        if isinstance(value, dict):
            found += _places(value)
    return found


@given(data=st.data())
@settings(BOUNDED, max_examples=600)
@pytest.mark.slow
def test_changed_structures_never_crash_and_never_change_a_network_silently(
    tmp_path: Path, data: st.DataObject
) -> None:
    net, libver, gzip = data.draw(st.sampled_from(FORMS))
    tree = _tree(net)
    if data.draw(st.integers(0, 3)) == 0:
        _rewire(tree, data)
    for _ in range(data.draw(st.integers(0, 3))):
        places = _places(tree)
        if places:
            group, key = places[data.draw(st.integers(0, len(places) - 1))]
            data.draw(st.sampled_from(CHANGES))(group, key, data)
    _try(_store(tmp_path / "f.nir", tree, libver, gzip))
