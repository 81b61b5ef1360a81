"""A data set on disk: `dataset.h5` (arrays) and `dataset.json` (names, meta, schema).

    /classes (C,) str      /vectors (C, 300) float32
    /<split>/audio/data (n, D)   /<split>/audio/sequence (n, T, D)   and the same under video
    /<split>/events (n, T, De) uint8   /<split>/label   /<split>/mask   /<split>/names

`data` is the mean over the real steps: what the averaged-feature benchmark would see. Both files
are written into a temporary folder beside the target, which is renamed when complete.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_folder
from neurozsl.core.hdf5_output import hdf5_output
from neurozsl.core.reading import Kind, checked_object, checked_value, read_object
from neurozsl.data.batch import F32, SPLITS, Bools, Split, ZSLData
from neurozsl.data.checks import check_data
from neurozsl.data.hdf5 import PlainFile, opened
from neurozsl.data.index import Index
from neurozsl.data.set_folder import ARRAYS as ARRAYS
from neurozsl.data.set_folder import FACTS as FACTS
from neurozsl.data.set_folder import MAX_FACTS_BYTES as MAX_FACTS_BYTES
from neurozsl.data.set_folder import check_target as check_target
from neurozsl.data.set_folder import is_store as is_store

SCHEMA = 1
REBUILD = "make it again with `neurozsl data synth` or `neurozsl data build`"
META: Final[Mapping[str, Kind]] = {  # what is read of `meta`, where it is there
    "source": str,
    "features": str,
    "split": str,
    "skipped": list,
    "windows": dict,
    "config": dict,
    "encoder": dict,
    "encoders": dict,
}
KEYS: Final[Mapping[str, Kind]] = {
    "schema": int,
    "name": str,
    "synthetic": bool,
    "step_s": float,
    "counts": dict,
    "meta": dict,
}


def save(data: ZSLData, folder: Path) -> None:
    """Writes the data set; an older data set in `folder` is replaced as a whole.

    Raises:
        BadInput: the data set is not usable, or `folder` holds something else.
    """
    check_data(data, str(folder))
    check_target(folder)
    with whole_folder(folder) as temporary:
        _write_arrays(data, temporary / ARRAYS)
        write_facts(temporary, data, SCHEMA, {name: len(data.splits[name]) for name in SPLITS})


def write_facts(
    folder: Path, data: ZSLData | Index, schema: int, counts: Mapping[str, int], **more: object
) -> None:
    """Writes `dataset.json`: what a data set is, beside its arrays."""
    facts = {
        "schema": schema,
        "name": data.name,
        "synthetic": data.synthetic,
        "step_s": data.step_s,
        "counts": counts,
        "meta": dict(data.meta),
        **more,
    }
    text = json.dumps(facts, indent=1, allow_nan=False)
    (folder / FACTS).write_text(text, encoding="utf-8")


def load_store(folder: Path) -> ZSLData:
    """Reads a data set and checks it.

    Raises:
        BadInput: a file is missing, truncated or of another schema, or holds impossible values.
    """
    facts = read_facts(folder / FACTS, SCHEMA, KEYS, remedy=REBUILD)
    path = folder / ARRAYS
    with opened(path, remedy=REBUILD) as file:
        classes = file.texts("classes")
        vectors = np.asarray(file.numbers("vectors", "f", (None, None)), dtype=np.float32)
        splits = {name: _read_split(file, name) for name in SPLITS}
    data = ZSLData(
        name=facts["name"],
        classes=classes,
        vectors=vectors,
        splits=splits,
        synthetic=facts["synthetic"],
        step_s=float(facts["step_s"]),
        meta=facts["meta"],
    )
    check_data(data, str(path))
    _check_used(data, path)
    for name, count in facts["counts"].items():
        if len(splits[name]) != count:
            raise BadInput(
                f"{path}, split {name}: {len(splits[name])} samples, {FACTS} says {count}; "
                f"the two files do not belong together, {REBUILD}"
            )
    return data


def _check_used(data: ZSLData, path: Path) -> None:
    """Refuses classes that no split has a sample of: a vector without meaning, or lost clips."""
    used = np.unique(np.concatenate([split.label for split in data.splits.values()]))
    absent = [data.classes[i] for i in np.setdiff1d(np.arange(len(data.classes)), used)]
    if absent:
        raise BadInput(
            f"{path}: {len(absent)} of {len(data.classes)} class(es) without a sample in any "
            f"split: {', '.join(absent[:5])}; add samples or drop the class"
        )


def time_mean(sequence: F32, mask: Bools) -> F32:
    """Returns (n, D): the mean of (n, T, D) over the real steps."""
    weight = mask.astype(np.float32)[..., None]
    total = (sequence * weight).sum(axis=1)
    mean: F32 = total / np.maximum(weight.sum(axis=1), 1.0)
    return mean


def _write_arrays(data: ZSLData, path: Path) -> None:
    text = h5py.string_dtype()
    with hdf5_output(path) as (file, _):
        file.create_dataset("classes", data=list(data.classes), dtype=text)
        file.create_dataset("vectors", data=data.vectors)
        for name in SPLITS:
            split = data.splits[name]
            group = file.create_group(name)
            for part, sequence in (("audio", split.audio), ("video", split.video)):
                group.create_dataset(f"{part}/data", data=time_mean(sequence, split.mask))
                group.create_dataset(f"{part}/sequence", data=sequence)
            group.create_dataset("label", data=split.label)
            group.create_dataset("mask", data=split.mask)
            group.create_dataset("names", data=list(split.names), dtype=text)
            if split.events is not None:
                packed = {"compression": "gzip", "compression_opts": 1} if len(split) else {}
                group.create_dataset("events", data=split.events, **packed)


def _read_split(file: PlainFile, name: str) -> Split:
    sequence = (None, None, None)
    label = file.numbers(f"{name}/label", "iu", (None,))
    events = f"{name}/events" if file.holds(name, "events") else None
    return Split(
        name=name,
        audio=np.asarray(file.numbers(f"{name}/audio/sequence", "fiu", sequence), dtype=np.float32),
        video=np.asarray(file.numbers(f"{name}/video/sequence", "fiu", sequence), dtype=np.float32),
        label=label.astype(np.int64),
        mask=file.numbers(f"{name}/mask", "b", (None, None)),
        names=file.texts(f"{name}/names"),
        events=None if events is None else file.numbers(events, "u1", sequence),
    )


def read_facts(path: Path, schema: int, keys: Mapping[str, Kind], *, remedy: str) -> dict[str, Any]:
    """Returns what `write_facts` wrote, every value of `KEYS` checked.

    Raises:
        BadInput: no such file, no JSON object, another schema, or a value that cannot be.
    """
    facts = read_object(path, remedy=remedy, keys={"schema": int}, max_bytes=MAX_FACTS_BYTES)
    if facts["schema"] != schema:
        raise BadInput(f"{path}: schema {facts['schema']}, this version reads {schema}; {remedy}")
    checked_object(facts, str(path), remedy=remedy, keys=keys)
    counts = facts["counts"]
    if set(counts) != set(SPLITS):
        listed = ", ".join(map(repr, list(counts)[:8])) or "nothing"
        raise BadInput(f"{path}: counts of {listed}, expected {', '.join(SPLITS)}; {remedy}")
    for name, count in counts.items():
        checked_value(count, f"{path}: count of {name}", int, remedy=remedy)
        if count < 0:
            raise BadInput(f"{path}: count of {name} is {count}, expected 0 or more; {remedy}")
    for key, kind in META.items():
        if key in facts["meta"]:
            checked_value(facts["meta"][key], f"{path}: meta '{key}'", kind, remedy=remedy)
    for skip in facts["meta"].get("skipped", ()):
        checked_object(skip, f"{path}: meta 'skipped'", remedy=remedy)
    if facts["step_s"] <= 0:
        raise BadInput(f"{path}: step_s is {facts['step_s']}, expected a time above 0 s; {remedy}")
    return facts
