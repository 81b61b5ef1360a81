"""Lowered graphs against a slow interpreter of their nodes (`nir_reference`), in float64."""

import itertools
from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.signals import ChipInput
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.network.neuron import NeuronRule
from tests.hardware.nir_reference import interpret

DT = 1e-3
Nodes = dict[str, Any]


def inputs(**shapes: Any) -> Nodes:
    return {k: nir.Input(input_type={"input": np.array(v)}) for k, v in shapes.items()}


def output(*shape: int) -> Any:
    return nir.Output(output_type={"output": np.array(shape)})


def neurons(kind: str, shape: Any, rng: np.random.Generator, **given: Any) -> Any:
    """A neuron node whose parameters differ between neurons."""

    def draw(low: float, high: float) -> Any:
        return rng.uniform(low, high, shape)

    lif = {"r": draw(0.5, 2), "v_leak": 0 * draw(0, 1), "v_threshold": draw(0.3, 1.2)}
    tau = {"tau": DT * draw(1.5, 8)}
    cuba = {"tau_mem": DT * draw(1.5, 8), "tau_syn": DT * draw(1.2, 4), "w_in": draw(0.5, 3)}
    if kind == "IF":
        node = nir.IF(r=lif["r"], v_threshold=lif["v_threshold"])
    elif kind == "LI":
        node = nir.LI(r=lif["r"], v_leak=lif["v_leak"], **tau)
    elif kind == "I":
        node = nir.I(r=lif["r"])
    elif kind == "Threshold":
        node = nir.Threshold(threshold=lif["v_threshold"])
    else:
        node = {"LIF": nir.LIF, "CubaLIF": nir.CubaLIF}[kind](
            **lif, **(tau if kind == "LIF" else cuba)
        )
    for key, value in given.items():
        setattr(node, key, np.full(shape, value))
    return node


def conv(out: int, into: int, rng: np.random.Generator, shape: Any = None, **given: Any) -> Any:
    options = {"stride": 1, "padding": 1, "dilation": (1, 1), "groups": 1, **given}
    weight = rng.normal(0, 0.6, (out, into // options["groups"], 3, 3))
    return nir.Conv2d(input_shape=shape, weight=weight, bias=rng.normal(0, 0.2, out), **options)


def pool(kind: type, kernel: int, stride: int, padding: int = 0) -> Any:
    return kind(
        kernel_size=np.array([kernel] * 2),
        stride=np.array([stride] * 2),
        padding=np.array([padding] * 2),
    )


def linear(out: int, into: int, rng: np.random.Generator, *, bias: bool = True) -> Any:
    weight = rng.normal(0, 4 / np.sqrt(into), (out, into))
    return nir.Affine(weight, rng.normal(0, 0.1, out)) if bias else nir.Linear(weight)


def chain(nodes: Nodes, *more: tuple[str, str]) -> nir.NIRGraph:
    names = list(nodes)
    return nir.NIRGraph(nodes=nodes, edges=[*itertools.pairwise(names), *more])


def flatten(*shape: int) -> Any:
    return nir.Flatten(start_dim=0, end_dim=-1, input_type={"input": np.array(shape)})


def cnn(rng: np.random.Generator) -> nir.NIRGraph:
    return chain(
        {
            **inputs(x=(2, 7, 6)),
            "c1": conv(4, 2, rng, (7, 6), stride=2),
            "n1": neurons("IF", (4, 4, 3), rng, r=1.0),
            "p": pool(nir.SumPool2d, 2, 2),
            "c2": conv(6, 4, rng, (2, 1), groups=2),
            "n2": neurons("LIF", (6, 2, 1), rng, r=1.0, tau=4 * DT),
            "f": flatten(6, 2, 1),
            "w": linear(5, 12, rng),
            "n3": neurons("CubaLIF", (5,), rng),
            "out": output(5),
        }
    )


def uneven(rng: np.random.Generator) -> nir.NIRGraph:
    """Gains that differ within channels, two kernels in a row, a pool behind a kernel, scales."""
    return chain(
        {
            **inputs(x=(2, 6, 6)),
            "s0": nir.Scale(rng.uniform(0.5, 2, (2, 6, 6))),
            "c1": conv(3, 2, rng, np.array([6, 6]), padding="same", dilation=(2, 2)),
            "n1": neurons("LIF", (3, 6, 6), rng),
            "a": pool(nir.AvgPool2d, 3, 2, 1),
            "c2": conv(4, 3, rng, (3, 3)),
            "s1": nir.Scale(rng.uniform(0.5, 2, (4, 1, 1)) * np.ones((4, 3, 3))),
            "p": pool(nir.SumPool2d, 2, 1),
            "c3": conv(2, 4, rng, (2, 2)),
            "n2": neurons("Threshold", (2, 2, 2), rng),
            "f": flatten(2, 2, 2),
            "w1": linear(6, 8, rng, bias=False),
            "w2": linear(4, 6, rng),
            "n3": neurons("LI", (4,), rng),
            "out": output(4),
        }
    )


def recurrent(rng: np.random.Generator) -> nir.NIRGraph:
    return chain(
        {
            **inputs(x=(5,)),
            "w1": linear(6, 5, rng),
            "n1": neurons("CubaLIF", (6,), rng),
            "w2": linear(4, 6, rng),
            "n2": neurons("LIF", (4,), rng),
            "out": output(4),
            "rec": linear(6, 6, rng),
            "back": linear(6, 4, rng, bias=False),
            "late": nir.Delay(np.full(4, 3 * DT)),
            "slow": linear(6, 4, rng),
        }
    )


def looped(rng: np.random.Generator) -> nir.NIRGraph:
    made = recurrent(rng)
    made.edges = [
        ("x", "w1"), ("w1", "n1"), ("n1", "w2"), ("w2", "n2"), ("n2", "out"),
        ("n1", "rec"), ("rec", "n1"), ("n2", "back"), ("back", "n1"),
        ("n2", "late"), ("late", "slow"), ("slow", "n1"),
    ]  # fmt: skip
    return made


def delayed(rng: np.random.Generator) -> nir.NIRGraph:
    """Delays that differ between elements, two inputs, skip connections, neurons on neurons."""
    made = chain(
        {
            **inputs(x=(4,), y=(3,)),
            "d": nir.Delay(DT * np.array([0.0, 2, 2, 5])),
            "w1": linear(3, 4, rng, bias=False),
            "n1": neurons("IF", (3,), rng),
            "n2": neurons("LIF", (3,), rng),
            "w2": linear(2, 3, rng),
            "out": output(2),
        }
    )
    made.edges = [
        ("x", "d"), ("d", "w1"), ("w1", "n1"), ("y", "n1"), ("n1", "n2"), ("y", "n2"),
        ("n2", "w2"), ("n1", "w2"), ("w2", "out"),
    ]  # fmt: skip
    return made


def line(rng: np.random.Generator) -> nir.NIRGraph:
    kernel = rng.normal(0, 0.8, (3, 2, 4))
    return chain(
        {
            **inputs(x=(2, 11)),
            "c": nir.Conv1d(
                11, kernel, np.array([2]), np.array([1]), np.array([1]), 1, rng.normal(0, 0.2, 3)
            ),
            "n": neurons("IF", (3, 5), rng),
            "f": flatten(3, 5),
            "w": linear(4, 15, rng),
            "m": neurons("LIF", (4,), rng),
            "out": output(4),
        }
    )


def resting(rng: np.random.Generator) -> nir.NIRGraph:
    """Leak and reset potentials that are not 0."""
    return chain(
        {
            **inputs(x=(3,)),
            "w": linear(5, 3, rng),
            "n": neurons("LIF", (5,), rng, v_leak=0.2, v_reset=-0.4),
            "v": linear(4, 5, rng, bias=False),
            "m": neurons("CubaLIF", (4,), rng, v_leak=0.15, v_reset=0.1),
            "out": output(4),
        }
    )


ZERO, SINABS = NeuronRule(), NeuronRule("subtract", 255, ">=", -1.0)
GRAPHS = [cnn, uneven, looped, delayed, line, resting]


def run(lowered: Lowered, x: dict[str, Any]) -> Any:
    codes = {k: v.reshape(1, len(v), -1) for k, v in x.items()}
    given = ChipInput(codes, lowered.inputs)
    return simulate(lowered, given, record=("spikes", "membrane"))


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        *((make, ZERO) for make in GRAPHS),
        (cnn, SINABS),
        (cnn, NeuronRule("subtract")),
        (looped, NeuronRule("subtract", 3, ">=")),
        (delayed, SINABS),
        (line, NeuronRule("zero", 1, ">=", -0.2)),
    ],
)
def test_a_lowered_graph_spikes_as_its_nodes_say(
    make: Callable[[Any], nir.NIRGraph], rule: NeuronRule
) -> None:
    steps, rng = 12, np.random.default_rng(7)
    graph = make(rng)
    lowered = lower(graph, dt_s=DT, steps=steps, rule=rule)
    names = [layer.name for layer in lowered.layers if hasattr(graph.nodes[layer.name], "r")]
    names += [x.name for x in lowered.layers if type(graph.nodes[x.name]).__name__ == "Threshold"]
    order = [layer.name for layer in lowered.layers if layer.name in names]
    x = {
        name: rng.integers(0, 2, (steps, *np.ravel(node.input_type["input"])))
        for name, node in graph.nodes.items()
        if isinstance(node, nir.Input)
    }
    spikes, values = interpret(graph, x, order, DT, rule)
    trace = run(lowered, x)
    for name in order:
        wanted = spikes[name].reshape(steps, -1)
        assert np.array_equal(trace.spikes[name][0], wanted), name
    assert any(spikes[name].any() for name in order)
    for layer in lowered.layers:
        if not layer.rule.spiking:
            key = layer.name if layer.name in values else "out"
            wanted = values[key].reshape(steps, -1)
            np.testing.assert_allclose(trace.membrane[layer.name][0], wanted, atol=1e-9)


def test_structure_is_kept_where_it_can_be() -> None:
    rng = np.random.default_rng(0)
    first, second, third = lower(cnn(rng), dt_s=DT, steps=3).layers
    assert first.link.conv is not None and first.link.conv.stride == (2, 2)
    assert second.link.conv is not None and second.link.conv.groups == 2
    assert [p.kernel for p in second.link.pools] == [(2, 2)]
    assert third.is_dense and third.weight.shape == (5, 12)
    assert not lower(cnn(rng), dt_s=DT, steps=3).notes


def test_what_is_rewritten_is_said() -> None:
    rng = np.random.default_rng(0)
    notes = " | ".join(lower(uneven(rng), dt_s=DT, steps=3).notes)
    assert "'p': with what comes before it" in notes and "'c1': with what comes" in notes
    assert "'n2' -> 'n1' closes a loop" in " | ".join(lower(looped(rng), dt_s=DT, steps=3).notes)
    notes = " | ".join(lower(delayed(rng), dt_s=DT, steps=3).notes)
    assert "3 different delays" in notes and "nothing between it and 'y'" in notes
    assert "is counted from v_reset" in " | ".join(lower(resting(rng), dt_s=DT, steps=3).notes)


def test_an_explicit_delay_in_a_loop_is_the_loops_delay() -> None:
    layer = lower(looped(np.random.default_rng(0)), dt_s=DT, steps=3).layers[0]
    delays = sorted((s.source, s.link.delay) for s in layer.synapses)
    assert delays == [("n1", 1), ("n2", 1), ("n2", 3), ("x", 0)]


def spoiled(change: Callable[[Nodes], Nodes], edges: list[tuple[str, str]]) -> nir.NIRGraph:
    made = cnn(np.random.default_rng(0))
    made.nodes |= change(made.nodes)
    made.edges = [*made.edges, *edges]
    return made


@pytest.mark.parametrize(
    ("change", "edges", "message"),
    [
        (lambda n: {"w": linear(5, 11, np.random.default_rng(0))}, [], r"expected \(out, 12\)"),
        (lambda n: {"c2": conv(6, 3, np.random.default_rng(0))}, [], "on 4 channels"),
        (lambda n: {"p": pool(nir.SumPool2d, 9, 1)}, [], "leaves nothing of a map"),
        (lambda n: {"c1": conv(4, 2, np.random.default_rng(0), padding=9999)}, [], "at most"),
        (lambda n: {"s": nir.Scale(np.ones(1))}, [("s", "s"), ("s", "n3")], "loop s -> s"),
        (lambda n: {"s": nir.Scale(np.ones(1))}, [("s", "n3")], "'s': fed by nothing"),
        (lambda n: {"s": nir.Scale(np.ones(1))}, [("n3", "s")], r"no output reads s \(Scale\)"),
        (lambda n: {"s": nir.Scale(np.ones(1))}, [("n1", "s"), ("s", "n3")], "brings a value"),
        (lambda n: {}, [("n3", "x2")], "names 'x2', which is not a node"),
        (
            lambda n: {"d": nir.Delay(np.full(5, 0.4 * DT))},
            [("n3", "d"), ("d", "n3")],
            "0.4 steps of 0.001 s, expected whole steps",
        ),
        (lambda n: {"n2": neurons("LI", (6, 2, 1), np.random.default_rng(0))}, [], "not spike"),
    ],
)
def test_a_graph_that_means_nothing_is_refused(change: Any, edges: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        lower(spoiled(change, edges), dt_s=DT, steps=3)


def test_every_unknown_node_is_named() -> None:
    class Odd:
        """A node of no known type."""

    made = spoiled(lambda n: {"odd": Odd(), "odder": Odd()}, [])
    with pytest.raises(UnsupportedNode, match=r"odd \(Odd\), odder \(Odd\)"):
        lower(made, dt_s=DT, steps=3)


def test_gains_that_differ_in_their_last_bit_do_not_cost_the_kernel() -> None:
    rng = np.random.default_rng(0)
    made = cnn(rng)
    tau = np.full((4, 4, 3), 3 * DT) * rng.choice([1.0, 1 + 2**-24], (4, 4, 3))
    rest = {key: np.full((4, 4, 3), value) for key, value in (("r", 1.0), ("v_leak", 0.0))}
    made.nodes["n1"] = nir.LIF(tau=tau, v_threshold=np.full((4, 4, 3), 0.5), **rest)
    first = lower(made, dt_s=DT, steps=3).layers[0]
    assert first.link.conv is not None
    made.nodes["n1"] = nir.LIF(
        tau=tau * rng.choice([1.0, 1.001], tau.shape), v_threshold=tau, **rest
    )
    assert lower(made, dt_s=DT, steps=3).layers[0].link.conv is None
