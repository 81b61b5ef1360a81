"""`neurozsl data`: make, build, convert, check and look into data sets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from neurozsl.cli import console as output
from neurozsl.cli.console import (
    command,
    emit_json,
    next_commands,
    progress_bar,
    say,
    show_table,
)
from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.data.batch import ZSLData
    from neurozsl.data.benchmark.findings import CheckReport

app = typer.Typer(no_args_is_help=True, help="Make, build and inspect data sets.")

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
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
    like: Annotated[
        str, typer.Option(help="Instead: stand-in for a benchmark; ucf, activitynet or vggsound.")
    ] = "",
    splits: Annotated[
        Path | None, typer.Option(help="With --like: folder of the benchmark's class lists.")
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(help="With --like: its class vectors, .npy or .npz.")
    ] = None,
    features: Annotated[str, typer.Option(help="With --like: main or cls.")] = "main",
    videos_per_class: Annotated[
        int | None, typer.Option(help="With --like: at most so many per class and split.")
    ] = None,
    json_out: Json = False,
) -> None:
    """Make the synthetic set "scenes and motions", or with --like stand-ins for a benchmark.

    Stand-ins lie in the benchmark's own layout: class lists and class vectors are the given ones,
    features are drawn around the vectors, and whatever reads them says that they are synthetic.
    """
    if like:
        _stand_ins(like, splits, vectors, features, out, seed, videos_per_class, json_out)
        return
    if splits is not None or vectors is not None or videos_per_class is not None:
        raise BadInput("data synth: --splits, --vectors and --videos-per-class need --like")
    from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic

    config = SyntheticConfig(
        scene_bias=scene_bias,
        unbiased_val=unbiased_val,
        camera_shake=camera_shake,
        seed=seed,
        train_per_class=train_per_class,
        test_size=test_size,
        noise=noise,
    )
    with progress_bar("rendering and encoding") as step:
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
    json_out: Json = False,
) -> None:
    """Build a data set from video clips with sound."""
    from neurozsl.data.clips.build import WindowSpec, write_clips

    with progress_bar("decoding and encoding") as step:
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
def check(
    folder: Annotated[Path, typer.Argument(help="Data set folder, or root of a benchmark.")],
    json_out: Json = False,
) -> None:
    """Name everything that is odd about a data set; exit code 2 if it cannot be used."""
    from neurozsl.data.benchmark.check_folder import check_folder

    with progress_bar("checking") as step:
        report = check_folder(folder, progress=step)
    if json_out:
        emit_json(report.to_json())
    else:
        _show_report(report)
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

    with progress_bar("converting") as step:
        data = convert_set(
            folder,
            out,
            feature_name=None if features is None else feature_name(features),
            max_steps=max_steps,
            progress=step,
        )
    _finish(data, out, json_out)


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="Data set folder.")],
    json_out: Json = False,
) -> None:
    """Show splits, classes, feature statistics and skipped files of a data set."""
    from neurozsl.data.sets.load import load

    _finish(load(folder), folder, json_out)


def _finish(data: ZSLData, folder: Path, json_out: bool) -> None:
    """Prints the summary and the next command."""
    from neurozsl.data.sets.summary import summarise

    summary = summarise(data)
    if json_out:
        emit_json(summary.to_json())
        return
    origin = "synthetic" if summary.synthetic else "real data"
    show_table(
        f"{summary.name}: {origin}, {summary.classes} classes, {summary.steps} step(s) of "
        f"{summary.step_s:g} s, audio {summary.audio_dim} wide, video {summary.video_dim} wide",
        ("split", "samples", "classes", "per class", "audio", "video", "events", "pixel"),
        [
            (
                part.name,
                str(part.samples),
                str(part.classes),
                f"{part.fewest}-{part.most}",
                f"{part.audio_mean:.2f}",
                f"{part.video_mean:.2f}",
                f"{part.event_density:.1%}",
                "-" if part.pixel_event_density is None else f"{part.pixel_event_density:.1%}",
            )
            for part in summary.splits
        ],
    )
    say(summary.caption)
    if summary.skipped:
        say(f"left out: {len(summary.skipped)} file(s)")
        for skip in summary.skipped:
            say(f"  {skip['file']}: {skip['reason']}")
    run = Path("runs") / f"{folder.resolve().name}-run"
    next_commands(f"neurozsl train --data {quote(str(folder))} --model mdft --out {run}")


def _stand_ins(
    like: str,
    splits: Path | None,
    vectors: Path | None,
    features: str,
    out: Path,
    seed: int,
    videos_per_class: int | None,
    json_out: bool,
) -> None:
    """Writes stand-in features and says what of them is invented."""
    from neurozsl.data.synthetic.standin_set import write_stand_ins
    from neurozsl.data.synthetic.standins import StandInConfig

    if splits is None or vectors is None:
        raise BadInput(f"data synth --like {like}: give --splits and --vectors too")
    config = StandInConfig(like, features, seed=seed, videos_per_class=videos_per_class)
    with progress_bar("generating") as step:
        facts = write_stand_ins(config, splits, vectors, out, progress=step)
    if json_out:
        emit_json(facts)
        return
    counts, invented = facts["counts"], facts["invented"]
    assert isinstance(counts, dict) and isinstance(invented, dict)
    say(f"{facts['dataset']}, stand-in: synthetic features")
    for subsplit, count in counts.items():
        origin = "names invented" if subsplit in invented["video_names"] else "names as listed"
        say(f"  {subsplit:<20} {count:>6} videos, {origin}")
    say("  scores on these features compare code with code, never with a paper")
    next_commands(
        command("data check", out),
        command("data convert", out, f" --out {quote(f'{out}-packed')}"),
    )


def _show_report(report: CheckReport) -> None:
    """Prints findings, the table of label alignment and the verdict."""
    from rich.markup import escape

    colours = {"error": "bold red", "warning": "yellow", "note": "dim"}
    for each in report.findings:
        mark = f"[{colours[each.level]}]{each.level}[/] {each.what}"
        output.err.print(f"{mark}: {escape(each.line())}", soft_wrap=True)
    if report.alignment:
        show_table(
            "classes to which the label alignment legacy gives another's vector",
            ("split", "other vector", "classes"),
            [(row.split, str(row.wrong), str(row.total)) for row in report.alignment],
        )
    count = Counter(each.level for each in report.findings)
    kind = f"{report.kind}{', synthetic' if report.synthetic else ''}"
    say(
        f"{report.folder} ({kind}): {count['error']} error(s), {count['warning']} warning(s), "
        f"{count['note']} note(s)"
    )
