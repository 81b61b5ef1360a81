"""Labels that exporters wrote wrong are put right where all else agrees, and the spikes stay."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import norse.torch as norse
import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.nir import nirfile, samples
from neurozsl.export.nir.foreign import Network, from_graph
from neurozsl.export.nir.normalise import normalise
from neurozsl.export.nir.said import Said
from neurozsl.hardware.floatsim.floatsim import simulate
from tests.factories.nir_nodes import lif, sink, source


def linear(out: int, size: int) -> Any:
    return nir.Linear(np.random.default_rng(out).normal(0.1, 0.8, (out, size)))


def conv(size: int, out: int, space: int = 2, input_shape: Any = None) -> Any:
    shape = (out, size, *[3] * space)
    weight = np.random.default_rng(size).normal(0.1, 0.5, shape)
    kind = nir.Conv2d if space == 2 else nir.Conv1d
    node = kind(None, weight, 1, 0, 1, 1, np.zeros(out))
    node.input_shape = input_shape
    return node


def pool() -> Any:
    return nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))


def flatten(*stored: int, start: int = 0) -> Any:
    node = nir.Flatten(None, start, -1)
    node.input_type = {"input": np.array(stored)}
    return node


def chain(**nodes: Any) -> nir.NIRGraph:
    """One node after the other."""
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


def nest(port_in: Any, port_out: Any, neuron: Any) -> nir.NIRGraph:
    """The nest that snnTorch writes for a recurrent layer of six neurons."""
    nodes = {"input": port_in, "lif": neuron, "w_rec": linear(6, 6), "output": port_out}
    edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, edges)


def network(graph: nir.NIRGraph, path: Path) -> Network:
    """Through a file, as any tool writes it; without `input_shape` where a node has none."""
    bare = [name for name, node in graph.nodes.items() if getattr(node, "input_shape", 0) is None]
    for name in bare:
        graph.nodes[name].input_shape = 0
    nir.write(path, graph)
    with h5py.File(path, "r+") as file:
        for name in bare:
            graph.nodes[name].input_shape = None
            del file[f"node/nodes/{name}/input_shape"]
    return from_graph(nirfile.read(path), path.name, Said(dt_s=0.1, steps=25))


def spikes(made: Network) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    codes = {
        name: rng.integers(0, 2, (3, 25, code.size)) for name, code in made.lowered.inputs.items()
    }
    return dict(simulate(made.lowered, ChipInput(codes, made.lowered.inputs)).spikes)


def assert_same(wrong: nir.NIRGraph, right: nir.NIRGraph, folder: Path, *said: str) -> None:
    """The repaired network spikes as the one with right labels; every sentence is listed."""
    repaired = network(wrong, folder / "wrong.nir")
    expected = spikes(network(right, folder / "right.nir"))
    for sentence in said:
        assert sentence in repaired.repairs
    got = spikes(repaired)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(got[name], value), name
    assert 0 < sum(int(v.sum()) for v in expected.values())
    again = normalise(normalise(wrong).graph)
    assert again.repairs == ()


# ---------------------------------------------------------------- a Flatten without a shape


def image(flat: Any) -> nir.NIRGraph:
    return chain(
        i=source(2, 6, 6), c=conv(2, 3), n=lif(), f=flat, w=linear(4, 48), m=lif(), o=sink(4)
    )


@pytest.mark.parametrize(
    ("stored", "start"), [((0,), 0), ((0, 0, 0), 0), ((0, 0, 0), 1), ((0, 0, 0, 0), 1)]
)
def test_a_flatten_whose_shape_is_all_zero_takes_that_of_what_feeds_it(
    stored: tuple[int, ...], start: int, tmp_path: Path
) -> None:
    said = "node 'f': input_type was all zero, (3, 4, 4) follows from 'n'"
    wrong = image(flatten(*stored, start=start))
    assert_same(wrong, image(flatten(3, 4, 4)), tmp_path, said)


def test_a_flatten_with_a_zero_among_sizes_is_refused() -> None:
    with pytest.raises(BadInput, match=r"'f': input_type is \[0, 4, 4\], expected 1 to"):
        normalise(image(flatten(0, 4, 4)))


def test_a_flatten_with_another_shape_than_what_feeds_it_is_refused() -> None:
    with pytest.raises(BadInput, match=r"'f': input_type is \(3, 5, 4\), but 'n' gives \(3, 4, 4"):
        normalise(image(flatten(3, 5, 4)))


def test_a_flatten_that_counts_time_and_batch_is_counted_without_them(tmp_path: Path) -> None:
    said = (
        "node 'f': input_type (5, 16, 3, 4, 4) has a batch or time dimension (5, 16); without it, "
        "dims 2 to -1 are 0 to -1"
    )
    assert_same(image(flatten(5, 16, 3, 4, 4, start=2)), image(flatten(3, 4, 4)), tmp_path, said)
    with pytest.raises(BadInput, match=r"input_type is \(5, 16, 3, 4, 4\), but 'n' gives"):
        normalise(image(flatten(5, 16, 3, 4, 4, start=1)))


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ((0, 0), "input_shape was all zero, (6, 6) follows from 'i'"),
        ((16, 2, 6, 6), "input_shape (16, 2, 6, 6) means (6, 6)"),
        ((1, 6, 6), "input_shape (1, 6, 6) means (6, 6)"),
    ],
)
def test_the_input_shape_of_a_convolution_is_the_size_of_what_feeds_it(
    stored: tuple[int, ...], said: str, tmp_path: Path
) -> None:
    wrong = chain(i=source(2, 6, 6), c=conv(2, 3, 2, stored), n=lif(), o=sink(3, 4, 4))
    right = chain(i=source(2, 6, 6), c=conv(2, 3, 2, (6, 6)), n=lif(), o=sink(3, 4, 4))
    assert_same(wrong, right, tmp_path, f"node 'c': {said}")
    along = chain(i=source(2, 6), c=conv(2, 3, 1, (stored[-1],)), n=lif(), o=sink(3, 4))
    behind = chain(i=source(2, 6), c=conv(2, 3, 1, stored[:-1]), n=lif(), o=sink(3, 4))
    right = chain(i=source(2, 6), c=conv(2, 3, 1, 6), n=lif(), o=sink(3, 4))
    assert_same(along, right, tmp_path)
    assert_same(behind, right, tmp_path)


# ---------------------------------------------------------------- ports of other channels


def test_an_input_that_names_other_channels_than_its_matrix_takes_is_put_right(
    tmp_path: Path,
) -> None:
    made = {
        size: chain(i=source(size), w=linear(4, 9), n=lif(4), o=sink(4)) for size in (3, 1, 12, 9)
    }
    for size in (3, 1, 12):
        said = f"Input 'i': its shape says ({size},), all that it feeds takes (9,) ('w')"
        assert_same(made[size], made[9], tmp_path, said)


def test_an_input_that_names_other_channels_than_its_kernel_takes_is_put_right(
    tmp_path: Path,
) -> None:
    made = {
        size: chain(i=source(size, 6, 6), c=conv(2, 3, 2, (6, 6)), n=lif(), o=sink(3, 4, 4))
        for size in (1, 2)
    }
    said = "Input 'i': its shape says (1, 6, 6), all that it feeds takes (2, 6, 6) ('c')"
    assert_same(made[1], made[2], tmp_path, said)


def recurrent(port_in: Any, port_out: Any, neuron: Any, last: Any) -> nir.NIRGraph:
    nodes = {
        "i": source(4),
        "w": linear(6, 4),
        "lif1": nest(port_in, port_out, neuron),
        "x": linear(5, 6),
        "n": lif(5),
        "o": last,
    }
    edges = [("i", "w"), ("w", "lif1"), ("lif1", "x"), ("x", "n"), ("n", "o")]
    return nir.NIRGraph(nodes, edges)


@pytest.mark.parametrize("neuron", [lif(6), lif()], ids=["a value each", "one value"])
def test_ports_of_a_nested_graph_that_name_other_channels_are_put_right(
    neuron: Any, tmp_path: Path
) -> None:
    said = (
        "port 'lif1.input': its shape says (4,), 'w' gives (6,), as the parameters of 'w' ask",
        "port 'lif1.output': its shape says (4,), 'lif1.lif' gives (6,), as the parameters of "
        f"'{'lif1.lif' if neuron.tau.size > 1 else 'lif1.w_rec'}' ask",
        "Output 'o': its shape says (4,), 'n' gives (5,), as the parameters of 'n' ask",
    )
    wrong = recurrent(source(4), sink(4), neuron, sink(4))
    assert_same(wrong, recurrent(source(6), sink(6), neuron, sink(5)), tmp_path, *said)


def test_time_and_batch_in_ports_and_outputs_are_left_out_and_listed(tmp_path: Path) -> None:
    wrong = recurrent(source(60, 16, 6), sink(60, 6), lif(6), sink(60, 16, 5))
    said = (
        "port 'lif1.input': (60, 16, 6) has batch and time dimensions (60, 16), left out, 'w' "
        "gives (6,)",
        "port 'lif1.output': (60, 6) has a batch or time dimension of 60, left out, 'lif1.lif' "
        "gives (6,)",
        "Output 'o': (60, 16, 5) has batch and time dimensions (60, 16), left out, 'n' gives (5,)",
    )
    assert_same(wrong, recurrent(source(6), sink(6), lif(6), sink(5)), tmp_path, *said)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        # Two labels against one parameter.
        (chain(i=source(5), n=lif(6), o=sink(5)), r"'n': tau has shape \(6,\), expected \(5,\)"),
        (
            chain(i=source(5), n=nest(source(5), sink(5), lif(6)), o=sink(5)),
            r"'n.lif': tau has shape \(6,\), expected \(5,\), which 'i' gives; most likely Input "
            r"'i' names 5 channels and means 6: store",
        ),
        # One value may be meant for all neurons.
        (chain(i=source(1), n=lif(6), o=sink(6)), "names 1 channels and means 6"),
        # Rows and columns rest on the label that is wrong.
        (
            chain(i=source(1, 6, 6), c=conv(2, 3), n=lif(), o=sink(3, 4, 4)),
            r"'c': .*names 1 channels and means 2: store .* \(2, any, any\)",
        ),
        (
            chain(i=source(6, 6, 2), c=conv(2, 3, 2, (6, 6)), n=lif(), o=sink(3, 4, 4)),
            r"'c': .*the channels of Input 'i' stand last, and 'c' takes them first: .*\(2, 6, 6\)",
        ),
        (
            chain(i=source(28, 28), c=conv(1, 3), n=lif(), o=sink()),
            r"'c': .*Input 'i' leaves out its one channel: store .* \(1, any, any\)",
        ),
        # What is fed asks for two shapes.
        (
            nir.NIRGraph(
                {"i": source(12), "a": linear(3, 4), "b": linear(3, 9), "o": sink(3)},
                [("i", "a"), ("i", "b"), ("a", "o"), ("b", "o")],
            ),
            "names 12 channels and means 4",
        ),
        # Inputs of 4 and 5 values that were to be joined, not summed.
        (
            nir.NIRGraph(
                {"a": source(4), "b": source(5), "w": linear(3, 9), "o": sink(3)},
                [("a", "w"), ("b", "w"), ("w", "o")],
            ),
            "'w': weight has shape .* names 4 channels and means 9",
        ),
        # Labels alone.
        (
            chain(i=source(3), n=lif(), o=sink(5)),
            r"Output 'o': its shape is \(5,\), but 'n' gives \(3,\); no parameter says which of the"
            r" two labels is wrong.* correct the Input \(i\)",
        ),
        (
            chain(i=source(3), s=chain(input=source(5), n=lif(), output=sink(3)), o=sink(3)),
            r"port 's.input': its shape is \(5,\), but 'i' gives \(3,\); no parameter says",
        ),
        # Not the channels alone.
        (
            chain(i=source(2, 6, 6), c=conv(2, 3), n=lif(), o=sink(48)),
            r"Output 'o': its shape is \(48,\), but 'n' gives \(3, 4, 4\); most likely a Flatten",
        ),
        (
            chain(i=source(4), w=linear(6, 4), o=sink(2, 5)),
            r"Output 'o': .* most likely the port was labelled at another place .* store \(6,\)",
        ),
    ],
)
def test_a_port_that_may_be_right_is_not_changed_and_the_message_says_what_is_likely(
    graph: nir.NIRGraph, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        normalise(graph)


# ---------------------------------------------------------------- time and batch at an Input


def ahead(*lead: int, **rest: Any) -> nir.NIRGraph:
    """A chain behind an Input whose shape, the first argument after `lead`, has a lead."""
    shape = rest.pop("sample")
    return chain(i=source(*lead, *shape), **rest)


STACKS: dict[str, dict[str, Any]] = {
    "kernel": {"sample": (2, 6, 6), "c": conv(2, 3), "n": lif(), "o": sink(3, 4, 4)},
    "kernel in one dimension": {"sample": (2, 6), "c": conv(2, 3, 1), "n": lif(), "o": sink(3, 4)},
    "matrix": {"sample": (10,), "w": linear(5, 10), "n": lif(5), "o": sink(5)},
    "neurons": {"sample": (6,), "n": lif(6), "w": linear(3, 6), "m": lif(3), "o": sink(3)},
    "one neuron's values": {
        "sample": (6,), "n": lif(), "w": linear(3, 6), "m": lif(3), "o": sink(3)
    },
    "pool": {"sample": (2, 8, 8), "p": pool(), "c": conv(2, 3), "n": lif(), "o": sink(3, 2, 2)},
    "flatten": {
        "sample": (2, 6, 6), "f": flatten(0), "w": linear(3, 72), "n": lif(3), "o": sink(3)
    },
    "flatten with a shape": {
        "sample": (2, 6, 6), "f": flatten(2, 6, 6), "w": linear(3, 72), "n": lif(3), "o": sink(3)
    },
    "matrix on a map": {"sample": (2, 6, 6), "w": linear(3, 72), "n": lif(3), "o": sink(3)},
}  # fmt: skip


@pytest.mark.parametrize("lead", [(7,), (5, 16), (1, 1), (60, 1)])
@pytest.mark.parametrize("stack", STACKS)
def test_the_trailing_dimensions_that_the_network_takes_are_a_sample(
    stack: str, lead: tuple[int, ...], tmp_path: Path
) -> None:
    wrong, right = ahead(*lead, **STACKS[stack]), ahead(**STACKS[stack])
    assert_same(wrong, right, tmp_path)
    result = normalise(wrong)
    shape = STACKS[stack]["sample"]
    found = result.shapes["i"]
    # Leading ones change no value and no order.
    assert found == shape or (found[-len(shape) :] == shape and set(found[: -len(shape)]) == {1})
    assert lead[0] == 1 or found[0] != lead[0]
    if lead[-1] != 1:
        called = str(lead) if len(lead) > 1 else f"of {lead[0]}"
        assert any(
            line.startswith(f"Input 'i': {(*lead, *shape)} has ") and f"{called}, left out" in line
            for line in result.repairs
        )


@pytest.mark.filterwarnings("ignore:nirtorch.* is being deprecated:DeprecationWarning")
@pytest.mark.parametrize("lead", [(4,), (60, 4)])
def test_what_norse_stores_of_the_sample_that_it_was_shown_is_left_out(
    lead: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    stack = norse.SequentialState(
        torch.nn.Linear(10, 16), norse.IAFCell(), torch.nn.Linear(16, 5), norse.IAFCell()
    )
    wrong, right = (norse.to_nir(stack, torch.rand(*n, 10)) for n in (lead, ()))
    assert wrong.nodes["input"].input_type["input"].tolist() == [*lead, 10]
    assert_same(wrong, right, tmp_path)


def test_an_input_whose_shape_is_all_zero_has_none(tmp_path: Path) -> None:
    made = [chain(i=source(n), w=linear(5, 10), n=lif(5), o=sink(n // 2)) for n in (0, 10)]
    said = (
        "Input 'i': its shape was all zero, (10,) follows from 'w'",
        "Output 'o': its shape was all zero, (5,) follows from 'n'",
    )
    assert_same(made[0], made[1], tmp_path, *said)
    with pytest.raises(BadInput, match="Input 'i': its shape is all zero, and does not follow"):
        normalise(chain(i=source(0), n=lif(), o=sink(3)))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        # Nothing says which dimensions are a sample.
        (
            chain(i=source(5, 16, 2, 6, 6), p=pool(), n=lif(), o=sink(5, 16, 2, 3, 3)),
            r"'p': takes \(channel, row, column\); 'i' gives \(5, 16, 2, 6, 6\); most likely "
            r"\(5, 16\) is time or batch before a sample of \(2, 6, 6\): store the shape of one",
        ),
        (
            chain(i=source(16, 2, 6, 6), p=pool(), n=lif(), o=sink(2, 3, 3)),
            r"most likely \(16,\) is time or batch before a sample of \(2, 6, 6\)",
        ),
        (
            chain(i=source(5, 16, 2, 6, 6), n=lif(), o=sink(5, 16, 2, 6, 6)),
            r"Input 'i': its shape \(5, 16, 2, 6, 6\) has 5 dimensions, and no parameter .*"
            r"before a sample of \(2, 6, 6\); store the shape of one sample",
        ),
        (
            chain(i=source(60, 5), n=lif(), o=sink(5)),
            r"Output 'o': its shape is \(5,\), but 'n' gives \(60, 5\); most likely \(60,\) is time"
            r" or batch that the Input names \(i\)",
        ),
        (
            chain(i=source(), n=nir.Scale(np.ones((4, 1, 1))), o=sink(4, 6, 6)),
            "Input 'i': its shape is missing, and does not follow",
        ),
        # Time and other channels as well.
        (
            chain(i=source(60, 12), w=linear(3, 38), o=sink(3)),
            r"'w': .*most likely Input 'i' holds time or batch, and one sample is \(38,\)",
        ),
        (
            chain(i=source(5, 16, 34, 34), c=conv(2, 3), n=lif(), o=sink()),
            r"'c': .*most likely Input 'i' holds time or batch, and one sample is \(2, any, any\)",
        ),
        # Two nodes read it in two ways.
        (
            nir.NIRGraph(
                {"i": source(3, 2, 4), "a": linear(2, 4), "n": lif(2, 4), "b": linear(2, 8),
                 "o": sink(2)},
                [("i", "a"), ("i", "n"), ("n", "b"), ("a", "o"), ("b", "o")],
            ),
            r"Input 'i': its shape \(3, 2, 4\) reads as \(4,\) for 'a' or \(2, 4\) for 'n'",
        ),
    ],
)  # fmt: skip
def test_what_nothing_proves_to_be_time_stays_or_is_refused_with_what_is_likely(
    graph: nir.NIRGraph, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        normalise(graph)


@pytest.mark.parametrize("shape", [(60, 10), (2, 6, 6), (1, 5)])
def test_a_shape_that_the_whole_network_takes_as_it_is_stays(shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    for graph in (
        chain(i=source(*shape), n=lif(), o=sink(*shape)),
        chain(i=source(*shape), n=lif(), f=flatten(0), w=linear(3, size), o=sink(3)),
        chain(i=source(*shape), n=lif(*shape), o=sink(*shape)),
    ):
        assert normalise(graph).shapes["i"] == shape


def test_the_search_for_samples_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = chain(i=source(60, 6), n=lif(), m=lif(), w=linear(3, 6), o=sink(3))
    assert normalise(graph).shapes["i"] == (6,)
    monkeypatch.setattr(samples, "MAX_FOLLOWED", 3)
    with pytest.raises(BadInput, match="in more than 3 nodes; store the shape of one sample in"):
        normalise(graph)


def test_an_old_file_with_every_wrong_label_is_read_from_disk(tmp_path: Path) -> None:
    right = chain(
        i=source(2, 6, 6), c=conv(2, 3), n=lif(), f=flatten(3, 4, 4), w=linear(4, 48), m=lif(),
        o=sink(4),
    )  # fmt: skip
    expected = spikes(network(right, tmp_path / "right.nir"))
    path = tmp_path / "wrong.nir"
    network(right, path)
    with h5py.File(path, "r+") as file:
        for key, value in {
            "i/shape": [5, 16, 2, 6, 6],
            "f/input_type/input" if "input" in file["node/nodes/f/input_type"] else "f/input_type":
                [0, 0, 0],
            "o/shape": [5, 16, 4],
        }.items():  # fmt: skip
            del file[f"node/nodes/{key}"]
            file[f"node/nodes/{key}"] = np.array(value)
    made = from_graph(nirfile.read(path), "wrong.nir", Said(dt_s=0.1, steps=25))
    assert len([line for line in made.repairs if "left out" in line or "all zero" in line]) == 3
    got = spikes(made)
    assert all(np.array_equal(got[name], value) for name, value in expected.items())
