"""Studies over several seeds. A new one is one file and one line in the registry.

Importing this package loads no torch; `run` does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.studies.base import Study, StudyProgress, StudySettings, claim, sole_writer
from neurozsl.studies.motion import MotionStudy
from neurozsl.studies.quantisation import QuantisationStudy

__all__ = ["STUDIES", "StudySettings", "find", "run"]

STUDIES: Mapping[str, Study] = {"motion": MotionStudy(), "quantisation": QuantisationStudy()}


def find(name: str) -> Study:
    """The study called `name`.

    Raises:
        BadInput: there is none.
    """
    if name not in STUDIES:
        raise BadInput(f"study '{name}' is not known; choose one of {', '.join(STUDIES)}")
    return STUDIES[name]


def run(
    settings: StudySettings,
    *,
    out: Path,
    on: Workers = ALONE,
    progress: StudyProgress | None = None,
) -> dict[str, Any]:
    """Run a study in the folder `out`, going on where it was stopped; writes `out/study.json`.

    Raises:
        BadInput: unknown study, or the folder holds another one.
        NeuroZSLError: a training failed; its message is in the error.
    """
    study = find(settings.name)
    with sole_writer(out):
        claim(settings, out)
        result = study.run(settings, out=out, on=on, progress=progress)
        write_json(out / "study.json", result)
        return result
