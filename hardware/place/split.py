"""Layers over equal cores: each is cut by neurons; two layers never share a core.

For n neurons of a layer with `a` in-axons and w-bit weights, on one core::

    neurons       n
    in_axons      a                    source neurons that these n read; all, for a dense layer
    out_axons     n * (cores that one of the neurons sends to, at most)
    synapse_bits  sum of list_bits     Loihi 1: one list of weights per in-axon
                  connections * w      a chip whose list format is unpublished

    list_bits(n): after every `list_weights` weights a new block; a block has `list_header_bits`
    and is rounded up to `list_word_bits` (nengo-loihi 1.1.0, `SynapseConfig.bits_per_axon`)

A dense layer is cut into runs of neurons; its lists hold a weight for each neuron of the part. A
layer on a map is cut into tiles, a grid of channels x rows x columns: a tile reads the sources in
its reach only (`tiles`), and a weight of its lists has the number of its neuron beside it, in the
smallest of `list_index_bits` that the tile needs (nengo-loihi, `compression` 0).

Weight sharing (`shares_kernels`): in-axons whose weights and distances of targets are equal share
one list. Loihi 1 is published to do so (nengo-loihi `conv2d_loihi_weights`, NxTF arXiv:2101.04261)
and is counted with it; how Loihi 2 stores kernels is not published, so every connection counts
there (unless only the smaller figure fits). The other figure is a note of the mapping. With sharing
on a chip without a list format, the weights of a tile's channels count once. nengo-loihi moreover
bundles the channels of a pixel into one population axon; here every source neuron has an axon of
its own, which is the larger figure.

Zeros (`sparse_rows`): a matrix is stored whole, or as lists of its weights that are not zero with
the number of each one's neuron (`pattern`), whichever takes fewer bits on that core, because a core
has a format of its own. In- and out-axons count as if every weight were stored, the larger figure.

Pools have no neurons and are folded into the weights: a source neuron reaches what its window
reaches. A source that arrives through two synapses takes its axons twice.

All figures grow with the tile. A layer on fewer cores asks fewer out-axons of its sources, so from
the last layer to the first the fewest cores per layer are, for dense layers, the fewest for the
network; for maps the grid with the fewest cores is taken, of these the one with the fewest cuts of
channels (spikes then go to fewer cores), then of columns. A layer that reads itself sends to its
own cores: passes are repeated, with out-axons that only grow, until nothing changes. The parts
of a layer differ by at most one neuron, row, column or channel. A core of its own keeps the decays
and the synapse format of a layer (one each per core here) apart from those of others.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import replace
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.place.core_use import SPARSE, SYNAPSES, Core, core_limits
from neurozsl.hardware.place.grids import Grid, Tile, grids, part_counts, spread, unlike
from neurozsl.hardware.place.mapping import (
    NEURONS,
    CorePart,
    Kernel,
    LayerShape,
    Mapping,
    Shortfall,
)
from neurozsl.hardware.place.tiles import connections

NEARLY_FULL: Final = 0.9  # of a memory that also holds what no source counts
_FAR: Final = 16  # times the cores of the chip: grids beyond are not measured
_NOTES: Final = {
    True: "kernels share their weights inside a core; with a weight for every connection of them "
    "{0} takes {1}",
    False: "a weight is counted for every connection of a kernel, since how {0} stores kernels is "
    "unpublished; kernels stored once per core: {1}",
}
_SURE: Final = {
    "published": "",
    "assumed": "; an assumption, since how {0} stores lists is unpublished",
}
_ONLY_SHARED: Final = (
    "it fits only if kernels are stored once per core, which for {0} is unpublished; a weight for "
    "every connection of them: {1}"
)
Readers = Sequence[tuple[LayerShape, Kernel]]  # kernels that read a layer, and whose they are


def split_over_cores(layers: tuple[LayerShape, ...], chip: Chip) -> Mapping | tuple[Shortfall, ...]:
    """The mapping with the fewest cores, or every limit that is broken.

    Raises:
        BadInput: a layer reads itself or a later one without delay, or its synapses make
            different maps.
    """
    _check(layers)
    limits, shares = core_limits(chip), bool(chip.memory.get("shares_kernels"))
    found = _with_savings(_split(layers, Core(chip, limits, shares)), Core(chip, limits, shares))
    if not any(_can_share(layer) for layer in layers):
        return found
    other = _with_savings(
        _split(layers, Core(chip, limits, not shares)), Core(chip, limits, not shares)
    )
    if isinstance(found, Mapping):
        note = _NOTES[shares].format(chip.name, _cores(other))
        return replace(found, notes=(*found.notes, note))
    if shares:
        return found
    if not isinstance(other, Mapping):
        return other  # not even with the smaller figure, which is the one to name
    return replace(other, notes=(*other.notes, _ONLY_SHARED.format(chip.name, _cores(found))))


def _with_savings(
    found: Mapping | tuple[Shortfall, ...], core: Core
) -> Mapping | tuple[Shortfall, ...]:
    """A mapping that says what its sparse layers save against storing every weight."""
    if not isinstance(found, Mapping) or not found.sparse:
        return found
    whole = _split(tuple(replace(layer, patterns=()) for layer in found.layers), core)
    dense = whole if isinstance(whole, Mapping) else None
    memory = f"{found.totals[SYNAPSES] / 8192:.1f} KiB of synapses"
    if dense is not None:
        memory += f" in place of {dense.totals[SYNAPSES] / 8192:.1f} KiB"
    note = (
        f"{_cores(found)}; {_cores(whole)} if every weight were stored ({memory}): as lists of "
        f"nonzeros with their index {_verb(found.sparse)} {', '.join(found.sparse)}"
        + _SURE[core.chip.memory[SPARSE]].format(core.chip.name)
    )
    fewer = None if dense is None else len(dense.parts)
    return replace(found, notes=(*found.notes, note), cores_if_dense=fewer)


def _verb(names: tuple[str, ...]) -> str:
    return "is" if len(names) == 1 else "are"


def _cores(found: Mapping | tuple[Shortfall, ...]) -> str:
    if not isinstance(found, Mapping):
        return "more than the chip has"
    return f"{len(found.parts)} core{'s' if len(found.parts) > 1 else ''}"


def _split(layers: tuple[LayerShape, ...], core: Core) -> Mapping | tuple[Shortfall, ...]:
    after = {
        layer.name: [
            (reader, kernel)
            for reader in layers
            for source, kernel in zip(reader.sources, reader.kernels, strict=True)
            if source == layer.name
        ]
        for layer in layers
    }
    cut: dict[str, Grid] = {}
    targets: dict[str, int] = {}  # cores that a neuron of the layer sends to, at most
    broken: list[Shortfall] = []
    changed = True
    while changed and not broken:
        changed = False
        for layer in reversed(layers):
            wanted = max(targets.get(layer.name, 0), _targets(after[layer.name], cut))
            if layer.name in cut and wanted == targets[layer.name]:
                continue
            changed, targets[layer.name] = True, wanted
            over = _over_for_one(layer, core, wanted, after[layer.name])
            cut[layer.name] = Grid(layer.out_map) if over else _fewest(layer, core, wanted)
            broken = [*over, *broken]
        # A loop that has outgrown the chip would only grow further.
        if sum(grid.cores for grid in cut.values()) > core.chip.limit["cores"].value:
            break
    broken = broken or _chip_shortfalls(layers, cut, core)
    return tuple(broken) or _mapping(layers, cut, core, after)


def _fewest(layer: LayerShape, core: Core, targets: int) -> Grid:
    """The grid with the fewest cores; one neuron is known to fit.

    Of a map that needs far more cores than there are, no more than that is found out.
    """

    def fits(grid: Grid) -> bool:
        tiles = _tiles(layer, grid, core)
        return not any(core.over(core.used(layer, tile, targets)) for tile in tiles)

    if layer.out_map[1:] == (1, 1):  # larger parts need more of everything
        runs = [Grid(layer.out_map, (count, 1, 1)) for count in part_counts(layer.neurons)]
        fewest = bisect_left(runs, True, key=fits)
        # Lists of unlike lengths may fit in fewer parts and not in more: step on while they do.
        while core.lists(layer) and fewest and fits(runs[fewest - 1]):
            fewest -= 1
        return runs[fewest]
    room = core.limits[NEURONS]
    fewest = 1 if room is None else -(-layer.neurons // room)
    far = _FAR * core.chip.limit["cores"].value
    return next(grid for grid in grids(layer, fewest) if grid.cores > far or fits(grid))


def _tiles(layer: LayerShape, grid: Grid, core: Core) -> Iterable[Tile]:
    """The parts that may use most; where zeros count, each has its own."""
    return grid.tiles() if core.lists(layer) else unlike(layer, grid)


def _over_for_one(layer: LayerShape, core: Core, targets: int, after: Readers) -> list[Shortfall]:
    """Limits that break even where every neuron has a core of its own."""
    finest = Grid(layer.out_map, layer.out_map)
    own = [(reader, kernel) for reader, kernel in after if reader.name == layer.name]
    if own:  # its own cores are then as many as they can be
        targets = max(targets, _targets(own, {layer.name: finest}))
    worst: dict[str, int] = {}
    for tile in _tiles(layer, finest, core):
        for key, value in core.used(layer, tile, targets).items():
            worst[key] = max(worst.get(key, 0), value)
    return [
        Shortfall(
            (layer.name,), key, worst[key], core.limits[key] or 0, "even for one neuron; a core has"
        )
        for key in core.over(worst)
    ]


def _targets(after: Readers, cut: MappingOf[str, Grid]) -> int:
    """Cores that one neuron sends to, at most; a layer that is not cut yet takes one."""
    return sum(
        spread(kernel, cut[layer.name]) if layer.name in cut else 1 for layer, kernel in after
    )


def _chip_shortfalls(
    layers: tuple[LayerShape, ...], cut: MappingOf[str, Grid], core: Core
) -> list[Shortfall]:
    names = tuple(layer.name for layer in layers)
    totals = {
        "cores": sum(grid.cores for grid in cut.values()),
        "synapses_per_chip": sum(
            pattern.count
            if pattern is not None and core.lists(layer)
            else kernel.channels_out * kernel.fan_in
            if core.shares
            else connections(kernel)
            for layer in layers
            for kernel, pattern in layer.pairs
        ),
    }
    broken = []
    for key, used in totals.items():
        most = core.chip.most(key)
        if most is not None and used > most:
            resource = key.removesuffix("_per_chip")
            broken.append(Shortfall(names, resource, used, most, "the chip has"))
    return broken


def _mapping(
    layers: tuple[LayerShape, ...],
    cut: MappingOf[str, Grid],
    core: Core,
    after: MappingOf[str, Readers],
) -> Mapping:
    chip, limits = core.chip, core.limits
    parts: list[CorePart] = []
    sparse: list[str] = []
    for layer in layers:
        _, high, wide = layer.out_map
        targets = _targets(after[layer.name], cut)
        for tile in cut[layer.name].tiles():
            used = core.used(layer, tile, targets)
            if core.lists(layer) and core.stores_lists(layer, tile):
                sparse.append(layer.name)
            first, last = (
                (corner[0] * high + corner[1]) * wide + corner[2]
                for corner in ([x[0] for x in tile], [x[1] - 1 for x in tile])
            )
            whole = last - first + 1 == used[NEURONS]
            shown = None if whole else tuple((x[0], x[1] - 1) for x in tile)
            parts.append(CorePart(len(parts), layer.name, first, last, used, limits, shown))
    figure = chip.limit["cores"]  # place() has looked
    cores, fewest = int(figure.value), figure.low
    notes = []
    if fewest is not None and len(parts) > fewest:
        notes.append(
            f"{len(parts)} cores are used; published counts of {chip.name} vary from {fewest:g} "
            f"to {cores}"
        )
    room = limits[SYNAPSES]
    full = [p.core for p in parts if room and p.used[SYNAPSES] > NEARLY_FULL * room]
    if full and "list_word_bits" not in chip.memory:
        notes.append(
            f"{len(full)} of {len(parts)} cores are filled above {100 * NEARLY_FULL:g} % by raw "
            "weight bits alone; what is not counted shares that memory, so more cores may be needed"
        )
    return Mapping(
        chip=chip.key,
        name=chip.name,
        cores=cores,
        layers=layers,
        parts=tuple(parts),
        capacity={k: None if limit is None else limit * cores for k, limit in limits.items()},
        left_out=chip.memory.get("left_out", ""),
        notes=tuple(notes),
        sparse=tuple(dict.fromkeys(sparse)),
    )


def _can_share(layer: LayerShape) -> bool:
    """True where two connections may be one stored weight."""
    return any(kernel.on_map or kernel.link.pools for kernel in layer.kernels)


def _check(layers: tuple[LayerShape, ...]) -> None:
    seen: set[str] = set()
    names = {layer.name for layer in layers}
    for layer in layers:
        where = f"layer '{layer.name}'"
        if len(layer.sources) != len(layer.kernels):
            raise BadInput(
                f"{where}: {len(layer.kernels)} kernels for {len(layer.sources)} sources; give one "
                "for each"
            )
        for source, kernel in zip(layer.sources, layer.kernels, strict=True):
            if source in names - seen and not kernel.link.delay:
                raise BadInput(
                    f"{where}: reads '{source}', which is not an earlier layer; order the layers "
                    "so that sources come first, or give the synapse a delay of one step or more"
                )
            run = kernel.out_map == (layer.neurons, 1, 1) and kernel.groups == 1
            if not run and kernel.out_map != layer.out_map:
                raise BadInput(
                    f"{where}: one synapse makes a map {kernel.out_map}, another {layer.out_map}; "
                    "the neurons of a layer lie on one map"
                )
        seen.add(layer.name)
