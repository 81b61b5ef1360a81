"""The one figure of the frontier study: HM against energy, a panel per pair of cost tables.

In: the document of `studies.frontier`. A marker is a setting: its colour and shape say the family,
its number the share of weights kept in percent. Bars go from the least to the most HM over the
seeds; the line of each kind of network is its front, filled markers are on it. Chance is a dotted
line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from neurozsl.core.quantities import si
from neurozsl.report.figures.drawing import BLUE, GREEN, HUES, ORANGE, PAGE, SOFT, WIDTH, label
from neurozsl.report.figures.drawing import legend as legend_of
from neurozsl.report.show.plot import Plot, finish, style

Row = Mapping[str, Any]
Pairs = Sequence[tuple[str, str]]
_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "snn": ("o", BLUE),
    "ann-steps": ("s", ORANGE),
    "ann-pooled": ("^", GREEN),
}
_PANEL: Final = 2.9  # inches


def write_frontier(result: Row, pairs: Pairs, folder: Path) -> tuple[Path, ...]:
    """Write `frontier.svg` and `frontier.png` into a folder; returns the paths.

    result: of `studies.frontier.run`. pairs: keys of the spiking and the dense cost table of every
    panel; none draws every setting at the first table that prices it.
    """
    return draw(result, pairs).write(folder)


def draw(result: Row, pairs: Pairs) -> Plot:
    """The figure in all its forms, title and description with its numbers."""
    shown = list(pairs) or [(next(iter(result["tables"])),) * 2]
    with style():
        made = Figure(figsize=(WIDTH, _PANEL * len(shown) + 0.4), layout="constrained")
        panels = made.subplots(len(shown), 1, sharey=True, squeeze=False)[:, 0]
        for axes, (spiking, dense) in zip(panels, shown, strict=True):
            _panel(axes, result, (spiking, dense))
        handles = _handles(result)
        legend_of(made, handles, [str(x.get_label()) for x in handles], ncols=3, fontsize=8)
        return finish(
            "frontier", made, "HM against energy by family", _told(result["settings"], shown)
        )


def _panel(axes: Axes, result: Row, tables: tuple[str, str]) -> None:
    for table in dict.fromkeys(tables):
        _family(axes, [row for row in result["settings"] if table in row["energy"]], table)
    axes.axhline(
        max(row["chance"]["mean"] for row in result["settings"]),
        color=SOFT,
        linewidth=1,
        linestyle=":",
        zorder=0,
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda joules, _: si(joules, "J"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    names = [result["tables"][table]["name"] for table in dict.fromkeys(tables)]
    axes.set_title(" against ".join(names), fontsize=8.5)
    axes.set_xlabel("dynamic energy per inference of the motion branch (estimate)", fontsize=8.5)
    axes.set_ylabel("HM (percent)")
    axes.grid()


def _family(axes: Axes, rows: Sequence[Row], table: str) -> None:
    front = sorted(
        (row["energy"][table]["mean"], row["HM"]["mean"]) for row in rows if row["on_front"][table]
    )
    if front:  # steps: between two settings nothing can be bought
        colour = _mark(rows[0])[1]
        axes.plot(*zip(*front, strict=True), color=colour, linewidth=1.2, drawstyle="steps-post")
    several = len({(*row["widths"], row["steps"]) for row in rows}) > 1
    for row in rows:
        shape, colour = _mark(row)
        x, y = row["energy"][table]["mean"], row["HM"]
        axes.plot([x, x], [y["min"], y["max"]], color=colour, linewidth=0.8, zorder=2)
        face = colour if row["on_front"][table] else PAGE
        axes.plot(x, y["mean"], shape, color=colour, markerfacecolor=face, markersize=7, zorder=3)
        text = {"fontsize": 7, "color": colour}
        said = f"{100 * row['density']:g}"
        said += f" {'-'.join(map(str, row['widths']))}, T {row['steps']}" * several
        label(axes, said, (x, y["mean"]), (6, 4), **text)


def _mark(row: Row) -> tuple[str, str]:
    return _MARKS.get(row["family"], ("D", HUES[-1]))


def _handles(result: Row) -> list[Line2D]:
    found = []
    for name, family in result["families"].items():
        shape, colour = _mark({"family": name})
        said = f"{family['said']}"
        found.append(Line2D([], [], color=colour, marker=shape, linestyle="", label=said))
    found.append(Line2D([], [], color=SOFT, linewidth=1.2, label="front"))
    found.append(Line2D([], [], color=SOFT, linestyle=":", label="chance (95th percentile)"))
    found.append(Line2D([], [], linestyle="", label="numbers: weights kept, percent"))
    return found


def _told(rows: Sequence[Row], pairs: Pairs) -> str:
    """Every setting in words, for people who do not see the figure."""
    tables = dict.fromkeys(table for pair in pairs for table in pair)
    return "; ".join(
        f"{row['name']}: HM {row['HM']['mean']:.1f} at "
        + ", ".join(
            f"{si(row['energy'][t]['mean'], 'J')} ({t})" for t in tables if t in row["energy"]
        )
        for row in rows
    )
