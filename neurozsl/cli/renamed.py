"""Options that have a new name: the old one still works, and says so."""

from typing import Any, Final

from typer.core import TyperCommand

from neurozsl.cli.console import say

RENAMED: Final = {"--calibration": "--scale-rule"}


class Renaming(TyperCommand):
    """A command that understands the old names, which its help no longer shows."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [_today(word) for word in args])


def _today(word: str) -> str:
    name, equals, value = word.partition("=")
    if name not in RENAMED:
        return word
    say(f"{name} is called {RENAMED[name]} now; the old name still works")
    return f"{RENAMED[name]}{equals}{value}"
