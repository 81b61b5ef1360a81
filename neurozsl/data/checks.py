"""One check for every data set, however it was made: shapes, ids, finite values, class counts."""

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32, SPLITS, Split, ZSLData
from neurozsl.data.encoder_spec import check_specs
from neurozsl.data.mapped import Pages
from neurozsl.data.ragged import RaggedSplit

BLOCK = 1024  # samples whose values are looked at together; bounds memory


def check_data(data: ZSLData, where: str, *, values: bool = True) -> None:
    """Refuses a data set that training could not use; `where` names it in messages.

    values: look at every feature too; off where they were looked at before.

    Raises:
        BadInput: a split is missing, arrays disagree, a value is not finite, a label is out of
            range, vectors are not one unit row per class, or a training class has one sample.
    """
    count = len(data.classes)
    missing = [name for name in SPLITS if name not in data.splits]
    if missing:
        raise BadInput(f"{where}: split(s) {missing} missing, {list(SPLITS)} needed; rebuild it")
    if data.vectors.shape[0] != count or data.vectors.ndim != 2:
        raise BadInput(
            f"{where}, vectors: shape {data.vectors.shape}, one row for each of {count} classes "
            "is needed; rebuild the data set"
        )
    norms = np.linalg.norm(data.vectors, axis=1)
    if not np.all(np.abs(norms - 1.0) < 1e-3):
        worst = int(np.argmax(np.abs(np.nan_to_num(norms, nan=1e9) - 1.0)))
        raise BadInput(
            f"{where}, vectors: class {data.classes[worst]!r} has length {norms[worst]:.4g}, "
            "1 is needed; normalise the class vectors"
        )
    for name in SPLITS:
        check_split(data.splits[name], count, where, values=values)
    train = data.splits["train"]
    audio, video = train.widths
    check_specs(data.meta, {"audio": audio, "video": video, "text": data.vectors.shape[1]}, where)
    counts = np.bincount(train.label, minlength=count)
    single = [data.classes[i] for i in np.flatnonzero(counts == 1)]
    if single:
        raise BadInput(
            f"{where}, split train: class(es) with 1 sample, at least 2 are needed: "
            f"{', '.join(single)}; add samples or drop the class"
        )


def check_split(split: Split, classes: int, where: str, *, values: bool = True) -> None:
    """Refuses a split whose arrays disagree or hold impossible values."""
    place = f"{where}, split {split.name}"
    if isinstance(split, RaggedSplit):
        _check_ragged(split, place, values)
    else:
        _check_padded(split, place, values)
    n = len(split)
    if n and (split.label.min() < 0 or split.label.max() >= classes):
        row = int(np.argmax((split.label < 0) | (split.label >= classes)))
        raise BadInput(
            f"{place}, label: sample {row} ({split.names[row]}) has class id {split.label[row]}, "
            f"0 to {classes - 1} exist; correct the label"
        )


def _check_padded(split: Split, place: str, values: bool) -> None:
    n = len(split)
    for part, array in (("audio", split.audio), ("video", split.video)):
        if array.ndim != 3 or array.shape[0] != n or array.shape[1] < 1:
            raise BadInput(
                f"{place}, {part}: shape {array.shape}, ({n}, steps, width) is needed; rebuild it"
            )
        row = first_not_finite(array, split.pages) if values else None
        if row is not None:
            raise BadInput(
                f"{place}, {part}: sample {row} ({split.names[row]}) holds NaN or infinity; "
                "remove the sample or encode it again"
            )
    steps = split.audio.shape[1]
    shapes = {
        "mask": (split.mask.shape, (n, steps)),
        "video": (split.video.shape[:2], (n, steps)),
        "names": ((len(split.names),), (n,)),
    }
    if split.events is not None:
        shapes["events"] = split.events.shape[:2], (n, steps)
    for part, (actual, shape) in shapes.items():
        if actual != shape:
            raise BadInput(
                f"{place}, {part}: shape {actual}, {shape} is needed as audio has {n} "
                f"samples of {steps} steps; rebuild the data set"
            )
    if n and not split.mask.any(axis=1).all():
        row = int(np.argmin(split.mask.any(axis=1)))
        raise BadInput(
            f"{place}, mask: sample {row} ({split.names[row]}) has no real step; drop the sample"
        )


def _check_ragged(split: RaggedSplit, place: str, values: bool) -> None:
    n, rows = len(split), split.rows
    if (len(split.names), len(rows)) != (n, n):
        raise BadInput(
            f"{place}: {len(split.names)} names and {len(rows)} lengths of {n} samples; rebuild it"
        )
    for part, array in zip(("audio", "video"), rows.values, strict=True):
        row = first_not_finite(array, rows.pages) if values else None
        if row is not None:
            sample = int(np.searchsorted(rows.offset - rows.offset[0], row, "right")) - 1
            raise BadInput(
                f"{place}, {part}: sample {sample} ({split.names[sample]}) holds NaN or infinity; "
                "remove the sample or encode it again"
            )


def first_not_finite(array: F32, pages: Pages | None = None) -> int | None:
    """Returns the first row of (n, ...) with NaN or infinity, or None; looks at a block at once."""
    for start in range(0, len(array), BLOCK):
        part = array[start : start + BLOCK]
        if pages is not None:
            part = pages.take(array, np.arange(start, start + len(part)))
        bad = ~np.isfinite(part).reshape(len(part), -1).all(axis=1)
        if bad.any():
            return start + int(np.argmax(bad))
    return None
