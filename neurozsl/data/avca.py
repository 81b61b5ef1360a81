"""Reader of the AVCA benchmark folders (Mercea et al. 2022; UCF-, ActivityNet-, VGGSound-GZSL).

    <root>/class-split/all_class.txt, <ds>_w2v_class_names.csv, {main,cls}_split/stage_*.txt
    <root>/features/<name>/{audio,video}/<subsplit>/<Class>.h5    data (n, D), video_urls (n,)
    <root>/features/<name>/text/word_embeddings_<ds>_normed.npy   pickled dict name -> vector

Unlike the published loader it sorts by name, joins audio and video on the url, reads no pickle
code, and gives each class its own vector. `label_alignment="legacy"` reproduces the published
permutation: there class i receives the i-th vector in the order of the *vector* names, which is
another class's wherever the two alphabetical orders differ (UCF: 79 of 101).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from neurozsl.data.batch import F32, Split, ZSLData
from neurozsl.data.checks import check_data
from neurozsl.data.safe_pickle import load_npy
from neurozsl.errors import BadInput

Alignment = Literal["by_name", "legacy"]
FeatureName = Literal["main", "cls"]
SUBSPLITS = {
    "train": "stage_1_train",
    "val_seen": "stage_1_val_seen",
    "val_unseen": "stage_1_val_unseen",
    "test_seen": "stage_2_test_seen",
    "test_unseen": "stage_2_test_unseen",
}
DATASETS = ("ucf", "activity", "vggsound")
REPEAT_STEP_S = 0.2  # time given to one step when an averaged feature is repeated


def is_avca(root: Path) -> bool:
    """Whether the folder has the benchmark's layout."""
    return (root / "class-split").is_dir() and (root / "features").is_dir()


def load_avca(
    root: Path,
    *,
    dataset: str | None = None,
    feature_name: FeatureName | None = None,
    split: str | None = None,
    label_alignment: Alignment = "by_name",
) -> ZSLData:
    """Reads one benchmark data set of averaged features (T = 1).

    Args:
        root: folder with `class-split` and `features`.
        dataset: "ucf", "activity" or "vggsound"; None finds it by the vector file.
        feature_name: "main" (SeLaVi 512/512) or "cls" (VGGish 128 / C3D 4096); None takes the one
            that is there, main first.
        split: folder below `class-split`; None takes `<feature_name>_split`.
        label_alignment: "by_name" gives each class its vector, "legacy" the published order.

    Raises:
        BadInput: a file or folder is missing or damaged, audio and video list other videos, or a
            class of a split has no sample.
    """
    if not is_avca(root):
        raise BadInput(
            f"{root}: no folders class-split and features; give the root of one benchmark data set"
        )
    if label_alignment not in ("by_name", "legacy"):
        raise BadInput(f"label_alignment: {label_alignment!r}; choose by_name or legacy")
    kind = feature_name or _present_features(root)
    features = root / "features" / f"{kind}_features"
    dataset = dataset or _present_dataset(features / "text")
    folder = root / "class-split" / (split or f"{kind}_split")
    classes = tuple(sorted(_lines(root / "class-split" / "all_class.txt")))
    # UCF alone writes HandStandPushups in the splits and HandstandPushups in all_class.txt
    ids = {_key(name, dataset): i for i, name in enumerate(classes)}
    keys = vector_keys(root / "class-split", dataset, classes)
    table = read_table(features / "text" / f"word_embeddings_{dataset}_normed.npy")
    used = align(keys, table, label_alignment)
    data = ZSLData(
        name=f"{dataset} {folder.name}",
        classes=classes,
        vectors=np.stack([table[key] for key in used]).astype(np.float32),
        splits={
            name: _read_split(name, features, folder, subsplit, ids, dataset)
            for name, subsplit in SUBSPLITS.items()
        },
        synthetic=False,
        step_s=REPEAT_STEP_S,
        meta={
            "source": "neurozsl.data.avca",
            "averaged": True,
            "features": features.name,
            "split": folder.name,
            "label_alignment": label_alignment,
            "classes_with_another_vector": sum(a != b for a, b in zip(keys, used, strict=True)),
        },
    )
    check_data(data, str(root))
    return data


def vector_keys(class_split: Path, dataset: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Returns per class the key of its own vector, from `<ds>_w2v_class_names.csv`."""
    path = class_split / f"{dataset}_w2v_class_names.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        manual = {_key(row["original"], dataset): row["manual"] for row in rows}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path}: cannot be read ({error}); it needs the columns original,manual"
        ) from error
    missing = [name for name in classes if _key(name, dataset) not in manual]
    if missing:
        raise BadInput(f"{path}: no row for {len(missing)} class(es): {', '.join(missing[:5])}")
    return tuple(manual[_key(name, dataset)] for name in classes)


def align(keys: Sequence[str], table: Mapping[str, F32], alignment: Alignment) -> tuple[str, ...]:
    """Returns per class (sorted by original name) the key of the vector it receives."""
    if alignment == "legacy":
        if len(table) < len(keys):
            raise BadInput(f"vectors: {len(table)} for {len(keys)} classes; one each is needed")
        return tuple(sorted(table)[: len(keys)])
    missing = [key for key in keys if key not in table]
    if missing:
        raise BadInput(f"vectors: none for {len(missing)} class(es): {', '.join(missing[:5])}")
    return tuple(keys)


def read_table(path: Path) -> dict[str, F32]:
    """Returns the benchmark's vectors, name -> (300,), from its pickled `.npy`."""
    value = load_npy(path)
    if not isinstance(value, dict) or not value:
        raise BadInput(f"{path}: holds {type(value).__name__}, a dict name -> vector is needed")
    bad = [
        str(name)
        for name, vector in value.items()
        if not isinstance(name, str) or not isinstance(vector, np.ndarray) or vector.ndim != 1
    ]
    if bad:
        raise BadInput(f"{path}: {len(bad)} entries are no vectors, first {bad[0]!r}; replace it")
    return {name: np.asarray(vector, dtype=np.float32) for name, vector in value.items()}


def _read_split(
    name: str, features: Path, folder: Path, subsplit: str, ids: Mapping[str, int], dataset: str
) -> Split:
    wanted = sorted(_key(line, dataset) for line in _lines(folder / f"{subsplit}.txt"))
    unknown = [key for key in wanted if key not in ids]
    if unknown:
        raise BadInput(
            f"{folder / subsplit}.txt: unknown class(es) {unknown[:5]}; see all_class.txt"
        )
    files = {part: _class_files(features / part / subsplit, dataset) for part in ("audio", "video")}
    missing = [key for key in wanted if any(key not in files[part] for part in files)]
    if missing:
        raise BadInput(
            f"{features}, {subsplit}: no .h5 for {len(missing)} class(es) of {folder.name}: "
            f"{', '.join(missing[:5])}; every class of the split needs audio and video"
        )
    audio, video, label, names = [], [], [], []
    for key in wanted:
        heard, shown = _read_class(files["audio"][key]), _read_class(files["video"][key])
        if heard.keys() != shown.keys() or not heard:
            odd = sorted(heard.keys() ^ shown.keys())
            raise BadInput(
                f"{files['video'][key]}: {len(heard)} videos with audio, {len(shown)} with picture"
                f"{', only one side has ' + odd[0] if odd else ''}; both need the same (>= 1) urls"
            )
        for url in sorted(heard):
            audio.append(heard[url])
            video.append(shown[url])
            label.append(ids[key])
            names.append(url)
    return Split(
        name=name,
        audio=np.stack(audio)[:, None],
        video=np.stack(video)[:, None],
        label=np.array(label, dtype=np.int64),
        mask=np.ones((len(label), 1), dtype=np.bool_),
        names=tuple(names),
    )


def _read_class(path: Path) -> dict[str, F32]:
    """Returns url -> feature of one class file."""
    try:
        with h5py.File(path, "r") as file:
            data = np.asarray(file["data"][:], dtype=np.float32)
            urls = [
                url.decode() if isinstance(url, bytes) else str(url) for url in file["video_urls"]
            ]
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); copy the file again") from error
    if data.ndim != 2 or len(urls) != len(data) or len(set(urls)) != len(urls):
        raise BadInput(
            f"{path}: data {data.shape} with {len(urls)} urls, {len(set(urls))} of them different; "
            "one url per row is needed"
        )
    return dict(zip(urls, data, strict=True))


def _class_files(folder: Path, dataset: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise BadInput(f"{folder}: does not exist; unpack the benchmark's features there")
    return {_key(path.stem, dataset): path for path in sorted(folder.glob("*.h5"))}


def _present_features(root: Path) -> FeatureName:
    if (root / "features" / "main_features").is_dir():
        return "main"
    if (root / "features" / "cls_features").is_dir():
        return "cls"
    raise BadInput(f"{root / 'features'}: neither main_features nor cls_features; unpack one there")


def _present_dataset(text: Path) -> str:
    found = [name for name in DATASETS if (text / f"word_embeddings_{name}_normed.npy").is_file()]
    if len(found) != 1:
        raise BadInput(
            f"{text}: word vectors of {found or 'no data set'}; one of {DATASETS} is needed; "
            "name it with dataset="
        )
    return found[0]


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); copy the class lists again") from error


def _key(name: str, dataset: str) -> str:
    return name.lower() if dataset == "ucf" else name
