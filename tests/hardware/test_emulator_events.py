"""Sums by events against int64 products and convolutions; and that the choice is one of time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurozsl.core.maps import Conv
from neurozsl.hardware.loihi.emulator import choice, events, kernels
from neurozsl.hardware.loihi.emulator.costs import SumCosts
from neurozsl.hardware.loihi.emulator.products import smallest_type
from neurozsl.hardware.network.synapse import Link, Synapse, weigh

pytestmark = pytest.mark.skipif(not kernels.HAS_NUMBA, reason="numba is not installed")
FREE = SumCosts(*[1e-9] * 8)


def drawn(rng: np.random.Generator, rate: float, low: int, high: int, *shape: int) -> torch.Tensor:
    values = rng.integers(low, high + 1, shape) * (rng.random(shape) < rate)
    return torch.from_numpy(values).to(smallest_type(low, high))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    inputs=st.integers(1, 600),
    outputs=st.integers(1, 70),
    rate=st.sampled_from([0.0, 0.01, 0.2, 1.0]),
    reach=st.sampled_from([(0, 1), (-1, 1), (0, 15), (-8, 7), (0, 255), (-300, 300)]),
    weights=st.sampled_from([(-128, 127), (0, 255), (-1, 1)]),
)
def test_sums_of_events_are_those_of_int64(
    seed: int,
    inputs: int,
    outputs: int,
    rate: float,
    reach: tuple[int, int],
    weights: tuple[int, int],
) -> None:
    rng = np.random.default_rng(seed)
    half = rng.integers(weights[0], weights[1] + 1, (outputs, inputs)).astype(np.int16)
    half[rng.random(half.shape) < 0.3] = 0
    codes = drawn(rng, rate, *reach, 2, 3, inputs)
    exact = codes.numpy().astype(np.int64) @ half.T.astype(np.int64)
    for made in (events.dense_events(half, *reach), events.sparse_events(half)):
        np.testing.assert_array_equal(made(codes).numpy(), exact)


def test_sums_at_the_ends_of_16_bits_do_not_wrap() -> None:
    for weight, value in ((-128, 1), (127, 1), (255, 1), (-128, -1), (127, -1)):
        half = np.full((5, 3000), weight, np.int16)
        codes = torch.full((1, 1, 3000), value, dtype=torch.int8)
        found = events.dense_events(half, min(value, 0), 1)(codes)
        assert found.flatten().tolist() == [3000 * weight * value] * 5


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    channels=st.integers(1, 5),
    size=st.tuples(st.integers(3, 11), st.integers(3, 11)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    reach=st.sampled_from([(0, 1), (-1, 1), (0, 255)]),
    rate=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_scattered_kernels_are_the_convolution(
    seed: int,
    channels: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    reach: tuple[int, int],
    rate: float,
) -> None:
    rng = np.random.default_rng(seed)
    conv = Conv((channels, *size), stride, padding)
    half = rng.integers(-128, 128, (int(rng.integers(1, 9)), channels, *kernel)).astype(np.int16)
    if min(conv.out_shape(half.shape)) < 1:
        return
    maps = drawn(rng, rate, *reach, 3, *size, channels)
    rows = maps.numpy().transpose(0, 3, 1, 2).reshape(3, -1).astype(np.int64)
    exact = weigh(Synapse("x", half.astype(np.int64), Link(conv)), rows)
    found = events.conv_events(half, conv)(maps).numpy()
    out = conv.out_shape(half.shape)
    assert found.shape == (3, *out[1:], out[0])
    np.testing.assert_array_equal(found.transpose(0, 3, 1, 2).reshape(3, -1), exact)


def test_groups_and_dilation_keep_the_dense_kernel() -> None:
    for conv in (Conv((4, 6, 6), groups=2), Conv((4, 6, 6), dilation=(2, 1))):
        assert not events.scatters(conv)
    assert events.scatters(Conv((4, 6, 6), (2, 3), (0, 1, 2, 0)))


@pytest.mark.parametrize(
    ("prices", "rate", "kernel"),
    [
        ({"dense": 1e-15}, 0.01, "dense"),
        ({"dense": 1e-9}, 0.01, "sparse_events"),
        ({"dense": 1e-9, "synapse": 1e-6}, 0.01, "dense_events"),
        ({"dense": 1e-9, "scan": 1e-6}, 0.9, "dense"),
    ],
)
def test_the_cheapest_kernel_runs_and_every_one_gives_the_same_integers(
    monkeypatch: pytest.MonkeyPatch, prices: dict[str, float], rate: float, kernel: str
) -> None:
    rng = np.random.default_rng(1)
    half = rng.integers(-127, 128, (256, 256)).astype(np.int16) * (rng.random((256, 256)) < 0.2)
    half = half.astype(np.int16)
    codes = drawn(rng, rate, 0, 1, 1, 128, 256)
    costs = SumCosts(**{**vars(FREE), **prices})
    monkeypatch.setattr(choice, "sum_costs", lambda: costs)
    ran: list[str] = []
    for name in ("dense_events", "sparse_events"):
        real = getattr(events, name)

        def told(*given: Any, name: str = name, real: Any = real) -> Any:
            ran.append(name)
            return real(*given)

        monkeypatch.setattr(events, name, told)
    found = choice.best_product(half, 0, 1, "cpu")(codes).double()
    assert (ran or ["dense"]) == [kernel]
    np.testing.assert_array_equal(
        found.numpy(), codes.numpy().astype(np.int64) @ half.T.astype(int)
    )


@pytest.mark.parametrize("cheap", ["dense_conv", "tap"])
def test_a_convolution_takes_the_cheaper_kernel(
    monkeypatch: pytest.MonkeyPatch, cheap: str
) -> None:
    rng = np.random.default_rng(2)
    conv = Conv((8, 20, 20), (1, 1), (1, 1, 1, 1))
    half = rng.integers(-127, 128, (16, 8, 3, 3)).astype(np.int16)
    maps = drawn(rng, 0.05, 0, 1, 16, 20, 20, 8)
    other = {"dense_conv": "tap", "tap": "dense_conv"}[cheap]
    costs = SumCosts(**{**vars(FREE), cheap: 1e-15, other: 1e-3, "conv_scan": 1e-15})
    monkeypatch.setattr(choice, "sum_costs", lambda: costs)
    ran: list[str] = []
    real = events.conv_events

    def told(*given: Any) -> Any:
        ran.append("events")
        return real(*given)

    monkeypatch.setattr(events, "conv_events", told)
    found = choice.best_maps(half, conv, 0, 1, "cpu")(maps).double()
    assert bool(ran) == (cheap == "tap")
    rows = maps.numpy().transpose(0, 3, 1, 2).reshape(16, -1).astype(np.int64)
    exact = weigh(Synapse("x", half.astype(np.int64), Link(conv)), rows)
    np.testing.assert_array_equal(found.numpy().transpose(0, 3, 1, 2).reshape(16, -1), exact)


def test_costs_are_measured_once_and_are_times() -> None:
    from neurozsl.hardware.loihi.emulator.costs import sum_costs

    found = sum_costs()
    assert found is sum_costs()
    assert all(0 <= seconds < 1e-6 for seconds in vars(found).values())
    assert set(found.told()) == set(vars(found))
