"""Figures of energy: by device with intervals, by cause, over the step time, and against dense.

Points stand on a log axis, since devices differ by orders of magnitude; a stack on a log axis would
mislead, so shares by cause are drawn apart, on a linear one. Bars are drawn only where sources give
both bounds.
"""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from neurozsl.core.quantities import ratio, share, si, times
from neurozsl.hardware.energy import Cause, EnergyRow, SignRow, StepTime
from neurozsl.report.figures import drawing as d

_LABEL = 34  # characters of a device name per line; one long line would leave no room for the plot
_CAUSES: dict[Cause, tuple[str, float]] = {
    "synapses": (d.BLUE, 0.55),
    "neurons": (d.GREEN, 0.5),
    "routing": (d.ORANGE, 0.55),
    "input": (d.PURPLE, 0.5),
    "link": (d.PURPLE, 0.25),
    "arithmetic": (d.SOFT, 0.45),
    "static": (d.SOFT, 0.3),
    "whole": (d.SOFT, 0.15),
}
Group = tuple[str, Sequence[EnergyRow]]
"""What the rows run (the network, the comparison, the host part), and the rows."""


def energy(groups: Sequence[Group]) -> d.Drawn:
    """Points on a log axis; static energy as a diamond of its own; the groups apart."""
    groups = [group for group in groups if group[1]]
    rows = sum(1 + len(energies) for _, energies in groups)
    made, axes = d.figure(0.8 + 0.36 * rows)
    ticks: list[tuple[int, str]] = []
    headings = []
    labels: list[tuple[float, str]] = []  # right end of what is drawn in a row, text beside it
    told = []
    place = 0
    for (title, energies), colour in zip(groups, (d.BLUE, d.GREEN, d.ORANGE), strict=False):
        headings.append(len(ticks))
        ticks.append((place, d.wrap(title.upper(), _LABEL)))
        if place:
            axes.axhline(place - 0.5, color=d.GRID, linewidth=0.8)
        for row in energies:
            place += 1
            ticks.append((place, d.wrap(row.name, _LABEL)))
            labels.append((_energy_row(axes, row, place, colour), _beside(row)))
            told.append(f"{title}, {row.name}: {_told(row)}")
        place += 1
    shown = [row for _, energies in groups for row in energies]
    drawn = [x for e in shown for x in (e.joules_low, e.joules, e.joules_high, e.static_joules)]
    longest = max(len(line) for _, x in ticks for line in x.split("\n"))
    _joules_axis(axes, drawn, labels, longest)
    axes.set_yticks([y for y, _ in ticks], [text for _, text in ticks], fontsize=8)
    for k in headings:
        axes.get_yticklabels()[k].set_color(d.SOFT)
    axes.set_ylim(place - 0.4, -0.6)
    axes.set_xlabel("energy per inference (log axis)")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    return made, "Energy per inference by device", "; ".join(told)


def _joules_axis(
    axes: Axes, drawn: Sequence[float | None], labels: Sequence[tuple[float, str]], longest: int
) -> None:
    """A log axis as wide as the texts beside the points need.

    longest: characters of the longest device name, which takes its part of the d.figure.
    A text of the share f of the width, beside log energy p, ends at p + f (right - left); that is
    at most `right` where right >= (p - f left) / (1 - f).
    """
    known = [math.log10(x) for x in drawn if x] or [0.0]
    left, right = min(known) - 0.5, max(known) + 0.3
    inches = d.WIDTH - 0.4 - 0.068 * longest
    for joules, text in labels:
        if joules > 0:
            part = min(0.85, (0.25 + 0.066 * len(text)) / inches)
            right = max(right, (math.log10(joules) - part * left) / (1 - part))
    axes.set_xscale("log")
    axes.set_xlim(math.pow(10, left), math.pow(10, right))
    # No d.tick stands where there is room for text alone: nothing was estimated there.
    first, last = math.ceil(left), math.ceil(max(known))
    decades = range(first, last + 1, max(1, math.ceil((last - first) / 5)))
    axes.xaxis.set_major_locator(FixedLocator([math.pow(10, k) for k in decades]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: d.tick(x))


def _beside(row: EnergyRow) -> str:
    """The text beside the points of a row: d.short, since the axis makes room for it."""
    static = f", static {si(row.static_joules, 'J')}" if row.static_joules else ""
    measured = "" if row.estimate else " (measured)"
    return f"{'at least ' * row.lower_bound}{si(row.joules, 'J')}{static}{measured}"


def _told(row: EnergyRow) -> str:
    """The same for people who do not see the marks."""
    words = ["estimate"] * row.estimate + ["inherited"] * row.inherited
    unsure = row.estimate and row.interval == "unpublished"
    words += ["interval unpublished"] * unsure
    return _beside(row) + (f" ({', '.join(words)})" if words else "")


def _energy_row(axes: Axes, row: EnergyRow, place: int, colour: str) -> float:
    """Draw one device; returns the largest energy in its row, 0 where none can be drawn."""
    shown = [x for x in (row.joules, row.joules_high, row.static_joules) if x]
    right = max(shown, default=0.0)
    if row.static_joules:
        axes.plot(
            row.static_joules, place, "D", color=d.SOFT, markerfacecolor="white", markersize=5
        )
    bounded = row.interval != "unpublished"
    if bounded and row.joules_low and row.joules_high:
        axes.plot([row.joules_low, row.joules_high], [place, place], color=colour, linewidth=2.2,
                  marker="|", markersize=9, markeredgewidth=2.2)  # fmt: skip
    if row.joules:  # a network that never spikes has no place on a log axis
        fill = colour if bounded or not row.estimate else "white"
        axes.plot(row.joules, place, "o", color=colour, markerfacecolor=fill, markersize=7,
                  markeredgewidth=1.8)  # fmt: skip
    along = "data" if right else axes.get_yaxis_transform()
    style = {"xycoords": along, "fontsize": d.SMALL, "color": d.INK}
    d.label(axes, _beside(row), (right or 0.01, place), (9, 0), **style)
    return right


def split_rows(rows: Sequence[EnergyRow]) -> list[EnergyRow]:
    """Rows whose terms have at least two causes: the others have nothing to split."""
    return [x for x in rows if x.joules and len({term.cause for term in x.terms}) > 1]


def energy_split(rows: Sequence[EnergyRow]) -> d.Drawn:
    """What the dynamic energy is spent on, as shares of each device's own total."""
    made, axes = d.figure(0.95 + 0.36 * len(rows))
    told = []
    seen: set[Cause] = set()
    for place, row in enumerate(rows):
        parts: dict[Cause, float] = {}
        for term in row.terms:
            parts[term.cause] = parts.get(term.cause, 0.0) + term.joules
        total = sum(parts.values()) or 1.0
        left = 0.0
        for cause in _CAUSES:
            width = 100 * parts.get(cause, 0.0) / total
            if not width:
                continue
            seen.add(cause)
            colour, alpha = _CAUSES[cause]
            axes.barh(place, width, 0.62, left=left, color=colour, alpha=alpha, linewidth=0)
            if width > 7:
                axes.text(left + 1, place, f"{width:.0f} %", va="center", fontsize=8)
            left += width
        told.append(
            f"{row.name}: " + ", ".join(f"{k} {share(v / total)}" for k, v in parts.items())
        )
    order = [cause for cause in _CAUSES if cause in seen]
    handles = [
        axes.barh(0, 0, color=_CAUSES[cause][0], alpha=_CAUSES[cause][1], linewidth=0)[0]
        for cause in order
    ]
    size = {"handlelength": 1, "handleheight": 1, "columnspacing": 1.2}
    d.legend(made, handles, order, ncols=len(order), **size)
    axes.set_yticks(range(len(rows)), [d.wrap(x.name, _LABEL) for x in rows], fontsize=8)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("percent of the device's dynamic energy")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return made, "What the energy is spent on", "; ".join(told)


def step_time(rows: Sequence[StepTime]) -> d.Drawn:
    """Dynamic and static energy over the length of a step, both axes logarithmic."""
    made, axes = d.figure(3.0)
    devices: dict[str, list[StepTime]] = {}
    for row in sorted(rows, key=lambda x: x.step_s):
        devices.setdefault(row.name, []).append(row)
    ends: list[tuple[str, float, str]] = []
    told = []
    for k, (device, points) in enumerate(devices.items()):
        colour = d.HUES[k % len(d.HUES)]
        steps = [x.step_s for x in points]
        for style, part in (("-", "static"), (":", "dynamic")):
            values = [getattr(x, f"{part}_joules") for x in points]
            if not any(values):  # a network that never spikes has no place on a log axis
                continue
            axes.plot(steps, values, style, color=colour, linewidth=1.6, marker=".", markersize=5)
            ends.append((f"{d.short(device, 24)}, {part}", values[-1], colour))
        told.append(
            f"{device}: dynamic {si(points[0].dynamic_joules, 'J')}, static "
            f"{si(points[0].static_joules, 'J')} at steps of {si(steps[0], 's')} and "
            f"{si(points[-1].static_joules, 'J')} at {si(steps[-1], 's')}"
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    logs = [math.log10(value) for _, value, _ in ends]
    low, high = (f(math.log10(x) for x in axes.get_ylim()) for f in (min, max))
    last = max(x.step_s for x in rows)
    for (text, _, colour), y in zip(ends, d.spread(logs, (high - low) * 0.075), strict=True):
        end = {"color": colour, "fontsize": d.SMALL, "annotation_clip": False}
        d.label(axes, text, (last, 10**y), (9, 0), **end)
    axes.xaxis.set_major_formatter(lambda x, _: d.tick(x).replace("J", "s") if x else "")
    axes.yaxis.set_major_formatter(lambda x, _: d.tick(x))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("length of a step")
    axes.set_ylabel("energy per inference")
    axes.grid()
    return made, "Static energy grows with the step, dynamic energy does not", "; ".join(told)


def advantage(rows: Sequence[SignRow], names: Mapping[str, str]) -> d.Drawn:
    """Spiking tables by row, dense tables by column; each cell the ratio of their energies.

    names: of the tables, by their keys.
    """
    spiking = list(dict.fromkeys((x.spiking, x.with_static) for x in rows))
    dense = list(dict.fromkeys(x.dense for x in rows))
    made, axes = d.figure(1.2 + 0.4 * len(spiking))
    for row in rows:
        x, y = dense.index(row.dense), spiking.index((row.spiking, row.with_static))
        colour = {"spiking": d.BLUE, "dense": d.ORANGE, "either": d.SOFT}[row.advantage]
        far = abs(math.log10(row.ratio)) if row.ratio else 3.0
        d.blocks(axes, [(x + 0.03, y + 0.05, 0.94, 0.9)], colour, 0.16 + 0.13 * min(far, 3.0))
        axes.text(x + 0.5, y + 0.5, f"{_cell(row.ratio)}\n{row.advantage}", ha="center",
                  va="center", fontsize=7.5, linespacing=1.1)  # fmt: skip
    axes.set_xticks(
        [k + 0.5 for k in range(len(dense))],
        [d.wrap(names[x], max(9, 92 // len(dense)), 4) for x in dense],
        fontsize=7,
    )
    labels = [f"{d.wrap(names[key], 27)}{' + static' if static else ''}" for key, static in spiking]
    axes.set_yticks([k + 0.5 for k in range(len(spiking))], labels, fontsize=8)
    d.as_matrix(axes, len(dense), len(spiking))
    axes.set_xlabel("one dense pass, by cost table", color=d.SOFT, fontsize=9)
    axes.set_ylabel("spiking network", color=d.SOFT, fontsize=9)
    for text in axes.get_xticklabels():
        text.set_color(d.INK)
    told = "; ".join(
        f"{names[x.spiking]}{' with static' if x.with_static else ''} against {names[x.dense]}: "
        f"{ratio(x.ratio)}, {x.advantage}"
        for x in rows
    )
    return made, "Energy of the spiking network divided by that of the dense pass", told


def _cell(value: float) -> str:
    """A ratio in the room of a cell: "21" times as much, or "1/480" of it.

    >>> _cell(20.64), _cell(3561.0), _cell(1.0), _cell(0.0021), _cell(0.0)
    ('21', '3,600', '1', '1/480', '0')
    """
    if not value:
        return "0"
    shown = times(value if value >= 1 else 1 / value).removesuffix(" times")
    return shown if value >= 1 else f"1/{shown}"
