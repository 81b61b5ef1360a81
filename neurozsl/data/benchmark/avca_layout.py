"""Where the AVCA benchmark keeps what (Mercea et al. 2022; temporal features: TCaF, 2022).

    <root>/class-split/all_class.txt, <names>.csv, {main,cls}_split/stage_*.{txt,csv}
    <root>/features/<folder>/{audio,video}/<subsplit>/<Class>.h5     averaged
    <root>/features/<folder>/{audio,video}/<subsplit>/<Class>.pkl    temporal
    <root>/features/<folder>/text/word_embeddings_<key>_normed.npy   pickled dict name -> vector

In: a root. Out: names, lists and paths; no feature is read here. The vectors may also lie there as
`.npz` with `names` and `vectors`, which is how this package writes them (it writes no pickle).
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_bytes
from neurozsl.data.batch import F32
from neurozsl.data.benchmark.safe_pickle import load_npy
from neurozsl.data.vectors import as_stored

_COPY: Final = "copy the class lists again"
_MAX_LIST_BYTES: Final = 2**26

FeatureName = Literal["main", "cls", "main_temporal", "cls_temporal"]
SUBSPLITS = {
    "train": "stage_1_train",
    "val_seen": "stage_1_val_seen",
    "val_unseen": "stage_1_val_unseen",
    "test_seen": "stage_2_test_seen",
    "test_unseen": "stage_2_test_unseen",
}
MODALITIES = ("audio", "video")
VECTOR_SUFFIXES = (".npy", ".npz")
MARKER = "synthetic.json"


@dataclass(frozen=True)
class Features:
    """One kind of features: its folders (the first is the published name), suffix and widths."""

    folders: tuple[str, ...]
    suffix: str
    split: str
    widths: tuple[int, int]  # audio, video


# main: SeLaVi 512/512; cls: VGGish 128, C3D fc7 4096. TCaF's script writes `*_no_averaged`, its
# configuration reads `*_non_averaged`; both are taken.
FEATURES: dict[FeatureName, Features] = {
    "main": Features(("main_features",), ".h5", "main_split", (512, 512)),
    "cls": Features(("cls_features",), ".h5", "cls_split", (128, 4096)),
    "main_temporal": Features(
        ("main_features_non_averaged", "main_features_no_averaged"),
        ".pkl",
        "main_split",
        (512, 512),
    ),
    "cls_temporal": Features(
        ("cls_features_non_averaged", "cls_features_no_averaged"), ".pkl", "cls_split", (128, 4096)
    ),
}


@dataclass(frozen=True)
class Dataset:
    """One of the three data sets.

    Attributes:
        key: name in the vector file, and of `load_avca(dataset=)`.
        folder: name of its folder in the public repository.
        names_csv: maps its classes to the keys of the vectors.
        columns: header of its video lists; the order differs between the data sets.
        counts: published videos per split, in the order of `SUBSPLITS` (AVCA, Table 1).
    """

    key: str
    folder: str
    names_csv: str
    columns: tuple[str, ...]
    counts: tuple[int, int, int, int, int]


DATASETS = {
    "ucf": Dataset(
        "ucf",
        "UCF",
        "ucf_w2v_class_names.csv",
        ("filename", "label", "label_code"),
        (3174, 353, 1467, 555, 1267),
    ),
    "activity": Dataset(
        "activity",
        "ActivityNet",
        "activitynet_w2v_class_names.csv",
        ("filename", "label_code", "label"),
        (9204, 1023, 4307, 1615, 4199),
    ),
    "vggsound": Dataset(
        "vggsound",
        "VGGSound",
        "vggsound_w2v_class_names.csv",
        ("youtube_id", "start_seconds", "label", "split", "filename", "label_code", "category"),
        (70351, 7817, 3102, 9032, 3450),
    ),
}


def feature_name(text: str) -> FeatureName:
    """Returns a kind of features from text.

    Raises:
        BadInput: it is none.
    """
    if text not in FEATURES:
        raise BadInput(f"features: {text!r}; choose one of {', '.join(FEATURES)}")
    return text


def is_avca(root: Path) -> bool:
    """Whether the folder has the benchmark's layout."""
    return (root / "class-split").is_dir() and (root / "features").is_dir()


def class_key(name: str, dataset: str) -> str:
    """A class name as it is compared.

    UCF alone writes HandStandPushups in the splits and HandstandPushups in all_class.txt.
    """
    return name.lower() if dataset == "ucf" else name


def feature_folder(root: Path, name: FeatureName) -> Path | None:
    """Returns the folder of one kind of features, or None where it is not there."""
    found = [root / "features" / folder for folder in FEATURES[name].folders]
    return next((folder for folder in found if folder.is_dir()), None)


def present_features(root: Path) -> tuple[FeatureName, ...]:
    """Returns the kinds of features that are there, main first."""
    return tuple(name for name in FEATURES if feature_folder(root, name) is not None)


def vector_file(text: Path, dataset: str) -> Path | None:
    """Returns the file of the class vectors, the benchmark's own form first."""
    stem = f"word_embeddings_{dataset}_normed"
    found = [text / f"{stem}{suffix}" for suffix in VECTOR_SUFFIXES]
    return next((path for path in found if path.is_file()), None)


def vector_dataset(path: Path) -> str | None:
    """Returns the data set whose class vectors a file holds, by its name; None for other files."""
    return next((name for name in DATASETS if path == vector_file(path.parent, name)), None)


def present_dataset(text: Path) -> str:
    """Returns which data set a `text` folder belongs to.

    Raises:
        BadInput: none, or more than one.
    """
    found = [name for name in DATASETS if vector_file(text, name) is not None]
    if len(found) != 1:
        raise BadInput(
            f"{text}: word vectors of {found or 'no data set'}; one of {tuple(DATASETS)} is needed "
            "as word_embeddings_<name>_normed.npy; name it with dataset="
        )
    return found[0]


def read_lines(path: Path) -> list[str]:
    """Returns the non-empty lines of a class list.

    Raises:
        BadInput: it cannot be read.
    """
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def _text(path: Path) -> str:
    try:
        return read_bytes(path, remedy=_COPY, max_bytes=_MAX_LIST_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: cannot be read ({error}); {_COPY}") from error


def read_rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Returns the rows of a CSV, which must have the columns `needed`.

    Raises:
        BadInput: it cannot be read, or a column is missing.
    """
    try:
        reader = csv.DictReader(io.StringIO(_text(path), newline=""))
        rows = [{k: v or "" for k, v in row.items() if k is not None} for row in reader]
        columns = reader.fieldnames or []
    except csv.Error as error:
        raise BadInput(f"{path}: cannot be read ({error}); {_COPY}") from error
    missing = [name for name in needed if name not in columns]
    if missing:
        raise BadInput(
            f"{path}: cannot be read (columns {list(columns)}, {missing} missing); it needs the "
            f"columns {','.join(needed)}"
        )
    return rows


def vector_keys(class_split: Path, dataset: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Returns per class the key of its own vector, from the data set's `names_csv`.

    Raises:
        BadInput: the file cannot be read, or has no row for a class.
    """
    path = class_split / DATASETS[dataset].names_csv
    rows = read_rows(path, ("original", "manual"))
    manual = {class_key(row["original"], dataset): row["manual"] for row in rows}
    missing = [name for name in classes if class_key(name, dataset) not in manual]
    if missing:
        raise BadInput(f"{path}: no row for {len(missing)} class(es): {', '.join(missing[:5])}")
    return tuple(manual[class_key(name, dataset)] for name in classes)


def read_table(path: Path) -> dict[str, F32]:
    """Returns the class vectors, name -> (300,), from the pickled `.npy` or from `.npz`.

    Raises:
        BadInput: it cannot be read, or holds anything but named vectors.
    """
    if path.suffix == ".npz":
        return as_stored(path)  # the benchmark's own lengths
    value = load_npy(path)
    if not isinstance(value, dict) or not value:
        raise BadInput(f"{path}: holds {type(value).__name__}, a dict name -> vector is needed")
    bad = [str(name) for name, vector in value.items() if not _is_named_vector(name, vector)]
    if bad:
        raise BadInput(
            f"{path}: {len(bad)} entries are no vectors of finite real numbers, first {bad[0]!r}; "
            "replace it"
        )
    table = {name: np.asarray(vector, dtype=np.float32) for name, vector in value.items()}
    widths = Counter(len(vector) for vector in table.values())
    common = widths.most_common(1)[0][0]
    if odd := [name for name, vector in table.items() if len(vector) != common]:
        raise BadInput(
            f"{path}: vector of {odd[0]!r} is {len(table[odd[0]])} wide, {widths[common]} others "
            f"are {common}; one width is needed; replace it"
        )
    return table


def _is_named_vector(name: object, vector: object) -> bool:
    """Whether it is text and real numbers, finite in float32, of width 1 or more."""
    return (
        isinstance(name, str)
        and isinstance(vector, np.ndarray)
        and vector.ndim == 1
        and vector.size > 0
        and vector.dtype.kind in "biuf"
        and bool(np.all(np.abs(vector) <= np.finfo(np.float32).max))
    )


def class_files(folder: Path, dataset: str, suffix: str) -> Mapping[str, Path]:
    """Returns class key -> file of one subsplit and modality.

    Raises:
        BadInput: the folder does not exist.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: does not exist; unpack the benchmark's features there")
    return {class_key(path.stem, dataset): path for path in sorted(folder.glob(f"*{suffix}"))}
