"""The plain values of a pickle that nobody vouches for.

In: its bytes. Out: numpy arrays and scalars, strings, bytes, numbers, lists, tuples, dicts. The
machine (`pickle_machine`) runs nothing; here arrays take the place of their placeholders, each
shared part once, and what is reached is counted:

    values, bytes of arrays    at most MAX_VALUES, MAX_BYTES, a part that is shared as often as it
                               is reached: who walks or copies the result pays for each time
    levels of lists in lists   at most MAX_DEPTH, and none inside itself
"""

import pickle
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from neurozsl.data.benchmark.pickle_machine import Machine
from neurozsl.data.benchmark.pickle_names import Array

MAX_VALUES: Final = 20_000_000
MAX_BYTES: Final = 2**32
MAX_DEPTH: Final = 50


def load(stream: Any) -> object:
    """Returns the plain value of a pickle.

    stream: something with `read(n)` and `readline()` that gives no more than it holds: a file in
        memory or mapped, so that a claimed length is never allocated.

    Raises:
        UnpicklingError: it holds something else, or more than the limits above.
        Exception: of many types, where the stream is damaged.
    """
    return _Plain().of(Machine(stream).run(), 0, _Reached())


@dataclass
class _Reached:
    """How much is reached through a value; a shared part counts each time."""

    values: int = 0
    bytes: int = 0

    def add(self, values: int, size: int) -> None:
        self.values += values
        self.bytes += size


class _Plain:
    """Puts arrays in the place of their placeholders; each shared part is made once."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, _Reached]] = {}
        self.open: set[int] = set()

    def of(self, value: Any, depth: int, reached: _Reached) -> Any:
        """The plain value; what is reached through it is added to `reached`."""
        if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic)):
            reached.add(1, len(value) if isinstance(value, (str, bytes)) else 0)
            return value
        if id(value) not in self.made:
            self.made[id(value)] = self._made(value, depth)
        made, inside = self.made[id(value)]
        reached.add(inside.values, inside.bytes)
        return made

    def _made(self, value: Any, depth: int) -> tuple[Any, _Reached]:
        if id(value) in self.open:
            raise pickle.UnpicklingError("a list inside itself")
        if depth > MAX_DEPTH:
            raise pickle.UnpicklingError(f"more than {MAX_DEPTH} levels of lists, the limit")
        inside = _Reached(1)
        self.open.add(id(value))
        made = self._part(value, depth + 1, inside)
        self.open.remove(id(value))
        if inside.values > MAX_VALUES or inside.bytes > MAX_BYTES:
            raise pickle.UnpicklingError(
                f"{inside.values} values of {inside.bytes} bytes when shared parts are written "
                f"out, limit {MAX_VALUES} and {MAX_BYTES}"
            )
        return made, inside

    def _part(self, value: Any, depth: int, inside: _Reached) -> Any:
        if isinstance(value, Array) and value.value is not None:
            inside.add(0, value.value.nbytes)
            return value.value.copy()
        if isinstance(value, Array) and value.objects is not None:
            flat = np.empty(len(value.objects), dtype=object)
            for i, item in enumerate(value.objects):
                flat[i] = self.of(item, depth, inside)
            order: Any = value.order
            return flat.reshape(value.shape, order=order)
        if isinstance(value, dict):
            return {
                self.of(key, depth, inside): self.of(item, depth, inside)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.of(item, depth, inside) for item in value]
        if isinstance(value, tuple):
            return tuple(self.of(item, depth, inside) for item in value)
        what = "an array without content" if isinstance(value, Array) else type(value).__name__
        raise pickle.UnpicklingError(f"a value that is {what}")
