"""Fewer steps: means and sums against loops, and what cannot be made."""

from dataclasses import replace

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import ZSLData
from neurozsl.data.resample import in_steps
from neurozsl.data.synthetic.scenes import SyntheticConfig, generate

SMALL = SyntheticConfig(
    train_per_class=2, val_seen_per_class=1, val_unseen_per_class=2, test_size=48
)


@pytest.fixture(scope="module")
def ten() -> ZSLData:
    """The synthetic set in ten steps, some of them padding, its events near the end of uint8."""
    data = generate(SMALL)
    splits = {}
    for name, split in data.splits.items():
        mask = split.mask.copy()
        mask[::2, 7:] = False  # seven real steps: the fourth pair has one, the fifth none
        assert split.events is not None
        splits[name] = replace(split, mask=mask, events=np.minimum(split.events, 1) * np.uint8(200))
    return replace(data, splits=splits)


def test_two_steps_become_their_mean_over_the_real_ones(ten: ZSLData) -> None:
    five = in_steps(ten, 5)
    assert five.step_s == pytest.approx(2 * ten.step_s)
    assert five.meta["joined_steps"] == {"from": 10, "to": 5} and "encoder" not in five.meta
    for name, split in five.splits.items():
        before = ten.splits[name]
        assert split.audio.shape == (len(before), 5, before.audio.shape[2])
        for row in (0, 1):
            for step in range(5):
                own = [s for s in (2 * step, 2 * step + 1) if before.mask[row, s]]
                assert split.mask[row, step] == bool(own)
                for after, long in ((split.audio, before.audio), (split.video, before.video)):
                    wanted = sum((long[row, s] for s in own), np.zeros(long.shape[2])) / max(
                        len(own), 1
                    )
                    np.testing.assert_allclose(after[row, step], wanted, rtol=1e-6)
                assert split.events is not None and before.events is not None
                both = before.events[row, 2 * step].astype(int) + before.events[row, 2 * step + 1]
                np.testing.assert_array_equal(split.events[row, step], np.minimum(both, 255))


def test_as_many_steps_change_nothing(ten: ZSLData) -> None:
    same = in_steps(ten, 10).splits["train"]
    real = ten.splits["train"].mask[..., None]
    np.testing.assert_array_equal(same.audio, ten.splits["train"].audio * real)


@pytest.mark.parametrize("steps", [0, 3, 4, 20])
def test_steps_are_never_invented(ten: ZSLData, steps: int) -> None:
    with pytest.raises(BadInput, match=f"10 steps cannot become {steps}.*choose 1, 2, 5, 10"):
        in_steps(ten, steps)


def test_the_synthetic_set_describes_the_same_clips_in_other_steps() -> None:
    five, ten = generate(replace(SMALL, steps=5)), generate(SMALL)
    assert five.splits["train"].video.shape[1] == 5 and ten.splits["train"].video.shape[1] == 10
    assert five.step_s == pytest.approx(0.4)
    np.testing.assert_array_equal(five.splits["train"].label, ten.splits["train"].label)
    for name in five.splits:  # every pixel event lies in one step or another
        a, b = five.splits[name].events, ten.splits[name].events
        assert a is not None and b is not None
        small = b.astype(int).sum(1).max(axis=1) < 255  # no count that uint8 cut
        assert small.any()
        np.testing.assert_array_equal(a.astype(int).sum(1)[small], b.astype(int).sum(1)[small])
    for steps in (1, 21):
        with pytest.raises(BadInput, match="choose 2 to 20"):
            replace(SMALL, steps=steps)
