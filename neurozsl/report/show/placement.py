"""A `Placement` as a table: one row per core, neighbours that use the same in one row."""

from collections.abc import Callable
from typing import Any

from neurozsl.core import quantities as q
from neurozsl.hardware.place.mapping import title
from neurozsl.hardware.place.placement import CoreUse, PlacedPart, Placement
from neurozsl.report.show.tables import Cell, Column, Number, Table, row, say, table

Group = tuple[str, PlacedPart]


def groups(placement: Placement) -> tuple[tuple[str, int, PlacedPart], ...]:
    """Core numbers ("3" or "3-5"), place of the first of them in `parts`, and that part."""
    found: list[tuple[int, int]] = []  # first and last place in parts
    for place, part in enumerate(placement.parts):
        before = placement.parts[place - 1] if place else None
        if before is not None and _alike(before, part):
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return tuple(
        (_span(placement.parts[a].core, placement.parts[b].core), a, placement.parts[a])
        for a, b in found
    )


def placement_table(key: str, placement: Placement) -> Table:
    """The cores; `key` is the path of the placement in the JSON."""
    columns = (
        Column("core", lambda group, _: say(group[0])),
        Column("layer", lambda group, _: say(group[1].layer)),
        *(Column(_title(name), _used(name), numeric=True) for name in placement.totals),
    )
    totals = {
        _title(name): _cell(name, use, f"{key}.totals.{name}")
        for name, use in placement.totals.items()
    }
    used = Number(placement.cores_used, f"{key}.cores_used")
    cores = (used, " of ", Number(placement.cores, f"{key}.cores"))
    rows = {f"{key}.parts.{place}": (label, part) for label, place, part in groups(placement)}
    left_out = (f"not counted: {placement.left_out}",) * bool(placement.left_out)
    return table(
        key,
        f"{placement.name}: {placement.cores_used} of {placement.cores} cores "
        f"({q.share(placement.cores_used / placement.cores)}); use per core and percent of its "
        "limit",
        columns,
        rows.values(),
        keys=rows,
        further=(row(columns, {"core": say("all", below=cores), **totals}, "total"),),
        notes=(*left_out, *placement.notes),
        on=("page",),
    )


def _used(name: str) -> Callable[[Any, str], Cell]:
    def cell(group: Group, key: str) -> Cell:
        use = group[1].use.get(name)
        return say() if use is None else _cell(name, use, f"{key}.use.{name}")

    return cell


def _cell(name: str, use: CoreUse, key: str) -> Cell:
    """Use and share of the limit; memory counted in bits is shown in KiB.

    >>> _cell("synapse_bits", CoreUse(used=786432, limit=1048576), "").with_aside
    '96.0 KiB (75.00 %)'
    >>> _cell("in_axons", CoreUse(used=512, limit=None), "").with_aside
    '512'
    """
    used = Number(use.used, f"{key}.used", "bits" if name.endswith("_bits") else "count")
    if not use.limit:
        return say(used)
    share = use.used / use.limit
    return say(used, aside=q.share(share), bar=min(100 * share, 100))


def _title(key: str) -> str:
    return title(key.replace("_bits", "_memory"))


def _alike(a: PlacedPart, b: PlacedPart) -> bool:
    return (a.layer, a.use, a.core + 1) == (b.layer, b.use, b.core)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
