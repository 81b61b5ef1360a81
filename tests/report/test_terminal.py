"""Terminal output: on stderr, plain when not a terminal."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from neurozsl.report import card, print_report
from neurozsl.report.schema import NetworkReport, RunReport
from neurozsl.report.show import reading


def _printed(report: RunReport | NetworkReport, *, terminal: bool) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, force_terminal=terminal, width=100))
    return out.getvalue()


def test_report_goes_to_stderr_as_plain_text(
    example: RunReport, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(example)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    for text in ("PASS-WITH-LOSS", "8-bit fixed point", "47.3 %", "video.2", "unpublished"):
        assert text in err
    tables = [x for x in err.splitlines() if not x.endswith(".")]
    assert max(map(len, tables)) <= 110


def test_no_color_is_honoured(example: RunReport, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;32m" in _printed(example, terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "32m" not in _printed(example, terminal=True)


def test_names_are_not_read_as_markup(example: RunReport) -> None:
    layers = tuple(replace(x, name="[red]x[/red]") for x in example.layers)
    assert "[red]x[/red]" in _printed(example.model_copy(update={"layers": layers}), terminal=False)


def test_the_reading_states_a_loss_and_a_costly_host(example: RunReport) -> None:
    text = reading.reading(example)
    assert "-1.6 points" in text
    assert (
        "4 times the highest figure of a chip, static energy included" in text
    )  # static energy counts as well
    assert "synthetic" in text


def test_the_reading_names_layers_that_never_spike(example: RunReport) -> None:
    layers = (replace(example.layers[0], spikes=0.0), *example.layers[1:])
    text = reading.reading(example.model_copy(update={"layers": layers}))
    assert "no spike at all in audio.0" in text


def test_the_mean_rate_weighs_layers_by_their_size(example: RunReport) -> None:
    spikes = sum(x.spikes for x in example.layers)
    assert reading.spike_rate(example) == pytest.approx(spikes / (2 * (256 + 128 + 64) * 10))


def test_both_kinds_print_static_energy_and_the_sign(
    example: RunReport, network_example: NetworkReport
) -> None:
    for report in (example, network_example):
        text = _printed(report, terminal=False)
        assert report.comparison is not None and report.comparison.sentence in text
        [row] = [x for x in text.splitlines() if "Chip A (made up)" in x and "3.40 µJ" in x]
        assert "1.04 mJ" in row
        assert "chip_a: 4 of 16 cores" in text
        assert len(text.splitlines()) < 50


def test_a_network_is_printed_with_what_was_assumed(network_example: NetworkReport) -> None:
    text = _printed(network_example, terminal=False)
    assert text.startswith(f"{network_example.file}: 8 samples of 10 steps")
    assert f"assumed: {network_example.assumptions[0]}" in text
    assert "Accuracy on 100 labelled samples" in text and "task: FAIL" in text


def test_the_reading_has_the_sign_the_unknown_and_the_static_part(example: RunReport) -> None:
    text = reading.reading(example)
    assert example.comparison is not None and example.comparison.sentence in text
    assert "input encoding (1 of 4 rows)" in text
    assert "up to 1.04 mJ on Chip A (made up) with steps of 1.00 ms, 310 times its dynamic" in text
    assert "400 nJ on Chip C (made up) (a lower bound)" in text


def test_the_reading_does_not_flatter_a_model_at_chance(example: RunReport) -> None:
    poor = replace(example.accuracy, HM=10.0, chance=11.0)
    text = reading.reading(example.model_copy(update={"accuracy": poor}))
    assert "not above chance: shuffled class vectors reach 11.0 %" in text


def test_long_lists_of_unknown_costs_are_cut(example: RunReport) -> None:
    costs = tuple(f"cost {k}" for k in range(9))
    rows = (replace(example.energy[0], unknown=costs),)
    text = reading.unknown(rows)
    assert "cost 3 (1 of 1 rows); and 5 more, in the table." in text and "cost 4" not in text


def test_of_a_long_comparison_the_reading_takes_the_first_sentence(example: RunReport) -> None:
    assert example.comparison is not None
    long = example.comparison.model_copy(update={"sentence": "It costs 1.5 J, not 2. So what."})
    text = reading.reading(example.model_copy(update={"comparison": long}))
    assert "It costs 1.5 J, not 2." in text and "So what" not in text


def test_an_anchor_of_other_workloads_is_no_estimate_of_this_one(example: RunReport) -> None:
    anchor = replace(
        example.energy[0], name="Anchor", method="workload_anchor", joules=9.0, joules_low=None,
        joules_high=None, interval="unpublished", terms=(), unknown=(),
    )  # fmt: skip
    found = reading.reading(example.model_copy(update={"energy": (*example.energy, anchor)}))
    assert "9.00 J" not in found and "Anchor" not in found
    plain = replace(anchor, method="per_term")
    found = reading.reading(example.model_copy(update={"energy": (*example.energy, plain)}))
    assert "9.00 J on Anchor" in found


def test_a_warning_of_several_rows_is_said_once_and_names_them(example: RunReport) -> None:
    texts = (("too large",), ("too large", "it leaks"), ())
    rows = [
        replace(row, warnings=warned, name=f"Chip {place}")
        for place, (row, warned) in enumerate(zip(example.energy, texts, strict=False))
    ]
    report = example.model_copy(update={"energy": tuple(rows), "comparison": None})
    shown = [x for x in _printed(report, terminal=False).splitlines() if x.startswith("warning: ")]
    assert shown == ["warning: Chip 0; Chip 1: too large", "warning: Chip 1: it leaks"]
    assert card(report).count("too large") == 1


def test_a_figure_of_a_chip_that_cannot_run_the_network_is_called_so(example: RunReport) -> None:
    row = replace(example.energy[0], as_if=True)
    assert reading.kind(row).endswith("as-if")
    assert "as-if" not in reading.kind(example.energy[0])
    alone = example.model_copy(update={"energy": (row,)})
    assert "as if the chip ran it" in reading.reading(alone)
