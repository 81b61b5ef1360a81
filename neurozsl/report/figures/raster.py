"""Raster of one clip: the codes that come in, above the spikes of every layer.

All dashes of a panel are one path: about 25 bytes a spike in SVG instead of 105 for a marker.
"""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurozsl.report.figures.drawing import INK, SOFT, WIDTH, Drawn, coloured, short
from neurozsl.report.schema import Raster, RasterInput, RasterLayer, modality

MAX_NEURONS = 64
"""Neurons drawn per layer of the raster, evenly chosen."""


def raster(found: Raster) -> Drawn:
    """One column per modality: its inputs, then its layers; each dash is one spike in one step."""
    columns: dict[str, list[RasterInput | RasterLayer]] = {}
    for layer in found.layers:
        columns.setdefault(modality(layer), []).append(layer)
    # An input that feeds no modality of its own stands above the first column.
    first = next(iter(columns))
    for given in reversed(found.inputs):
        columns[given.name if given.name in columns else first].insert(0, given)
    rows = max(map(len, columns.values()))
    made = Figure(figsize=(WIDTH, 0.5 + 1.3 * rows), layout="constrained")
    grid = made.subplots(rows, len(columns), sharex=True, squeeze=False)
    for column, (panels, colour) in enumerate(coloured(columns)):
        for row in range(rows):
            axes = grid[row][column]
            if row >= len(panels):
                axes.set_axis_off()
                continue
            _panel(axes, panels[row], found.steps, colour)
            if row == len(panels) - 1:
                axes.set_xlabel("step")
                axes.tick_params(labelbottom=True)
    spikes = sum(len(x.spikes) for x in found.layers)
    events = sum(len(x.events) for x in found.inputs)
    told = f"{spikes} spikes of {len(found.layers)} layers over {found.steps} steps"
    if found.inputs:
        told = f"{events} input events; {told}"
    return made, "Spikes of one sample", told


def _panel(axes: Axes, panel: RasterInput | RasterLayer, steps: int, colour: str) -> None:
    """Rows are neurons, or channels of an input: codes above zero dark, below zero light."""
    if isinstance(panel, RasterInput):
        shown = _chosen(panel.channels)
        _dashes(axes, ((t, c) for t, c, code in panel.events if code > 0), shown, INK)
        _dashes(axes, ((t, c) for t, c, code in panel.events if code < 0), shown, SOFT, 0.8)
        title, size, unit = f"input {panel.name}", panel.channels, "channels"
    else:
        shown = _chosen(panel.neurons)
        _dashes(axes, panel.spikes, shown, colour)
        title, size, unit = panel.name, panel.neurons, "neurons"
    some = "" if len(shown) == size else f"{len(shown)} of "
    axes.set_title(f"{short(title, 36)}  ({some}{size} {unit})", fontsize=9)
    axes.set_xlim(0, steps)
    axes.set_ylim(-1, len(shown))
    axes.set_xticks(range(0, steps + 1, max(1, -(-steps // 10))))
    axes.set_yticks([])
    axes.grid(axis="x")


def _dashes(
    axes: Axes, spikes: Iterable[tuple[int, int]], shown: list[int], colour: str, width: float = 1.3
) -> None:
    row_of = {neuron: row for row, neuron in enumerate(shown)}
    xs: list[float] = []
    ys: list[float] = []
    for step, neuron in spikes:
        if neuron in row_of:
            xs += [step + 0.08, step + 0.92, float("nan")]
            ys += [row_of[neuron]] * 3
    axes.plot(xs, ys, color=colour, linewidth=width, solid_capstyle="butt")


def _chosen(neurons: int) -> list[int]:
    """Which neurons are drawn: all, or `MAX_NEURONS` spread evenly.

    >>> _chosen(3), len(_chosen(1000)), _chosen(1000)[:3]
    ([0, 1, 2], 64, [0, 15, 31])
    """
    drawn = min(neurons, MAX_NEURONS)
    return [k * neurons // drawn for k in range(drawn)]
