"""A data set folder of any origin -> one `ZSLData`, or one memory-mapped file of it."""

from pathlib import Path

from neurozsl.core.errors import BadInput
from neurozsl.core.leftovers import recover
from neurozsl.core.progress import Progress
from neurozsl.core.shell import words
from neurozsl.data.batch import ZSLData
from neurozsl.data.benchmark.avca import index_avca, load_avca
from neurozsl.data.benchmark.avca_layout import FeatureName, is_avca
from neurozsl.data.benchmark.packed import is_packed, load_packed
from neurozsl.data.benchmark.packed import write as write_packed
from neurozsl.data.events.kind import refuse_event_set
from neurozsl.data.index import Alignment, index_of
from neurozsl.data.store import is_store, load_store


def load(
    path: Path, *, feature_name: FeatureName | None = None, label_alignment: Alignment = "by_name"
) -> ZSLData:
    """Opens a data set folder: one that `neurozsl data` wrote, or an AVCA benchmark root.

    feature_name, label_alignment: of a benchmark, as in `load_avca`.

    Raises:
        BadInput: the folder is missing, of neither kind, or unusable.
    """
    path = Path(path)
    _check_kind(path)
    if is_packed(path):
        return load_packed(path, feature_name=feature_name, label_alignment=label_alignment)
    if is_store(path):
        if label_alignment != "by_name":
            raise BadInput(
                f"{path}: label_alignment {label_alignment!r} exists for benchmark data alone; "
                "use by_name"
            )
        return load_store(path)
    return load_avca(path, feature_name=feature_name, label_alignment=label_alignment)


def convert(
    path: Path,
    out: Path,
    *,
    feature_name: FeatureName | None = None,
    max_steps: int | None = None,
    progress: Progress | None = None,
) -> ZSLData:
    """Writes any data set as one memory-mapped file and opens it.

    A benchmark is streamed class by class, so that it may be larger than memory; `feature_name`
    and `max_steps` are as in `load_avca`. An older data set in `out` is replaced. Progress counts
    samples.
    """
    path, out = Path(path), Path(out)
    if max_steps is not None and max_steps < 1:
        raise BadInput(f"{path}: cut to {max_steps} steps (max_steps); give 1 or more")
    _check_kind(path)
    if path.resolve() == out.resolve():
        raise BadInput(f"{out}: is what is converted; choose another --out")
    if is_store(path):
        index = index_of(load(path, feature_name=feature_name))
    else:
        index = index_avca(path, feature_name=feature_name, max_steps=max_steps)
    write_packed(index, out, progress=progress)
    return load_packed(out)


def _check_kind(path: Path) -> None:
    recover(path)
    if not path.is_dir():
        out = words({"out": path})
        raise BadInput(
            f"{path}: no such data set folder; check the path, or make one: of clips with "
            f"`neurozsl data build`, a synthetic one with `neurozsl data synth{out}`"
        )
    refuse_event_set(path)
    if not is_store(path) and not is_avca(path):
        raise BadInput(
            f"{path}: neither dataset.h5 nor class-split/ and features/ are in it; give a folder "
            "made by `neurozsl data`, or the root of a benchmark data set"
        )
