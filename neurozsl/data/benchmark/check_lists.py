"""Class lists and video lists of a benchmark root against each other.

In: `class-split`. Out: the lists, as far as they can be read, and a finding per contradiction:
unknown or doubled classes, classes without a row of the names table, videos listed twice or in two
splits, `.csv` and `.txt` that name other classes, codes that are not the place in the sorted list,
counts that are not the published ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from neurozsl.core.errors import BadInput
from neurozsl.data.benchmark.avca_layout import (
    DATASETS,
    SUBSPLITS,
    class_key,
    read_lines,
    read_rows,
)
from neurozsl.data.benchmark.findings import Found, Level, repeated

CLASSES = {"ucf": 101, "activity": 200, "vggsound": 309}
FOLDERS = ("main_split", "cls_split")


@dataclass(frozen=True)
class Lists:
    """What the lists say.

    Attributes:
        dataset: key of the data set.
        folder: `main_split` or `cls_split`.
        classes: sorted class names.
        splits: per subsplit, class key -> name as the list writes it.
        videos: per subsplit with a `.csv`, class key -> its videos.
    """

    dataset: str
    folder: str
    classes: tuple[str, ...]
    splits: Mapping[str, Mapping[str, str]]
    videos: Mapping[str, Mapping[str, frozenset[str]]]


def check_lists(root: Path, dataset: str, folder: str, found: Found) -> Lists:
    """Returns the lists of one split folder and adds what contradicts itself."""
    base = root / "class-split"
    classes: tuple[str, ...] = ()
    where = "class-split/all_class.txt"
    with found.refused("class-list", where):
        listed = read_lines(base / "all_class.txt")
        classes = tuple(sorted(listed))
        _doubled(listed, dataset, "all_class.txt", found)
    if classes and len(classes) != CLASSES[dataset]:
        text = f"{len(classes)} classes, published {CLASSES[dataset]}"
        found.add("note", "count", where, text)
    codes = {class_key(name, dataset): str(i) for i, name in enumerate(classes)}
    splits, videos = {}, {}
    for number, subsplit in enumerate(SUBSPLITS.values()):
        names = _class_list(base / folder / f"{subsplit}.txt", dataset, codes, found)
        splits[subsplit] = names
        listed_in = [base / each / f"{subsplit}.csv" for each in (folder, *FOLDERS)]
        path = next((path for path in listed_in if path.is_file()), None)
        if path is not None:
            rows = _video_list(path, dataset, number, codes, names, folder, found)
            if rows is not None:
                videos[subsplit] = rows
    _overlap(splits, videos, folder, found)
    return Lists(dataset, folder, classes, splits, videos)


def _class_list(path: Path, dataset: str, codes: Mapping[str, str], found: Found) -> dict[str, str]:
    where = f"{path.parent.name}/{path.name}"
    try:
        lines = read_lines(path)
    except BadInput as error:
        found.add("error", "class-list", where, str(error))
        return {}
    if not lines:
        found.add("error", "class-list", where, "names no class")
    _doubled(lines, dataset, where, found)
    names = {class_key(line, dataset): line for line in lines}
    unknown = [name for key, name in names.items() if codes and key not in codes]
    found.some("error", "unknown-class", where, "not in all_class.txt", unknown)
    return {key: name for key, name in names.items() if not codes or key in codes}


def _video_list(
    path: Path,
    dataset: str,
    number: int,
    codes: Mapping[str, str],
    names: Mapping[str, str],
    folder: str,
    found: Found,
) -> dict[str, frozenset[str]] | None:
    where = f"{path.parent.name}/{path.name}"
    try:
        rows = read_rows(path, ("filename", "label", "label_code"))
    except BadInput as error:
        found.add("error", "video-list", where, str(error))
        return None
    twice = repeated(row["filename"] for row in rows)
    found.some("error", "duplicate-video", where, "{n} video(s) listed twice", twice)
    videos: dict[str, set[str]] = {}
    for row in rows:
        videos.setdefault(class_key(row["label"], dataset), set()).add(row["filename"])
    labels = {class_key(row["label"], dataset): row["label"] for row in rows}
    unknown = [name for key, name in labels.items() if key not in codes]
    found.some("error", "unknown-class", where, "not in all_class.txt", unknown)
    code = {
        f"{row['label']} has {row['label_code']}, not {codes[key]}"
        for row in rows
        if (key := class_key(row["label"], dataset)) in codes and row["label_code"] != codes[key]
    }
    found.some("warning", "label-code", where, "not the place in the sorted list", sorted(code))
    empty = [name for key, name in names.items() if key not in videos]
    found.some("error", "csv-txt", where, f"no video of class(es) that {folder} names", empty)
    # cls_split drops classes of the lists that both split folders share.
    extra = [name for key, name in labels.items() if key in codes and key not in names]
    level: Level = "note" if folder == "cls_split" else "warning"
    text = f"videos of class(es) that {folder} does not name; they are left out"
    found.some(level, "csv-txt", where, text, extra)
    published = DATASETS[dataset].counts[number]
    if len(rows) != published:
        found.add("note", "count", where, f"{len(rows)} videos, published {published}")
    return {key: frozenset(names) for key, names in videos.items()}


def _doubled(lines: list[str], dataset: str, where: str, found: Found) -> None:
    twice = repeated(class_key(line, dataset) for line in lines)
    found.some("error", "duplicate-class", where, "listed twice", twice)


def _overlap(
    splits: Mapping[str, Mapping[str, str]],
    videos: Mapping[str, Mapping[str, frozenset[str]]],
    folder: str,
    found: Found,
) -> None:
    """Unseen classes that are seen elsewhere, seen ones that are not trained on, shared videos."""
    train, val = splits["stage_1_train"], splits["stage_1_val_unseen"]
    for unseen, others in (
        ("stage_1_val_unseen", ("stage_1_train", "stage_1_val_seen")),
        (
            "stage_2_test_unseen",
            ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen", "stage_2_test_seen"),
        ),
    ):
        for other in others:
            both = splits[unseen].keys() & splits[other].keys()
            where, text = f"{folder}/{unseen}.txt", f"unseen, yet in {other}.txt"
            found.some("error", "role", where, text, sorted(both))
    for seen, known in (
        ("stage_1_val_seen", train.keys()),
        ("stage_2_test_seen", train.keys() | val.keys()),
    ):
        untrained = sorted(splits[seen].keys() - known)
        found.some("error", "role", f"{folder}/{seen}.txt", "seen, yet never trained on", untrained)
    homes: dict[str, str] = {}
    for subsplit, classes in videos.items():
        names = sorted(frozenset[str]().union(*classes.values()))
        check_shared(homes, subsplit, names, f"{folder}/{subsplit}", "", found)


def check_shared(
    homes: dict[str, str], subsplit: str, names: Iterable[str], where: str, what: str, found: Found
) -> None:
    """Names videos that an earlier split has too; `homes` notes in which a video was first."""
    shared: dict[str, list[str]] = {}
    for name in names:
        if (home := homes.setdefault(name, subsplit)) != subsplit:
            shared.setdefault(home, []).append(name)
    for home, twice in shared.items():
        text = f"{what}video(s) that {home} has too"
        found.add("warning", "shared-video", where, text, twice)
