"""Which samples make a batch: uniform over classes, with replacement, as the AVCA protocol draws.

The generator is seeded by (seed, stage, epoch), so a resumed run needs no sampler state.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurozsl.errors import BadInput

Ints = npt.NDArray[np.int64]


def balanced_batches(
    label: Ints, *, batch: int, seed: int, stage: int, epoch: int
) -> Iterator[tuple[Ints, Tensor]]:
    """Yield (rows, negatives) of about one pass over the data.

    rows: indices into the split, `(batch,)`: a class drawn uniformly, then a sample of it.
    negatives: per position, the position in this batch of a sample of another class.

    Raises:
        BadInput: there is only one class, so no negative exists.
    """
    classes = np.unique(label)
    if len(classes) < 2:
        raise BadInput(
            f"training split: {len(classes)} class, expected at least 2 (the losses compare with "
            "a sample of another class); add classes"
        )
    generator = np.random.default_rng([seed, stage, epoch])
    members = [np.flatnonzero(label == c) for c in classes]
    for _ in range(-(-len(label) // batch)):
        drawn = generator.integers(len(classes), size=batch)
        if np.all(drawn == drawn[0]):  # a batch of one class would hold no negative
            drawn[-1] = (drawn[0] + 1) % len(classes)
        rows = np.array([generator.choice(members[c]) for c in drawn], dtype=np.int64)
        yield rows, torch.from_numpy(_negatives(drawn, generator))


def _negatives(drawn: Ints, generator: np.random.Generator) -> Ints:
    """For each position a uniformly drawn position with another class."""
    keys = generator.random((len(drawn), len(drawn)))
    keys[drawn[:, None] == drawn[None, :]] = -1.0
    return np.asarray(keys.argmax(1), dtype=np.int64)
