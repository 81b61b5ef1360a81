"""Figure of the joint space: test samples and class vectors in the plane."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from neurozsl.core.quantities import share
from neurozsl.report.figures.drawing import BLUE, INK, ORANGE, PAGE, Drawn, figure, label, short
from neurozsl.report.schema import EmbeddedClass, EmbeddedSample, Embedding

_LETTER = (0.0105, 0.028)  # width and height of a letter, as shares of the axes
_NAME = 22  # letters


def embedding(found: Embedding) -> Drawn:
    """Samples as dots (open: called another class), class vectors as crosses with their names."""
    made, axes = figure(5.0)
    handles: list[Line2D] = []

    def mark(points: Sequence[EmbeddedSample | EmbeddedClass], marker: str, **style: Any) -> None:
        lines = axes.plot([x.x for x in points], [x.y for x in points], marker, **style)
        handles.extend(lines if points else ())

    for role, colour, marker in (("seen", BLUE, "s"), ("unseen", ORANGE, "o")):
        of_role = [x for x in found.samples if found.classes[x.true].role == role]
        for word, hit, fill in (("recognised", True, colour), ("missed", False, "none")):
            points = [x for x in of_role if (x.true == x.predicted) is hit]
            style = {"color": colour, "markerfacecolor": fill, "markeredgewidth": 0.8}
            mark(points, marker, markersize=4, alpha=0.6, label=f"{role}, {word}", **style)
    for role, marker, edge in (("seen", "x", 1.4), ("unseen", "P", 0.5)):
        vectors = [x for x in found.classes if x.role == role]
        style = {"color": INK, "markeredgewidth": edge, "zorder": 4}  # above the names
        mark(vectors, marker, markersize=7, label=f"class vector, {role}", **style)
    axes.margins(0.08)
    _write_names(axes, sorted(found.classes, key=lambda x: x.role, reverse=True))
    made.legend(
        handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8.5,
        columnspacing=1.4, handletextpad=0.3,
    )  # fmt: skip
    for letter, axis, part in zip("xy", (axes.xaxis, axes.yaxis), found.explained, strict=True):
        axis.set_label_text(f"{letter}: {share(part)} of the variance of the class vectors")
        axis.set_ticks([])
    right = sum(x.true == x.predicted for x in found.samples)
    told = (
        f"{len(found.classes)} class vectors and {len(found.samples)} of {found.total} samples, "
        f"{right} of them recognised; the two directions hold {share(sum(found.explained))} of the "
        "variance of the class vectors"
    )
    return made, "Samples and class vectors in the joint space, flattened", told


def _write_names(axes: Axes, classes: Sequence[EmbeddedClass]) -> None:
    """Names beside the class vectors, unseen first; one that would cover another is left out."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    taken: list[tuple[float, float, float]] = []  # left, right, height: of what is written
    for x in classes:
        text = short(x.name, _NAME)
        level = (x.y - low) / (high - low)
        size = _LETTER[0] * len(text) + 0.01
        place = (x.x - left) / (right - left)
        for side, start in (("left", place + 0.012), ("right", place - 0.012 - size)):
            end = start + size
            free = all(b < start or end < a or abs(level - y) > _LETTER[1] for a, b, y in taken)
            if free and start > 0 and end < 1:
                taken.append((start, end, level))
                style = {"ha": side, "va": "baseline", "fontsize": 8}
                style |= {"fontweight": "bold" if x.role == "unseen" else "normal"}
                # Samples behind a name would make it illegible.
                box = {"facecolor": PAGE, "edgecolor": "none", "alpha": 0.75, "pad": 0.4}
                shift = 6 if side == "left" else -6
                label(axes, text, (x.x, x.y), (shift, 4), bbox=box, **style)
                break
