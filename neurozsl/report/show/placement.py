"""A `Placement` as the rows of a table: one per core, neighbours that use the same in one row."""

from __future__ import annotations

from neurozsl.core import quantities as q
from neurozsl.hardware.place.mapping import title
from neurozsl.report.schema import CorePart, CoreUse, Placement


def groups(placement: Placement) -> tuple[tuple[str, int, CorePart], ...]:
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


def table(placement: Placement) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Column titles and rows of text, totals last."""
    keys = tuple(placement.totals)
    rows = [
        (label, part.layer, *(_cell(key, part.use[key]) for key in keys))
        for label, _, part in groups(placement)
    ]
    rows.append(("all", "", *(_cell(key, placement.totals[key]) for key in keys)))
    return ("core", "layer", *(_title(key) for key in keys)), rows


def heading(placement: Placement) -> str:
    """What the table shows, and how full the chip is."""
    share = q.share(placement.cores_used / placement.cores)
    return (
        f"{placement.name}: {placement.cores_used} of {placement.cores} cores ({share}); use per "
        "core and percent of its limit"
    )


def _cell(key: str, use: CoreUse) -> str:
    """Use and share of the limit; memory counted in bits is shown in KiB.

    >>> _cell("synapse_bits", CoreUse(used=786432, limit=1048576))
    '96.0 KiB (75.00 %)'
    >>> _cell("in_axons", CoreUse(used=512, limit=None))
    '512'
    """
    shown = f"{use.used / 8192:,.1f} KiB" if key.endswith("_bits") else q.count(use.used)
    return f"{shown} ({q.share(use.used / use.limit)})" if use.limit else shown


def _title(key: str) -> str:
    return title(key.replace("_bits", "_memory"))


def _alike(a: CorePart, b: CorePart) -> bool:
    return (a.layer, a.use, a.core + 1) == (b.layer, b.use, b.core)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
