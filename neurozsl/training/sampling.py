"""Which samples make a batch: uniform over classes, with replacement, as the AVCA protocol draws.

The generator is seeded by (seed, stage, epoch), so a resumed run needs no sampler state, and every
process of a training in parallel draws the same batches and takes its rows of them.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.training.protocol import Protocol

Ints = npt.NDArray[np.int64]
Batches = Iterator[tuple[Ints, Tensor]]


def batches(
    label: Ints, *, protocol: Protocol, batch: int, seed: int, stage: int, epoch: int
) -> Batches:
    """The (rows, negatives) of one epoch under a protocol.

    rows: indices into the split; `(batch,)`, or `(2 batch,)` where negatives are drawn: the
        samples, then for each the sample drawn as its negative.
    negatives: per position, the position in this batch of a sample of another class.

    Raises:
        BadInput: there is only one class, so no negative exists.
    """
    draws = batch_count(len(label), batch, protocol)
    plain = protocol.sampler == "balanced" and protocol.negatives == "in_batch"
    drawn_by = _balanced_batches if plain else _weighted_batches
    return drawn_by(label, protocol, batch, draws, [seed, stage, epoch])


def batch_count(samples: int, batch: int, protocol: Protocol) -> int:
    """Batches of an epoch: as the protocol says, or one pass over the samples."""
    return protocol.epoch_batches or -(-samples // batch)


def _balanced_batches(
    label: Ints, _protocol: Protocol, batch: int, count: int, seed: list[int]
) -> Batches:
    """A class drawn uniformly, then a sample of it."""
    classes = _classes(label)
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(label == c) for c in classes]
    for _ in range(count):
        drawn = _mixed(generator, len(classes), batch)
        rows = np.array([generator.choice(members[c]) for c in drawn], dtype=np.int64)
        yield rows, torch.from_numpy(_negatives(drawn, generator))


def _weighted_batches(
    label: Ints, protocol: Protocol, batch: int, count: int, seed: list[int]
) -> Batches:
    """Samples with replacement, weighted so that all classes are as likely.

    That is a class drawn uniformly and then a sample of it, drawn for whole batches at once.
    """
    classes = _classes(label)
    generator = np.random.default_rng(seed)
    order = np.argsort(label, kind="stable")  # the members of a class, end to end
    sizes = np.array([np.count_nonzero(label == c) for c in classes])
    starts = np.cumsum(sizes) - sizes

    def members(drawn: Ints) -> Ints:
        within = (generator.random(len(drawn)) * sizes[drawn]).astype(np.int64)
        return np.asarray(order[starts[drawn] + within], dtype=np.int64)

    apart = protocol.negatives == "drawn"
    for _ in range(count):
        if protocol.sampler == "balanced" or not apart:
            drawn = _mixed(generator, len(classes), batch)
        else:
            drawn = generator.integers(len(classes), size=batch)
        if not apart:
            yield members(drawn), torch.from_numpy(_negatives(drawn, generator))
            continue
        # one of the other classes, uniformly: skip over the own one
        other = (drawn + generator.integers(1, len(classes), size=batch)) % len(classes)
        rows = np.concatenate([members(drawn), members(other)])
        yield rows, torch.arange(2 * batch).roll(batch)


def _classes(label: Ints) -> Ints:
    classes = np.unique(label)
    if len(classes) < 2:
        raise BadInput(
            f"training split: {len(classes)} class, expected at least 2 (the losses compare with "
            "a sample of another class); add classes"
        )
    return classes


def _mixed(generator: np.random.Generator, classes: int, batch: int) -> Ints:
    """Classes of a batch, uniform; a batch of one class would hold no negative."""
    drawn = generator.integers(classes, size=batch)
    if np.all(drawn == drawn[0]):
        drawn[-1] = (drawn[0] + 1) % classes
    return drawn


def _negatives(drawn: Ints, generator: np.random.Generator) -> Ints:
    """For each position a uniformly drawn position with another class."""
    keys = generator.random((len(drawn), len(drawn)))
    keys[drawn[:, None] == drawn[None, :]] = -1.0
    return np.asarray(keys.argmax(1), dtype=np.int64)
