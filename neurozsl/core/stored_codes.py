"""Input codes as files hold them: `{name: {size, kind, ...}}`, the fields of `InputCode`."""

from collections.abc import Mapping
from dataclasses import MISSING, fields

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import checked_object
from neurozsl.core.signals import InputCode

_NEEDED = tuple(x.name for x in fields(InputCode) if x.default is MISSING)
_KNOWN = frozenset(x.name for x in fields(InputCode))


def read_codes(value: object, where: str, *, remedy: str) -> dict[str, InputCode]:
    """The code of every input.

    where: file or object, for messages.

    Raises:
        BadInput: no object of objects, a field too many or missing, or a value that no code has.
    """
    codes: Mapping[str, object] = checked_object(value, f"{where}: codes of inputs", remedy=remedy)
    return {name: _code(raw, f"{where}: input '{name}'", remedy) for name, raw in codes.items()}


def _code(value: object, where: str, remedy: str) -> InputCode:
    raw = checked_object(value, where, remedy=remedy)
    odd = {"unknown": set(raw) - _KNOWN, "missing": set(_NEEDED) - set(raw)}
    if any(odd.values()):
        told = "; ".join(f"{word} {', '.join(sorted(keys))}" for word, keys in odd.items() if keys)
        raise BadInput(f"{where}: a code has other fields ({told}); {remedy}")
    try:
        return InputCode(**raw)
    except BadInput as error:
        raise BadInput(f"{where}: {error}; {remedy}") from None
