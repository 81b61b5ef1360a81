"""One clip for people to look at: its spikes, the codes that came in, and a picture per step.

Pictures are not part of a data set, which holds features. A clip of the rendered set is rendered
again (its generator is seeded per chunk of clips); a window of a recorded clip is read again, where
the folder of clips is given and still holds the file. For features without pictures (benchmark
sets, stand-ins) there are none, and `frames_note` says so.
"""

import base64
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput, NeuroZSLError
from neurozsl.core.reading import Kind, checked_object
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.data.batch import U8, ZSLData
from neurozsl.data.clip import Clip
from neurozsl.report import schema
from neurozsl.runs.run import Run
from neurozsl.scoring.metrics import Ints

WIDEST = 96  # px
MOST = 12  # pictures


def raster(
    run: Run,
    chip_input: ChipInput,
    trace: Trace,
    predicted: Ints,
    label: Ints,
    *,
    clips: Path | None = None,
) -> schema.Raster:
    """The first unseen-class sample that the deployed model recognises (else the first unseen).

    All else is of all test samples, seen before unseen; predicted, label: class id per sample.
    clips: folder of the recorded clips.
    """
    stage = run.data.stage(2)
    first = len(stage.seen)
    right = np.flatnonzero(predicted[first:] == label[first:])
    row = first + (int(right[0]) if len(right) else 0)
    names = run.data.classes
    sample = stage.unseen.names[row - first]
    drawn = schema.raster(
        {k: v[row] for k, v in trace.spikes.items()},
        sample=sample,
        true_class=names[label[row]],
        predicted_class=names[predicted[row]],
    )
    shown, note = frames(run.data, sample, drawn.steps, clips)
    inputs = raster_inputs(chip_input, row)
    return drawn.model_copy(update={"inputs": inputs, "frames": shown, "frames_note": note})


def raster_inputs(
    chip_input: ChipInput, row: int, steps: int | None = None
) -> tuple[schema.RasterInput, ...]:
    """Codes of one sample that are not 0, per input; of its first steps, or all."""
    found = []
    for name, value in chip_input.codes.items():
        codes = np.asarray(value[row])[:steps]
        place = np.argwhere(codes)
        events = np.column_stack([place, codes[tuple(place.T)]]).astype(np.int64)
        shown = tuple(map(tuple, events.tolist()))
        found.append(schema.RasterInput(name=name, channels=codes.shape[1], events=shown))
    return tuple(found)


def frames(
    data: ZSLData, sample: str, steps: int, clips: Path | None
) -> tuple[tuple[schema.Frame, ...], str]:
    """Pictures of a sample, and what they are or why there are none."""
    source = data.meta.get("source")  # names that stand in data sets on disk; modules may move
    if source == "neurozsl.data.synthetic":
        try:
            clip = _rendered(data.meta, sample)
        except (BadInput, ValueError) as error:  # settings, or a sample, of another set
            return (), f"none: {error}"
        note = "rendered again from the settings of the synthetic set; no recording"
    elif source == "neurozsl.data.clips":
        if clips is None:
            return (), "the data set keeps no pictures; name the folder of its clips with --clips"
        try:
            clip = _recorded(data.meta, sample, clips)
        except NeuroZSLError as error:
            return (), f"none: {error}"
        note = "read again from the clip"
    else:
        return (), "none, the data are features"
    return _pictures(clip, steps), f"{note}; the middle of each step"


def _rendered(meta: Mapping[str, object], sample: str) -> Clip:
    from neurozsl.data.synthetic.scenes import CHUNK, SyntheticConfig, render

    split, _, row = sample.rpartition("/")
    try:
        config = SyntheticConfig(**meta["config"])  # type: ignore[arg-type]  # as `generate` wrote it
    except (KeyError, TypeError) as error:
        raise BadInput(
            f"data set meta: config of no synthetic set ({error}); make it again"
        ) from error
    return render(config, split, int(row) // CHUNK)[int(row) % CHUNK]


def _recorded(meta: Mapping[str, object], sample: str, clips: Path) -> Clip:
    """The window of a file; `sample` is `<file>#<start>s`.

    Raises:
        BadInput: the file is not there, there twice, outside, or cannot be read.
    """
    from neurozsl.data.clips.places import find_file, name_fault
    from neurozsl.data.clips.video_file import read_clip

    file, _, start = sample.rpartition("#")
    if fault := name_fault(file):
        raise BadInput(f"sample {sample!r}: its file {fault}; build the set again")
    found = sorted(clips.rglob(file)) if not (clips / file).is_file() else [clips / file]
    if len(found) != 1:
        raise BadInput(f"{clips}: holds {len(found)} files '{file}', 1 is needed; see --clips")
    keys: dict[str, Kind] = {"window_s": float}
    windows = checked_object(
        meta.get("windows"), "data set meta: windows", remedy="build the set again", keys=keys
    )
    path = find_file(clips, str(found[0].relative_to(clips)))
    return read_clip(path).window(float(start.removesuffix("s")), float(windows["window_s"]))


def _pictures(clip: Clip, steps: int) -> tuple[schema.Frame, ...]:
    """One frame of each step, at most `MOST` of them, evenly chosen."""
    chosen = np.unique(np.linspace(0, steps - 1, min(steps, MOST)).round().astype(int))
    middle = ((chosen + 0.5) * len(clip.frames) / steps).astype(int)
    return tuple(
        schema.Frame(step=int(step), png=base64.b64encode(png(clip.frames[at])).decode())
        for step, at in zip(chosen, middle, strict=True)
    )


def png(picture: U8) -> bytes:
    """A picture `(height, width, 3)` as a PNG file, every n-th pixel where it is wider than 96.

    Chunks are length, name, content, CRC-32; lines begin with filter 0 (PNG specification 1.2).
    """
    every = -(-picture.shape[1] // WIDEST)
    small = np.ascontiguousarray(picture[::every, ::every])
    height, width, _ = small.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), small.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check
