"""Counts of a network before it is trained, against the arithmetic of the hardware fact sheet.

Three layers of 512 neurons, 512 inputs, T = 10, every neuron at 5 %. All arithmetic is written out:

    synaptic operations  3 x 512 x 512 x 10 x 0.05 = 393,216       weights 3 x 512 x 512 = 786,432
    neuron updates       3 x 512 x 10 = 15,360                     spikes 15,360 x 0.05 = 768
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.hardware.count.counts import Counts
from neurozsl.hardware.energy import estimate, uniform_counts

SIZES = (512, 512, 512, 512)
SHEET = uniform_counts(SIZES, steps=10, rate=0.05)
MICRO = 1e-6


def active(share: float) -> Counts:
    """The sheet's network with this share of its updates called active."""
    layers = tuple(
        replace(
            layer,
            active_updates=share * layer.neuron_updates,
            inactive_updates=(1 - share) * layer.neuron_updates,
        )
        for layer in SHEET.layers
    )
    return replace(SHEET, layers=layers)


def test_the_counts_of_the_sheet() -> None:
    assert SHEET.total("synops") == pytest.approx(393_216)
    assert SHEET.total("dense") / 10 == 786_432
    assert SHEET.total("neuron_updates") == 15_360
    assert SHEET.total("spikes") == pytest.approx(768)
    # A neuron without one of 512 events in a step: 0.95^512 = 4e-12. Every update is active.
    assert SHEET.total("active_updates") == pytest.approx(15_360, rel=1e-9)
    assert [layer.source for layer in SHEET.layers] == ["input", "layer1", "layer2"]


def test_arithmetic_at_45_nm_gives_0_35_3_6_and_0_18_microjoules() -> None:
    event = estimate(SHEET, "cmos45_fp32", method="event_driven").joules
    assert event == pytest.approx(393_216 * 0.9e-12)
    assert event == pytest.approx(0.35 * MICRO, abs=0.005 * MICRO)
    dense = estimate(SHEET, "cmos45_fp32", method="dense_pass").joules
    assert dense == pytest.approx(786_432 * (3.7e-12 + 0.9e-12))
    assert dense == pytest.approx(3.6 * MICRO, abs=0.05 * MICRO)
    small = estimate(SHEET, "cmos45_int8", method="dense_pass").joules
    assert small == pytest.approx(786_432 * (0.2e-12 + 0.03e-12))
    assert small == pytest.approx(0.18 * MICRO, abs=0.005 * MICRO)


def test_davies_2018_gives_10_1_microjoules_where_updates_are_inactive() -> None:
    """The sheet's 10.1: all updates at the inactive price, or 5 % of them (the rate) active."""
    synapses, spikes = 393_216 * 23.6e-12, 768 * 1.7e-12
    none = estimate(active(0.0), "loihi1").joules
    assert none == pytest.approx(synapses + 15_360 * 52e-12 + spikes)  # 9.28 + 0.80 + 0.001
    at_rate = estimate(active(0.05), "loihi1").joules
    assert at_rate == pytest.approx(synapses + 768 * 81e-12 + 14_592 * 52e-12 + spikes)
    for joules in (none, at_rate):
        assert joules == pytest.approx(10.1 * MICRO, abs=0.05 * MICRO)


def test_davies_2018_gives_10_5_microjoules_where_active_is_receiving_input_in_that_step() -> None:
    row = estimate(SHEET, "loihi1")
    assert row.joules == pytest.approx(393_216 * 23.6e-12 + 15_360 * 81e-12 + 768 * 1.7e-12)
    assert row.joules == pytest.approx(10.5 * MICRO, abs=0.05 * MICRO)


def test_the_silicon_fit_gives_15_2_microjoules() -> None:
    synapses, updates = 393_216 * 35.5e-12, 15_360 * (51.2e-12 + 21.6e-12)
    row = estimate(SHEET, "loihi1_sanafe")
    assert row.joules == pytest.approx(synapses + updates + 768 * (69.3e-12 + 111e-12))
    assert row.joules == pytest.approx(15.2 * MICRO, abs=0.05 * MICRO)


def test_static_power_adds_10_microjoules_at_10_microseconds_and_a_millijoule_at_1_ms() -> None:
    quick = estimate(SHEET, "loihi1", step_s=1e-5).static_joules
    assert quick == pytest.approx(0.104 * 10 * 1e-5)
    assert quick == pytest.approx(10 * MICRO, abs=0.5 * MICRO)
    slow = estimate(SHEET, "loihi1", step_s=1e-3).static_joules
    assert slow == pytest.approx(1.04e-3, abs=0.005e-3)


def test_four_times_the_rate_gives_the_sheets_38_and_58_microjoules() -> None:
    busy = uniform_counts(SIZES, steps=10, rate=0.20)
    assert estimate(busy, "loihi1").joules == pytest.approx(38 * MICRO, abs=0.5 * MICRO)
    assert estimate(busy, "loihi1_sanafe").joules == pytest.approx(58 * MICRO, abs=0.5 * MICRO)


def test_expected_counts_are_the_mean_of_drawn_ones() -> None:
    generator = np.random.default_rng(3)
    sizes, steps, rate, runs = (6, 4, 3), 5, 0.3, 4000
    counts = uniform_counts(sizes, steps, rate)
    for layer, (inputs, neurons) in zip(counts.layers, itertools.pairwise(sizes), strict=True):
        events = generator.random((runs, steps, inputs)) < rate
        assert layer.synops == pytest.approx(events.sum() * neurons / runs, rel=0.02)
        assert layer.input_events == pytest.approx(events.sum() / runs, rel=0.02)
        reached = events.any(axis=2).sum() * neurons / runs
        assert layer.active_updates == pytest.approx(reached, rel=0.02)
        assert layer.neuron_updates == neurons * steps
        assert layer.dense == layer.most_synops == inputs * neurons * steps
        assert (layer.fan_in, layer.neurons, layer.steps) == (inputs, neurons, steps)
        assert layer.parameters == layer.nonzero_weights == inputs * neurons
        assert layer.spikes == pytest.approx(neurons * steps * rate)
        assert layer.spike_rate == rate
    assert (counts.samples, counts.steps) == (1, steps)
    assert [layer.source for layer in counts.layers] == ["input", counts.layers[0].name]


@pytest.mark.parametrize("leaky", [False, True])
def test_the_smallest_and_the_largest_network_are_estimated(leaky: bool) -> None:
    [one] = uniform_counts((1, 1), steps=1, rate=1.0, leaky=leaky).layers
    assert (one.synops, one.spikes, one.active_updates, one.inactive_updates) == (1, 1, 1, 0)
    assert one.leaky is leaky
    [large] = uniform_counts((10**7, 1), steps=10**9, rate=0.0).layers
    assert (large.synops, large.dense, large.active_updates) == (0, 1e16, 0)


@pytest.mark.parametrize(
    ("sizes", "steps", "rate", "said"),
    [
        ((512,), 10, 0.1, "expected at least two widths"),
        ((512, 0), 10, 0.1, "expected at least two widths"),
        ((4, 4), 0, 0.1, "0 steps, expected 1 to 1,000,000,000"),
        ((4, 4), 10**9 + 1, 0.1, "1000000001 steps, expected 1 to 1,000,000,000"),
        ((4, 10**7 + 1), 1, 0.1, "the widest has 8 digits, at most 10,000,000 neurons"),
        ((4, 10**400), 1, 0.1, "the widest has 401 digits"),
        ((4, 4), 1, 5.0, r"rate 5, expected 0\.\.1"),
        ((4, 4), 1, -0.1, r"rate -0\.1, expected 0\.\.1"),
    ],
)
def test_a_network_that_cannot_be_is_refused(
    sizes: tuple[int, ...], steps: int, rate: float, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        uniform_counts(sizes, steps, rate)
