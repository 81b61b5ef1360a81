"""Where a run lies on the frontier of a study: the values of the report's section.

The study (`neurozsl benchmark --frontier`) writes the file; a report reads it as JSON.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_object
from neurozsl.report.schema.value import Value

DOCUMENT: Final = "frontier.json"
STUDY: Final = "frontier"
SCHEMA: Final = 1
MAX_FRONTIER_BYTES: Final = 2**26


class FrontierPoint(Value):
    """A setting, or the run itself. HM in percent, mean over the seeds; joules of an inference.

    place: this run, cheaper, better.
    """

    place: str
    name: str
    hm: float
    hm_low: float | None = None
    hm_high: float | None = None
    joules: float


class OnFrontier(Value):
    """A run beside the settings of its own family at one cost table.

    file: of the study. table: name of the cost table. points: the run, the best of the cheaper
    settings and the cheapest of the better ones, where there are any. sentences: which family is
    cheaper, of the main tables. notes: what the comparison rests on.
    """

    file: str
    table: str
    points: tuple[FrontierPoint, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_frontier(path: Path) -> Mapping[str, Any]:
    """The document of a study, from its file or its folder.

    Raises:
        BadInput: there is none, or it is something else.
    """
    file = path / DOCUMENT if path.is_dir() else path
    remedy = "give the folder that `neurozsl benchmark --frontier --out` wrote"
    found = read_object(file, remedy=remedy, max_bytes=MAX_FRONTIER_BYTES, allow_nan=True)
    if (found.get("study"), found.get("schema")) != (STUDY, SCHEMA):
        raise BadInput(
            f"frontier '{file}': is no frontier of schema {SCHEMA}; run `neurozsl benchmark "
            "--frontier` again, finished runs are kept"
        )
    return found


def beside(run: Path) -> Path | None:
    """The frontier of the study in whose folder a run lies; None where it lies in none."""
    file = run.resolve().parent / DOCUMENT
    return file if file.is_file() else None
