"""Figures of the papers, drawn from the result of a table (`studies.tables.run`).

    sweep       HM and ZSL over the option that the rows vary, one line a series; beside it the
                thresholds and the spike rate over time, where something spikes
    embedding   five classes before and after each row's model, and the class vectors
    cost        parameters and FLOPs, ours beside the printed ones

Lines end at the least and the most over the seeds. Rows that are missing are left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from neurozsl.core.quantities import si
from neurozsl.report.figures.drawing import GRID, HUES, INK, SMALL, SOFT, WIDTH, label, tick
from neurozsl.report.show.plot import Plot, finish, style

Rows = Sequence[Mapping[str, Any]]
_COLOURS: Final = (*HUES, INK)
_MARKS: Final = ("o", "s", "^", "D", "v")


def write_figures(result: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """Write the figures of a table as `KEY.svg` and `KEY.png` into a folder; returns the paths."""
    return tuple(path for plot in draw(result) for path in plot.write(folder))


def draw(result: Mapping[str, Any]) -> tuple[Plot, ...]:
    """The figures of a table; none where it has none or no row was trained."""
    rows = [row for row in result["rows"] if not row["missing"]]
    if not rows or not result["plot"]:
        return ()
    key, made = result["table"], "synthetic" if result["data"]["synthetic"] else "real"
    about = f"{key}, {result['title']} ({result['data']['name']}, {made} features)"
    with style():
        if result["plot"] == "embedding":
            return (finish(key, _embedding(rows), about, _told(rows)),)
        if result["plot"] == "cost":
            return (finish(key, _cost(rows, result["comparable"]), about, _told(rows)),)
        drawn = [finish(key, _sweep(rows, result["axis"]), about, _told(rows))]
        moving = [row for row in rows if row.get("over_time")]
        if moving:
            drawn.append(finish(f"{key}-time", _over_time(moving), f"{about}: over time", ""))
        return tuple(drawn)


def _panels(rows: int, columns: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    made = Figure(figsize=(WIDTH, height), layout="constrained")
    return made, made.subplots(rows, columns, squeeze=False).tolist()


def _told(rows: Rows) -> str:
    """Every row in words, for people who do not see the figure."""
    return "; ".join(
        f"{row['label']}: HM {row['HM']['mean']:.1f}, ZSL {row['ZSL']['mean']:.1f}" for row in rows
    )


def _named(rows: Rows) -> dict[str, str]:
    """A colour per series, per label where a row is of none."""
    names = dict.fromkeys(row["series"] or row["label"] for row in rows)
    return {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}


def _sweep(rows: Rows, axis: str) -> Figure:
    made, [panels] = _panels(1, 2, 3.4)
    colours = _named(rows)
    for axes, score in zip(panels, ("HM", "ZSL"), strict=True):
        for (name, colour), mark in zip(colours.items(), _MARKS * len(colours), strict=False):
            own = [row for row in rows if row["series"] == name]
            if not own:  # a row without a place holds everywhere
                [alone] = [row for row in rows if row["label"] == name]
                axes.axhline(alone[score]["mean"], color=colour, linestyle="--", label=name)
                continue
            places, found = [row["place"] for row in own], [row[score] for row in own]
            axes.plot(places, [x["mean"] for x in found], color=colour, marker=mark, label=name)
            axes.vlines(places, [x["min"] for x in found], [x["max"] for x in found], color=colour)
        axes.set_xlabel(axis)
        axes.set_ylabel(f"{score} (percent)")
        axes.grid()
    made.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False
    )
    return made


def _over_time(rows: Rows) -> Figure:
    """Mean over layers of the thresholds that change, and of the spike rates, in every step."""
    made, [panels] = _panels(1, 2, 3.4)
    colours = _named(rows)
    for axes, key, unit in zip(
        panels, ("theta", "spike_rate"), ("threshold", "spikes per neuron"), strict=True
    ):
        shown: set[str] = set()
        for row in rows:
            layers = list(row["over_time"][key].values())
            if not layers:  # a constant threshold
                continue
            name = row["series"] or row["label"]
            steps = [sum(values) / len(values) for values in zip(*layers, strict=True)]
            axes.plot(
                range(1, len(steps) + 1), steps, color=colours[name], linewidth=1.2,
                label="_" if name in shown else name,
            )  # fmt: skip
            shown.add(name)
            if row["place"] is not None:
                at = (len(steps), steps[-1])
                label(axes, f"{row['place']:g}", at, (3, 0), color=colours[name], fontsize=SMALL)
        if not shown:
            axes.text(0.5, 0.5, "no threshold changes", ha="center", transform=axes.transAxes)
        axes.set_xlabel("time step")
        axes.set_ylabel(f"{unit}, mean over layers")
        axes.grid()
    made.legend(
        *panels[1].get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False
    )
    return made


def _embedding(rows: Rows) -> Figure:
    made, grid = _panels(len(rows), 2, 3.2 * len(rows) + 0.5)
    for row, (left, right) in zip(rows, grid, strict=True):
        found = row["embedded"]
        for axes, key, name in (
            (left, "before", "features, before"),
            (right, "after", f"{row['label']}, joint space"),
        ):
            for place, one in enumerate(found["classes"]):
                points = [p for p, c in zip(found[key], found["class"], strict=True) if c == place]
                axes.plot(
                    [x for x, _ in points], [y for _, y in points], _MARKS[place % len(_MARKS)],
                    color=_COLOURS[place % len(_COLOURS)], markersize=4, alpha=0.6,
                    label=f"{one['name']} ({one['role']})",
                )  # fmt: skip
            axes.set_title(name)
            axes.set_xticks([])
            axes.set_yticks([])
        for place, (x, y) in enumerate(found["vectors"]):
            colour = _COLOURS[place % len(_COLOURS)]
            right.plot(x, y, "P", markersize=10, color=colour, markeredgecolor=INK)
    made.legend(
        *grid[0][0].get_legend_handles_labels(), loc="outside lower left", ncols=3, frameon=False,
        fontsize=8.5,
    )  # fmt: skip
    return made


def _cost(rows: Rows, comparable: bool) -> Figure:
    made, [panels] = _panels(1, 2, 0.6 * len(rows) + 1.4)
    printed = "printed" if comparable else "printed, for other data"
    for axes, (key, column, name) in zip(
        panels,
        (
            ("parameters", "parameters", "parameters"),
            ("host_flops", "FLOPs", "FLOPs (ours: host, one inference)"),
        ),
        strict=True,
    ):
        for place, row in enumerate(rows):
            figure = row["published"].get(column)
            for shift, value, colour in ((-0.2, row[key], HUES[0]), (0.2, figure, SOFT)):
                if value:
                    axes.barh(place + shift, value, 0.36, color=colour)
                    axes.text(value, place + shift, f" {si(value, '').strip()}", va="center")
        axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: tick(value, "").strip())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.25)
        axes.set_xlabel(name, fontsize=8.5)
        axes.grid(axis="x", color=GRID)
    handles = [Patch(color=colour) for colour in (HUES[0], SOFT)]
    made.legend(handles, ("ours", printed), loc="outside upper left", ncols=2, frameon=False)
    return made
