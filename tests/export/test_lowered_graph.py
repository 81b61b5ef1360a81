"""A lowered network written as NIR and lowered again is the same network."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import from_graph
from neurozsl.export.nir.graph_reading import graph_inputs
from neurozsl.export.nir.lowered_graph import lowered_graph
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.lowered import Lowered, LoweredLayer
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from tests.factories.inputs import binary_code
from tests.factories.networks import lowered, lowered_layer


def _weights(*shape: int) -> Any:
    values = np.random.default_rng(sum(shape)).normal(size=shape)
    return values.astype(np.float32).astype(np.float64)


def networks() -> dict[str, Lowered]:
    """One of every kind that is written."""
    pool = Pool((2, 6, 6), (2, 2), (2, 2))
    conv = Conv((2, 3, 3), padding=(1, 1, 1, 1))
    line = Conv((3, 1, 8), stride=(1, 2), padding=(0, 0, 1, 1))
    subtract = NeuronRule("subtract", max_spikes=5, compare=">=", low=-0.5)
    read_out = {"rule": NeuronRule(spiking=False), "threshold": np.inf}
    return {
        "integrate and fire": lowered(lowered_layer("a", "x", _weights(3, 4)), code=binary_code(4)),
        "leaky, bias": lowered(
            lowered_layer("a", "x", _weights(3, 4), leak=0.3, bias=np.float32(0.2)),
            code=binary_code(4),
        ),
        "synaptic current": lowered(
            lowered_layer(
                "a", "x", _weights(3, 4), leak=0.3, syn_leak=0.2, bias=0.25, bias_to="current"
            ),
            code=binary_code(4),
        ),
        "another rule, and a read-out": lowered(
            lowered_layer("a", "x", _weights(3, 4), rule=subtract, threshold=0.7),
            lowered_layer("b", "a", _weights(2, 3), leak=0.25, **read_out),
            code=binary_code(4),
        ),
        "pool and kernel, then a matrix": lowered(
            lowered_layer("a", "x", _weights(4, 2, 3, 3), link=Link(conv, (pool,))),
            lowered_layer("b", "a", _weights(2, 36)),
            code=binary_code(72),
        ),
        "kernel on a line": lowered(
            lowered_layer("a", "x", _weights(2, 3, 1, 3), link=Link(line)), code=binary_code(24)
        ),
        "two sources, one late, and a loop": lowered(
            lowered_layer("a", "x", _weights(3, 4)),
            lowered_layer(
                "b",
                "a",
                _weights(2, 3),
                also=(
                    Synapse("b", _weights(2, 2), Link(delay=1)),
                    Synapse("x", _weights(2, 4), Link(delay=3)),
                ),
            ),
            code=binary_code(4),
        ),
        "a table of thresholds": lowered(
            lowered_layer("a", "x", _weights(3, 4), theta_table=np.linspace(1, 2, 10)),
            code=binary_code(4),
            policy="table",
        ),
    }


def assert_equal(found: Lowered, wanted: Lowered) -> None:
    for key in ("inputs", "outputs", "dt_s", "steps", "policy"):
        assert getattr(found, key) == getattr(wanted, key)
    assert [x.name for x in found.layers] == [x.name for x in wanted.layers]
    for a, b in zip(found.layers, wanted.layers, strict=True):
        for each in fields(LoweredLayer):
            one, other = getattr(a, each.name), getattr(b, each.name)
            if each.name == "also":
                assert [(s.source, s.link) for s in one] == [(s.source, s.link) for s in other]
                for s, t in zip(one, other, strict=True):
                    np.testing.assert_array_equal(s.weight, t.weight)
            elif isinstance(other, np.ndarray):
                np.testing.assert_array_equal(one, other, err_msg=f"{a.name}.{each.name}")
            else:
                assert one == other, f"{a.name}.{each.name}"


@pytest.mark.parametrize("name", networks())
def test_what_is_written_lowers_to_the_same_numbers(name: str, tmp_path: Path) -> None:
    network = networks()[name]
    path = nirfile.write(tmp_path / "a.nir", lowered_graph(network))
    assert_equal(lower(nirfile.read(path)), network)


def test_files_of_every_framework_are_written_again(shared_data: Path) -> None:
    folder = shared_data / "nir_cases"
    if not folder.is_dir():
        pytest.skip("../shared/data/nir_cases is not on this machine")
    written = 0
    for file in sorted(folder.glob("*.nir")):
        network = from_graph(nirfile.read(file), file.name)
        shapes = graph_inputs(network.graph)
        try:
            once = lower(lowered_graph(network.lowered, shapes))
        except BadInput as refused:
            assert "starts or drives its membrane" in str(refused)
            continue
        again = lowered_graph(once, shapes)
        assert graph_inputs(again) == shapes  # the samples of the file fit still
        assert_equal(lower(again), once)
        for a, b in zip(once.layers, network.lowered.layers, strict=True):
            np.testing.assert_allclose(a.weight, b.weight, rtol=1e-6)  # float32
        written += 1
    assert written >= 15


def _changed(**changes: Any) -> Lowered:
    network = networks()["pool and kernel, then a matrix"]
    first = replace(network.layers[0], **changes)
    return replace(network, layers=(first, *network.layers[1:]))


def test_what_nir_has_no_node_for_is_refused_with_the_layer() -> None:
    size = _changed().layers[0].size
    mixed = np.where(np.arange(size) < 3, 0.5, 0.0)
    one_side = Link(
        Conv((2, 3, 3), padding=(1, 0, 1, 0)), networks()["pool and kernel, then a matrix"]
        .layers[0].link.pools
    )  # fmt: skip
    for changes, said in (
        ({"bias": np.arange(size, dtype=float)}, "differs inside a channel"),
        ({"leak": mixed}, "of 36 neurons have no leak"),
        ({"drive": np.ones(size)}, "starts or drives its membrane"),
        ({"start": np.ones(size)}, "starts or drives its membrane"),
        ({"syn_leak": np.full(size, 0.5)}, "current into neurons without a leak"),
    ):
        with pytest.raises(BadInput, match=f"layer 'a': .*{said}"):
            lowered_graph(_changed(**changes))
    uneven = lowered(
        lowered_layer("a", "x", _weights(2, 2, 2, 2), link=one_side), code=binary_code(72)
    )
    with pytest.raises(BadInput, match="layer 'a': pads"):
        lowered_graph(uneven)


def test_the_graph_is_plain_nir() -> None:
    graph = lowered_graph(networks()["pool and kernel, then a matrix"])
    kinds = {name: type(node) for name, node in graph.nodes.items()}
    assert kinds["a.w.pool0"] is nir.SumPool2d and kinds["a.w"] is nir.Conv2d
    assert kinds["b.w.flat"] is nir.Flatten and kinds["b"] is nir.IF
