"""Counts and energy estimates as rows of a report: those of a run and those of a network."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from neurozsl.hardware.chip import load_chip
from neurozsl.hardware.counts import Counts
from neurozsl.hardware.energy import EnergyRow
from neurozsl.report import schema
from neurozsl.signals import Trace

_NEGLIGIBLE: Final = 0.01  # a static share below this gets a note instead of a row of its own


def layer_rows(
    counts: Counts, trace: Trace, *, readouts: Collection[str] = ()
) -> tuple[schema.Layer, ...]:
    """One row per layer: what it did in one inference, and in the whole run where that is said.

    readouts: layers without spikes; none of their neurons is called dead.
    """
    rows = []
    for layer in counts.layers:
        spikes = trace.spikes[layer.name]
        silent = int(np.count_nonzero(~spikes.any(axis=(0, 1))))
        rows.append(
            schema.Layer(
                name=layer.name,
                modality=layer.name.rpartition(".")[0],
                inputs=layer.fan_in,
                neurons=layer.neurons,
                parameters=layer.parameters,
                spike_rate=layer.spike_rate,
                spikes=layer.spikes,
                synops=layer.synops,
                effective_macs=layer.effective_macs,
                effective_acs=layer.effective_acs,
                dense=layer.dense,
                neuron_updates=layer.neuron_updates,
                dead_neurons=0 if layer.name in readouts else silent,
                overflow=trace.overflow.get(layer.name, 0),
                saturation=trace.saturation.get(layer.name, 0),
            )
        )
    return tuple(rows)


def spiking_energy(rows: tuple[EnergyRow, ...]) -> tuple[schema.Energy, ...]:
    """All rows but the dense pass, which is the comparison."""
    return tuple(e for row in rows if row.method != "dense_pass" for e in energy_rows(row))


def energy_rows(row: EnergyRow) -> tuple[schema.Energy, ...]:
    """One row for the dynamic energy, and one with static power where that is published."""
    notes = [f"latency: {row.latency_note}", *row.warnings]
    if row.lower_bound:
        notes.append("a lower bound: see what is excluded")
    several = len(load_chip(row.device).energy_methods) > 1
    device = f"{row.device}/{row.method}" if several else row.device
    terms = {t.name: t.joules for t in row.terms}
    static_note: tuple[str, ...] = ()
    if row.static_joules:
        static_note = (f"static power: {row.static_joules:.3g} J over {row.latency_s:.3g} s",)
    dynamic = schema.Energy(
        device=device,
        name=f"{row.name}, {row.method.replace('_', ' ')}" if several else row.name,
        joules_low=row.joules_low,
        joules=row.joules,
        joules_high=row.joules_high,
        interval=row.interval,
        latency_s=row.latency_s,
        source=row.source,
        inherited=row.inherited,
        scope=row.scope,
        terms=terms,
        included=tuple(i for i in row.included if not i.startswith("static")),
        excluded=(*row.excluded, *static_note),
        note="; ".join(n for n in notes if n),
    )
    if not row.static_joules or row.static_joules < _NEGLIGIBLE * row.joules:
        return (dynamic,)
    static = load_chip(row.device).power["static_chip"]
    bounds = (row.joules_low, row.static_joules_low, row.joules_high, row.static_joules_high)
    published = None not in bounds
    low, static_low, high, static_high = (b or 0.0 for b in bounds)
    whole = dynamic.model_copy(
        update={
            "device": f"{device}/with-static",
            "name": f"{dynamic.name}, with static power",
            "joules_low": low + static_low if published else None,
            "joules": row.joules + row.static_joules,
            "joules_high": high + static_high if published else None,
            "interval": "published" if published else "unpublished",
            "source": f"{row.source} | static {static.value:.4g} W [{static.source}]",
            "terms": {**terms, "static power x latency": row.static_joules},
            "included": (*dynamic.included, "static power of the whole chip x latency"),
            "excluded": row.excluded,
        }
    )
    return (dynamic, whole)


def dense_baseline(counts: Counts, rows: tuple[EnergyRow, ...]) -> schema.Baseline:
    """The same layers as an artificial network: one dense pass per inference."""
    return schema.Baseline(
        name="the same layers as an MLP, one pass",
        description=(
            "every weight multiplied once per inference on time-averaged inputs; arithmetic only"
        ),
        macs=counts.total("dense") / max(counts.steps, 1),
        energy=tuple(e for row in rows if row.method == "dense_pass" for e in energy_rows(row)),
    )
