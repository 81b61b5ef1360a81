"""Learning rate of every step, as pure functions of the position and of the scores so far.

Nothing is kept between calls, so that a run which is continued goes on with the same rate.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from neurozsl.training.protocol import TrainConfig

_BETTER = 1e-4  # torch's ReduceLROnPlateau: a better score is better by this share (relative)
_SMALLEST = 1e-8  # and a smaller change of the learning rate is not made


class Warmed(Protocol):
    """A peak learning rate, and the share of all steps in which it is reached."""

    @property
    def lr(self) -> float: ...
    @property
    def warmup(self) -> float: ...


def learning_rate(step: int, total: int, config: Warmed) -> float:
    """Rise linearly over the warm-up, then fall along a cosine to 0; a pure function of the step.

    >>> learning_rate(10, 100, TrainConfig(lr=0.001))
    0.001
    """
    rise = max(1, int(config.warmup * total))
    if step < rise:
        return config.lr * (step + 1) / (rise + 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def plateau_rate(scores: Sequence[float], config: TrainConfig) -> float:
    """Learning rate after epochs with these validation scores (higher is better).

    It is multiplied by `factor` whenever more than `patience` epochs in a row brought no better
    score: torch's `ReduceLROnPlateau(mode="max")` with its other settings as they are.

    >>> plateau_rate([5.0, 4.0, 4.0, 4.0, 4.0], TrainConfig(lr=0.5))
    0.05
    """
    rate, best, waited = config.lr, -math.inf, 0
    for score in scores:
        if score > best * (1 + _BETTER):
            best, waited = score, 0
        else:
            waited += 1
        if waited > config.protocol.patience:
            waited = 0
            lower = rate * config.protocol.factor
            rate = lower if rate - lower > _SMALLEST else rate
    return rate
