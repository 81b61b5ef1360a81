"""A folder of videos and a labels file -> windows -> features and events -> `ZSLData`.

Rows without a class vector and files that are broken, silent, too short, too long or copies of
another are left out and listed with the reason; `strict` refuses them instead. A class whose
training clips give a single window, and evaluation rows of a class that lost its training clips,
are left out and listed too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.data import store
from neurozsl.data.batch import SPLITS, Split, ZSLData
from neurozsl.data.clips.labels import UNLABELLED, LabelRow, read_labels
from neurozsl.data.clips.limits import ClipLimits
from neurozsl.data.clips.places import copies, find_file, real, refuse_outside, refuse_twice
from neurozsl.data.clips.video_file import read_clip
from neurozsl.data.clips.windows import WindowSpec, describe_windows
from neurozsl.data.encoders.features import Described, FeatureEncoder
from neurozsl.data.vectors import VectorFile, find_vector, read_vectors


@dataclass(frozen=True)
class Skipped:
    """A row that was left out, and why."""

    file: str
    label: str
    role: str
    reason: str


@dataclass(frozen=True)
class BuildReport:
    """What a build used and left out.

    Attributes:
        windows: samples per split.
        files: clips used.
        skipped: rows left out.
    """

    windows: dict[str, int]
    files: int
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, eq=False)
class _Encoded:
    row: LabelRow
    described: Described
    names: tuple[str, ...]


def build(
    clips_dir: Path,
    labels: Path,
    vectors: Sequence[Path],
    *,
    spec: WindowSpec | None = None,
    limits: ClipLimits | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> tuple[ZSLData, BuildReport]:
    """Reads, cuts and encodes a folder of clips; returns the data set and what was left out.

    Args:
        clips_dir: folder that the `file` column is relative to.
        labels: CSV, see `neurozsl.data.clips.labels`.
        vectors: NPZ files with `names` and `vectors`.
        spec: windows.
        limits: of one clip.
        strict: refuse what would be left out (rows of role unlabelled are never refused).
        progress: called with (clips done, clips in all).

    Raises:
        BadInput: an input file is unusable, a link leads out of the folder, two rows are one file,
            a split ends up empty, or `strict` and something would be left out.
    """
    spec = spec or WindowSpec()
    if not clips_dir.is_dir():
        raise BadInput(f"{clips_dir}: is not a folder; give the folder of the clips")
    if not vectors:
        raise BadInput("class vectors: 0 files; give at least one with --vectors")
    rows = read_labels(labels)
    files = [read_vectors(path) for path in vectors]
    refuse_outside(clips_dir, [row.file for row in rows])
    refuse_twice(clips_dir, [row.file for row in rows])
    kept, skipped = _with_vectors(rows, files)
    twice = copies(clips_dir, [row.file for row in kept])
    encoded: list[_Encoded] = []
    for done, row in enumerate(kept, start=1):
        try:
            encoded.append(_encode(clips_dir, row, spec, limits, twice))
        except BadInput as error:
            skipped.append(_skip(row, _reason(error, clips_dir, row)))
        except MemoryError:
            skipped.append(_skip(row, "needs more memory than there is; use a shorter clip"))
        if progress is not None:
            progress(done, len(kept))
    encoded, dropped = _drop_unusable(encoded)
    skipped += dropped
    refused = [skip for skip in skipped if skip.role != UNLABELLED]
    if strict and refused:
        lines = "\n".join(f"  {skip.file}: {skip.reason}" for skip in refused)
        raise BadInput(
            f"{labels}: {len(refused)} row(s) cannot be used, 0 are allowed with --strict; correct "
            f"them or leave --strict out:\n{lines}"
        )
    empty = [name for name in SPLITS if not any(part.row.role == name for part in encoded)]
    if empty:
        raise BadInput(
            f"{labels}: no usable clip for role(s) {', '.join(empty)}; each of {', '.join(SPLITS)} "
            "needs one; give more vector files or change the roles"
        )
    data = _assemble(encoded, files, spec, clips_dir.name, skipped)
    windows = {name: len(data.splits[name]) for name in SPLITS}
    return data, BuildReport(windows, len(encoded), tuple(skipped))


def write_clips(
    clips_dir: Path,
    labels: Path,
    vectors: Sequence[Path],
    out_dir: Path,
    *,
    spec: WindowSpec | None = None,
    limits: ClipLimits | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> tuple[ZSLData, BuildReport]:
    """Builds the data set and stores it in `out_dir`."""
    store.check_target(out_dir)
    data, report = build(
        clips_dir, labels, vectors, spec=spec, limits=limits, strict=strict, progress=progress
    )
    store.save(data, out_dir)
    return data, report


def _with_vectors(
    rows: Sequence[LabelRow], files: Sequence[VectorFile]
) -> tuple[list[LabelRow], list[Skipped]]:
    kept, skipped = [], []
    for row in rows:
        if row.role == UNLABELLED:
            skipped.append(_skip(row, "role is unlabelled"))
        elif find_vector(files, row.embedding_name, row.embedding_set) is None:
            given = ", ".join(file.path.name for file in files)
            skipped.append(_skip(row, f"no vector named {row.embedding_name!r} in {given}"))
        else:
            kept.append(row)
    return kept, skipped


def _encode(
    clips_dir: Path,
    row: LabelRow,
    spec: WindowSpec,
    limits: ClipLimits | None,
    twice: Mapping[str, str],
) -> _Encoded:
    if row.file in twice:
        raise BadInput(f"holds the same bytes as {twice[row.file]}")
    clip = replace(read_clip(find_file(clips_dir, row.file), limits=limits), name=row.file)
    return _Encoded(row, *describe_windows(clip, spec))


def _reason(error: BadInput, clips_dir: Path, row: LabelRow) -> str:
    """The message without the file name that the listing already gives."""
    text = str(error)
    for path in (clips_dir / row.file, real(clips_dir / row.file), row.file):
        text = text.removeprefix(f"{path}: ")
    return text


def _drop_unusable(encoded: Sequence[_Encoded]) -> tuple[list[_Encoded], list[Skipped]]:
    """Leaves out training classes of one window, then evaluation rows without training."""
    windows: Counter[str] = Counter()
    for part in encoded:
        if part.row.role in ("train", "val_unseen"):
            windows[part.row.label] += len(part.names)
    kept, dropped = [], []
    for part in encoded:
        count = windows[part.row.label]
        if part.row.role == "test_unseen" or count >= 2:
            kept.append(part)
        elif part.row.role in ("train", "val_unseen"):
            dropped.append(_skip(part.row, "its class has 1 training window, 2 are needed"))
        else:
            dropped.append(_skip(part.row, f"its class has {count} training window(s)"))
    return kept, dropped


def _assemble(
    encoded: Sequence[_Encoded],
    files: Sequence[VectorFile],
    spec: WindowSpec,
    name: str,
    skipped: Sequence[Skipped],
) -> ZSLData:
    named = {part.row.label: part.row for part in encoded}
    classes = tuple(sorted(named))
    found = [find_vector(files, named[c].embedding_name, named[c].embedding_set) for c in classes]
    groups = {split: [part for part in encoded if part.row.role == split] for split in SPLITS}
    train = Described.join([part.described for part in groups["train"]])
    encoder = FeatureEncoder.fit(train, window_s=spec.window_s)
    ids = {label: i for i, label in enumerate(classes)}
    return ZSLData(
        name=name,
        classes=classes,
        vectors=np.stack([vector for vector in found if vector is not None]),
        splits={split: _split(split, groups[split], ids, encoder) for split in SPLITS},
        synthetic=False,
        step_s=spec.window_s / spec.steps,
        meta={
            "source": "neurozsl.data.clips",
            "windows": asdict(spec),
            "vector_files": [file.path.name for file in files],
            "encoder": encoder.to_meta(),
            "skipped": [asdict(skip) for skip in skipped],
        },
    )


def _split(
    name: str, parts: Sequence[_Encoded], ids: dict[str, int], encoder: FeatureEncoder
) -> Split:
    label = np.array([ids[part.row.label] for part in parts for _ in part.names], dtype=np.int64)
    names = [window for part in parts for window in part.names]
    return encoder.split(name, Described.join([part.described for part in parts]), label, names)


def _skip(row: LabelRow, reason: str) -> Skipped:
    return Skipped(row.file, row.label, row.role, reason)
