"""Rounding happens once, and never turns "nearly" into "all" or a prefix into the wrong one."""

import pytest

from neurozsl.core import quantities as q


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-6, "1.00 µJ"),
        (9.994e-7, "999 nJ"),
        (9.996e-7, "1.00 µJ"),
        (99.95e-6, "100 µJ"),
        (12.34e-12, "12.3 pJ"),
        (1e-3, "1.00 mJ"),
        (1.0, "1.00 J"),
        (999.0, "999 J"),
        (1000.0, "1.00 kJ"),
        (0.0, "0 J"),
        (None, "n/a"),
        (-2.5e-3, "-2.50 mJ"),
    ],
)
def test_joules_carry_three_digits_and_the_right_prefix(value: float | None, text: str) -> None:
    assert q.si(value, "J") == text


@pytest.mark.parametrize("exponent", range(-15, 12))
def test_a_prefix_never_changes_the_value(exponent: int) -> None:
    factors = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0,
               "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}  # fmt: skip
    value = 3.14 * 10.0**exponent
    number, unit = q.si(value, "J").split(" ")
    assert float(number) * factors[unit.removesuffix("J")] == pytest.approx(value, rel=1e-9)


def test_one_bit_in_a_million_is_not_all() -> None:
    assert q.share(1.0) == "100 %"
    assert q.share(1 - 1e-6) == "99.9999 %"
    assert q.share(1e-6) == "0.0001 %"
    assert q.share(0.0) == "0 %"


def test_bounds_that_nobody_published_are_called_unpublished() -> None:
    assert q.interval(None, None) == "unpublished"
    assert q.interval(2e-6, None) == "unpublished (at least 2.00 µJ)"
    assert q.interval(None, 2e-6) == "unpublished (at most 2.00 µJ)"
    assert q.interval(1e-6, 2e-6) == "1.00 µJ to 2.00 µJ"
