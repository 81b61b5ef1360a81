"""Stack and memo of a pickle, as a machine of our own that can run nothing.

In: a stream of opcodes (`pickletools`, protocols 0 to 5). Out: lists, tuples, dicts, text, bytes,
numbers, and the placeholders of `pickle_names` for arrays. Opcodes that such values do not take
are refused, and so are more than MAX_OPCODES of them. Keys of dicts are text, bytes or numbers: to
hash nested tuples can take for ever.
"""

import codecs
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from neurozsl.data.benchmark.pickle_names import Array, DType, Function, named

MAX_OPCODES: Final = 5_000_000

_OPCODES: Final = {each.code: each for each in pickletools.opcodes}
_MARK: Final = object()
_NUMBERS: Final = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
}  # fmt: skip
_TEXTS: Final = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_BYTES: Final = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_OLD_TEXTS: Final = {"BINSTRING", "SHORT_BINSTRING"}  # Python 2's str, read as Latin-1
_CONSTANTS: Final[Mapping[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES: Final = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Machine:
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
        if not isinstance(function, Function) or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("a call of what is no function")
        self.stack.append(function.make(*arguments))

    def build(self) -> None:
        state, value = self.pop(), self.top(object)
        if not isinstance(value, (DType, Array)):
            raise pickle.UnpicklingError(f"state of a {type(value).__name__}")
        value.build(state)


def _append(machine: Machine, _: Any) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _appends(machine: Machine, _: Any) -> None:
    values = machine.to_mark()
    machine.top(list).extend(values)


def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _dict(machine: Machine, _: Any) -> None:
    pairs = machine.to_mark()
    machine.stack.append({})
    machine.set_items(pairs)


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    machine.stack.append(named(module, name))


_OTHERS: Final[Mapping[str, Callable[[Machine, Any], object]]] = {
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
    "GLOBAL": lambda machine, text: machine.stack.append(named(*text.split(" ", 1))),
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
