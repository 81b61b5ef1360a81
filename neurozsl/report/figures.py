"""The four figures of a report: scores per deployment step, raster, spike rate, energy by device.

A function takes (part of) a `RunReport` and returns the matplotlib figure, its title and one
sentence with its numbers for people who do not see it. Okabe-Ito hues, told apart by colour-blind
readers, and never the only distinction (markers, labels, panels).

All spikes of a layer are one path: about 25 bytes a spike in SVG instead of 105 for a marker.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from neurozsl.report.quantities import percent, share, si
from neurozsl.report.schema import Energy, Raster, RasterLayer, RunReport

MAX_NEURONS = 64
"""Neurons drawn per layer of the raster, evenly chosen."""
_LABEL = 40  # characters of a device name per line; one long line would leave no room for the plot

INK, SOFT, GRID = "#1c2126", "#5b6570", "#d9dee3"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#a0478a"
_MODALITY_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)

Drawn = tuple[Figure, str, str]
"""Figure, title, description."""

T = TypeVar("T")


def deployment(report: RunReport) -> Drawn:
    """S, U, HM and ZSL over the steps of the deployment."""
    steps = report.deployment
    figure, axes = _figure(7.2, 3.0)
    series = (
        ("S", [x.S for x in steps], BLUE, "s"),
        ("U", [x.U for x in steps], ORANGE, "^"),
        ("HM", [x.HM for x in steps], INK, "o"),
        ("ZSL", [x.ZSL for x in steps], GREEN, "D"),
    )
    for name, values, colour, marker in series:
        width = 2.4 if name == "HM" else 1.4
        axes.plot(values, color=colour, marker=marker, linewidth=width, markersize=6, label=name)
    ends = _spread([values[-1] for _, values, _, _ in series], gap=_span(series) * 0.07)
    for (name, values, colour, _), y in zip(series, ends, strict=True):
        axes.annotate(
            f"{name} {values[-1]:.1f}",
            (len(steps) - 1, y),
            xytext=(10, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontweight="bold" if name == "HM" else "normal",
        )
    axes.set_xticks(range(len(steps)), [_wrap(x.step) for x in steps])
    axes.set_xlim(-0.3, len(steps) - 1 + 0.3)
    axes.set_ylim(0, 1.08 * _span(series))
    axes.set_ylabel("percent")
    axes.grid(axis="y")
    axes.tick_params(length=0)
    told = "; ".join(
        f"{x.step}: S {percent(x.S)}, U {percent(x.U)}, HM {percent(x.HM)}, ZSL {percent(x.ZSL)}"
        for x in steps
    )
    return figure, "S, U, HM and ZSL per deployment step", told


def raster(raster: Raster) -> Drawn:
    """One panel per layer, one column per modality; each dash is one spike during one step."""
    columns: dict[str, list[RasterLayer]] = {}
    for layer in raster.layers:
        columns.setdefault(layer.modality, []).append(layer)
    rows = max(map(len, columns.values()))
    figure = Figure(figsize=(7.2, 0.5 + 1.35 * rows), layout="constrained")
    grid = figure.subplots(rows, len(columns), sharex=True, squeeze=False)
    for column, (layers, colour) in enumerate(_coloured(columns)):
        for row in range(rows):
            axes = grid[row][column]
            if row >= len(layers):
                axes.set_axis_off()
                continue
            _raster_panel(axes, layers[row], raster.steps, colour)
            if row == len(layers) - 1:
                axes.set_xlabel("step")
                axes.tick_params(labelbottom=True)
    spikes = sum(len(x.spikes) for x in raster.layers)
    told = f"{spikes} spikes of {len(raster.layers)} layers over {raster.steps} steps"
    return figure, "Spikes of one sample", told


def _raster_panel(axes: Axes, layer: RasterLayer, steps: int, colour: str) -> None:
    """Spikes as dashes; rows are neurons."""
    shown = _chosen(layer.neurons)
    row_of = {neuron: row for row, neuron in enumerate(shown)}
    xs: list[float] = []
    ys: list[float] = []
    for step, neuron in layer.spikes:
        if neuron in row_of:
            xs += [step + 0.08, step + 0.92, float("nan")]
            ys += [row_of[neuron]] * 3
    axes.plot(xs, ys, color=colour, linewidth=1.3, solid_capstyle="butt")
    some = "" if len(shown) == layer.neurons else f"{len(shown)} of "
    axes.set_title(f"{layer.name}  ({some}{layer.neurons} neurons)")
    axes.set_xlim(0, steps)
    axes.set_ylim(-1, len(shown))
    axes.set_xticks(range(0, steps + 1, max(1, -(-steps // 10))))
    axes.set_yticks([])
    axes.grid(axis="x")


def spike_rate(report: RunReport) -> Drawn:
    """One bar per layer, in the order of the branch."""
    layers = report.layers
    figure, axes = _figure(7.2, 0.9 + 0.34 * len(layers))
    by_modality: dict[str, list[int]] = {}
    for place, layer in enumerate(layers):
        by_modality.setdefault(layer.modality, []).append(place)
    for places, colour in _coloured(by_modality):
        axes.barh(places, [100 * layers[p].spike_rate for p in places], 0.66, color=colour)
    largest = max(100 * x.spike_rate for x in layers)
    for place, layer in enumerate(layers):
        dead = f", {layer.dead_neurons} dead" if layer.dead_neurons else ""
        label = f"{share(layer.spike_rate)}{dead}"
        axes.annotate(
            label,
            (100 * layer.spike_rate, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(layers)), [x.name for x in layers])
    axes.set_xlim(0, max(largest * 1.22, 1e-6))
    axes.invert_yaxis()
    axes.set_xlabel("spike rate (percent of neurons that spike in a step)")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    told = "; ".join(f"{x.name}: {share(x.spike_rate)}" for x in layers)
    return figure, "Spike rate per layer", told


def energy(report: RunReport) -> Drawn:
    """Points on a log axis; bars only where two bounds are published; the host apart."""
    groups: list[tuple[str, Sequence[Energy], str]] = [("motion branch", report.energy, BLUE)]
    if report.baseline is not None and report.baseline.energy:
        groups.append((report.baseline.name, report.baseline.energy, GREEN))
    if report.host.energy:
        groups.append(("host part", report.host.energy, ORANGE))
    rows = sum(1 + len(energies) for _, energies, _ in groups)
    figure, axes = _figure(7.2, 0.8 + 0.36 * rows)
    labels: list[tuple[int, str]] = []
    told = []
    place = 0
    for title, energies, colour in groups:
        labels.append((place, title.upper()))
        if place:
            axes.axhline(place - 0.5, color=GRID, linewidth=0.8)
        for energy in energies:
            place += 1
            labels.append((place, textwrap.fill(energy.name, _LABEL)))
            told.append(f"{title}, {energy.name}: {_energy_row(axes, energy, place, colour)}")
        place += 1
    axes.set_xscale("log")
    known = [
        x
        for _, energies, _ in groups
        for e in energies
        for x in (e.joules_low, e.joules, e.joules_high)
        if x
    ] or [1.0]
    axes.set_xlim(min(known) / 3, max(known) * max(30.0, max(known) / min(known)))
    axes.xaxis.set_major_locator(LogLocator(10, numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _tick(x)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks([y for y, _ in labels], [text for _, text in labels])
    headings = {title.upper() for title, _, _ in groups}
    for tick in axes.get_yticklabels():
        tick.set_fontsize(8)
        if tick.get_text() in headings:
            tick.set_color(SOFT)
    axes.set_ylim(place - 0.4, -0.6)
    axes.set_xlabel("energy per inference (log axis); bars: published interval")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    return figure, "Energy per inference by device", "; ".join(told)


def _energy_row(axes: Axes, energy: Energy, place: int, colour: str) -> str:
    """Draw one device; returns the text beside it."""
    word = "estimate" if energy.estimate else "measured"
    if energy.inherited:
        word += ", inherited"
    if energy.joules is None:
        axes.text(0.01, place, "no published figure", transform=axes.get_yaxis_transform(),
                  va="center", fontsize=9, color=SOFT)  # fmt: skip
        return "no published figure"
    published = energy.interval == "published"
    bounds = "" if published or not energy.estimate else ", interval unpublished"
    right = energy.joules
    if published and energy.joules_low is not None and energy.joules_high is not None:
        right = energy.joules_high
        axes.plot([energy.joules_low, right], [place, place], color=colour, linewidth=2.2,
                  marker="|", markersize=9, markeredgewidth=2.2)  # fmt: skip
    fill = colour if published or not energy.estimate else "white"
    axes.plot(energy.joules, place, "o", color=colour, markerfacecolor=fill, markersize=7,
              markeredgewidth=1.8)  # fmt: skip
    text = f"{si(energy.joules, 'J')} ({word}{bounds})"
    axes.annotate(text, (right, place), xytext=(9, 0), textcoords="offset points", va="center",
                  fontsize=8.5)  # fmt: skip
    return text


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure without pyplot, so no global state and no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _coloured(groups: dict[str, T]) -> Iterator[tuple[T, str]]:
    """Each group with its colour, in order of appearance."""
    for place, group in enumerate(groups.values()):
        yield group, _MODALITY_COLOURS[place % len(_MODALITY_COLOURS)]


def _chosen(neurons: int) -> list[int]:
    """Which neurons are drawn: all, or `MAX_NEURONS` spread evenly.

    >>> _chosen(3), len(_chosen(1000)), _chosen(1000)[:3]
    ([0, 1, 2], 64, [0, 15, 31])
    """
    if neurons <= MAX_NEURONS:
        return list(range(neurons))
    return [k * neurons // MAX_NEURONS for k in range(MAX_NEURONS)]


def _spread(values: Sequence[float], gap: float) -> list[float]:
    """Label positions near `values`, at least `gap` apart.

    >>> _spread([10.0, 10.5, 20.0], 2.0)
    [9.25, 11.25, 20.0]
    """
    order = sorted(range(len(values)), key=lambda k: values[k])
    placed = list(values)
    for _ in range(50):  # pushes neighbours apart; a handful of labels settles in a few rounds
        for low, high in pairwise(order):
            missing = gap - (placed[high] - placed[low])
            if missing > 1e-9:
                placed[low] -= missing / 2
                placed[high] += missing / 2
    return placed


def _span(series: Sequence[tuple[str, list[float], str, str]]) -> float:
    """Height of the axis of the deployment plot."""
    return max(max(values) for _, values, _, _ in series) or 1.0


def _wrap(text: str) -> str:
    """A step name on two lines where it is long."""
    words = text.split()
    if len(text) <= 12 or len(words) < 2:
        return text
    half = (len(words) + 1) // 2
    return " ".join(words[:half]) + "\n" + " ".join(words[half:])


def _tick(joules: float) -> str:
    """1e-6 as '1 µJ'."""
    return re.sub(r"\.0+ ", " ", si(joules, "J"))
