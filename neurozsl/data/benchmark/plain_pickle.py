"""The plain values of a pickle, rebuilt by a machine of our own that can run nothing.

In: the bytes of a pickle that nobody vouches for. Out: numpy arrays and scalars, strings, bytes,
numbers, lists, tuples, dicts. The machine knows the opcodes that such values take and no other;
names of functions are looked up in a table of five, which rebuild arrays, dtypes and scalars here,
because numpy's `__setstate__` believes the flags in the file (an object dtype without its flag
would turn bytes into pointers). Everything is counted:

    opcodes                    at most MAX_OPCODES
    values, bytes of arrays    at most MAX_VALUES, MAX_BYTES, a part that is shared as often as it
                               is reached: who walks or copies the result pays for each time
    levels of lists in lists   at most MAX_DEPTH, and none inside itself
    keys of dicts              text, bytes, numbers: to hash nested tuples can take for ever

Opcodes and their arguments: `pickletools`, protocols 0 to 5.
"""

import codecs
import pickle
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.npz import KINDS, check_content

MAX_OPCODES: Final = 5_000_000
MAX_VALUES: Final = 20_000_000
MAX_BYTES: Final = 2**32
MAX_DEPTH: Final = 50

_OPCODES: Final = {each.code: each for each in pickletools.opcodes}
_MARK: Final = object()
_ARRAY_CLASS: Final = object()  # stands for the class numpy.ndarray
_NUMBERS: Final = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
}  # fmt: skip
_TEXTS: Final = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_BYTES: Final = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_OLD_TEXTS: Final = {"BINSTRING", "SHORT_BINSTRING"}  # Python 2's str, read as Latin-1
_CONSTANTS: Final[Mapping[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES: Final = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass
class _DType:
    """numpy.dtype of a plain kind or of objects; of its state only the byte order counts."""

    dtype: np.dtype[Any]

    def build(self, state: Any) -> None:
        if self.dtype.kind != "O" and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


@dataclass
class _Array:
    """numpy.ndarray as it stands in the stream: numbers, or a list of objects and a shape."""

    value: npt.NDArray[Any] | None = None
    objects: list[Any] | None = None
    shape: tuple[int, ...] = ()
    order: str = "C"

    def build(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _DType) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("array state")
        self.shape, self.order = tuple(int(side) for side in shape), "F" if fortran else "C"
        if kind.dtype.kind == "O":
            if not isinstance(data, list):
                raise pickle.UnpicklingError("object array without a list")
            self.objects = data
            return
        values = np.frombuffer(_bytes(data), dtype=kind.dtype)
        check_content(values.view(np.uint8), kind.dtype, "array", remedy="mend it")
        self.value = values.reshape(self.shape, order=self.order)  # type: ignore[call-overload]


def load(stream: Any) -> object:
    """Returns the plain value of a pickle.

    stream: something with `read(n)` and `readline()` that gives no more than it holds: a file in
        memory or mapped, so that a claimed length is never allocated.

    Raises:
        UnpicklingError: it holds something else, or more than the limits of the module docstring.
        Exception: of many types, where the stream is damaged.
    """
    return _Plain().of(_Machine(stream).run(), 0, _Reached())


class _Machine:
    """Stack and memo of one pickle; values of arrays stay placeholders."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> object:
        for _ in range(MAX_OPCODES):
            code = self.stream.read(1)
            if not code:
                raise pickle.UnpicklingError("it is cut short")
            known = _OPCODES.get(code.decode("latin-1"))
            if known is None:
                raise pickle.UnpicklingError(f"opcode {code!r}")
            if known.name == "STOP":
                return self.stack.pop()
            argument: Any = None
            if known.name == "STRING":
                argument = _old_text(self.stream.readline())
            elif known.arg is not None:
                argument = known.arg.reader(self.stream)
            self.step(known.name, argument)
        raise pickle.UnpicklingError(f"more than {MAX_OPCODES} opcodes, the limit")

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _NUMBERS:
            if isinstance(argument, int) and argument.bit_length() > 64:
                raise pickle.UnpicklingError(f"a number of {argument.bit_length()} bits, limit 64")
            stack.append(argument)
        elif name in _TEXTS:
            argument.encode("utf-8")  # half of a surrogate pair cannot be printed
            stack.append(argument)
        elif name in _BYTES:
            stack.append(bytes(argument))
        elif name in _OLD_TEXTS or name == "STRING":
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            count = _TUPLES[name]
            parts = tuple(self.pop() for _ in range(count))
            stack.append(parts[::-1])
        elif name in _OTHERS:
            _OTHERS[name](self, argument)
        else:
            raise pickle.UnpicklingError(f"opcode {name}, which plain values do not take")

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise pickle.UnpicklingError("a mark in the place of a value")
        return value

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise pickle.UnpicklingError(f"no {kind.__name__} to put values into")
        return self.stack[-1]

    def to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while at >= 0 and self.stack[at] is not _MARK:
            at -= 1
        if at < 0:
            raise pickle.UnpicklingError("no mark")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def set_items(self, pairs: list[Any]) -> None:
        found = self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            found[_key(key)] = value

    def get(self, number: int) -> None:
        if number not in self.memo:
            raise pickle.UnpicklingError(f"no memo {number}")
        self.stack.append(self.memo[number])

    def put(self, number: int) -> None:
        value = self.pop()
        self.memo[number] = value
        self.stack.append(value)

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("a call of what is no function")
        self.stack.append(function.make(*arguments))

    def build(self) -> None:
        state, value = self.pop(), self.top(object)
        if not isinstance(value, (_DType, _Array)):
            raise pickle.UnpicklingError(f"state of a {type(value).__name__}")
        value.build(state)


def _append(machine: _Machine, _: Any) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _appends(machine: _Machine, _: Any) -> None:
    values = machine.to_mark()
    machine.top(list).extend(values)


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _dict(machine: _Machine, _: Any) -> None:
    pairs = machine.to_mark()
    machine.stack.append({})
    machine.set_items(pairs)


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    machine.stack.append(_named(module, name))


_OTHERS: Final[Mapping[str, Callable[[_Machine, Any], object]]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.to_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.top(object)),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "LIST": lambda machine, _: machine.stack.append(machine.to_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.to_mark())),
    "DICT": _dict,
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "PUT": lambda machine, number: machine.put(number),
    "BINPUT": lambda machine, number: machine.put(number),
    "LONG_BINPUT": lambda machine, number: machine.put(number),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "GET": lambda machine, number: machine.get(number),
    "BINGET": lambda machine, number: machine.get(number),
    "LONG_BINGET": lambda machine, number: machine.get(number),
    "GLOBAL": lambda machine, text: machine.stack.append(_named(*text.split(" ", 1))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
}


def _old_text(line: bytes) -> str:
    """The argument of STRING: a quoted text with escapes."""
    text = line.strip()
    if len(text) < 2 or text[:1] not in (b"'", b'"') or text[-1:] != text[:1]:
        raise pickle.UnpicklingError("a text without quotes")
    return codecs.escape_decode(text[1:-1])[0].decode("latin-1")


def _key(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic)):
        return value
    raise pickle.UnpicklingError(f"a {type(value).__name__} as key of a dict")


# ---------------------------------------------------------------- names in the stream


@dataclass(frozen=True)
class _Function:
    """What a name of the stream does here."""

    make: Callable[..., Any]


def _bytes(data: object) -> bytes:
    """Raw bytes; files written by Python 2 hold them as text."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"{type(data).__name__} instead of bytes")
    return data


def _dtype(code: object, *_: object) -> _DType:
    if not isinstance(code, str) or len(code) > 32:
        raise pickle.UnpicklingError(f"dtype {str(code)[:40]!r}")
    dtype = np.dtype(code)
    if dtype.kind not in KINDS + "O" or dtype.subdtype is not None:
        raise pickle.UnpicklingError(f"dtype {code!r}")
    return _DType(dtype)


def _frombuffer(
    data: object, kind: object, shape: object, order: str, axes: object = None
) -> _Array:
    """How protocol 5 writes a contiguous array."""
    if axes is not None:
        raise pickle.UnpicklingError("array with permuted axes")
    array = _Array()
    array.build((1, shape, kind, order == "F", data))
    return array


def _reconstruct(mark: object, shape: object, code: object) -> _Array:
    if mark is not _ARRAY_CLASS:
        raise pickle.UnpicklingError("array class")
    return _Array()


def _scalar(kind: object, data: object) -> object:
    if not isinstance(kind, _DType) or kind.dtype.kind == "O":
        raise pickle.UnpicklingError("scalar")
    values = np.frombuffer(_bytes(data), dtype=kind.dtype)
    check_content(values.view(np.uint8), kind.dtype, "scalar", remedy="mend it")
    return values[0]


def _encode(text: str, codec: str) -> bytes:
    """How protocol 2 writes bytes."""
    if codec != "latin1":
        raise pickle.UnpicklingError(f"codec {codec}")
    return text.encode("latin1")


_ADMITTED: Final[Mapping[tuple[str, str], object]] = {
    ("numpy", "ndarray"): _ARRAY_CLASS,
    ("numpy", "dtype"): _Function(_dtype),
    ("_codecs", "encode"): _Function(_encode),
    ("__builtin__", "bytes"): _Function(lambda: b""),  # how protocol 2 writes b""
    ("numpy.core.numeric", "_frombuffer"): _Function(_frombuffer),
    ("numpy._core.numeric", "_frombuffer"): _Function(_frombuffer),
    **{
        (f"numpy.{core}.multiarray", name): _Function(part)
        for core in ("core", "_core")
        for name, part in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
}


def _named(module: object, name: object) -> object:
    if not isinstance(module, str) or not isinstance(name, str):
        raise pickle.UnpicklingError("a name that is no text")
    if (module, name) not in _ADMITTED:
        raise pickle.UnpicklingError(f"refused: {module}.{name}"[:200])
    return _ADMITTED[module, name]


# ---------------------------------------------------------------- placeholders -> values


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
        if isinstance(value, _Array) and value.value is not None:
            inside.add(0, value.value.nbytes)
            return value.value.copy()
        if isinstance(value, _Array) and value.objects is not None:
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
        what = "an array without content" if isinstance(value, _Array) else type(value).__name__
        raise pickle.UnpicklingError(f"a value that is {what}")
