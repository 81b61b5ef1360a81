"""The ablations of a model's paper as model options: rows of tables and figures, each with a name.

In: a file of rows; out: options under those that the user sets (`--set ablation=NAME`). Every row
is switches of the model's configuration, so it can also be written out. Where the paper does not
say what takes the place of what it removes, the row's reading does.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from neurozsl.core.errors import BadInput


@dataclass(frozen=True)
class Ablation:
    """One row.

    source: table or figure. label: as printed there. options: of the model. reading: ours.
    published: S, U, HM, ZSL in percent on UCF-GZSL, real features, nan where not printed; None
    where only drawn.
    """

    source: str
    label: str
    options: Mapping[str, Any]
    reading: str
    published: tuple[float, float, float, float] | None = None


def read_rows(file: str) -> dict[str, Ablation]:
    """Every row of a file of this folder by its name."""
    text = files("neurozsl.models").joinpath(file).read_text(encoding="utf-8")
    return {name: Ablation(**_plain(row)) for name, row in tomllib.loads(text).items()}


def _plain(value: Any) -> Any:
    """Lists as tuples, as a configuration holds them."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value


def row_options(
    model: str, rows: Mapping[str, Ablation], name: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Options of the row `name`; {} for the name "". What the user gave must not undo the row.

    Raises:
        BadInput: unknown name, or a given option contradicts the row.
    """
    if not name:
        return {}
    if name not in rows:
        raise BadInput(
            f"model '{model}': ablation '{name}' is not known; choose one of {', '.join(rows)}"
        )
    options = dict(rows[name].options)
    for key, value in options.items():
        found = tuple(given[key]) if isinstance(given.get(key), list) else given.get(key, value)
        if found != value:
            raise BadInput(
                f"model '{model}': ablation={name} means {key}={value!r}, {key}={found!r} was "
                "given; leave one of the two out"
            )
    return options
