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
    for name, model, dataset, features, key, S, U, HM, ZSL in raw["rows"]["all"]:
        table = raw["tables"][key]
        rows.append(
            Published(
                name,
                model,
                dataset,
                features,
                S,
                U,
                HM,
                ZSL,
                paper=table["paper"],
                table=table["table"],
                column=f"{_BLOCK[dataset]}{'cls' if features == 'cls' else ''}: S, U, HM, ZSL",
                note=table["note"],
            )
        )
    return tuple(rows)


def of_data(name: str, split: str) -> tuple[Published, ...]:
    """Rows of a benchmark data set as the reader names it; none for any other data.

    Args:
        name: of the data set; its first word is "ucf", "vggsound" or "activity".
        split: "main_split" or "cls_split".
    """
    dataset, features = name.split(" ")[0], split.removesuffix("_split")
    return tuple(r for r in published() if (r.dataset, r.features) == (dataset, features))
