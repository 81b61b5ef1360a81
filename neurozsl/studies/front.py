"""The Pareto front of (cost, gain): points that no other one beats in both.

A point is beaten where another has at most its cost and at least its gain, and one of the two
strictly. So equal points are on the front together or not at all.
"""

from collections.abc import Sequence


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Whether each point (cost, gain) is on the front.

    Args:
        points: any number; costs and gains are compared exactly.

    >>> on_front([(1.0, 10.0), (2.0, 10.0), (2.0, 30.0), (2.0, 30.0), (3.0, 20.0)])
    [True, False, True, True, False]
    """
    best: dict[float, float] = {}  # greatest gain at each cost
    for cost, gain in points:
        best[cost] = max(gain, best.get(cost, gain))
    kept: dict[float, float] = {}  # costs at which that gain is more than at any lower cost
    highest = float("-inf")
    for cost in sorted(best):
        if best[cost] > highest:
            kept[cost] = highest = best[cost]
    return [cost in kept and gain == kept[cost] for cost, gain in points]
