"""`run.json`: what is trained, from what data, how, and with which versions.

The path of the data is kept relative to the run folder, with a fingerprint of its contents, so that
a folder can move with its data and changed data are noticed. Where the data lie elsewhere, as for a
run that was copied alone, the caller (`--data`) or `NEUROZSL_DATA` says where; what works without
them says `kept`. The file is sealed (`seal`).
"""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import TypeAdapter, ValidationError

from neurozsl.core.archive import is_archive
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.core.reading import read_object
from neurozsl.core.shell import command
from neurozsl.core.version import __version__
from neurozsl.data.batch import ZSLData
from neurozsl.data.benchmark.avca_layout import FeatureName
from neurozsl.data.index import Alignment
from neurozsl.data.sets.fingerprint import fingerprint
from neurozsl.data.sets.load import load
from neurozsl.runs.kind import refuse_classifier
from neurozsl.runs.seal import RESTORE, check_digest, settings_digest
from neurozsl.training.protocol import TrainConfig, train_config_from
from neurozsl.training.qat import FineTuning, fine_tuning_from

NAME: Final = "run.json"
DATA_VARIABLE: Final = "NEUROZSL_DATA"
SCHEMA: Final = 2  # 1 notes no digests
_READS: Final = (1, SCHEMA)
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


class DataElsewhere(BadInput):
    """The data set of a run does not lie where it was, nor where the caller or the system says."""


@dataclass(frozen=True)
class RunSettings:
    """The contents of `run.json`.

    label_alignment, feature_name: how benchmark data are read (`data.load`). sources: SHA-256 of
    the files of the folder that a fine-tuned run begins with; `parent` and `teacher`: digests of
    the results of those runs. digest: `seal.settings_digest` of all this; the run is known by it.
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
    sources: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""


def write_settings(path: Path, settings: RunSettings) -> RunSettings:
    """Write `run.json`, which makes the folder a run; returns what it holds, with the digest."""
    path.mkdir(parents=True, exist_ok=True)
    sealed = replace(settings, digest=settings_digest(asdict(settings)))
    write_json(path / NAME, asdict(sealed), sort_keys=True)
    return sealed


def read_settings(path: Path) -> RunSettings:
    """Read `run.json` and check its digest.

    Raises:
        BadInput: there is no run, or its file is damaged or was changed.
    """
    file = path / NAME
    if is_archive(path):
        raise BadInput(
            f"run '{path}': is a packed run; open it first with `{command('unpack', path)}`"
        )
    if not file.is_file():
        raise BadInput(
            f"run '{path}': no run.json there; give the folder that `neurozsl train --out` wrote"
        )
    refuse_classifier(path)
    raw = read_object(file, remedy=RESTORE, keys={"schema": int})
    schema = raw["schema"]
    if schema not in _READS:
        raise BadInput(
            f"{file}: schema {schema}, this version reads "
            f"{' and '.join(map(str, _READS))}; train again or use the version that wrote it"
        )
    digest = settings_digest(raw)
    if schema == SCHEMA:
        noted = raw.get("digest")
        if not isinstance(noted, str):
            raise BadInput(f"{file}: its own digest is missing; {RESTORE}")
        check_digest(file, digest, noted, "it")
    try:
        _TYPES.validate_json(json.dumps(raw), strict=True)
        qat = None if raw.get("qat") is None else fine_tuning_from(raw["qat"])
        train = train_config_from(raw["train"])
        return RunSettings(**{**raw, "train": train, "qat": qat, "digest": digest})
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (KeyError, TypeError, BadInput) as error:
        what = str(error)
    raise BadInput(f"{file}: is not what a run holds ({what}); {RESTORE}")


_TYPES: Final = TypeAdapter(RunSettings)


def load_data(path: Path, settings: RunSettings, given: Path | None = None) -> ZSLData:
    """Load the data set of a run and check that it is still the same; given: as in `data_folder`.

    Raises:
        DataElsewhere: it is not there.
        BadInput: it has changed.
    """
    folder = data_folder(path, settings, given)
    alignment, features = settings.label_alignment, settings.feature_name
    return load(folder, feature_name=features, label_alignment=alignment)


class HasData(Protocol):
    """Settings that name a data set: its path from the run folder, and its fingerprint."""

    @property
    def data(self) -> str: ...
    @property
    def data_fingerprint(self) -> str: ...


def data_folder(path: Path, settings: HasData, given: Path | None = None) -> Path:
    """Where the data set of a run lies: as noted, else in the folder that `NEUROZSL_DATA` names.

    That is the data set itself, or a folder that holds it under the name it had. given: the one
    place to look at instead.

    Raises:
        DataElsewhere: it is not there.
        BadInput: what lies there is another one.
    """
    noted = (path / settings.data).resolve()
    variable = os.environ.get(DATA_VARIABLE)
    if given is not None:
        places, where = _at(given, noted.name), f"in --data {given}"
    else:
        places, where = [noted], f"at {noted}"
        if variable:
            places += _at(Path(variable), noted.name)
            where += f", nor in {DATA_VARIABLE}={variable}"
    there = [folder for folder in places if folder.is_dir()]
    for folder in there:
        if fingerprint(folder) == settings.data_fingerprint:
            return folder
    needed = f"data set '{noted.name}' with the fingerprint {settings.data_fingerprint[:12]}"
    say = f"--data DIR (evaluate, export, profile, simulate), or {DATA_VARIABLE}=FOLDER"
    if not there:
        raise DataElsewhere(
            f"run '{path}': needs the {needed}, not found {where}; put it there, or say where it "
            f"lies: {say} before any command"
        )
    raise BadInput(
        f"run '{path}': the data in '{there[0]}' changed since training or are others (fingerprint "
        f"{fingerprint(there[0])[:12]}); it needs the {needed}; restore it there, say "
        f"where it lies, {say}, or train a new run"
    )


def _at(folder: Path, name: str) -> list[Path]:
    """A data set that lies in a folder under its name, or is it."""
    return [folder / name, folder]
