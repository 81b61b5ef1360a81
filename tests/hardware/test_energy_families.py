"""Several cost tables of one chip as one row, and the anchor of a chip without figures."""

from dataclasses import replace

import pytest

from neurozsl.hardware.chips.chip import load_chip, parse_chip
from neurozsl.hardware.count.counts import Counts, LayerCounts
from neurozsl.hardware.energy import estimate_all

# Three layers of 512 at a rate of 5 %, T = 10, in one: every neuron receives input in every step.
LAYER = LayerCounts(
    name="a",
    source="x",
    fan_in=512,
    neurons=1536,
    parameters=786432,
    nonzero_weights=786432,
    steps=10,
    spikes=768.0,
    spike_rate=0.05,
    input_events=768.0,
    effective_acs=393216.0,
    effective_macs=0.0,
    dense=7864320.0,
    synops_weighted=393216.0,
    most_synops=7864320.0,
    active_updates=15360.0,
    inactive_updates=0.0,
    leaky=False,
)
SHEET = Counts((LAYER,), samples=1, steps=10)
ROWS = {row.key: row for row in estimate_all(SHEET)}


def test_the_family_of_loihi_spans_its_published_and_its_fitted_table() -> None:
    row = ROWS["loihi1/between_sources"]
    assert (row.device, row.interval) == ("loihi1", "between sources")
    assert row.joules_low == ROWS["loihi1"].joules
    assert row.joules == ROWS["loihi1_sanafe"].joules
    assert row.joules_high == pytest.approx(ROWS["loihi1_sanafe"].joules * 1.117)
    # The fit has no static power; that of the chip is published beside the other table.
    assert row.static_joules == ROWS["loihi1"].static_joules == pytest.approx(1.04e-3)
    assert "static power" not in row.unknown
    assert "Davies" in row.source and "SANA-FE" in row.source
    assert {"loihi1", "loihi1_sanafe"} < set(ROWS)  # one row per source as well


def test_the_family_holds_its_sources_where_the_fit_is_the_cheaper_one() -> None:
    # Updates alone: 81 pJ in Davies 2018, 51.2 + 21.6 = 72.8 pJ in the fit.
    still = replace(LAYER, effective_acs=0.0, spikes=0.0)
    rows = {row.key: row for row in estimate_all(replace(SHEET, layers=(still,)))}
    row = rows["loihi1/between_sources"]
    assert row.joules_low == pytest.approx(15360 * 72.8e-12 * (1 - 0.117))
    assert row.joules == pytest.approx(15360 * 72.8e-12)
    # The upper end of the fit, 81.3 pJ, is above the 81 pJ of Davies.
    assert row.joules_high == pytest.approx(15360 * 72.8e-12 * 1.117)
    assert rows["loihi1"].joules == pytest.approx(15360 * 81e-12)


def test_one_cost_table_is_no_family_and_all_in_figures_join_none() -> None:
    assert not any(row.key.endswith("between_sources") for row in estimate_all(SHEET, ("loihi1",)))
    files = {
        key: parse_chip(
            key,
            f"""
            schema = 1
            family = "one"
            name = "{key}"
            scope = "{scope}"
            energy_methods = ["per_term"]
            [source]
            p = "Author, Title, 2014"
            [energy]
            synop = {{ value = {value}, unit = "J", kind = "measured", grade = "Q", source = "p" }}
            """,
        )
        for key, scope, value in (("mine", "per_term", 1e-12), ("other", "all_in", 2e-12))
    }
    rows = estimate_all(SHEET, tuple(files.values()))
    assert [row.key for row in rows] == ["mine", "other"]


def test_the_anchor_of_loihi2_is_a_mean_power_times_the_latency_and_says_so() -> None:
    assert "loihi2/workload_anchor" not in ROWS  # the chip's own step is a floor
    paced = {r.key: r for r in estimate_all(SHEET, ("loihi2",), step_s={"loihi2": 1e-4})}
    row = paced["loihi2/workload_anchor"]
    assert row.latency_s == pytest.approx(10 * 1e-4)
    assert row.joules == pytest.approx(0.25 * 1e-3)
    assert (row.joules_low, row.joules_high) == pytest.approx((0.15 * 1e-3, 0.30 * 1e-3))
    assert not row.lower_bound
    assert row.note.endswith(load_chip("loihi2").power["workload_mean"].note)
    assert (row.scope, row.static_joules) == ("all_in", None)
    assert [term.cause for term in row.terms] == ["whole"]
    assert "other workloads" in row.name and "arXiv:2510.13757" in row.source


def test_the_inherited_row_of_loihi2_names_whose_figures_it_has() -> None:
    row = ROWS["loihi2"]
    assert row.inherited and "inherited" in row.name
    assert row.joules == ROWS["loihi1"].joules
    assert row.source.startswith("inherited from loihi1")


def test_the_band_of_speck_is_the_derived_one_per_spike() -> None:
    row = ROWS["speck2f/per_spike"]
    assert row.joules_low == pytest.approx(768 * 2.9e-9)
    assert row.joules_high == pytest.approx(768 * 7.6e-9)
    assert row.interval == "published"
    assert load_chip("speck2f").energy["dynamic_per_spike"].kind == row.terms[0].kind == "derived"
