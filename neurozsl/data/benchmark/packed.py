"""A data set as one memory-mapped file: `dataset.h5` with contiguous arrays, `dataset.json`.

    /label (N,)   /names (N,)   /classes (C,)   /vectors/by_name (C, 300)   /vectors/legacy (C, 300)
    and the features, of one length or of many, see `packed_features`

N counts all five splits one after the other, in the order of `SPLITS`; `counts` in the JSON says
how many each has. So train, val_seen and val_unseen are one slice, and stage 2 joins them without
a copy. HDF5 stores such arrays as plain bytes at a known offset: features are mapped from there
(`mapped`) and read when a batch asks for them. Written as a stream, with values checked on the way
and hashed afterwards; `load_packed` reads names and labels alone as long as size and time of the
file are those noted. So a change that keeps both is seen by `neurozsl data check` alone, and
`--deep` names the arrays that changed (`changed_arrays`).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_folder
from neurozsl.core.hdf5_output import hdf5_output
from neurozsl.core.progress import Progress
from neurozsl.core.reading import Kind, checked_object, read_object
from neurozsl.data.batch import SPLITS, ZSLData
from neurozsl.data.benchmark.avca_layout import FEATURES, FeatureName
from neurozsl.data.benchmark.packed_features import REPACK as REPACK
from neurozsl.data.benchmark.packed_features import read_features, write_features
from neurozsl.data.checks import check_data
from neurozsl.data.hdf5 import PlainFile, opened
from neurozsl.data.index import ALIGNMENTS, Alignment, Block, Index, Rows, assemble
from neurozsl.data.ragged import RaggedRows
from neurozsl.data.store import (
    ARRAYS,
    FACTS,
    KEYS,
    MAX_FACTS_BYTES,
    check_target,
    read_facts,
    write_facts,
)

SCHEMA = 2
ALIGN_BYTES = 64  # of arrays in the file; a mapped float32 must lie on a multiple of 4
PACKED_KEYS: Final[Mapping[str, Kind]] = {**KEYS, "arrays": dict}
NOTED: Final[Mapping[str, Kind]] = {"sha256": str, "bytes": int, "mtime_ns": int}


def is_packed(folder: Path) -> bool:
    """Whether the folder was written by `write`."""
    try:
        facts = read_object(folder / FACTS, remedy=REPACK, max_bytes=MAX_FACTS_BYTES)
    except BadInput:
        return False
    return facts.get("schema") == SCHEMA


def write(index: Index, folder: Path, *, progress: Progress | None = None) -> None:
    """Writes a data set as a stream of blocks; an older data set in `folder` is replaced.

    Raises:
        BadInput: a value is not finite, a block has another shape, or `folder` holds other things.
    """
    check_target(folder)
    with whole_folder(folder) as temporary:
        path = temporary / ARRAYS
        aligned = {"alignment_threshold": ALIGN_BYTES, "alignment_interval": ALIGN_BYTES}
        with hdf5_output(path, **aligned) as (file, stream):
            _write_small(file, index)
            write_features(file, stream, index, progress)
        state = path.stat()
        arrays = {
            "sha256": sha256(path),
            "bytes": state.st_size,
            "mtime_ns": state.st_mtime_ns,
            "each": _digests(path),
        }
        counts = {name: index.count(name) for name in SPLITS}
        write_facts(temporary, index, SCHEMA, counts, arrays=arrays)


def load_packed(
    folder: Path, *, feature_name: FeatureName | None = None, label_alignment: Alignment = "by_name"
) -> ZSLData:
    """Opens what `write` wrote; its features stay in the file.

    feature_name: refused where the file holds others. label_alignment: "by_name", or "legacy"
    where it was made from the benchmark.

    Raises:
        BadInput: a file is missing or damaged, or has changed since it was written.
    """
    facts = _read_facts(folder)
    path = folder / ARRAYS
    _check_unchanged(path, facts["arrays"])
    with opened(path, remedy=REPACK) as file:
        index, rows = _open(file, path, facts)
    holds = index.meta.get("features")
    if feature_name is not None and holds not in FEATURES[feature_name].folders:
        raise BadInput(f"{folder}: holds {holds}, not {feature_name} features; convert those")
    data = assemble(index, rows, label_alignment)
    # Finite values were checked while writing, and the file is the one that was written.
    check_data(data, str(path), values=False)
    return data


def array_digest(folder: Path) -> str:
    """Returns the sha256 of the arrays: the noted one, or computed where the file looks changed."""
    noted = _read_facts(folder)["arrays"]
    path = folder / ARRAYS
    return str(noted["sha256"]) if _looks_unchanged(path, noted) else sha256(path)


def changed_arrays(folder: Path) -> dict[str, str]:
    """Returns what differs from the hashes that were noted when the file was written: name -> how.

    Every array is read. Empty where all agree.

    Raises:
        BadInput: a file is missing or so damaged that its arrays cannot be found, or it was written
            before each array was hashed.
    """
    noted = _read_facts(folder)["arrays"].get("each")
    if not isinstance(noted, dict):
        raise BadInput(f"{folder / FACTS}: no hash of each array is noted there; {REPACK}")
    found = _digests(folder / ARRAYS)
    return {
        name: "holds other values"
        if name in noted and name in found
        else ("is missing" if name in noted else "was added")
        for name in sorted(noted.keys() | found.keys())
        if noted.get(name) != found.get(name)
    }


def _digests(path: Path) -> dict[str, str]:
    """sha256 of every array: of its type and shape, then its values."""
    found = {}
    with opened(path, remedy=REPACK) as file:
        names = [*file.keys(""), *(f"vectors/{name}" for name in file.keys("vectors"))]
        for name in names:
            if name == "vectors":
                continue
            digest = hashlib.sha256()
            for part in file.content(name):
                digest.update(part)
            found[name] = digest.hexdigest()
    return found


def facts_digest(folder: Path) -> str:
    """Returns the sha256 of `dataset.json` without the file times, which a copy changes."""
    facts = _read_facts(folder)
    facts["arrays"] = facts["arrays"]["sha256"]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _write_small(file: Any, index: Index) -> None:
    text = h5py.string_dtype()
    blocks = [block for name in SPLITS for block in index.blocks[name]]
    file.create_dataset("classes", data=list(index.classes), dtype=text)
    for alignment, vectors in index.vectors.items():
        file.create_dataset(f"vectors/{alignment}", data=vectors)
    file.create_dataset("label", data=np.concatenate([block.label for block in blocks]))
    names = [name for block in blocks for name in block.names]
    file.create_dataset("names", data=names, dtype=text)


def _open(file: PlainFile, path: Path, facts: dict[str, Any]) -> tuple[Index, Rows | RaggedRows]:
    names = file.texts("names")
    n = len(names)
    label = file.numbers("label", "iu", (n,)).astype(np.int64)
    rows, audio, video = read_features(file, path, n)
    classes = file.texts("classes")
    vectors = {
        name: np.asarray(
            file.numbers(f"vectors/{name}", "f", (len(classes), None)), dtype=np.float32
        )
        for name in ALIGNMENTS
        if name in file.keys("vectors")
    }
    blocks, start = {}, 0
    for name in SPLITS:
        stop = start + facts["counts"][name]
        blocks[name] = (Block(label[start:stop], names[start:stop], _not_read),)
        start = stop
    if start != n:
        raise BadInput(f"{path}: {n} samples, {FACTS} says {start}; {REPACK}")
    index = Index(
        name=facts["name"],
        classes=classes,
        vectors=vectors,
        blocks=blocks,
        audio_shape=audio,
        video_shape=video,
        synthetic=facts["synthetic"],
        step_s=float(facts["step_s"]),
        meta=facts["meta"],
        events_width=rows.events.shape[2]
        if isinstance(rows, Rows) and rows.events is not None
        else None,
    )
    return index, rows


def _not_read() -> Rows:
    raise AssertionError("features of a packed set are mapped, not read")


def _check_unchanged(path: Path, noted: dict[str, Any]) -> None:
    if not path.is_file():
        raise BadInput(f"{path}: does not exist; {REPACK}")
    if _looks_unchanged(path, noted):
        return
    if path.stat().st_size != noted["bytes"] or sha256(path) != noted["sha256"]:
        raise BadInput(f"{path}: cut short, or changed since it was written; {REPACK}")


def _looks_unchanged(path: Path, noted: dict[str, Any]) -> bool:
    state = path.stat()
    return bool((state.st_size, state.st_mtime_ns) == (noted["bytes"], noted["mtime_ns"]))


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS
    facts = read_facts(path, SCHEMA, PACKED_KEYS, remedy=REPACK)
    checked_object(facts["arrays"], f"{path}: arrays", remedy=REPACK, keys=NOTED)
    return facts
