"""What a study finds in its folder: kept only where it is what the study would make now.

Finished runs and data sets are found by their names. Folders are copied, and names do not say what
is in them; a run says it in `run.json`, a synthetic set in the `config` of its `meta`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_object

if TYPE_CHECKING:
    from neurozsl.data.synthetic.scenes import SyntheticConfig

_REMEDY: Final = "choose another --out, or remove the folder"
_ABSENT: Final = "nothing"
_FLAGS: Final = ("model", "label_alignment", "feature_name", "seed", "epochs", "batch", "lr")


def check_data(folder: Path, config: SyntheticConfig) -> None:
    """Refuse a folder that holds another data set than `config` makes.

    Raises:
        BadInput: naming what differs.
    """
    facts = read_object(folder / "dataset.json", remedy=_REMEDY, keys={"meta": dict})
    found = facts["meta"].get("config")
    found = found if isinstance(found, dict) else {}
    _refuse(f"data set '{folder}'", found, json.loads(json.dumps(asdict(config))))


def check_run(
    path: Path,
    *,
    data: Path,
    options: Mapping[str, Any],
    rules: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    whole: bool = False,
    **flags: Any,
) -> None:
    """Refuse a run in the place of a study's own that was made in another way, or of other data.

    data: its data set. options: of the model; where `whole`, all of them, none left to its default.
    rules: of its protocol. train: fields of its `TrainConfig`. flags: of `neurozsl train`; those
    that run.json holds under their names are compared, None is not.

    Raises:
        BadInput: naming what differs.
    """
    from neurozsl.data.sets.fingerprint import fingerprint
    from neurozsl.runs.settings import read_settings

    found = read_settings(path)
    trained = {**vars(found.train.protocol), **vars(found.train)}
    has = {key: {**trained, **vars(found)}[key] for key in _FLAGS}
    wanted = {key: flags[key] for key in _FLAGS if flags.get(key) is not None}
    has |= {"data": str((path / found.data).resolve()), "fine-tuned": found.qat is not None}
    wanted |= {"data": str(data.resolve()), "fine-tuned": False}
    has |= {f"rule {key}": trained.get(key) for key in rules or {}}
    wanted |= {f"rule {key}": value for key, value in (rules or {}).items()}
    _refuse(f"run '{path}'", has, wanted)
    _refuse(f"run '{path}'", trained, train or {})
    asked = json.loads(json.dumps(options))
    keys = asked.keys() | found.options.keys() if whole else asked.keys() & found.options.keys()
    asked = {key: asked.get(key, _ABSENT) for key in sorted(keys)}
    _refuse(f"run '{path}'", found.options, asked)
    now = fingerprint(data)
    if found.data_fingerprint != now:
        raise BadInput(
            f"run '{path}': the data in '{data}' changed since training or are others (fingerprint "
            f"{now[:12]}, it was trained on {found.data_fingerprint[:12]}); restore them, or "
            f"{_REMEDY}"
        )


def check_tuned(path: Path, parent: Path) -> None:
    """Refuse a run in the place of a study's own that was not fine-tuned from `parent` as it is.

    Raises:
        BadInput: naming what differs.
    """
    from neurozsl.runs.result import read_result
    from neurozsl.runs.settings import read_settings

    found = read_settings(path)
    began = "" if found.qat is None else str((path / found.qat.parent).resolve())
    has = {"parent": began or _ABSENT}
    wanted = {"parent": str(parent.resolve())}
    if "parent" in found.sources:
        has["result of the parent"] = found.sources["parent"]
        wanted["result of the parent"] = read_result(parent, read_settings(parent)).digest
    _refuse(f"run '{path}'", has, wanted)


def _refuse(what: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    other = [
        f"{key} {found.get(key, _ABSENT)}, asked for {value}"
        for key, value in wanted.items()
        if found.get(key, _ABSENT) != value
    ]
    if other:
        raise BadInput(f"{what}: was made with {'; '.join(other)}; {_REMEDY}")
