"""`kept.npz`: what a run keeps of its data set, so that the folder is of use without it.

What reads the data set, and what it takes where the set is not there (`KeptData`):

    asked for by                 reads of the set                      without it
    opening, `nz.load`           classes, vectors, facts               kept: all of them
    `export`: calibration        256 training samples, as the chip     kept: the codes themselves
    `export`: golden samples     16 test samples (--samples)           kept: up to these 16
    `export`: HM of each step    all test samples                      not scored, and said so
    `simulate BUNDLE`            16 test samples (--limit)             kept: up to these 16
    `simulate --input`           nothing                               as with it
    `verify`                     nothing: golden.npz of the bundle     as with it
    `profile`, `--report`        all test samples                      what `pack` measured
    `evaluate`, `--margin auto`  test samples; validation samples      refused, by fingerprint
    fine-tuning, pruning         training samples                      refused, by fingerprint

Whatever is taken from here gives the numbers that the set gives: codes are stored, not made again,
and a number of samples that is not kept is refused, never replaced by others.

Held, all in one archive without pickles (arrays by name, `facts` is JSON)::

    facts                              name, synthetic, step_s, meta (encoders and their specs, as
                                       the set says them), classes, samples per split, input codes
    vectors (C, 300)                   class vectors      roles/SPLIT   ids of its classes
    calibration/codes/INPUT, theta/LAYER      what the chip read of up to 256 training samples
    SPLIT/rows, audio, video, mask, label, events     up to 8 samples of each test split

Size, measured: 0.52 MB for the demo (256 channels of each input, 10 steps), 1.1 to 1.3 MB for 512
channels; dynamic thresholds add 0.05 MB. `result.json` notes its SHA-256 (`seal`). Runs of earlier
versions have none and need their data set.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.core.npz import Array, read_npz
from neurozsl.core.reading import Kind, brief, checked_object, checked_value, parse_json
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.data.batch import F32, I64, SPLITS, Split, ZSLData
from neurozsl.data.set_folder import MAX_FACTS_BYTES
from neurozsl.models.base import ZSLModel, branch_of
from neurozsl.runs.seal import RESTORE
from neurozsl.runs.settings import DataElsewhere
from neurozsl.scoring.metrics import Problem
from neurozsl.scoring.samples import calibration_of, spread

KEPT: Final = "kept.npz"
TEST_SAMPLES: Final = 16  # golden samples of an export, samples of `simulate`: both by default
MAX_BYTES: Final = 2**28
_SCHEMA: Final = 1
_TESTS: Final = ("test_seen", "test_unseen")
_FACTS: Final[Mapping[str, Kind]] = {
    "schema": int,
    "name": str,
    "synthetic": bool,
    "step_s": float,
    "meta": dict,
    "classes": list,
    "sizes": dict,
    "names": dict,
    "inputs": dict,
}

TestSplit = Literal["test_seen", "test_unseen"]


@dataclass(frozen=True, eq=False)
class KeptSamples:
    """Samples of a test split. rows: their places in the whole split, of `size` samples."""

    split: Split
    rows: I64
    size: int

    def places(self, count: int) -> I64 | None:
        """Where the `count` evenly spread samples of the split lie here; None: not all do."""
        wanted = spread(self.size, count)
        if not np.isin(wanted, self.rows).all():
            return None
        return np.searchsorted(self.rows, wanted).astype(np.int64)


@dataclass(frozen=True, eq=False)
class KeptSet:
    """What `kept.npz` holds.

    roles: ids of the classes of every split. sizes: samples of every split. calibration: None where
    nothing spikes.
    """

    name: str
    classes: tuple[str, ...]
    vectors: F32
    synthetic: bool
    step_s: float
    meta: Mapping[str, object]
    roles: Mapping[str, I64]
    sizes: Mapping[str, int]
    calibration: ChipInput | None
    samples: Mapping[str, KeptSamples]

    def problem(self, label: I64) -> Problem:
        """What the test of stage 2 asks, of samples of these labels."""
        return Problem(label, self.roles["test_seen"], self.roles["test_unseen"])


class _Absent(Mapping[str, Split]):
    """The splits of a set that is not there: whoever asks for one is told which set is needed."""

    def __init__(self, why: str) -> None:
        self._why = why

    def _refuse(self) -> NoReturn:
        raise DataElsewhere(self._why)

    def __getitem__(self, name: str) -> Split:
        self._refuse()

    def __iter__(self) -> Iterator[str]:
        self._refuse()

    def __len__(self) -> int:
        self._refuse()


@dataclass(frozen=True, eq=False)
class KeptData(ZSLData):
    """A data set of which only `kept` is there; its splits and stages raise `DataElsewhere`.

    why: its message.
    """

    kept: KeptSet
    why: str

    def absent(self) -> DataElsewhere:
        """The refusal of what needs more than is kept: which data set, looked for where."""
        return DataElsewhere(self.why)

    @property
    def calibration(self) -> ChipInput:
        """What the chip reads of the training samples that calibrate.

        Raises:
            BadInput: nothing spikes.
        """
        if self.kept.calibration is None:
            raise BadInput(f"{self.name}: no calibration is kept, as the model has no branch")
        return self.kept.calibration

    def test_rows(self, name: TestSplit, count: int) -> tuple[Split, I64]:
        """The `count` evenly spread samples of a test split: a split that holds them, and where.

        Raises:
            DataElsewhere: not all of them are kept.
        """
        found = self.kept.samples[name]
        places = found.places(count)
        if places is None:
            raise DataElsewhere(
                f"{self.why}; without it: {len(found.rows)} of {found.size} samples of {name} are "
                f"kept, the {count} that were asked for are not all among them, {TEST_SAMPLES} of "
                "both test splits are"
            )
        return found.split, places


def kept_data(kept: KeptSet, why: str) -> KeptData:
    """The data set as far as it is kept; why: what is told where more is asked for."""
    return KeptData(
        name=kept.name,
        classes=kept.classes,
        vectors=kept.vectors,
        splits=_Absent(why),
        synthetic=kept.synthetic,
        step_s=kept.step_s,
        meta=kept.meta,
        kept=kept,
        why=why,
    )


# ---------------------------------------------------------------- written


def write_kept(path: Path, data: ZSLData, model: ZSLModel) -> None:
    """Write `kept.npz` into a run folder; model: as the finished run is opened."""
    calibration = _calibration(model, data)
    samples = {name: _taken(data.splits[name]) for name in _TESTS}
    facts = {
        "schema": _SCHEMA,
        "name": data.name,
        "synthetic": data.synthetic,
        "step_s": data.step_s,
        "meta": dict(data.meta),
        "classes": list(data.classes),
        "sizes": {name: len(data.splits[name]) for name in SPLITS},
        "names": {name: list(split.names) for name, (_, split) in samples.items()},
        "inputs": {}
        if calibration is None
        else {name: asdict(code) for name, code in calibration.code.items()},
    }
    text = json.dumps(facts, sort_keys=True, allow_nan=False).encode()
    arrays: dict[str, Any] = {"facts": np.frombuffer(text, np.uint8), "vectors": data.vectors}
    for name in SPLITS:
        arrays[f"roles/{name}"] = data.splits[name].classes()
    if calibration is not None:
        for name, codes in calibration.codes.items():
            arrays[f"calibration/codes/{name}"] = _narrow(codes)
        for name, theta in (calibration.theta or {}).items():
            arrays[f"calibration/theta/{name}"] = theta
    for name, (rows, split) in samples.items():
        parts: dict[str, Any] = {"rows": rows, "audio": split.audio, "video": split.video}
        parts |= {"mask": split.mask, "label": split.label}
        parts |= {} if split.events is None else {"events": split.events}
        arrays |= {f"{name}/{part}": array for part, array in parts.items()}
    with whole_file(path / KEPT) as part, part.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _calibration(model: ZSLModel, data: ZSLData) -> ChipInput | None:
    """What calibrates an export of this model; None of one that no chip takes."""
    branch = branch_of(model)
    if branch is None or not branch.spiking_layers():
        return None
    try:
        policy = branch.spec().policy
    except BadInput:  # its export is refused before it asks
        return None
    return calibration_of(model, data.stage(2).train, policy).to_numpy()


def _taken(split: Split) -> tuple[I64, Split]:
    """Evenly spread samples of a test split, copied."""
    rows = spread(len(split), TEST_SAMPLES // 2)
    batch = split.batch(rows).padded()
    events = None if batch.events is None else batch.events.numpy().astype(np.uint8)
    names = tuple(split.names[row] for row in rows)
    audio, video, label, mask = (
        x.numpy() for x in (batch.audio, batch.video, batch.label, batch.mask)
    )
    return rows, Split(split.name, audio, video, label, mask, names, events)


def _narrow(codes: Array) -> Array:
    """The same whole numbers in a byte each, where they go into it."""
    for kind in (np.int8, np.uint8):
        limits = np.iinfo(kind)
        if limits.min <= codes.min(initial=0) and codes.max(initial=0) <= limits.max:
            return codes.astype(kind)
    return codes


# ---------------------------------------------------------------- read


def read_kept(path: Path) -> KeptSet:
    """What a run folder keeps of its data set.

    Raises:
        BadInput: the file is missing, damaged, or its parts do not fit each other.
    """
    file = path / KEPT
    arrays = read_npz(file, remedy=RESTORE, needed=("facts", "vectors"), max_bytes=MAX_BYTES)
    try:
        return _read(file, arrays)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise BadInput(
            f"{file}: is not what a run keeps of its data ({brief(error)}); {RESTORE}"
        ) from error


def _read(file: Path, arrays: Mapping[str, Array]) -> KeptSet:
    text = arrays["facts"].astype(np.uint8).tobytes()
    _check(file, len(text) <= MAX_FACTS_BYTES, f"facts of {len(text)} bytes")
    where = f"{file}: facts"
    facts = checked_object(parse_json(text, where, remedy=RESTORE), where, remedy=RESTORE)
    if facts.get("schema") != _SCHEMA:
        raise BadInput(
            f"{file}: schema {facts.get('schema')!r}, this version reads {_SCHEMA}; give the data "
            "set of the run, or use the version that wrote it"
        )
    checked_object(facts, where, remedy=RESTORE, keys=_FACTS)
    classes = tuple(checked_value(x, where, str, remedy=RESTORE) for x in facts["classes"])
    vectors = arrays["vectors"]
    fits = vectors.ndim == 2 and vectors.dtype.kind == "f" and len(vectors) == len(classes)
    _check(file, fits, f"vectors of shape {vectors.shape} for {len(classes)} classes")
    roles, sizes = dict[str, I64](), dict[str, int]()
    for name in SPLITS:
        ids = arrays[f"roles/{name}"].astype(np.int64)
        _check(file, _within(ids, len(classes)), f"classes of {name} that are none")
        roles[name] = ids
        sizes[name] = checked_value(facts["sizes"][name], where, int, remedy=RESTORE)
    return KeptSet(
        name=facts["name"],
        classes=classes,
        vectors=vectors.astype(np.float32),
        synthetic=facts["synthetic"],
        step_s=float(facts["step_s"]),
        meta=facts["meta"],
        roles=roles,
        sizes=sizes,
        calibration=_read_calibration(file, facts["inputs"], arrays),
        samples={name: _read_samples(file, name, facts, arrays, len(classes)) for name in _TESTS},
    )


def _read_calibration(
    file: Path, inputs: Mapping[str, Any], arrays: Mapping[str, Array]
) -> ChipInput | None:
    if not inputs:
        return None
    begun = "calibration/theta/"
    theta = {k.removeprefix(begun): v for k, v in arrays.items() if k.startswith(begun)}
    try:
        code = {name: InputCode(**fields) for name, fields in inputs.items()}
        codes = {name: arrays[f"calibration/codes/{name}"].astype(np.int16) for name in code}
        found = ChipInput(codes, code, theta or None).to_numpy()
    except BadInput as error:
        raise BadInput(f"{file}: {error}; {RESTORE}") from error
    shape = (found.batch, found.steps)
    every = [*(x.shape[:2] for x in codes.values()), *(x.shape for x in theta.values())]
    _check(file, all(x == shape for x in every), "calibration of several lengths")
    return found


def _read_samples(
    file: Path, name: str, facts: Mapping[str, Any], arrays: Mapping[str, Array], classes: int
) -> KeptSamples:
    part = {key: arrays[f"{name}/{key}"] for key in ("rows", "audio", "video", "label", "mask")}
    events = arrays.get(f"{name}/events")
    names = tuple(facts["names"][name])
    rows, size = part["rows"].astype(np.int64), int(facts["sizes"][name])
    steps = part["mask"].shape
    fits = len(steps) == 2 and part["mask"].dtype == bool and rows.shape == steps[:1]
    fits &= part["label"].shape == steps[:1] and len(names) == len(rows)
    frames = [part["audio"], part["video"], *([] if events is None else [events])]
    fits &= all(x.ndim == 3 and len(x) == len(rows) for x in frames)
    fits &= bool(np.all(np.diff(rows) > 0)) and _within(rows, size)
    _check(file, fits and _within(part["label"], classes), f"samples of {name} that do not fit")
    split = Split(
        name=name,
        audio=part["audio"].astype(np.float32),
        video=part["video"].astype(np.float32),
        label=part["label"].astype(np.int64),
        mask=part["mask"],
        names=tuple(map(str, names)),
        events=None if events is None else events.astype(np.uint8),
    )
    return KeptSamples(split, rows, size)


def _within(ids: npt.NDArray[Any], size: int) -> bool:
    return bool(ids.dtype.kind in "iu" and np.all((ids >= 0) & (ids < size)))


def _check(file: Path, fits: bool, what: str) -> None:
    if not fits:
        raise BadInput(f"{file}: holds {what}; {RESTORE}")
