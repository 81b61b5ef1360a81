"""The one figure of the Pareto study: HM against energy, the front as a line.

In: the document of `studies.pareto`. A marker is a setting: its colour says T, its shape the
policy, its number the weight bits. Vertical bars go from the least to the most HM over the seeds,
horizontal ones along an interval of the cost table; filled markers are on the front. Chance is a
dotted line.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from neurozsl.core.quantities import si
from neurozsl.report.figures.drawing import HUES, INK, PAGE, SOFT, figure, label
from neurozsl.report.show.plot import Plot, finish, style

_SHAPES = {"dynamic": "o", "table": "s", "frozen": "^"}


def write_pareto(result: Mapping[str, Any], table: str, folder: Path) -> tuple[Path, ...]:
    """Write `pareto.svg` and `pareto.png` into a folder, made where missing; returns the paths.

    result: of `studies.pareto.run`. table: key of the cost table on the axis.
    """
    return draw(result, table).write(folder)


def draw(result: Mapping[str, Any], table: str) -> Plot:
    """The figure in all its forms, title and description with its numbers."""
    rows = [row for row in result["settings"] if table in row["energy"]]
    name = result["tables"][table]["name"]
    with style():
        made_figure, axes = figure(4.4)
        _marks(axes, rows, table)
        _legend(axes, rows)
        made = "synthetic data" if result["data"]["synthetic"] else result["data"]["name"]
        axes.set_xlabel(f"dynamic energy per inference of the motion branch, {name} (estimate)")
        axes.set_ylabel("HM (percent)")
        axes.set_title(
            f"{result['model']}, {made}: {result['test_samples']} test samples, "
            f"{result['seeds']} seed(s); numbers: weight bits"
        )
        title = f"HM against energy on {name}"
        return finish("pareto", made_figure, title, _told(rows, table))


def _marks(axes: Axes, rows: list[Mapping[str, Any]], table: str) -> None:
    hue = _hues(rows)
    front = sorted(
        (row["energy"][table]["mean"], row["HM"]["mean"])
        for row in rows
        if row["on_front"].get(table)
    )
    # Steps: between two settings nothing can be bought.
    corners = [joules for joules, _ in front], [hm for _, hm in front]
    axes.plot(*corners, color=INK, linewidth=1.2, drawstyle="steps-post", zorder=1)
    chance = max(row["chance"]["mean"] for row in rows)
    axes.axhline(chance, color=SOFT, linewidth=1, linestyle=":", zorder=0)
    for row in rows:
        x, y = row["energy"][table], row["HM"]
        colour = hue[row["steps"]]
        if y["min"] < y["max"]:
            axes.plot([x["mean"]] * 2, [y["min"], y["max"]], color=colour, linewidth=0.8, zorder=2)
        if x["joules_low"] is not None and x["joules_high"] is not None:
            ends = [x["joules_low"], x["joules_high"]]
            axes.plot(ends, [y["mean"]] * 2, color=colour, linewidth=0.8, zorder=2)
        on = row["on_front"].get(table)
        axes.plot(
            x["mean"],
            y["mean"],
            _SHAPES[row["policy"]],
            color=colour,
            markerfacecolor=colour if on else PAGE,
            markersize=8,
            markeredgewidth=1.5,
            zorder=3,
        )
    for row in _highest(rows):  # settings with equal T and bits lie close; one number for all
        at = (row["energy"][table]["mean"], row["HM"]["mean"])
        style = {"fontsize": 8, "color": hue[row["steps"]], "va": "baseline"}
        label(axes, str(row["bits"]), at, (7, 4), **style)
    axes.xaxis.set_major_formatter(lambda joules, _: si(joules, "J"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid()


def _highest(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The row with the highest HM of each T and number of bits."""
    best: dict[tuple[int, int], Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: float(row["HM"]["mean"])):
        best[row["steps"], row["bits"]] = row
    return list(best.values())


def _hues(rows: list[Mapping[str, Any]]) -> dict[int, str]:
    """A colour per T."""
    steps = sorted({row["steps"] for row in rows})
    return {t: HUES[place % len(HUES)] for place, t in enumerate(steps)}


def _legend(axes: Axes, rows: list[Mapping[str, Any]]) -> None:
    hues = _hues(rows)
    entries = [
        Line2D([], [], color=hue, marker="o", linestyle="", label=f"T = {t}")
        for t, hue in hues.items()
    ]
    entries += [
        Line2D([], [], color=SOFT, markerfacecolor="none", marker=_SHAPES[p], linestyle="", label=p)
        for p in dict.fromkeys(row["policy"] for row in rows)
    ]
    entries.append(Line2D([], [], color=INK, linewidth=1.2, label="front"))
    entries.append(Line2D([], [], color=SOFT, linestyle=":", label="chance (95th percentile)"))
    axes.legend(handles=entries, fontsize=8, frameon=False, loc="best")


def _told(rows: list[Mapping[str, Any]], table: str) -> str:
    """Every setting in words, for people who do not see the figure."""
    return "; ".join(
        f"T={row['steps']}, {row['policy']}, {row['bits']} bits: HM {row['HM']['mean']:.1f} at "
        f"{si(row['energy'][table]['mean'], 'J')}"
        + (", on the front" if row["on_front"].get(table) else "")
        for row in rows
    )
