"""What all figures share: colours, an empty figure, names wrapped, labels that do not collide.

A figure function takes (part of) a report and returns the matplotlib figure, its title and one
sentence with its numbers for people who do not see it. Okabe-Ito hues, told apart by colour-blind
readers, and never the only distinction (markers, labels, panels).
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from neurozsl.core.quantities import si

INK, SOFT, GRID = "#1c2126", "#5b6570", "#d9dee3"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#a0478a"
PAGE = "#ffffff"
HUES = (BLUE, ORANGE, GREEN, PURPLE)
WIDTH = 7.2  # inches, of every figure
SMALL = 8.5  # points, of labels inside a figure

Drawn = tuple[Figure, str, str]
"""Figure, title, description."""

T = TypeVar("T")


def figure(height: float) -> tuple[Figure, Axes]:
    """A figure without pyplot, so no global state and no display."""
    made = Figure(figsize=(WIDTH, height), layout="constrained")
    return made, made.subplots()


def label(
    axes: Axes, text: str, at: tuple[float, float], shift: tuple[float, float], **style: Any
) -> None:
    """Text beside a point; shift: points to the right and up."""
    axes.annotate(text, at, xytext=shift, textcoords="offset points", **{"va": "center", **style})


def legend(made: Figure, handles: Iterable[Any], names: Iterable[str], **style: Any) -> None:
    """A legend above the axes, on the right unless `loc` says otherwise."""
    style = {"loc": "outside upper right", "frameon": False, "fontsize": 9, **style}
    made.legend(list(handles), list(names), **style)


def as_matrix(axes: Axes, across: float, down: float) -> None:
    """Axes of cells of size 1: the first row above, titles of the columns above it, no frame."""
    axes.set_xlim(0, across)
    axes.set_ylim(down, 0)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)


def coloured(groups: dict[str, T]) -> Iterator[tuple[T, str]]:
    """Each group with its colour, in order of appearance."""
    for place, group in enumerate(groups.values()):
        yield group, HUES[place % len(HUES)]


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Label positions near `values`, at least `gap` apart.

    >>> spread([10.0, 10.5, 20.0], 2.0)
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


def wrap(text: str, width: int, lines: int = 2) -> str:
    r"""A name on at most `lines` lines; the rest of a longer one is left out with dots.

    >>> wrap("a very long name of a device", 12)
    'a very long\nname of a …'
    """
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder=" …"))


def short(text: str, width: int) -> str:
    """A name on one line, its end left out where it is longer than `width` characters.

    >>> short("a very long name", 8)
    'a very …'
    """
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1].rstrip() + " …"


def tick(value: float, unit: str = "J") -> str:
    """1e-6 as '1 µJ'."""
    return re.sub(r"\.0+ ", " ", si(value, unit))


def blocks(axes: Axes, cells: Iterable[tuple[float, float, float, float]], colour: str,
           alpha: float) -> None:  # fmt: skip
    """Filled rectangles (x, y, width, height) as one path: a tenth of the size of single ones."""
    corners: list[tuple[float, float]] = []
    for x, y, width, height in cells:
        corners += [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]
    if not corners:
        return
    once = [Outline.MOVETO, *[Outline.LINETO] * 3, Outline.CLOSEPOLY]
    codes = np.tile(np.array(once, dtype=np.uint8), len(corners) // 5)
    axes.add_patch(PathPatch(Outline(corners, codes), facecolor=colour, alpha=alpha, linewidth=0))
