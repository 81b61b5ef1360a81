"""The ablations of STFT's paper: Tables III to VII and IX, Fig. 3, rows of `stft_ablations.toml`.

`--set ablation=NAME` puts a row's options under those that the user sets (`models.ablations`).
"""

from collections.abc import Mapping
from typing import Any

from neurozsl.models.ablations import Ablation, read_rows, row_options


def ablations() -> dict[str, Ablation]:
    """Every row by its name."""
    return read_rows("stft_ablations.toml")


def ablation_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the row `name`; {} for the name "". What the user gave must not undo the row.

    Raises:
        BadInput: unknown name, or a given option contradicts the row.

    >>> ablation_options("alpha_0.2", {})
    {'weight_triplet': 0.2, 'weight_rest': 0.8}
    """
    return row_options("stft", ablations(), name, given) if name else {}
