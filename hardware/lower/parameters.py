"""A parameter of a NIR node: an array of finite numbers, one for all values or one for each.

NIR checks neither; every converter here does, and names the node, the parameter and the entry.
"""

from typing import Any

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.hardware.network.lowered import Floats

Shape = tuple[int, ...]


def broadcast(name: str, key: str, value: Floats, size: int, shape: Shape | None = None) -> Floats:
    """A parameter as `(size,)`: one value for all, or one each, in the order of a map."""
    if value.size == 1 or value.size == size:
        return np.broadcast_to(value.reshape(-1), (size,)).astype(np.float64)
    if shape is not None and len(shape) == value.ndim:
        try:
            return np.broadcast_to(value, shape).reshape(-1).astype(np.float64)
        except ValueError:
            pass
    raise BadInput(
        f"NIR node '{name}': {key} has shape {value.shape}, expected one value or {size}"
    )


def finite(name: str, key: str, value: Any) -> Floats:
    """The array in float64; names the first entry that is not a finite number."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"NIR node '{name}': {key} is not an array of numbers") from None
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = tuple(int(i) for i in bad[0])
        raise BadInput(
            f"NIR node '{name}': {key}{list(first)} is {array[first]}, and {len(bad)} of "
            f"{array.size} values are not finite; train or export again"
        )
    return array
