"""`neurozsl data build --events DIR`, and the table of a set of recordings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.data_synth import Out
from neurozsl.cli.option_values import Hop, Json, Preset
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place
from neurozsl.core.shell import words

if TYPE_CHECKING:
    from neurozsl.data.events.recordings.event_set import EventSet

LISTED = 20  # files of a list for people


def build_events(
    *,
    events: Annotated[
        Path | None,
        typer.Option(
            help="Folder of recordings: AEDAT 4, EVT 2 and 3, npz, HDF5, ...; videos are filmed."
        ),
    ] = None,
    labels: Annotated[
        Path,
        typer.Option(
            help="CSV: file,label,role,embedding_name of clips; file,label,split of recordings."
        ),
    ],
    out: Out,
    bins: Annotated[int, typer.Option(help="Steps of a recording, of equal length.")] = 20,
    size: Annotated[
        str | None, typer.Option(help="Frames of WIDTHxHEIGHT px; default the sensor's.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Window from the first event on, s; default the whole recording."),
    ] = None,
    hop: Hop = None,
    form: Annotated[
        str, typer.Option(help="frames (event counts) or surfaces (time surfaces).")
    ] = "frames",
    clip: Annotated[int, typer.Option(help="Largest count of a cell, 1 to 255.")] = 255,
    tau_ms: Annotated[float, typer.Option(help="Time constant of surfaces, ms.")] = 50.0,
    sensor: Annotated[
        str | None,
        typer.Option(
            help="Sensor of WIDTHxHEIGHT px, for files that do not say it, and to film videos."
        ),
    ] = None,
    camera: Annotated[
        Preset, typer.Option(help="Noise of the pixels of the camera that films videos.")
    ] = "default",
    repair: Annotated[
        bool, typer.Option("--repair", help="Leave out wrong events, not the whole file.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse rows that would be left out.")
    ] = False,
    json_out: Json = False,
) -> None:
    """Build a data set from recordings of an event camera."""
    from neurozsl.data.events.camera import PRESETS
    from neurozsl.data.events.recordings.build import EventGrid, write_event_set

    assert events is not None  # what makes it this form
    check_place(out, "data set")
    grid = EventGrid(
        bins=bins,
        size=None if size is None else sides("--size", size),
        seconds=seconds,
        form=form,  # type: ignore[arg-type]  # checked there
        clip=clip,
        tau_ms=tau_ms,
        hop=hop,
    )
    with progress_bar("reading recordings") as step:
        data = write_event_set(
            events,
            labels,
            out,
            grid=grid,
            sensor=None if sensor is None else sides("--sensor", sensor),
            camera=PRESETS[camera],
            repair=repair,
            strict=strict,
            progress=step,
        )
    show_event_set(data, out, json_out)


def sides(name: str, text: str) -> tuple[int, int]:
    """Width and height.

    Raises:
        BadInput: it is not two whole numbers; it names the option `name`.

    >>> sides("--size", "34x20")
    (34, 20)
    """
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    if found is None:
        raise BadInput(f"{name} '{text}': expected WIDTHxHEIGHT, as 34x34")
    return int(found[1]), int(found[2])


def show_event_set(data: EventSet, folder: Path, json_out: bool) -> None:
    """Print splits, events and files that were left out, and the next command."""
    from neurozsl.data.events.recordings.summary import summarise

    summary = summarise(data)
    if json_out:
        emit_json(summary.to_json())
        return
    width, height = summary.size
    window = "whole recordings" if summary.seconds is None else f"{summary.seconds:g} s"
    samples = "recordings"
    if summary.hop is not None:
        samples = "windows"
        window = f"windows of {window}, one every {summary.hop:g} s"
    show_table(
        f"{summary.name}: {summary.form} of recordings, {summary.classes} classes, {summary.steps} "
        f"step(s) of 2x{width}x{height}, {window}",
        ("split", samples, "classes", "per class", "events", "per step", "clipped", "active"),
        [
            (
                part.name,
                str(part.recordings),
                str(part.classes),
                f"{part.fewest}-{part.most}",
                f"{part.events:,}",
                f"{part.events_per_step:.1f}",
                f"{part.clipped:.2%}",
                f"{part.active:.1%}",
            )
            for part in summary.splits
        ],
    )
    say(summary.caption)
    for title, listed in (("left out", summary.skipped), ("repaired", summary.repaired)):
        if listed:
            say(f"{title}: {len(listed)} file(s)")
        for each in listed[:LISTED]:
            say(f"  {each['file']}: {each['reason']}")
        if len(listed) > LISTED:
            say(f"  and {len(listed) - LISTED} more; all of them: --json")
    out = folder.with_name(f"{folder.name}-run")
    next_commands("neurozsl train --network conv-if" + words({"data": folder, "out": out}))
