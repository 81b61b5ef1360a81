"""`neurozsl data events`: the events of a video, or a recording in another format."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.cli.kinds import Form, call, takes
from neurozsl.cli.option_values import Json, Preset
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place
from neurozsl.core.shell import command, words

if TYPE_CHECKING:
    from neurozsl.data.events.camera import Camera
    from neurozsl.data.events.statistics import EventStatistics
    from neurozsl.data.events.stream import EventStream


@dataclass(frozen=True, kw_only=True)
class EventOptions:
    """What a video and a recording take."""

    out: Annotated[Path, typer.Option(help="File to write, .npz, .h5 or .hdf5.")]
    preview: Annotated[
        Path | None, typer.Option(help="GIF of the first 10 s, ON and OFF in two colours.")
    ] = None
    size: Annotated[
        str | None,
        typer.Option(
            help="WxH: of the sensor. Video: by default its own; recording: if not in it."
        ),
    ] = None
    json_out: Json = False


def from_video(
    source: Path,
    *,
    asked: EventOptions,
    camera: Annotated[Preset, typer.Option(help="Noise of the pixels.")] = "default",
    threshold: Annotated[
        float | None, typer.Option(help="Change of log intensity per event, ON and OFF.")
    ] = None,
    sigma: Annotated[
        float | None, typer.Option(help="Standard deviation of the threshold between pixels.")
    ] = None,
    refractory: Annotated[
        float | None, typer.Option(help="Silence of a pixel after an event, s.")
    ] = None,
    leak: Annotated[float | None, typer.Option(help="ON events of a still pixel, Hz.")] = None,
    shot: Annotated[float | None, typer.Option(help="Noise events of a dark pixel, Hz.")] = None,
    cutoff: Annotated[
        float | None, typer.Option(help="Low-pass of the pixels at full scale, Hz; 0 for none.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of mismatch and noise.")] = 0,
    max_seconds: Annotated[
        float, typer.Option(help="Longest video, s; a longer one is refused.")
    ] = 1800.0,
) -> None:
    """Decode, simulate the pixels and write."""
    from neurozsl.data.clips.grey_video import open_grey
    from neurozsl.data.clips.limits import ClipLimits
    from neurozsl.data.events.camera import PRESETS

    given = {
        "threshold_on": threshold,
        "threshold_off": threshold,
        "mismatch": sigma,
        "refractory_s": refractory,
        "leak_hz": leak,
        "shot_hz": shot,
        "cutoff_hz": cutoff,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    pixels = replace(PRESETS[camera], seed=seed, **changed)
    video = open_grey(source, size=_size(asked.size), limits=ClipLimits(max_seconds))
    total = max(1, math.ceil(video.seconds))

    def blocks(step: Callable[..., None]) -> Iterator[EventStream]:
        shown, timed = itertools.tee(video.frames())
        times = _told((time for _, time in timed), step, total)
        return pixels.events((frame for frame, _ in shown), times, name=source.name)

    _convert(source, blocks, asked, told=_described(pixels))


def from_recording(
    source: Path,
    *,
    asked: EventOptions,
    repair: Annotated[
        bool, typer.Option("--repair", help="Leave out or sort in what is wrong, and list it.")
    ] = False,
) -> None:
    """Decode and write."""
    from neurozsl.data.events.files.open import open_events

    with open_events(source, size=_size(asked.size), repair=repair) as recording:
        _convert(source, lambda _: iter(recording), asked, told=recording.format)
        if recording.repairs and not asked.json_out:
            say(f"repaired: {recording.repairs}")


FORMS: Final = {
    "video": Form("a video", from_video),
    "recording": Form("a recording of an event camera", from_recording),
}


@takes(FORMS)
def events(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="Video, or recording of an event camera.")],
    **options: Any,
) -> None:
    """Write what an event camera would have sent of a video, or a recording in another format."""
    key = "recording" if _is_recording(source) else "video"
    call(context, FORMS, key, source, options=options, where=f"'{source}' is {FORMS[key].called}")


def _is_recording(source: Path) -> bool:
    from neurozsl.data.events.files.base import HEAD_BYTES
    from neurozsl.data.events.files.refused import named
    from neurozsl.data.events.files.registry import FORMATS

    if any(source.suffix.lower() in each.extensions for each in FORMATS):
        return True
    try:
        with source.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    begun = any(each.begins is not None and each.begins(head) for each in FORMATS)
    return begun or named(head) is not None


def _convert(
    source: Path,
    blocks: Callable[[Callable[..., None]], Iterator[EventStream]],
    asked: EventOptions,
    *,
    told: str,
) -> None:
    """Write the blocks and what was asked for beside them."""
    from neurozsl.data.events.files.open import write_events
    from neurozsl.data.events.preview import Preview
    from neurozsl.data.events.statistics import Tally

    check_place(asked.out, "events")
    if asked.out.exists() and asked.out.samefile(source):
        raise BadInput(f"--out '{asked.out}': is the source itself; give another name")
    if asked.preview is not None:
        check_place(asked.preview, "preview", remedy="choose another --preview")
        if asked.preview.suffix.lower() != ".gif":
            raise BadInput(f"--preview '{asked.preview}': is written as .gif; name it so")
    tally, preview = Tally(), Preview()
    with progress_bar("events") as step:
        found = tally.watch(blocks(step))
        write_events(found if asked.preview is None else preview.watch(found), asked.out)
    counted = tally.result()
    if asked.preview is not None and counted.events:
        preview.save(asked.preview)
    if asked.json_out:
        emit_json(
            {"source": str(source), "made_by": told, "out": str(asked.out)} | counted.to_json()
        )
        return
    _show(counted, f"{source.name} ({told}) -> {asked.out}: {counted.width} x {counted.height} px")
    gif = asked.out.with_suffix(".gif")
    other = asked.out.with_suffix(".npz" if asked.out.suffix.lower() != ".npz" else ".h5")
    next_commands(command("data events", asked.out, words({"out": other, "preview": gif})))


def _show(counted: EventStatistics, title: str) -> None:
    def number(value: float | None, form: str = ",.0f") -> str:
        return "-" if value is None else format(value, form)

    intervals = counted.interval_ms
    rows = [
        ("events", f"{counted.events:,}"),
        ("length, s", f"{counted.seconds:.3f}"),
        ("events per s", number(counted.events_per_s)),
        ("events per pixel per s", number(counted.events_per_pixel_per_s, ".3g")),
        ("ON", number(counted.on_share, ".1%")),
        ("active pixels", number(counted.active_pixels, ".1%")),
        ("distinct times per s", number(counted.distinct_times_per_s)),
        (
            "interval of a pixel, 5 / 50 / 95 %, ms",
            "-" if intervals is None else " / ".join(f"{x:.3g}" for x in intervals),
        ),
        ("intervals below 1 ms", number(counted.short_intervals, ".1%")),
        ("polarity flips", number(counted.flips, ".1%")),
        ("variation of 10 ms counts", number(counted.bin_cv, ".2f")),
    ]
    show_table(title, ("of the events", "value"), rows)


def _described(camera: Camera) -> str:
    return (
        f"threshold {camera.threshold_on:g}, mismatch {camera.mismatch:g}, refractory "
        f"{camera.refractory_s:g} s, leak {camera.leak_hz:g} Hz, shot {camera.shot_hz:g} Hz, "
        f"cutoff {camera.cutoff_hz:g} Hz, seed {camera.seed}"
    )


def _told(times: Iterator[float], step: Callable[..., None], total: int) -> Iterator[float]:
    """The same times, reported as seconds of the video."""
    for time_s in times:
        step(min(time_s, total), total)
        yield time_s


def _size(text: str | None) -> tuple[int, int] | None:
    """Read WxH.

    >>> _size("346x260")
    (346, 260)
    """
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise BadInput(f"--size '{text}': expected width and height such as 346x260")
    if not (0 < int(width) <= 65_535 and 0 < int(height) <= 65_535):
        raise BadInput(f"--size '{text}': sides of 1 to 65535 px are possible; choose them so")
    return int(width), int(height)
