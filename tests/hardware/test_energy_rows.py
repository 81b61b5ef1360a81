"""What a row says of itself: bounds of its terms, names, what is inside, left out and unknown."""

from dataclasses import dataclass, replace

import pytest

from neurozsl.hardware.chips import CHIPS
from neurozsl.hardware.chips.chip import Chip, load_chip, parse_chip
from neurozsl.hardware.chips.keys import ENERGY
from neurozsl.hardware.energy import compare, estimate, estimate_all, uniform_counts

COUNTS = uniform_counts((512, 512, 512, 512), steps=10, rate=0.05)
ROWS = {row.key: row for row in estimate_all(COUNTS, tuple(CHIPS))}
FIGURE = 'unit = "J", kind = "measured", grade = "T", source = "p" }'
SYNOP = {"synop": 2e-12}


def made_up(
    key: str, energy: dict[str, float], method: str, *, scope: str = "per_term", more: str = ""
) -> Chip:
    """A chip with these joules, which are made up."""
    lines = [f"{name} = {{ value = {value}, {FIGURE}" for name, value in energy.items()]
    return parse_chip(
        key,
        f"""
schema = 1
name = "{key}"
scope = "{scope}"
energy_methods = ["{method}"]
{more}
[source]
p = "Made up for a test"
[energy]
"""
        + "\n".join(lines),
    )


def test_a_term_has_the_bounds_of_its_figure_and_none_where_none_are_published() -> None:
    seen = set()
    for row in ROWS.values():
        if "/" in row.key and row.key.endswith(("between_sources", "anchor")):
            continue
        chip = load_chip(row.device)
        figures = load_chip(chip.inherits_energy).energy if chip.inherits_energy else chip.energy
        for term in row.terms:
            figure = figures[term.figure]
            for bound, joules in ((figure.low, term.joules_low), (figure.high, term.joules_high)):
                assert joules == (None if bound is None else term.count * bound), row.key
                seen.add(bound is None)
            assert (term.joules_each, term.kind) == (figure.value, figure.kind)
            if chip.scope == "per_term":
                assert term.cause == ENERGY[term.figure].cause
    assert seen == {True, False}


def test_what_grows_with_events_is_all_but_the_updates_of_neurons() -> None:
    row = ROWS["loihi1_sanafe"]
    updates = 51.2e-12 * 15360 + 21.6e-12 * COUNTS.total("active_updates")
    assert row.event_joules == pytest.approx(row.joules - updates)
    assert {t.cause for t in row.terms if t.figure == "spike_out"} == {"routing"}


def test_every_neuron_is_accessed_and_those_that_receive_input_are_updated() -> None:
    layer = replace(COUNTS.layers[0], active_updates=60.0, inactive_updates=40.0)
    some = replace(COUNTS, layers=(layer,))
    fitted = {t.figure: t.count for t in estimate(some, "loihi1_sanafe").terms}
    assert (fitted["neuron_access"], fitted["neuron_update"]) == (100, 60)
    [update] = [t for t in estimate(some, "spinnaker1").terms if t.figure == "neuron_update"]
    assert update.count == 100  # no access figure
    assert update.joules == pytest.approx(100 * 26e-9)


def test_a_dense_pass_of_one_step_is_one_pass() -> None:
    one = uniform_counts((8, 4), steps=1, rate=0.5)
    assert estimate(one, "cmos45_fp32", method="dense_pass").joules == pytest.approx(32 * 4.6e-12)


def test_a_chip_without_steps_and_without_a_latency_has_none() -> None:
    more = 'time_model = "asynchronous"'
    row = estimate(COUNTS, made_up("mine", SYNOP, "per_term", more=more))
    assert (row.latency_s, row.latency_note) == (None, "unpublished")


def test_all_operations_of_an_all_in_file_are_counted_each_at_its_own_figure() -> None:
    layer = replace(COUNTS.layers[0], effective_acs=600.0, effective_macs=400.0, conv_synops=300.0)
    mixed = replace(COUNTS, layers=(layer,))
    adds = made_up("adds", {"ac": 1e-12, "mac": 5e-12}, "event_driven", scope="all_in")
    assert estimate(mixed, adds).joules == pytest.approx(600 * 1e-12 + 400 * 5e-12)
    kernels = made_up("k", {"synop": 2e-12, "synop_conv": 3e-12}, "per_term", scope="all_in")
    row = estimate(mixed, kernels)
    assert row.joules == pytest.approx(700 * 2e-12 + 300 * 3e-12)
    assert {term.cause for term in row.terms} == {"whole"}
    assert row.included[-1] == "static power, memory and control: all in"
    assert row.included[:-1] == tuple(term.name for term in row.terms)


@pytest.mark.parametrize(
    ("key", "inside", "left_out", "unknown"),
    [
        ("loihi1", "neuron updates, active", "hops (no placement)", "link to the host"),
        ("loihi1", "static power x latency, own line", "hops (no placement)", "input encoding"),
        ("truenorth", "synaptic operations", "neuron updates (unpublished)", "input encoding"),
        ("truenorth", "static power x latency", "hops (no figure of their own)", "link to"),
        ("spinnaker1", "neuron updates", "hops (no figure of their own)", "static power"),
        ("speck2f/per_spike", "all synaptic operations of a spike", "input events", "input"),
        ("speck2f/per_synop", "synaptic operations, input events too", "read-out", "link to"),
        ("cmos45_fp32/event_driven", "arithmetic of synapses", "memory", None),
        ("cmos45_fp32/event_driven", "arithmetic of synapses", "neuron updates", None),
        ("cmos45_fp32/dense_pass", "arithmetic of the same layers, once", "memory", None),
        ("cmos45_fp32/dense_pass", "arithmetic of the same layers, once", "activations", None),
        ("cmos45_fp32/dense_pass", "arithmetic of the same layers, once", "control", None),
        ("gpu_v100/mac", "static power, memory and control: all in", "nothing may be added", None),
    ],
)
def test_a_row_says_what_it_holds_leaves_out_and_cannot_know(
    key: str, inside: str, left_out: str, unknown: str | None
) -> None:
    row = ROWS[key]
    assert any(inside in text for text in row.included)
    assert any(left_out in text for text in row.excluded)
    assert not any(left_out in text for text in row.included)
    assert not any(inside in text for text in (*row.excluded, *row.unknown))
    assert row.unknown == () if unknown is None else any(unknown in x for x in row.unknown)


def test_neuron_updates_are_left_out_only_where_they_have_no_figure() -> None:
    for key in ("loihi1", "loihi1_sanafe", "spinnaker1"):
        assert not any("neuron updates (" in text for text in ROWS[key].excluded), key
        assert any("neuron updates" in text for text in ROWS[key].included), key


def test_synaptic_operations_alone_bound_from_below_where_neurons_have_a_figure() -> None:
    assert estimate(COUNTS, "spinnaker1", method="per_synop").lower_bound
    assert not estimate(COUNTS, "spinnaker1").lower_bound
    assert not ROWS["speck2f/per_synop"].lower_bound  # derived from all that a spike takes
    energy = {"dynamic_per_spike": 1e-9, "neuron_update": 1e-12}
    assert not estimate(COUNTS, made_up("mine", energy, "per_spike")).lower_bound


@dataclass(frozen=True)
class Sent:
    """Traffic made up for a test."""

    messages: float | None = 900.0
    hops_ew: float | None = None
    hops_ns: float | None = None
    input_messages: float | None = 12.0


def test_messages_are_named_by_where_their_number_comes_from() -> None:
    names = {t.figure: t.name for t in ROWS["loihi1_sanafe"].terms}
    assert names["message_out"] == "messages, one per spike"
    placed = estimate(COUNTS, "loihi1_sanafe", traffic=Sent())
    assert {t.figure: t.name for t in placed.terms}["message_out"] == "messages to other cores"
    first, second, *_ = placed.unknown
    assert first.startswith("input encoding") and "(12 messages)" in first
    assert second == ROWS["loihi1_sanafe"].unknown[1] and second.startswith("link to the host")


def test_the_precisions_of_a_dense_pass_are_in_its_name_and_fp32_is_the_default() -> None:
    assert ROWS["gpu_v100/mac"].name == "NVIDIA V100, fp32"
    assert ROWS["gpu_v100/mac_fp16_tensor"].name == "NVIDIA V100, fp16 tensor"
    assert ROWS["gpu_h100"].name == "NVIDIA H100 SXM"
    assert estimate(COUNTS, "gpu_v100").joules == pytest.approx(786_432 * 38e-12)


def test_the_latency_of_nine_layers_on_speck_holds_for_nine() -> None:
    nine, ten = (uniform_counts((8,) * n, steps=2, rate=0.1) for n in (10, 11))
    assert estimate(nine, "speck2f").latency_s == pytest.approx(3.36e-6)
    assert estimate(ten, "speck2f").latency_s is None


def test_static_power_is_named_as_a_line_of_its_own_where_there_is_one() -> None:
    [rest] = [r for r in estimate_all(COUNTS, ("speck2f",), window_s=0.5) if "spike" in r.method]
    cases = ((ROWS["loihi1"], 1), (ROWS["loihi2"], 0), (rest, 1), (ROWS["speck2f/per_spike"], 0))
    for row, lines in cases:
        own = [x for x in row.included if x.startswith("static power x") and "own line" in x]
        assert len(own) == lines, row.key


def test_a_step_that_is_given_for_speck_goes_before_the_window_of_the_input() -> None:
    paced = estimate_all(COUNTS, ("speck2f",), window_s=0.5, step_s={"speck2f": 0.01})
    assert paced[0].static_joules == pytest.approx(0.42e-3 * 10 * 0.01)


# ---------------------------------------------------------------- families and anchors


@pytest.mark.parametrize(
    "order", [("loihi1", "loihi1_sanafe"), ("loihi1_sanafe", "loihi1"), ("loihi1_sanafe",)]
)
def test_three_tables_of_a_chip_give_one_row_behind_the_last_of_them(
    order: tuple[str, ...],
) -> None:
    mine = made_up("mine", SYNOP, "per_term", more='family = "loihi1"')
    chips: tuple[str | Chip, ...] = (*order[:1], "cmos45_fp32", *order[1:], mine, "gpu_h100")
    keys = [row.key for row in estimate_all(COUNTS, chips)]
    assert keys.count("loihi1/between_sources") == 1
    assert keys.index("loihi1/between_sources") == keys.index("mine") + 1
    row = {r.key: r for r in estimate_all(COUNTS, chips)}["loihi1/between_sources"]
    assert row.name.endswith(f", {len(order) + 1} sources")
    assert row.joules_low == pytest.approx(393_216 * 2e-12)
    own = "static power x latency, own line"
    static = None if "loihi1" not in order else pytest.approx(0.104 * 10e-3)
    assert row.static_joules == static
    # The made-up table is the only measured one, so that the terms are its own.
    assert row.included == ("synaptic operations", *((own,) if "loihi1" in order else ()))
    assert ("static power" in row.unknown) is ("loihi1" not in order)
    assert ("static power (unpublished)" in row.excluded) is ("loihi1" not in order)
    assert any("link to the host" in text for text in row.unknown) and row.warnings == ()


WORKLOAD = (
    'workload_mean = { value = 0.2,%s unit = "W", kind = "derived", grade = "D", source = "p" }'
)


@pytest.mark.parametrize("bounds", ["", " low = 0.1,", " high = 0.3,", " low = 0.1, high = 0.3,"])
def test_an_anchor_is_a_count_of_seconds_and_has_an_interval_where_both_ends_are_published(
    bounds: str,
) -> None:
    text = WORKLOAD % bounds
    chip = made_up("mine", SYNOP, "per_term", more=f"[power]\n{text}")
    rows = {r.key: r for r in estimate_all(COUNTS, (chip,), step_s={"mine": 1e-3})}
    row, both = rows["mine/workload_anchor"], "low" in bounds and "high" in bounds
    assert row.joules == pytest.approx(0.2 * 10e-3)
    ends = (pytest.approx(0.1 * 10e-3), pytest.approx(0.3 * 10e-3)) if both else (None, None)
    assert (row.joules_low, row.joules_high) == ends
    assert row.interval == ("published" if both else "unpublished")
    [whole] = row.terms
    assert row.included == ("the whole chip while it runs",)
    assert "nothing may be added" in row.excluded[0] and "how much of it" in row.unknown[0]
    assert whole.figure == "workload_mean"
    assert whole.count == pytest.approx(10e-3)
    assert (whole.joules_each, whole.joules) == (0.2, row.joules)
    assert (whole.joules_low, whole.joules_high) == ends


# ---------------------------------------------------------------- what enters and leaves


@pytest.mark.parametrize("method", ["per_term", "per_spike", "per_synop"])
def test_figures_of_input_and_link_are_used_by_every_method_of_a_chip(method: str) -> None:
    base = {"synop": 2e-12, "dynamic_per_spike": 3e-9}
    chip = made_up("mine", {**base, "input_event": 5e-10, "link_byte": 7e-9}, method)
    known = replace(COUNTS, entering=256.0, link_bytes=640.0)
    row, plain = estimate(known, chip), estimate(known, made_up("plain", base, method))
    own = {t.figure: t for t in row.terms if t.figure not in base}
    assert {k: (t.count, t.cause) for k, t in own.items()} == {
        "input_event": (256.0, "input"),
        "link_byte": (640.0, "link"),
    }
    assert row.joules - plain.joules == pytest.approx(256 * 5e-10 + 640 * 7e-9)
    assert not any("input encoding" in x or "link to the host" in x for x in row.unknown)
    assert "input events" not in row.excluded
    for words in ("input encoding", "link to the host"):
        assert any(words in x for x in plain.unknown)


def test_a_link_that_nobody_counted_stays_unknown_though_it_has_a_figure() -> None:
    row = estimate(COUNTS, made_up("mine", {**SYNOP, "link_byte": 7e-9}, "per_term"))
    assert COUNTS.entering == 512 * 10 * 0.05 and COUNTS.link_bytes is None
    assert {t.figure for t in row.terms} == {"synop"}
    assert any("link to the host" in x for x in row.unknown)


# ---------------------------------------------------------------- who is cheaper


def test_the_same_energy_on_both_sides_favours_neither() -> None:
    spiking = ROWS["loihi1"]
    for factor, said in ((1.0, "either"), (1 + 1e-9, "spiking"), (1 - 1e-9, "dense")):
        dense = replace(ROWS["gpu_h100"], joules=factor * spiking.joules)
        [row] = [x for x in compare(COUNTS, (spiking, dense)) if not x.with_static]
        assert row.advantage == said


def test_spikes_that_no_event_caused_have_no_break_even_rate() -> None:
    layer = replace(COUNTS.layers[0], effective_acs=0.0, most_synops=0.0)
    still = replace(COUNTS, layers=(layer,))
    rows = estimate_all(still, ("loihi1", "cmos45_fp32"))
    assert rows[0].event_joules > 0
    assert [x.break_even_rate for x in compare(still, rows)] == [None] * len(compare(still, rows))
