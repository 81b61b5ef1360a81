"""Published measurements: reproduced where they can be, and misses said to be misses."""

import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips import CHIPS
from neurozsl.hardware.chips.chip import Chip, load_chip
from neurozsl.hardware.workloads.loihi import mean_power, static_alone
from neurozsl.hardware.workloads.row import Calibration
from neurozsl.hardware.workloads.speck import speck_band, speck_left_out
from neurozsl.hardware.workloads.truenorth import (
    truenorth_all_in,
    truenorth_ceiling,
    truenorth_sweep,
)
from neurozsl.hardware.workloads.workloads import calibrate

# Merolla et al. 2014 at 0.8 V: rate in Hz, power in W. Yao et al. 2024, Table 1: millions of
# spikes in 0.54 s, power in mW. Written out here so that the files are checked, too.
SWEEP = ((11.58, 0.068), (20.07, 0.071), (95.93, 0.094))
YAO = ((1.0, 9.5), (0.4, 3.8), (2.9, 16.1), (1.2, 7.3), (3.3, 46.8), (1.5, 12.3))


def with_row(chip: Chip, at: int, **changed: Any) -> Chip:
    """The chip with one of its measurements changed."""
    rows = list(chip.measurements)
    rows[at] = {**rows[at], **changed}
    return replace(chip, measurements=tuple(rows))


def test_only_what_had_no_part_in_the_figures_is_called_a_prediction() -> None:
    rows = calibrate()
    predicted = [row for row in rows if row.check == "prediction"]
    assert [row.figures_from for row in predicted] == [
        "the other 5 rows of the table, this one left out"
    ] * 6
    assert sum(row.holds is True for row in predicted) == 4
    assert all((row.check == "none") == (row.holds is None) for row in rows)


def test_the_truenorth_sweep_is_reproduced_within_one_percent() -> None:
    rows = truenorth_sweep(load_chip("truenorth"))
    assert len(rows) == 3
    for row, (rate, power) in zip(rows, SWEEP, strict=True):
        by_hand = 0.0644 + 2.297e-12 * rate * 1024 * 1024 * 128
        assert row.estimate == pytest.approx(by_hand, rel=1e-12)
        assert row.published == power
        assert abs(by_hand / power - 1) < 0.01
        assert row.ratio == pytest.approx(by_hand / power)
        assert (row.holds, row.quantity) == (True, "power")
        assert f"{rate:g} Hz" in row.task


def test_the_all_in_figure_of_truenorth_misses_away_from_its_operating_point() -> None:
    rows = truenorth_all_in(load_chip("truenorth"), load_chip("truenorth_allin"))
    errors = [(row.estimate or 0.0) / row.published - 1 for row in rows]
    assert [round(100 * error) for error in errors] == [-41, -1, 256]
    for row, (rate, power) in zip(rows, SWEEP, strict=True):
        assert row.estimate == pytest.approx(26e-12 * rate * 2**20 * 128)
        assert (row.published, row.holds, row.device) == (power, None, "truenorth_allin")
    assert [row.note for row in rows] == ["off by -41%", "off by -1%", "off by +256%"]


def test_a_corrupted_row_of_truenorth_fails() -> None:
    chip = load_chip("truenorth")
    wrong = with_row(chip, 0, power_w=[0.068, 0.078, 0.094])
    assert [row.holds for row in truenorth_sweep(wrong)] == [True, False, True]
    slow = with_row(chip, 0, rate_hz=[11.58, 20.07, 59.93])
    assert [row.holds for row in truenorth_sweep(slow)] == [True, True, False]
    (ceiling,) = truenorth_ceiling(chip)
    assert (ceiling.low, ceiling.published, ceiling.holds) == (0.0644, 0.2, True)
    assert not truenorth_ceiling(with_row(chip, 1, power_w_high=0.06))[0].holds


def test_speck_rows_are_predicted_from_the_other_rows_alone() -> None:
    """Slow and obvious: for each row, look at every other row, and multiply."""
    rows = speck_left_out(load_chip("speck2f"))
    assert len(rows) == len(YAO) == 6
    misses = []
    for i, row in enumerate(rows):
        product, count, least, most = 1.0, 0, math.inf, 0.0
        for j, (millions, milliwatts) in enumerate(YAO):
            if j == i:
                continue
            each = (milliwatts - 0.42) * 1e-3 * 0.54 / (millions * 1e6)
            product *= each
            count += 1
            least, most = min(least, each), max(most, each)
        centre = product ** (1 / count)
        spikes, published = YAO[i][0] * 1e6, YAO[i][1] * 1e-3 * 0.54
        rest = 0.42e-3 * 0.54
        assert count == 5
        assert row.published == pytest.approx(published)
        assert row.low == pytest.approx(rest + least * spikes)
        assert row.estimate == pytest.approx(rest + centre * spikes)
        assert row.high == pytest.approx(rest + most * spikes)
        assert row.ratio == pytest.approx((rest + centre * spikes) / published)
        inside = rest + least * spikes <= published <= rest + most * spikes
        assert row.holds is inside
        if not inside:
            misses.append(row)
    # By construction the smallest and the largest energy per spike miss, and no other row.
    assert [row.task for row in misses] == ["Gait-day, vanilla", "Gait-night, vanilla"]
    assert [round(row.ratio or 0.0, 2) for row in misses] == [1.59, 0.51]
    assert all(0.5 < (row.ratio or 0.0) < 1.6 for row in rows)


def test_speck_rows_lie_in_the_band_of_the_chip_and_above_resting_power() -> None:
    chip = load_chip("speck2f")
    rows = speck_band(chip)
    assert len(rows) == 6
    assert all(row.holds for row in rows)
    for row, (millions, milliwatts) in zip(rows, YAO, strict=True):
        each = (milliwatts - 0.42) * 1e-3 * 0.54 / (millions * 1e6)
        assert 2.9e-9 <= each <= 7.6e-9
        assert row.estimate == pytest.approx(0.42e-3 * 0.54 + 4.6e-9 * millions * 1e6)


def test_a_corrupted_row_of_speck_fails() -> None:
    chip = load_chip("speck2f")
    assert not speck_band(with_row(chip, 0, spikes=1e7))[0].holds
    assert not speck_band(with_row(chip, 5, power_w=0.0003))[5].holds
    # It moves the interval of the others, not only its own.
    changed = speck_left_out(with_row(chip, 0, spikes=1e7))
    assert not changed[0].holds
    assert changed[1].low != speck_left_out(chip)[1].low
    pointed = replace(chip.energy["dynamic_per_spike"], low=None)
    with pytest.raises(BadInput, match="chip 'speck2f': dynamic_per_spike has low None"):
        speck_band(replace(chip, energy={"dynamic_per_spike": pointed}))


def test_loihi_rows_lie_in_the_window_outside_of_which_estimates_warn() -> None:
    rows = {row.task: row for key in ("loihi1", "loihi2") for row in mean_power(load_chip(key))}
    milliwatts = {task: round(1e3 * row.published) for task, row in rows.items()}
    assert milliwatts == {
        "KWS Aloha, two layers": 110,
        "MNIST CNN, NxTF, 14 cores, 100 steps": 99,
        "CIFAR-10 MobileNet, NxTF, 861 cores, about 400 steps": 43,  # 300 mW on seven chips
        "N-MNIST, NxTF, 522 neurons, 597k params": 45,
        "N-CARS, CarSNN": 444,
        "Odour recognition, learning on the chip": 156,
        "KWS SHD/SSC, LIF with delays (low end)": 192,
        "KWS SHD/SSC, LIF with delays (high end)": 299,
        "OpenLORIS, CLP-SNN, learning on the chip": 152,
        "Force control of a robot arm": 35,
    }
    assert all(row.holds for row in rows.values())
    assert all((row.estimate, row.ratio) == (None, None) for row in rows.values())
    assert "warning" in rows["N-CARS, CarSNN"].test
    # The same energy in a hundredth of the time is more power than any chip took.
    chip = load_chip("loihi1")
    for factor in (0.01, 100):
        latency = chip.measurements[1]["latency_s"] * factor
        assert not mean_power(with_row(chip, 1, latency_s=latency))[1].holds


def test_static_power_alone_exceeds_some_published_totals_of_loihi() -> None:
    """What the derived 104 mW costs: three of five totals lie below it, all above 29 mW."""
    chip = load_chip("loihi1")
    rows = static_alone(chip)
    expected = [
        (0.66e-3, 6.65e-3, 1),
        (102e-3, 0.340, 7),
        (0.29e-3, 6.46e-3, 1),
        (0.32e-3, 0.72e-3, 1),
        (0.43e-3, 2.75e-3, 1),
    ]
    for row, (joules, seconds, chips) in zip(rows, expected, strict=True):
        assert row.published == joules
        assert row.estimate == row.high == pytest.approx(0.104 * seconds * chips)
        assert row.low == pytest.approx(0.029 * seconds * chips)
        assert row.holds is True
        assert ("exceeds the total" in row.note) is (0.104 * seconds * chips > joules)
    assert sum((row.ratio or 0.0) > 1 for row in rows) == 3
    assert not static_alone(with_row(chip, 1, energy_j=1e-5))[0].holds
    assert static_alone(with_row(chip, 1, energy_j=0.029, latency_s=1.0))[0].holds  # as much as it
    # Without published bounds the value stands alone; a high end above it is a bound of its own.
    static = chip.power["static_chip"]
    for low, high, ends in ((None, None, (0.104, 0.104)), (0.05, 0.2, (0.05, 0.2))):
        power = {**chip.power, "static_chip": replace(static, low=low, high=high)}
        row = static_alone(replace(chip, power=power))[0]
        assert (row.low, row.high) == pytest.approx(tuple(x * 6.65e-3 for x in ends))
        assert row.estimate == pytest.approx(0.104 * 6.65e-3)
        assert row.figures_from.startswith("static power alone")


def test_the_range_of_plausible_power_holds_its_ends() -> None:
    chip = load_chip("loihi1")
    for energy, holds in ((0.03, True), (0.029, False), (0.5, True), (0.51, False)):
        found = mean_power(with_row(chip, 1, energy_j=energy, latency_s=1.0))[1]
        assert (found.published, found.holds) == (energy, holds)
    dynamic = {"task": "made up", "power_dynamic_w": 0.5, "source": "made up"}
    for power, holds in ((0.5, True), (0.51, False), (0.001, True)):
        row = {**dynamic, "power_dynamic_w": power}
        assert mean_power(replace(chip, measurements=(row,)))[0].holds is holds


def test_every_row_goes_into_the_document_and_names_its_source() -> None:
    rows = calibrate()
    assert len(rows) == 35
    document = TypeAdapter(tuple[Calibration, ...])
    assert document.validate_json(document.dump_json(rows)) == rows
    for row in rows:
        assert row.device in CHIPS
        assert len(row.source) > 15
        assert row.figures_from
        assert row.test.startswith("none: ") is (row.holds is None and row.check == "none")
        assert row.published > 0
        known = [x for x in (row.low, row.estimate, row.high) if x is not None]
        assert known == sorted(known)
        assert (row.ratio is None) == (row.estimate is None)
    counted = [sum(row.holds is verdict for row in rows) for verdict in (True, False, None)]
    assert counted == [29, 2, 4]
    assert {row.device for row in rows if row.holds is False} == {"speck2f"}


def test_measurements_are_those_of_the_fact_sheet(shared_data: Path) -> None:
    table = tomllib.loads((shared_data.parent / "facts" / "devices.toml").read_text("utf-8"))
    compared = 0
    for fact in table["measurement"]:
        (ours,) = (
            row for row in load_chip(fact["device"]).measurements if row["task"] == fact["task"]
        )
        for name, value in fact.items():
            if name not in ("device", "source", "source_text"):
                assert ours[name] == value, f"{fact['device']}, {fact['task']}: {name}"
                compared += 1
    assert compared > 60
