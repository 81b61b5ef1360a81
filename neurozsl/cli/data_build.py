"""`neurozsl data build`: a data set of video clips, or of an event camera's recordings."""

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from neurozsl.cli.console import progress_bar, say
from neurozsl.cli.data_events_set import build_events
from neurozsl.cli.data_synth import Out
from neurozsl.cli.data_tables import show_set
from neurozsl.cli.kinds import Form, call, takes
from neurozsl.cli.option_values import Hop, Jobs, Json, Scheduler
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place


def build_clips(
    *,
    clips: Annotated[Path | None, typer.Option(help="Folder of video files.")] = None,
    labels: Annotated[
        Path,
        typer.Option(
            help="CSV: file,label,role,embedding_name of clips; file,label,split of recordings."
        ),
    ],
    vectors: Annotated[
        list[Path] | None, typer.Option(help="NPZ with names, vectors; may be repeated.")
    ] = None,
    video_encoder: Annotated[
        str | None,
        typer.Option(help="efficientnet-lite0, or a TOML file; default: hand-made features."),
    ] = None,
    audio_encoder: Annotated[
        str | None, typer.Option(help="aisfx, or a TOML file; default: hand-made features.")
    ] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(help="minilm, or a TOML file: class vectors from names, without --vectors."),
    ] = None,
    out: Out,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse rows that would be left out.")
    ] = False,
    window: Annotated[float, typer.Option(help="Window length, s.")] = 2.0,
    hop: Hop = None,
    steps: Annotated[int, typer.Option(help="Steps per window, at least 10.")] = 10,
    max_seconds: Annotated[
        float, typer.Option(help="Longest clip, s; longer ones are left out and listed.")
    ] = 1800.0,
    jobs: Jobs = 1,
    scheduler: Scheduler = "",
    json_out: Json = False,
) -> None:
    """Build a data set from video clips with sound."""
    from neurozsl.cluster.tasks import Workers
    from neurozsl.data.clips.build import write_clips
    from neurozsl.data.clips.encode import chosen_encoders
    from neurozsl.data.clips.limits import ClipLimits
    from neurozsl.data.clips.windows import WindowSpec

    assert clips is not None  # what makes it this form
    check_place(out, "data set")
    on = Workers(jobs, scheduler)
    encoders = chosen_encoders(video_encoder, audio_encoder, text_encoder)
    began = time.perf_counter()
    with progress_bar("decoding and encoding") as step:
        data, report = write_clips(
            clips,
            labels,
            vectors or [],
            out,
            spec=WindowSpec(window, 1.0 if hop is None else hop, steps),
            limits=ClipLimits(max_seconds),
            strict=strict,
            encoders=encoders,
            on=on,
            progress=step,
        )
    each_s = (time.perf_counter() - began) / max(report.files, 1)
    say(f"{report.files} clips, {each_s:.2f} s a clip")
    if encoders.pretrained or not on.alone:
        say(f"encoded anew: {encoders.cache.made} parts of clips, {encoders.cache.read} known")
    for part, spec in encoders.specs.items():
        say(f"{part}: {spec.name}, {spec.width} wide, {spec.licence}, {spec.source}")
    show_set(data, out, json_out)


FORMS: Final = {
    "clips": Form("--clips DIR", build_clips),
    "events": Form("--events DIR", build_events),
}


@takes(FORMS)
def build(context: typer.Context, **options: Any) -> None:
    """Build a data set from video clips with sound, or from recordings of an event camera."""
    given = [key for key in FORMS if options[key] is not None]
    if len(given) != 1:
        raise BadInput(
            f"data build: {' and '.join(f'--{key}' for key in given) or 'neither'} given; give "
            "either --clips DIR or --events DIR"
        )
    call(context, FORMS, given[0], options=options, where=f"--{given[0]} is given")
