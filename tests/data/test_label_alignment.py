"""The published loader's permutation of class vectors, from the real lists and vectors."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from neurozsl.data.benchmark.avca import align
from neurozsl.data.benchmark.avca_layout import (
    DATASETS,
    SUBSPLITS,
    class_key,
    read_lines,
    read_table,
    vector_keys,
)

# Wrong / total per list; counted by running the published loader.
ALL = {"ucf": (79, 101), "activity": (8, 200), "vggsound": (205, 309)}
MAIN = {
    "ucf": {"train": (23, 30), "val_unseen": (8, 12), "test_seen": (31, 42), "test_unseen": (5, 9)},
    "activity": {
        "train": (5, 99),
        "val_unseen": (2, 51),
        "test_seen": (7, 150),
        "test_unseen": (1, 50),
    },
    "vggsound": {
        "train": (84, 138),
        "val_unseen": (51, 69),
        "test_seen": (135, 207),
        "test_unseen": (42, 69),
    },
}
CLS_UNSEEN = {"ucf": (4, 6), "activity": (1, 48), "vggsound": (38, 64)}


@pytest.mark.parametrize("dataset", DATASETS)
def test_legacy_gives_as_many_classes_another_vector_as_published(
    dataset: str, shared_data: Path
) -> None:
    base = shared_data / "class_vectors"
    lists = base / "class_splits" / DATASETS[dataset].folder
    classes = sorted(read_lines(lists / "all_class.txt"))
    table = read_table(base / f"word2vec_{dataset}_safe.npz")
    keys = vector_keys(lists, dataset, classes)
    assert align(keys, table, "by_name") == keys
    used = align(keys, table, "legacy")
    wrong = {class_key(c, dataset): a != b for c, a, b in zip(classes, keys, used, strict=True)}
    assert (sum(wrong.values()), len(wrong)) == ALL[dataset]

    def count(folder: str, split: str) -> tuple[int, int]:
        names = read_lines(lists / folder / f"{SUBSPLITS[split]}.txt")
        return sum(wrong[class_key(name, dataset)] for name in names), len(names)

    main: Mapping[str, tuple[int, int]] = {s: count("main_split", s) for s in MAIN[dataset]}
    assert main == MAIN[dataset]
    assert count("cls_split", "test_unseen") == CLS_UNSEEN[dataset]


def test_the_unseen_ucf_classes_get_the_vectors_of_these_others(shared_data: Path) -> None:
    base = shared_data / "class_vectors"
    lists = base / "class_splits" / "UCF"
    classes = sorted(read_lines(lists / "all_class.txt"))
    table = read_table(base / "word_embeddings_ucf_normed.npy")
    used = align(vector_keys(lists, "ucf", classes), table, "legacy")
    given = dict(zip(classes, used, strict=True))
    assert given["CuttingInKitchen"] == "Diving"
    assert given["PlayingFlute"] == "Playing Guitar"
    assert given["PlayingSitar"] == "Playing Tabla"
    assert given["ShavingBeard"] == "Shotput"
    assert given["Typing"] == "Uneven Bars"
