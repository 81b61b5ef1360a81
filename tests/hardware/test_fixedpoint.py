import math
from fractions import Fraction

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.hardware.loihi import fixedpoint as fp
from tests.hardware.fixedpoint_reference import decay_towards_zero, saturate_signed, wrap_signed

BOUNDARIES = sorted(
    {
        sign * (2**k + d)
        for k in (0, 1, 6, 8, 12, 16, 17, 22, 23, 24)
        for d in (-1, 0, 1)
        for sign in (-1, 1)
    }
)


def integers(low: int, high: int, seed: int) -> list[int]:
    drawn = [int(x) for x in np.random.default_rng(seed).integers(low, high, 500, endpoint=True)]
    return [x for x in BOUNDARIES if low <= x <= high] + [0] + drawn


def test_widths_are_those_of_the_chip() -> None:
    assert fp.ACCUMULATOR_LIMIT == 131072
    assert fp.THRESHOLD_MAX == 131071
    assert (fp.MANTISSA_MIN, fp.MANTISSA_MAX, fp.EXPONENT_MAX) == (-4096, 4095, 7)
    assert fp.DECAY_UNITY == 4096


@pytest.mark.parametrize("bits", [8, 17, 24])
def test_wrap_is_the_residue_in_the_half_open_interval(bits: int) -> None:
    half = 2 ** (bits - 1)
    values = integers(-3 * half + 1, 3 * half, seed=bits)
    expected = []
    for x in values:
        y = x % 2**bits  # 0..2^bits - 1, then to (-half, half]
        expected.append(y if y <= half else y - 2**bits)
    assert wrap_signed(values, bits).tolist() == expected


def test_wrap_folds_once_like_the_reference_far_outside() -> None:
    assert wrap_signed(5 * 2**23).tolist() == 3 * 2**23


def test_saturation_is_symmetric() -> None:
    values = integers(-(2**25), 2**25, seed=1)
    expected = [max(-(2**23) + 1, min(2**23 - 1, x)) for x in values]
    assert saturate_signed(values).tolist() == expected


@pytest.mark.parametrize("decay", [0, 1, 163, 2047, 2048, 4095])
@pytest.mark.parametrize("offset", [0, 1])
def test_decay_truncates_towards_zero(decay: int, offset: int) -> None:
    values = integers(-(2**23) + 1, 2**23, seed=decay)
    exact = [Fraction(x * (4096 - decay - offset), 4096) for x in values]
    assert decay_towards_zero(values, decay, offset).tolist() == [math.trunc(x) for x in exact]


def test_current_decay_4095_forgets_everything_and_membrane_decay_4095_does_not() -> None:
    assert decay_towards_zero([8388607, -8388607], 4095, 1).tolist() == [0, 0]
    assert decay_towards_zero([8388607, -8388607], 4095, 0).tolist() == [2047, -2047]


@pytest.mark.parametrize("exponent", [-8, -1, 0, 1, 7])
def test_shift_floors(exponent: int) -> None:
    values = integers(-(2**17), 2**17, seed=3)
    expected = [math.floor(Fraction(x) * Fraction(2) ** exponent) for x in values]
    assert fp.shift(values, exponent).tolist() == expected


@pytest.mark.parametrize("bits", [1, 4, 5, 6, 7, 8])
def test_mixed_sign_weights_are_clipped_then_floored_to_their_grid(bits: int) -> None:
    values = integers(-400, 400, seed=bits)
    step = 2 ** (9 - bits)
    expected = [math.floor(max(-256, min(255, x)) / step) * step for x in values]
    assert fp.even_weights(values, bits).tolist() == expected
    assert fp.weight_step(bits) == step


def test_measured_weights_of_lava_are_reproduced() -> None:
    assert int(fp.even_weights([3, 5, 7, -9]).sum()) == 2
    assert int(fp.even_weights([1, 1, 1, -1]).sum()) == -2
    assert fp.even_weights([100, -100], 4).tolist() == [96, -128]


def test_mantissa_takes_the_smallest_exponent_that_fits_all() -> None:
    for largest, exponent in [(4095, 0), (4096, 1), (-4096, 0), (8190, 1), (524160, 7)]:
        mantissa, found, clipped = fp.split_mantissa_exponent([float(largest), 1.0])
        assert (found, clipped) == (exponent, 0)
        assert abs(int(mantissa[0]) * 2**found - largest) <= 2**found // 2


def test_mantissa_clips_what_no_exponent_can_hold() -> None:
    mantissa, exponent, clipped = fp.split_mantissa_exponent([1e6, -1e6, 0.0])
    assert (mantissa.tolist(), exponent, clipped) == ([4095, -4096, 0], 7, 2)


def test_mantissa_refuses_what_is_not_finite() -> None:
    with pytest.raises(BadInput, match="not finite"):
        fp.split_mantissa_exponent([1.0, math.nan])
