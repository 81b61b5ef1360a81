"""`neurozsl data check`: everything that is odd about a data set folder, in one go.

In: any folder that `load` takes. Out: a `CheckReport`. A benchmark root is walked file by file (see
`check_lists`, `check_features`), so that one damaged file does not hide the next; a folder that
`neurozsl data` wrote is opened, its values looked at, and a memory-mapped one hashed; elsewhere one
whose size and time are those noted is opened without that.
"""

from pathlib import Path

import numpy as np

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.tree import files_below
from neurozsl.data import store
from neurozsl.data.benchmark import packed
from neurozsl.data.benchmark.avca import read_marker
from neurozsl.data.benchmark.avca_layout import (
    DATASETS,
    FEATURES,
    class_key,
    feature_folder,
    is_avca,
    present_features,
    read_table,
    vector_file,
    vector_keys,
)
from neurozsl.data.benchmark.check_features import check_features, check_pickles
from neurozsl.data.benchmark.check_lists import Lists, check_lists
from neurozsl.data.benchmark.findings import AlignedSplit, CheckReport, Found
from neurozsl.data.checks import check_data

WORDS = 300
_REPACKED = f"the set changed since it was written, {packed.REPACK}"


def check_folder(
    folder: Path, *, deep: bool = False, progress: Progress | None = None
) -> CheckReport:
    """Returns every deviation of a folder that `load` takes; progress counts class files.

    deep: of a memory-mapped set, hash each array by itself, so that a finding says which of them
        are no longer those that were written.

    Raises:
        BadInput: the folder is missing or of neither kind.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; give a data set folder")
    if store.is_store(folder):
        return _check_written(folder, deep)
    if not is_avca(folder):
        raise BadInput(
            f"{folder}: neither dataset.h5 nor class-split/ and features/ are in it; give a data "
            "set folder"
        )
    return _check_benchmark(folder, progress)


def _check_written(folder: Path, deep: bool) -> CheckReport:
    found = Found()
    kind = "memory-mapped" if packed.is_packed(folder) else "store"
    synthetic = False
    with found.refused("unusable", folder.name):
        if kind == "store":
            data = store.load_store(folder)
        else:
            if deep:
                for name, how in packed.changed_arrays(folder).items():
                    found.add("error", "changed", f"{store.ARRAYS}/{name}", f"{how}; {_REPACKED}")
            data = packed.load_packed(folder)
            if sha256(folder / store.ARRAYS) != packed.array_digest(folder):
                raise BadInput(f"{folder / store.ARRAYS}: changed since written; {packed.REPACK}")
            check_data(data, str(folder))
        synthetic = data.synthetic
        for number in (1, 2):
            data.stage(number)
    return CheckReport(str(folder), kind, synthetic, found.ordered())


def _check_benchmark(root: Path, progress: Progress | None) -> CheckReport:
    found = Found()
    synthetic = False
    with found.refused("marker", root.name):
        synthetic = read_marker(root) is not None
    kinds = present_features(root)
    if not kinds:
        names = [name for form in FEATURES.values() for name in form.folders]
        found.add("error", "no-features", "features", f"none of {', '.join(names)} is there")
    if (root / "features").is_dir():
        check_pickles(root / "features", kinds, found)
    alignment: tuple[AlignedSplit, ...] = ()
    for kind in kinds:
        features = feature_folder(root, kind)
        assert features is not None
        dataset = _dataset(features, found)
        if dataset is None:
            continue
        lists = check_lists(root, dataset, FEATURES[kind].split, found)
        aligned = _check_vectors(root, features, dataset, lists, found)
        alignment = tuple({row.split: row for row in (*alignment, *aligned)}.values())
        synthetic |= check_features(root, features, kind, lists, found, progress)
        _check_cache(root, features, found)
    return CheckReport(str(root), "benchmark", synthetic, found.ordered(), alignment)


def _dataset(features: Path, found: Found) -> str | None:
    present = [name for name in DATASETS if vector_file(features / "text", name) is not None]
    if len(present) == 1:
        return present[0]
    text = (
        f"word vectors of {present or 'no data set'}; one word_embeddings_<name>_normed.npy is "
        f"needed, of {', '.join(DATASETS)}"
    )
    found.add("error", "vector-file", f"{features.name}/text", text)
    return None


def _check_vectors(
    root: Path, features: Path, dataset: str, lists: Lists, found: Found
) -> list[AlignedSplit]:
    """Vectors of every class, and the table of label alignment per split."""
    path = vector_file(features / "text", dataset)
    assert path is not None
    where = path.relative_to(root)
    try:
        table = read_table(path)
        keys = vector_keys(root / "class-split", dataset, lists.classes)
    except BadInput as error:
        found.add("error", "vectors", where, str(error))
        return []
    missing = [
        f"{name} ({key})" for name, key in zip(lists.classes, keys, strict=True) if key not in table
    ]
    found.some("error", "vectors", where, "no vector for {n} class(es)", missing)
    odd = [f"{name} {vector.shape}" for name, vector in table.items() if vector.shape != (WORDS,)]
    found.some("error", "vector-width", where, f"{{n}} vector(s) not {WORDS} wide", odd)
    length = {name: float(np.linalg.norm(vector)) for name, vector in table.items()}
    wrong = [f"{name} {size:.4g}" for name, size in length.items() if not abs(size - 1.0) < 1e-3]
    found.some("error", "vector-length", where, "{n} vector(s) not of length 1", wrong)
    if path.suffix != ".npy":
        found.add("note", "vector-form", where, "the published loader reads only the pickled .npy")
    if len(table) < len(keys):
        return []
    legacy = sorted(table)[: len(keys)]
    other = {
        class_key(name, dataset)
        for name, own, used in zip(lists.classes, keys, legacy, strict=True)
        if own != used
    }
    if other:
        text = (
            f"the published loader gives {len(other)} of {len(keys)} classes another class's "
            "vector; by_name (default) does not, legacy does"
        )
        found.add("note", "label-alignment", where, text)
    return [
        AlignedSplit("all_class", len(other), len(keys)),
        *(
            AlignedSplit(f"{lists.folder}/{subsplit}", len(other & names.keys()), len(names))
            for subsplit, names in lists.splits.items()
        ),
    ]


def _check_cache(root: Path, features: Path, found: Found) -> None:
    """The published loader's cache: it reuses the cache whatever happened to the features.

    It lies in the data set, or (as published) below the folder that the loader was started in.
    """
    newest = max((p.stat().st_mtime_ns for p in files_below(features)), default=0)
    started = Path.cwd() / "avgzsl_benchmark_datasets" / root.resolve().name
    folders = dict.fromkeys(
        (base / "_features_processed" / features.name).resolve() for base in (root, started)
    )
    caches = [path for folder in folders for path in sorted(folder.glob("*.pkl"))]
    stale = [path for path in caches if path.stat().st_mtime_ns < newest]
    where = f"_features_processed/{features.name}"
    text = (
        "{n} file(s) older than the features; the published loader would use them without a word; "
        "delete them (we do not read them)"
    )
    found.some("warning", "stale-cache", where, text, stale)
    fresh = [path for path in caches if path not in stale]
    text = "cache of the published loader; it is not read here"
    found.some("note", "cache", where, text, fresh)
