"""Program + chip -> `Mapping` of layers to cores, or `DoesNotFit` with a change that would fit.

    split   equal cores (Loihi 1, Loihi 2): a layer may be cut over several   `split`
    assign  unequal cores (Speck 2f): one layer per core, exact assignment    `assign`

The rule, its constants and what it leaves out are the `[memory]` table of the chip's file, so a
new chip under a known rule is a TOML file and its line in `chips`; a new rule is a file
here, a line in RULES and its name in `chips.cores.Rule`. Memory and wiring are counted,
nothing else: whether the chip runs such neurons is the quantiser's question.
"""

from collections.abc import Callable, Iterable
from collections.abc import Mapping as MappingOf
from typing import Final

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.network.program import MIN_BITS, ChipProgram
from neurozsl.hardware.place.assign import assign_to_cores
from neurozsl.hardware.place.changes import Change, changes_that_fit
from neurozsl.hardware.place.delays import check_delays
from neurozsl.hardware.place.mapping import LayerShape, Mapping, Shortfall
from neurozsl.hardware.place.shapes import shapes
from neurozsl.hardware.place.split import split_over_cores

Rule = Callable[[tuple[LayerShape, ...], Chip], Mapping | tuple[Shortfall, ...]]
RULES: Final[MappingOf[str, Rule]] = {"split": split_over_cores, "assign": assign_to_cores}
_SHOWN: Final = 3  # broken limits that a message lists


def place(network: ChipProgram | Iterable[LayerShape], chip: Chip | str) -> Mapping:
    """Layers to cores.

    Args:
        network: a program, or the shapes of its layers with sources before their readers.
        chip: a chip with a placement rule, or its key.

    Returns:
        The mapping with the use of every core.

    Raises:
        DoesNotFit: a limit is broken; the message says which, by how much, and what would fit. A
            delay beyond that of a synapse is one (`delays`).
        BadInput: no layers, a name twice, a chip without a rule, weights wider than the chip's.

    >>> from neurozsl.hardware.place.mapping import dense
    >>> len(place([dense("a", "audio", 512, 512)], "loihi2").parts)
    2
    """
    layers, chip, rule = _checked(network, chip)
    found = rule(layers, chip)
    if isinstance(found, Mapping):
        return found
    raise DoesNotFit(_message(layers, chip, found))


def remedies(network: ChipProgram | Iterable[LayerShape], chip: Chip | str) -> tuple[Change, ...]:
    """Changes with which a network that does not fit would; each was placed to find out."""
    layers, found, rule = _checked(network, chip)

    def fits(changed: tuple[LayerShape, ...]) -> bool:
        return isinstance(rule(changed, found), Mapping)

    return changes_that_fit(layers, fits, min_bits=MIN_BITS)


def _checked(
    network: ChipProgram | Iterable[LayerShape], chip: Chip | str
) -> tuple[tuple[LayerShape, ...], Chip, Rule]:
    layers = tuple(network) if isinstance(network, Iterable) else shapes(network)
    chip = load_chip(chip) if isinstance(chip, str) else chip
    rule = RULES.get(str(chip.memory.get("placement")))
    if rule is None:
        raise BadInput(
            f"chip '{chip.key}': its file has no [memory] placement ({' or '.join(RULES)}), so "
            "its cores cannot be filled; use loihi1, loihi2 or speck2f"
        )
    if not layers:
        raise BadInput("placement: there are no layers to place")
    names = [layer.name for layer in layers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"placement: the layer name '{twice[0]}' is used twice; name layers apart")
    widest = chip.limit.get("weight_bits")
    for layer in layers:
        if widest is not None and layer.weight_bits > widest.value:
            raise BadInput(
                f"layer '{layer.name}': {layer.weight_bits}-bit weights, chip '{chip.key}' stores "
                f"up to {widest.value:g}; quantise to fewer bits"
            )
    check_delays(
        (
            (layer.name, source, kernel.link.delay)
            for layer in layers
            for source, kernel in zip(layer.sources, layer.kernels, strict=False)
        ),  # the rule refuses another number of kernels than of sources
        chip,
    )
    return layers, chip, rule


def _message(layers: tuple[LayerShape, ...], chip: Chip, broken: tuple[Shortfall, ...]) -> str:
    more = f" (and {len(broken) - _SHOWN} more)" if len(broken) > _SHOWN else ""
    limits = "; ".join(map(str, broken[:_SHOWN])) + more
    changes = remedies(layers, chip)
    advice = (
        "what would fit: " + "; or ".join(change.describe(layers) for change in changes)
        if changes
        else "no narrower, shallower or coarser form of it was found to fit"
    )
    return f"does not fit chip '{chip.key}' ({chip.name}): {limits}; {advice}"
