"""Published scores, from `published.toml`: each with its paper, table and column."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files

_BLOCK = {"ucf": "UCF-GZSL", "vggsound": "VGGSound-GZSL", "activity": "ActivityNet-GZSL"}


@dataclass(frozen=True)
class Published:
    """One row of a paper's table, percent; model: this package's name of it, "" without one."""

    name: str
    model: str
    dataset: str
    features: str
    S: float
    U: float
    HM: float
    ZSL: float
    paper: str
    table: str
    column: str
    note: str


def published() -> tuple[Published, ...]:
    """All rows.

    >>> [r.HM for r in published() if (r.model, r.dataset, r.features) == ("avca", "ucf", "main")]
    [27.15]
    """
    text = files("neurozsl.scoring").joinpath("published.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    rows = []
    for name, model, dataset, features, key, *scores in raw["rows"]["all"]:
        column = f"{_BLOCK[dataset]}{'cls' if features == 'cls' else ''}: S, U, HM, ZSL"
        source = {**raw["tables"][key], "column": column}
        rows.append(Published(name, model, dataset, features, *scores, **source))
    return tuple(rows)


def of_data(name: str, split: str) -> tuple[Published, ...]:
    """Rows of a benchmark data set as the reader names it; none for any other data.

    The first word of `name` is "ucf", "vggsound" or "activity", `split` "main_split" or
    "cls_split".
    """
    dataset, features = name.split(" ")[0], split.removesuffix("_split")
    return tuple(r for r in published() if (r.dataset, r.features) == (dataset, features))
