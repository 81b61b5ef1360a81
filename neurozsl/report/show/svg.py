"""SVG text of matplotlib made fit for a page: titles, unique ids, CSS colours, no prologue."""

import re
from collections.abc import Mapping
from html import escape


def titled(svg: str, name: str, title: str, description: str) -> str:
    """The SVG with a role, a title and a description, and ids that start with `name`.

    Matplotlib numbers ids per figure, so two figures in one page would share them.
    """
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    label = f'role="img" aria-labelledby="{name}-title {name}-desc"'
    head = (
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    return re.sub(r"<svg ([^>]*)>", lambda m: f"<svg {label} {m[1]}>{head}", svg, count=1)


def rounded(svg: str) -> str:
    """Path coordinates with two digits: a hundredth of a point cannot be seen, six digits cost.

    >>> rounded('<path d="M 1.23456 2 L 30.5 4.567"/>')
    '<path d="M 1.23 2 L 30.5 4.57"/>'
    """
    number = re.compile(r"\d+\.\d{3,}")

    def shorter(found: re.Match[str]) -> str:
        return number.sub(lambda x: f"{float(x[0]):.2f}", found[0])

    return re.sub(r' d="[^"]*"', shorter, svg)


def inlined(svg: str, variables: Mapping[str, str], font: str) -> str:
    """The SVG for an HTML page: colours as CSS `variables`, the page's font, as wide as its box."""
    svg = svg[svg.index("<svg ") :]  # no XML prologue or doctype
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace(f"'{font}'", "var(--sans)")
    for colour, variable in variables.items():
        svg = svg.replace(f": {colour}", f": var({variable})")
    return re.sub(r">\s+<", "><", svg)
