"""Parameters of NIR nodes: read as numbers, checked, and brought to the shape of their layer.

In: whatever a file or a framework holds (arrays, single values, lists). Out: whole numbers as
tuples, arrays in full shape. A value is never changed; an array made here is a read-only view of
what was stored, so a scalar costs nothing however large the layer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.export.nir.hdf5tree import MAX_VALUES

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Feed:
    """A node's name, the shape that feeds it, and the name of a node that does."""

    name: str
    shape: Shape
    source: str
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(f"node '{self.name}': {text}")

    def refuse(self, text: str) -> BadInput:
        return BadInput(f"node '{self.name}': {text}")


def numbers(name: str, key: str, value: Any) -> np.ndarray[Any, Any]:
    """The parameter as a numeric array."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"node '{name}': {key} is not an array of numbers") from error
    if array.dtype.kind not in "fiub":
        raise BadInput(f"node '{name}': {key} has type {array.dtype}, expected numbers")
    return array


def integers(name: str, key: str, value: Any, lowest: int = 0) -> Shape:
    """Whole numbers, as a tuple; one number gives a tuple of one."""
    array = numbers(name, key, value)
    listed = array.ravel()[:17].tolist()
    fits = array.ndim <= 1 and 1 <= len(listed) <= 16 and bool(np.isfinite(array).all())
    if not fits or any(n != int(n) for n in listed):
        raise BadInput(f"node '{name}': {key} is {_clip(array)}, expected whole numbers")
    whole = [int(n) for n in listed]
    if min(whole) < lowest or max(whole) > MAX_VALUES:
        raise BadInput(f"node '{name}': {key} is {_clip(array)}, expected {lowest} to {MAX_VALUES}")
    return tuple(whole)


def shape_of(name: str, key: str, value: Any) -> Shape:
    """A stored shape; () where none is stored or all is 0. Sizes are positive, together bounded."""
    if value is None or np.size(value) == 0 or is_zero(name, key, value):
        return ()
    shape = integers(name, key, value, 1)
    if prod(shape) > MAX_VALUES:
        raise BadInput(
            f"node '{name}': {key} {shape} has {prod(shape)} values, limit {MAX_VALUES}; "
            "such a network is not read"
        )
    return shape


def is_zero(name: str, key: str, value: Any) -> bool:
    """All sizes are 0, what exporters write that did not know the shape."""
    return np.size(value) > 0 and not np.any(numbers(name, key, value))


def absent(value: Any) -> str:
    """How a shape is called that `shape_of` reads as ()."""
    return "missing" if value is None or np.size(value) == 0 else "all zero"


def weight_of(name: str, node: Any, ndim: int) -> np.ndarray[Any, Any]:
    weight = numbers(name, "weight", node.weight)
    if weight.ndim != ndim or weight.size == 0:
        raise BadInput(
            f"node '{name}': weight has shape {weight.shape}, expected {ndim} dimensions of at "
            f"least 1 for {type(node).__name__}"
        )
    return weight


def pair(feed: Feed, key: str, value: Any, size: int, lowest: int = 0) -> Shape:
    """`size` whole numbers; one number holds for all dimensions."""
    given = integers(feed.name, key, value, lowest)
    if len(given) == size:
        return given
    if len(given) == 1:
        feed.note(f"{key} is one number, {given[0]}, and holds for {size} dimensions")
        return given * size
    raise feed.refuse(f"{key} is {given}, expected {size} numbers")


def fitted(feed: Feed, node: Any, keys: Iterable[str], shape: Shape) -> dict[str, Any]:
    """The parameters brought to `shape`, those that have it left as they are.

    One value holds for all; a size of 1 among equally many dimensions, for that dimension; leading
    ones too many are dropped. Arrays made so are read-only views, whatever their size.
    """
    found: dict[str, Any] = {}
    spread: list[str] = []
    for key in keys:
        value: Any = getattr(node, key, None)
        if value is None and key == "v_reset":
            continue  # a node of nir 1.0.4 has none
        array = numbers(feed.name, key, value)
        lead = array.ndim - len(shape)
        if array.shape == shape:
            found[key] = value
            continue
        if array.size == 1:
            array = array.reshape(())
        elif lead > 0 and prod(array.shape[:lead]) == 1:
            array = array.reshape(array.shape[lead:])
            lead = 0
        if array.size != 1 and (
            lead != 0 or any(n not in (1, m) for n, m in zip(array.shape, shape, strict=True))
        ):
            raise feed.refuse(
                f"{key} has shape {np.shape(value)}, expected {shape}, which '{feed.source}' gives"
            )
        found[key] = np.broadcast_to(array, shape)
        spread.append(f"{key} {np.shape(value)}")
    if spread:
        feed.note(f"{', '.join(spread)} now have the full shape {shape}")
    return found


def _clip(array: np.ndarray[Any, Any]) -> str:
    text = np.array2string(array.ravel()[:4], separator=", ")
    return text if array.size <= 4 else f"{text[:-1]}, ...] ({array.size} values)"
