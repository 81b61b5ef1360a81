"""Messages and hops against a walk over every spike, weight and core; placed by `place` itself."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.chips.chip import Chip, load_chip, parse_chip
from neurozsl.hardware.count.traffic import Mesh, Traffic, traffic
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.hardware.network.connections import fan_out, sources_of
from neurozsl.hardware.network.lowered import Lowered
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from neurozsl.hardware.place.mapping import Mapping
from neurozsl.hardware.place.place import place
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram
from tests.factories.networks import one_layer
from tests.factories.programs import program_layer
from tests.hardware.connection_loops import CONVS, paths_of, sparse

MESH = Mesh(3, 4, 2)
SAMPLES, STEPS = 2, 5


def small_cores(neurons: int) -> Chip:
    """Loihi 1 with room for a few neurons in a core."""
    text = files("neurozsl.hardware.chips").joinpath("loihi1.toml").read_text(encoding="utf-8")
    text, changed = re.subn(r"(neurons_per_core = \{ value = )\d+", rf"\g<1>{neurons}", text)
    assert changed == 1
    return parse_chip("loihi1", text)


def core_of(mapping: Mapping) -> dict[tuple[str, int], int]:
    """The core of every neuron, one neuron at a time."""
    found = {}
    for part in mapping.parts:
        [shape] = [layer for layer in mapping.layers if layer.name == part.layer]
        _, high, wide = shape.out_map
        for neuron in range(part.first, part.last + 1):
            at = (neuron // (high * wide), neuron // wide % high, neuron % wide)
            tile = part.tile
            if tile is None or all(a <= x <= b for x, (a, b) in zip(at, tile, strict=True)):
                assert (part.layer, neuron) not in found
                found[part.layer, neuron] = part.core
    return found


def walk(start: tuple[int, int], end: tuple[int, int]) -> tuple[int, int]:
    """Steps along the row, then along the column, one at a time."""
    (x, y), along, down = start, 0, 0
    while x != end[0]:
        x, along = x + (1 if end[0] > x else -1), along + 1
    while y != end[1]:
        y, down = y + (1 if end[1] > y else -1), down + 1
    return along, down


def slow_traffic(network: Any, given: ChipInput, trace: Trace, mapping: Mapping) -> dict[str, Any]:
    """Every spike, every weight, every core."""
    cores = core_of(mapping)
    values = {**given.codes, **trace.spikes}
    found: dict[str, Any] = {"input": 0} | {layer.name: [0, 0, 0, 0] for layer in network.layers}
    paths = [(layer.name, s, paths_of(s)) for layer in network.layers for s in layer.synapses]
    for source, spikes in values.items():
        for i in range(spikes.shape[2]):
            targets = set()
            for name, synapse, taps in paths:
                if synapse.source == source:
                    for neuron, place_of in taps[i]:
                        if synapse.weight[place_of] != 0:
                            targets.add(cores[name, neuron])
            for s in range(SAMPLES):
                for t in range(STEPS):
                    for core in targets:
                        if source in given.codes:
                            found["input"] += spikes[s, t, i] != 0
                            continue
                        row = found[source]
                        for _ in range(int(spikes[s, t, i])):
                            tiles = (cores[source, i] // 2, core // 2)
                            along, down = walk(*((tile % 3, tile // 3) for tile in tiles))
                            row[0] += 1
                            row[1] += tiles[0] == tiles[1]
                            row[2] += along
                            row[3] += down
    return found


def whole(rng: np.random.Generator, *shape: int) -> Any:
    """Sparse integer weights on the grid of eight bits."""
    return (2 * rng.integers(-60, 60, shape) * (rng.random(shape) < 0.25)).astype(np.int16)


def layer_of(name: str, *synapses: Synapse) -> ProgramLayer:
    first, *also = synapses
    return program_layer(
        name, first.source, first.weight, vth=20, link=first.link, also=tuple(also)
    )


def nets() -> dict[str, tuple[tuple[ProgramLayer, ...], int, int]]:
    """Layers, width of the input, neurons that a core holds."""
    rng = np.random.default_rng(11)
    conv = Conv((2, 6, 6), padding=(1, 1, 1, 1))
    pool, behind = Pool((3, 6, 6), (2, 2), (2, 2)), Conv((3, 3, 3), groups=3)
    return {
        "dense over cores": (
            (
                layer_of("a", Synapse("x", whole(rng, 17, 9))),
                layer_of("b", Synapse("a", whole(rng, 11, 17))),
            ),
            9,
            4,
        ),
        "tiles of maps": (
            (
                layer_of("a", Synapse("x", whole(rng, 3, 2, 3, 3), Link(conv))),
                layer_of("b", Synapse("a", whole(rng, 6, 1, 2, 2), Link(behind, (pool,)))),
                layer_of("c", Synapse("b", whole(rng, 5, 24))),
            ),
            72,
            7,
        ),
        "loops and delays": (
            (
                layer_of(
                    "a",
                    Synapse("x", whole(rng, 9, 5)),
                    Synapse("a", whole(rng, 9, 9), Link(delay=1)),
                    Synapse("b", whole(rng, 9, 8), Link(delay=2)),
                ),
                layer_of(
                    "b",
                    Synapse("a", whole(rng, 8, 9)),
                    Synapse("a", whole(rng, 8, 9), Link(delay=3)),
                    Synapse("x", whole(rng, 8, 5), Link(delay=1)),
                ),
            ),
            5,
            3,
        ),
    }


@pytest.mark.parametrize("kind", nets())
def test_messages_and_hops_are_those_of_a_walk_over_every_spike(kind: str) -> None:
    layers, width, room = nets()[kind]
    rng, code = np.random.default_rng(1), InputCode(width, "graded", 3, True, 1.0)
    program = Program("loihi1", {"x": code}, layers, (layers[-1].name,), STEPS, 1e-3, "fixed")
    x = rng.integers(-3, 4, (SAMPLES, STEPS, width)) * (rng.random((SAMPLES, STEPS, width)) < 0.3)
    given = ChipInput({"x": x.astype(np.int16)}, {"x": code})
    trace = emulate(program, given)
    trace.spikes["a"][0, :2] *= 3  # several spikes in a step
    mapping = place(program, small_cores(room))
    assert len(mapping.parts) > len(layers)
    assert any(part.tile for part in mapping.parts) is (kind == "tiles of maps")
    found = traffic(program, given, trace, mapping, MESH)
    slow = slow_traffic(program, given, trace, mapping)
    assert found is not None
    assert found.input_messages * SAMPLES == slow["input"] > 0
    for row in found.layers:
        fast = (row.messages, row.in_tile, row.hops_ew, row.hops_ns)
        assert [x * SAMPLES for x in fast if x is not None] == slow[row.layer]
    assert found.messages * SAMPLES == sum(slow[layer.name][0] for layer in layers) > 0
    ways = (found.hops_ew, found.hops_ns)
    along, down = (sum(slow[x.name][i] for x in layers) for i in (2, 3))
    assert [x * SAMPLES for x in ways if x is not None] == [along, down]
    assert along > 0 and (down > 0 or kind == "loops and delays")


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("kind", CONVS)
def test_sources_of_neurons_are_those_that_a_loop_finds(kind: str, pooled: bool) -> None:
    shape, conv = CONVS[kind]
    c, h, w = conv.shape
    pools = (Pool((c, 2 * h - 1, w + 1), (3, 2), (2, 1), (1, 0)),) if pooled else ()
    rng = np.random.default_rng(len(kind))
    synapse = Synapse("x", sparse(rng, *shape) * (rng.random(shape) < 0.3), Link(conv, pools))
    paths = paths_of(synapse)
    some = [np.zeros(synapse.size_out, np.bool_) for _ in range(5)]
    some[1][:] = True
    some[2][synapse.size_out // 2] = True
    some[3][rng.choice(synapse.size_out, 4)] = True
    some[4].reshape(synapse.out_shape)[:, :1, -2:] = True
    for neurons in some:
        slow = [
            any(neurons[n] and synapse.weight[place_of] != 0 for n, place_of in taps)
            for taps in paths
        ]
        assert sources_of(synapse, synapse.weight != 0, neurons).tolist() == slow
    reach = fan_out(synapse, synapse.weight != 0) > 0
    assert np.array_equal(sources_of(synapse, synapse.weight != 0, some[1]), reach)


def two_layers() -> tuple[Program, ChipInput, Trace]:
    """Three neurons to two and one of them back, by hand; neuron 1 of `a` reaches nobody."""
    forward = np.array([[2, 0, 4], [0, 0, 6]])
    back = np.zeros((3, 2), int)
    back[0, 1] = 2
    code = InputCode(3, "binary", 1, False, 1.0)
    layers = (
        layer_of("a", Synapse("x", 2 * np.eye(3, dtype=int)), Synapse("b", back, Link(delay=1))),
        layer_of("b", Synapse("a", forward)),
    )
    program = Program("loihi1", {"x": code}, layers, ("b",), 2, 1e-3, "fixed")
    given = ChipInput({"x": np.array([[[1, 1, 0], [0, 0, 1]]])}, {"x": code})
    a, b = np.array([[[1, 1, 1], [0, 1, 1]]]), np.array([[[0, 1], [1, 1]]])
    return program, given, Trace({"a": a, "b": b})


def test_a_small_case_by_hand() -> None:
    program, given, trace = two_layers()
    mapping = place(program, small_cores(1))  # a neuron a core: 0 1 2 hold `a`, 3 4 hold `b`
    assert [(p.core, p.layer, p.first) for p in mapping.parts] == [
        (0, "a", 0),
        (1, "a", 1),
        (2, "a", 2),
        (3, "b", 0),
        (4, "b", 1),
    ]
    # One core a tile, two in a row: neuron 0 of `a` at (0, 0) to core 3 at (1, 1), once; neuron 2
    # at (0, 1) to core 3 one step east and to core 4 one step south, twice each.
    found = traffic(program, given, trace, mapping, Mesh(2, 3, 1))
    assert found is not None
    a, b = found.layers
    assert (a.messages, a.in_tile, a.hops_ew, a.hops_ns, a.hops) == (5, 0, 3, 3, 6)
    # Neuron 1 of `b` at (0, 2) to core 0: two steps north, twice, the spike of the end included.
    assert (b.messages, b.in_tile, b.hops_ew, b.hops_ns) == (2, 0, 0, 4)
    assert found.input_messages == 3


def test_a_layer_that_reads_itself_sends_to_its_own_core_without_a_hop() -> None:
    code = InputCode(1, "binary", 1, False, 1.0)
    layer = layer_of(
        "a", Synapse("x", np.array([[2]])), Synapse("a", np.array([[4]]), Link(None, (), 1))
    )
    program = Program("loihi1", {"x": code}, (layer,), ("a",), 3, 1e-3, "fixed")
    given = ChipInput({"x": np.ones((1, 3, 1), int)}, {"x": code})
    mapping = place(program, "loihi1")
    found = traffic(program, given, Trace({"a": np.ones((1, 3, 1))}), mapping, MESH)
    assert found is not None
    assert (found.messages, found.layers[0].in_tile, found.hops_ew) == (3, 3, 0)


def test_without_a_mesh_there_are_messages_and_no_hops_and_without_a_placement_nothing() -> None:
    program, given, trace = two_layers()
    mapping = place(program, small_cores(1))
    found = traffic(program, given, trace, mapping)
    assert isinstance(found, Traffic)
    assert (found.messages, found.hops_ew, found.layers[0].hops) == (7, None, None)
    assert (found.hops_ew, found.hops_ns) == (None, None)  # unknown, not 0
    assert found.layers[0].in_tile is None
    assert traffic(program, given, trace, None, MESH) is None


def test_speck_layers_send_to_the_cores_that_read_them() -> None:
    rng, code = np.random.default_rng(0), InputCode(36, "binary", 1, False, 1.0)
    kernel = np.ones((2, 1, 3, 3), np.int16)
    weight = rng.integers(1, 9, (3, 8)).astype(np.int16)
    pool = Pool((2, 4, 4), (2, 2), (2, 2))
    layers = (
        SpeckLayer(
            "a", "x", kernel, np.zeros(32, np.int16), 2, -9, 1.0, link=Link(Conv((1, 6, 6)))
        ),
        SpeckLayer("b", "a", weight, np.zeros(3, np.int16), 9, -9, 1.0, link=Link(pools=(pool,))),
    )
    program = SpeckProgram("speck2f", {"x": code}, layers, ("b",), STEPS, 1e-3, "fixed")
    spikes = {
        name: rng.integers(0, 3, (SAMPLES, STEPS, n)) for name, n in {"a": 32, "b": 3}.items()
    }
    x = rng.integers(0, 2, (SAMPLES, STEPS, 36))
    given = ChipInput({"x": x}, {"x": code})
    found = traffic(program, given, Trace(spikes), place(program, "speck2f"))
    assert found is not None
    assert [row.messages * SAMPLES for row in found.layers] == [spikes["a"].sum(), 0]
    assert found.input_messages * SAMPLES == x.sum()


def test_floating_point_weights_are_counted_where_their_integers_were_placed() -> None:
    program, given, trace = two_layers()
    mapping = place(program, small_cores(1))
    layers = tuple(replace(one_layer(*layer.synapses), name=layer.name) for layer in program.layers)
    network = Lowered(program.inputs, layers, ("b",), 1e-3, 2, "fixed")
    mesh = Mesh(2, 3, 1)
    assert traffic(network, given, trace, mapping, mesh) == traffic(
        program, given, trace, mapping, mesh
    )


def test_the_mapping_of_another_network_or_a_mesh_that_is_too_small_is_refused() -> None:
    program, given, trace = two_layers()
    mapping = place(program, small_cores(1))
    fewer = replace(mapping, parts=mapping.parts[1:])
    twice = replace(mapping, parts=(*mapping.parts, mapping.parts[0]))
    for wrong in (fewer, twice, replace(mapping, layers=())):
        with pytest.raises(BadInput, match="does not hold the 3 neurons of layer 'a' once each"):
            traffic(program, given, trace, wrong, MESH)
    with pytest.raises(BadInput, match="core 4 is used, the mesh of 2 x 1 tiles with 2 cores ends"):
        traffic(program, given, trace, mapping, Mesh(2, 1, 2))


def test_the_mesh_of_a_chip_is_that_of_its_file() -> None:
    found = Mesh.of(load_chip("loihi1"))
    assert found is not None
    assert found.cores == load_chip("loihi1").limit["cores"].value
    assert Mesh.of(load_chip("speck2f")) is None
    assert [found.place(core) for core in (0, 3, 4, 31, 32, 127)] == [
        (0, 0),
        (0, 0),
        (1, 0),
        (7, 0),
        (0, 1),
        (7, 3),
    ]
