"""Who is cheaper: ratios, the sign, break-even rates and steps, against arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pytest

from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.hardware.chips.chip import parse_chip
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.energy import (
    SignRow,
    compare,
    estimate,
    estimate_all,
    mean_input_rate,
    step_times,
    uniform_counts,
)
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.synapse import Conv, Link, Pool, Synapse
from tests.factories.networks import one_layer
from tests.hardware.chip_text import MINIMAL, figure
from tests.hardware.connection_loops import CONVS, paths_of, sparse

SIZES = (512, 512, 512, 512)
SHEET = uniform_counts(SIZES, steps=10, rate=0.05)
TABLES = (
    *("loihi1", "loihi1_sanafe", "loihi2", "speck2f", "cmos45_fp32", "cmos45_int8"),
    *("gpu_v100", "gpu_h100", "cpu_i7_4960x", "arm_cortex_a"),
)
ROWS = estimate_all(SHEET, TABLES)
SIGNS = compare(SHEET, ROWS)
BY_KEY = {row.key: row for row in ROWS}


def one(spiking: str, dense: str, *, static: bool = False) -> SignRow:
    [row] = [x for x in SIGNS if (x.spiking, x.dense, x.with_static) == (spiking, dense, static)]
    return row


FP32 = "cmos45_fp32/dense_pass"
INT8 = "cmos45_int8/dense_pass"


def test_every_spiking_table_meets_every_dense_one_once() -> None:
    spiking = {x.spiking for x in SIGNS}
    assert spiking == {
        "loihi1",
        "loihi1_sanafe",
        "loihi2",
        "speck2f/per_spike",
        "cmos45_fp32/event_driven",
        "cmos45_int8/event_driven",
    }
    dense = {x.dense for x in SIGNS}
    assert {FP32, INT8, "gpu_v100/mac", "gpu_h100", "cpu_i7_4960x", "arm_cortex_a"} <= dense
    # Static power is known of Loihi 1 alone; additions of one number format meet products of it.
    assert len(SIGNS) == (6 + 1) * len(dense) - 2
    assert len({(x.spiking, x.dense, x.with_static) for x in SIGNS}) == len(SIGNS)


def test_the_sign_flips_with_the_table() -> None:
    assert one("loihi1", FP32).advantage == "dense"
    assert one("loihi1", "gpu_v100/mac").advantage == "spiking"
    assert one("cmos45_fp32/event_driven", FP32).advantage == "spiking"
    assert one("loihi2", "cpu_i7_4960x").advantage == "spiking"
    assert one("loihi2", INT8).advantage == "dense"


def test_arithmetic_is_compared_in_one_number_format() -> None:
    """fp32 and int8 differ by 20: a pair of both would say more of numbers than of spikes."""
    pairs = {(x.spiking, x.dense) for x in SIGNS}
    assert ("cmos45_int8/event_driven", INT8) in pairs
    assert ("cmos45_int8/event_driven", "gpu_v100/mac") in pairs
    assert ("cmos45_int8/event_driven", FP32) not in pairs
    assert ("cmos45_fp32/event_driven", INT8) not in pairs


def test_an_interval_of_the_ratio_that_holds_1_gives_neither_the_advantage() -> None:
    row = one("speck2f/per_spike", FP32)
    dense = 786_432 * 4.6e-12
    assert row.ratio == pytest.approx(768 * 4.6e-9 / dense)
    assert row.ratio_low == pytest.approx(768 * 2.9e-9 / dense)
    assert row.ratio_high == pytest.approx(768 * 7.6e-9 / dense)
    assert row.advantage == "either"
    points = one("loihi1", FP32)
    assert (points.ratio_low, points.ratio_high) == (None, None)


def test_static_power_stands_on_the_spiking_side_with_its_own_bounds() -> None:
    row = one("loihi1", FP32, static=True)
    dynamic = estimate(SHEET, "loihi1").joules
    assert row.spiking_joules == pytest.approx(dynamic + 1.04e-3)
    assert row.ratio_low == pytest.approx((dynamic + 0.29e-3) / row.dense_joules)
    assert row.ratio_high == pytest.approx(row.ratio)  # 104 mW is its own high end
    assert row.advantage == "dense"
    assert row.break_even_rate is None  # static power alone is more than the dense pass


def test_accumulates_break_even_with_one_pass_where_the_fact_sheet_says() -> None:
    # AC beats one MAC pass while T x rate < 4.6 / 0.9 = 5.1 (fp32), 0.23 / 0.03 = 7.7 (int8).
    assert one("cmos45_fp32/event_driven", FP32).break_even_rate == pytest.approx(4.6 / 0.9 / 10)
    assert one("cmos45_int8/event_driven", INT8).break_even_rate == pytest.approx(0.23 / 0.03 / 10)


@pytest.mark.parametrize("key", ["loihi1", "loihi1_sanafe", "speck2f/per_spike"])
def test_at_the_break_even_rate_both_cost_the_same(key: str) -> None:
    row = one(key, FP32)
    assert row.break_even_rate is not None
    again = uniform_counts(SIZES, steps=10, rate=row.break_even_rate)
    # Neuron updates are held as they are: at this rate every neuron still receives input.
    assert again.total("active_updates") == pytest.approx(15_360, rel=0.02)
    found = {x.key: x for x in estimate_all(again)}[key]
    assert found.joules == pytest.approx(row.dense_joules, rel=0.02)


def test_no_rate_breaks_even_where_updates_alone_cost_more_or_events_never_do() -> None:
    low = one("loihi1", INT8)
    updates = sum(t.joules for t in BY_KEY[low.spiking].terms if t.cause == "neurons")
    assert updates > low.dense_joules
    assert (low.break_even_rate, low.advantage) == (None, "dense")
    high = one("loihi1", "cpu_i7_4960x")
    assert estimate(uniform_counts(SIZES, 10, 1.0), "loihi1").joules < high.dense_joules
    assert (high.break_even_rate, high.advantage) == (None, "spiking")


def test_a_silent_network_has_ratios_and_no_break_even_rate() -> None:
    silent = uniform_counts(SIZES, steps=10, rate=0.0)
    signs = compare(silent, estimate_all(silent))
    assert signs and all(x.break_even_rate is None for x in signs)
    assert {x.ratio for x in signs if x.spiking == "cmos45_fp32/event_driven"} == {0.0}


def test_the_mean_rate_of_the_inputs_of_uniform_layers_is_their_rate() -> None:
    assert mean_input_rate(SHEET) == pytest.approx(0.05)
    assert mean_input_rate(replace(SHEET, layers=())) is None


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("kind", CONVS)
def test_the_mean_rate_is_that_of_the_sources_behind_kernels_pools_zeros_and_padding(
    kind: str, pooled: bool
) -> None:
    """Two of eight steps carry an event on every channel: a rate of 1/4, whatever the geometry."""
    rng, steps = np.random.default_rng(5), 8
    shape, conv = CONVS[kind]
    c, h, w = conv.shape
    pools = (Pool((c, 2 * h, 2 * w), (2, 2), (2, 2)),) if pooled else ()
    first = one_layer(Synapse("x", sparse(rng, *shape), Link(conv, pools)))
    first = replace(first, bias=rng.normal(size=first.size))
    made = conv.out_shape(shape)
    second = one_layer(Synapse("a", sparse(rng, 3, made[0], 1, 1), Link(Conv(made))))
    second = replace(second, name="b")
    size = first.synapses[0].size_in
    code = InputCode(size, "binary", 1, False, 1.0)
    network = Lowered({"x": code}, (first, second), ("b",), 1e-3, steps, "fixed")
    on = np.isin(np.arange(steps), (1, 4))[None, :, None]
    given = ChipInput({"x": np.broadcast_to(on, (2, steps, size)).astype(int)}, {"x": code})
    out = np.zeros((2, steps, second.size), np.uint8)
    busy = np.broadcast_to(on, (2, steps, first.size)).astype(np.uint8)
    both = count(network, given, Trace({"a": busy, "b": out}))
    assert mean_input_rate(both) == pytest.approx(1 / 4)
    # A layer that nothing reaches has its weight in the mean all the same.
    half = count(network, given, Trace({"a": 0 * busy, "b": out}))
    joined = [
        sum(int(x.weight[place] != 0) for taps in paths_of(x) for _, place in taps)
        for x in (first.synapses[0], second.synapses[0])
    ]
    assert mean_input_rate(half) == pytest.approx(joined[0] / sum(joined) / 4)


def test_an_all_in_figure_is_compared_once_static_power_inside() -> None:
    signs = compare(SHEET, estimate_all(SHEET, ("truenorth_allin", "cmos45_fp32")))
    assert [x.with_static for x in signs if x.spiking.startswith("truenorth_allin")] == [True]


def test_steps_cost_static_power_and_nothing_else() -> None:
    paces = [x for x in step_times(SHEET, lengths_s=(0.04,)) if x.device == "loihi1"]
    assert [x.step_s for x in paces] == [5.8e-6, 1e-5, 1e-4, 1e-3, 0.04]
    for pace in paces:
        assert pace.static_joules == pytest.approx(0.104 * 10 * pace.step_s)
        assert pace.dynamic_joules == estimate(SHEET, "loihi1").joules
        assert pace.latency_s == pytest.approx(10 * pace.step_s)
    # Speck has no steps: it rests for the window of the input.
    speck = [x for x in step_times(SHEET, lengths_s=(0.04,)) if x.device == "speck2f"]
    assert speck[-1].static_joules == pytest.approx(0.42e-3 * 0.4)
    assert {x.device for x in step_times(SHEET, TABLES)} == {"loihi1", "speck2f"}


@pytest.mark.parametrize(
    ("methods", "devices"),
    [('"dense_pass"', set()), ('"dense_pass", "per_term"', set()), ('"per_term"', {"mine"})],
)
def test_a_chip_with_static_power_whose_pass_is_dense_has_no_steps(
    methods: str, devices: set[str]
) -> None:
    power = '[power]\nstatic_chip = { value = 0.05, unit = "W", kind = "measured", grade = "T", '
    text = f"energy_methods = [{methods}]\n{MINIMAL}{figure('mac')}{power}source = 'paper' }}\n"
    mine = parse_chip("mine", text)
    assert {x.device for x in step_times(SHEET, (mine,), window_s=0.1)} == devices


def test_a_chip_of_a_user_is_compared_like_any_other() -> None:
    mine = parse_chip(
        "mine",
        """
        schema = 1
        name = "Mine"
        scope = "per_term"
        energy_methods = ["per_term"]
        [source]
        bench = "Own bench, 2026"
        [energy.synop]
        value = 1e-12
        unit = "J"
        low = 5e-13
        high = 2e-12
        kind = "measured"
        grade = "V"
        source = "bench"
        """,
    )
    signs = compare(SHEET, estimate_all(SHEET, (mine, "cmos45_fp32")))
    [row] = [x for x in signs if x.spiking == "mine"]
    assert row.ratio == pytest.approx(393_216e-12 / (786_432 * 4.6e-12))
    assert row.advantage == "spiking"
    assert row.break_even_rate == pytest.approx(0.46)
