"""Every table of the seed papers and its rows, from the TOML file of each paper.

A row is options over a model of this package, nothing else. One TOML file per paper (`avca.toml`,
`mdft.toml`, `stft.toml`), in it one table per table or figure of the paper:

    title       what it compares
    nothing     why nothing can be run for it; then there is nothing else
    columns     S, U, HM, ZSL in percent, parameters, FLOPs: the figures that are printed
    datasets    of the benchmark, for which they are printed: ucf, vggsound, activity
    features    main (SeLaVi, the default) or cls (C3D and VGGish)
    note        what is to be known of the printed figures
    plot        of a figure: sweep, embedding or cost; axis: what a sweep varies
    rows        label      as printed
                model      of this package, registered or not yet
                options, rules, train, protocol    over those of `systems.toml`
                vary       one option and its values: a row of its own for each
                cited      name in `scoring/published.toml`, where the figures are
                published  data set -> the figures, in the order of `columns`
                reading    ours, where the paper is silent
                needs      name in `missing.toml`, while an option is not built

`systems.toml` says how a model's rows are trained.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.benchmark.avca_layout import FeatureName
from neurozsl.models.baselines import recipes
from neurozsl.scoring.published import published

PAPERS: Final = ("mdft", "stft", "avca")
DATASETS: Final = ("ucf", "vggsound", "activity")
Plotted = Literal["", "sweep", "embedding", "cost"]


@dataclass(frozen=True)
class TableRow:
    """One row. published: data set -> column -> figure, as printed.

    series, place: of a row that varies an option: its label without the value, and the value.
    """

    label: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = ""
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reading: str = ""
    needs: str = ""
    series: str = ""
    place: float | None = None

    @property
    def missing(self) -> str:
        """Why the row cannot be run whatever the data are; "" where it can."""
        if self.needs in missing_options():
            return missing_options()[self.needs]
        if self.model not in _registered():
            return f"model '{self.model}' is not in this version"
        return ""


@dataclass(frozen=True)
class PaperTable:
    """One table or figure of a paper; key: `mdft.2`, `stft.V`, `mdft.fig5`."""

    key: str
    paper: str
    title: str
    columns: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    features: FeatureName = "main"
    note: str = ""
    nothing: str = ""
    plot: Plotted = ""
    axis: str = ""
    rows: tuple[TableRow, ...] = ()

    @property
    def printed(self) -> str:
        """How the paper calls it.

        >>> find("stft.V")[0].printed, find("mdft.fig5")[0].printed
        ('Table V', 'Fig. 5')
        """
        name = self.key.partition(".")[2]
        number = re.fullmatch(r"fig(\d+)([a-z]*)", name)
        return f"Fig. {number[1]}{number[2]}" if number else f"Table {name}"

    def column(self, dataset: str) -> str:
        """Where the paper prints the figures of a data set of `datasets`."""
        block = {"ucf": "UCF", "vggsound": "VGGSound", "activity": "ActivityNet"}[dataset]
        suffix = "cls" if self.features == "cls" else ""
        return f"{block}-GZSL{suffix}: {', '.join(self.columns)}"


@cache
def tables() -> Mapping[str, PaperTable]:
    """Every table by its key, in the order of the papers."""
    return {table.key: table for paper in PAPERS for table in _paper(paper)}


def find(asked: str) -> tuple[PaperTable, ...]:
    """The tables of a list with commas: keys in any case, or a paper for all that can be run.

    Raises:
        BadInput: there is none of a name, one is named twice, or nothing can be run for it.

    >>> [table.key for table in find("mdft.2, STFT.v")]
    ['mdft.2', 'stft.V']
    """
    known = {key.lower(): table for key, table in tables().items()}
    found: list[PaperTable] = []
    for name in (x.strip().lower() for x in asked.split(",") if x.strip()):
        if name in PAPERS:
            found += [x for x in tables().values() if x.key.startswith(f"{name}.") and x.rows]
        elif name not in known:
            raise BadInput(f"table '{name}' is not known; choose from {', '.join(tables())}")
        elif known[name].nothing:
            raise BadInput(f"table {known[name].key}: nothing to run, {known[name].nothing}")
        else:
            found.append(known[name])
    keys = [table.key for table in found]
    if not found or len(set(keys)) < len(keys):
        raise BadInput(f"--table '{asked}': name each table once, such as mdft.2,stft.V")
    return tuple(found)


@cache
def missing_options() -> Mapping[str, str]:
    """What no model has yet, from `missing.toml`: name -> what is missing."""
    return dict(_toml("missing"))


@cache
def _registered() -> frozenset[str]:
    """Names of models; to look for those of packages outside takes a while."""
    return frozenset(models.names())


@dataclass(frozen=True)
class System:
    """How the rows of a model are trained. source: where that stands, "" of a recipe.

    of_protocol: options that no other protocol can train.
    """

    protocol: str
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    of_protocol: Mapping[str, Any] = field(default_factory=dict)


def system(model: str, data: str) -> System:
    """How the rows of a model are trained on a data set.

    data: as `models.baselines.recipes.data_key` gives it, "" for any other than the benchmark's.

    >>> system("stft", "vggsound_main").options["slots"], system("ale", "").protocol
    (4, 'published')
    """
    every = _toml("systems")
    if model not in every:
        return System("published" if model in recipes.names() else "avca")
    common = every[model]
    common = every[common["like"]] if "like" in common else common
    parts = [common, common.get(data.partition("_")[0], {}), common.get(data, {})]
    options, train = ({k: v for x in parts for k, v in x.get(p, {}).items()} for p in _LAYERED)
    of_protocol = common.get("of_protocol", {})
    return System(common["protocol"], common["source"], options, train, of_protocol)


_LAYERED: Final = ("options", "train")


def _paper(name: str) -> Iterator[PaperTable]:
    raw = dict(_toml(name))
    paper = raw.pop("paper")
    for number, table in raw.items():
        columns, features = tuple(table.get("columns", ())), table.get("features", "main")
        rows = tuple(row for x in table.get("rows", ()) for row in _rows(x, columns, features))
        parts = {"columns": columns, "datasets": tuple(table.get("datasets", ())), "rows": rows}
        yield PaperTable(f"{name}.{number}", paper, **{**table, **parts})


def _rows(
    raw: Mapping[str, Any], columns: tuple[str, ...], features: FeatureName
) -> Iterator[TableRow]:
    given = dict(raw)
    vary, cited = given.pop("vary", {}), given.pop("cited", "")
    printed = {
        dataset: dict(zip(columns, figures, strict=True))
        for dataset, figures in given.pop("published", {}).items()
    }
    if cited:
        printed = {
            row.dataset: {column: float(getattr(row, column)) for column in columns}
            for row in published()
            if (row.name, row.features) == (cited, features)
        }
    row = TableRow(**given, published=printed)
    if not vary:
        yield row
    for option, values in vary.items():
        for value in values:
            yield replace(
                row,
                label=f"{row.label}, {option} {value}",
                options={**row.options, option: value},
                series=row.label,
                place=float(value),
            )


@cache
def _toml(name: str) -> Mapping[str, Any]:
    path = files("neurozsl.studies.tables").joinpath(f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
