"""`.nir` files of old and new layouts; broken files end in one clear error."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.hdf5_output import Output
from neurozsl.core.signals import BranchSpec
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.graph import from_nir, to_nir
from neurozsl.export.nir.nodes import CubaLI
from neurozsl.hardware.lower.lower import lower

MakeBranch = Callable[..., BranchSpec]


@pytest.fixture(name="file")
def _file(make_branch: MakeBranch, tmp_path: Path) -> Path:
    return nirfile.write(tmp_path / "motion.nir", to_nir(make_branch(synaptic=True)))


def _as_new_layout(path: Path, v_reset: float = 0.0) -> None:
    """What nir >= 1.0.6 adds: v_reset beside the neuron's parameters, arrays gzipped."""
    with h5py.File(path, "r+") as file:
        file["version"][()] = "1.0.8"
        for node in file["node/nodes"].values():
            if "v_threshold" in node:
                shape = node["v_threshold"].shape
                node.create_dataset("v_reset", data=np.full(shape, v_reset), compression="gzip")


def test_the_reader_of_nir_1_0_4_reads_our_files(file: Path) -> None:
    theirs, ours = nir.read(file), nirfile.read(file)
    assert set(theirs.nodes) == set(ours.nodes)
    assert sorted(theirs.edges) == sorted(ours.edges)
    assert theirs.metadata["neurozsl"] == ours.metadata["neurozsl"]


def test_new_files_with_v_reset_are_read_although_nir_1_0_4_fails(file: Path) -> None:
    _as_new_layout(file)
    with pytest.raises(TypeError, match="v_reset"):
        nir.read(file)
    assert len(from_nir(nirfile.read(file)).layers) == 6


def test_a_reset_to_another_value_is_kept(file: Path) -> None:
    _as_new_layout(file, v_reset=-0.2)
    graph = nirfile.read(file)
    assert graph.version == "1.0.8"
    assert graph.nodes["audio.0"].v_reset.tolist() == [-0.2] * 10
    with pytest.raises(BadInput, match="v_reset"):
        from_nir(graph)
    moved = {layer.name: layer.drive for layer in lower(graph).layers}
    assert any(
        drive is not None for drive in moved.values()
    )  # a CubaLIF whose synapses have a bias


NODES = {
    "Affine": nir.Affine(weight=np.ones((2, 3)), bias=np.ones(2)),
    "Linear": nir.Linear(weight=np.ones((2, 3))),
    "Scale": nir.Scale(scale=np.ones(2)),
    "IF": nir.IF(r=np.ones(2), v_threshold=np.ones(2)),
    "LI": nir.LI(tau=np.ones(2), r=np.ones(2), v_leak=np.zeros(2)),
    "I": nir.I(r=np.ones(2)),
    "Threshold": nir.Threshold(threshold=np.ones(2)),
    "Delay": nir.Delay(delay=np.ones(2)),
    "Conv1d": nir.Conv1d(5, np.ones((1, 1, 3)), 1, 0, 1, 1, np.ones(1)),
    "Conv2d": nir.Conv2d((5, 5), np.ones((1, 1, 3, 3)), 1, 0, 1, 1, np.ones(1)),
    "SumPool2d": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
    "AvgPool2d": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
    "CubaLI": CubaLI(*(np.full(2, i + 1.0) for i in range(5))),
}


@pytest.mark.parametrize("kind", NODES)
def test_every_node_type_of_the_table_comes_back(kind: str, tmp_path: Path) -> None:
    path = nirfile.write(tmp_path / "one.nir", nir.NIRGraph({"n": NODES[kind]}, []))
    back = nirfile.read(path).nodes["n"]
    assert type(back) is type(NODES[kind])
    for key, value in vars(NODES[kind]).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, getattr(back, key)), key


def test_all_unknown_nodes_are_listed_at_once(file: Path) -> None:
    with h5py.File(file, "r+") as stored:
        for name in ("audio.0", "video.1"):
            del stored[f"node/nodes/{name}/type"]
            stored[f"node/nodes/{name}/type"] = "GRU"
        stored.create_group("node/nodes/block/nodes/deep")["type"] = "Softmax"
        stored["node/nodes/block/type"] = "NIRGraph"
    with pytest.raises(UnsupportedNode) as caught:
        nirfile.read(file)
    assert caught.value.found == ("audio.0 (GRU)", "video.1 (GRU)", "block.deep (Softmax)")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("keep", [0, 7, 100, 2000])
def test_a_truncated_file_is_bad_input_that_names_the_file(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BadInput, match=r"motion\.nir: truncated or not an HDF5 file"):
        nirfile.read(file)


def test_other_content_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        nirfile.read(tmp_path / "absent.nir")
    text = tmp_path / "text.nir"
    text.write_text("not a graph")
    with pytest.raises(BadInput, match="not an HDF5 file"):
        nirfile.read(text)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = 1
    with pytest.raises(BadInput, match=r"holds no network, it lacks the group 'node' .*'data'"):
        nirfile.read(tmp_path / "other.h5")


def _nothing(file: h5py.File) -> None:
    del file["node"]


def _no_type(file: h5py.File) -> None:
    del file["node/type"], file["node/nodes"]


def _half_written(file: h5py.File) -> None:
    del file["node/type"], file["node/edges"], file["node/nodes/audio.0/type"]


def _no_nodes(file: h5py.File) -> None:
    del file["node/nodes"]
    file.create_group("node/nodes")


def _one_node(file: h5py.File) -> None:
    del file["node"]
    file["node/type"] = "LIF"
    file["node/tau"] = np.ones(2)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_nothing, "it lacks the group 'node' .it holds 'version'."),
        (_no_type, "its root has no type .it holds 'edges', .*expected a NIRGraph"),
        (_half_written, "its root has no type .most likely nir.write broke off at node 'audio.0':"),
        (_no_nodes, "its root graph has no nodes"),
        (_one_node, "its root is one node of type 'LIF', expected a NIRGraph"),
    ],
)
def test_a_file_without_a_network_says_how_one_is_exported(
    file: Path, change: Callable[[h5py.File], None], found: str
) -> None:
    with h5py.File(file, "r+") as stored:
        change(stored)
    with pytest.raises(BadInput, match=found) as caught:
        nirfile.read(file)
    assert "holds no network" in str(caught.value)
    for line in (
        "nir.write(path, graph)",
        "snntorch.export_nir.export_to_nir(model, sample)",
        "spikingjelly.activation_based.nir_exchange.export_to_nir(model, sample)",
    ):
        assert line in str(caught.value)


def test_a_file_at_which_nir_write_failed_says_where_it_broke_off(tmp_path: Path) -> None:
    graph = nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([1, 6, 6])}),
            "kernel": nir.Conv2d(None, np.ones((1, 1, 3, 3)), 1, 0, 1, 1, np.ones(1)),
            "output": nir.Output({"output": np.array([1, 4, 4])}),
        },
        [("input", "kernel"), ("kernel", "output")],
    )
    with pytest.raises(TypeError):
        nir.write(tmp_path / "half.nir", graph)
    with pytest.raises(BadInput, match=r"nir.write broke off at node 'kernel': .*input_shape"):
        nirfile.read(tmp_path / "half.nir")


@pytest.mark.parametrize("name", ["sinabs.nir.to_nir", "norse.torch.to_nir"])
def test_the_exporters_that_the_message_names_exist(name: str, tmp_path: Path) -> None:
    module, _, function = name.rpartition(".")
    parameters = signature(getattr(import_module(module), function)).parameters
    assert [p for p in parameters if "sample" in p] == ["sample_data"]
    nir.write(tmp_path / "empty.nir", nir.NIRGraph({}, []))
    with pytest.raises(BadInput, match=rf"{name}\(model, sample\)"):
        nirfile.read(tmp_path / "empty.nir")


def test_nan_in_a_file_names_node_and_parameter(file: Path) -> None:
    with h5py.File(file, "r+") as stored:
        stored["node/nodes/audio.1.w/weight"][0, 0] = np.nan
    with pytest.raises(BadInput, match=r"audio\.1\.w\.weight"):
        nirfile.read(file)


def test_a_missing_parameter_is_named(file: Path) -> None:
    with h5py.File(file, "r+") as stored:
        del stored["node/nodes/video.0/tau_mem"]
    with pytest.raises(BadInput, match=r"'video\.0' \(CubaLIF\) lacks tau_mem"):
        nirfile.read(file)


def test_nothing_half_written_stays_when_writing_fails(
    make_branch: MakeBranch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = to_nir(make_branch())

    def stop(stream: Output, graph: nir.NIRGraph) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(nir, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        nirfile.write(tmp_path / "motion.nir", graph)
    graph.nodes["audio.0.w"].weight[0, 0] = np.inf
    with pytest.raises(BadInput, match=r"audio\.0\.w\.weight"):
        nirfile.write(tmp_path / "motion.nir", graph)
    assert list(tmp_path.iterdir()) == []


def test_files_of_other_tools_are_read(nir_files: Path) -> None:
    names = sorted(path.name for path in nir_files.glob("*.nir"))
    assert len(names) >= 5
    graphs = {name: nirfile.read(nir_files / name) for name in names}
    assert lower(graphs["lif_norse.nir"], dt_s=1e-4, steps=1000).layers[0].leak[0] == pytest.approx(
        0.04
    )
    assert len(graphs["cnn_sinabs.nir"].nodes) == 15
    with pytest.raises(BadInput, match=r"'layers'.*read a graph of another tool with `nz\.lower`"):
        from_nir(graphs["cnn_sinabs.nir"])
    with pytest.raises(BadInput, match="recurrence"):
        from_nir(graphs["braille_noDelay_bias_zero.nir"])


# ---------------------------------------------------------------- layouts made by hand

Parameters = dict[str, Any]


def _store(path: Path, nodes: dict[str, Parameters], edges: Any, version: str | None) -> Path:
    """A file as nir lays it out, written with h5py alone."""
    with h5py.File(path, "w") as file:
        if version is not None:
            file["version"] = version
        root = file.create_group("node")
        _fill(root, {"type": "NIRGraph", "nodes": nodes, "edges": edges})
    return path


def _fill(group: h5py.Group, content: Parameters) -> None:
    for key, value in content.items():
        if isinstance(value, dict):
            _fill(group.create_group(key), value)
        elif key == "edges" and len(value) and isinstance(value[0][0], str):
            pairs = np.array(value, dtype=object)
            group.create_dataset(key, data=pairs, dtype=h5py.string_dtype())
        else:
            group[key] = value


LIF = {"type": "LIF", "tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.5}


def test_a_file_of_nir_0_1_has_no_w_in_and_no_shape_in_its_convolution(tmp_path: Path) -> None:
    ones = np.ones(3, np.float32)
    kernel = np.arange(18, dtype=np.float32).reshape(1, 2, 3, 3)
    cuba = {key: ones * 0.25 for key in ("tau_mem", "tau_syn", "r", "v_leak", "v_threshold")} | {
        "type": "CubaLIF"
    }
    conv = {"type": "Conv2d", "weight": kernel, "stride": 1, "padding": 0, "dilation": 1}
    path = _store(
        tmp_path / "old.nir",
        {"a": cuba, "c": {**conv, "groups": 1, "bias": np.ones(1, np.float32)}},
        [("a", "c")],
        "0.1.0",
    )
    graph = nirfile.read(path)
    assert graph.version == "0.1.0"
    assert graph.nodes["a"].w_in.tolist() == [1, 1, 1]
    assert graph.nodes["c"].input_shape is None
    assert np.array_equal(graph.nodes["c"].weight, kernel)
    assert graph.repairs[0] == "node 'a': w_in is not stored, 1 is the default of NIR"
    assert all("'a': w_in" in line for line in graph.repairs)


def test_a_file_written_by_hand_gets_the_defaults_of_nir_and_every_one_is_listed(
    tmp_path: Path,
) -> None:
    nodes: dict[str, Parameters] = {
        "in": {"type": np.array([b"Input"]), "input_type": {"input": np.array([2, 8, 8])}},
        "c": {"type": "Conv2d", "weight": np.ones((4, 2, 3, 3))},
        "p": {"type": "SumPool2d", "kernel_size": 2, "stride": 2},
        "fc": {"type": "Affine", "weight": np.ones((5, 36))},
        "out": {"type": b"Output", "output_type": np.array([5])},
    }
    graph = nirfile.read(_store(tmp_path / "hand.nir", nodes, np.array([[0, 1]]), None))
    assert graph.version is None
    assert graph.edges == [("0", "1")]
    assert graph.nodes["in"].input_type["input"].tolist() == [2, 8, 8]
    assert graph.nodes["out"].output_type["output"].tolist() == [5]
    conv = graph.nodes["c"]
    assert (conv.stride, conv.padding, conv.dilation, conv.groups) == ((1, 1), (0, 0), (1, 1), 1)
    assert conv.bias.tolist() == [0] * 4
    assert graph.nodes["p"].padding == 0
    assert graph.nodes["fc"].bias.tolist() == [0] * 5
    assert graph.repairs == (
        "node 'c': stride is not stored, 1 is the default of NIR",
        "node 'c': padding is not stored, 0 is the default of NIR",
        "node 'c': dilation is not stored, 1 is the default of NIR",
        "node 'c': groups is not stored, 1 is the default of NIR",
        "node 'c': bias is not stored, 0 is the default of NIR",
        "node 'fc': bias is not stored, 0 is the default of NIR",
        "node 'in': its shape is stored as input_type",
        "node 'out': its shape is stored as output_type",
        "node 'p': padding is not stored, 0 is the default of NIR",
        "the graph: edges are stored as numbers, read as node names",
    )


def test_a_pool_without_a_stride_is_refused_because_tools_differ(tmp_path: Path) -> None:
    path = _store(tmp_path / "p.nir", {"p": {"type": "SumPool2d", "kernel_size": 2}}, [], None)
    with pytest.raises(BadInput, match=r"'p' \(SumPool2d\) lacks stride"):
        nirfile.read(path)


def test_single_values_beside_arrays_take_their_shape(tmp_path: Path) -> None:
    lif = {**LIF, "v_threshold": np.array([0.5, 0.25]), "v_reset": np.array([0.125])}
    graph = nirfile.read(_store(tmp_path / "s.nir", {"n": lif}, [], "1.0.8"))
    assert graph.nodes["n"].tau.tolist() == [0.01, 0.01]
    assert graph.nodes["n"].v_reset.tolist() == [0.125, 0.125]
    assert "node 'n': tau is one value, its shape (2,) follows from v_threshold" in graph.repairs
    lif["r"] = np.ones(3)
    with pytest.raises(BadInput, match=r"'n' .*v_threshold has shape \(2,\), r has \(3,\)"):
        nirfile.read(_store(tmp_path / "t.nir", {"n": lif}, [], "1.0.8"))


def test_padding_is_numbers_or_one_of_two_words(tmp_path: Path) -> None:
    conv = {"type": "Conv1d", "weight": np.ones((1, 1, 3)), "padding": "same"}
    assert nirfile.read(_store(tmp_path / "c.nir", {"c": conv}, [], None)).nodes["c"].padding == (
        "same"
    )
    conv["padding"] = "round"
    with pytest.raises(BadInput, match="padding holds 'round', expected numbers"):
        nirfile.read(_store(tmp_path / "d.nir", {"c": conv}, [], None))


def test_nested_graphs_stay_nested_with_their_parameters(tmp_path: Path) -> None:
    inner = {
        "type": "NIRGraph",
        "nodes": {
            "input": {"type": "Input", "shape": np.array([1])},
            "lif": LIF,
            "output": {"type": "Output", "shape": np.array([1])},
        },
        "edges": [("input", "lif"), ("lif", "output")],
        "metadata": {"from": "here"},
    }
    graph = nirfile.read(_store(tmp_path / "n.nir", {"lif1": inner}, [], "1.0.4"))
    nested = graph.nodes["lif1"]
    assert isinstance(nested, nir.NIRGraph)
    assert nested.edges == [("input", "lif"), ("lif", "output")]
    assert nested.nodes["lif"].tau == 0.01
    assert nested.metadata == {"from": "here"}
    inner["nodes"]["lif"] = {**LIF, "tau": np.nan}  # type: ignore[index]
    with pytest.raises(BadInput, match=r"lif1\.lif\.tau"):
        nirfile.read(_store(tmp_path / "nan.nir", {"lif1": inner}, [], "1.0.4"))


def test_a_field_that_the_type_does_not_have_is_refused_not_dropped(tmp_path: Path) -> None:
    path = _store(tmp_path / "x.nir", {"n": {**LIF, "refractory": 3}}, [], None)
    with pytest.raises(BadInput, match=r"'n' \(LIF\) stores refractory, which the type does not"):
        nirfile.read(path)


# ---------------------------------------------------------------- hostile files


def _link_elsewhere(file: h5py.File) -> None:
    file["node/nodes/n/tau"] = h5py.ExternalLink("/etc/hostname", "/x")


def _link_softly(file: h5py.File) -> None:
    file["node/nodes/n/tau"] = h5py.SoftLink("/node")


def _loop(file: h5py.File) -> None:
    file["node/nodes/n/nodes"] = file["node"]


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(4,))
    file.create_virtual_dataset("node/nodes/n/tau", layout)


def _external(file: h5py.File) -> None:
    file.create_dataset("node/nodes/n/tau", (4,), "f8", external=[("/etc/hostname", 0, 32)])


def _reference(file: h5py.File) -> None:
    file.create_dataset("node/nodes/n/tau", data=file.ref, dtype=h5py.ref_dtype)


def _complex(file: h5py.File) -> None:
    file["node/nodes/n/tau"] = np.ones(2, np.complex64)


def _huge(file: h5py.File) -> None:
    file.create_dataset("node/nodes/n/tau", (2**20, 2**20), "f8")


def _never_written(file: h5py.File) -> None:
    file.create_dataset("node/nodes/n/tau", (2**26,), "f8")


def _huge_chunk(file: h5py.File) -> None:
    file.create_dataset(
        "node/nodes/n/tau", (1,), "f8", maxshape=(None,), chunks=(2**28 + 1,), compression="gzip"
    )


def _bomb(file: h5py.File) -> None:
    data = file.create_dataset("node/nodes/n/tau", (4,), "f8", chunks=(4,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(2**24), 9)[:4096])


def _bomb_in_small_chunks(file: h5py.File) -> None:
    data = file.create_dataset("node/nodes/n/tau", (4,), "f8", chunks=(4,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(2**20), 9))


def _other_filter(file: h5py.File) -> None:
    file.create_dataset("node/nodes/n/tau", (4,), "i4", chunks=(4,), scaleoffset=3)


def _long_text(file: h5py.File) -> None:
    file["node/nodes/n/tau"] = np.array([b"x" * 2**16] * 300)


def _deep(file: h5py.File) -> None:
    file.create_group("node/nodes/" + "n/nodes/" * 40)


def _nested(file: h5py.File) -> None:
    for depth in range(1, 18):
        file["node/nodes/" + "m/nodes/" * (depth - 1) + "m/type"] = "NIRGraph"


HOSTILE: dict[Callable[[h5py.File], None], str] = {
    _link_elsewhere: "ExternalLink, which points elsewhere",
    _link_softly: "SoftLink, which points elsewhere",
    _loop: "reached twice",
    _virtual: "keeps its values in other files",
    _external: "keeps its values in other files",
    _reference: "expected numbers or text",
    _complex: "has type complex64",
    _huge: "declares 1099511627776 values",
    _never_written: "the file stores 0 of them",
    _huge_chunk: "declares 268435457 values",
    _bomb: "chunk of 4096 bytes for 32|damaged gzip|unpacks to more than 32 bytes",
    _bomb_in_small_chunks: "unpacks to more than 32 bytes",
    _other_filter: "packed by filters",
    _long_text: "bytes of text, limit",
    _deep: "groups deep",
    _nested: "nested 17 graphs deep, limit 16",
}


@pytest.mark.parametrize("attack", HOSTILE, ids=lambda attack: attack.__name__)
def test_a_hostile_file_is_refused_before_its_claims_cost_anything(
    attack: Callable[[h5py.File], None], tmp_path: Path
) -> None:
    path = _store(tmp_path / "h.nir", {"n": {"type": "LIF"}}, [], "1.0.8")
    with h5py.File(path, "r+") as file:
        attack(file)
    tracemalloc.start()
    with pytest.raises(BadInput, match=HOSTILE[attack]):
        nirfile.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26


def test_a_string_that_claims_gigabytes_is_refused_and_a_broken_store_does_not_hang(
    tmp_path: Path,
) -> None:
    path = _store(tmp_path / "h.nir", {"n": {**LIF, "type": "LIF"}}, [], "1.0.8")
    whole = path.read_bytes()
    with h5py.File(path) as file:
        at = file["node/nodes/n/type"].id.get_offset()
    path.write_bytes(whole[:at] + b"\xff\xff\xff\xef" + whole[at + 4 :])
    with pytest.raises(BadInput, match="claims 40265318"):
        nirfile.read(path)
    heap = whole.index(b"GCOL\x01")
    first = heap + 16
    path.write_bytes(whole[:first] + bytes(16) + whole[first + 16 :])
    with pytest.raises(BadInput, match="a stored string claims 0 bytes"):
        nirfile.read(path)


def test_too_many_nodes_or_edges_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _store(tmp_path / "m.nir", {"a": LIF, "b": LIF}, [("a", "b")] * 3, None)
    monkeypatch.setattr(nirfile, "MAX_EDGES", 2)
    with pytest.raises(BadInput, match="2 nodes and 3 edges, at most 10000 and 2 are read"):
        nirfile.read(path)
    monkeypatch.setattr(nirfile, "MAX_NODES", 1)
    with pytest.raises(BadInput, match="at most 1 and 2"):
        nirfile.read(path)


def test_a_name_that_cannot_be_printed_is_refused(tmp_path: Path) -> None:
    path = _store(tmp_path / "m.nir", {"a\x1b[2J": LIF}, [], None)
    with pytest.raises(BadInput, match=r"holds the name 'a\\x1b"):
        nirfile.read(path)


def test_gzip_text_and_shuffled_numbers_are_read(tmp_path: Path) -> None:
    path = _store(tmp_path / "z.nir", {"a": LIF}, [], None)
    with h5py.File(path, "r+") as file:
        del file["node/edges"], file["node/nodes/a/tau"]
        pairs = np.array([("a", "a")] * 100, dtype=object)
        file.create_dataset(
            "node/edges", data=pairs, dtype=h5py.string_dtype(), compression="gzip", chunks=(7, 2)
        )
        file.create_dataset(
            "node/nodes/a/tau",
            data=np.arange(1.0, 4001),
            compression="gzip",
            shuffle=True,
            fletcher32=True,
        )
    graph = nirfile.read(path)
    assert graph.edges == [("a", "a")] * 100
    assert np.array_equal(graph.nodes["a"].tau, np.arange(1.0, 4001))


def test_a_reset_potential_that_the_layout_cannot_hold_is_not_dropped(tmp_path: Path) -> None:
    ones = np.ones(3, np.float32)
    node = nir.IF(r=ones, v_threshold=ones)
    node.v_reset = -ones
    graph = nir.NIRGraph(
        nodes={
            "in": nir.Input(input_type={"input": np.array([3])}),
            "n": node,
            "out": nir.Output(output_type={"output": np.array([3])}),
        },
        edges=[("in", "n"), ("n", "out")],
    )
    with pytest.raises(BadInput, match="no room for the v_reset of n"):
        nirfile.write(tmp_path / "a.nir", graph)
    assert not list(tmp_path.iterdir())
