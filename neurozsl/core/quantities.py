"""Numbers as people read them; the one place that rounds.

HTML, terminal and plots share these functions, so a figure looks the same everywhere.
"""

import math
from collections.abc import Callable
from typing import Any, Final

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}

MISSING = "n/a"


def si(value: float | None, unit: str) -> str:
    """Three significant digits with an SI prefix.

    >>> si(1.2345e-6, "J"), si(0.9996e-3, "s"), si(0.0, "J"), si(None, "J")
    ('1.23 µJ', '1.00 ms', '0 J', 'n/a')
    """
    if value is None:
        return MISSING
    if value == 0:
        return f"0 {unit}"
    # Rounded to three digits first, so that 999.6 nJ becomes 1.00 µJ and not 1000 nJ.
    rounded = float(f"{value:.3g}")
    exponent = min(max(3 * math.floor(math.log10(abs(rounded)) / 3 + 1e-9), -15), 12)
    scaled = rounded / 10**exponent
    digits = max(0, 2 - math.floor(math.log10(abs(scaled)) + 1e-9))
    return f"{scaled:.{min(digits, 6)}f} {_PREFIXES[exponent]}{unit}"


def count(value: float | None) -> str:
    """Whole number with a separator for thousands; small means keep their digits.

    >>> count(1234567.4), count(0.4321), count(12), count(17.25)
    ('1,234,567', '0.432', '12', '17.2')
    """
    if value is None:
        return MISSING
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(value: float | None) -> str:
    """A value that is already in percent.

    >>> percent(41.26)
    '41.3 %'
    """
    return MISSING if value is None else f"{value:.1f} %"


def share(value: float | None) -> str:
    """A fraction 0..1 as percent, with digits enough to tell "nearly all" from "all".

    >>> share(0.0731), share(1.0), share(0.99996), share(0.0)
    ('7.31 %', '100 %', '99.996 %', '0 %')
    """
    if value is None:
        return MISSING
    if value in (0.0, 1.0):
        return f"{value:.0%}".replace("%", " %")
    digits = 2
    while digits < 12 and f"{value * 100:.{digits}f}" in (f"{100:.{digits}f}", f"{0:.{digits}f}"):
        digits += 1
    return f"{value * 100:.{digits}f} %"


def points(value: float) -> str:
    """A difference of two percentages, with its sign.

    >>> points(-0.44), points(0.04)
    ('-0.4 points', '±0.0 points')
    """
    text = f"{value:+.1f}"
    return f"{'±0.0' if float(text) == 0 else text} points"


def interval(low: float | None, high: float | None) -> str:
    """The published bounds of an energy.

    >>> interval(1e-6, 3e-6), interval(1e-6, None), interval(None, None)
    ('1.00 µJ to 3.00 µJ', 'unpublished (at least 1.00 µJ)', 'unpublished')
    """
    if low is not None and high is not None:
        return f"{si(low, 'J')} to {si(high, 'J')}"
    if low is not None:
        return f"unpublished (at least {si(low, 'J')})"
    if high is not None:
        return f"unpublished (at most {si(high, 'J')})"
    return "unpublished"


def ratio(value: float | None) -> str:
    """A quotient, with three significant digits.

    >>> ratio(0.0312), ratio(0.99721), ratio(1.0), ratio(1234.5), ratio(None)
    ('0.0312 ×', '0.997 ×', '1.00 ×', '1,230 ×', 'n/a')
    """
    if value is None:
        return MISSING
    rounded = float(f"{value:.3g}")
    digits = 0 if rounded >= 100 or not rounded else 2 - math.floor(math.log10(rounded))
    return f"{rounded:,.{digits}f} \N{MULTIPLICATION SIGN}"


def times(value: float) -> str:
    """How often one is the other, in words.

    >>> times(0.0312), times(3.26), times(1234.5)
    ('0.031 times', '3.3 times', '1,200 times')
    """
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f} times" if rounded >= 10 else f"{rounded:.2g} times"


FORMATS: Final[dict[str, Callable[[Any], str]]] = {
    "percent": percent,
    "share": share,
    "count": count,
    "joules": lambda x: si(x, "J"),
    "seconds": lambda x: si(x, "s"),
    "watts": lambda x: si(x, "W"),
    "bytes": lambda x: si(x, "B"),
    "bits": lambda x: MISSING if x is None else f"{x / 8192:,.1f} KiB",
    "ratio": ratio,
    "number": lambda x: MISSING if x is None else f"{x:g}",
}
"""How templates and tables name a way to write a number."""
