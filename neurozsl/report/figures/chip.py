"""Figure of a placement: how full every core is, one panel per resource that has a limit."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurozsl.core.quantities import share
from neurozsl.hardware.place.placement import PlacedPart, Placement
from neurozsl.report.figures.drawing import GRID, HUES, WIDTH, Drawn, legend, short

_NAMED = 48  # layers are written under the cores while there is room


def has_limits(placement: Placement) -> bool:
    """Whether any resource has a published limit: without one no share can be drawn."""
    return any(use.limit for part in placement.parts for use in part.use.values())


def cores(placement: Placement) -> Drawn:
    """One bar per core and resource, up to its limit; parts of layers on a core are added up."""
    limited = {key for part in placement.parts for key, use in part.use.items() if use.limit}
    resources = [key for key in placement.totals if key in limited]
    places = {core: k for k, core in enumerate(sorted({x.core for x in placement.parts}))}
    layers = list(dict.fromkeys(x.layer for x in placement.parts))
    made = Figure(figsize=(WIDTH, 0.75 + 0.72 * len(resources)), layout="constrained")
    panels = made.subplots(len(resources), 1, sharex=True, squeeze=False)
    told = []
    for row, key in enumerate(resources):
        axes = panels[row][0]
        fullest = _bars(axes, placement.parts, key, places, layers)
        told.append(f"{key.replace('_', ' ')}: fullest core {share(fullest)}")
        axes.set_title(
            f"{key.replace('_bits', ' memory').replace('_', ' ')}  (fullest core {share(fullest)})",
            fontsize=9,
        )
    last = panels[-1][0]
    last.set_xlim(-0.6, len(places) - 0.4)
    every = max(1, -(-len(places) // 32))
    cores_named = [str(core) for core in places][::every]
    last.set_xticks(range(0, len(places), every), cores_named, fontsize=8)
    last.set_xlabel("core")
    if len(layers) <= 12 and len(places) <= _NAMED:
        _legend(made, layers)
    title = f"Use of the cores: {placement.cores_used} of {placement.cores} on {placement.name}"
    return made, title, "; ".join(told)


def _bars(
    axes: Axes, parts: tuple[PlacedPart, ...], key: str, places: dict[int, int], layers: list[str]
) -> float:
    """Draw one resource; returns how full its fullest core is, 0..1."""
    filled = dict.fromkeys(places, 0.0)
    for part in parts:
        use = part.use.get(key)
        if use is None or not use.limit:
            continue
        style = {"bottom": 100 * filled[part.core], **_shade(layers.index(part.layer))}
        axes.bar(places[part.core], 100 * use.used / use.limit, 0.82, **style, linewidth=0)
        filled[part.core] += use.used / use.limit
    axes.axhline(100, color=GRID, linewidth=1)
    axes.set_ylim(0, max(104.0, 104 * max(filled.values())))
    axes.set_yticks([0, 50, 100], ["0", "50", "100 %"], fontsize=8)
    axes.tick_params(axis="x", length=0)
    return max(filled.values())


def _shade(place: int) -> dict[str, Any]:
    """Colour of a layer; paler where the colours come round again."""
    round_, hue = divmod(place, len(HUES))
    return {"color": HUES[hue], "alpha": 0.85 if round_ % 2 == 0 else 0.45}


def _legend(made: Figure, layers: list[str]) -> None:
    handles = [made.axes[0].bar(0, 0, **_shade(k))[0] for k in range(len(layers))]
    style = {"loc": "outside upper left", "fontsize": 8, "handlelength": 1, "handleheight": 1}
    legend(made, handles, [short(x, 24) for x in layers], ncols=min(6, len(layers)), **style)
