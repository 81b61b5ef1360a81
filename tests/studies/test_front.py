"""The Pareto front against its definition, written out."""

import numpy as np
import pytest

from neurozsl.studies.front import on_front

Points = list[tuple[float, float]]


def by_definition(points: Points) -> list[bool]:
    """Slow and obvious: a point is beaten by any other that is nowhere worse and once better."""
    found = []
    for cost, gain in points:
        beaten = any((c <= cost and g >= gain) and (c < cost or g > gain) for c, g in points)
        found.append(not beaten)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_that_of_the_definition_with_and_without_ties(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 60))
    spread = generator.random((count, 2))
    if seed % 2:
        spread = np.round(spread * 4) / 4  # many equal costs, gains and points
    points = [(float(x), float(y)) for x, y in spread]
    found = on_front(points)
    assert found == by_definition(points)
    assert any(found)


def test_equal_points_are_on_the_front_together() -> None:
    assert on_front([(1.0, 2.0), (1.0, 2.0), (1.0, 1.0), (0.5, 2.0)]) == [False, False, False, True]
    assert on_front([(1.0, 2.0), (1.0, 2.0)]) == [True, True]
    assert on_front([]) == []


def test_the_front_does_not_depend_on_the_order() -> None:
    generator = np.random.default_rng(3)
    points = [(float(x), float(y)) for x, y in generator.integers(0, 6, (40, 2))]
    found = dict(zip(points, on_front(points), strict=True))
    for _ in range(5):
        shuffled = [points[i] for i in generator.permutation(len(points))]
        assert on_front(shuffled) == [found[point] for point in shuffled]
