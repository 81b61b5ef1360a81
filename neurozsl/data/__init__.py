"""Clips, generated sets and benchmark features, all read as one `ZSLData`."""

from __future__ import annotations

from pathlib import Path

from neurozsl.data.avca import Alignment, FeatureName, is_avca, load_avca
from neurozsl.data.batch import SPLITS, AVBatch, Split, Stage, ZSLData
from neurozsl.data.clip import Clip
from neurozsl.data.store import is_store, load_store, save
from neurozsl.errors import BadInput

__all__ = [
    "SPLITS",
    "AVBatch",
    "Clip",
    "Split",
    "Stage",
    "ZSLData",
    "load",
    "load_avca",
    "load_store",
    "save",
]


def load(
    path: Path,
    *,
    feature_name: FeatureName | None = None,
    label_alignment: Alignment = "by_name",
) -> ZSLData:
    """Opens a data set folder: one that `neurozsl data` wrote, or an AVCA benchmark root.

    Args:
        path: the folder.
        feature_name: benchmark only, "main" or "cls".
        label_alignment: benchmark only, "by_name" or "legacy".

    Raises:
        BadInput: the folder is missing, of neither kind, or unusable.
    """
    path = Path(path)
    if not path.is_dir():
        raise BadInput(
            f"{path}: no such data set folder; make one with `neurozsl data synth --out {path}`"
        )
    if is_store(path):
        return load_store(path)
    if is_avca(path):
        return load_avca(path, feature_name=feature_name, label_alignment=label_alignment)
    raise BadInput(
        f"{path}: neither dataset.h5 nor class-split/ and features/ are in it; give a folder made "
        "by `neurozsl data synth` or `neurozsl data build`, or the root of a benchmark data set"
    )
