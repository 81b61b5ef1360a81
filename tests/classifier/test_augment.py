"""Random changes of frames: what moves, what stays, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurozsl.classifier.augment import Augment
from neurozsl.core.errors import BadInput


def _frames(seed: int = 0) -> torch.Tensor:
    drawn = np.random.default_rng(seed).random((6, 3, 2, 9, 11)) < 0.3
    return torch.from_numpy(drawn.astype(np.float32))


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_nothing_asked_changes_nothing() -> None:
    assert torch.equal(Augment()(_frames(), _rng()), _frames())


def test_all_steps_of_a_sample_move_alike() -> None:
    still = _frames()[:, :1].expand(-1, 3, -1, -1, -1).contiguous()
    moved = Augment(shift=3, rotate=30, zoom=0.2, shear=0.2)(still, _rng())
    assert not torch.equal(moved, still)
    assert torch.equal(moved[:, 0], moved[:, 1]) and torch.equal(moved[:, 0], moved[:, 2])
    assert set(torch.unique(moved).tolist()) <= {0.0, 1.0}  # counts stay counts


def test_a_flip_mirrors_about_half_of_the_samples_and_leaves_the_others() -> None:
    frames = torch.cat([_frames(seed) for seed in range(10)])
    flipped = Augment(flip=1)(frames, _rng())
    mirrored = (flipped == frames.flip(-1)).flatten(1).all(1)
    same = (flipped == frames).flatten(1).all(1)
    assert bool((mirrored ^ same).all())
    assert 15 <= int(mirrored.sum()) <= 45


def test_a_shift_moves_a_single_pixel_by_at_most_so_much() -> None:
    frames = torch.zeros(40, 1, 1, 21, 21)
    frames[..., 10, 10] = 1
    moved = Augment(shift=4)(frames, _rng())
    row, column = (torch.nonzero(moved[:, 0, 0])[:, axis] - 10 for axis in (1, 2))
    assert len(row) == 40
    assert int(row.abs().max()) in (3, 4) and int(column.abs().max()) in (3, 4)
    assert len(torch.unique(row)) > 4


def test_dropping_only_takes_events_away() -> None:
    frames = torch.ones(30, 2, 2, 20, 20)
    dropped = Augment(drop=0.5)(frames, _rng())
    share = 1 - dropped.flatten(1).mean(1)
    assert float(share.max()) < 0.55 and 0.15 < float(share.mean()) < 0.35


def test_the_same_draws_give_the_same_frames() -> None:
    how = Augment(shift=2, rotate=10, drop=0.1)
    assert torch.equal(how(_frames(), _rng(3)), how(_frames(), _rng(3)))
    assert not torch.equal(how(_frames(), _rng(3)), how(_frames(), _rng(4)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jump=2", "no 'jump' is known; use shift, rotate"),
        ("shift", "how much"),
        ("shift=far", "'far' is no number"),
        ("shift=-1", "shift=-1: expected 0"),
        ("rotate=nan", "rotate=nan"),
        ("drop=1", "below 1"),
    ],
)
def test_words_that_mean_nothing_are_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Augment.read(text)
