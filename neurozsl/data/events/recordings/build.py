"""A folder of recordings and a labels file -> `EventSet`.

Files that are broken, empty, of another sensor or copies of another are left out and listed with
the reason; `strict` refuses them instead. A recording in two splits is always refused: a test on it
would measure nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.data.clips.names import is_video
from neurozsl.data.clips.places import copies, find_file, real, refuse_outside, refuse_twice
from neurozsl.data.events.camera import DEFAULT, Camera
from neurozsl.data.events.frames import CLIP, check_clip, count_events
from neurozsl.data.events.recordings.event_set import FORMS, SPLITS, EventSet, Form
from neurozsl.data.events.recordings.labels import RecordingRow, read_labels
from neurozsl.data.events.recordings.reading import check_windows, read_recording, window_starts
from neurozsl.data.events.recordings.stored import load_event_set, spooled, write
from neurozsl.data.events.repairs import Repairs
from neurozsl.data.events.stream import U8, EventStream
from neurozsl.data.events.surfaces import TAU_MS, to_codes, to_surfaces


@dataclass(frozen=True)
class EventGrid:
    """What a recording becomes.

    Attributes:
        bins: T, steps.
        size: (W, H), px; None: that of the sensor.
        seconds: window from the first event on, s; None: the whole recording.
        form: event counts, or time surfaces as 8-bit codes.
        clip: largest count.
        tau_ms: of surfaces.
        hop: distance of windows, s; None: one window.
    """

    bins: int
    size: tuple[int, int] | None = None
    seconds: float | None = None
    form: Form = "frames"
    clip: int = CLIP
    tau_ms: float = TAU_MS
    hop: float | None = None


@dataclass(frozen=True)
class LeftOutRow:
    """A row that was left out, and why."""

    file: str
    label: str
    split: str
    reason: str


@dataclass(frozen=True, eq=False)
class _Read:
    """One window of a recording."""

    row: RecordingRow
    since_us: int
    frames: U8
    events: int
    clipped: int
    sensor: tuple[int, int]
    window_s: float
    repairs: Repairs


def build_event_set(
    folder: Path,
    labels_csv: Path,
    *,
    bins: int,
    size: tuple[int, int] | None = None,
    seconds: float | None = None,
    form: Form = "frames",
    clip: int = CLIP,
    tau_ms: float = TAU_MS,
    hop: float | None = None,
    sensor: tuple[int, int] | None = None,
    camera: Camera = DEFAULT,
    repair: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
) -> EventSet:
    """Reads a folder of recordings into a set in memory; `write_event_set` keeps it on disk.

    Args:
        folder: that the `file` column is relative to.
        labels_csv: see `labels`.
        bins: T.
        size: (W, H) of a frame, px; None: that of the sensor, which must then be one for all.
        seconds: window from a recording's first event on, s; None: the whole of it.
        form: "frames", event counts, or "surfaces", time surfaces as 8-bit codes.
        clip: largest count of a cell.
        tau_ms: time constant of surfaces.
        hop: with seconds: a window every so many s, each a sample of its recording's split.
        sensor: (width, height) for files that do not state it, and of the camera that films videos.
        camera: films videos (.mp4, .avi, ...) that stand in the place of recordings.
        repair: leave out wrong events instead of the whole file.
        strict: refuse what would be left out.
        progress: called with (recordings done, recordings in all).

    Raises:
        BadInput: an argument or the labels file is unusable, a link leads out of the folder, a
            recording has two rows or is in two splits, no training recording is left, or `strict`
            and something would be left out.
    """
    grid = EventGrid(bins, size, seconds, form, clip, tau_ms, hop)
    frames: list[U8] = []
    source = _Source(Path(folder), sensor, repair, camera)
    data = _build(source, labels_csv, grid, strict, progress, keep=frames.append)
    return data(np.stack(frames))


def write_event_set(
    folder: Path,
    labels_csv: Path,
    out: Path,
    *,
    grid: EventGrid,
    sensor: tuple[int, int] | None = None,
    camera: Camera = DEFAULT,
    repair: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
) -> EventSet:
    """The same, recording by recording to `out`, which memory need not hold; an older set goes.

    Raises:
        BadInput: as `build_event_set`, or `out` holds something else than a data set.
    """
    source = _Source(Path(folder), sensor, repair, camera)
    with spooled(out) as (temporary, spool):
        data = _build(source, labels_csv, grid, strict, progress, keep=spool.add)
        few = np.zeros((1, *spool.shape), dtype=np.uint8)  # stands for those in the spool
        write(temporary, spool, data(np.broadcast_to(few, (spool.count, *spool.shape))))
    return load_event_set(out)


@dataclass(frozen=True)
class _Source:
    """Where recordings come from, and how they are read."""

    folder: Path
    sensor: tuple[int, int] | None
    repair: bool
    camera: Camera


def _build(
    source: _Source,
    labels_csv: Path,
    grid: EventGrid,
    strict: bool,
    progress: Progress | None,
    *,
    keep: Callable[[U8], object],
) -> Callable[[U8], EventSet]:
    """Gives each window's frames to `keep`; returns what makes the set of all of them."""
    folder, labels_csv = source.folder, Path(labels_csv)
    _check(folder, grid)
    rows = read_labels(labels_csv)
    files = [row.file for row in rows]
    refuse_outside(folder, files)
    refuse_twice(folder, files)
    twice = copies(folder, files)
    _refuse_in_two_splits(rows, twice, folder)
    kept: list[_Read] = []
    skipped: list[LeftOutRow] = []
    shape: tuple[int, ...] = ()
    for done, row in enumerate(rows, start=1):
        try:
            if row.file in twice:
                raise BadInput(f"holds the same bytes as {twice[row.file]}")
            stream = _stream(source, row, grid)
            own = (2, *(grid.size or (stream.width, stream.height))[::-1])
            shape = shape or own
            if own != shape:
                raise BadInput(
                    f"sensor of {stream.width}x{stream.height} px, the first recording has "
                    f"{shape[2]}x{shape[1]}; give one size for all"
                )
            for since_us in window_starts(stream, grid.seconds, grid.hop):
                read = _window(stream, row, grid, since_us)
                keep(read.frames)
                kept.append(replace(read, frames=read.frames[:0]))
        except BadInput as error:
            skipped.append(LeftOutRow(row.file, row.label, row.split, _reason(error, folder, row)))
        except MemoryError:
            reason = "needs more memory than there is; cut the recording"
            skipped.append(LeftOutRow(row.file, row.label, row.split, reason))
        if progress is not None:
            progress(done, len(rows))
    if strict and skipped:
        lines = "\n".join(f"  {each.file}: {each.reason}" for each in skipped)
        raise BadInput(
            f"{labels_csv}: {len(skipped)} row(s) cannot be used, 0 are allowed with --strict; "
            f"correct them or leave --strict out:\n{lines}"
        )
    if not any(read.row.split == "train" for read in kept):
        first = f", the first ({skipped[0].file}): {skipped[0].reason}" if skipped else ""
        raise BadInput(
            f"{labels_csv}: 0 usable recordings in split train, at least 1 is needed; "
            f"{len(skipped)} left out{first}"
        )
    return lambda frames: _assemble(frames, kept, skipped, grid, source)


def _check(folder: Path, grid: EventGrid) -> None:
    if not folder.is_dir():
        raise BadInput(f"{folder}: is not a folder; give the folder of the recordings")
    if grid.form not in FORMS:
        raise BadInput(f"form {grid.form!r}; choose {' or '.join(FORMS)}")
    check_clip(grid.clip)
    check_windows(grid.bins, grid.size, grid.seconds, grid.hop, str(folder))


def _refuse_in_two_splits(
    rows: tuple[RecordingRow, ...], twice: Mapping[str, str], folder: Path
) -> None:
    """Copies of one recording in two splits."""
    splits = {row.file: row.split for row in rows}
    wrong = [(a, b) for a, b in twice.items() if splits[a] != splits[b]]
    if wrong:
        shown = ", ".join(f"{a} ({splits[a]}) and {b} ({splits[b]})" for a, b in wrong[:5])
        raise BadInput(
            f"{folder}: {len(wrong)} recording(s) hold the same bytes as one of another split: "
            f"{shown}; keep each in one split"
        )


def _stream(source: _Source, row: RecordingRow, grid: EventGrid) -> EventStream:
    file = find_file(source.folder, row.file)
    stream = read_recording(file, sensor=source.sensor, repair=source.repair, camera=source.camera)
    own = (stream.width, stream.height)
    if grid.size is not None and (grid.size[0] > own[0] or grid.size[1] > own[1]):
        raise BadInput(
            f"sensor of {own[0]}x{own[1]} px, frames have {grid.size[0]}x{grid.size[1]}; give a "
            "smaller size"
        )
    return stream


def _window(stream: EventStream, row: RecordingRow, grid: EventGrid, since_us: int) -> _Read:
    where: dict[str, Any] = {"size": grid.size, "seconds": grid.seconds, "since_us": since_us}
    counts = count_events(stream, grid.bins, **where)
    clipped = 0
    if grid.form == "frames":
        clipped = int(np.maximum(counts - grid.clip, 0).sum())
        frames = np.minimum(counts, grid.clip).astype(np.uint8)
    else:
        frames = to_codes(to_surfaces(stream, grid.bins, tau_ms=grid.tau_ms, **where))
    window_s = grid.seconds or stream.seconds
    own = (stream.width, stream.height)
    return _Read(row, since_us, frames, int(counts.sum()), clipped, own, window_s, stream.repairs)


def _reason(error: BadInput, folder: Path, row: RecordingRow) -> str:
    """The message without the file name that the listing already gives."""
    text = str(error)
    for path in (folder / row.file, real(folder / row.file), row.file):
        text = text.removeprefix(f"{path}: ")
    return text


def _assemble(
    frames: U8, kept: list[_Read], skipped: list[LeftOutRow], grid: EventGrid, source: _Source
) -> EventSet:
    classes = tuple(sorted({read.row.label for read in kept}, key=_natural))
    ids = {label: i for i, label in enumerate(classes)}
    sensors = {read.sensor for read in kept}
    meta: dict[str, Any] = {
        "source": "neurozsl.data.events.recordings",
        "grid": {key: value for key, value in asdict(grid).items() if key != "hop" or value},
        "mean_window_s": round(float(np.mean([read.window_s for read in kept])), 6),
        "skipped": [asdict(each) for each in skipped],
        "repaired": [
            {"file": read.row.file, "repairs": list(read.repairs.lines)}
            for read in kept
            if read.repairs and not read.since_us
        ],
    }
    if any(is_video(Path(read.row.file)) for read in kept):
        meta["camera"] = asdict(source.camera)
    return EventSet(
        name=source.folder.resolve().name,
        frames=frames,
        labels=np.array([ids[read.row.label] for read in kept], dtype=np.int64),
        classes=classes,
        split=np.array([SPLITS.index(read.row.split) for read in kept], dtype=np.uint8),
        names=tuple(read.row.file for read in kept),
        events=np.array([read.events for read in kept], dtype=np.int64),
        clipped=np.array([read.clipped for read in kept], dtype=np.int64),
        since_us=np.array([read.since_us for read in kept], dtype=np.int64),
        form=grid.form,
        seconds=grid.seconds,
        sensor=sensors.pop() if len(sensors) == 1 else None,
        meta=meta,
    )


def _natural(label: str) -> tuple[int, int, str]:
    """Numbers by their value, then words.

    >>> sorted(["b", "10", "9", "a"], key=_natural)
    ['9', '10', 'a', 'b']
    """
    number = label.isascii() and label.isdigit()
    return (0, int(label), label) if number else (1, 0, label)
