"""Markdown in which data stays data: cells, code, tables."""

import re
from collections.abc import Iterable, Sequence

_MARKS = re.compile(r"[\\|<>*&`\[\]]|(?<!\w)_|_(?!\w)")  # inside a word, _ is a letter
# Controls of the direction of text: one without its end turns all that follows in the line.
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")


class Marked(str):
    """Text that is Markdown already; `cell` and `table` leave its marks."""

    __slots__ = ()


def cell(text: object) -> str:
    r"""Text that Markdown shows as it is, on one line; controls of its direction by their names.

    >>> cell("a|b <c> *d* _e_ &lt; f_g")
    'a\\|b \\<c\\> \\*d\\* \\_e\\_ \\&lt; f_g'
    >>> cell("left" + chr(0x202E) + "right")
    'left(U+202E)right'
    """
    if isinstance(text, Marked):
        return text.replace("|", r"\|")
    marked = _MARKS.sub(r"\\\g<0>", " ".join(str(text).split()))
    return _TURNS.sub(lambda found: f"(U+{ord(found[0]):04X})", marked)


def code(text: str) -> Marked:
    """Text in code marks that hold, whatever it contains.

    >>> code("a `b`"), code("ls")
    ('`` a `b` ``', '`ls`')
    """
    text = " ".join(text.split())
    longest = max(map(len, re.findall("`+", text)), default=0)
    marks = "`" * (longest + 1)
    space = " " * (longest > 0)
    return Marked(f"{marks}{space}{text}{space}{marks}")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; the cells are escaped, the titles are ours."""
    lines = [titles, ["---"] * len(titles), *([cell(x) for x in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]
