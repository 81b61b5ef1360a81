"""Terms of an energy row: what each pays for, hops after placement, and what has no figure."""

from dataclasses import dataclass

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips import CHIPS
from neurozsl.hardware.count.counts import Counts, LayerCounts
from neurozsl.hardware.energy import EnergyRow, SpikeMessages, estimate, estimate_all


@dataclass(frozen=True)
class Sent:
    """Traffic made up for a test."""

    messages: float | None = None
    hops_ew: float | None = None
    hops_ns: float | None = None
    input_messages: float | None = None


LAYER = LayerCounts(
    name="a",
    source="x",
    fan_in=10,
    neurons=10,
    parameters=100,
    nonzero_weights=100,
    steps=10,
    spikes=50.0,
    spike_rate=0.5,
    input_events=10.0,
    effective_acs=100.0,
    effective_macs=0.0,
    dense=1000.0,
    synops_weighted=100.0,
    most_synops=1000.0,
    active_updates=60.0,
    inactive_updates=40.0,
    leaky=False,
)
COUNTS = Counts((LAYER,), samples=1, steps=10)


def parts(row: EnergyRow) -> dict[str, float]:
    """Joules per cause."""
    causes: dict[str, float] = dict.fromkeys((t.cause for t in row.terms), 0.0)
    for term in row.terms:
        causes[term.cause] += term.joules
    return causes


def test_each_term_says_what_it_pays_for_and_how_its_figure_came_about() -> None:
    row = estimate(COUNTS, "loihi1")
    assert parts(row) == pytest.approx(
        {"synapses": 100 * 23.6e-12, "neurons": 60 * 81e-12 + 40 * 52e-12, "routing": 50 * 1.7e-12}
    )
    assert {term.kind for term in row.terms} == {"simulated"}
    assert row.event_joules == pytest.approx(100 * 23.6e-12 + 50 * 1.7e-12)
    assert parts(estimate(COUNTS, "speck2f")) == {"whole": pytest.approx(50 * 4.6e-9)}
    assert set(parts(estimate(COUNTS, "cmos45_fp32"))) == {"arithmetic"}


def test_hops_after_placement_are_terms_and_without_it_are_named_as_left_out() -> None:
    bare = estimate(COUNTS, "loihi1_sanafe")
    assert "hops (no placement)" in bare.excluded
    sent = Sent(messages=70.0, hops_ew=200.0, hops_ns=90.0, input_messages=12.0)
    row = estimate(COUNTS, "loihi1_sanafe", traffic=sent)
    assert not any("hops" in text for text in row.excluded)
    terms = {t.figure: t for t in row.terms}
    assert (terms["message_out"].count, terms["spike_out"].count) == (70, 50)
    assert terms["hop_ew"].joules == pytest.approx(200 * 3e-12)
    assert terms["hop_ns"].joules == pytest.approx(90 * 4.2e-12)
    extra = 20 * 111e-12 + 200 * 3e-12 + 90 * 4.2e-12  # 20 more messages than spikes
    assert row.joules == pytest.approx(bare.joules + extra)
    assert row.joules_high == pytest.approx(row.joules * 1.117)
    assert any("12 messages" in text for text in row.unknown)


def test_a_placement_without_a_mesh_gives_messages_but_no_hops() -> None:
    row = estimate(COUNTS, "loihi1", traffic=Sent(messages=70.0))
    assert {t.figure: t.count for t in row.terms}["spike_in_tile"] == 70
    assert not any(t.figure.startswith("hop") for t in row.terms)
    assert "hops (the placement has no mesh)" in row.excluded


def test_traffic_adds_nothing_to_an_all_in_figure_nor_where_no_hop_has_a_figure() -> None:
    sent: SpikeMessages = Sent(70.0, 200.0, 90.0, 12.0)
    for chip in ("truenorth", "truenorth_allin", "speck2f", "spinnaker1"):
        with_it, without = estimate(COUNTS, chip, traffic=sent), estimate(COUNTS, chip)
        assert with_it.joules == without.joules, chip


def test_the_traffic_of_a_placement_goes_to_every_cost_table_of_that_chip() -> None:
    rows = {
        row.key: row for row in estimate_all(COUNTS, traffic={"loihi1": Sent(70.0, 200.0, 90.0)})
    }
    for key in ("loihi1", "loihi1_sanafe", "loihi1/between_sources"):
        assert {t.figure: t.count for t in rows[key].terms}["hop_ew"] == 200, key
    assert not any(t.figure == "hop_ew" for t in rows["loihi2"].terms)  # placed on its own


def test_every_row_of_a_chip_names_what_costs_energy_and_has_no_figure() -> None:
    rows = {row.key: row for row in estimate_all(COUNTS, tuple(CHIPS))}
    assert len(rows) > 15
    for key in ("loihi1", "loihi1_sanafe", "loihi2", "speck2f/per_spike"):
        assert any("input encoding" in text for text in rows[key].unknown), key
        assert any("link to the host" in text for text in rows[key].unknown), key
    assert any("energies per operation" in text for text in rows["loihi2"].unknown)
    assert "static power" in rows["loihi1_sanafe"].unknown
    assert "static power" not in rows["loihi1"].unknown
    assert rows["cmos45_fp32/dense_pass"].unknown == ()


def test_speck_rests_for_the_window_of_its_input_not_for_the_latency_of_an_event() -> None:
    rows = {row.key: row for row in estimate_all(COUNTS, ("speck2f",), window_s=0.5)}
    row = rows["speck2f/per_spike"]
    assert row.static_joules == pytest.approx(0.42e-3 * 0.5)
    assert row.latency_s == pytest.approx(3.36e-6)
    assert row.step_s is None
    assert "static power 0.42 mW" in row.source
    unknown = estimate(COUNTS, "speck2f")
    assert unknown.static_joules is None
    assert any("powered time is not given" in text for text in unknown.excluded)


def test_a_dense_pass_has_a_row_for_each_precision_that_the_machine_has() -> None:
    rows = {row.key: row for row in estimate_all(COUNTS)}
    assert rows["gpu_v100/mac"].joules == pytest.approx(100 * 38e-12)
    assert rows["gpu_v100/mac_fp16_tensor"].joules == pytest.approx(100 * 4.8e-12)
    assert rows["gpu_h100"].joules == pytest.approx(100 * 1.4e-12)
    assert rows["gpu_titan_black"].joules == pytest.approx(100 * 0.3e-9)
    assert rows["cpu_i7_4960x"].joules == pytest.approx(100 * 8.6e-9)
    assert rows["arm_cortex_a"].joules == pytest.approx(100 * 0.9e-9)
    assert rows["gpu_v100/mac"].lower_bound and rows["gpu_h100"].lower_bound
    assert rows["gpu_v100/mac"].terms[0].cause == "whole"
    for row in rows.values():
        assert row.method != "dense_pass" or row.latency_s is None
    with pytest.raises(BadInput, match="no figure 'mac_int4' for dense_pass; a dense pass has mac"):
        estimate(COUNTS, "gpu_v100", figure="mac_int4")
