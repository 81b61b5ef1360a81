"""Spike codes by hand: what each channel says, what is carried, and which gradient passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurozsl.core.signals import ChipInput
from neurozsl.models.coding import encode, level_code, on_off_code, spread


def test_on_off_channels_hold_the_two_signs_of_ternary_events() -> None:
    events = torch.tensor([[[1.0, -1.0, 0.0]]])
    coded = encode(events, on_off_code(3))
    assert coded.tolist() == [[[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]]]
    on, off = coded.chunk(2, -1)
    assert torch.equal(on - off, events)


def test_level_channels_are_a_thermometer_of_the_rounded_value() -> None:
    # step 0.5: 0.2 -> 0, 0.3 -> 1, 0.9 -> 2, 9.0 -> 3 (clipped)
    values = torch.tensor([[[0.2, 0.3, 0.9, 9.0]]])
    coded = encode(values, level_code(4, levels=3, step=0.5, encoder="level"))
    assert coded.reshape(3, 4).tolist() == [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]


def test_rate_channels_carry_the_rounding_error_to_the_next_step() -> None:
    values = torch.full((1, 10, 1), 0.375)
    code = level_code(1, levels=1, step=1.0, encoder="rate")
    # 0.375, 0.75, 0.125, 0.5, 0.875, ...: a spike, worth 1, whenever the sum passes one half
    assert encode(values, code)[0, :, 0].tolist() == [0, 1, 0, 0, 1, 0, 1, 0, 0, 1]
    assert encode(values, level_code(1, levels=1, step=1.0, encoder="level")).sum() == 0


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_the_mean_of_a_rate_code_is_the_value_within_half_a_spike_per_sample(levels: int) -> None:
    values = torch.rand(4, 12, 6) * levels
    coded = encode(values, level_code(6, levels=levels, step=1.0, encoder="rate"))
    counts = coded.reshape(4, 12, levels, 6).sum(2)
    # The error after the last step is at most half a level, plus what a full channel had to clip.
    error = (counts.sum(1) - values.sum(1)).abs()
    assert float(error.max()) <= 0.5 + 1e-5


@pytest.mark.parametrize("encoder", ["level", "rate"])
def test_codes_are_exact_integers_and_pass_the_gradient_of_the_open_channel(encoder: str) -> None:
    values = (torch.rand(5, 7, 9) * 3).requires_grad_()
    code = level_code(9, levels=3, step=0.7, encoder="rate" if encoder == "rate" else "level")
    coded = encode(values, code)
    as_integers = ChipInput({"x": coded}, {"x": code}).to_numpy().codes["x"]
    assert set(np.unique(as_integers)) == {0, 1}
    torch.autograd.backward(coded.sum())
    assert values.grad is not None
    inside = values.detach() < 3 * 0.7
    assert torch.allclose(values.grad[inside], torch.tensor(1 / 0.7))
    assert not values.grad[~inside].any() and bool((~inside).any())


def test_padded_steps_of_zeros_send_no_spike() -> None:
    values = torch.cat([torch.rand(3, 4, 5) * 2, torch.zeros(3, 6, 5)], 1)
    coded = encode(values, level_code(5, levels=2, step=0.6, encoder="rate"))
    assert coded[:, :4].sum() > 0
    assert coded[:, 4:].sum() == 0


def test_the_spread_of_values_leaves_a_tenth_above_it() -> None:
    values = torch.arange(1000.0).reshape(1, 1, 1000)
    assert spread(values, 0.9) == pytest.approx(899.1)
