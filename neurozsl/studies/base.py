"""What every study does: claim a folder, make data sets, train runs (`trainings`), summarise.

A study is one file beside this one with a class that keeps `Study`, and one line in the registry.
Seed s makes data set s and run s, so that variants are paired by seed. Finished runs in the
study's folder are kept, so a stopped study goes on where it was.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Protocol

from neurozsl.cluster.tasks import Workers
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.core.lock import Lock
from neurozsl.core.places import check_place
from neurozsl.core.reading import read_json
from neurozsl.studies.kept import check_data

StudyProgress = Callable[[float, int, str], None]
"""Done (a run that is in work counts by its share), in all, and what is being done."""


@dataclass(frozen=True)
class StudySettings:
    """How large a study is."""

    name: str
    scene_biases: tuple[float, ...]
    seeds: int
    epochs: int
    test_size: int

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise BadInput(f"study '{self.name}': {self.seeds} seeds, expected at least 1")


@dataclass(frozen=True)
class Table:
    """What a study prints."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Study(Protocol):
    """One study."""

    @property
    def scene_biases(self) -> tuple[float, ...]:
        """The biases that it runs at unless others are asked for."""

    def run(
        self, settings: StudySettings, *, out: Path, on: Workers, progress: StudyProgress | None
    ) -> dict[str, Any]:
        """Train what is missing in `out` and return the result, the content of `study.json`."""

    def tables(self, result: Mapping[str, Any]) -> list[Table]:
        """The result for people."""


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Make the folder of a study or benchmark; inside, no other process writes it.

    Raises:
        BadInput: it cannot be written, or another process is at it.
    """
    check_place(out / "definition.json", "study folder")
    with Lock(out, "study folder"):
        yield


def claim(settings: Any, out: Path) -> None:
    """Write the study's definition into its folder; refuse a folder with another one.

    settings: a dataclass, all that the runs in the folder depend on.

    Raises:
        BadInput: the folder holds another study.
    """
    path, wanted = out / "definition.json", json.loads(json.dumps(asdict(settings)))
    found = read_json(path, remedy="choose another --out") if path.exists() else wanted
    if found != wanted:
        raise BadInput(
            f"study folder '{out}': holds another study ({json.dumps(found)[:500]}); choose "
            "another --out"
        )
    write_json(path, wanted)


def data_folder(out: Path, bias: float, seed: int) -> Path:
    """Where the data set of a bias and seed lies."""
    return out / f"data-bias{bias}-seed{seed}"


def make_data(
    settings: StudySettings,
    out: Path,
    *,
    unbiased_val: bool = False,
    progress: StudyProgress | None = None,
) -> None:
    """Write the data sets that are missing, refuse others; unbiased_val: of `SyntheticConfig`."""
    from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic

    for bias, seed in product(settings.scene_biases, range(settings.seeds)):
        folder = data_folder(out, bias, seed)
        config = SyntheticConfig(bias, unbiased_val, seed=seed, test_size=settings.test_size)
        if folder.exists():
            check_data(folder, config)
        else:
            write_synthetic(config, folder, progress=named(progress, folder.name))


def named(progress: StudyProgress | None, text: str) -> Callable[[int, int], None] | None:
    """Progress of one piece of work, whose reports have no text of their own."""
    return None if progress is None else lambda done, total: progress(done, total, text)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, extremes and standard deviation over seeds."""
    return {
        "mean": mean(values),
        "min": min(values),
        "max": max(values),
        "sd": stdev(values) if len(values) > 1 else None,
        "values": list(values),
    }


def tables_by_bias(
    result: Mapping[str, Any],
    title: str,
    columns: tuple[str, ...],
    cells: Callable[[Mapping[str, Any]], tuple[str, ...]],
) -> list[Table]:
    """One table per scene bias: its rows as `cells`; `title` goes on after the sizes."""
    study, rows = result["study"], result["rows"]
    return [
        Table(
            f"scene bias {bias}: synthetic, {study['seeds']} seeds, {study['test_size']} test "
            f"samples{title}",
            columns,
            tuple(cells(row) for row in rows if row["scene_bias"] == bias),
        )
        for bias in study["scene_biases"]
    ]


def show_spread(row: Mapping[str, Any]) -> str:
    """Mean and extremes in one cell; of one run, or of equal ones, the value alone.

    >>> show_spread({"mean": 2.0, "min": 1.0, "max": 3.0}), show_spread(dict.fromkeys(
    ...     ("mean", "min", "max"), 2.0))
    ('2.0 (1.0 to 3.0)', '2.0')
    """
    if row["min"] == row["max"]:
        return f"{row['mean']:.1f}"
    return f"{row['mean']:.1f} ({row['min']:.1f} to {row['max']:.1f})"
