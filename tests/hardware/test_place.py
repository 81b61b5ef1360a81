"""Layers on cores: published facts, brute force, and changes that do fit when they are said to."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.core.signals import InputCode
from neurozsl.hardware.chips.chip import load_chip, parse_chip
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse, matrix
from neurozsl.hardware.place.assign import match, words
from neurozsl.hardware.place.changes import Change
from neurozsl.hardware.place.core_use import Core, core_limits, list_bits
from neurozsl.hardware.place.grids import Grid, spread
from neurozsl.hardware.place.mapping import Kernel, LayerShape, Mapping, dense
from neurozsl.hardware.place.place import place, remedies
from neurozsl.hardware.place.placement import Placement, placement
from neurozsl.hardware.place.shapes import shapes
from neurozsl.hardware.place.tiles import connections
from neurozsl.hardware.speck.program import SpeckLayer, SpeckProgram
from tests.factories.programs import program_layer

Layers = tuple[LayerShape, ...]


def chain(*sizes: int, name: str = "l", bits: int = 8) -> Layers:
    """Dense layers one after the other; the first reads the input `in`."""
    return tuple(
        dense(f"{name}{i}", f"{name}{i - 1}" if i else "in", a, b, weight_bits=bits)
        for i, (a, b) in enumerate(pairwise(sizes))
    )


def fits(layers: Sequence[LayerShape], chip: str) -> bool:
    try:
        place(layers, chip)
    except DoesNotFit:
        return False
    return True


# ---------------------------------------------------------------- equal cores (Loihi)


@pytest.mark.parametrize(
    ("chip", "sizes", "cores"),
    [
        ("loihi1", (512, 512, 512, 512), 9),
        ("loihi2", (512, 512, 512, 512), 6),
        ("loihi1_sanafe", (512, 512, 512, 512), 9),  # another energy table of the same chip
        ("loihi1", (512, 512, 512, 64), 7),
        ("loihi2", (512, 512, 512, 64), 5),
        ("loihi1", (512, 230), 1),
        ("loihi1", (512, 231), 2),
        ("loihi2", (512, 384), 1),  # 512 x 384 x 8 bits = 192 KiB
        ("loihi2", (512, 385), 2),
    ],
)
def test_dense_layers_need_the_published_number_of_cores(
    chip: str, sizes: tuple[int, ...], cores: int
) -> None:
    assert len(place(chain(*sizes), chip).parts) == cores


@pytest.mark.parametrize(
    ("weight_bits", "axons", "neurons", "bits"),
    [
        (8, 512, 512, 2359296),
        (8, 512, 171, 786432),
        (8, 512, 230, 1048576),
        (8, 512, 231, 1081344),
        (8, 3, 1, 192),
        (8, 3, 64, 1728),
        (8, 3, 65, 1920),
        (8, 300, 100, 268800),
        (4, 512, 512, 1310720),
        (4, 512, 171, 425984),
        (4, 10, 38, 1920),
        (6, 512, 230, 819200),
        (6, 3, 65, 1536),
        (6, 300, 100, 211200),
    ],
)
def test_loihi_1_synapse_memory_is_that_of_nengo_loihi(
    weight_bits: int, axons: int, neurons: int, bits: int
) -> None:
    # Right column: Synapse(axons).set_weights(ones((axons, neurons))).bits() of nengo-loihi 1.1.0.
    assert axons * list_bits(neurons, weight_bits, load_chip("loihi1").memory) == bits


def test_the_table_of_a_core_counts_neurons_memory_and_axons() -> None:
    mapping = place(chain(512, 512, 64), "loihi1")
    first, last = mapping.parts[0], mapping.parts[-1]
    assert [(p.layer, p.first, p.last) for p in mapping.parts] == [
        ("l0", 0, 169),
        ("l0", 170, 340),
        ("l0", 341, 511),
        ("l1", 0, 63),
    ]
    assert first.used == {
        "neurons": 170,
        "synapse_bits": 786432,
        "in_axons": 512,
        "out_axons": 170,  # one core reads them
    }
    assert dict(first.limit) == {
        "neurons": 1024,
        "synapse_bits": 1048576,
        "in_axons": 4096,
        "out_axons": 4096,
    }
    assert last.used["out_axons"] == 0
    assert mapping.totals["neurons"] == 576
    assert mapping.capacity["neurons"] == 128 * 1024
    assert mapping.cores_of("l0") == (0, 1, 2)


def test_axons_of_a_source_are_counted_once_per_core_that_reads_them() -> None:
    mapping = place((*chain(100, 1000), dense("b", "l0", 1000, 600)), "loihi1")
    readers = len(mapping.cores_of("b"))
    assert readers > 1
    for part in mapping.parts:
        if part.layer == "l0":
            assert part.used["out_axons"] == part.used["neurons"] * readers <= 4096


def test_out_axons_alone_can_force_a_layer_onto_more_cores() -> None:
    narrow, wide = dense("a", "in", 4, 600), dense("b", "a", 600, 2000)
    mapping = place((narrow, wide), "loihi1")
    readers = len(mapping.cores_of("b"))
    assert 600 * readers > 4096
    assert len(mapping.cores_of("a")) == math.ceil(600 / (4096 // readers))
    assert len(place((narrow,), "loihi1").parts) == 1


def test_loihi_1_stores_seven_bit_weights_in_eight() -> None:
    eight, seven, six = (place(chain(512, 512, bits=b), "loihi1").totals for b in (8, 7, 6))
    assert eight == seven
    assert six["synapse_bits"] < seven["synapse_bits"]


def test_what_is_not_published_is_named_and_not_counted() -> None:
    mapping = place(chain(512, 64), "loihi2")
    assert mapping.parts[0].limit["in_axons"] is None
    assert mapping.capacity["out_axons"] is None
    assert mapping.totals["synapse_bits"] == 512 * 64 * 8
    assert "neuron state" in mapping.left_out


def test_cores_beyond_the_lowest_published_count_are_noted() -> None:
    most = 384 * 120
    assert not [x for x in place(chain(512, most), "loihi2").notes if "120 to 128" in x]
    assert place(chain(512, most + 1), "loihi2").notes[0].startswith("121 cores are used")


def test_a_shared_memory_that_is_nearly_full_is_noted() -> None:
    assert place(chain(512, 512, 512, 512), "loihi2").notes == ()  # 67 % of each core
    (note,) = place(chain(512, 384, 10), "loihi2").notes
    assert note.startswith("1 of 2 cores are filled above 90 % by")
    assert place(chain(512, 230), "loihi1").notes == ()  # full, but the lists are counted


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 1500), min_size=2, max_size=5),
    bits=st.integers(1, 8),
    chip=st.sampled_from(["loihi1", "loihi2"]),
)
def test_parts_cover_every_neuron_once_within_limits_on_the_fewest_cores(
    sizes: list[int], bits: int, chip: str
) -> None:
    layers = chain(*sizes, bits=bits)
    mapping = place(layers, chip)
    assert [p.core for p in mapping.parts] == list(range(len(mapping.parts)))
    for part in mapping.parts:
        for key, most in part.limit.items():
            assert most is None or part.used[key] <= most
    for layer in layers:
        parts = [p for p in mapping.parts if p.layer == layer.name]
        covered = [n for p in parts for n in range(p.first, p.last + 1)]
        assert covered == list(range(layer.neurons))
        if len(parts) > 1:  # one core fewer: its largest part breaks a limit
            larger = math.ceil(layer.neurons / (len(parts) - 1))
            readers = parts[0].used["out_axons"] // parts[0].used["neurons"]
            memory = load_chip(chip).memory
            per_axon = larger * bits
            if chip == "loihi1":
                stored = min(size for size in memory["weight_sizes"] if size >= bits)
                per_axon = list_bits(larger, stored, memory)
            limit = parts[0].limit
            assert (
                larger > (limit["neurons"] or 0)
                or layer.fan_in * per_axon > (limit["synapse_bits"] or 0)
                or (limit["out_axons"] is not None and larger * readers > limit["out_axons"])
            )


# ---------------------------------------------------------------- unequal cores (Speck)


@pytest.mark.parametrize(
    ("sizes", "there_is_room"),
    [
        ((128, 128, 128, 128), True),
        ((129, 128, 128, 128), True),
        ((256, 256, 256), True),
        ((256, 256, 256, 256), False),
        ((512, 128, 128, 128), True),
        ((512, 128, 64), True),
        ((256, 256, 128, 64), True),
        ((512, 512), False),
        ((512, 512, 512, 512), False),
        ((1024, 64), True),
        ((1024, 65), False),
    ],
)
def test_speck_holds_the_linear_networks_of_the_fact_sheet(
    sizes: tuple[int, ...], there_is_room: bool
) -> None:
    assert fits(chain(*sizes), "speck2f") is there_is_room


def test_three_equal_layers_fit_speck_up_to_128_and_two_up_to_256() -> None:
    for layers, most in ((3, 128), (2, 256)):
        widths = [w for w in range(64, 300) if fits(chain(*[w] * (layers + 1)), "speck2f")]
        assert max(widths) == most


@pytest.mark.parametrize(
    ("inputs", "outputs"), [(128, 512), (300, 128), (512, 128), (768, 64), (1024, 64)]
)
def test_the_largest_layer_by_its_inputs(inputs: int, outputs: int) -> None:
    assert fits(chain(inputs, outputs), "speck2f")
    assert not fits(chain(inputs, outputs + 1), "speck2f")


def test_2048_inputs_fit_as_a_map_of_fewer_channels_but_not_as_channels() -> None:
    with pytest.raises(DoesNotFit, match=r"2,048 channels, a core takes 1,024 \(1,024 too many\)"):
        place(chain(2048, 32), "speck2f")
    for outputs, there_is_room in ((32, True), (33, False)):
        folded = LayerShape("a", ("in",), Kernel(512, outputs, 2, 2))
        assert fits((folded,), "speck2f") is there_is_room


def test_no_cut_of_the_512_wide_branch_fits_speck() -> None:
    cores = [core for group in load_chip("speck2f").cores for core in [group] * len(group["ids"])]
    kernel = [core["kernel_words"] for core in cores]
    assert sum(kernel) == 272 * 1024 < 3 * 512 * 512
    # One such layer cut by outputs over all nine cores: 544 outputs, none left for the others.
    assert sum(1 << int(math.log2(words // 512)) for words in kernel) == 544
    with pytest.raises(DoesNotFit, match=r"262,144 kernel words, the largest core has 65,536"):
        place(chain(512, 512, 512, 512), "speck2f")


def test_two_branches_of_three_layers_take_six_of_nine_cores() -> None:
    branches = (*chain(128, 128, 128, 128, name="a"), *chain(128, 128, 128, 64, name="v"))
    mapping = place(branches, "speck2f")
    assert len({part.core for part in mapping.parts}) == 6
    assert mapping.cores == 9
    assert fits(chain(*[64] * 10), "speck2f") and not fits(chain(*[64] * 11), "speck2f")


def test_a_core_has_two_destinations() -> None:
    heads = [dense(f"h{i}", "l0", 32, 8) for i in range(3)]
    assert fits((*chain(64, 32), *heads[:2]), "speck2f")
    with pytest.raises(DoesNotFit, match=r"'l0': 3 destinations, a core takes 2 \(1 too many\)"):
        place((*chain(64, 32), *heads), "speck2f")


def test_output_channels_are_rounded_up_to_a_power_of_two_and_end_at_1024() -> None:
    assert words(dense("a", "in", 10, 129)) == words(dense("a", "in", 10, 256)) | {
        "neuron_words": 129,
        "bias_words": 129,
    }
    assert words(dense("a", "in", 10, 129, bias=False))["bias_words"] == 0
    assert fits(chain(16, 1024), "speck2f")
    with pytest.raises(DoesNotFit, match=r"1,025 channels, a core takes 1,024 \(1 too many\)"):
        place(chain(16, 1025), "speck2f")


def test_a_convolutional_network_lies_where_sinabs_puts_it() -> None:
    # 2x64x64 -> Conv8 s2 -> pool -> Conv16 -> pool -> Conv32 -> pool -> Linear32
    layers = (
        LayerShape("c0", ("in",), Kernel(2, 8, 3, 3, 32, 32)),
        LayerShape("c1", ("c0",), Kernel(8, 16, 3, 3, 16, 16)),
        LayerShape("c2", ("c1",), Kernel(16, 32, 3, 3, 8, 8)),
        LayerShape("fc", ("c2",), Kernel(32, 32, 4, 4)),
    )
    mapping = place(layers, "speck2f")
    assert [words(x)["kernel_words"] for x in layers] == [256, 2048, 8192, 16384]
    assert [words(x)["neuron_words"] for x in layers] == [8192, 4096, 2048, 32]
    assert [mapping.cores_of(x.name) for x in layers] == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize(
    "kernel", [Kernel(2, 8, 17, 17, 8, 8), Kernel(1, 1, 1, 1, 65, 64)], ids=["kernel", "map"]
)
def test_sizes_that_sinabs_lets_pass_are_refused(kernel: Kernel) -> None:
    with pytest.raises(DoesNotFit, match=r"(kernel|map) rows or columns, a core takes (16|64)"):
        place((LayerShape("a", ("in",), kernel),), "speck2f")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), unique=True), min_size=1, max_size=6))
def test_matching_is_exact(fitting: list[list[int]]) -> None:
    possible = any(
        all(core in row for core, row in zip(order, fitting, strict=True))
        for order in permutations(range(6), len(fitting))
    )
    chosen, rivals = match(fitting)
    assert bool(chosen) == possible == (not rivals)
    if chosen:
        assert len(set(chosen)) == len(fitting)
        assert all(core in row for core, row in zip(chosen, fitting, strict=True))
    else:  # Hall: the layers that are named have fewer cores than they are
        assert len({core for i in rivals for core in fitting[i]}) < len(rivals)


_WIDTHS = st.sampled_from([16, 60, 64, 100, 128, 200, 256, 300, 512, 1024])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_WIDTHS, _WIDTHS), min_size=1, max_size=4))
def test_assignment_agrees_with_brute_force_and_the_formula_of_the_source(
    sizes: list[tuple[int, int]],
) -> None:
    chip = load_chip("speck2f")
    rooms = [group for group in chip.cores for _ in group["ids"]]
    rules: dict[str, Any] = {"ceil": math.ceil, "log2": math.log2}

    def room(c: int, f: int, core: Any) -> bool:
        values = {**rules, "c": c, "f": f, "kx": 1, "ky": 1, "fx": 1, "fy": 1}
        kernel, neuron = (eval(chip.memory[key], values) for key in ("kernel", "neuron"))
        return bool(kernel <= core["kernel_words"] and neuron <= core["neuron_words"])

    possible = any(
        all(room(c, f, core) for (c, f), core in zip(sizes, order, strict=True))
        for order in permutations(rooms, len(sizes))
    )
    # Layers side by side, so that sizes are free.
    layers = [dense(f"l{i}", f"in{i}", c, f) for i, (c, f) in enumerate(sizes)]
    assert fits(layers, "speck2f") is possible


def test_layers_that_compete_for_the_same_cores_are_named() -> None:
    small = dense("small", "in", 64, 64)
    with pytest.raises(DoesNotFit) as caught:
        place((small, *chain(256, 256, 256, 256)), "speck2f")
    text = str(caught.value)
    assert "layers 'l0', 'l1', 'l2': 3 cores" in text and "(5, 6) are 2 (1 too many)" in text
    assert "'small'" not in text


# ---------------------------------------------------------------- maps and loops on equal cores


def kernel_of(synapse: Synapse) -> Kernel:
    """The kernel of a synapse; a matrix reads the map of its pool."""
    weight, conv, pools = synapse.weight, synapse.link.conv, synapse.link.pools
    if conv is not None:
        _, high, wide = conv.out_shape(weight.shape)
        out, _, height, width = map(int, weight.shape)
        return Kernel(conv.shape[0], out, height, width, high, wide, synapse.link)
    c, h, w = pools[-1].out_shape if pools else (weight.shape[1], 1, 1)
    return Kernel(c, weight.shape[0], h, w, link=synapse.link)


def unlike_weights(*shape: int) -> Any:
    """Integers of which no two sums of a few are alike."""
    rng = np.random.default_rng(0)
    return rng.integers(1, 1 << 40, shape)


GEOMETRY = {
    "padding": Synapse(
        "in", unlike_weights(4, 2, 3, 3), Link(Conv((2, 7, 6), (1, 1), (1, 1, 1, 1)))
    ),
    "stride": Synapse(
        "in", unlike_weights(3, 2, 5, 4), Link(Conv((2, 9, 8), (2, 3), (1, 2, 0, 1)))
    ),
    "dilation": Synapse("in", unlike_weights(2, 3, 2, 2), Link(Conv((3, 8, 8), dilation=(3, 2)))),
    "groups": Synapse(
        "in", unlike_weights(6, 2, 3, 3), Link(Conv((6, 6, 6), padding=(1, 1, 1, 1), groups=3))
    ),
    "gaps": Synapse("in", unlike_weights(3, 2, 1, 2), Link(Conv((2, 8, 9), (3, 3)))),
    "pool": Synapse(
        "in",
        unlike_weights(3, 2, 3, 3),
        Link(Conv((2, 4, 5), padding=(1, 1, 1, 1)), (Pool((2, 9, 10), (2, 2), (2, 2)),)),
    ),
    "overlapping pools": Synapse(
        "in",
        unlike_weights(3, 2, 2, 2),
        Link(
            Conv((2, 4, 4)),
            (Pool((2, 8, 8), (3, 3), (1, 1), (1, 1)), Pool((2, 8, 8), (3, 2), (2, 2), (1, 0))),
        ),
    ),
    "a pool that is flattened": Synapse(
        "in", unlike_weights(9, 8), Link(pools=(Pool((2, 4, 5), (2, 2), (2, 2)),))
    ),
}


def slow_use(
    joined: Any, out_map: tuple[int, int, int], tile: Any, chip: str, shares: bool, on_map: bool
) -> tuple[int, int]:
    """In-axons and synapse bits of a tile from the matrix of a synapse, one column at a time."""
    inside = np.zeros(out_map, bool)
    inside[tuple(slice(first, end) for first, end in tile)] = True
    columns = joined[inside.reshape(-1)].T  # source neuron by neuron of the tile
    columns = [[(i, int(w)) for i, w in enumerate(column) if w] for column in columns]
    columns = [column for column in columns if column]
    patterns = [tuple((i - column[0][0], w) for i, w in column) for column in columns]
    stored = sorted(set(patterns)) if shares else patterns
    if chip == "loihi2":
        return len(columns), 8 * sum(map(len, columns))
    farthest = max((pattern[-1][0] for pattern in patterns), default=0)
    index = next(x for x in (0, 6, 7, 8, 9, 10) if 2**x > farthest) if on_map else 0
    memory = load_chip("loihi1").memory
    return len(columns), sum(list_bits(len(x), 8 + index, memory) for x in stored)


@pytest.mark.parametrize("parts", [(1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 3, 2), (3, 4, 3)])
@pytest.mark.parametrize("kind", GEOMETRY)
def test_a_tile_uses_what_its_connections_say(kind: str, parts: tuple[int, int, int]) -> None:
    synapse = GEOMETRY[kind]
    layer = LayerShape("a", ("in",), kernel_of(synapse))
    joined = matrix(synapse)
    channels, rows, columns = map(min, parts, layer.out_map)
    grid = Grid(layer.out_map, (channels, rows, columns))
    reached = np.zeros((grid.cores, joined.shape[1]), bool)
    for number, tile in enumerate(grid.tiles()):
        for chip, shares in (("loihi1", True), ("loihi1", False), ("loihi2", False)):
            core = Core(load_chip(chip), {}, shares)
            used = core.used(layer, tile, 1)
            slow = slow_use(joined, layer.out_map, tile, chip, shares, layer.kernel.on_map)
            if shares and kind == "overlapping pools":  # sums of unlike windows may be alike
                assert used["synapse_bits"] >= slow[1]
            else:
                assert (used["in_axons"], used["synapse_bits"]) == slow
        inside = np.zeros(layer.out_map, bool)
        inside[tuple(slice(first, end) for first, end in tile)] = True
        reached[number] = joined[inside.reshape(-1)].any(axis=0)
        assert used["neurons"] == inside.sum()
    assert spread(layer.kernel, grid) == reached.sum(axis=0).max()
    assert connections(layer.kernel) == np.count_nonzero(joined)


SMALL_CHIP = """
schema = 1
name = "Small"
scope = "per_term"
[source]
p = "Author, Title, 2020, Table 1"
[limit]
cores = { value = 400, unit = "1", kind = "datasheet", grade = "T", source = "p" }
neurons_per_core = { value = 20, unit = "1", kind = "datasheet", grade = "T", source = "p" }
synapse_bits_per_core = { value = 3000, unit = "bit", kind = "derived", grade = "T", source = "p" }
in_axons_per_core = { value = 90, unit = "1", kind = "datasheet", grade = "T", source = "p" }
out_axons_per_core = { value = 60, unit = "1", kind = "datasheet", grade = "T", source = "p" }
[memory]
placement = "split"
source = "p"
grade = "T"
"""


@pytest.mark.parametrize("kind", GEOMETRY)
def test_no_grid_of_fewer_cores_holds_a_layer(kind: str) -> None:
    chip, layer = (
        parse_chip("small", SMALL_CHIP),
        LayerShape("a", ("in",), kernel_of(GEOMETRY[kind])),
    )
    mapping = place((layer,), chip)
    core = Core(chip, core_limits(chip), False)
    for part in mapping.parts:
        assert not core.over(part.used)
    channels, rows, columns = layer.out_map
    for a in range(1, channels + 1):
        for b in range(1, rows + 1):
            for c in range(1, columns + 1):
                grid = Grid(layer.out_map, (a, b, c))
                if grid.cores < len(mapping.parts):
                    assert any(core.over(core.used(layer, tile, 0)) for tile in grid.tiles())


def test_the_tiles_of_a_map_cover_every_neuron_once() -> None:
    mapping = place(
        (LayerShape("a", ("in",), kernel_of(GEOMETRY["padding"])),), parse_chip("s", SMALL_CHIP)
    )
    cover = np.zeros((4, 7, 6), int)
    numbers = np.arange(cover.size).reshape(cover.shape)
    for part in mapping.parts:
        assert part.tile is not None
        inside = tuple(slice(first, last + 1) for first, last in part.tile)
        cover[inside] += 1
        assert (numbers[inside].min(), numbers[inside].max()) == (part.first, part.last)
    assert np.all(cover == 1)
    read = TypeAdapter(Placement).validate_python(placement(mapping).as_json())
    assert read == placement(mapping)
    assert [part.tile for part in read.parts] == [part.tile for part in mapping.parts]
    assert "tile" not in placement(place(chain(8, 4), "loihi2")).as_json()["parts"][0]


def recurrent(name: str, source: str, inputs: int, neurons: int, delay: int = 1) -> LayerShape:
    loop = Kernel(neurons, neurons, link=Link(delay=delay))
    return LayerShape(name, (source, name), Kernel(inputs, neurons), also=(loop,))


def test_a_recurrent_layer_reads_and_feeds_its_own_cores() -> None:
    (part,) = place((recurrent("a", "in", 12, 38),), "loihi1").parts
    assert (part.used["in_axons"], part.used["out_axons"]) == (50, 38)
    memory = load_chip("loihi1").memory
    assert part.used["synapse_bits"] == 50 * list_bits(38, 8, memory)
    mapping = place((recurrent("a", "in", 12, 700), dense("b", "a", 700, 100)), "loihi1")
    own = len(mapping.cores_of("a"))
    assert own > 1
    for used in (part.used for part in mapping.parts if part.layer == "a"):
        assert used["in_axons"] == 712
        assert used["out_axons"] == used["neurons"] * (own + len(mapping.cores_of("b")))


@pytest.mark.parametrize("neurons", [3, 7, 20, 33, 58])
def test_a_loop_takes_the_fewest_cores_that_its_own_spikes_allow(neurons: int) -> None:
    text = SMALL_CHIP.replace(
        "in_axons_per_core = { value = 90", "in_axons_per_core = { value = 99"
    )
    chip = parse_chip("small", text.replace("value = 3000", "value = 30000"))

    def holds(count: int) -> bool:
        part = -(-neurons // count)
        return part <= 20 and part * count <= 60 and part * (2 + neurons) * 8 <= 30000

    found = len(place((recurrent("a", "in", 2, neurons),), chip).parts)
    assert found == min(count for count in range(1, neurons + 1) if holds(count))


def test_two_layers_that_read_each_other_are_placed() -> None:
    back = Kernel(300, 600, link=Link(delay=1))
    layers = (
        LayerShape("a", ("in", "b"), Kernel(10, 600), also=(back,)),
        dense("b", "a", 600, 300),
    )
    mapping = place(layers, "loihi1")
    first, last = (len(mapping.cores_of(name)) for name in "ab")
    assert {p.used["out_axons"] / p.used["neurons"] for p in mapping.parts} == {first, last}
    assert [p.used["in_axons"] for p in mapping.parts][:: len(mapping.parts) - 1] == [310, 600]


def test_a_loop_with_more_neurons_than_out_axons_fits_no_cut() -> None:
    with pytest.raises(DoesNotFit, match=r"'a': 5,000 out-axons, even for one neuron; .* 4,096"):
        place((recurrent("a", "in", 10, 5000),), "loihi1")
    (change,) = remedies((recurrent("a", "in", 10, 5000),), "loihi1")
    assert change.width is not None and change.width <= 4096
    narrowed = change.apply((recurrent("a", "in", 10, 5000),))
    assert narrowed[0].also[0].channels_in == narrowed[0].also[0].channels_out == change.width
    place(narrowed, "loihi1")


def test_a_loop_needs_a_delay() -> None:
    with pytest.raises(BadInput, match="sources come first, or give the synapse a delay"):
        place((recurrent("a", "in", 4, 4, delay=0),), "loihi2")


def test_kernels_that_only_fit_when_they_are_shared_say_so() -> None:
    conv = Conv((64, 64, 64), padding=(1, 1, 1, 1))
    layer = LayerShape("a", ("in",), Kernel(64, 128, 3, 3, 64, 64, Link(conv)))
    (note,) = place((layer,), "loihi2").notes
    assert note.startswith(
        "it fits only if kernels are stored once per core, which for Intel Loihi 2"
    )
    with pytest.raises(DoesNotFit, match="1,024 cores, the chip has 128"):
        place((layer,), "loihi1")


# ---------------------------------------------------------------- the shared convolutional network


CNN: tuple[tuple[str, str, tuple[int, ...], Link], ...] = (
    ("c0", "x", (16, 2, 5, 5), Link(Conv((2, 34, 34), (2, 2), (1, 1, 1, 1)))),
    ("c1", "c0", (16, 16, 3, 3), Link(Conv((16, 16, 16), (1, 1), (1, 1, 1, 1)))),
    (
        "c2",
        "c1",
        (8, 16, 3, 3),
        Link(Conv((16, 8, 8), (1, 1), (1, 1, 1, 1)), (Pool((16, 16, 16), (2, 2), (2, 2)),)),
    ),
    ("f0", "c2", (256, 128), Link(pools=(Pool((8, 8, 8), (2, 2), (2, 2)),))),
    ("f1", "f0", (10, 256), Link()),
)


def cnn(kind: str) -> Program | SpeckProgram:
    """The layers of ../shared/data/nir/cnn_sinabs.nir with weights that are all 2."""
    code = InputCode(2 * 34 * 34, "binary", 1, False, 1.0)
    layers: list[Any] = []
    for name, source, shape, link in CNN:
        weight = np.full(shape, 2, np.int16)
        one = np.ones(Synapse(source, weight, link).size_out, np.int32)
        layers.append(
            SpeckLayer(name, source, weight, one.astype(np.int16), 100, -100, 0.1, link=link)
            if kind == "speck"
            else program_layer(
                name, source, weight, bias_mant=one, dv=0, vth=100, unit=0.1, link=link
            )
        )
    make: Any = SpeckProgram if kind == "speck" else Program
    return make(kind, {"x": code}, tuple(layers), ("f1",), 300, 1e-3, "fixed")  # type: ignore[no-any-return]


def test_the_shared_convolutional_network_has_the_shapes_of_its_file(shared_data: Path) -> None:
    graph = nir.read(shared_data / "nir" / "cnn_sinabs.nir")
    weights = [n.weight.shape for n in (graph.nodes[k] for k in ("0", "2", "5", "9", "11"))]
    assert weights == [shape for _, _, shape, _ in CNN]
    neurons = [graph.nodes[k].v_threshold.size for k in ("1", "3", "6", "10", "12")]
    assert neurons == [layer.neurons for layer in shapes(cnn("speck"))]


def test_the_shared_convolutional_network_lies_on_five_of_nine_cores_of_speck() -> None:
    mapping = place(cnn("speck"), "speck2f")
    assert [(p.layer, p.core) for p in mapping.parts] == [
        ("c0", 0),
        ("c1", 1),
        ("c2", 2),
        ("f0", 3),
        ("f1", 4),
    ]
    assert [p.used["kernel_words"] for p in mapping.parts] == [1024, 4096, 2048, 32768, 4096]
    assert [p.used["neuron_words"] for p in mapping.parts] == [4096, 4096, 512, 256, 10]
    assert [p.used["bias_words"] for p in mapping.parts] == [16, 16, 8, 256, 10]


@pytest.mark.parametrize(
    ("chip", "cores", "other"),
    [
        ("loihi1", [4, 4, 1, 1, 1], "Intel Loihi takes 23 cores"),
        ("loihi2", [2, 4, 2, 1, 1], "kernels stored once per core: 5 cores"),
    ],
)
def test_the_shared_convolutional_network_on_loihi(chip: str, cores: list[int], other: str) -> None:
    mapping = place(cnn(chip), chip)
    assert [len(mapping.cores_of(layer.name)) for layer in mapping.layers] == cores
    assert other in mapping.notes[-1]
    assert mapping.totals["neurons"] == 4096 + 4096 + 512 + 256 + 10


_WORDS = """
import json, sys
from neurozsl.export.backends.speck.worker.run_dynapcnn import stand_in
stand_in()
import torch, sinabs.layers as sl
from sinabs.backend.dynapcnn import DynapcnnLayer
found = []
for c, f, k, side, stride, padding, linear in json.loads(sys.argv[1]):
    conv = (
        torch.nn.Linear(c * side * side, f)
        if linear
        else torch.nn.Conv2d(c, f, k, stride=stride, padding=padding)
    )
    spikes = sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)
    layer = DynapcnnLayer(conv, spikes, (c, side, side), [(1, 1)], discretize=False)
    found.append({key: int(value) for key, value in layer.memory_summary().items()})
print(json.dumps(found))
"""


def test_words_are_those_of_the_memory_summary_of_sinabs() -> None:
    pytest.importorskip("sinabs")
    rng = np.random.default_rng(5)
    asked = [(2, 16, 5, 34, 2, 1, False), (16, 16, 3, 16, 1, 1, False), (16, 8, 3, 8, 1, 1, False)]
    asked += [(8, 256, 4, 4, 1, 0, True), (256, 10, 1, 1, 1, 0, True)]
    for _ in range(20):
        c, f, k = (int(rng.integers(1, most)) for most in (40, 70, 8))
        side, stride, padding = (
            k + int(rng.integers(0, 20)),
            int(rng.choice([1, 2, 4])),
            int(k // 2),
        )
        asked.append((c, f, k, side, stride, padding, False))
        asked.append((c, f, side, side, 1, 0, True))
    done = subprocess.run(
        [sys.executable, "-c", _WORDS, json.dumps(asked)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for (c, f, k, side, stride, padding, linear), theirs in zip(
        asked, json.loads(done.stdout), strict=True
    ):
        if linear:
            kernel = Kernel(c, f, side, side)
        else:
            conv = Conv((c, side, side), (stride, stride), (padding,) * 4)
            kernel = kernel_of(Synapse("in", np.ones((f, c, k, k)), Link(conv)))
        ours = words(LayerShape("a", ("in",), kernel))
        assert ours == {f"{key}_words": value for key, value in theirs.items()}


def test_speck_takes_no_loop_no_delay_and_no_second_source() -> None:
    with pytest.raises(BadInput, match=r"through a delay or a loop; .* no time steps"):
        place((recurrent("a", "in", 4, 4),), "speck2f")
    late = LayerShape("b", ("a",), Kernel(4, 4, link=Link(delay=2)))
    with pytest.raises(BadInput, match="'b': reads 'a' through a delay"):
        place((dense("a", "in", 4, 4), late), "speck2f")
    both = LayerShape("a", ("in", "x"), Kernel(4, 4), also=(Kernel(2, 4),))
    with pytest.raises(BadInput, match=r"'in', 'x'; a core of .* has one kernel for all events"):
        place((both,), "speck2f")


def on_speck(conv: Conv, kernel: tuple[int, int] = (3, 3), *pools: Pool) -> LayerShape:
    weight = np.ones((4, conv.shape[0] // conv.groups, *kernel))
    return LayerShape("a", ("in",), kernel_of(Synapse("in", weight, Link(conv, pools))))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (on_speck(Conv((2, 9, 9), (3, 3))), "stride 3, the chip knows 1, 2, 4, 8"),
        (on_speck(Conv((2, 9, 9), dilation=(2, 2))), "dilation 2, the chip knows 1"),
        (on_speck(Conv((2, 9, 9), groups=2)), "groups 2, the chip knows 1"),
        (on_speck(Conv((2, 1, 9)), (1, 3)), "kernel 1 x 3, the chip has square ones"),
        (
            on_speck(Conv((2, 3, 3)), (3, 3), Pool((2, 9, 9), (3, 3), (3, 3))),
            "pool 3, the chip knows 1, 2, 4",
        ),
        (
            on_speck(Conv((2, 8, 8)), (3, 3), Pool((2, 9, 9), (2, 2), (1, 1))),
            r"pools \(2, 2\) every \(1, 1\), the chip has square windows side by side",
        ),
    ],
)
def test_kernels_and_pools_that_no_core_has_are_refused(layer: LayerShape, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        place((layer,), "speck2f")


def test_padding_and_input_maps_have_limits_on_speck() -> None:
    with pytest.raises(DoesNotFit, match="8 rows or columns of padding, a core takes 7"):
        place((on_speck(Conv((2, 9, 9), padding=(8, 8, 8, 8))),), "speck2f")
    with pytest.raises(DoesNotFit, match="130 input rows or columns, a core takes 128"):
        place((on_speck(Conv((1, 130, 130), (4, 4))),), "speck2f")


def test_two_pools_of_two_are_one_of_four() -> None:
    pools = (Pool((2, 16, 16), (2, 2), (2, 2)), Pool((2, 8, 8), (2, 2), (2, 2)))
    (note,) = place((on_speck(Conv((2, 4, 4)), (3, 3), *pools),), "speck2f").notes
    assert "pooled before it reaches a core" in note  # it reads the input


# ---------------------------------------------------------------- what would fit


@pytest.mark.parametrize(
    ("chip", "layers", "kinds"),
    [
        ("speck2f", chain(512, 512, 512, 512), ["width"]),
        ("speck2f", chain(512, 512), ["width", "inputs"]),
        ("speck2f", chain(256, 256, 256, 256), ["width", "inputs"]),
        ("speck2f", chain(2048, 32), ["inputs"]),
        ("speck2f", chain(4096, 4096), ["width inputs"]),
        ("speck2f", chain(*[128] * 11), ["layers"]),
        ("speck2f", chain(*[512] * 11), ["width inputs layers"]),
        ("loihi1", chain(5000, 10), ["inputs"]),
        ("loihi1", chain(512, 128 * 230 + 1), ["weight_bits", "width", "inputs"]),
        ("loihi2", chain(512, 128 * 384 + 1), ["weight_bits", "width", "inputs"]),
        ("loihi1", chain(4096, 4096, 4096, 4096), ["width"]),
    ],
)
def test_the_change_that_is_suggested_fits_and_a_milder_one_does_not(
    chip: str, layers: Layers, kinds: list[str]
) -> None:
    changes = remedies(layers, chip)
    caps = ("weight_bits", "width", "inputs", "layers")
    named = [" ".join(k for k in caps if getattr(c, k) is not None) for c in changes]
    assert named == kinds
    with pytest.raises(DoesNotFit) as caught:
        place(layers, chip)
    for change in changes:
        place(change.apply(layers), chip)
        assert change.describe(layers) in str(caught.value)
        key = next(k for k in ("width", "inputs", "weight_bits", "layers") if getattr(change, k))
        milder = replace(change, **{key: getattr(change, key) + 1})
        if key == "width" and change.inputs is not None:  # one cap for both
            milder = replace(milder, inputs=change.inputs + 1)
        assert not fits(milder.apply(layers), chip)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([64, 129, 300, 512, 1500, 5000]), min_size=2, max_size=5),
    chip=st.sampled_from(["speck2f", "loihi1"]),
)
def test_every_suggestion_for_a_random_network_fits(sizes: list[int], chip: str) -> None:
    layers = chain(*sizes)
    if fits(layers, chip):
        return
    changes = remedies(layers, chip)
    assert changes
    for change in changes:
        assert isinstance(place(change.apply(layers), chip), Mapping)


def convolutions(channels: int, groups: int = 1) -> Layers:
    """Two 5 x 5 convolutions, a pool, and ten outputs that read the flattened map."""
    first = Conv((2, 32, 32), padding=(2, 2, 2, 2))
    second = Conv((channels, 32, 32), padding=(2, 2, 2, 2), groups=groups)
    flat = Link(pools=(Pool((channels, 32, 32), (4, 4), (4, 4)),))
    return (
        LayerShape("c0", ("in",), Kernel(2, channels, 5, 5, 32, 32, Link(first))),
        LayerShape("c1", ("c0",), Kernel(channels, channels, 5, 5, 32, 32, Link(second))),
        LayerShape("f", ("c1",), Kernel(channels, 10, 8, 8, link=flat)),
    )


@pytest.mark.parametrize(
    ("chip", "layers"),
    [
        ("speck2f", convolutions(128)),
        ("loihi1", convolutions(160)),
        ("loihi1", convolutions(200, 100)),
    ],
)
def test_channels_are_what_a_convolutional_network_has_to_lose(chip: str, layers: Layers) -> None:
    (change,) = (x for x in remedies(layers, chip) if x.width is not None)
    made = change.apply(layers)
    place(made, chip)
    assert not fits(replace(change, width=(change.width or 0) + 1).apply(layers), chip)
    first, second, last = (x.kernel for x in made)
    assert (first.channels_in, last.channels_out) == (2, min(10, change.width or 0))
    assert (first.channels_out, second.channels_out) == (second.channels_in, last.channels_in)
    if layers[1].kernel.groups == 1:
        assert first.channels_out == change.width
    else:
        assert second.fan_in == layers[1].kernel.fan_in and second.groups == first.channels_out // 2


def test_a_layer_that_is_cut_off_is_read_no_more() -> None:
    back = Kernel(4, 6, link=Link(delay=1))
    layers = (LayerShape("a", ("in", "b"), Kernel(3, 6), also=(back,)), dense("b", "a", 6, 4))
    assert Change(layers=1).apply(layers) == (dense("a", "in", 3, 6),)
    (first, second) = Change(width=2).apply(layers)
    assert (first.kernel, first.also) == (Kernel(3, 2), (Kernel(2, 2, link=Link(delay=1)),))
    assert second.kernel == Kernel(2, 2)


def test_the_error_names_layer_limit_excess_and_remedy_with_exit_code_4() -> None:
    with pytest.raises(DoesNotFit) as caught:
        place(chain(512, 512, 512, 512), "speck2f")
    assert caught.value.exit_code == 4
    text = str(caught.value)
    assert text.startswith("does not fit chip 'speck2f' (SynSense Speck 2e / 2f (DYNAP-CNN)): ")
    assert (
        "layer 'l0': 262,144 kernel words, the largest core has 65,536 (196,608 too many)" in text
    )
    assert text.endswith("layers at most 128 wide: l0 512->128, l1 128->128, l2 128->128")


def test_a_layer_that_narrows_narrows_its_readers() -> None:
    layers = (*chain(512, 512, 64), dense("b", "l0", 512, 300))
    (change,) = remedies(layers, "speck2f")
    made = change.apply(layers)
    assert [(x.kernel.channels_in, x.kernel.channels_out) for x in made] == [
        (512, 128),
        (128, 64),
        (128, 128),
    ]


# ---------------------------------------------------------------- programs and refusals


def program(**changes: Any) -> Program:
    def layer(name: str, source: str, size: tuple[int, int], **more: Any) -> ProgramLayer:
        values: dict[str, Any] = {
            "weight": np.full(size, 2, np.int16),
            "bias_mant": np.ones(size[0], np.int32),
            "bias_exp": 7,
            "vth": 100,
            "unit": 0.1,
        }
        return program_layer(name, source, **{**values, **more})

    first = layer("a", "x", (6, 5), weight=np.eye(6, 5, dtype=np.int16) * 2)
    second = layer("b", "a", (4, 6), **changes)
    inputs = {"x": InputCode(5, "binary", 1, False, 1.0)}
    return Program("loihi2", inputs, (first, second), ("b",), 10, 1e-3, "frozen")


def test_a_program_is_placed_by_its_shapes() -> None:
    made = program()
    first, second = shapes(made)
    assert first == replace(dense("a", "x", 5, 6), nonzero=5)
    assert (second.sources, second.weights, second.nonzero) == (("a",), 24, 24)
    mapping = place(made, "loihi2")
    assert mapping == place(shapes(made), load_chip("loihi2"))
    row = placement(mapping).as_json()
    assert (row["cores_used"], row["cores"], row["layers"][0]["nonzero"]) == (2, 128, 5)
    assert row["parts"][1]["use"]["synapse_bits"] == {"used": 24 * 8, "limit": 8 * 196608}
    assert row["totals"]["neurons"] == {"used": 10, "limit": 8192 * 128}


def test_a_bias_into_the_current_takes_an_axon_that_always_spikes() -> None:
    plain, current = program(), program(bias_to="current")
    quiet = program(bias_to="current", bias_mant=np.zeros(4, np.int32))
    axons = [place(x, "loihi1").parts[1].used["in_axons"] for x in (plain, current, quiet)]
    assert axons == [6, 7, 6]


NEW_CHIP = """
schema = 1
name = "Mine"
scope = "per_term"
[source]
paper = "Author, Title, 2020, Table 1"
[limit]
cores = { value = 3, unit = "1", kind = "datasheet", grade = "T", source = "paper" }
neurons_per_core = { value = 10, unit = "1", kind = "datasheet", grade = "T", source = "paper" }
[memory]
placement = "split"
source = "paper"
grade = "T"
"""


def test_a_new_chip_is_a_file_alone() -> None:
    chip = parse_chip("mine", NEW_CHIP)
    assert [p.used["neurons"] for p in place(chain(5, 25), chip).parts] == [8, 8, 9]
    with pytest.raises(DoesNotFit, match=r"4 cores, the chip has 3 \(1 too many\)"):
        place(chain(5, 31), chip)


@pytest.mark.parametrize(
    ("layers", "chip", "message"),
    [
        (chain(4, 4), "cmos45_fp32", "no .memory. placement"),
        ((), "loihi2", "no layers"),
        ((*chain(4, 4), *chain(4, 4)), "loihi2", "'l0' is used twice"),
        (chain(4, 4, bits=9), "loihi2", "9-bit weights, chip 'loihi2' stores up to 8"),
        (chain(4, 4, bits=9), "loihi1", "9-bit weights, synapse lists of chip 'loihi1' hold up"),
        (chain(4, 4, 4)[::-1], "loihi1", "'l1': reads 'l0', which is not an earlier layer"),
        ((dense("a", "a", 4, 4),), "loihi1", "'a': reads 'a'"),
        ((LayerShape("a", ("in", "b"), Kernel(2, 2)),), "loihi2", "1 kernels for 2 sources"),
        (
            (
                LayerShape(
                    "a", ("i", "j"), Kernel(2, 4, 3, 3, 2, 2), also=(Kernel(1, 2, 1, 1, 2, 4),)
                ),
            ),
            "loihi2",
            r"one synapse makes a map \(2, 2, 4\), another \(4, 2, 2\)",
        ),
    ],
)
def test_what_cannot_be_placed_at_all_is_bad_input(layers: Layers, chip: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        place(layers, chip)
