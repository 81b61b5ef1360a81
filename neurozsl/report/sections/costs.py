"""Counts of one execution -> everything that a report says of activity and energy.

In: what ran, what went in, what came out. Out: `Costs`, what a report of a run and one of a network
have in common. Energies are joules of one inference. Messages are those between the cores
of the first chip that the network fits (Loihi 1, else Loihi 2); hops need a mesh, which is
published for Loihi 1 alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.export.bundle.manifest import Operations
from neurozsl.export.bundle.operations import MESH_CHIP, operations_of
from neurozsl.export.network.inspection import CHIPS
from neurozsl.hardware.arithmetic.fit import ChipFit, fit
from neurozsl.hardware.chips import CHIPS as REGISTERED
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.count.activity import LayerActivity, count_with_activity
from neurozsl.hardware.count.counts import Counts, LayerCounts
from neurozsl.hardware.count.savings import Savings, savings
from neurozsl.hardware.count.traffic import Traffic, traffic_on
from neurozsl.hardware.energy import DEFAULT_CHIPS, EnergyRow, estimate, estimate_all
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.neurobench import NeuroBench, neurobench
from neurozsl.hardware.place.placement import placement
from neurozsl.report.schema import Fit, Layer

STEP_DEVICE: Final = MESH_CHIP
"""Whose figures price a step of the deployment: per-operation figures of its own, all published."""


@dataclass(frozen=True)
class Devices:
    """What is priced: the registered tables and a user's own chips, and their pace.

    step_s: length of a step in seconds; None: each chip's own. window_s: how long the input of one
    inference lasts, for chips without steps.
    """

    own: tuple[Chip, ...] = ()
    step_s: float | None = None
    window_s: float | None = None

    @property
    def chips(self) -> tuple[str | Chip, ...]:
        """All of them.

        Raises:
            BadInput: a chip is priced already, has the key or name of another one, or no energy
                figures.
        """
        keys, names = set[str](), {load_chip(key).name: key for key in DEFAULT_CHIPS}
        for chip in self.own:
            if chip.key in DEFAULT_CHIPS:
                raise BadInput(
                    f"--device '{chip.key}': is priced in every report already; leave it out"
                )
            if chip.key in keys:
                raise BadInput(
                    f"--device '{chip.key}': 2 devices of this name, 1 is allowed since tables "
                    "could not tell them apart; rename one of the files"
                )
            if chip.name in names:
                raise BadInput(
                    f"--device '{chip.key}': its name '{chip.name}' is that of "
                    f"'{names[chip.name]}', and tables could not tell them apart; write another "
                    "name = in the file"
                )
            keys.add(chip.key)
            names[chip.name] = chip.key
            if not chip.energy_methods and chip.key in REGISTERED:
                raise BadInput(
                    f"--device '{chip.key}': {chip.name} has 0 published energies per operation, 1 "
                    "is needed for a row; leave it out, or give figures of your own as a .toml file"
                )
            if not chip.energy_methods:
                raise BadInput(
                    f"--device '{chip.key}': 0 energy_methods, 1 is needed for a row; add "
                    'energy_methods = ["per_term"] and the figures in [energy]'
                )
        return (*DEFAULT_CHIPS, *self.own)

    @property
    def paces(self) -> dict[str, float]:
        """Length of a step per chip, where one was given."""
        keys = [chip if isinstance(chip, str) else chip.key for chip in self.chips]
        return {} if self.step_s is None else dict.fromkeys(keys, self.step_s)


@dataclass(frozen=True)
class Costs:
    """What was counted, and what that costs on every device.

    rows: of all cost tables, spiking and dense. Without a run (`expected`) there are neither
    activity, placement nor savings.
    """

    counts: Counts
    devices: Devices
    rows: tuple[EnergyRow, ...]
    layers: tuple[Layer, ...]
    activity: tuple[LayerActivity, ...] = ()
    neurobench: NeuroBench | None = None
    fits: tuple[Fit, ...] = ()
    operations: Operations | None = None
    savings: Savings | None = None


def costs(
    network: ChipProgram | Lowered,
    lowered: Lowered,
    chip_input: ChipInput,
    trace: Trace,
    *,
    readouts: Collection[str] = (),
    groups: Mapping[str, npt.ArrayLike] | None = None,
    devices: Devices | None = None,
    policy: str | None = None,
) -> Costs:
    """Count a run, place it and price it on every device.

    network: what ran; its weights are counted. lowered: its float layers, which are placed.
    chip_input: codes `(sample, time, channel)`; trace: spikes of the same samples. readouts: layers
    without spikes. groups: samples by role ("seen", "unseen"), for the activity of each. devices:
    what is priced; default the registered tables. policy: of the thresholds in the run; default
    that of the network.
    """
    devices = devices or Devices()
    counts, active = count_with_activity(network, chip_input, trace, groups)
    fits = fits_of(lowered)
    rows, sent = energies(network, chip_input, trace, counts, fits, devices)
    return Costs(
        counts=counts,
        devices=devices,
        rows=rows,
        layers=layer_rows(counts, trace, readouts=readouts, sent=next(iter(sent.values()), None)),
        activity=active,
        neurobench=neurobench(network, chip_input, trace, counts=counts),
        fits=tuple(map(_fit, fits.values())),
        operations=operations_of(counts, sent.get(STEP_DEVICE)),
        savings=savings(network, chip_input, trace, active, policy=policy),
    )


def fits_of(lowered: Lowered) -> dict[str, ChipFit]:
    """Whether and how a network fits each chip that is placed on."""
    return {chip: fit(lowered, chip) for chip in CHIPS}


def energies(
    network: ChipProgram | Lowered,
    chip_input: ChipInput,
    trace: Trace,
    counts: Counts,
    fits: Mapping[str, ChipFit],
    devices: Devices,
) -> tuple[tuple[EnergyRow, ...], dict[str, Traffic]]:
    """Joules of one inference on every device, and the messages of the chips that it fits."""
    sent = _sent(network, chip_input, trace, fits)
    return tuple(_marked(row, fits) for row in _priced(counts, devices, sent)), sent


def expected(counts: Counts, devices: Devices) -> Costs:
    """Costs of counts that nothing was run for."""
    layers = tuple(Layer(**vars(x)) for x in counts.layers)
    return Costs(counts, devices, _priced(counts, devices), layers)


def _priced(
    counts: Counts, devices: Devices, sent: Mapping[str, Traffic] | None = None
) -> tuple[EnergyRow, ...]:
    """Every device; sent: messages per chip that holds the network."""
    return estimate_all(
        counts, devices.chips, step_s=devices.paces, window_s=devices.window_s, traffic=sent
    )


def layer_rows(
    counts: Counts, trace: Trace, *, readouts: Collection[str] = (), sent: Traffic | None = None
) -> tuple[Layer, ...]:
    """One row per layer: what it did in one inference, and in the whole run where that is said.

    readouts: layers without spikes; none of their neurons is called dead. sent: from core to core.
    """
    messages = {} if sent is None else {x.layer: x for x in sent.layers}
    return tuple(
        Layer(
            **vars(x),
            messages=messages[x.name].messages if messages else None,
            hops=messages[x.name].hops if messages else None,
            dead_neurons=0
            if x.name in readouts
            else int(np.count_nonzero(~trace.spikes[x.name].any(axis=(0, 1)))),
            overflow=trace.overflow.get(x.name, 0),
            saturation=trace.saturation.get(x.name, 0),
        )
        for x in counts.layers
    )


def _marked(row: EnergyRow, fits: Mapping[str, ChipFit]) -> EnergyRow:
    """The row of a chip that cannot hold or run the network says so: it is priced all the same."""
    # A cost table stands for the chip of its family.
    chip = load_chip(row.device).family if row.device in REGISTERED else row.device
    placed = fits.get(chip)
    if placed is None or placed.mapping is not None:
        return row
    warning = f"the network does not fit {placed.name}: as-if figure"
    return replace(row, as_if=True, warnings=(*row.warnings, warning))


def _sent(
    network: ChipProgram | Lowered, chip_input: ChipInput, trace: Trace, fits: Mapping[str, ChipFit]
) -> dict[str, Traffic]:
    """Messages per chip that the network fits and that has figures for them."""
    found = {}
    for chip, placed in fits.items():
        sent = traffic_on(load_chip(chip), network, chip_input, trace, placed.mapping)
        if sent is not None:
            found[chip] = sent
    return found


def _fit(found: ChipFit) -> Fit:
    placed = None if found.mapping is None else placement(found.mapping)
    return Fit(
        chip=found.chip,
        name=found.name,
        cores=found.cores,
        reason=found.reason or None,
        placement=placed,
    )


def step_energy(operations: Operations, steps: int, step_s: float | None = None) -> EnergyRow:
    """Dynamic energy and latency of a step of the deployment, from the sums over its layers."""
    uncounted: dict[str, Any] = {field.name: 0 for field in fields(LayerCounts)}
    counted = {
        "spikes": operations.spikes,
        "effective_acs": operations.synops,
        "active_updates": operations.active_updates,
        "inactive_updates": operations.inactive_updates,
        "conv_synops": operations.conv_synops,
    }
    about = {"name": "all layers", "source": "", "steps": steps, "leaky": True}
    whole = LayerCounts(**{**uncounted, **about, **counted})
    sent = None if operations.messages is None else _Sent(operations)
    return estimate(Counts((whole,), 1, steps), STEP_DEVICE, step_s=step_s, traffic=sent)


class _Sent:
    """Messages and hops of operations, as an estimate asks for them."""

    def __init__(self, operations: Operations) -> None:
        self.messages = operations.messages
        self.hops_ew, self.hops_ns = operations.hops_ew, operations.hops_ns
        self.input_messages: float | None = None
