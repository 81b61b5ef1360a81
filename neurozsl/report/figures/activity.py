"""Figures of spiking: rate per layer, and over the steps, by seen and unseen classes."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurozsl.core.quantities import share
from neurozsl.hardware.count.activity import LayerActivity
from neurozsl.report.figures import drawing as d
from neurozsl.report.schema import Layer, modality

_GROUPS = {"seen": (d.BLUE, "s", "-"), "unseen": (d.ORANGE, "^", "--"), "all": (d.INK, "o", "-")}


def spike_rate(layers: Sequence[Layer], activity: Sequence[LayerActivity] = ()) -> d.Drawn:
    """One bar per layer, in the order of the network; marks for seen and unseen classes."""
    made, axes = d.figure(0.9 + 0.34 * len(layers))
    by_modality: dict[str, list[int]] = {}
    for place, layer in enumerate(layers):
        by_modality.setdefault(modality(layer), []).append(place)
    for places, colour in d.coloured(by_modality):
        rates = [100 * layers[p].spike_rate for p in places]
        axes.barh(places, rates, 0.66, color=colour, alpha=0.45)
    rows = {x.name: place for place, x in enumerate(layers)}
    furthest = [100 * x.spike_rate for x in layers]
    told = {x.name: [share(x.spike_rate)] for x in layers}
    for group in ("seen", "unseen"):
        found = [x for x in activity if x.group == group and x.layer in rows]
        if not found:
            continue
        _, marker, _ = _GROUPS[group]
        axes.plot(
            [100 * x.spike_rate for x in found],
            [rows[x.layer] for x in found],
            marker,
            color=d.INK,
            markerfacecolor=d.INK if group == "seen" else "white",
            markersize=5,
            label=f"{group} classes",
        )
        for x in found:
            furthest[rows[x.layer]] = max(furthest[rows[x.layer]], 100 * x.spike_rate)
            told[x.layer].append(f"{group} {share(x.spike_rate)}")
    for place, layer in enumerate(layers):
        dead = f", {layer.dead_neurons} silent" if layer.dead_neurons else ""
        text = f"{share(layer.spike_rate)}{dead}"
        d.label(axes, text, (furthest[place], place), (7, 0), fontsize=d.SMALL)
    if axes.get_legend_handles_labels()[1]:
        d.legend(made, *axes.get_legend_handles_labels(), ncols=2, handletextpad=0.2)
    axes.set_yticks(range(len(layers)), [d.wrap(x.name, 28) for x in layers])
    axes.set_xlim(0, max(max(furthest) * 1.25, 1e-6))
    axes.invert_yaxis()
    axes.set_xlabel("spike rate (spikes per neuron and step, percent)")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    text = "; ".join(f"{name}: {', '.join(rates)}" for name, rates in told.items())
    return made, "Spike rate per layer", text


def activity(rows: Sequence[LayerActivity], neurons: dict[str, int]) -> d.Drawn:
    """Spikes per neuron in every step, one panel per layer, all on one scale.

    neurons: of each layer, to turn spikes into a rate.
    """
    panels: dict[str, list[LayerActivity]] = {}
    for row in rows:
        panels.setdefault(row.layer, []).append(row)
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    made = Figure(figsize=(d.WIDTH, 0.55 + 1.25 * down), layout="constrained")
    grid = made.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    flat = list(grid.flat)
    told = []
    for axes, (name, groups) in zip(flat, panels.items(), strict=False):
        _over_steps(axes, groups, neurons.get(name, 1))
        axes.set_title(d.short(name, 28), fontsize=9)
        axes.tick_params(labelbottom=True)
        peak = max(groups, key=lambda x: x.group == "all")
        rates = [x / neurons.get(name, 1) for x in peak.spikes]
        told.append(f"{name}: {share(rates[0])} in the first step, {share(rates[-1])} in the last")
    for axes in flat[len(panels) :]:
        axes.set_axis_off()
    for axes in flat[max(0, len(panels) - across) : len(panels)]:
        axes.set_xlabel("step")
    flat[0].set_ylim(bottom=0)
    for line in grid:
        line[0].set_ylabel("percent")
    handles = {line.get_label(): line for line in flat[0].lines}
    if len(handles) > 1:
        d.legend(made, handles.values(), handles, ncols=3)
    return made, "Spike rate over the time steps", "; ".join(told)


def _over_steps(axes: Axes, groups: Sequence[LayerActivity], neurons: int) -> None:
    for row in sorted(groups, key=lambda x: list(_GROUPS).index(x.group)):
        colour, marker, style = _GROUPS[row.group]
        rates = [100 * x / neurons for x in row.spikes]
        label = f"{row.group} classes" if row.group != "all" else "all"
        alone = marker if len(rates) == 1 else ""
        width = 2.0 if row.group == "all" else 1.2
        axes.plot(rates, style, color=colour, marker=alone, linewidth=width, label=label)
    axes.grid(axis="y")
    axes.tick_params(length=0)
