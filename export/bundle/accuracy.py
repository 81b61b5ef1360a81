"""Accuracy on labelled samples with what chance leaves open, and what changed between two runs.

In: how many samples were right, or which ones. Out: percent with a 95 % interval.

accuracy    Wilson's score interval: the p for which |right/n - p| <= z sqrt(p (1 - p) / n). It
            stays inside 0..100 and holds where all or none are right (E. B. Wilson, "Probable
            inference, the law of succession, and statistical inference", JASA 22, 209-212, 1927)
drop        two runs on the *same* samples are paired, so only samples that changed count (Q.
            McNemar, Psychometrika 12, 153-157, 1947). The interval is the adjusted Wald one: a
            sample more in either direction, p = (changed + 1) / (n + 2) (D. G. Bonett, R. M. Price,
            J. Educ. Behav. Stat. 37, 479-488, 2012). It is not centred at the drop itself.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput

Z_95: Final = 1.959963984540054  # of the normal distribution, 2.5 % on each side
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TaskAccuracy:
    """How many samples were right; percent, low and high in percent (Wilson, 95 %)."""

    right: int
    samples: int
    percent: float
    low: float
    high: float

    def __str__(self) -> str:
        """With its interval.

        >>> str(accuracy(90, 100))
        '90.0 % [82.6, 94.5]'
        """
        return f"{self.percent:.1f} % [{self.low:.1f}, {self.high:.1f}]"


@dataclass(frozen=True)
class PairedDrop:
    """What a second run lost on the samples of a first one.

    lost: right before, wrong after. won: the other way. points: (lost - won) / samples in points of
    percent, above 0 where it got worse; low, high: its interval (95 %).
    """

    lost: int
    won: int
    samples: int
    points: float
    low: float
    high: float

    def __str__(self) -> str:
        """With its interval.

        >>> str(drop(3, 1, 100))
        '2.0 points [-2.7, 6.7]'
        """
        return f"{self.points:.1f} points [{self.low:.1f}, {self.high:.1f}]"


def accuracy(right: int, samples: int) -> TaskAccuracy:
    """`right` of `samples`, with Wilson's interval.

    Raises:
        BadInput: no sample, or more right ones than samples.
    """
    if not 0 <= right <= samples or samples < 1:
        raise BadInput(f"accuracy: {right} right of {samples} samples; expected 0..n of 1 or more")
    share, z2 = right / samples, Z_95**2 / samples
    centre = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    low = 0.0 if right == 0 else 100 * (centre - half)  # exact at both ends
    high = 100.0 if right == samples else 100 * (centre + half)
    return TaskAccuracy(right, samples, 100 * share, low, high)


def drop(lost: int, won: int, samples: int) -> PairedDrop:
    """The drop of which `lost` and `won` of `samples` changed.

    Raises:
        BadInput: no sample, or more that changed than there are.
    """
    if min(lost, won) < 0 or lost + won > samples or samples < 1:
        raise BadInput(
            f"drop: {lost} lost and {won} won of {samples} samples; expected at most all of 1 or "
            "more"
        )
    worse, better = (lost + 1) / (samples + 2), (won + 1) / (samples + 2)
    centre = worse - better
    half = Z_95 * math.sqrt((worse + better - centre**2) / (samples + 2))
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return PairedDrop(lost, won, samples, 100 * (lost - won) / samples, 100 * low, 100 * high)


def changed(before: Bools, after: Bools) -> PairedDrop:
    """The drop between two runs on the same samples, from which of them were right, `(n,)`."""
    lost, won = np.count_nonzero(before & ~after), np.count_nonzero(after & ~before)
    return drop(int(lost), int(won), len(before))


def is_accuracy(value: TaskAccuracy) -> bool:
    """Whether a stored accuracy says what follows from its own counts."""
    return value == accuracy(value.right, value.samples)


def is_drop(value: PairedDrop) -> bool:
    """Whether a stored drop says what follows from its own counts."""
    return value == drop(value.lost, value.won, value.samples)
