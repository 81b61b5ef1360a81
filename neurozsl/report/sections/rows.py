"""Counts and energy estimates as rows of a report: those of a run and those of a network."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from neurozsl.core.signals import Trace
from neurozsl.hardware.count.counts import Counts
from neurozsl.hardware.energy import EnergyRow
from neurozsl.report import schema


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
                synops_weighted=layer.synops_weighted,
                input_events=layer.input_events,
                neuron_updates=layer.neuron_updates,
                active_updates=layer.active_updates,
                inactive_updates=layer.inactive_updates,
                dead_neurons=0 if layer.name in readouts else silent,
                overflow=trace.overflow.get(layer.name, 0),
                saturation=trace.saturation.get(layer.name, 0),
            )
        )
    return tuple(rows)


def spiking_energy(rows: tuple[EnergyRow, ...]) -> tuple[schema.Energy, ...]:
    """All rows but the dense pass, which is the comparison."""
    return tuple(energy_row(row) for row in rows if row.method != "dense_pass")


def energy_row(row: EnergyRow) -> schema.Energy:
    """One device and method."""
    notes = [row.note, f"latency: {row.latency_note}"]
    if row.lower_bound:
        notes.append("a lower bound: see what is excluded")
    return schema.Energy(
        device=row.key,
        name=row.name,
        method=row.method,
        joules_low=row.joules_low,
        joules=row.joules,
        joules_high=row.joules_high,
        interval=row.interval,
        static_joules_low=row.static_joules_low,
        static_joules=row.static_joules,
        static_joules_high=row.static_joules_high,
        powered_s=row.powered_s,
        step_s=row.step_s,
        latency_s=row.latency_s,
        source=row.source,
        inherited=row.inherited,
        lower_bound=row.lower_bound,
        scope=row.scope,
        as_if=row.as_if,
        terms=tuple(schema.EnergyTerm(**vars(term)) for term in row.terms),
        included=row.included,
        excluded=row.excluded,
        unknown=row.unknown,
        warnings=row.warnings,
        note="; ".join(filter(None, notes)),
    )


def dense_baseline(counts: Counts, rows: tuple[EnergyRow, ...]) -> schema.Baseline:
    """The same layers as an artificial network: one dense pass per inference."""
    return schema.Baseline(
        name="the same layers without spikes, one pass",
        description=(
            "every weight multiplied once per inference on time-averaged inputs: at 45 nm "
            "arithmetic alone, on V100 and H100 the board at its peak rate (both lower bounds), on "
            "the others a published figure per operation"
        ),
        macs=counts.total("dense") / max(counts.steps, 1),
        energy=tuple(energy_row(row) for row in rows if row.method == "dense_pass"),
    )
