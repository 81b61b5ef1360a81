"""Every error a user can meet, with the exit code of the command that meets it.

A message names the object, the actual value, the limit and the remedy. Callers catch types,
never texts.
"""

from collections.abc import Sequence


class NeuroZSLError(Exception):
    """Root of all errors of this package; exit code 1 unless a child says otherwise."""

    exit_code = 1


class BadInput(NeuroZSLError):
    """A file, option or value from the user cannot be used as it is."""

    exit_code = 2


class UnsupportedNode(BadInput):
    """A graph or module holds parts that a converter has no entry for; it names all of them."""

    def __init__(self, found: Sequence[str], where: str, remedy: str) -> None:
        self.found = tuple(found)
        listed = ", ".join(self.found)
        super().__init__(f"{where}: no converter for {listed}; {remedy}")


class VerificationFailed(NeuroZSLError):
    """A backend disagrees with its reference, or a layer is dead or saturated."""

    exit_code = 3


class DoesNotFit(NeuroZSLError):
    """The network breaks a limit of the chip."""

    exit_code = 4


class MissingPart(NeuroZSLError):
    """An optional part is not installed; the message holds the line that installs it."""

    exit_code = 5
