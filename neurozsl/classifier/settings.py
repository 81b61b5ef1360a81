"""`run.json` of a classifier: which network is trained, from what recordings, and how.

Sealed and moved like the one of every run (`runs.seal`, `runs.settings`); `kind` tells them apart.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from neurozsl.classifier.recipe import Recipe, recipe_from
from neurozsl.classifier.source import NetworkSource
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.core.reading import read_object
from neurozsl.export.nir.said import Said
from neurozsl.runs.kind import CLASSIFIER
from neurozsl.runs.seal import RESTORE, check_digest, settings_digest
from neurozsl.runs.settings import NAME

SCHEMA: Final = 1


@dataclass(frozen=True)
class ClassifierSettings:
    """What the file holds.

    Attributes:
        network: where it comes from. A `.nir` file is copied into the folder (`start.nir`).
        recipe: how it is trained.
        said: what the caller says of a `.nir` file, the fields of `Said`.
        data: path of the set, relative to the run folder.
        data_fingerprint: of its content.
        versions: of what the numbers may depend on.
        digest: of all this but where things lie; the run is known by it.
    """

    network: NetworkSource
    recipe: Recipe
    data: str
    data_fingerprint: str
    versions: Mapping[str, str]
    said: Mapping[str, Any] = field(default_factory=dict)
    kind: str = CLASSIFIER
    schema: int = SCHEMA
    digest: str = ""

    @property
    def spoken(self) -> Said:
        """What is said of a `.nir` file."""
        return Said(**self.said)


def write_settings(path: Path, settings: ClassifierSettings) -> ClassifierSettings:
    """Write `run.json`, which makes the folder a run; returns what it holds, with the digest."""
    path.mkdir(parents=True, exist_ok=True)
    sealed = replace(settings, digest=settings_digest(asdict(settings)))
    write_json(path / NAME, asdict(sealed), sort_keys=True)
    return sealed


def read_settings(path: Path) -> ClassifierSettings:
    """Read `run.json` and check its digest.

    Raises:
        BadInput: there is no run of a classifier, or its file is damaged or was changed.
    """
    file = path / NAME
    keys = {"schema": int, "kind": str, "digest": str, "recipe": dict, "network": dict}
    raw = read_object(file, remedy=RESTORE, keys=keys)
    if raw["kind"] != CLASSIFIER or raw["schema"] != SCHEMA:
        raise BadInput(
            f"{file}: kind {raw['kind']!r}, schema {raw['schema']}; this version reads "
            f"{CLASSIFIER!r}, {SCHEMA}; train again or use the version that wrote it"
        )
    check_digest(file, settings_digest(raw), raw["digest"], "it")
    try:
        _TYPES.validate_json(json.dumps(raw), strict=True)
        recipe, network = recipe_from(raw["recipe"]), NetworkSource(**raw["network"])
        found = ClassifierSettings(**{**raw, "recipe": recipe, "network": network})
        found.spoken  # noqa: B018  # names fields that do not exist
        return found
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (KeyError, TypeError, BadInput) as error:
        what = str(error)
    raise BadInput(f"{file}: is not what a run holds ({what}); {RESTORE}")


_TYPES: Final = TypeAdapter(ClassifierSettings)
