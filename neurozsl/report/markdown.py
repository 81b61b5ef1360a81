"""Markdown in which data stays data: cells, tables, lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def cell(text: object) -> str:
    r"""Text that Markdown shows as it is, on one line.

    >>> cell("a|b <c> *d* _e_ &lt;")
    'a\\|b \\<c\\> \\*d\\* \\_e\\_ \\&lt;'
    """
    return re.sub(r"([\\|<>*_&`\[\]])", r"\\\1", " ".join(str(text).split()))


def code(text: str) -> str:
    """Text in code marks that hold, whatever it contains.

    >>> code("a `b`"), code("ls")
    ('`` a `b` ``', '`ls`')
    """
    text = " ".join(text.split())
    longest = max(map(len, re.findall("`+", text)), default=0)
    marks = "`" * (longest + 1)
    space = " " * (longest > 0)
    return f"{marks}{space}{text}{space}{marks}"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; the cells are escaped, the titles are ours."""
    lines = [titles, ["---"] * len(titles), *([cell(x) for x in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]
