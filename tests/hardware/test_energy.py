"""Energy against numbers computed by hand, the fact sheet on hardware and published rows."""

from dataclasses import replace
from typing import Any

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips import CHIPS
from neurozsl.hardware.chips.chip import load_chip, parse_chip
from neurozsl.hardware.count.counts import Counts, LayerCounts
from neurozsl.hardware.energy import DEFAULT_CHIPS, estimate, estimate_all
from tests.hardware.chip_text import MINIMAL, figure


def counts(
    *,
    synops: float = 0.0,
    active: float = 0.0,
    inactive: float = 0.0,
    spikes: float = 0.0,
    macs: float = 0.0,
    dense: float = 0.0,
    steps: int = 10,
    leaky: bool = False,
) -> Counts:
    """One layer with these counts per inference."""
    layer = LayerCounts(
        name="a",
        source="x",
        fan_in=1,
        neurons=1,
        parameters=1,
        nonzero_weights=1,
        steps=steps,
        spikes=spikes,
        spike_rate=0.1,
        input_events=0.0,
        effective_acs=synops - macs,
        effective_macs=macs,
        dense=dense,
        synops_weighted=synops,
        most_synops=dense,
        active_updates=active,
        inactive_updates=inactive,
        leaky=leaky,
    )
    return Counts((layer,), samples=1, steps=steps)


# Three layers of 512 at a rate of 5 %, T = 10: 0.393 M synaptic operations, 15,360 updates.
SHEET = counts(
    synops=3 * 512 * 512 * 10 * 0.05,
    active=15360 * 0.05,
    inactive=15360 * 0.95,
    spikes=15360 * 0.05,
    dense=3 * 512 * 512 * 10,
)


def test_loihi_by_hand() -> None:
    row = estimate(counts(synops=1e6, active=1000, inactive=3000, spikes=500), "loihi1")
    dynamic = 1e6 * 23.6e-12 + 1000 * 81e-12 + 3000 * 52e-12 + 500 * 1.7e-12
    assert row.joules == pytest.approx(dynamic)
    assert row.latency_s == pytest.approx(10e-3)
    assert row.static_joules == pytest.approx(0.104 * 10e-3)
    assert row.static_joules_low == pytest.approx(0.029 * 10e-3)
    assert row.total_joules == pytest.approx(dynamic + 1.04e-3)
    assert [term.name for term in row.terms] == [
        "synaptic operations",
        "neuron updates, active",
        "neuron updates, inactive",
        "spikes out",
    ]
    assert "Davies" in row.source
    assert "synop 23.6 pJ" in row.source


@pytest.mark.parametrize(
    ("chip", "method", "microjoules"),
    [
        ("loihi1", "per_term", 10.1),
        ("loihi2", "per_term", 10.1),
        ("cmos45_fp32", "event_driven", 0.35),
        ("cmos45_fp32", "dense_pass", 3.6),
        ("cmos45_int8", "dense_pass", 0.18),
    ],
)
def test_the_spread_between_tables_is_that_of_the_fact_sheet(
    chip: str, method: Any, microjoules: float
) -> None:
    assert estimate(SHEET, chip, method=method).joules * 1e6 == pytest.approx(microjoules, rel=0.02)


def test_the_silicon_fit_of_loihi_gives_the_value_of_the_fact_sheet() -> None:
    # The sheet updates every neuron in every step, so all updates are active here.
    layer = replace(SHEET.layers[0], active_updates=15360.0, inactive_updates=0.0)
    busy = replace(SHEET, layers=(layer,))
    row = estimate(busy, "loihi1_sanafe")
    assert row.joules * 1e6 == pytest.approx(15.2, rel=0.01)
    assert row.joules_low == pytest.approx(row.joules * (1 - 0.117))
    assert row.joules_high == pytest.approx(row.joules * (1 + 0.117))
    assert row.interval == "published"


def test_no_bound_is_invented_where_a_point_is_published() -> None:
    for chip in ("loihi1", "loihi2", "cmos45_fp32", "cmos45_int8"):
        row = estimate(SHEET, chip)
        assert (row.joules_low, row.joules_high) == (None, None), chip
        assert row.interval == "unpublished"


@pytest.mark.parametrize("row", load_chip("speck2f").measurements, ids=lambda row: str(row["task"]))
def test_published_spike_counts_of_speck_give_the_published_dynamic_energy(row: Any) -> None:
    measured = (row["power_w"] - row["rest_w"]) * row["window_s"]
    found = estimate(
        counts(spikes=row["spikes"]), "speck2f", steps=1, step_s=row["window_s"], method="per_spike"
    )
    assert found.joules_low is not None
    assert found.joules_high is not None
    assert 2.9e-9 <= found.joules / row["spikes"] <= 7.6e-9
    assert 0.98 * found.joules_low <= measured <= 1.02 * found.joules_high
    assert found.static_joules == pytest.approx(0.42e-3 * row["window_s"])
    assert found.total_joules >= 0.42e-3 * row["window_s"]


def test_speck_has_one_row_per_spike_and_one_bracket_per_synop() -> None:
    rows = [row for row in estimate_all(SHEET) if row.device == "speck2f"]
    assert [row.method for row in rows] == ["per_spike", "per_synop"]
    assert rows[1].joules_low == pytest.approx(SHEET.total("synops") * 10e-12)
    assert rows[1].joules_high == pytest.approx(SHEET.total("synops") * 105e-12)


def test_a_leaking_network_on_an_integrate_and_fire_chip_is_marked() -> None:
    assert not estimate(SHEET, "speck2f").warnings
    leaky = replace(SHEET, layers=(replace(SHEET.layers[0], leaky=True),))
    assert any("integrate-and-fire only" in text for text in estimate(leaky, "speck2f").warnings)


def test_loihi2_is_labelled_inherited_and_has_no_static_power() -> None:
    row = estimate(SHEET, "loihi2")
    assert row.inherited
    assert "inherited" in row.name
    assert row.source.startswith("inherited from loihi1")
    assert row.static_joules is None
    assert "static power (unpublished)" in row.excluded
    assert [r.device for r in estimate_all(SHEET) if r.inherited] == ["loihi2"]


def test_synaptic_operations_alone_are_a_lower_bound() -> None:
    row = estimate(SHEET, "loihi1", method="per_synop")
    assert row.joules == pytest.approx(SHEET.total("synops") * 23.6e-12)
    assert row.lower_bound
    assert estimate(SHEET, "cmos45_fp32").lower_bound
    assert not estimate(SHEET, "loihi1_sanafe").lower_bound
    assert not estimate(SHEET, "loihi2").lower_bound  # a minimum of Loihi 1 bounds nothing here


def test_terms_without_any_figure_of_neurons_are_a_lower_bound_and_an_all_in_figure_is_none() -> (
    None
):
    text = """
schema = 1
name = "Synthetic"
scope = "per_term"
energy_methods = ["per_term"]
[source]
paper = "Synthetic"
[energy]
synop = { value = 2e-12, unit = "J", kind = "measured", grade = "T", source = "paper" }
"""
    assert estimate(SHEET, parse_chip("mine", text)).lower_bound
    whole = parse_chip("mine", text.replace('scope = "per_term"', 'scope = "all_in"'))
    assert not estimate(SHEET, whole).lower_bound


ALL_IN = """
schema = 1
name = "All-in"
scope = "all_in"
energy_methods = ["per_term"]
[source]
paper = "Author, Title, 2014"
[energy]
synop = { value = 26e-12, unit = "J", kind = "measured", grade = "Q", source = "paper" }
[time]
step = { value = 1e-3, unit = "s", kind = "measured", grade = "Q", source = "paper" }
"""


def test_nothing_is_added_to_an_all_in_figure() -> None:
    row = estimate(SHEET, parse_chip("mine", ALL_IN))
    assert row.joules == pytest.approx(SHEET.total("synops") * 26e-12)
    assert len(row.terms) == 1
    assert row.static_joules is None
    assert row.total_joules == row.joules
    assert any("nothing may be added" in text for text in row.excluded)


def test_the_power_sweep_of_truenorth_is_reproduced_by_marginal_plus_static() -> None:
    sweep = load_chip("truenorth").measurements[0]
    neurons, synapses = 2**20, 128
    for rate_hz, power_w in zip(sweep["rate_hz"], sweep["power_w"], strict=True):
        second = counts(synops=rate_hz * neurons * synapses, steps=1000)
        row = estimate(second, "truenorth")
        assert row.latency_s == pytest.approx(1.0)
        assert row.total_joules == pytest.approx(power_w, rel=0.01)
        all_in = estimate(second, "truenorth_allin")
        assert all_in.static_joules is None
    # The one operating point (20 Hz) hits; the others miss widely, so the two are never mixed.
    assert all_in.joules == pytest.approx(3.56 * 0.094, rel=0.02)


def test_loihi_power_outside_the_published_range_warns() -> None:
    assert not estimate(SHEET, "loihi1").warnings  # 10 uJ + 1.04 mJ in 10 ms
    fast = estimate(SHEET, "loihi2", step_s=2e-7)  # 10 uJ in 2 us
    assert any("published workloads took 0.03 to 0.5 W" in text for text in fast.warnings)
    floor = estimate(SHEET, "loihi2")  # the brief's shortest step
    assert not floor.warnings and "the latency is a floor" in floor.note
    assert "mean power of whole workloads measured on it is an anchor" in floor.note
    assert floor.latency_note.startswith("10 steps of 2e-07 s (peak bound; floor")
    assert not floor.lower_bound  # a bound on the time is none on the energy
    paced = estimate(counts(synops=4e6, steps=10), "loihi2", step_s=1e-4)
    assert not paced.warnings  # 94 uJ in 1 ms


@pytest.mark.parametrize("kind", ["datasheet", "peak_bound"])
def test_only_a_step_that_is_said_to_be_the_shortest_makes_the_latency_a_floor(kind: str) -> None:
    end = 'grade = "T", source = "paper" }\n'
    mine = parse_chip(
        "mine",
        f'energy_methods = ["per_term", "dense_pass"]\n{MINIMAL}{figure("mac")}[power]\n'
        f'plausible_mean = {{ value = 1, low = 0.5, high = 2, unit = "W", kind = "derived", {end}'
        f'[time]\nstep = {{ value = 1e-4, unit = "s", kind = "{kind}", {end}',
    )
    row = estimate(SHEET, mine)  # 0.8 uJ in 1 ms
    assert row.latency_s == pytest.approx(1e-3)
    floor = kind == "peak_bound"
    assert ("the latency is a floor" in row.note, bool(row.warnings)) == (floor, not floor)
    assert "anchor" not in row.note and not mine.power.get("workload_mean")
    for other in (estimate(SHEET, mine, step_s=1e-4), estimate(SHEET, mine, method="dense_pass")):
        assert "floor" not in other.note


def test_steps_and_pace_can_be_given() -> None:
    row = estimate(SHEET, "loihi1", steps=20, step_s=1e-4)
    assert row.latency_s == pytest.approx(2e-3)
    assert row.static_joules == pytest.approx(0.104 * 2e-3)
    assert estimate(SHEET, "loihi1_sanafe").latency_s is None


def test_graded_steps_cost_multiplies() -> None:
    row = estimate(counts(synops=1000, macs=400), "cmos45_int8", method="event_driven")
    assert row.joules == pytest.approx(600 * 0.03e-12 + 400 * 0.23e-12)


def test_every_registered_chip_gives_rows_with_terms_and_sources() -> None:
    rows = estimate_all(SHEET, tuple(CHIPS))
    assert {row.device for row in rows} == set(CHIPS) - {"xylo_audio2", "akida_akd1000"}
    for row in rows:
        assert row.joules > 0
        assert row.joules == pytest.approx(sum(t.count * t.joules_each for t in row.terms))
        assert len(row.source) > 20
        if row.joules_low is not None and row.joules_high is not None:
            assert row.joules_low <= row.joules <= row.joules_high
    assert list(dict.fromkeys(row.device for row in estimate_all(SHEET))) == list(DEFAULT_CHIPS)


def test_a_method_that_the_chip_lacks_is_refused() -> None:
    with pytest.raises(
        BadInput, match="chip 'loihi1': no energy method dense_pass; it has per_term"
    ):
        estimate(SHEET, "loihi1", method="dense_pass")


def test_operations_of_convolutions_take_their_own_figure_where_one_is_published() -> None:
    plain = counts(synops=1000.0)
    mixed = Counts((replace(plain.layers[0], conv_synops=400.0),), samples=1, steps=10)
    fitted = load_chip("loihi1_sanafe").energy
    terms = {t.name: t for t in estimate(mixed, "loihi1_sanafe").terms}
    assert terms["synaptic operations"].joules == 600 * fitted["synop_dense"].value
    assert terms["synaptic operations, convolutions"].joules == 400 * fitted["synop_conv"].value
    assert "synaptic operations, convolutions" not in {
        t.name for t in estimate(plain, "loihi1_sanafe").terms
    }
    assert estimate(mixed, "loihi1").terms[0].count == 1000  # Davies 2018 has one figure
