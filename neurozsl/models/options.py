"""Options of a model, checked against its configuration class."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields

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


def check_choices(model: str, config: object, choices: Mapping[str, Collection[str]]) -> None:
    """Refuse the first option whose value is none of its `choices`."""
    for name, allowed in choices.items():
        one_of(model, name, getattr(config, name), allowed)


def one_of(model: str, name: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a value that an option does not take."""
    if value not in allowed:
        raise BadInput(f"model '{model}': {name}={value!r}, expected one of {', '.join(allowed)}")
