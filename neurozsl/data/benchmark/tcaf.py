"""Temporal features of one class, as TCaF (Mercea et al. 2022) stores them, on one time grid.

In: `<Class>.pkl`, a pickled dict with `features` (list of (T_i, D) arrays), `video_names` (bytes)
and `fps`, one file per modality. It is read without running what it says (`safe_pickle`).
Out: audio and video end to end, with one length per video (`data.ragged`).

TCaF keeps two lengths per video: SeLaVi gives a vector per second for both, but VGGish one per
0.96 s and C3D one per 0.64 s (16 frames at 25 Hz). A batch here has one time axis, so:

    step   = the coarser of the two periods (1 s, or 0.96 s)
    x(k)   = mean of the vectors whose middle lies in [k step, (k+1) step);
             where none does, the vector that covers the middle of the step
    T_i    = ceil(min(audio time, picture time) / step)

so every vector is used once and neither modality is stretched. A video of more steps than asked for
is cut to its middle, the same span in both modalities (TCaF does so at test; its random start in
training is not reproduced). Not done here, as it belongs to TCaF's model: division by 255,
normalisation.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32
from neurozsl.data.benchmark.pair import Pair, join_names
from neurozsl.data.benchmark.safe_pickle import load_pickle
from neurozsl.data.ragged import RaggedRows, offsets

PERIOD_MS = {"main_temporal": (1000, 1000), "cls_temporal": (960, 640)}  # audio, video


@dataclass(frozen=True, eq=False)
class ClassFile:
    """One modality of one class: n names, n arrays (T_i, D) or (D,), D, and whether generated."""

    names: tuple[str, ...]
    sequences: tuple[F32, ...]
    width: int
    synthetic: bool = False


def step_ms(kind: str) -> int:
    """Returns the length of a step on the common grid, in ms.

    >>> step_ms("cls_temporal")
    960
    """
    return max(PERIOD_MS[kind])


def read_class(path: Path) -> ClassFile:
    """Reads one pickle.

    Raises:
        BadInput: it is damaged, holds code, or is no such dict.
    """
    value = load_pickle(path)
    if not isinstance(value, dict) or not {"features", "video_names"} <= value.keys():
        holds = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise BadInput(
            f"{path}: holds {holds}, a dict with features and video_names is needed; copy it again"
        )
    names = tuple(
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        for name in _listed(value["video_names"])
    )
    found = [np.asarray(item) for item in _listed(value["features"])]
    if len(names) != len(found) or len(set(names)) != len(names):
        raise BadInput(
            f"{path}: {len(found)} features for {len(names)} video names, {len(set(names))} of "
            "them different; one name per video is needed"
        )
    for name, item in zip(names, found, strict=True):
        if item.ndim != 2 or not len(item) or item.dtype.kind not in "fiu":
            raise BadInput(
                f"{path}, {name}: features {item.dtype} {item.shape}, numbers (steps >= 1, width) "
                "are needed; extract the video again"
            )
    widths = {item.shape[1] for item in found}
    if len(widths) > 1:
        raise BadInput(f"{path}: widths {sorted(widths)}; one width is needed")
    return ClassFile(
        names, tuple(item.astype(np.float32) for item in found), max(widths, default=0)
    )


def open_pair(audio: Path, video: Path, kind: str) -> Pair:
    """Opens the two files of a class.

    Raises:
        BadInput: one is damaged, or they list other videos.
    """
    heard, shown = read_class(audio), read_class(video)
    names, audio_rows, video_rows = join_names(heard.names, shown.names, video)
    lengths = np.array(
        [
            common_steps(len(heard.sequences[a]), len(shown.sequences[v]), kind)
            for a, v in zip(audio_rows, video_rows, strict=True)
        ],
        dtype=np.int64,
    )

    def read(steps: int) -> RaggedRows:
        # Read again rather than kept: all classes together may not fit into memory.
        files = (read_class(audio), read_class(video))
        parts: tuple[list[F32], list[F32]] = ([], [])
        for length, *rows in zip(lengths.tolist(), audio_rows, video_rows, strict=True):
            kept = min(length, steps)
            begin = (length - kept) // 2
            for part, file, row, period in zip(parts, files, rows, PERIOD_MS[kind], strict=True):
                grid = on_grid(file.sequences[row], period, step_ms(kind), length)
                part.append(grid[begin : begin + kept])
        sizes = offsets(np.minimum(lengths, steps))
        return RaggedRows(np.concatenate(parts[0]), np.concatenate(parts[1]), sizes, steps)

    width, height = heard.width, shown.width
    return Pair(names, int(lengths.max()), width, height, False, read, lengths)


def common_steps(audio: int, video: int, kind: str) -> int:
    """Returns T_i: steps in which a video has both sound and picture.

    >>> common_steps(10, 15, "cls_temporal")  # 9.6 s of both
    10
    """
    a, v = PERIOD_MS[kind]
    return -(-min(audio * a, video * v) // step_ms(kind))


def on_grid(sequence: F32, period_ms: int, step_ms: int, steps: int) -> F32:
    """Returns (steps, D): the sequence, a vector per `period_ms`, on steps of `step_ms`.

    Times are whole half-milliseconds, so that a middle on a boundary falls to the later step.
    """
    if period_ms == step_ms:
        return sequence[:steps]
    middle = (2 * np.arange(len(sequence)) + 1) * period_ms  # in half ms
    place = middle // (2 * step_ms)
    out = np.zeros((steps, sequence.shape[1]), dtype=np.float32)
    count = np.bincount(place[place < steps], minlength=steps)
    np.add.at(out, place[place < steps], sequence[place < steps])
    for k in range(steps):
        if count[k]:
            out[k] /= count[k]
        else:
            covering = (2 * k + 1) * step_ms // (2 * period_ms)
            out[k] = sequence[min(covering, len(sequence) - 1)]
    return out


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, (np.ndarray, list, tuple)) else []
