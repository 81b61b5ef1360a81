"""Layers on unequal cores: one layer per core, the assignment exact.

A layer with c input and f output channels, a k_x x k_y kernel and an f_x x f_y map uses
(sinabs 3.1.3, `DynapcnnLayer.memory_summary`)::

    kernel_words  c * 2^(ceil log2(k_x k_y) + ceil log2 f)
    neuron_words  f * 2^(ceil log2 f_x + ceil log2 f_y)
    bias_words    f, where the layer has a bias
    destinations  layers that read it; reading the spikes on the host takes none

The f_x x f_y map is that of the neurons: pooling comes after them, as a setting of each destination
(square windows, stride = window), and takes no memory. A dense layer is a 1 x 1 kernel on a 1 x 1
map: c * 2^(ceil log2 f) kernel words; one that reads a map is a kernel as large as that map
(sinabs, `convert_linear_to_conv`). Which layer sits on which core is a maximum bipartite matching
(augmenting paths), so a network that fits at all is placed. Where it does not fit, the layers of
the last, failed search compete for fewer cores than they are (Hall's theorem): they are named.

A core has one kernel, which every arriving event goes through, and no time steps: a layer with two
sources, a delay or a loop has no place here.
"""

import math
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.place.mapping import (
    CorePart,
    Kernel,
    LayerShape,
    Limits,
    Mapping,
    Shortfall,
    readers,
)
from neurozsl.hardware.place.tiles import axes

_MEMORIES: Final = ("kernel_words", "neuron_words", "bias_words")
_DESTINATIONS: Final = "destinations"
_MANY_ZEROS: Final = 0.5  # share of the weights from which a reader would expect a saving
Core = tuple[int, MappingOf[str, int]]  # number, words per memory


def assign_to_cores(layers: tuple[LayerShape, ...], chip: Chip) -> Mapping | tuple[Shortfall, ...]:
    """A core for every layer, or every limit that is broken.

    Raises:
        BadInput: a layer that no core can compute, whatever its size.
    """
    _check(layers, chip)
    cores, after = _cores(chip), readers(layers)
    used = {x.name: {**words(x), _DESTINATIONS: len(after[x.name])} for x in layers}
    fitting = {name: [core for core in cores if _fits(need, core)] for name, need in used.items()}
    broken = [x for layer in layers for x in _wiring(layer, used[layer.name], chip)]
    broken += [_no_core(name, used[name], cores) for name, found in fitting.items() if not found]
    if broken:
        return tuple(broken)
    chosen, rivals = match([[number for number, _ in fitting[x.name]] for x in layers])
    if rivals:
        names = tuple(layers[i].name for i in rivals)
        wanted = {number for name in names for number, _ in fitting[name]}
        text = f"those that can hold any of them ({', '.join(map(str, sorted(wanted)))}) are"
        return (Shortfall(names, "cores", len(names), len(wanted), text),)
    memory, most = dict(cores), chip.most("destinations_per_core")
    parts = [
        CorePart(
            core, x.name, 0, x.neurons - 1, used[x.name], {**memory[core], _DESTINATIONS: most}
        )
        for x, core in zip(layers, chosen, strict=True)
    ]
    capacity: Limits = {
        **{key: sum(size[key] for _, size in cores) for key in _MEMORIES},
        _DESTINATIONS: None if most is None else most * len(cores),
    }
    return Mapping(
        chip=chip.key,
        name=chip.name,
        cores=len(cores),
        layers=layers,
        parts=tuple(sorted(parts, key=lambda part: part.core)),
        capacity=capacity,
        left_out=chip.memory.get("left_out", ""),
        notes=_notes(layers),
    )


def words(layer: LayerShape) -> dict[str, int]:
    """Memory of one layer; equations in the module docstring.

    >>> from neurozsl.hardware.place.mapping import dense
    >>> words(dense("a", "audio", 300, 129))
    {'kernel_words': 76800, 'neuron_words': 129, 'bias_words': 129}
    """
    k = layer.kernel
    exponent = _log2_up(k.height * k.width) + _log2_up(k.channels_out)
    return {
        "kernel_words": k.channels_in << exponent,
        "neuron_words": k.channels_out << (_log2_up(k.out_width) + _log2_up(k.out_height)),
        "bias_words": k.channels_out if layer.has_bias else 0,
    }


def match(fitting: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A different core for every layer.

    fitting: per layer, the cores that can hold it, in order of preference. Returns the core of each
    layer, and (): or (), and the layers that compete for too few cores.

    >>> match([[0, 1], [0]]), match([[0, 1], [0], [1]])
    (((1, 0), ()), ((), (0, 1, 2)))
    """
    owner: dict[int, int] = {}  # core -> layer

    def seat(layer: int, tried: set[int]) -> bool:
        free = [core for core in fitting[layer] if core not in owner]
        for core in free[:1] or fitting[layer]:
            if core not in tried:
                tried.add(core)
                if core not in owner or seat(owner[core], tried):
                    owner[core] = layer
                    return True
        return False

    for layer in range(len(fitting)):
        tried: set[int] = set()
        if not seat(layer, tried):
            return (), tuple(sorted({layer} | {owner[core] for core in tried}))
    core_of = {layer: core for core, layer in owner.items()}
    return tuple(core_of[layer] for layer in range(len(fitting))), ()


def _log2_up(value: int) -> int:
    """ceil(log2(value)) for value >= 1, exact."""
    return (value - 1).bit_length()


def _cores(chip: Chip) -> list[Core]:
    found = [
        (int(number), {key: int(group[key]) for key in _MEMORIES})
        for group in chip.cores
        for number in group["ids"]
    ]
    return sorted(found, key=lambda core: core[0])


def _fits(need: MappingOf[str, int], core: Core) -> bool:
    return all(need[key] <= core[1][key] for key in _MEMORIES)


def _no_core(name: str, need: MappingOf[str, int], cores: Sequence[Core]) -> Shortfall:
    """The first memory that runs out, among the cores that hold the ones before it."""
    left = list(cores)
    for key in _MEMORIES:
        fit = [core for core in left if need[key] <= core[1][key]]
        if not fit:
            most = max(core[1][key] for core in left)
            where = (
                "the largest core has" if len(left) == len(cores) else "a core with the rest has"
            )
            return Shortfall((name,), key, need[key], most, where)
        left = fit
    raise AssertionError(f"layer '{name}' fits core {left[0][0]}")


def _wiring(layer: LayerShape, need: MappingOf[str, int], chip: Chip) -> list[Shortfall]:
    """Limits that hold on every core; sinabs checks none of them before the chip does."""
    k = layer.kernel
    asked = {
        "channels": ("channels", max(k.channels_in, k.channels_out)),
        "kernel rows or columns": ("kernel_side", max(k.height, k.width)),
        "input rows or columns": ("input_side", max(axis.length for axis in axes(k))),
        "rows or columns of padding": ("padding", max(axis.before for axis in axes(k))),
        "map rows or columns": ("map_side", max(k.out_height, k.out_width)),
        _DESTINATIONS: ("destinations_per_core", need[_DESTINATIONS]),
    }
    broken = []
    for resource, (key, value) in asked.items():
        most = chip.most(key)
        if most is not None and value > most:
            broken.append(Shortfall((layer.name,), resource, value, most, "a core takes"))
    return broken


def _check(layers: Sequence[LayerShape], chip: Chip) -> None:
    """Refuse what no size would cure, with the reason."""
    seen: set[str] = set()
    names = {layer.name for layer in layers}
    for layer in layers:
        where, sources = f"layer '{layer.name}'", ", ".join(map(repr, layer.sources))
        late = any(kernel.link.delay for kernel in layer.kernels)
        if late or (names - seen) & set(layer.sources):
            raise BadInput(
                f"{where}: reads {sources} through a delay or a loop; {chip.name} has no time "
                "steps to delay by, and a core passes spikes on at once: recurrent layers run on "
                "Loihi, or in simulation"
            )
        if len(layer.sources) > 1:
            raise BadInput(
                f"{where}: reads {sources}; a core of {chip.name} has one kernel for all events "
                "that arrive: merge the sources into the channels of one"
            )
        faults = list(_shape_faults(layer.kernel, chip))
        if faults:
            raise BadInput(f"{where}: {'; '.join(faults)}")
        seen.add(layer.name)


def _shape_faults(kernel: Kernel, chip: Chip) -> Iterator[str]:
    """What the kernels and pools of a core cannot do; sinabs' own check lets most of it pass."""
    rows, columns = axes(kernel)
    allowed, pools = chip.allowed, kernel.link.pools
    if allowed.get("square_kernel") and kernel.height != kernel.width:
        yield f"kernel {kernel.height} x {kernel.width}, the chip has square ones"
    windows = {math.prod(pool.kernel[axis] for pool in pools) for axis in (0, 1)}
    plain = all(pool.stride == pool.kernel and pool.padding == (0, 0) for pool in pools)
    if pools and (len(windows) > 1 or not plain):
        yield (
            f"pools {' and '.join(f'{p.kernel} every {p.stride}' for p in pools)}, the chip has "
            "square windows side by side"
        )
    asked = {
        "stride": {rows.stride, columns.stride},
        "dilation": {rows.dilation, columns.dilation},
        "groups": {kernel.groups},
        "pool": windows,
    }
    for what, values in asked.items():
        wrong = sorted(values - set(allowed.get(what, values)))
        if wrong:
            yield f"{what} {wrong[0]}, the chip knows {', '.join(map(str, allowed[what]))}"


def _notes(layers: Sequence[LayerShape]) -> tuple[str, ...]:
    names = {layer.name for layer in layers}
    weights = sum(layer.weights for layer in layers)
    zeros = sum(0 if layer.nonzero is None else layer.weights - layer.nonzero for layer in layers)
    dense = f"{zeros:,} of {weights:,} weights are zero and free nothing: kernels are stored whole"
    return (dense,) * (zeros > _MANY_ZEROS * weights) + tuple(
        f"layer '{layer.name}': its input is pooled before it reaches a core (by the host, or the "
        "block of the sensor)"
        for layer in layers
        if layer.kernel.link.pools and not names & set(layer.sources)
    )
