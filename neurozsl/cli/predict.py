"""`neurozsl predict`: names for clips that no data set holds, with spikes and joules of each."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.option_values import Data, Jobs, Json, Scheduler
from neurozsl.core.errors import BadInput
from neurozsl.core.quantities import si
from neurozsl.core.shell import command, words
from neurozsl.runs.kind import refuse_classifier

if TYPE_CHECKING:
    from neurozsl.prediction.many import ClipLine
    from neurozsl.prediction.predict import Predictor

_TABLES = 3  # clips that get a table each; more get a line each


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    clips: Annotated[
        list[Path],
        typer.Argument(metavar="CLIP...", help="Videos, folders of them, or a .txt list."),
    ],
    classes: Annotated[
        str | None,
        typer.Option(help="Names to rank, commas between; default those of the run's data set."),
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option(
            help=".npz of `names` and `vectors` for names that the run does not have; without "
            "--classes all of them are ranked."
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Run the branch of this bundle: a folder, or a target in RUN/deploy."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Names of a clip.")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="File of one JSON line a clip; started again, it goes on.")
    ] = None,
    data: Data = None,
    jobs: Jobs = 1,
    scheduler: Scheduler = "",
    as_json: Json = False,
) -> None:
    """Rank names for clips: scores, spikes and joules; new names by text encoder or vectors."""
    refuse_classifier(run)
    from neurozsl.cluster.tasks import Workers
    from neurozsl.prediction.files import clips_of
    from neurozsl.prediction.many import predict_all
    from neurozsl.prediction.predict import predictor
    from neurozsl.runs.run import open_run

    on = Workers(jobs, scheduler)
    files = clips_of(clips)
    names = None if classes is None else _names(classes)
    ready = predictor(
        open_run(run, data=data), classes=names, vectors=vectors, bundle=bundle, top=top
    )
    with progress_bar("predicting") as update:
        found = predict_all(ready, files, out, progress=update, on=on)
    failed = [x for x in found if x.line is None]
    if len(failed) == len(found):
        raise BadInput(_none(failed))
    if as_json:
        clip_lines = [x.line for x in found if x.line is not None]
        listing = [{"clip": str(x.clip), "reason": x.reason} for x in failed]
        emit_json({**ready.as_json(), "clips": clip_lines, "failed": listing})
        return
    _show(ready, found)
    for each in failed:
        say(f"left out: {each.clip}: {each.reason}")
    again = sum(x.again for x in found)
    if out is not None:
        say(f"{out}: {len(found) - len(failed)} clips, {again} of them done before")
    _notes(ready)
    next_commands(command("profile", run, words({"bundle": bundle, "data": data})))


def _names(text: str) -> list[str]:
    """Names between commas, as a row of CSV: one that holds a comma stands in double quotes.

    >>> _names('archery, "child speech, kid speaking"')
    ['archery', 'child speech, kid speaking']
    """
    try:
        return next(csv.reader([text], skipinitialspace=True, strict=True), [""]) or [""]
    except csv.Error as error:
        raise BadInput(
            f"--classes {text!r}: {error}; a name with a comma stands in double quotes"
        ) from error


def _none(failed: Sequence[ClipLine]) -> str:
    if len(failed) == 1:
        return f"{failed[0].clip}: {failed[0].reason}"
    first = "; ".join(f"{x.clip}: {x.reason}" for x in failed[:3])
    more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
    return f"predict: 0 of {len(failed)} clips could be used, 1 is needed: {first}{more}"


def _show(ready: Predictor, found: Sequence[ClipLine]) -> None:
    lines = [x.line for x in found if x.line is not None]
    if len(lines) > _TABLES:
        for line in lines:
            names = ", ".join(f"{x['name']} {x['score']:.3f}" for x in line["names"][:3])
            say(f"{line['clip']}: {names}{_spent(line)}")
        return
    for line in lines:
        show_table(
            f"{line['clip']}: {line['windows']} windows, {line['candidates']} names",
            ("name", "score", "distance", "in training"),
            [
                (
                    x["name"],
                    f"{x['score']:.3f}",
                    f"{x['distance']:.3f}",
                    "no" if x["unseen"] else "yes",
                )
                for x in line["names"]
            ],
        )
        if spent := _spent(line):
            say(f"  branch on {ready.settings['backend']}{spent}")


def _spent(line: dict[str, Any]) -> str:
    """Spikes, and joules on the one device that is shown; the others are in --json."""
    shown = [row for row in line.get("energy", ()) if row["device"] == line["energy_shown"]]
    if not shown:
        return ""
    [row] = shown
    return f"; {line['spikes_total']:,} spikes, {_joules(row)} on {row['name']} ({row['kind']})"


def _joules(row: dict[str, Any]) -> str:
    static = "" if row["static_j"] is None else f" + {si(row['static_j'], 'J')} static"
    return si(row["dynamic_j"], "J") + static


def _notes(ready: Predictor) -> None:
    kept = ready.scale
    say(
        f"scores: softmax of distances at temperature {kept.temperature:.3g}, which {kept.samples} "
        f"{kept.chosen_on} windows chose ({kept.right} named right); no probabilities"
    )
    if ready.branch is None:
        say("nothing spikes in this model, so there are no spikes and no joules")
    else:
        say("energy: of the spiking branch, all windows; counts times published figures")
        if ready.branch.note:
            say(f"note: {ready.branch.note}")
    if ready.run.data.synthetic:
        say("note: this run was trained on synthetic clips and cannot name what a real clip shows")
