"""Figures of recognition: scores per deployment step, calibrated stacking, confusion."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from neurozsl.core.quantities import percent
from neurozsl.report.figures import drawing as d
from neurozsl.report.schema import BetaCurve, Confusion, DeploymentStep
from neurozsl.scoring.metrics import Scores

_WRITTEN = 12  # classes up to which a cell has its count written in it
_COLOURS = {"S": d.BLUE, "U": d.ORANGE, "HM": d.INK, "ZSL": d.GREEN}
_MARKERS = {"S": "s", "U": "^", "HM": "o", "ZSL": "D"}
_LEVELS = 6  # shades of the confusion; the cells of one shade are one path


def deployment(steps: Sequence[DeploymentStep]) -> d.Drawn:
    """S, U, HM and ZSL over the steps of the deployment."""
    made, axes = d.figure(3.0)
    styles = {name: {"marker": marker, "markersize": 6} for name, marker in _MARKERS.items()}
    ends = {name: f"{name} {getattr(steps[-1], name):.1f}" for name in _MARKERS}
    top = _lines(axes, range(len(steps)), steps, styles, ends, 0.08)
    axes.set_xticks(range(len(steps)), [d.wrap(x.step, 16) for x in steps])
    axes.set_xlim(-0.3, len(steps) - 1 + 0.3)
    axes.set_ylim(0, 1.08 * top)
    told = "; ".join(
        f"{x.step}: S {percent(x.S)}, U {percent(x.U)}, HM {percent(x.HM)}, ZSL {percent(x.ZSL)}"
        for x in steps
    )
    return made, "S, U, HM and ZSL per deployment step", told


def beta_curve(curve: BetaCurve) -> d.Drawn:
    """S, U and HM over the constant that is taken off the scores of seen classes."""
    made, axes = d.figure(2.8)
    points = sorted(curve.points, key=lambda x: x.beta)
    betas = [x.beta for x in points]
    styles = {"S": {}, "U": {"linestyle": "--"}, "HM": {}}
    top = _lines(axes, betas, points, styles, {name: name for name in styles}, 0.09)
    axes.axvline(curve.chosen, color=d.SOFT, linewidth=1, linestyle=":")
    place = {"xycoords": ("data", "axes fraction"), "va": "top", "fontsize": 9}
    d.label(axes, f"chosen {curve.chosen:g}", (curve.chosen, 1.0), (4, -2), color=d.SOFT, **place)
    axes.set_xlim(betas[0], betas[-1] if betas[-1] > betas[0] else betas[0] + 1)
    axes.set_ylim(0, 1.15 * top)
    axes.set_xlabel("beta")
    best = max(points, key=lambda x: x.HM)
    told = (
        f"{len(points)} values of beta from {betas[0]:g} to {betas[-1]:g}; chosen on validation "
        f"data: {curve.chosen:g}; the test would be best at {best.beta:g}, HM {percent(best.HM)}"
    )
    return made, "S, U and HM over the constant of calibrated stacking", told


def confusion(found: Confusion) -> d.Drawn:
    """True class by row, predicted class by column, shade by share of the row; others at the end.

    Columns carry the numbers of the rows, so that 70 classes stay readable.
    """
    size = len(found.classes)
    row_height = max(0.118, min(0.3, 3.4 / size))
    made, axes = d.figure(0.75 + row_height * size)
    grey = size + 0.5  # the column of predictions outside of these classes, a little apart
    levels: dict[tuple[str, int], list[tuple[float, float, float, float]]] = {}
    for row, (counts, other) in enumerate(zip(found.counts, found.elsewhere, strict=True)):
        total = sum(counts) + other
        cells = [
            (column, n, d.GREEN if column == row else d.ORANGE) for column, n in enumerate(counts)
        ]
        for x, n, colour in (*cells, (grey, other, d.SOFT)):
            if n:
                level = min(_LEVELS - 1, int(_LEVELS * n / total))
                levels.setdefault((colour, level), []).append((x, row, 1, 1))
                if size <= _WRITTEN:
                    axes.text(x + 0.5, row + 0.5, str(n), ha="center", va="center", fontsize=8)
    full = 0.6 if size <= _WRITTEN else 1.0  # ink must stay readable on the darkest shade
    for (colour, level), places in sorted(levels.items()):
        d.blocks(axes, places, colour, full * (level + 1.2) / (_LEVELS + 0.2))
    font = min(9.0, 72 * row_height * 0.78)
    gap = 3 * "\N{NO-BREAK SPACE}"  # ordinary ones run together in a page
    names = [f"{d.short(x, 34)}{gap}{k + 1}" for k, x in enumerate(found.classes)]
    axes.set_yticks([k + 0.5 for k in range(size)], names, fontsize=font)
    every = 1 if size <= 40 else 5
    shown = [k for k in range(size) if (k + 1) % every == 0 or k == 0]
    if size > 40:  # the last number would run into the word of the column beside it
        shown = [k for k in shown if k < size - 3]
    axes.set_xticks(
        [*(k + 0.5 for k in shown), grey + 0.5],
        [*(str(k + 1) for k in shown), "other"],
        fontsize=min(8.5, max(6.5, font)),
    )
    d.as_matrix(axes, grey + 1, size)
    axes.set_xlabel("predicted (number of the row; other: outside of these)", fontsize=9)
    axes.hlines(range(size + 1), 0, grey + 1, color=d.GRID, linewidth=0.5, zorder=0)
    right = sum(found.counts[k][k] for k in range(size))
    samples = sum(map(sum, found.counts)) + sum(found.elsewhere)
    told = (
        f"{size} classes, {samples} samples: {right} called by their class, "
        f"{samples - right - sum(found.elsewhere)} by another of these, "
        f"{sum(found.elsewhere)} by a class outside of them"
    )
    return made, "What samples of unseen classes are taken for", told


def _lines(
    axes: Axes,
    at: Sequence[float],
    points: Sequence[Scores | DeploymentStep],
    styles: Mapping[str, Mapping[str, Any]],
    texts: Mapping[str, str],
    gap: float,
) -> float:
    """A line per score with its text at the end, HM the heaviest; returns the largest value."""
    lines = {name: [getattr(x, name) for x in points] for name in styles}
    top = max(map(max, lines.values())) or 1.0
    ends = d.spread([values[-1] for values in lines.values()], gap=top * gap)
    for (name, values), y in zip(lines.items(), ends, strict=True):
        colour, heavy = _COLOURS[name], name == "HM"
        axes.plot(at, values, color=colour, linewidth=2.4 if heavy else 1.4, **styles[name])
        style = {"fontweight": "bold" if heavy else "normal", "annotation_clip": False}
        d.label(axes, texts[name], (at[-1], y), (10, 0), color=colour, **style)
    axes.set_ylabel("percent")
    axes.grid(axis="y")
    axes.tick_params(length=0)
    return top
