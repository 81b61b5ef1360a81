"""Options of a model, checked against its configuration class."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from math import isfinite
from typing import Any, Literal, get_args, get_origin, get_type_hints

from neurozsl.core.errors import BadInput


def check_known(model: str, kind: type, options: Iterable[str]) -> None:
    """Refuse options that the configuration `kind`, a dataclass, does not have."""
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise BadInput(
            f"model '{model}': unknown option {', '.join(unknown)}; options are "
            f"{', '.join(sorted(known - {'audio_dim', 'video_dim'}))}"
        )


def check_choices(model: str, config: object) -> None:
    """Refuse the first option, a `Literal` or a tuple of it, with a value that it does not list."""
    for name, kind in get_type_hints(type(config)).items():
        value: Any = getattr(config, name)
        if get_origin(kind) is tuple:
            kind, values = get_args(kind)[0], value
        else:
            values = (value,)
        if get_origin(kind) is Literal:
            for one in values:
                one_of(model, name, one, get_args(kind))


def check_types(model: str, config: object) -> None:
    """Refuse the first option that is not the whole number, number or truth value that it asks."""
    for name, kind in get_type_hints(type(config)).items():
        value: Any = getattr(config, name)
        truth = isinstance(value, bool)
        fits = {
            int: isinstance(value, int) and not truth,
            float: isinstance(value, int | float) and not truth and isfinite(value),
            bool: truth,
        }
        if not fits.get(kind, True):
            raise BadInput(f"model '{model}': {name}={value!r}, expected {_KINDS[kind]}")


_KINDS: Mapping[type, str] = {int: "a whole number", float: "a number", bool: "true or false"}


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
