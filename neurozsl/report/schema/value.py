"""What every part of a report is: frozen, closed, finite, and built from numpy or Python alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator


def _plain(value: Any) -> Any:
    """`value` with numpy scalars and arrays, at any depth, as Python numbers and lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value
    return value


class Value(BaseModel):
    """Frozen, closed (an unknown key is an error) and finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _accept_numpy(cls, data: Any) -> Any:
        return _plain(data) if isinstance(data, Mapping) else data
