"""Reader of the AVCA benchmark folders (Mercea et al. 2022; UCF-, ActivityNet-, VGGSound-GZSL).

In: a root in the layout of `avca_layout`. Out: a `ZSLData`, or its `Index` to stream from.

Unlike the published loader it sorts by name, joins audio and video on the url, reads no pickle
code, and gives each class its own vector. `label_alignment="legacy"` reproduces the published
permutation: there class i receives the i-th vector in the order of the *vector* names, which is
another class's wherever the two alphabetical orders differ (UCF: 79 of 101).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_object
from neurozsl.data.batch import F32, ZSLData
from neurozsl.data.benchmark import averaged, tcaf
from neurozsl.data.benchmark.avca_layout import (
    DATASETS,
    FEATURES,
    MARKER,
    MODALITIES,
    SUBSPLITS,
    FeatureName,
    class_files,
    class_key,
    feature_folder,
    is_avca,
    present_dataset,
    present_features,
    read_lines,
    read_table,
    vector_file,
    vector_keys,
)
from neurozsl.data.benchmark.pair import Pair
from neurozsl.data.checks import check_data
from neurozsl.data.index import ALIGNMENTS, Alignment, Index, gather

READERS = {".h5": averaged.open_pair, ".pkl": tcaf.open_pair}
REPEAT_STEP_S = 0.2  # time given to one step when an averaged feature is repeated
# TCaF pads to the longest video, but on ActivityNet (minutes long) cuts to 60 steps for training.
MAX_STEPS = {"ucf": None, "activity": 60, "vggsound": None}


def load_avca(
    root: Path,
    *,
    dataset: str | None = None,
    feature_name: FeatureName | None = None,
    label_alignment: Alignment = "by_name",
    max_steps: int | None = None,
) -> ZSLData:
    """Reads one benchmark data set into memory, once.

    Args:
        root: folder with `class-split` and `features`.
        dataset: "ucf", "activity" or "vggsound"; None finds it by the vector file.
        feature_name: "main" (SeLaVi 512/512) or "cls" (VGGish 128 / C3D 4096), averaged over time
            (T = 1), or "main_temporal", "cls_temporal" (`tcaf`); None takes the first that is
            there, in this order.
        label_alignment: "by_name" gives each class its vector, "legacy" the published order.
        max_steps: longer temporal features are cut to their middle; None takes `MAX_STEPS`.

    Raises:
        BadInput: a file or folder is missing or damaged, audio and video list other videos, or a
            class of a split has no sample.
    """
    if label_alignment not in ALIGNMENTS:
        raise BadInput(f"label_alignment: {label_alignment!r}; choose by_name or legacy")
    index = index_avca(root, dataset=dataset, feature_name=feature_name, max_steps=max_steps)
    data = gather(index, label_alignment)
    check_data(data, str(root))
    return data


def index_avca(
    root: Path,
    *,
    dataset: str | None = None,
    feature_name: FeatureName | None = None,
    max_steps: int | None = None,
) -> Index:
    """Opens one benchmark data set without its features; arguments as in `load_avca`."""
    if not is_avca(root):
        raise BadInput(
            f"{root}: no folders class-split and features; give the root of one benchmark data set"
        )
    present = present_features(root)
    if feature_name is None and not present:
        raise BadInput(
            f"{root / 'features'}: neither main_features nor cls_features; unpack one there"
        )
    kind = feature_name or present[0]
    features = feature_folder(root, kind)
    if features is None:
        raise BadInput(
            f"{root / 'features'}: no {' or '.join(FEATURES[kind].folders)}; unpack it there, or "
            f"choose one of {list(present)}"
        )
    dataset = dataset or present_dataset(features / "text")
    if dataset not in DATASETS:
        raise BadInput(f"dataset: {dataset!r}; choose one of {tuple(DATASETS)}")
    folder = root / "class-split" / FEATURES[kind].split
    classes = tuple(sorted(read_lines(root / "class-split" / "all_class.txt")))
    ids = {class_key(name, dataset): i for i, name in enumerate(classes)}
    pairs = {
        name: _open_split(features, folder, subsplit, ids, dataset, kind)
        for name, subsplit in SUBSPLITS.items()
    }
    every = [pair for split_pairs in pairs.values() for _, pair in split_pairs]
    if not every:
        raise BadInput(f"{folder}: its stage_*.txt name no class; copy the class lists again")
    longest = max(pair.steps for pair in every)
    steps = min(longest, max_steps or MAX_STEPS[dataset] or longest)
    marker = read_marker(root)
    synthetic = marker is not None or any(pair.synthetic for pair in every)
    temporal = FEATURES[kind].suffix == ".pkl"
    return Index(
        name=f"{dataset} {folder.name}{' (synthetic stand-in)' if synthetic else ''}",
        classes=classes,
        vectors=_vectors(root, features, dataset, classes),
        blocks={
            name: tuple(pair.block(label, steps) for label, pair in split_pairs)
            for name, split_pairs in pairs.items()
        },
        audio_shape=(steps, every[0].audio_dim),
        video_shape=(steps, every[0].video_dim),
        synthetic=synthetic,
        step_s=tcaf.step_ms(kind) / 1000.0 if temporal else REPEAT_STEP_S,
        meta={
            "source": "neurozsl.data.avca",
            "averaged": not temporal,
            "features": features.name,
            "split": folder.name,
            "label_alignment": "by_name",
            **({"stand_in": marker or {}} if synthetic else {}),
        },
    )


def read_marker(root: Path) -> Mapping[str, object] | None:
    """Returns what `synthetic.json` says of a generated set; None where there is none.

    Raises:
        BadInput: there is one, but it cannot be read: what it marks must not pass as real.
    """
    path = root / MARKER
    if not path.exists():
        return None
    return read_object(path, remedy="generate the set again")


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


def _vectors(
    root: Path, features: Path, dataset: str, classes: Sequence[str]
) -> dict[Alignment, F32]:
    """The class vectors in both alignments; legacy needs one vector or more per class."""
    path = vector_file(features / "text", dataset)
    if path is None:
        raise BadInput(
            f"{features / 'text'}: no word_embeddings_{dataset}_normed.npy; copy it there"
        )
    table = read_table(path)
    keys = vector_keys(root / "class-split", dataset, classes)
    found: dict[Alignment, tuple[str, ...]] = {"by_name": align(keys, table, "by_name")}
    if len(table) >= len(keys):
        found["legacy"] = align(keys, table, "legacy")
    widths = {table[key].shape for used in found.values() for key in used}
    if len(widths) != 1:
        raise BadInput(f"{path}: vectors of shapes {sorted(widths)}; one width is needed")
    return {name: np.stack([table[key] for key in used]) for name, used in found.items()}


def _open_split(
    features: Path,
    folder: Path,
    subsplit: str,
    ids: Mapping[str, int],
    dataset: str,
    kind: FeatureName,
) -> list[tuple[int, Pair]]:
    """Every class of one split with its two files, sorted by class name."""
    wanted = sorted(class_key(line, dataset) for line in read_lines(folder / f"{subsplit}.txt"))
    unknown = [key for key in wanted if key not in ids]
    if unknown:
        raise BadInput(
            f"{folder / subsplit}.txt: unknown class(es) {unknown[:5]}; see all_class.txt"
        )
    suffix = FEATURES[kind].suffix
    audio, video = (class_files(features / part / subsplit, dataset, suffix) for part in MODALITIES)
    missing = [key for key in wanted if key not in audio or key not in video]
    if missing:
        raise BadInput(
            f"{features}, {subsplit}: no {suffix} for {len(missing)} class(es) of {folder.name}: "
            f"{', '.join(missing[:5])}; every class of the split needs audio and video"
        )
    read = READERS[suffix]
    return [(ids[key], read(audio[key], video[key], kind)) for key in wanted]
