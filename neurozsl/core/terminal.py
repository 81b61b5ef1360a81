"""Rich's console as every command uses it: what it shows is text, and nothing that acts."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from neurozsl.core.printable import UNSEEN, printable


class PlainConsole(Console):
    """A console that writes control characters of texts out; its own colours and bars stay.

    It looks for no emoji: `:name:` in a path is a path, and the table of their names is a file that
    a process at its limit of open files could not read while it tells of that.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """As rich does, every piece of text made printable."""
        for segment in super().render(renderable, options):
            if segment.control or not UNSEEN.search(segment.text):
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)
