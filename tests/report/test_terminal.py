"""Terminal output: on stderr, plain when not a terminal."""

import io

import pytest
from rich.console import Console

from neurozsl.report import reading
from neurozsl.report.schema import RunReport
from neurozsl.report.terminal import print_report


def _printed(report: RunReport, *, terminal: bool) -> str:
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
    assert max(map(len, err.splitlines())) <= 100


def test_no_color_is_honoured(example: RunReport, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;32m" in _printed(example, terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "32m" not in _printed(example, terminal=True)


def test_names_are_not_read_as_markup(example: RunReport) -> None:
    layers = tuple(x.model_copy(update={"name": "[red]x[/red]"}) for x in example.layers)
    assert "[red]x[/red]" in _printed(example.model_copy(update={"layers": layers}), terminal=False)


def test_the_reading_states_a_loss_and_a_costly_host(example: RunReport) -> None:
    text = reading.reading(example)
    assert "-1.6 points" in text
    assert "1,200 times the highest figure of the chip" in text
    assert "synthetic" in text


def test_the_reading_names_layers_that_never_spike(example: RunReport) -> None:
    layers = (example.layers[0].model_copy(update={"spikes": 0.0}), *example.layers[1:])
    text = reading.reading(example.model_copy(update={"layers": layers}))
    assert "no spike at all in audio.0" in text


def test_the_mean_rate_weighs_layers_by_their_size(example: RunReport) -> None:
    spikes = sum(x.spikes for x in example.layers)
    assert reading.spike_rate(example) == pytest.approx(spikes / (2 * (256 + 128 + 64) * 10))
