"""Batches of chip inputs and traces put end to end."""

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace

CODE = InputCode(3, "graded", 4, signed=True, scale=0.25)


def chip(batch: int, *, theta: bool = False, scale: float = 0.25) -> ChipInput:
    codes = np.arange(batch * 6, dtype=np.int16).reshape(batch, 2, 3) % 7
    code = InputCode(3, "graded", 4, signed=True, scale=scale)
    return ChipInput({"x": codes}, {"x": code}, {"a": codes[..., 0] / 2} if theta else None)


@pytest.mark.parametrize("theta", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_joined_inputs_are_the_whole_that_was_taken_apart(theta: bool, cut: int) -> None:
    whole = chip(5, theta=theta)
    found = ChipInput.join([whole.take(slice(0, cut)), whole.take(slice(cut, 5))])
    assert np.array_equal(found.codes["x"], whole.codes["x"]) and found.code == whole.code
    assert found.codes["x"].dtype == np.int16
    if theta:
        assert found.theta is not None and whole.theta is not None
        assert np.array_equal(found.theta["a"], whole.theta["a"])
    else:
        assert found.theta is None


def test_inputs_of_two_models_are_not_joined() -> None:
    with pytest.raises(BadInput, match="their codes differ"):
        ChipInput.join([chip(1), chip(1, scale=0.5)])
    with pytest.raises(BadInput, match="thresholds: of a and of nothing"):
        ChipInput.join([chip(1, theta=True), chip(1)])


def test_joined_traces_add_their_wraps_and_clips_up() -> None:
    one = Trace({"a": torch.ones(1, 2, 3)}, {"a": 2}, {"a": 1}, {"a": np.zeros((1, 2, 3))})
    two = Trace({"a": np.zeros((2, 2, 3))}, {}, {"a": 4}, {"a": np.ones((2, 2, 3))})
    found = Trace.join([one, two])
    assert found.spikes["a"].dtype == np.uint8
    assert found.spikes["a"].sum(axis=(1, 2)).tolist() == [6, 0, 0]
    assert (found.overflow, found.saturation) == ({"a": 2}, {"a": 5})
    assert found.membrane["a"].shape == (3, 2, 3)


def test_traces_of_two_branches_are_not_joined() -> None:
    spikes = np.zeros((1, 2, 3))
    with pytest.raises(BadInput, match="spikes: of a and of a, b; join those of one branch"):
        Trace.join([Trace({"a": spikes}), Trace({"a": spikes, "b": spikes})])
