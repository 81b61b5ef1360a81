"""A benchmark folder of stand-in features: `neurozsl data synth --like ucf|activitynet|vggsound`.

In: the benchmark's class lists (and video lists, where they are given) and its class vectors. Out:
the layout of `avca_layout`, which this package and the published loader walk alike, plus

    synthetic.json    who made it, from which seed, how many videos, and what was invented

and the attribute `synthetic` in every feature file. Lists are copied byte for byte; where a split's
video list is missing, names `synthetic_<subsplit>_<class>_<n>` are invented in the published
counts and written as a list. The vector file is copied byte for byte: a pickled `.npy` serves the
published loader too; an `.npz` serves ours alone, and none is made into a pickle, as this package
writes no pickle.
`stage_2_train` has lists but no features: no loader reads them.
"""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_folder
from neurozsl.core.hdf5_output import hdf5_output
from neurozsl.core.progress import Progress
from neurozsl.core.version import __version__
from neurozsl.data.batch import F32
from neurozsl.data.benchmark.avca import align
from neurozsl.data.benchmark.avca_layout import (
    DATASETS,
    FEATURES,
    MARKER,
    MODALITIES,
    SUBSPLITS,
    VECTOR_SUFFIXES,
    Dataset,
    class_key,
    feature_name,
    read_lines,
    read_rows,
    read_table,
    vector_keys,
)
from neurozsl.data.benchmark.averaged import MARK
from neurozsl.data.synthetic.standins import LIKE, FeatureMaker, StandInConfig

STAGE_2 = "stage_2_train"  # the three stage-1 lists together
FOLDERS = ("main_split", "cls_split")
URL_BYTES = 80
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class VideoList:
    """The videos of one subsplit: rows of its CSV, whether their names are invented, or fewer."""

    rows: Rows
    invented: bool
    reduced: bool


def write_stand_ins(
    config: StandInConfig,
    splits: Path,
    vectors: Path,
    out: Path,
    *,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Writes the folder, class by class, in bounded memory; returns what `synthetic.json` says.

    Args:
        config: settings.
        splits: folder with `all_class.txt`, `main_split` and `cls_split`, or one above it.
        vectors: the benchmark's pickled `.npy`, or an `.npz` with names and vectors.
        out: an older stand-in set there is replaced.
        progress: counts videos.

    Raises:
        BadInput: lists or vectors are missing or do not fit, or `out` holds something else.
    """
    check_stand_in_target(out)
    dataset = DATASETS[LIKE[config.like]]
    source = find_class_lists(splits, dataset)
    if vectors.suffix not in VECTOR_SUFFIXES:
        raise BadInput(f"--vectors {vectors}: give the benchmark's .npy, or an .npz")
    classes = tuple(sorted(read_lines(source / "all_class.txt")))
    table = read_table(vectors)
    used = align(vector_keys(source, dataset.key, classes), table, "by_name")
    maker = FeatureMaker.make(config, np.stack([table[key] for key in used]))
    lists = {
        subsplit: video_list(source, dataset, number, config, classes)
        for number, subsplit in enumerate(SUBSPLITS.values())
    }
    facts = _facts(config, dataset, lists, vectors)
    with whole_folder(out) as temporary:
        _write_lists(source, temporary / "class-split", dataset, lists)
        features = temporary / "features" / FEATURES[feature_name(config.features)].folders[0]
        text = features / "text"
        text.mkdir(parents=True)
        shutil.copyfile(vectors, text / f"word_embeddings_{dataset.key}_normed{vectors.suffix}")
        facts["counts"] = _write_features(
            features, source, maker, dataset, lists, classes, progress
        )
        (temporary / MARKER).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts


def check_stand_in_target(out: Path) -> None:
    """Refuses a target that holds anything but an older stand-in set.

    Raises:
        BadInput: it does.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    others = {MARKER, "class-split", "features"}
    if out.is_dir() and (out / MARKER).is_file() and {p.name for p in out.iterdir()} <= others:
        return
    raise BadInput(
        f"{out}: is no stand-in set and not empty, so it is not replaced; choose a new --out"
    )


def find_class_lists(splits: Path, dataset: Dataset) -> Path:
    """Returns the folder with `all_class.txt`: the given one, or its child of this data set.

    Raises:
        BadInput: there is none, or it belongs to another data set.
    """
    tried = (splits, splits / "class-split", splits / dataset.folder)
    for folder in tried:
        if (folder / "all_class.txt").is_file():
            if (folder / dataset.names_csv).is_file():
                return folder
            raise BadInput(
                f"{folder}: no {dataset.names_csv}, so these are not the lists of "
                f"{dataset.folder}; choose --like as the lists are"
            )
    raise BadInput(f"--splits {splits}: no all_class.txt in {', '.join(map(str, tried))}")


def video_list(
    source: Path, dataset: Dataset, number: int, config: StandInConfig, classes: Sequence[str]
) -> VideoList:
    """Returns the videos of one subsplit, from its CSV or invented in the published count."""
    subsplit = list(SUBSPLITS.values())[number]
    given = [source / folder / f"{subsplit}.csv" for folder in FOLDERS]
    path = next((path for path in given if path.is_file()), None)
    if path is not None:
        rows = read_rows(path, ("filename", "label"))
    else:
        rows = _invented(source, dataset, subsplit, dataset.counts[number], classes)
    kept, taken = [], dict[str, int]()
    for row in rows:
        key = class_key(row["label"], dataset.key)
        taken[key] = taken.get(key, 0) + 1
        if config.videos_per_class is None or taken[key] <= config.videos_per_class:
            kept.append(row)
    return VideoList(kept, path is None, len(kept) < len(rows))


def _invented(
    source: Path, dataset: Dataset, subsplit: str, count: int, classes: Sequence[str]
) -> Rows:
    """As many rows as published, spread evenly over the classes of the main split."""
    labels = sorted(read_lines(source / "main_split" / f"{subsplit}.txt"))
    ids = {class_key(name, dataset.key): i for i, name in enumerate(classes)}
    names = read_rows(source / dataset.names_csv, ("original",))
    category = {row["original"]: row.get("category", "") for row in names}
    rows = []
    for place, label in enumerate(labels):
        code = ids.get(class_key(label, dataset.key))
        if code is None:
            raise BadInput(f"{subsplit}.txt: unknown class {label!r}; see all_class.txt")
        for i in range(count // len(labels) + (place < count % len(labels))):
            name = f"synthetic_{subsplit}_{code:03d}_{i:04d}"
            values = {
                "filename": name,
                "youtube_id": name,
                "start_seconds": "0",
                "label": label,
                "label_code": str(code),
                "split": "train" if subsplit.startswith("stage_1_train") else "test",
                "category": category.get(label, ""),
            }
            rows.append({column: values[column] for column in dataset.columns})
    return rows


def _write_lists(
    source: Path, target: Path, dataset: Dataset, lists: Mapping[str, VideoList]
) -> None:
    """Copies the class lists; writes the video lists that are invented or reduced."""
    target.mkdir(parents=True)
    for name in ("all_class.txt", dataset.names_csv):
        shutil.copyfile(source / name, target / name)
    every = dict(lists)
    first = [lists[name] for name in ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen")]
    every[STAGE_2] = VideoList(
        [row for part in first for row in part.rows],
        any(part.invented for part in first),
        any(part.reduced for part in first),
    )
    for folder in FOLDERS:
        if not (source / folder).is_dir():
            continue
        (target / folder).mkdir()
        for subsplit, found in every.items():
            names = source / folder / f"{subsplit}.txt"
            if names.is_file():
                shutil.copyfile(names, target / folder / names.name)
            given = source / folder / f"{subsplit}.csv"
            if found.invented or found.reduced:
                _write_csv(target / folder / given.name, found.rows, dataset)
            elif given.is_file():
                shutil.copyfile(given, target / folder / given.name)


def _write_csv(path: Path, rows: Rows, dataset: Dataset) -> None:
    columns = tuple(rows[0]) if rows else dataset.columns
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _write_features(
    features: Path,
    source: Path,
    maker: FeatureMaker,
    dataset: Dataset,
    lists: Mapping[str, VideoList],
    classes: Sequence[str],
    progress: Progress | None,
) -> dict[str, int]:
    """Writes a file per class, split and modality; returns videos per subsplit."""
    ids = {class_key(name, dataset.key): i for i, name in enumerate(classes)}
    split = FEATURES[feature_name(maker.config.features)].split
    counts = dict.fromkeys(lists, 0)
    total, done = sum(len(found.rows) for found in lists.values()), 0
    for number, (subsplit, found) in enumerate(lists.items()):
        listed = read_lines(source / split / f"{subsplit}.txt")
        wanted = {class_key(name, dataset.key): name for name in listed}
        urls: dict[str, list[str]] = {key: [] for key in wanted}
        for row in found.rows:
            # The lists keep the videos of classes that cls_split drops; they get no features.
            if (key := class_key(row["label"], dataset.key)) in urls:
                urls[key].append(row["filename"])
        for modality in MODALITIES:
            (features / modality / subsplit).mkdir(parents=True)
        for key, names in urls.items():
            if not names:
                raise BadInput(
                    f"{source / split}, {subsplit}: class {wanted[key]!r} is in the .txt but has "
                    "no video in the .csv; complete the lists"
                )
            parts = maker.features(ids[key], number, len(names))
            for modality, values in zip(MODALITIES, parts, strict=True):
                _write_class(features / modality / subsplit / f"{wanted[key]}.h5", values, names)
            counts[subsplit] += len(names)
            done += len(names)
            if progress is not None:
                progress(done, total)
    if progress is not None:
        progress(total, total)
    return counts


def _write_class(path: Path, values: F32, names: Sequence[str]) -> None:
    encoded = [name.encode("ascii", "replace") for name in names]
    long = [name for name in encoded if len(name) > URL_BYTES]
    if long:
        raise BadInput(f"{path}: name {long[0]!r} is longer than the {URL_BYTES} bytes of the form")
    with hdf5_output(path) as (file, _):
        file.attrs[MARK] = True
        file["data"] = values
        file["video_urls"] = np.array(encoded, dtype=f"S{URL_BYTES}")


def _facts(
    config: StandInConfig, dataset: Dataset, lists: Mapping[str, VideoList], vectors: Path
) -> dict[str, object]:
    invented = [name for name, found in lists.items() if found.invented]
    return {
        "synthetic": True,
        "generator": "neurozsl.data.standin_set",
        "version": __version__,
        "config": asdict(config),
        "dataset": dataset.folder,
        "counts": {},
        "published_counts": dict(zip(SUBSPLITS.values(), dataset.counts, strict=True)),
        "invented": {
            "features": "all: drawn around each class's vector; no video was seen",
            "video_names": invented,
        },
        "real": {
            "class_lists": "copied",
            "class_vectors": f"copied as {vectors.suffix}",
            "video_names": [name for name in lists if name not in invented],
        },
        "left_out": f"features/*/*/{STAGE_2}: no loader reads it",
    }
