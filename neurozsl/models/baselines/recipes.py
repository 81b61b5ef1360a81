"""The published recipe of a model, from `recipes.toml`: options, rules and sizes of training."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from neurozsl.core.errors import BadInput

_PARTS: Final = ("options", "rules", "training")
# first word of a benchmark's name, as its reader gives it -> as in the table
_DATA: Final = {"ucf": "ucf", "vggsound": "vggsound", "activity": "activitynet"}


@dataclass(frozen=True)
class PublishedRecipe:
    """How a model was trained for its published scores.

    source: where it stands. options: of the model. rules, training: fields of `Protocol` and of
    `TrainConfig` that are not as in the protocol `avca`.
    """

    source: str
    options: Mapping[str, Any]
    rules: Mapping[str, Any]
    training: Mapping[str, Any]


def names() -> tuple[str, ...]:
    """Models that have a recipe.

    >>> {"ale", "cjme"} <= set(names())
    True
    """
    return tuple(_table())


def recipe(model: str, data: str = "") -> PublishedRecipe:
    """The recipe of a model for a data set of the benchmark, or for any other.

    data: as `data_key` gives it; a data set without a table of its own takes what holds for all.

    Raises:
        BadInput: the model has none.

    >>> recipe("avca", "vggsound_main").training["batch"], recipe("avca").training["batch"]
    (64, 256)
    """
    table = _table()
    if model not in table:
        raise BadInput(
            f"model '{model}': no published recipe is known (recipes.toml); train with "
            f"`--protocol ours` or avca, or choose one of {', '.join(table)}"
        )
    common: Mapping[str, Any] = table[model]
    own: Mapping[str, Any] = common.get(data, {}) if data else {}
    parts = ({**common.get(part, {}), **own.get(part, {})} for part in _PARTS)
    return PublishedRecipe(own.get("source", common["source"]), *parts)


def data_key(name: str, split: str) -> str:
    """How the tables call a benchmark data set as its reader names it; "" for any other data.

    >>> data_key("activity main_split", "main_split"), data_key("synthetic", "")
    ('activitynet_main', '')
    """
    dataset = _DATA.get(name.split(" ")[0], "")
    return f"{dataset}_{split.removesuffix('_split')}" if dataset and split else ""


@cache
def _table() -> Mapping[str, Any]:
    path = files("neurozsl.models.baselines").joinpath("recipes.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
