"""`neurozsl data`: make, build, convert, check and look into data sets."""

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli import console as output
from neurozsl.cli.console import emit_json, progress_bar
from neurozsl.cli.data_build import build
from neurozsl.cli.data_events import events
from neurozsl.cli.data_events_set import show_event_set
from neurozsl.cli.data_synth import Out, synth
from neurozsl.cli.data_tables import show_report, show_set
from neurozsl.cli.option_values import Json
from neurozsl.core.places import check_place

app = typer.Typer(no_args_is_help=True, help="Make, build and inspect data sets.")

app.command()(synth)
app.command()(build)
app.command()(events)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Data set folder, or root of a benchmark.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Memory-mapped set: say which arrays changed.")
    ] = False,
    json_out: Json = False,
) -> None:
    """Name everything that is odd about a data set; exit code 2 if it cannot be used."""
    from neurozsl.data.benchmark.check_folder import check_folder
    from neurozsl.data.events.kind import is_event_set
    from neurozsl.data.events.recordings.check import check_event_set

    with progress_bar("checking") as step:
        if is_event_set(folder):
            report = check_event_set(folder)
        else:
            report = check_folder(folder, deep=deep, progress=step)
    if json_out:
        emit_json(report.to_json())
    else:
        show_report(report)
    if not report.usable:
        if output.mode() in ("json", "off"):  # the one thing that must be read
            for each in report.findings:
                if each.level == "error":
                    output.fail(f"{each.what}: {each.line()}", exit_code=2)
        raise typer.Exit(2)


@app.command()
def convert(
    folder: Annotated[Path, typer.Argument(help="Data set folder, or root of a benchmark.")],
    out: Out,
    features: Annotated[
        str | None,
        typer.Option(
            help="Benchmark: main, cls, main_temporal or cls_temporal; default the first there."
        ),
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(help="Temporal features: cut longer videos to their middle.")
    ] = None,
    json_out: Json = False,
) -> None:
    """Write a data set as one memory-mapped file, which trains without lying in memory."""
    from neurozsl.data.benchmark.avca_layout import feature_name
    from neurozsl.data.sets.load import convert as convert_set

    check_place(out, "data set")
    with progress_bar("converting") as step:
        data = convert_set(
            folder,
            out,
            feature_name=None if features is None else feature_name(features),
            max_steps=max_steps,
            progress=step,
        )
    show_set(data, out, json_out)


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="Data set folder.")], json_out: Json = False
) -> None:
    """Show splits, classes, feature statistics and skipped files of a data set."""
    from neurozsl.data.events.kind import is_event_set
    from neurozsl.data.events.recordings.stored import load_event_set
    from neurozsl.data.sets.load import load

    if is_event_set(folder):
        show_event_set(load_event_set(folder), folder, json_out)
    else:
        show_set(load(folder), folder, json_out)
