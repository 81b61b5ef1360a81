"""What no option of any command takes: counts beyond all memory, nan, and nothing at all.

Every option of the built command line is asked, so that none has to say it for itself. Tighter
limits are the options' own.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import typer

from neurozsl.core.errors import BadInput

MOST: Final = 10_000_000
"""The largest count. The product of the counts of an array still is a size that numpy can refuse
as memory that is not there."""
MOST_SEED: Final = 2**63 - 1  # what torch takes


def bounded(command: Any) -> Any:
    """The same command, whose options of numbers, in groups too, refuse what means nothing."""
    for inner in getattr(command, "commands", {}).values():
        bounded(inner)
    for option in command.params:
        if option.callback is None and not getattr(option, "is_flag", False):
            option.callback = _checked
    return command


def refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse an argument of no letters: a variable of a script that was not set, most often.

    Raises:
        BadInput: naming the option.
    """
    for index, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if not argument:
            before = arguments[index - 1] if index else ""
            name = before if before.startswith("-") else "argument"
        elif argument.startswith("--") and equals and not value:
            name = option
        else:
            continue
        raise BadInput(f"{name} '': is empty; give a value, or leave it out")


def check_count(name: str, value: int) -> int:
    """A count that an option was given.

    Raises:
        BadInput: it is above `MOST`.
    """
    if abs(value) > MOST:
        shown = str(value) if len(str(value)) < 40 else f"of {len(str(value))} digits"
        raise BadInput(f"{name} {shown}: at most {MOST:,} are taken")
    return value


def _checked(context: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """The value of an option, as it was given."""
    del context
    for each in value if isinstance(value, list | tuple) else [value]:
        for is_wrong, message in _RULES:
            if is_wrong(param.name or "", each):
                raise typer.BadParameter(message, param=param)  # type: ignore[arg-type]  # the option itself
    return value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_RULES: Final[tuple[tuple[Callable[[str, Any], bool], str], ...]] = (
    (lambda name, x: _is_count(x) and "seed" != name and abs(x) > MOST, f"at most {MOST:,}."),
    (lambda name, x: _is_count(x) and "seed" == name and not 0 <= x <= MOST_SEED, "0 to 2^63 - 1."),
    # dt and poisson say themselves what they expect
    (
        lambda n, x: n not in ("dt", "poisson") and isinstance(x, float) and math.isnan(x),
        "is no number.",
    ),
)
