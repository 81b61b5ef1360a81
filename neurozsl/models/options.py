"""Options of a model, checked against its configuration class."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from neurozsl.core.errors import BadInput


def check_known(model: str, kind: type, options: Mapping[str, Any]) -> None:
    """Refuse options that the configuration `kind`, a dataclass, has no field or no place for.

    Every configuration begins here, so what comes after reads values of the types of its fields; a
    list stands for a tuple, a whole number for a number.
    """
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise BadInput(
            f"model '{model}': unknown option {', '.join(unknown)}; options are "
            f"{', '.join(sorted(known - {'audio_dim', 'video_dim'}))}"
        )
    hints = get_type_hints(kind)
    for name, value in options.items():
        _check_value(model, name, value, hints[name])


def check_choices(model: str, config: object) -> None:
    """Refuse the first option, a `Literal` or a tuple of it, with a value that it does not list."""
    for name, kind in get_type_hints(type(config)).items():
        inner = get_args(kind)[0] if get_origin(kind) is tuple else kind
        if get_origin(inner) is Literal:
            _check_value(model, name, getattr(config, name), kind)


def _check_value(model: str, name: str, value: Any, kind: Any) -> None:
    """Refuse a value that is not of the type of its field, those of a tuple one by one."""
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        for one in value:
            _check_value(model, name, one, get_args(kind)[0])
    elif not _fits(value, kind):
        raise BadInput(f"model '{model}': {name}={value!r}, expected {_expected(kind)}")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is one of a type; True and False are no numbers, infinite ones are none."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if kind is Any:
        return True
    if kind is float:
        return _fits(value, int) or (isinstance(value, float) and isfinite(value))
    whole = kind is not int or not isinstance(value, bool)
    return whole and isinstance(value, origin or kind)


def _expected(kind: Any) -> str:
    """What a type asks for, in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (Union, UnionType):
        return " or ".join(_expected(one) for one in inner)
    if origin is tuple:
        return f"a list, each {_expected(inner[0])}"
    return _WORDS.get(origin or kind, "a table")


_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
}


def check_rules(model: str, rules: Mapping[str, bool]) -> None:
    """Refuse a configuration by the first rule, a text that says what and why, that is not kept."""
    for text, kept in rules.items():
        if not kept:
            raise BadInput(f"model '{model}': {text}")


def check_weights(model: str, weights: Collection[float]) -> None:
    """Refuse weights of losses that are negative, or all 0."""
    if min(weights) < 0 or max(weights) == 0:
        raise BadInput(
            f"model '{model}': loss weights {weights}, expected none below 0 and one above 0"
        )


def one_of(model: str, name: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a value that an option does not take."""
    if value not in allowed:
        raise BadInput(f"model '{model}': {name}={value!r}, expected one of {', '.join(allowed)}")
