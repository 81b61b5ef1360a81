"""`result.json`: what stage 1 chose and the scores, sealed with what they come from (`seal`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.core.reading import Kind, checked_object, checked_value, read_object
from neurozsl.runs.seal import RESTORE, check_digest, check_file, file_digests, own_digest
from neurozsl.runs.settings import SCHEMA, RunSettings
from neurozsl.training.stage_loop import Selected

NAME: Final = "result.json"
UNCHECKED: Final = (
    "the run was made by an earlier version, which noted no digests: whether its files are those "
    "that were trained and scored is not checked"
)
_KEYS: Mapping[str, Kind] = {"selected": dict, "test": dict, "warnings": list}
_CHOSEN = ("beta", "head_weight", "val_hm")
_SELECTED: Mapping[str, Kind] = {"epochs": int, **dict.fromkeys(_CHOSEN, float)}
_SCALE: Mapping[str, Kind] = {
    "temperature": float,
    "val_samples": int,
    "val_right": int,
    "further": float,
}
_SCORES: Mapping[str, Kind] = {"S": float, "U": float, "HM": float, "ZSL": float}
_STEP: Mapping[str, Kind] = {"step": str, "backend": str, "policy": str, **_SCORES}
_SEAL = ("settings", "files", "digest")


@dataclass(frozen=True)
class Result:
    """What `result.json` holds.

    content: all but the seal. files: SHA-256 of the files that it comes from. digest: its own.
    note: `UNCHECKED`, where an earlier version wrote it.
    """

    content: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    note: str = ""

    @property
    def selected(self) -> Selected:
        """What stage 1 chose."""
        return Selected(**self.content["selected"])

    def check_file(self, path: Path, name: str) -> None:
        """Refuse a file of the run folder that is not the one these scores come from.

        Raises:
            BadInput: it is missing or was changed.
        """
        check_file(path, name, self.files, NAME)


def write_result(
    path: Path, content: Mapping[str, Any], settings: RunSettings, files: Iterable[str]
) -> Result:
    """Write `result.json`, which makes a run finished; files: names that the scores come from."""
    found = file_digests(path, files)
    sealed = {**content, "settings": settings.digest, "files": found}
    digest = own_digest(sealed)
    write_json(path / NAME, {**sealed, "digest": digest}, sort_keys=True)
    return Result(content, found, digest)


def read_result(path: Path, settings: RunSettings) -> Result:
    """Read `result.json` of a finished run, and check its seal.

    Raises:
        BadInput: it is damaged, was changed, or belongs to other settings.
    """
    file = path / NAME
    raw = read_object(file, remedy=RESTORE, keys=_KEYS)
    where = str(file)
    if settings.schema == SCHEMA or any(key in raw for key in _SEAL):
        seal: Mapping[str, Kind] = {"settings": str, "files": dict, "digest": str}
        checked_object(raw, where, remedy=RESTORE, keys=seal)
        check_digest(file, own_digest(raw), raw["digest"], "it")
        if raw["settings"] != settings.digest:
            raise BadInput(
                f"{path / 'run.json'}: holds other settings than those that were trained (sha256 "
                f"{settings.digest[:12]}, {NAME} notes {raw['settings'][:12]}); {RESTORE}"
            )
    # Earlier versions chose no scale of scores.
    chosen = {**_SELECTED, **(_SCALE if _SCALE.keys() & raw["selected"].keys() else {})}
    checked_object(raw["selected"], f"{where}: 'selected'", remedy=RESTORE, keys=chosen)
    unknown = sorted(raw["selected"].keys() - chosen.keys())
    if unknown:
        raise BadInput(f"{where}: 'selected' holds an unknown '{unknown[0][:40]}'; {RESTORE}")
    scores: Mapping[str, Kind] = {**_SCORES, "samples": int}
    checked_object(raw["test"], f"{where}: 'test'", remedy=RESTORE, keys=scores)
    for warning in raw["warnings"]:
        checked_value(warning, f"{where}: a warning", str, remedy=RESTORE)
    steps = checked_value(raw.get("before", []), f"{where}: 'before'", list, remedy=RESTORE)
    for step in steps:
        checked_object(step, f"{where}: a step of 'before'", remedy=RESTORE, keys=_STEP)
    content = {key: value for key, value in raw.items() if key not in _SEAL}
    if "digest" in raw:
        return Result(content, raw["files"], raw["digest"])
    content["warnings"] = [*raw["warnings"], UNCHECKED]
    return Result(content, {}, own_digest(raw), UNCHECKED)
