"""`neurozsl simulate FILE.nir --event-driven`: what the order of events changes on Speck."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, say_each, show_table
from neurozsl.cli.label_options import LabelOptions
from neurozsl.cli.network_options import Chip, FileOptions, InputOptions, Samples
from neurozsl.cli.simulate_bundle import SimulateOptions
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command, words

if TYPE_CHECKING:
    from neurozsl.export.network.network_run import Fed
    from neurozsl.export.network.order import InOrder, OrderOfEvents
    from neurozsl.hardware.speck.program import SpeckProgram

CHIP: Final = "speck2f"


def simulate_order(
    file: Path,
    *,
    event_driven: Annotated[
        bool,
        typer.Option(
            "--event-driven",
            help="Of Speck, which has no clock: run every event by itself, beside the steps.",
        ),
    ] = False,
    events: Annotated[
        Path | None,
        typer.Option(
            help="Recordings that a run's data were made of: their own order of events; default a "
            "random one, --seed."
        ),
    ] = None,
    asked: SimulateOptions,
    inputs: InputOptions,
    labels: LabelOptions,
    samples: Samples = None,
    chip: Chip = None,
    about: FileOptions,
) -> None:
    """Run both readings of the chip on the same events, and print where they differ.

    Raises:
        BadInput: not Speck, a network that it cannot run, events that are not those of the input.
        DoesNotFit: a network that is too large for it.
    """
    from neurozsl.export.network import network_run
    from neurozsl.export.network.order import compare_orders

    assert event_driven  # what makes it this command
    _check(asked, inputs, labels, chip, events)
    labels.check(inputs.input)
    # A seed beside a file is that of the order.
    source = replace(inputs, seed=None if inputs.input is not None else inputs.seed)
    fed = network_run.feed(file, about.said(), source.source(samples, asked.limit))
    program = _program(fed)
    task = labels.task(fed, inputs.input)
    found = []
    for given in _in_order(file, fed, program, about.dt, inputs.seed or 0, events):
        with progress_bar("simulating event by event") as update:
            found.append(
                compare_orders(
                    program,
                    fed.network.lowered,
                    fed.given.chip_input,
                    given,
                    task=task,
                    progress=update,
                )
            )
    documents = [as_document(each, file, fed) for each in found]
    if asked.as_json:
        every = {} if len(found) == 1 else {"every_event": documents[1]}
        emit_json({**documents[0], **every})
        return
    for each, document in zip(found, documents, strict=True):
        _show(each, file)
        say_each(note=document["notes"])
    again = about.words() + replace(inputs, seed=source.seed).words(samples) + labels.words()
    next_commands(command("simulate", file, again + words({"chip": CHIP, "backend": "emulator"})))


def as_document(found: OrderOfEvents, file: Path, fed: Fed) -> dict[str, Any]:
    """What `--json` prints."""
    plain = asdict(found)
    for row, layer in zip(plain["layers"], found.layers, strict=True):
        row |= {"ratio": layer.ratio, "over": layer.is_over}
    notes = [*fed.given.notes, *found.notes, *_told(found)]
    return {"file": str(file), **plain, "notes": notes}


def _check(
    asked: SimulateOptions,
    inputs: InputOptions,
    labels: LabelOptions,
    chip: str | None,
    events: Path | None,
) -> None:
    """Refuse what belongs to a run in steps."""
    from neurozsl.export.targets.names import chip_called

    if chip is not None and chip_called(chip) != CHIP:
        raise BadInput(
            f"--event-driven --chip {chip}: this chip computes in steps, {CHIP} alone has no "
            "clock; leave --event-driven out"
        )
    beside = {"--backend": asked.backend, "--raster": asked.raster}
    beside["--max-acc-drop"] = labels.max_acc_drop is not None
    for name, value in beside.items():
        if value:
            raise BadInput(
                f"{name}: belongs to a run in steps; leave it out, or leave --event-driven out"
            )
    if events is not None and (inputs.seed is not None or inputs.input is None):
        seed = f"--seed {inputs.seed}" if inputs.seed is not None else "no --input"
        raise BadInput(
            f"--events {events} and {seed}: recordings say the order of the events of a run's test "
            "samples; give the run, without a seed"
        )


def _program(fed: Fed) -> SpeckProgram:
    """The integers of Speck."""
    from neurozsl.hardware.speck.quantize import quantize_speck

    return quantize_speck(fed.network.lowered, CHIP)


def _in_order(
    file: Path, fed: Fed, program: SpeckProgram, dt_s: float | None, seed: int, events: Path | None
) -> tuple[InOrder, ...]:
    """The events of the input at random, or as recorded and with those that codes leave out."""
    from neurozsl.export.network.order import InOrder
    from neurozsl.hardware.speck.event_driven import random_order
    from neurozsl.runs.kind import NETWORK, is_classifier

    chip_input = fed.given.chip_input
    is_run = file.name == NETWORK and is_classifier(file.parent)
    if events is None:
        step_s = None if not is_run or dt_s is not None else _step_of_run(file.parent)
        lengths = np.full(chip_input.batch, program.dt_s if step_s is None else step_s)
        order = f"random inside each step, seed {seed}: frames do not say it"
        if step_s is None and dt_s is None:
            order += f"; the network is read with steps of {program.dt_s:g} s, --dt says another"
        return (InOrder(random_order(program, chip_input, seed), order, lengths),)
    from neurozsl.classifier.recorded_order import recorded_order

    if not is_run:
        raise BadInput(
            f"--events {events}: recordings of a run, and {file} belongs to none; give the run "
            "(`neurozsl train --network`), or leave it out"
        )
    with progress_bar("reading recordings") as update:
        return recorded_order(file.parent, events, chip_input.batch, progress=update)


def _step_of_run(run: Path) -> float | None:
    """Seconds of a step of the run's data; None where recordings differ or are not there."""
    from neurozsl.classifier.settings import read_settings
    from neurozsl.data.events.recordings.stored import load_event_set
    from neurozsl.runs.settings import data_folder

    try:
        return load_event_set(data_folder(run, read_settings(run))).step_s
    except BadInput:  # the data are elsewhere; the run itself is enough
        return None


def _show(found: OrderOfEvents, file: Path) -> None:
    """Spikes and rates per layer, then the accuracies."""
    order = found.order.partition(": ")[0]
    show_table(
        f"{file} on {found.chip}, step by step and event by event: {found.samples} samples of "
        f"{found.steps} steps, {found.events:,} events ({order}), {found.seconds[0]:.2f} s and "
        f"{found.seconds[1]:.2f} s",
        (
            "layer",
            "neurons",
            "spikes in steps",
            "by event",
            "ratio",
            "equal",
            "neurons that differ",
        ),
        [
            (
                x.name,
                f"{x.neurons:,}",
                f"{x.clocked:,}",
                f"{x.event_driven:,}",
                "-" if x.ratio is None else f"{x.ratio:.3f}",
                f"{100 * x.equal:.2f} %",
                f"{x.differing:,}",
            )
            for x in found.layers
        ],
    )
    show_table(
        f"into each core per second, event by event, at {found.step_s:g} s a step (mean, and the "
        "fullest step)",
        ("layer", "core", "events", "peak", "SynOps", "peak", "published limit", "fits"),
        [
            (
                x.name,
                "-" if x.core is None else str(x.core),
                f"{x.events_per_s:.3g}",
                f"{x.events_per_s_peak:.3g}",
                f"{x.operations_per_s:.3g}",
                f"{x.operations_per_s_peak:.3g}",
                "-" if x.limit_per_s is None else f"{x.limit_per_s:.3g} SynOps",
                "-" if x.limit_per_s is None else "no" if x.is_over else "yes",
            )
            for x in found.layers
        ],
    )
    if found.clocked is not None:
        say(f"accuracy step by step ({found.readout}): {found.clocked}")
        say(f"accuracy event by event: {found.event_driven}")
        say(f"drop: {found.drop}; same class for {found.same_class} of {found.samples} samples")


def _told(found: OrderOfEvents) -> list[str]:
    """What the figures rest on."""
    told = [f"order of the events: {found.order}"]
    if found.left_out:
        told.append(
            f"{found.left_out:,} further events of the recordings are not in the codes, which hold "
            "the first of a cell in a step; a sensor joined to the chip sends all"
        )
    told.append(
        "published are the synaptic operations a core does per second, not the events that it "
        "takes; inside a step events may come closer than its mean"
    )
    silent = [x.name for x in found.layers if not (x.clocked or x.event_driven)]
    if silent:
        told.append(
            f"layers {', '.join(silent)} send no spike in either reading: equal counts of nothing "
            "say nothing; train for longer, or with another --lr"
        )
    if found.drop is not None and found.drop.low > 0:
        told.append(
            "the network relies on its steps, and this chip has none: `train --network ... "
            "--without-clock` trains for events in whatever order they come"
        )
    over = [x.name for x in found.layers if x.is_over]
    if over:
        told.append(
            f"layers {', '.join(over)} ask for more than their core does: the chip stalls or drops "
            "events there, which neither reading has; make the step longer, or the layer smaller"
        )
    if found.clipped:
        told.append(f"{found.clipped:,} states were clipped event by event")
    return told
