"""Any NIR graph becomes flat and complete; every change is listed, nothing ambiguous is changed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.nodes import CubaLI
from neurozsl.export.nir.normalise import Normalised, normalise
from tests.factories.nir_nodes import lif, sink, source

Nodes = dict[str, Any]
Edges = list[tuple[str, str]]


def linear(out: int, size: int) -> Any:
    return nir.Linear(np.arange(out * size, dtype=np.float32).reshape(out, size) / 7 - 0.5)


def chain(**nodes: Any) -> nir.NIRGraph:
    """One node after the other."""
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


def recurrent(before: str = "input", after: str = "output") -> nir.NIRGraph:
    """The nest that snnTorch writes: lif <-> w_rec between two ports."""
    nodes = {before: source(3), "lif": lif(), "w_rec": linear(3, 3), after: sink(3)}
    edges = [(before, "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", after)]
    return nir.NIRGraph(nodes, edges)


def done(nodes: Nodes, edges: Edges) -> Normalised:
    return normalise(nir.NIRGraph(nodes, edges))


def assert_settled(result: Normalised) -> None:
    """Normalising again changes nothing; every parameter has the shape of its node."""
    again = normalise(result.graph)
    assert again.repairs == ()
    assert again.shapes == result.shapes
    assert again.graph.edges == result.graph.edges
    assert set(result.shapes) == set(result.graph.nodes)
    for name, node in result.graph.nodes.items():
        assert tuple(node.output_type["output"]) == result.shapes[name]
        for key, value in vars(node).items():
            if isinstance(value, np.ndarray):
                assert np.array_equal(value, getattr(again.graph.nodes[name], key))


# ---------------------------------------------------------------- what is already whole


def test_the_given_files_need_no_repair(nir_files: Path) -> None:
    names = sorted(path.name for path in nir_files.glob("*.nir"))
    assert len(names) >= 5
    for name in names:
        result = normalise(nirfile.read(nir_files / name))
        assert result.repairs == (), name
        assert_settled(result)
    shapes = normalise(nirfile.read(nir_files / "cnn_sinabs.nir")).shapes
    assert shapes["0"] == (16, 16, 16)
    assert shapes["7"] == (8, 4, 4)
    assert shapes["8"] == (128,)


def test_a_result_can_be_written_and_read_again(tmp_path: Path) -> None:
    graph = chain(i=source(1, 2, 6, 6), c=conv(2, 4, 3), n=lif(), f=linear(2, 64), o=sink())
    result = normalise(graph)
    again = normalise(nirfile.read(nirfile.write(tmp_path / "n.nir", result.graph)))
    assert again.repairs == ()
    assert again.shapes == result.shapes
    assert np.array_equal(again.graph.nodes["c"].weight, graph.nodes["c"].weight)


def test_the_argument_is_not_changed() -> None:
    graph = chain(i=source(1, 4), f=linear(3, 4), n=lif(), o=sink(1, 3))
    normalise(graph)
    assert graph.nodes["i"].input_type["input"].tolist() == [1, 4]
    assert graph.nodes["n"].tau.shape == ()
    assert graph.edges == [("i", "f"), ("f", "n"), ("n", "o")]


def test_metadata_version_and_the_repairs_of_the_reader_are_kept() -> None:
    graph = chain(i=source(4), f=linear(3, 4), o=sink(3))
    graph.metadata = {"dt": 0.001}
    graph.version = "0.2.0"
    graph.repairs = ("node 'f': from the reader",)
    result = normalise(graph)
    assert result.repairs == ("node 'f': from the reader",)
    assert (result.graph.metadata, result.graph.version) == ({"dt": 0.001}, "0.2.0")


# ---------------------------------------------------------------- nested graphs


@pytest.mark.parametrize(
    ("before", "after", "into", "out"),
    [
        ("input", "output", "lif1", "lif1"),
        ("in1", "out2", "lif1", "lif1"),
        ("in1", "out2", "lif1.in1", "lif1.out2"),
        ("in1", "out2", "lif1.input", "lif1.output"),
        ("input", "output", "lif1.lif", "lif1.lif"),
    ],
)
def test_a_nested_graph_is_inlined_whatever_its_ports_are_called(
    before: str, after: str, into: str, out: str
) -> None:
    inner = recurrent(before, after)
    if into == "lif1.lif":
        inner = nir.NIRGraph(
            {k: inner.nodes[k] for k in ("lif", "w_rec")}, [("lif", "w_rec"), ("w_rec", "lif")]
        )
    nodes = {"input": source(4), "fc": linear(3, 4), "lif1": inner, "output": sink(3)}
    result = done(nodes, [("input", "fc"), ("fc", into), (out, "output")])
    assert set(result.graph.edges) == {
        ("input", "fc"),
        ("fc", "lif1.lif"),
        ("lif1.lif", "lif1.w_rec"),
        ("lif1.w_rec", "lif1.lif"),
        ("lif1.lif", "output"),
    }
    assert set(result.graph.nodes) == {"input", "fc", "lif1.lif", "lif1.w_rec", "output"}
    assert result.shapes["lif1.lif"] == (3,)
    assert result.repairs[0] == "graph 'lif1': inlined, its nodes are named 'lif1.<name>'"
    assert_settled(result)


def test_a_graph_flattened_by_nirtorch_with_its_ports_left_in_is_read() -> None:
    nodes = {
        "input": source(4),
        "fc": linear(3, 4),
        "lif1.input": source(3),
        "lif1.lif": lif(3),
        "lif1.output": sink(3),
        "output": sink(3),
    }
    edges = [
        ("input", "fc"),
        ("fc", "lif1"),
        ("lif1.input", "lif1.lif"),
        ("lif1.lif", "lif1.output"),
        ("lif1", "output"),
    ]
    result = done(nodes, edges)
    assert set(result.graph.edges) == {("input", "fc"), ("fc", "lif1.lif"), ("lif1.lif", "output")}
    assert "Input 'lif1.input': a port inside the graph, removed" in result.repairs
    assert_settled(result)


def test_graphs_nest_in_graphs_and_a_graph_may_only_pass_on() -> None:
    wire = nir.NIRGraph({"a": source(3), "b": sink(3)}, [("a", "b")])
    deep = nir.NIRGraph(
        {"i": source(3), "w": wire, "r": recurrent(), "o": sink(3)},
        [("i", "w"), ("w", "r"), ("r", "o")],
    )
    result = done({"input": source(3), "d": deep, "out": sink(3)}, [("input", "d"), ("d", "out")])
    assert set(result.graph.edges) == {
        ("input", "d.r.lif"),
        ("d.r.lif", "d.r.w_rec"),
        ("d.r.w_rec", "d.r.lif"),
        ("d.r.lif", "out"),
    }
    assert_settled(result)


def two_ports() -> nir.NIRGraph:
    nodes = {"a": source(3), "b": source(3), "n": lif(3), "o": sink(3)}
    return nir.NIRGraph(nodes, [("a", "n"), ("b", "n"), ("n", "o")])


def test_an_edge_to_one_of_several_ports_must_name_it() -> None:
    nodes = {"x": source(3), "y": source(3), "s": two_ports(), "o": sink(3)}
    with pytest.raises(BadInput, match=r"graph 's': .* 2 Input nodes \('a', 'b'\), expected one"):
        done(nodes, [("x", "s"), ("y", "s"), ("s", "o")])
    result = done(nodes, [("x", "s.a"), ("y", "s.b"), ("s", "o")])
    assert set(result.graph.edges) == {("x", "s.n"), ("y", "s.n"), ("s.n", "o")}


def test_two_wires_between_the_same_nodes_are_refused_two_copies_of_an_edge_are_one() -> None:
    nodes = {"x": source(3), "s": two_ports(), "o": sink(3)}
    with pytest.raises(BadInput, match=r"'x' -> 's.n': two wires join these nodes"):
        done(nodes, [("x", "s.a"), ("x", "s.b"), ("s", "o")])
    plain = {"x": source(3), "n": lif(3), "o": sink(3)}
    result = done(plain, [("x", "n"), ("x", "n"), ("n", "o")])
    assert result.graph.edges == [("x", "n"), ("n", "o")]
    assert result.repairs == ("edge 'x' -> 'n': stored more than once, kept once",)


def test_a_port_joins_everything_before_it_to_everything_after_it() -> None:
    inner = nir.NIRGraph(
        {"i": source(3), "m": lif(3), "n": lif(3), "o": sink(3)},
        [("i", "m"), ("i", "n"), ("m", "o"), ("n", "o")],
    )
    nodes = {"x": source(3), "y": source(3), "s": inner, "p": sink(3), "q": sink(3)}
    result = done(nodes, [("x", "s"), ("y", "s"), ("s", "p"), ("s", "q")])
    into = set(product(("x", "y"), ("s.m", "s.n")))
    assert set(result.graph.edges) == into | set(product(("s.m", "s.n"), ("p", "q")))
    assert_settled(result)


def test_the_shape_that_a_removed_port_declares_is_checked() -> None:
    inner = chain(input=source(5), n=lif(), output=sink(3))
    with pytest.raises(
        BadInput, match=r"port 's.input': its shape is \(5,\), but 'x' gives \(3,\)"
    ):
        done({"x": source(3), "s": inner, "o": sink(3)}, [("x", "s"), ("s", "o")])


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ({"s.n": lif(3), "s": recurrent()}, [], "(?s)'s.n'|nothing|no such"),
        ({"s": two_ports(), "o": sink(3)}, [("s", "o")], "port that nothing feeds"),
        ({"x": source(3), "o": sink(3)}, [("x", "gone"), ("x", "o")], "'gone': no such node"),
        ({"x": source(3), "y": source(3), "o": sink(3)}, [("x", "y"), ("y", "o")], "leads into"),
    ],
)
def test_wrong_wires_are_named(nodes: Nodes, edges: Edges, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        done(nodes, edges)


def test_two_nodes_of_one_flat_name_are_refused() -> None:
    inner = chain(input=source(3), n=lif(3), output=sink(3))
    nodes = {"x": source(3), "s": inner, "s.n": lif(3), "o": sink(3)}
    with pytest.raises(BadInput, match=r"'s.n': two nodes get this name"):
        done(nodes, [("x", "s"), ("s", "o")])


# ---------------------------------------------------------------- ends, loops, unknown types


def test_one_missing_input_and_output_are_added_where_they_must_be() -> None:
    result = done({"fc": linear(3, 4), "n": lif()}, [("fc", "n")])
    assert result.graph.edges == [("fc", "n"), ("input", "fc"), ("n", "output")]
    assert result.shapes == {"input": (4,), "fc": (3,), "n": (3,), "output": (3,)}
    assert result.repairs[:3] == (
        "Input 'input': added before 'fc', which nothing feeds",
        "Output 'output': added after 'n', which nothing reads",
        "Input 'input': its shape was missing, (4,) follows from 'fc'",
    )
    assert_settled(result)


def test_an_end_that_could_be_in_two_places_is_not_added() -> None:
    nodes = {"a": linear(3, 4), "b": linear(3, 4), "n": lif(), "o": sink(3)}
    with pytest.raises(BadInput, match=r"no Input node, and 2 nodes are fed by nothing \(a, b\)"):
        done(nodes, [("a", "n"), ("b", "n"), ("n", "o")])
    loop = {"x": source(3), "n": lif(), "w": linear(3, 3)}
    with pytest.raises(BadInput, match="no Output node, and 0 nodes are read by nothing"):
        done(loop, [("x", "n"), ("n", "w"), ("w", "n")])
    with pytest.raises(BadInput, match="its shape is missing, and does not follow"):
        done({"n": lif()}, [])


def test_nodes_without_input_or_output_are_refused_not_dropped() -> None:
    nodes = {"x": source(3), "n": lif(), "spare": lif(), "o": sink(3)}
    with pytest.raises(BadInput, match=r"1 of the nodes lead to no Output \(spare\)"):
        done(nodes, [("x", "n"), ("n", "o"), ("x", "spare")])
    with pytest.raises(BadInput, match=r"no Input leads to 1 of the nodes \(spare\)"):
        done(nodes, [("x", "n"), ("n", "o"), ("spare", "n")])


@pytest.mark.parametrize(
    ("node", "allowed"),
    [
        (lif(3), True),
        (nir.IF(np.ones(3), np.ones(3)), True),
        (nir.CubaLIF(*(np.ones(3) for _ in range(5))), True),
        (nir.Delay(np.full(3, 0.001)), True),
        (nir.Delay(np.array([0.001, 0.0, 0.001])), False),
        (nir.Scale(np.ones(3)), False),
        (nir.Threshold(np.ones(3)), False),
        (nir.LI(np.ones(3), np.ones(3), np.zeros(3)), False),
    ],
)
def test_a_loop_needs_a_spiking_neuron_or_a_delay(node: Any, allowed: bool) -> None:
    nodes = {"x": source(3), "a": linear(3, 3), "b": node, "o": sink(3)}
    edges = [("x", "a"), ("a", "b"), ("b", "a"), ("b", "o")]
    if allowed:
        assert done(nodes, edges).repairs == ()
        return
    with pytest.raises(BadInput, match=r"loop (a -> b -> a|b -> a -> b): no spiking neuron"):
        done(nodes, edges)


def test_unknown_types_are_listed_together_with_their_path() -> None:
    class Odd(nir.NIRNode):  # type: ignore[misc]
        pass

    inner = nir.NIRGraph({"q": Odd()}, [])
    with pytest.raises(UnsupportedNode) as caught:
        done({"x": source(3), "a": Odd(), "s": inner}, [])
    assert caught.value.found == ("a (Odd)", "s.q (Odd)")


# ---------------------------------------------------------------- shapes


def conv(size: int, out: int, kernel: int, **changes: Any) -> Any:
    values = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | changes
    shape = (out, size // values["groups"], kernel, kernel)
    weight = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return nir.Conv2d(None, weight, bias=np.zeros(out, np.float32), **values)


GRID = [
    (size, kernel, stride, padding, dilation)
    for size, kernel, stride, padding, dilation in product(
        (5, 6), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2)
    )
]


@pytest.mark.parametrize("kind", ["Conv1d", "Conv2d"])
def test_convolutions_have_the_shapes_of_torch(kind: str) -> None:
    space = int(kind[4])
    for size, kernel, stride, padding, dilation in GRID:
        made = {"Conv1d": torch.nn.Conv1d, "Conv2d": torch.nn.Conv2d}[kind](
            4, 6, kernel, stride, padding, dilation, groups=2
        )
        expected = tuple(made(torch.zeros(1, 4, *(size + i for i in range(space)))).shape[1:])
        weight, bias = made.weight.detach().numpy(), np.zeros(6)
        node = getattr(nir, kind)(None, weight, stride, padding, dilation, 2, bias)
        given = (4, *(size + i for i in range(space)))
        result = normalise(chain(i=source(*given), c=node, o=sink(*expected)))
        assert result.shapes["c"] == expected
        follows = size if space == 1 else (size, size + 1)
        assert f"node 'c': input_shape was missing, {follows} follows from 'i'" in result.repairs
        assert result.graph.nodes["c"].input_shape == follows
        assert_settled(result)


def test_pools_and_flatten_have_the_shapes_of_torch() -> None:
    for size, kernel, stride in product((4, 5, 7), (1, 2, 3), (1, 2, 3)):
        x = torch.zeros(3, size, size + 1)
        pooled = tuple(torch.nn.functional.avg_pool2d(x, kernel, stride).shape)
        node = nir.SumPool2d(np.array(kernel), np.array([stride, stride]), np.array([0, 0]))
        assert normalise(chain(i=source(*x.shape), p=node, o=sink())).shapes["p"] == pooled
        for start, end in ((0, -1), (0, 1), (1, 2), (1, -1), (2, 2), (-2, -1)):
            flat = nir.Flatten({"input": np.array(x.shape)}, start, end)
            result = normalise(chain(i=source(*x.shape), f=flat, o=sink()))
            assert result.shapes["f"] == tuple(torch.flatten(x, start, end).shape)


@pytest.mark.parametrize(
    ("stored", "node", "shape"),
    [
        ((1, 4), linear(3, 4), (4,)),
        ((32, 4), linear(3, 4), (4,)),
        ((1, 1, 4), linear(3, 4), (4,)),
        ((1, 2, 6, 6), conv(2, 3, 3), (2, 6, 6)),
        ((8, 2, 6, 6), conv(2, 3, 3), (2, 6, 6)),
        ((1, 3, 6, 6), nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), None),
        ((1, 5), lif(5), (5,)),
    ],
)
def test_a_batch_dimension_goes_where_the_next_node_proves_it(
    stored: tuple[int, ...], node: Any, shape: tuple[int, ...] | None
) -> None:
    result = normalise(chain(i=source(*stored), n=node, o=sink()))
    assert result.shapes["i"] == (shape or stored[1:])
    assert f"Input 'i': {stored} has " in result.repairs[0]
    assert_settled(result)


def test_a_first_dimension_that_nothing_proves_to_be_a_batch_stays() -> None:
    result = normalise(chain(i=source(1, 5), n=lif(), o=sink()))
    assert result.shapes == {"i": (1, 5), "n": (1, 5), "o": (1, 5)}
    nodes = {"i": source(8, 28), "a": linear(2, 28), "b": linear(2, 224), "o": sink(2)}
    with pytest.raises(BadInput, match="'b': weight has shape"):
        done(nodes, [("i", "a"), ("i", "b"), ("a", "o"), ("b", "o")])


def test_a_matrix_after_a_map_gets_the_flattening_that_it_means() -> None:
    result = normalise(chain(i=source(2, 3, 4), f=linear(5, 24), o=sink(5)))
    assert result.graph.edges == [("i", "f.flatten"), ("f", "o"), ("f.flatten", "f")]
    assert result.shapes["f.flatten"] == (24,)
    assert result.repairs == ("node 'f.flatten': added, 'f' takes the 24 values of (2, 3, 4)",)
    assert_settled(result)


def test_a_flatten_that_counts_the_batch_is_corrected_by_its_own_shape() -> None:
    flat = nir.Flatten({"input": np.array([1, 2, 3, 4])}, 1, -1)
    nodes = chain(i=source(2, 3, 4), c=conv(2, 2, 1), f=flat, w=linear(5, 24), o=sink(5))
    result = normalise(nodes)
    assert result.shapes["f"] == (24,)
    assert (result.graph.nodes["f"].start_dim, result.graph.nodes["f"].end_dim) == (0, -1)
    assert any("dimension (1,); without it, dims 1 to -1 are 0 to -1" in r for r in result.repairs)
    assert_settled(result)


def test_shapes_run_through_a_loop_and_sources_of_one_node_must_agree() -> None:
    nodes = {
        "i": source(4),
        "f": linear(3, 4),
        "n": lif(),
        "back": linear(3, 2),
        "m": lif(),
        "down": linear(2, 3),
        "o": sink(),
    }
    edges = [("i", "f"), ("f", "n"), ("n", "down"), ("down", "m"), ("m", "back"), ("back", "n")]
    result = done(nodes, [*edges, ("n", "o")])
    assert result.shapes["m"] == (2,)
    assert_settled(result)
    nodes["back"] = linear(1, 2)
    with pytest.raises(BadInput, match=r"'n': 'f' gives \(3,\) and 'back' gives \(1,\)"):
        done(nodes, [*edges, ("n", "o")])


# ---------------------------------------------------------------- parameters


def test_single_values_take_the_shape_of_the_layer_and_their_value_stays() -> None:
    neurons = {
        "lif": lif(),
        "cuba": nir.CubaLIF(*(np.float32(0.3) for _ in range(5))),
        "cubali": CubaLI(*(np.array([0.3]) for _ in range(4))),
        "if": nir.IF(np.array([[0.5]]), np.array([[0.25]])),
        "li": nir.LI(np.float64(2), np.float64(3), np.float64(0)),
        "i": nir.I(np.float64(2)),
        "s": nir.Scale(np.float32(0.1)),
        "t": nir.Threshold(np.array(1.0)),
        "d": nir.Delay(np.array([0.001])),
    }
    neurons["lif"].v_reset = np.float64(-0.5)
    result = normalise(chain(x=source(2, 5), **neurons, o=sink(2, 5)))
    checked = 0
    for name, node in neurons.items():
        for key, value in vars(node).items():
            if isinstance(value, np.ndarray | np.generic | float):
                got = getattr(result.graph.nodes[name], key)
                assert got.shape == (2, 5)
                assert np.all(got == value), (name, key)
                assert got.dtype == np.asarray(value).dtype
                checked += 1
    assert checked == 25
    assert "node 'i': r () now have the full shape (2, 5)" in result.repairs
    assert_settled(result)


@pytest.mark.parametrize(
    ("stored", "feed", "fits"),
    [
        ((1, 5), (5,), True),
        ((4, 1, 1), (4, 2, 3), True),
        ((4,), (4, 2, 3), False),
        ((10,), (2, 5), False),
        ((6,), (5,), False),
        ((2, 5), (5,), False),
    ],
)
def test_a_parameter_is_spread_only_where_one_reading_exists(
    stored: tuple[int, ...], feed: tuple[int, ...], fits: bool
) -> None:
    values = np.arange(np.prod(stored), dtype=np.float64).reshape(stored) + 1
    graph = chain(x=source(*feed), a=nir.Scale(np.float64(1)), s=nir.Scale(values), o=sink(*feed))
    if not fits:
        with pytest.raises(BadInput, match=r"node 's': scale has shape"):
            normalise(graph)
        return
    got = normalise(graph).graph.nodes["s"].scale
    assert np.array_equal(got, np.broadcast_to(values, feed if stored != (1, 5) else (1, 5))
                          .reshape(feed))  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 0}, "stride is .0., expected 1 to"),
        ({"stride": (1, 2, 3)}, "stride is .*, expected 2 numbers"),
        ({"padding": -1}, "padding is .-1., expected 0 to"),
        ({"padding": "same", "stride": 2}, "tools differ"),
        ({"padding": 0.5}, "expected whole numbers"),
        ({"dilation": 2**27}, "expected at least 1"),
        ({"dilation": 2**40}, "dilation is .*, expected 1 to 268435456"),
        ({"padding": 2**27}, "more than 268435456 values"),
        ({"padding": 1e308}, "padding is .*, expected 0 to 268435456"),
        ({"groups": 3}, "takes 6 channels"),
        ({"input_shape": (6, 7)}, r"input_shape is \(6, 7\), but 'i' gives \(2, 6, 6\)"),
        ({"bias": np.ones(3)}, r"bias has shape \(3,\), expected \(6,\)"),
        ({"weight": np.ones((6, 2, 3))}, "expected 4 dimensions"),
        ({"weight": np.ones((6, 0, 3, 3))}, "of at least 1"),
    ],
)
def test_impossible_convolutions_are_refused(change: Nodes, message: str) -> None:
    node = conv(2, 6, 3)
    for key, value in change.items():
        setattr(node, key, value)
    with pytest.raises(BadInput, match=message):
        normalise(chain(i=source(2, 6, 6), c=node, o=sink()))


@pytest.mark.parametrize("stored", [(6, 6), 6, (2, 6, 6)])
def test_an_input_shape_in_another_form_means_the_size_of_the_feed(stored: Any) -> None:
    node = conv(2, 3, 3, padding="same")
    node.input_shape = stored
    result = normalise(chain(i=source(2, 6, 6), c=node, o=sink(3, 6, 6)))
    assert result.graph.nodes["c"].input_shape == (6, 6)
    assert result.graph.nodes["c"].padding == (1, 1)
    assert "node 'c': padding 'same' is (1, 1)" in result.repairs
    assert_settled(result)


def test_a_shape_of_impossible_size_costs_no_memory() -> None:
    with pytest.raises(BadInput, match="has 1000000000000 values, limit"):
        normalise(chain(i=source(10**6, 10**6), n=lif(), o=sink()))
    with pytest.raises(BadInput, match="more than 268435456 values"):
        normalise(chain(i=source(2**27), a=lif(), b=lif(), o=sink()))


# ---------------------------------------------------------------- the same numbers


def _one_step(node: Any, x: Any, state: Nodes) -> Any:
    """One Euler step of dt = 0.1 of the nodes below, straight from NIR's equations."""
    if isinstance(node, nir.Linear):
        return node.weight.astype(np.float64) @ x
    v = state.get("v", np.zeros(3)) + 0.1 / node.tau * (node.v_leak + node.r * x)
    v = v - 0.1 / node.tau * state.get("v", np.zeros(3))
    spikes = (v > node.v_threshold).astype(np.float64)
    state["v"] = np.where(spikes > 0, 0.0, v)
    return spikes


def test_an_inlined_network_spikes_as_the_nested_file_says(
    rng_input: Callable[[], np.ndarray[Any, Any]],
) -> None:
    nodes = {"input": source(1, 4), "fc": linear(3, 4), "lif1": recurrent(), "output": sink(1, 3)}
    edges = [("input", "fc"), ("fc", "lif1"), ("lif1", "output")]
    flat = done(nodes, edges).graph
    inner = nodes["lif1"].nodes
    weight, rec = nodes["fc"].weight.astype(np.float64), inner["w_rec"].weight.astype(np.float64)
    v, z, expected = np.zeros(3), np.zeros(3), []
    states: dict[str, Nodes] = {name: {} for name in flat.nodes}
    gives: dict[str, Any] = {name: np.zeros(3) for name in flat.nodes}
    got = []
    for x in rng_input():
        # By hand, from the nested file: tau 0.5, r 2, v_leak 0, threshold 0.75.
        v = v + 0.1 / 0.5 * (2.0 * (weight @ x + rec @ z)) - 0.1 / 0.5 * v
        z = (v > 0.75).astype(np.float64)
        v = np.where(z > 0, 0.0, v)
        expected.append(z)
        # By the flat graph, node by node; spikes of the last step go back.
        gives["input"] = x
        for name in ("fc", "lif1.w_rec", "lif1.lif", "output"):
            total = sum(gives[a] for a, b in flat.edges if b == name)
            node = flat.nodes[name]
            gives[name] = total if name == "output" else _one_step(node, total, states[name])
        got.append(gives["output"])
    assert np.array_equal(got, expected)
    assert 0 < np.sum(expected) < np.size(expected)


@pytest.fixture(name="rng_input")
def _rng_input() -> Callable[[], np.ndarray[Any, Any]]:
    return lambda: np.random.default_rng(3).normal(size=(200, 4))
