"""`neurozsl data`: make the synthetic set, build a set from clips, look into a set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurozsl.data.batch import ZSLData

app = typer.Typer(no_args_is_help=True, help="Make, build and inspect data sets.")

Out = Annotated[Path, typer.Option("--out", help="Folder to write; an older data set is replaced.")]


@app.command()
def synth(
    out: Out,
    scene_bias: Annotated[
        float, typer.Option(help="Probability in training that a clip shows its class's scene.")
    ] = 0.9,
    test_size: Annotated[int, typer.Option(help="Test clips, half seen and half unseen.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the clips.")] = 0,
    camera_shake: Annotated[float, typer.Option(help="Largest picture shift per frame, px.")] = 0.0,
    unbiased_val: Annotated[
        bool, typer.Option("--unbiased-val/--biased-val", help="Scene bias in validation too?")
    ] = False,
    train_per_class: Annotated[int, typer.Option(help="Training clips per class.")] = 40,
    noise: Annotated[float, typer.Option(help="Pixel noise, of full scale.")] = 0.03,
    json_out: Annotated[bool, typer.Option("--json", help="Summary as JSON on stdout.")] = False,
) -> None:
    """Make the synthetic set "scenes and motions"."""
    from neurozsl.data.synthetic import SyntheticConfig, write_synthetic

    config = SyntheticConfig(
        scene_bias=scene_bias,
        unbiased_val=unbiased_val,
        camera_shake=camera_shake,
        seed=seed,
        train_per_class=train_per_class,
        test_size=test_size,
        noise=noise,
    )
    with _progress("rendering and encoding") as step:
        data = write_synthetic(config, out, progress=step)
    _finish(data, out, json_out)


@app.command()
def build(
    clips: Annotated[Path, typer.Option(help="Folder of video files.")],
    labels: Annotated[Path, typer.Option(help="CSV: file,label,role,embedding_name.")],
    vectors: Annotated[list[Path], typer.Option(help="NPZ with names, vectors; may be repeated.")],
    out: Out,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse rows that would be left out.")
    ] = False,
    window: Annotated[float, typer.Option(help="Window length, s.")] = 2.0,
    hop: Annotated[float, typer.Option(help="Distance of windows, s.")] = 1.0,
    steps: Annotated[int, typer.Option(help="Steps per window, at least 10.")] = 10,
    json_out: Annotated[bool, typer.Option("--json", help="Summary as JSON on stdout.")] = False,
) -> None:
    """Build a data set from video clips with sound."""
    from neurozsl.data.clips import WindowSpec, write_clips

    with _progress("decoding and encoding") as step:
        data, _ = write_clips(
            clips,
            labels,
            vectors,
            out,
            spec=WindowSpec(window, hop, steps),
            strict=strict,
            progress=step,
        )
    _finish(data, out, json_out)


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="Data set folder.")],
    json_out: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Show splits, classes, feature statistics and skipped files of a data set."""
    from neurozsl.data import load

    _finish(load(folder), folder, json_out)


def _finish(data: ZSLData, folder: Path, json_out: bool) -> None:
    """Prints the summary and the next command."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from neurozsl.data.summary import summarise

    summary = summarise(data)
    if json_out:
        typer.echo(json.dumps(summary.to_json(), indent=1))
        return
    console = Console(stderr=True)
    origin = "synthetic clips" if summary.synthetic else "real data"
    console.print(
        f"[bold]{escape(summary.name)}[/bold]: {origin}, {summary.classes} classes, "
        f"{summary.steps} step(s) of {summary.step_s:g} s, audio {summary.audio_dim} wide, "
        f"video {summary.video_dim} wide"
    )
    columns = ("split", "samples", "classes", "per class", "audio", "video", "events", "pixel")
    table = Table(*columns, caption=summary.caption, box=SIMPLE_HEAD, caption_justify="left")
    for part in summary.splits:
        pixel = "-" if part.pixel_event_density is None else f"{part.pixel_event_density:.1%}"
        table.add_row(
            part.name,
            str(part.samples),
            str(part.classes),
            f"{part.fewest}-{part.most}",
            f"{part.audio_mean:.2f}",
            f"{part.video_mean:.2f}",
            f"{part.event_density:.1%}",
            pixel,
        )
    console.print(table)
    if summary.skipped:
        console.print(f"left out: {len(summary.skipped)} file(s)")
        for skip in summary.skipped:
            console.print(f"  {escape(skip['file'])}: {escape(skip['reason'])}", soft_wrap=True)
    run = Path("runs") / f"{folder.resolve().name}-run"
    console.print(
        f"next: neurozsl train --data {escape(str(folder))} --model mdft --out {run}",
        soft_wrap=True,
        highlight=False,
    )


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with ETA on stderr; yields the callback that moves it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
