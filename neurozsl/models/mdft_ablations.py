"""The ablations of MDFT's paper: Tables 2 to 4 and Fig. 5, rows of `mdft_ablations.toml`.

`--set ablation=NAME` puts a row's options under those that the user sets (`models.ablations`).
"""

from collections.abc import Mapping
from typing import Any

from neurozsl.models.ablations import Ablation as Ablation
from neurozsl.models.ablations import read_rows, row_options


def ablations() -> dict[str, Ablation]:
    """Every row by its name."""
    return read_rows("mdft_ablations.toml")


def ablation_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the row `name`; {} for the name "". What the user gave must not undo the row.

    Raises:
        BadInput: unknown name, or a given option contradicts the row.

    >>> ablation_options("no_ln", {})
    {'weight_n': 0.0}
    """
    return row_options("mdft", ablations(), name, given) if name else {}
