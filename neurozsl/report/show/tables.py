"""A table of the report, defined once: page, card and terminal show its cells.

In: values and where they stand in the JSON. Out: a `Table`. Columns are functions of a row's value,
so a definition is a list of them; one whose every cell is unknown is left out, and so is one that
is not for the place where it is shown (`shown`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from neurozsl.core import quantities as q

Place = Literal["page", "card", "terminal"]
Places = tuple[Place, ...]
EVERYWHERE: Places = ("page", "card", "terminal")
PAPER: Places = ("page", "card")


@dataclass(frozen=True)
class Number:
    """An exact value at a path of the JSON, and how it is written (a key of `q.FORMATS`)."""

    value: float | None
    key: str
    kind: str = "count"

    def __str__(self) -> str:
        """As people read it."""
        return q.FORMATS[self.kind](self.value)


@dataclass(frozen=True)
class Sign:
    """A word that the page marks by a class of its style sheet."""

    text: str
    css: str

    def __str__(self) -> str:
        """The word."""
        return self.text


Piece = str | Number | Sign


@dataclass(frozen=True)
class Cell:
    """What stands in one place.

    aside: further words, in brackets in the card and below on the page. below: what the page alone
    has below. bar: 0..100, how much of the cell the page fills. alarm: nobody should miss it.
    """

    pieces: tuple[Piece, ...] = ()
    aside: str = ""
    below: tuple[Piece, ...] = ()
    bar: float | None = None
    alarm: bool = False

    def __str__(self) -> str:
        """As people read it."""
        return "".join(map(str, self.pieces))

    @property
    def with_aside(self) -> str:
        """The text with the further words in brackets."""
        return f"{self} ({self.aside})" if self.aside else str(self)

    @property
    def is_known(self) -> bool:
        """Whether it says anything."""
        return any(not isinstance(x, Number) or x.value is not None for x in self.pieces)


EMPTY = Cell()


def say(*pieces: Piece | None, **more: Any) -> Cell:
    """A cell of these pieces; None says nothing."""
    return Cell(tuple(x for x in pieces if x is not None), **more)


def figure(value: float | None, key: str, kind: str = "count", **more: Any) -> Cell:
    """A cell of one number."""
    return Cell((Number(value, key, kind),), **more)


@dataclass(frozen=True)
class Column:
    """A column: `cell` gives that of a row's value at a path of the JSON.

    group: a heading above, on the page. on: where the column is shown.
    """

    title: str
    cell: Callable[[Any, str], Cell]
    numeric: bool = False
    strong: bool = False
    group: str = ""
    on: Places = EVERYWHERE


@dataclass(frozen=True)
class Row:
    """Cells, one per column; `value` at `key` is what they are about. style: "total" or "dim"."""

    cells: tuple[Cell, ...]
    value: Any = None
    key: str = ""
    style: str = ""


@dataclass(frozen=True)
class Table:
    """A table; `part` says of which part it is where several sections have one of this title.

    name: what the template of the section calls it. notes: what its columns mean.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    part: str = ""
    notes: tuple[str, ...] = ()
    on: Places = EVERYWHERE

    @property
    def caption(self) -> str:
        """Title and part."""
        return f"{self.title}: {self.part}" if self.part else self.title


def number(title: str, field: str, kind: str = "count", **more: Any) -> Column:
    """A column of a number field of the rows' values.

    >>> column = number("neurons", "size")
    >>> from types import SimpleNamespace
    >>> str(column.cell(SimpleNamespace(size=1200), "layers.0"))
    '1,200'
    """

    def cell(value: Any, key: str) -> Cell:
        return figure(getattr(value, field), f"{key}.{field}", kind)

    return Column(title, cell, numeric=True, **more)


def words(title: str, field: str, **more: Any) -> Column:
    """A column of a text field."""
    return Column(title, lambda value, _: Cell((str(getattr(value, field)),)), **more)


def sign(word: str, css: str = "") -> Sign:
    """A word that the page shows as a verdict."""
    return Sign(word, f"sign {css or word}")


def bounds(value: Any, key: str, field: str, kind: str) -> tuple[Piece, ...]:
    """Low and high end of a field, as far as there are any."""
    low, high = (getattr(value, f"{field}_{end}") for end in ("low", "high"))
    ends = Number(low, f"{key}.{field}_low", kind), Number(high, f"{key}.{field}_high", kind)
    if low is not None and high is not None:
        return (ends[0], " to ", ends[1])
    if low is not None:
        return ("at least ", ends[0])
    return () if high is None else ("at most ", ends[1])


def table(
    name: str,
    title: str,
    columns: Sequence[Column],
    values: Iterable[Any],
    *,
    key: str = "",
    keys: Iterable[str] | None = None,
    further: Iterable[Row] = (),
    **more: Any,
) -> Table:
    """One row per value.

    key: path of the list that holds the values; their places follow it. keys: paths of the values,
    where they do not lie in one list. further: rows of another kind, below. more: other fields.
    """
    values = tuple(values)
    paths = tuple(keys) if keys is not None else tuple(f"{key}.{k}" for k in range(len(values)))
    rows = (
        Row(tuple(column.cell(value, path) for column in columns), value, path)
        for value, path in zip(values, paths, strict=True)
    )
    return Table(name, title, tuple(columns), (*rows, *further), **more)


def row(columns: Sequence[Column], cells: Mapping[str, Cell], style: str = "") -> Row:
    """A row of cells by the titles of their columns; the others stay empty."""
    return Row(tuple(cells.get(column.title, EMPTY) for column in columns), style=style)


def facts(name: str, title: str, rows: Iterable[tuple[str, Cell]], **more: Any) -> Table:
    """A table of two columns without titles: what it is, and the value."""
    columns = (Column("", lambda *_: EMPTY),) * 2
    return Table(name, title, columns, tuple(Row((say(what), cell)) for what, cell in rows), **more)


def shown(table: Table, place: Place) -> Table:
    """The table as it is shown in a place: without columns for elsewhere, or that say nothing."""
    kept = [
        k
        for k, column in enumerate(table.columns)
        if place in column.on and (not table.rows or any(x.cells[k].is_known for x in table.rows))
    ]
    return replace(
        table,
        columns=tuple(table.columns[k] for k in kept),
        rows=tuple(replace(x, cells=tuple(x.cells[k] for k in kept)) for x in table.rows),
    )


def joined(tables: Iterable[Table]) -> Iterator[Table]:
    """Tables of one title as one, in the place of the first; each part under its name."""
    groups: dict[str, list[Table]] = {}
    for found in tables:
        groups.setdefault(found.title, []).append(found)
    for parts in groups.values():
        rows: list[Row] = []
        for part in parts:
            name = row(part.columns, {part.columns[0].title: say(part.part)}, "part")
            rows += [name] * bool(part.part) + list(part.rows)
        yield replace(parts[0], rows=tuple(rows))


def texts(table: Table) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Titles and rows as plain text."""
    titles = tuple(f"{x.group.lower()}: {x.title}" if x.group else x.title for x in table.columns)
    return titles, [tuple(cell.with_aside for cell in row.cells) for row in table.rows]
