"""The features of a memory-mapped set (`packed`): padded to one length, or end to end.

Samples of one length, or padded to one, as they come from clips and from averaged features::

    /audio (N, T, Da) float32   /video (N, T, Dv) float32   /mask (N, T)   /events (N, T, De) uint8

Samples of many lengths, as the temporal features of the benchmark are (`data.ragged`)::

    /audio (R, Da) float32      /video (R, Dv) float32      /offset (N + 1,) int64

The arrays are contiguous, so that they can be mapped. Both are written as a stream of blocks.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.hdf5_output import Output
from neurozsl.core.progress import Progress
from neurozsl.data.batch import F32, I64
from neurozsl.data.checks import first_not_finite
from neurozsl.data.hdf5 import PlainFile
from neurozsl.data.index import Index, Rows, read_blocks
from neurozsl.data.mapped import Pages
from neurozsl.data.ragged import RaggedRows, check_offsets, offsets

REPACK: Final = "make it again with `neurozsl data convert`"
Shape = tuple[int, int]


def write_features(file: Any, stream: Output, index: Index, progress: Progress | None) -> None:
    """Writes the features of all samples into an open file, block by block.

    Raises:
        BadInput: a value is not finite, or a block has another shape.
    """
    if index.lengths is not None:
        _write_ragged(file, stream, index, index.lengths, progress)
    else:
        _write_padded(file, stream, index, progress)


def _write_padded(file: Any, stream: Output, index: Index, progress: Progress | None) -> None:
    n, steps = len(index), index.audio_shape[0]
    audio = file.create_dataset("audio", (n, *index.audio_shape), dtype="<f4")
    video = file.create_dataset("video", (n, *index.video_shape), dtype="<f4")
    mask = np.zeros((n, steps), dtype=np.bool_)
    events = None
    if index.events_width is not None:
        events = file.create_dataset("events", (n, steps, index.events_width), dtype="u1")
    for place, rows in read_blocks(index, progress):
        assert isinstance(rows, Rows)
        _check_finite(index, rows.values, np.arange(place.start, place.stop + 1), place.start)
        audio[place], video[place], mask[place] = rows.audio, rows.video, rows.mask
        if events is not None:
            events[place] = rows.events
        stream.check()
    file.create_dataset("mask", data=mask)


def _write_ragged(
    file: Any, stream: Output, index: Index, lengths: I64, progress: Progress | None
) -> None:
    offset = offsets(lengths)
    total = int(offset[-1])
    audio = file.create_dataset("audio", (total, index.audio_shape[1]), dtype="<f4")
    video = file.create_dataset("video", (total, index.video_shape[1]), dtype="<f4")
    for place, rows in read_blocks(index, progress):
        _check_finite(index, rows.values, offset[place.start : place.stop + 1], place.start)
        part = slice(int(offset[place.start]), int(offset[place.stop]))
        audio[part], video[part] = rows.values
        stream.check()
    file.create_dataset("offset", data=offset)


def _check_finite(index: Index, values: tuple[F32, F32], offset: I64, first: int) -> None:
    """Refuses a block whose first sample is `first`, and whose samples begin at `offset`."""
    for part, array in zip(("audio", "video"), values, strict=True):
        row = first_not_finite(array)
        if row is not None:
            sample = first + int(np.searchsorted(offset - offset[0], row, "right")) - 1
            raise BadInput(
                f"{index.name}, {part}: sample {sample} holds NaN or infinity; "
                "`neurozsl data check` names its file; remove the sample or encode it again"
            )


def read_features(file: PlainFile, path: Path, n: int) -> tuple[Rows | RaggedRows, Shape, Shape]:
    """Maps the features of n samples, and gives (T, D) of audio and of video.

    Raises:
        BadInput: an array is missing, of another type or shape, or does not fit the others.
    """
    pages = Pages(path)
    if file.holds("", "offset"):
        return _read_ragged(file, path, pages, n)
    audio = _map(pages, file, "audio", "<f4", (n, None, None))
    video = _map(pages, file, "video", "<f4", (n, None, None))
    mask = file.numbers("mask", "b", (n, audio.shape[1]))
    events = None
    if file.holds("", "events"):
        events = _map(pages, file, "events", "|u1", (n, None, None))
    return Rows(audio, video, mask, events, pages), audio.shape[1:], video.shape[1:]


def _read_ragged(
    file: PlainFile, path: Path, pages: Pages, n: int
) -> tuple[RaggedRows, Shape, Shape]:
    offset = file.numbers("offset", "iu", (n + 1,)).astype(np.int64)
    audio = _map(pages, file, "audio", "<f4", (None, None))
    video = _map(pages, file, "video", "<f4", (len(audio), None))
    check_offsets(offset, len(audio), str(path), REPACK)
    steps = int(np.diff(offset).max(initial=1))
    shapes = (steps, audio.shape[1]), (steps, video.shape[1])
    return RaggedRows(audio, video, offset, steps, pages), *shapes


def _map(
    pages: Pages, file: PlainFile, name: str, dtype: str, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    """A read-only array on the file's own bytes; batches copy the rows that they need."""
    offset, found = file.place(name, dtype, shape)
    return pages.array(offset, found, dtype)
