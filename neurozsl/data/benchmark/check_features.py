"""Every class file of one kind of features, read on its own and against its partner.

In: `features/<name>` and the lists. Out: a finding per missing, damaged or additional file, per
class with too few videos, per file with NaN, other widths, doubled urls, per pair whose two
modalities list other videos or another order, and per split whose count is not the published one.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.tree import files_below
from neurozsl.data.benchmark.avca_layout import (
    DATASETS,
    FEATURES,
    MODALITIES,
    SUBSPLITS,
    FeatureName,
    class_files,
    class_key,
    vector_dataset,
)
from neurozsl.data.benchmark.averaged import MARK, REMEDY, read_urls
from neurozsl.data.benchmark.check_lists import Lists, check_shared
from neurozsl.data.benchmark.findings import Found, repeated
from neurozsl.data.benchmark.safe_pickle import load_npy, load_pickle
from neurozsl.data.benchmark.tcaf import ClassFile, read_class
from neurozsl.data.hdf5 import opened

STAGE_2 = ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen")


def check_features(
    root: Path,
    features: Path,
    kind: FeatureName,
    lists: Lists,
    found: Found,
    progress: Progress | None = None,
) -> bool:
    """Adds every deviation of one kind of features; returns whether one is marked generated."""
    form = FEATURES[kind]
    total = sum(len(names) for names in lists.splits.values())
    done, synthetic = 0, False
    widths: dict[str, Counter[int]] = {part: Counter() for part in MODALITIES}
    places: dict[str, dict[int, list[str]]] = {part: {} for part in MODALITIES}
    samples: dict[str, dict[str, int]] = {}
    homes: dict[str, str] = {}
    for number, subsplit in enumerate(SUBSPLITS.values()):
        files = _files(features, subsplit, form.suffix, lists, found)
        samples[subsplit] = {}
        heard: list[str] = []
        for key, name in sorted(lists.splits[subsplit].items()):
            pair = {}
            for part in MODALITIES:
                path = files[part].get(key)
                content = None if path is None else _read(path, root, found)
                if path is None or content is None:
                    continue
                pair[part] = content
                synthetic |= content.synthetic
                if content.names:
                    widths[part][content.width] += 1
                    place = str(path.relative_to(features))
                    places[part].setdefault(content.width, []).append(place)
            samples[subsplit][key] = _check_pair(pair, features, subsplit, name, found)
            if "audio" in pair:
                urls = pair["audio"].names
                heard += urls
                if key in lists.videos.get(subsplit, {}):
                    _check_listed(
                        set(urls), lists.videos[subsplit][key], f"{subsplit}/{name}", found
                    )
            done += 1
            if progress is not None:
                progress(done, total)
        check_shared(homes, subsplit, heard, f"{features.name}/{subsplit}", "features of ", found)
        count, published = sum(samples[subsplit].values()), DATASETS[lists.dataset].counts[number]
        # cls_split drops test classes; their published sum is not that of the table.
        dropped = lists.folder == "cls_split" and subsplit == "stage_2_test_unseen"
        if count != published and not dropped:
            text = f"{count} videos, published {published}"
            found.add("note", "count", f"{features.name}/{subsplit}", text)
    _check_widths(features.name, form.widths, widths, places, found)
    _check_training(features.name, samples, lists, found)
    return synthetic


def check_pickles(features: Path, kinds: tuple[FeatureName, ...], found: Found) -> None:
    """Reads every pickle and array file that is neither class vectors nor temporal features."""
    forms = [FEATURES[kind] for kind in kinds if FEATURES[kind].suffix == ".pkl"]
    temporal = {folder for form in forms for folder in form.folders}
    for path in (p for p in files_below(features) if p.suffix in (".pkl", ".pickle", ".npy")):
        place = path.relative_to(features)
        in_class_folder = place.parts[0] in temporal and "text" not in place.parts
        if (in_class_folder and path.suffix == ".pkl") or vector_dataset(path) is not None:
            continue
        try:
            (load_npy if path.suffix == ".npy" else load_pickle)(path)
        except BadInput as error:
            found.add("error", "pickle", place, str(error))
        else:
            found.add("note", "additional-file", place, "no loader reads it")


def _files(
    features: Path, subsplit: str, suffix: str, lists: Lists, found: Found
) -> dict[str, Mapping[str, Path]]:
    """Class files per modality; missing and additional ones are named."""
    files: dict[str, Mapping[str, Path]] = {}
    wanted = lists.splits[subsplit]
    for part in MODALITIES:
        where = f"{features.name}/{part}/{subsplit}"
        try:
            files[part] = class_files(features / part / subsplit, lists.dataset, suffix)
        except BadInput as error:
            found.add("error", "missing-folder", where, str(error))
            files[part] = {}
            continue
        missing = sorted(name for key, name in wanted.items() if key not in files[part])
        found.some("error", "missing-class", where, f"no {suffix} for {{n}} class(es)", missing)
        paths = (features / part / subsplit).glob(f"*{suffix}")
        doubled = repeated(class_key(path.stem, lists.dataset) for path in paths)
        found.some("error", "duplicate-class", where, "two files of one class", doubled)
        known = {class_key(name, lists.dataset) for name in lists.classes}
        extra = [path.name for key, path in files[part].items() if key not in wanted]
        unknown = [name for name in extra if class_key(Path(name).stem, lists.dataset) not in known]
        text = "file(s) of a class that all_class.txt does not name"
        found.some("warning", "unknown-class", where, text, unknown)
        rest = sorted(set(extra) - set(unknown))
        text = f"file(s) of classes that {lists.folder} does not name; they are left out"
        found.some("note", "additional-file", where, text, rest)
    return files


def _read(path: Path, root: Path, found: Found) -> ClassFile | None:
    """One class file, its own deviations added; None where it cannot be read."""
    where = path.relative_to(root / "features")
    try:
        content = read_class(path) if path.suffix == ".pkl" else _read_h5(path)
    except BadInput as error:
        found.add("error", "pickle" if path.suffix == ".pkl" else "damaged", where, str(error))
        return None
    twice = repeated(content.names)
    found.some("error", "duplicate-video", where, "{n} url(s) twice", twice)
    bad = [
        f"row {i} ({url})"
        for i, (url, row) in enumerate(zip(content.names, content.sequences, strict=True))
        if not np.isfinite(row).all()
    ]
    found.some("error", "not-finite", where, "NaN or infinity in {n} row(s)", bad)
    return content


def _read_h5(path: Path) -> ClassFile:
    with opened(path, remedy=REMEDY) as file:
        values, names = file.numbers("data", "fiu", (None, None)), read_urls(file)
        synthetic = file.flag(MARK)
    if len(names) != len(values):
        raise BadInput(
            f"data {values.dtype} {values.shape} with {len(names)} urls; numbers (n, D) and n urls "
            "are needed"
        )
    return ClassFile(names, tuple(values), values.shape[1], synthetic)


def _check_pair(
    pair: Mapping[str, ClassFile], features: Path, subsplit: str, name: str, found: Found
) -> int:
    """Both modalities of one class; returns the videos that both have."""
    where = f"{features.name}/{subsplit}/{name}"
    for part, content in pair.items():
        if not content.names:
            found.add("error", "empty-class", f"{where} ({part})", "no video; 1 or more are needed")
    if len(pair) < 2:
        return 0
    heard, shown = pair["audio"].names, pair["video"].names
    for part, odd in (("video", set(heard) - set(shown)), ("audio", set(shown) - set(heard))):
        text = f"{{n}} url(s) missing in the {part} file"
        found.some("error", "missing-video", where, text, sorted(odd))
    if set(heard) == set(shown) and heard != shown and len(set(heard)) == len(heard) == len(shown):
        moved = [url for url, other in zip(heard, shown, strict=True) if url != other]
        text = (
            "{n} url(s) in another order in the video file; we join on the url, the published "
            "loader stops"
        )
        found.some("warning", "order", where, text, moved)
    return len(set(heard) & set(shown))


def _check_listed(urls: set[str], listed: frozenset[str], where: str, found: Found) -> None:
    absent, extra = sorted(listed - urls), sorted(urls - listed)
    found.some("note", "csv-features", where, "{n} video(s) of the .csv without features", absent)
    found.some("note", "csv-features", where, "{n} video(s) not in the .csv", extra)


def _check_widths(
    name: str,
    published: tuple[int, int],
    widths: Mapping[str, Counter[int]],
    places: Mapping[str, Mapping[int, list[str]]],
    found: Found,
) -> None:
    """Files must agree; the width most of them have is taken for the right one."""
    for part, expected in zip(MODALITIES, published, strict=True):
        if not widths[part]:
            continue
        common = widths[part].most_common(1)[0][0]
        for width, paths in sorted(places[part].items()):
            if width != common:
                text = f"{part} features {width} wide, {common} in the other files"
                found.add("error", "width", name, text, paths)
        if common != expected:
            text = f"{part} features {common} wide, published {expected}"
            found.add("note", "width", name, text)


def _check_training(
    name: str, samples: Mapping[str, Mapping[str, int]], lists: Lists, found: Found
) -> None:
    """A training class needs two videos: alone in stage 1, over the three lists in stage 2."""
    for stage, subsplits in ((1, ("stage_1_train",)), (2, STAGE_2)):
        sums: Counter[str] = Counter()
        for subsplit in subsplits:
            sums.update(samples[subsplit])
        known = {key: text for each in lists.splits.values() for key, text in each.items()}
        single = sorted(known[key] for key, count in sums.items() if count == 1)
        text = f"1 video in the training data of stage {stage}, at least 2 are needed"
        found.some("error", "one-sample", f"{name}/{'+'.join(subsplits)}", text, single)
