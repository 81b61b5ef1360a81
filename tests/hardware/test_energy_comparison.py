"""Counts to rows of a report: energy, baseline, comparison, and the sentence that follows."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from neurozsl.hardware.energy import DEFAULT_CHIPS, EnergyRow, estimate_all, uniform_counts
from neurozsl.report import schema
from neurozsl.report.sections.comparison import comparison, dense_baseline
from neurozsl.report.show.reading import note


class Rows(NamedTuple):
    energy: tuple[EnergyRow, ...]
    baseline: schema.Baseline
    comparison: schema.Comparison | None


def rows_of(
    sizes: tuple[int, ...],
    steps: int,
    rate: float,
    *,
    chips: tuple[str, ...] = DEFAULT_CHIPS,
    lengths_s: tuple[float, ...] = (),
    unfit: tuple[str, ...] = (),
    **asked: Any,
) -> Rows:
    counts = uniform_counts(sizes, steps, rate)
    rows = estimate_all(counts, chips, **asked)
    rows = tuple(replace(row, as_if=row.device in unfit) for row in rows)
    return Rows(
        tuple(row for row in rows if row.method != "dense_pass"),
        dense_baseline(counts, rows),
        comparison(counts, rows, chips=chips, lengths_s=lengths_s, window_s=asked.get("window_s")),
    )


SHEET = rows_of((512, 512, 512, 512), steps=10, rate=0.05)
INHERITED = {row.key for row in SHEET.energy if row.inherited}


def test_it_gives_the_rows_of_a_report() -> None:
    energy = {row.key: row for row in SHEET.energy}
    assert len(energy) == len(SHEET.energy)
    assert energy["loihi1"].joules == pytest.approx(10.5e-6, abs=0.05e-6)
    family = energy["loihi1/between_sources"]
    assert family.interval == "between sources"
    assert family.joules_low == energy["loihi1"].joules
    assert family.static_joules == pytest.approx(1.04e-3)
    assert family.step_s == pytest.approx(1e-3)
    for row in SHEET.energy:
        assert ("a lower bound: see what is excluded" in note(row)) is row.lower_bound
        assert not any("input encoding" in text for text in row.warnings)
        if row.method in ("per_term", "per_spike", "per_synop"):
            assert any("input encoding" in text for text in row.unknown)
        assert row.joules is not None and row.source
        assert row.joules == pytest.approx(sum(term.joules for term in row.terms))
        assert all(term.kind and term.source for term in row.terms)
    assert not any(row.method == "dense_pass" for row in SHEET.energy)
    assert SHEET.baseline.macs == 786_432
    dense = {row.key: row.joules for row in SHEET.baseline.energy}
    assert dense["cmos45_fp32/dense_pass"] == pytest.approx(3.6e-6, abs=0.05e-6)
    assert dense["cmos45_int8/dense_pass"] == pytest.approx(0.18e-6, abs=0.005e-6)
    assert {"gpu_v100/mac", "gpu_h100", "gpu_titan_black", "cpu_i7_4960x"} <= set(dense)


def test_the_sentence_says_that_the_sign_depends_on_the_table() -> None:
    assert SHEET.comparison is not None
    text = SHEET.comparison.sentence
    assert text.startswith("The sign of the advantage depends on the cost table chosen")
    for said in (
        "45 nm arithmetic, fp32, 3.62 µJ",
        "event driven 354 nJ",
        "Intel Loihi 10.5 µJ",
        "SANA-FE silicon fit 15.2 µJ",
        "With steps of 1.00 ms static power alone is 1.04 mJ on Intel Loihi, 99 times its dynamic",
        "51.11 % on 45 nm arithmetic, fp32",
        "it is 5.00 % here",
    ):
        assert said in text
    # Loihi 2 inherits the table of Loihi 1, which is one table, not two.
    rows = [r for r in SHEET.comparison.rows if r.spiking not in INHERITED]
    assert len(rows) < len(SHEET.comparison.rows)
    wins = [r for r in rows if r.advantage == "spiking" and not r.with_static]
    pairs = [r for r in rows if not r.with_static]
    assert f"cheaper one on {len(wins)} of {len(pairs)} pairs" in text


@pytest.mark.parametrize(
    ("rate", "chips", "start"),
    [
        (1.0, ("loihi1", "cmos45_fp32"), "The dense pass is the cheaper one on all 2 pairs"),
        (0.001, ("cmos45_fp32", "gpu_h100"), "The spiking network is the cheaper one on all 2"),
    ],
)
def test_the_sentence_follows_the_numbers(rate: float, chips: tuple[str, ...], start: str) -> None:
    found = rows_of((64, 64), steps=10, rate=rate, chips=chips).comparison
    assert found is not None
    assert found.sentence.startswith(start)
    expected: set[str] = {"dense"} if rate == 1.0 else {"spiking"}
    assert {row.advantage for row in found.rows} == expected
    absent, told = ("cheaper", "dearer") if rate == 1.0 else ("dearer", "cheaper")
    assert f"{absent} on " not in found.sentence and f"it is {told} on " in found.sentence


def test_the_sentence_says_where_no_rate_changes_the_sign() -> None:
    # 640 updates at 81 pJ are 51.8 nJ; 4,096 multiplies at 1.4 pJ are 5.7 nJ.
    found = rows_of((64, 64), steps=10, rate=1.0, chips=("loihi1", "gpu_h100")).comparison
    assert found is not None
    assert "Against one dense pass on NVIDIA H100 SXM, 5.73 nJ" in found.sentence
    assert "No spike rate changes the sign there; the inputs' mean is 100 %." in found.sentence
    assert [row.break_even_rate for row in found.rows] == [None, None]


def test_lower_bounds_of_the_spiking_side_are_called_so() -> None:
    assert SHEET.comparison is not None
    text = SHEET.comparison.sentence
    for said in ("event driven 354 nJ or more", "Intel Loihi 10.5 µJ or more"):
        assert said in text
    assert "Intel Loihi 2 (inherited) 10.5 µJ or more" not in text  # no bound of another chip
    assert "SANA-FE silicon fit 15.2 µJ or more" not in text


def test_of_a_silent_network_no_rate_is_said_to_change_the_sign_or_not_to() -> None:
    found = rows_of((512, 512), steps=10, rate=0.0).comparison
    assert found is not None
    assert "No event reached a layer" in found.sentence
    assert "No spike rate" not in found.sentence


def test_of_a_network_without_a_weight_no_rate_is_told_at_all() -> None:
    made = uniform_counts((8, 8), steps=10, rate=0.1)
    bare = replace(made.layers[0], effective_acs=0.0, most_synops=0.0, nonzero_weights=0)
    counts = replace(made, layers=(bare,))
    found = comparison(counts, estimate_all(counts))
    assert found is not None
    for said in ("No event reached", "No spike rate", "sign changes there"):
        assert said not in found.sentence


def test_a_length_of_a_step_is_shown_and_used() -> None:
    found = rows_of(
        (64, 64), 10, 0.1, step_s={"loihi1": 2e-5}, window_s=0.5, lengths_s=(2e-5, 0.05)
    )
    rows = {row.key: row for row in found.energy}
    assert rows["loihi1"].step_s == pytest.approx(2e-5)
    assert rows["speck2f/per_spike"].static_joules == pytest.approx(0.42e-3 * 0.5)
    assert found.comparison is not None
    lengths = {x.step_s for x in found.comparison.step_times if x.device == "loihi1"}
    assert {2e-5, 0.05} <= lengths


def test_the_length_of_the_input_is_among_the_steps_of_a_chip_without_steps() -> None:
    found = rows_of((64, 64), 10, 0.1, window_s=2.0)
    assert found.comparison is not None
    speck = [x for x in found.comparison.step_times if x.device == "speck2f"]
    assert speck[-1].step_s == pytest.approx(0.2)
    [row] = [x for x in found.energy if x.key == "speck2f/per_spike"]
    assert speck[-1].static_joules == row.static_joules  # the figure and the table are one
    assert row.powered_s == 2.0 and "static power x the 2 s that the input lasts" in str(
        row.included
    )
    loihi = [x for x in found.comparison.step_times if x.device == "loihi1"]
    assert max(x.step_s for x in loihi) == pytest.approx(1e-3)


def test_pairs_of_chips_that_cannot_run_the_network_are_counted_as_such() -> None:
    unfit = ("loihi1", "loihi1_sanafe")
    found = rows_of((64, 64), 10, 0.1, unfit=unfit).comparison
    assert found is not None
    pairs = {(x.spiking, x.dense) for x in found.rows if x.spiking in unfit}
    assert {key for key, _ in pairs} == set(unfit)
    assert f"{len(pairs)} of the pairs are as-if" in found.sentence
    assert "as-if" not in str(rows_of((64, 64), 10, 0.1).comparison)


def test_without_a_dense_or_a_spiking_table_there_is_no_comparison() -> None:
    assert rows_of((64, 64), 10, 0.1, chips=("loihi1",)).comparison is None
    assert rows_of((64, 64), 10, 0.1, chips=("gpu_h100",)).comparison is None


def test_every_length_of_a_step_stands_in_the_document_with_both_parts_of_its_energy() -> None:
    assert SHEET.comparison is not None
    loihi = [x for x in SHEET.comparison.step_times if x.device == "loihi1"]
    assert len(loihi) >= 4
    for row in loihi:
        assert row.static_joules == pytest.approx(0.104 * 10 * row.step_s)
        assert row.dynamic_joules == pytest.approx(10.5e-6, abs=0.05e-6)
        assert row.latency_s == pytest.approx(10 * row.step_s)


def test_each_spiking_table_is_told_on_one_side_and_an_interval_that_holds_1_is_told_apart() -> (
    None
):
    assert SHEET.comparison is not None
    told = SHEET.comparison.sentence.split("it is cheaper on ")[1].split(". The sign")[0]
    cheaper, rest = told.split(", dearer on ")
    dearer, either = rest.split(", either, by the interval, on ")
    # 3.62 uJ is one dense pass; Speck takes 768 x 2.9 to 7.6 nJ = 2.2 to 5.8 uJ.
    assert cheaper == "45 nm arithmetic, fp32, event driven 354 nJ or more"
    assert "Speck" in either and ";" not in either
    names = [x.strip() for x in dearer.split(";")]
    assert [x.rpartition(" 1")[0] for x in names] == [
        "Intel Loihi",
        "Intel Loihi 2 (inherited)",
        "Intel Loihi, SANA-FE silicon fit",
    ]
    assert "(arithmetic or peak rate, a lower bound), it is" in SHEET.comparison.sentence
    wins = [r for r in SHEET.comparison.rows if r.spiking not in INHERITED and not r.with_static]
    either_rows = [r for r in wins if r.advantage == "either"]
    assert f", and on {len(either_rows)} the interval allows both (dynamic" in (
        SHEET.comparison.sentence
    )


def test_the_sentence_is_about_fp32_at_45_nm_wherever_that_table_stands() -> None:
    chips = ("loihi1", "gpu_h100", "cmos45_fp32", "cpu_i7_4960x")
    found = rows_of((64, 64), 10, 0.1, chips=chips).comparison
    assert found is not None
    assert "Against one dense pass on 45 nm arithmetic, fp32, " in found.sentence
    modelled = rows_of((64, 64), 10, 0.1, chips=("loihi1", "cpu_i7_4960x")).comparison
    assert modelled is not None
    assert "on Intel i7-4960X, 35.2 µJ, it is cheaper on" in modelled.sentence  # 4,096 x 8.6 nJ


def test_without_dynamic_energy_static_power_is_no_multiple_of_it() -> None:
    found = rows_of((64, 64), 10, 0.0, chips=("speck2f", "cmos45_fp32")).comparison
    assert found is not None
    assert "times its dynamic" not in found.sentence
    assert "static power alone is 4.20 µJ" in found.sentence  # 0.42 mW x 10 x 1 ms


def test_it_fits_the_document_and_survives_json() -> None:
    assert SHEET.comparison is not None
    again = schema.Comparison.model_validate_json(SHEET.comparison.model_dump_json())
    assert again == SHEET.comparison
