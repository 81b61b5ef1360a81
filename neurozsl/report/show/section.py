"""A section of the report: what it puts into the document, and how that is shown.

A section is one file with a `Section`, one template (`page/KEY.html.j2`) and one line of the
registry (`report.sections.registry`). Page, card and terminal go through the registry and show the
same tables and lines; the template places them on the page, with figures and explanations.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurozsl.report.figures.drawing import Drawn
from neurozsl.report.schema import Report
from neurozsl.report.show.tables import Place, Places, Table


@dataclass(frozen=True)
class Line:
    """A sentence of a section; on the page its template has the words."""

    text: str
    on: Places = ("card", "terminal")


@dataclass(frozen=True)
class Section:
    """One section.

    key: its anchor on the page, and the name of its template. title: above it on page and card.
    fields: of the document; it is there where one of them holds something. A value that no field of
    the document is for stands under `sections`, by the name that `fill` gives it.
    fill: from what was profiled (`report.sections.context.Context`) the fields that it knows.
    tables, lines: of a report that has the section. figures: by name, None where there is nothing.
    template: source text; "" stands for `page/KEY.html.j2`.
    example: made-up fields for the tests of the layout.
    """

    key: str
    title: str
    fields: tuple[str, ...]
    fill: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    tables: Callable[[Any], Iterable[Table]] = lambda _: ()
    figures: Mapping[str, Callable[[Any], Drawn | None]] = field(default_factory=dict)
    lines: Callable[[Any], Iterable[Line]] = lambda _: ()
    template: str = ""
    example: Callable[[], Mapping[str, Any]] = lambda: {}

    def is_in(self, report: Report) -> bool:
        """Whether the report has something for it."""
        return any(map(report.holds, self.fields))


Sections = Sequence[Section]


def there(sections: Sections, report: Report) -> tuple[Section, ...]:
    """The sections that a report has."""
    return tuple(x for x in sections if x.is_in(report))


def tables_of(section: Section, report: Report, place: Place) -> tuple[Table, ...]:
    """Tables with rows that are for a place."""
    return tuple(x for x in section.tables(report) if x.rows and place in x.on)


def lines_of(section: Section, report: Report, place: Place) -> tuple[str, ...]:
    """Sentences that are for a place."""
    return tuple(x.text for x in section.lines(report) if place in x.on)
