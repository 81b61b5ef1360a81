"""NIR nodes of a given shape, as tests of graphs need them."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np


def source(*shape: int) -> Any:
    return nir.Input({"input": np.array(shape)})


def sink(*shape: int) -> Any:
    return nir.Output({"output": np.array(shape)})


def lif(*shape: int) -> Any:
    return nir.LIF(*(np.full(shape, value) for value in (0.5, 2.0, 0.0, 0.75)))
