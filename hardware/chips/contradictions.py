"""Limits and tables of a chip that must agree: two that contradict each other are refused.

In: [limit] and the tables of `cores`, a chip's own together with what it inherits. A limit that
contradicts another would be broken, or never reached, whatever the network is; the message shows
the line of this file that has a part in it.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from neurozsl.hardware.chips.arithmetics import ASKED, AskedFigures
from neurozsl.hardware.chips.cores import CoreTables
from neurozsl.hardware.chips.figures import Figure
from neurozsl.hardware.chips.text import ChipText, Place

Limits = Mapping[str, Figure]
Fault = tuple[Place, str, str, str]  # where, what is there, what is allowed, what to do

# (part, whole): the first may not be larger than the second.
_PARTS: Final = (("synapses_per_core", "synapses_per_chip"), ("synapses_per_core", "synapses"))


def check_agreement(read: ChipText, made: CoreTables, limit: Limits) -> None:
    """The tables, a chip's own and inherited ones, agree with each other and with [limit].

    Raises:
        BadInput: two of them contradict each other, or one needs what is absent.
    """
    for faults in (_of_rule, _of_cores, _of_memory, _of_arithmetic):
        for place, found, allowed, remedy in faults(read.table, made, limit):
            raise read.refuse(place, found, allowed, remedy)


def _of_rule(table: Mapping[str, Any], made: CoreTables, limit: Limits) -> Iterator[Fault]:
    """Each rule has the tables that it reads, and no other."""
    if made.rule != "assign":
        beside = f"placement = '{made.rule}'" if made.rule else "no [memory] placement"
        for name, place in (("core", ("core", 0)), ("allowed", ("allowed",))):
            if table.get(name):
                yield (
                    place,
                    f"stands beside {beside}",
                    "only placement = 'assign' reads it",
                    'write placement = "assign" in [memory], or delete the table',
                )
    elif not made.cores:
        yield (
            ("memory", "placement"),
            "is 'assign' and there is no row of [[core]]",
            "unequal cores are filled one by one",
            "add a [[core]] row with ids and words for each group of equal cores",
        )
    if made.rule and "cores" not in limit:
        yield (
            ("limit", "cores"),
            "is missing",
            f"placement = '{made.rule}' fills so many cores",
            "add cores to [limit] with its source",
        )


def _of_cores(table: Mapping[str, Any], made: CoreTables, limit: Limits) -> Iterator[Fault]:
    """[limit] cores, the rows of [[core]] and the mesh count the cores of one chip."""
    if "cores" not in limit:
        return
    cores = int(limit["cores"].value)
    named = sum(len(row["ids"]) for row in made.cores)
    if made.cores and named != cores:
        yield (
            _own(table, ("limit", "cores"), ("core", 0)),
            f"disagrees: limit.cores is {cores:,}, the rows of [[core]] name {named:,}",
            "both count the cores of one chip",
            "mend the ids of [[core]] or cores in [limit]",
        )
    room = math.prod(made.mesh.get(key, 1) for key in ("width", "height", "cores_per_tile"))
    if made.mesh and room < cores:
        yield (
            _own(table, ("mesh", "width"), ("limit", "cores")),
            f"disagrees: the mesh has room for {room:,} cores, limit.cores is {cores:,}",
            "every core sits in a tile of the mesh",
            "mend width, height or cores_per_tile of [mesh], or cores in [limit]",
        )


def _of_memory(table: Mapping[str, Any], made: CoreTables, limit: Limits) -> Iterator[Fault]:
    """A part is not larger than its whole."""
    bits, room = limit.get("synapse_bits_per_core"), limit.get("memory_bytes_per_core")
    if bits is not None and room is not None and bits.value > 8 * room.value:
        yield (
            _own(table, ("limit", "synapse_bits_per_core"), ("limit", "memory_bytes_per_core")),
            f"disagrees: {bits.value:,.0f} bits for synapses in {8 * room.value:,.0f} bits of "
            "memory",
            "synapse_bits_per_core is a part of memory_bytes_per_core",
            "mend one of them; units are bits and bytes",
        )
    for part, whole in _PARTS:
        if part in limit and whole in limit and limit[part].value > limit[whole].value:
            yield (
                _own(table, ("limit", part), ("limit", whole)),
                f"disagrees: {part} is {limit[part].value:,.0f}, {whole} is "
                f"{limit[whole].value:,.0f}",
                "one core holds no more than the chip",
                "mend one of them",
            )


def _of_arithmetic(table: Mapping[str, Any], made: CoreTables, limit: Limits) -> Iterator[Fault]:
    """What the integers of an arithmetic are checked against is there."""
    arithmetic = table.get("arithmetic", "")
    asked = ASKED.get(arithmetic, AskedFigures())
    groups: dict[str, Mapping[str, Any]] = {"limit": limit, "allowed": made.allowed}
    for group, held in groups.items():
        missing = [key for key in getattr(asked, group) if key not in held]
        if missing:
            yield (
                ("arithmetic",),
                f"is '{arithmetic}', which needs {', '.join(missing)} in [{group}]",
                f"[{group}] holds {', '.join(held) or 'nothing'}",
                f"add them with their source, inherit the limits of '{asked.lender}', or leave out "
                "arithmetic where energy alone is asked for",
            )


def _own(table: Mapping[str, Any], *places: tuple[str, str | int]) -> Place:
    """The first of the places that the file itself holds; else where it inherits from."""
    for group, key in places:
        if group in table and (isinstance(key, int) or key in table[group]):
            return (group, key)
    return ("inherits_limits",)
