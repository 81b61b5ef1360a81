"""The ablations of MDFT's paper as model options: Tables 2 to 4 and Fig. 5, one row each.

`--set ablation=NAME` puts a row's options under those that the user sets; the rows are in
`mdft_ablations.toml`. All of them are switches of `MDFTConfig`, so a row can also be written out.
Where the paper does not say what takes the place of what it removes, the row's reading does.
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

    source: table or figure. label: as printed there. options: of `MDFTConfig`. reading: ours.
    published: S, U, HM, ZSL in percent on UCF-GZSL, real features; None where only drawn.
    """

    source: str
    label: str
    options: Mapping[str, Any]
    reading: str
    published: tuple[float, float, float, float] | None = None


def ablations() -> dict[str, Ablation]:
    """Every row by its name."""
    text = files("neurozsl.models").joinpath("mdft_ablations.toml").read_text(encoding="utf-8")
    return {name: Ablation(**_plain(row)) for name, row in tomllib.loads(text).items()}


def _plain(value: Any) -> Any:
    """Lists as tuples, as a configuration holds them."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value


def ablation_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the row `name`; {} for the name "". What the user gave must not undo the row.

    Raises:
        BadInput: unknown name, or a given option contradicts the row.

    >>> ablation_options("no_ln", {})
    {'weight_n': 0.0}
    """
    if not name:
        return {}
    rows = ablations()
    if name not in rows:
        raise BadInput(
            f"model 'mdft': ablation '{name}' is not known; choose one of {', '.join(rows)}"
        )
    options = dict(rows[name].options)
    for key, value in options.items():
        found = tuple(given[key]) if isinstance(given.get(key), list) else given.get(key, value)
        if found != value:
            raise BadInput(
                f"model 'mdft': ablation={name} means {key}={value!r}, {key}={found!r} was given; "
                "leave one of the two out"
            )
    return options
