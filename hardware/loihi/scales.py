"""How wide the weight grid of a layer is: the largest value that its integers reach.

In: the weights of all synapses of a layer as real values per code unit, because they share one
grid, and the number of levels on each side of 0. A weight of a kernel counts once.
Out: `top`, so that weight = round(w levels / top), clipped to -levels..levels.

    max         top = max|w|: nothing is clipped
    percentile  top = the 99.9th percentile of |w|: one weight in a thousand is clipped
    mse         top = c max|w| with the smallest mean squared error, c over a grid of 1/100

A smaller top rounds the many small weights more finely and clips the few large ones; the gain is
largest at few bits. A weight of 0 is 0 under every rule.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput

Floats = npt.NDArray[np.float64]
ScaleRule = Literal["max", "percentile", "mse"]

PERCENTILE: Final = 99.9
# From wide to narrow, so that the first of equal errors is the one that clips least. At 4 bits
# the best c of a normal layer is near 0.6; below 0.3 clipping dominates at every width.
_SHARES: Final = tuple(c / 100 for c in range(100, 29, -1))


def top_weight(weight: Floats, levels: int, rule: ScaleRule) -> float:
    """The largest value that the grid reaches; 0 where all weights are 0.

    levels: integers on each side of 0, 2^(bits - 1) - 1.

    Raises:
        BadInput: the rule is not known.

    >>> top_weight(np.array([0.1, -2.0]), 127, "max")
    2.0
    """
    if rule not in _RULES:
        raise BadInput(f"scale rule '{rule}' is not known; choose {', '.join(get_args(ScaleRule))}")
    size = np.abs(weight).ravel()
    largest = float(size.max())
    if largest == 0:
        return 0.0
    # A layer of mostly zeros may have the percentile 0, which is no scale.
    return _RULES[rule](size, levels) or largest


def _mse(size: Floats, levels: int) -> float:
    tops = [share * float(size.max()) for share in _SHARES]
    return min(tops, key=lambda top: squared_error(size, levels, top))


def squared_error(size: Floats, levels: int, top: float) -> float:
    """Mean of (|w| - rounded |w|)^2 on the grid that ends at `top`."""
    rounded = np.minimum(np.rint(size * (levels / top)), levels) * (top / levels)
    return float(np.mean((size - rounded) ** 2))


_RULES: Final[Mapping[str, Callable[[Floats, int], float]]] = {
    "max": lambda size, levels: float(size.max()),
    "percentile": lambda size, levels: float(np.percentile(size, PERCENTILE)),
    "mse": _mse,
}
