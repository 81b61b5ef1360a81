"""Counts of one execution -> everything that a report says of activity and energy.

In: what ran, what went in, what came out. Out: `Costs`, the parts that a report of a run and one of
a network have in common. Energies are joules of one inference.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from neurozsl.export.manifest import Operations
from neurozsl.hardware.chip import Chip
from neurozsl.hardware.counts import Counts, LayerCounts, count
from neurozsl.hardware.energy import DEFAULT_CHIPS, EnergyRow, estimate, estimate_all
from neurozsl.hardware.lower import Lowered
from neurozsl.hardware.speck.program import AnyProgram
from neurozsl.report import schema
from neurozsl.report.rows import dense_baseline, layer_rows, spiking_energy
from neurozsl.signals import ChipInput, Trace

STEP_DEVICE: Final = "loihi1"
"""Whose figures price a step of the deployment: per-operation figures of its own, all published."""


@dataclass(frozen=True)
class Costs:
    """Fields of `Report`, by their names there, and the counts behind them."""

    counts: Counts
    layers: tuple[schema.Layer, ...]
    energy: tuple[schema.Energy, ...]
    baseline: schema.Baseline


def costs(
    network: AnyProgram | Lowered,
    chip_input: ChipInput,
    trace: Trace,
    *,
    readouts: Collection[str] = (),
    devices: Sequence[Chip] = (),
    step_s: float | None = None,
) -> Costs:
    """Count a run and price it on every device.

    Args:
        network: what ran; its weights are counted.
        chip_input: codes `(sample, time, channel)`.
        trace: spikes of the same samples.
        readouts: layers without spikes.
        devices: chips of the user, beside the registered ones.
        step_s: length of a step in seconds, for static power; None: each chip's own.
    """
    counts = count(network, chip_input, trace)
    rows = priced(counts, devices, step_s)
    return Costs(
        counts=counts,
        layers=layer_rows(counts, trace, readouts=readouts),
        energy=spiking_energy(rows),
        baseline=dense_baseline(counts, rows),
    )


def priced(
    counts: Counts, devices: Sequence[Chip] = (), step_s: float | None = None
) -> tuple[EnergyRow, ...]:
    """One row per device and method; step_s: length of a step where it is not the chip's own."""
    paces = None if step_s is None else dict.fromkeys(DEFAULT_CHIPS, step_s)
    own = tuple(
        estimate(counts, chip, step_s=step_s, method=method)
        for chip in devices
        for method in chip.energy_methods
    )
    return (*estimate_all(counts, step_s=paces), *own)


def step_energy(operations: Operations, steps: int) -> EnergyRow:
    """Dynamic energy and latency of a step of the deployment, from the sums over its layers."""
    whole = LayerCounts(
        name="all layers",
        source="",
        fan_in=0,
        neurons=0,
        parameters=0,
        nonzero_weights=0,
        steps=steps,
        spikes=operations.spikes,
        spike_rate=0.0,
        input_events=0.0,
        effective_acs=operations.synops,
        effective_macs=0.0,
        dense=0.0,
        synops_weighted=0.0,
        active_updates=operations.active_updates,
        inactive_updates=operations.inactive_updates,
        leaky=True,
        conv_synops=operations.conv_synops,
    )
    return estimate(Counts((whole,), 1, steps), STEP_DEVICE)
