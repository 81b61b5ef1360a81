"""What `inspect_file` says of layers: counted by hand, and against the matrices of synapses."""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neurozsl.export.network.inspection import inspect_file, layer_rows
from neurozsl.export.nir.said import Said
from neurozsl.hardware.arithmetic.fit import fit
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.connections import fan_out
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse, matrix
from tests.factories import network_files as files

CONVS = (
    Conv((2, 7, 6)),
    Conv((2, 7, 6), stride=(2, 1), padding=(1, 1, 1, 1)),
    Conv((2, 7, 6), padding=(2, 1, 0, 3), dilation=(2, 1)),
    Conv((4, 5, 5), stride=(3, 2), padding=(1, 0, 1, 2), groups=2),
)


def connections(synapse: Synapse) -> int:
    return int(fan_out(synapse, np.ones(synapse.weight.shape)).sum())


@pytest.mark.parametrize("conv", CONVS, ids=str)
def test_connections_of_a_convolution_are_the_entries_of_its_matrix(conv: Conv) -> None:
    weight = np.ones((6, conv.shape[0] // conv.groups, 3, 2))
    synapse = Synapse("x", weight, Link(conv))
    assert connections(synapse) == np.count_nonzero(matrix(synapse))


@pytest.mark.parametrize("padding", [(0, 0), (1, 1)], ids=str)
def test_connections_behind_a_pool_count_every_value_of_its_windows(
    padding: tuple[int, int],
) -> None:
    pool = Pool((3, 8, 6), (2, 2), (2, 2), padding)
    size = int(np.prod(pool.out_shape))
    dense = Synapse("x", np.ones((5, size)), Link(pools=(pool,)))
    assert connections(dense) == np.count_nonzero(matrix(dense))
    kernel = Synapse("x", np.ones((4, 3, 1, 1)), Link(Conv(pool.out_shape), (pool,)))
    assert connections(kernel) == np.count_nonzero(matrix(kernel))


def neurons(size: Any, tau: Any) -> nir.LIF:
    """The gain r dt / tau is 1 in every neuron, so a kernel stays one."""
    one = np.ones(size)
    return nir.LIF(tau=one * tau, r=one * tau / files.DT, v_leak=0 * one, v_threshold=one)


def graph(*edges: tuple[str, str], **nodes: Any) -> nir.NIRGraph:
    ends = {
        "in": nir.Input(input_type={"input": np.array([2, 6, 6])}),
        "out": nir.Output(output_type={"output": np.array([3])}),
    }
    return nir.NIRGraph(nodes={**ends, **nodes}, edges=list(edges))


def recurrent() -> nir.NIRGraph:
    """Conv -> LIF map -> pool, flatten, Linear -> LIF that reads itself; a linear read-out."""
    rng = np.random.default_rng(0)
    return graph(
        ("in", "k"), ("k", "map"), ("map", "p"), ("p", "f"), ("f", "w"), ("w", "rec"),
        ("rec", "loop"), ("loop", "rec"), ("rec", "read"), ("read", "out"),
        k=nir.Conv2d((6, 6), rng.normal(size=(4, 2, 3, 3)), 1, 1, 1, 1, np.ones(4)),
        map=neurons((4, 6, 6), files.DT * np.resize([2.0, 4.0, 8.0], (4, 6, 6))),
        p=nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        f=nir.Flatten({"input": np.array([4, 3, 3])}, 0, -1),
        w=nir.Linear(rng.normal(size=(5, 36))),
        rec=neurons(5, 5e-3),
        loop=nir.Linear(rng.normal(size=(5, 5))),
        read=nir.Linear(rng.normal(size=(3, 5))),
    )  # fmt: skip


def test_every_kind_of_layer_is_called_by_its_name() -> None:
    rows = {row.name: row for row in layer_rows(lower(recurrent(), dt_s=files.DT, steps=10))}
    assert {name: row.kind for name, row in rows.items()} == {
        "map": ("conv",),
        "rec": ("pool", "dense", "recurrent"),
        "read": ("dense", "read-out"),
    }
    assert (rows["map"].neurons, rows["map"].shape) == (144, (4, 6, 6))
    assert rows["map"].parameters == 4 * 2 * 9 + 4  # one bias a channel, not a neuron
    assert rows["map"].tau_steps == pytest.approx((2.0, 8.0))
    assert {s.source: s.delay for s in rows["rec"].sources} == {"map": 0, "rec": 1}
    assert rows["rec"].connections == 5 * 144 + 25
    assert rows["read"].threshold is None


def test_nodes_of_nested_graphs_are_listed_below_their_graph(tmp_path: Path) -> None:
    inner = nir.NIRGraph(
        nodes={
            "input": nir.Input(input_type={"input": np.array([6])}),
            "w": nir.Linear(np.ones((4, 6))),
            "lif": neurons(4, 4e-3),
            "output": nir.Output(output_type={"output": np.array([4])}),
        },
        edges=[("input", "w"), ("w", "lif"), ("lif", "output")],
    )
    outer = nir.NIRGraph(
        nodes={
            "in": nir.Input(input_type={"input": np.array([6])}),
            "block": inner,
            "out": nir.Output(output_type={"output": np.array([4])}),
        },
        edges=[("in", "block"), ("block", "out")],
    )
    found = inspect_file(files.write(tmp_path / "nested.nir", outer), Said(dt_s=files.DT))
    nodes = {row.name: row for row in found.nodes}
    assert (nodes["block"].type, nodes["block"].feeds) == ("NIRGraph", ("out",))
    assert nodes["block.w"].feeds == ("block.lif",)
    assert found.error is None and [row.neurons for row in found.layers] == [4]
    assert found.network is not None and found.as_json()["repairs"] == list(found.network.repairs)


def test_a_chip_says_whether_a_size_or_the_neuron_is_in_the_way() -> None:
    leaky = fit(lower(files.dense(), dt_s=files.DT, steps=10), "speck2f")
    assert (leaky.mapping, leaky.limited) == (None, False) and "leak" in leaky.reason
    wide = nir.NIRGraph(
        nodes={
            "in": nir.Input(input_type={"input": np.array([2000])}),
            "w": nir.Linear(np.random.default_rng(0).normal(size=(2000, 2000))),
            "if": nir.IF(r=np.ones(2000), v_threshold=np.ones(2000)),
            "out": nir.Output(output_type={"output": np.array([2000])}),
        },
        edges=[("in", "w"), ("w", "if"), ("if", "out")],
    )
    large = fit(lower(wide, dt_s=files.DT, steps=10), "speck2f")
    assert (large.mapping, large.limited) == (None, True)
    assert large.as_json()["reason"] == large.reason
    good = fit(lower(files.dense("IF"), dt_s=files.DT, steps=10), "speck2f")
    assert (good.cores_used, good.cores, good.as_json()["reason"]) == (2, 9, None)
