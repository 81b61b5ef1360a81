"""A folder of videos and a labels file -> windows -> features and events -> `ZSLData`.

Rows without a class vector and files that are broken, silent, too short, too long or copies of
another are left out and listed with the reason; `strict` refuses them instead. A class whose
training clips give a single window, and evaluation rows of a class that lost its training clips,
are left out and listed too. What the class vectors decide of this is told before the first clip is
decoded. Class vectors come from files, or from a text encoder that reads the names of the classes.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.data import store
from neurozsl.data.batch import F32, SPLITS, Split, ZSLData
from neurozsl.data.clips.described import ClipFile, ClipWindows, describe_all
from neurozsl.data.clips.encode import ClipEncoders
from neurozsl.data.clips.labels import UNLABELLED, LabelRow, read_labels
from neurozsl.data.clips.limits import ClipLimits
from neurozsl.data.clips.places import copies, find_file, real, refuse_outside, refuse_twice
from neurozsl.data.clips.windows import WindowSpec
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
    encoders: ClipEncoders | None = None,
    on: Workers = ALONE,
    progress: Progress | None = None,
) -> tuple[ZSLData, BuildReport]:
    """Reads, cuts and encodes a folder of clips; returns the data set and what was left out.

    Args:
        clips_dir: folder that the `file` column is relative to.
        labels: CSV, see `neurozsl.data.clips.labels`.
        vectors: NPZ files with `names` and `vectors`; none with a text encoder.
        spec: windows.
        limits: of one clip.
        strict: refuse what would be left out (rows of role unlabelled are never refused).
        encoders: pretrained ones; None: hand-made features.
        on: where clips are decoded and encoded; the set is the same bits.
        progress: called with (clips done, clips in all).

    Raises:
        BadInput: an input file is unusable, a link leads out of the folder, two rows are one file,
            a split ends up empty, or `strict` and something would be left out.
    """
    spec, encoders = spec or WindowSpec(), encoders or ClipEncoders()
    if not clips_dir.is_dir():
        raise BadInput(f"{clips_dir}: is not a folder; give the folder of the clips")
    _check_sources(vectors, encoders)
    rows = read_labels(labels)
    files = [read_vectors(path) for path in vectors]
    refuse_outside(clips_dir, [row.file for row in rows])
    refuse_twice(clips_dir, [row.file for row in rows])
    if encoders.words is None:
        kept, skipped = _with_vectors(rows, files)
        _tell_early(rows, kept, files, labels)
    else:
        kept = [row for row in rows if row.role != UNLABELLED]
        skipped = [_skip(row, "role is unlabelled") for row in rows if row.role == UNLABELLED]
    twice = copies(clips_dir, [row.file for row in kept])
    encoded, unread = _encode(clips_dir, kept, spec, limits, twice, encoders, on, progress)
    skipped += unread
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
    data = _assemble(encoded, files, spec, clips_dir.name, skipped, encoders)
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
    encoders: ClipEncoders | None = None,
    on: Workers = ALONE,
    progress: Progress | None = None,
) -> tuple[ZSLData, BuildReport]:
    """Builds the data set and stores it in `out_dir`."""
    store.check_target(out_dir)
    data, report = build(
        clips_dir,
        labels,
        vectors,
        spec=spec,
        limits=limits,
        strict=strict,
        encoders=encoders,
        on=on,
        progress=progress,
    )
    store.save(data, out_dir)
    return data, report


def _check_sources(vectors: Sequence[Path], encoders: ClipEncoders) -> None:
    """Class vectors come from one place."""
    if encoders.words is None and not vectors:
        raise BadInput(
            "class vectors: 0 files; give at least one with --vectors, or --text-encoder minilm"
        )
    if encoders.words is not None and vectors:
        raise BadInput(
            f"class vectors: {len(vectors)} file(s) and text encoder "
            f"'{encoders.words.spec.name}'; the classes of a set have vectors of one kind: give "
            "either --vectors or --text-encoder"
        )


def _tell_early(
    rows: Sequence[LabelRow], kept: Sequence[LabelRow], files: Sequence[VectorFile], labels: Path
) -> None:
    """Names the vectors that are missing, before anything is decoded.

    Raises:
        BadInput: without them a role has no row left.
    """
    known = set(kept)
    absent: dict[str, list[LabelRow]] = defaultdict(list)
    for row in rows:
        if row.role != UNLABELLED and row not in known:
            absent[row.embedding_set].append(row)
    if not absent:
        return
    told = []
    for name, without in sorted(absent.items()):
        classes = sorted({row.embedding_name for row in without})
        more = f" and {len(classes) - 3} more" if len(classes) > 3 else ""
        there = any(name and name.lower() in file.path.stem.lower() for file in files)
        of = f"set {name!r}" if name else "no set"
        what = "of which a file is given" if there else "of which no file is given"
        listed = ", ".join(map(repr, classes[:3]))
        told.append(f"{of}{f' ({what})' if name else ''}: {len(without)} row(s), as {listed}{more}")
    given = ", ".join(file.path.name for file in files)
    text = f"{labels}: class vectors are missing in {given}, by embedding_set: {'; '.join(told)}"
    empty = [name for name in SPLITS if not any(row.role == name for row in kept)]
    if empty:
        raise BadInput(
            f"{text}; no usable clip for role(s) {', '.join(empty)} is left; give the file of each "
            "set with --vectors, its name with the set's in it, or use --text-encoder"
        )
    logging.getLogger(__name__).warning("note: %s; these rows are left out", text)


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
    rows: Sequence[LabelRow],
    spec: WindowSpec,
    limits: ClipLimits | None,
    twice: Mapping[str, str],
    encoders: ClipEncoders,
    on: Workers,
    progress: Progress | None,
) -> tuple[list[_Encoded], list[Skipped]]:
    """What became of the rows, in their order, whichever is ready first."""
    files: dict[int, ClipFile] = {}
    reasons: dict[int, str] = {}
    for index, row in enumerate(rows):
        try:
            if row.file in twice:
                raise BadInput(f"holds the same bytes as {twice[row.file]}")
            files[index] = ClipFile(row.file, find_file(clips_dir, row.file).absolute())
        except BadInput as error:
            reasons[index] = _reason(error, clips_dir, row)
    places, found = list(files), dict[int, ClipWindows]()
    for done, (number, windows) in enumerate(
        describe_all([*files.values()], spec, limits, encoders, on), start=len(reasons) + 1
    ):
        index = places[number]
        found[index] = windows
        if windows.described is None:
            reasons[index] = _reason(windows.reason, clips_dir, rows[index])
        if progress is not None:
            progress(done, len(rows))
    encoded = []
    for index, row in enumerate(rows):
        described = found[index].described if index in found else None
        if described is not None:
            encoded.append(_Encoded(row, described, found[index].names))
    return encoded, [_skip(row, reasons[i]) for i, row in enumerate(rows) if i in reasons]


def _reason(error: BadInput | str, clips_dir: Path, row: LabelRow) -> str:
    """The message without the file name that the listing already gives."""
    text = str(error)
    found = clips_dir / row.file
    for path in (found, found.absolute(), real(clips_dir / row.file), row.file):
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
    encoders: ClipEncoders,
) -> ZSLData:
    named = {part.row.label: part.row for part in encoded}
    classes = tuple(sorted(named))
    groups = {split: [part for part in encoded if part.row.role == split] for split in SPLITS}
    train = Described.join([part.described for part in groups["train"]])
    encoder = FeatureEncoder.fit(train, window_s=spec.window_s, pretrained=encoders.pretrained)
    ids = {label: i for i, label in enumerate(classes)}
    return ZSLData(
        name=name,
        classes=classes,
        vectors=_class_vectors([named[name] for name in classes], files, encoders),
        splits={split: _split(split, groups[split], ids, encoder) for split in SPLITS},
        synthetic=False,
        step_s=spec.window_s / spec.steps,
        meta={
            "source": "neurozsl.data.clips",
            "windows": asdict(spec),
            "vector_files": [file.path.name for file in files],
            "encoder": encoder.to_meta(),
            "skipped": [asdict(skip) for skip in skipped],
            **encoders.to_meta(),
        },
    )


def _class_vectors(
    rows: Sequence[LabelRow], files: Sequence[VectorFile], encoders: ClipEncoders
) -> F32:
    """(C, width), one row for a row of labels."""
    if encoders.words is not None:
        return encoders.text([row.label for row in rows])
    found = [find_vector(files, row.embedding_name, row.embedding_set) for row in rows]
    return np.stack([vector for vector in found if vector is not None])


def _split(
    name: str, parts: Sequence[_Encoded], ids: dict[str, int], encoder: FeatureEncoder
) -> Split:
    label = np.array([ids[part.row.label] for part in parts for _ in part.names], dtype=np.int64)
    names = [window for part in parts for window in part.names]
    return encoder.split(name, Described.join([part.described for part in parts]), label, names)


def _skip(row: LabelRow, reason: str) -> Skipped:
    return Skipped(row.file, row.label, row.role, reason)
