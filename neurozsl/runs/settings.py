"""`run.json`: what is trained, from what data, how, and with which versions.

The path of the data is kept relative to the run folder, with a fingerprint of its contents, so that
a folder can move with its data and changed data are noticed.
"""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.core.version import __version__
from neurozsl.data.batch import ZSLData
from neurozsl.data.benchmark.avca_layout import FeatureName
from neurozsl.data.index import Alignment
from neurozsl.data.sets.fingerprint import fingerprint
from neurozsl.data.sets.load import load
from neurozsl.training.protocol import TrainConfig, train_config_from
from neurozsl.training.qat import FineTuning, fine_tuning_from

SCHEMA = 1
_LIBRARIES = ("torch", "norse", "nir", "sinabs", "numpy", "lightning-fabric")


def versions() -> dict[str, str]:
    """Versions of everything that a number may depend on."""
    found = {"neurozsl": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass(frozen=True)
class RunSettings:
    """The contents of `run.json`.

    label_alignment, feature_name: how benchmark data are read (`data.load`).
    """

    model: str
    options: Mapping[str, Any]
    train: TrainConfig
    data: str  # path relative to the run folder
    data_fingerprint: str
    versions: Mapping[str, str]
    schema: int = SCHEMA
    qat: FineTuning | None = None
    label_alignment: Alignment = "by_name"
    feature_name: FeatureName | None = None


def write_settings(path: Path, settings: RunSettings) -> None:
    """Write `run.json`, which makes the folder a run."""
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / "run.json", asdict(settings), sort_keys=True)


def read_settings(path: Path) -> RunSettings:
    """Read `run.json`.

    Raises:
        BadInput: there is no run, or its file cannot be read.
    """
    file = path / "run.json"
    if not file.is_file():
        raise BadInput(
            f"run '{path}': no run.json there; give the folder that `neurozsl train --out` wrote"
        )
    try:
        raw = json.loads(file.read_text())
        if raw["schema"] != SCHEMA:
            raise BadInput(
                f"run '{path}': schema {raw['schema']}, this version reads {SCHEMA}; train again "
                "or use the version that wrote it"
            )
        qat = None if raw.get("qat") is None else fine_tuning_from(raw["qat"])
        return RunSettings(**{**raw, "train": train_config_from(raw["train"]), "qat": qat})
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"run '{path}': run.json cannot be read ({error}); restore it") from error


def load_data(path: Path, settings: RunSettings) -> ZSLData:
    """Load the data set of a run and check that it is still the same.

    Raises:
        BadInput: it is missing or has changed.
    """
    folder = (path / settings.data).resolve()
    alignment, features = settings.label_alignment, settings.feature_name
    data = load(folder, feature_name=features, label_alignment=alignment)
    if fingerprint(folder) != settings.data_fingerprint:
        raise BadInput(
            f"run '{path}': the data in '{settings.data}' changed since training; restore it or "
            "train a new run"
        )
    return data
