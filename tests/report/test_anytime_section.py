"""The section on samples that were stopped early: page, card, terminal and JSON say the same."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from neurozsl.deploy.anytime_score import AnytimeScore
from neurozsl.report import card, print_report, read_report, render, to_json
from neurozsl.report.schema import RunReport
from neurozsl.report.show.compare import compare, compared
from neurozsl.scoring.anytime import Validated

SCORE = AnytimeScore(
    threshold=0.125,
    S=81.0,
    U=91.0,
    HM=85.7,
    ZSL=93.0,
    mean_steps=3.9,
    stopped=(0, 120, 90, 60, 110, 120),
    synops=330_000.0,
    neuron_updates=3_494.4,
    full_HM=86.0,
    full_synops=440_000.0,
    min_steps=3,
    validated=Validated(HM=83.1, full_HM=83.4, steps=4.2, max_loss=0.5),
)


def with_score(report: RunReport, score: AnytimeScore) -> RunReport:
    stored = TypeAdapter(AnytimeScore).dump_python(score, mode="json")
    return report.model_copy(update={"sections": {"anytime": stored}})


def shown(report: RunReport) -> tuple[str, str, str]:
    out = io.StringIO()
    print_report(report, Console(file=out, width=160))
    return render(report), card(report), out.getvalue()


def test_page_card_and_terminal_say_what_was_used_and_what_it_cost(
    example: RunReport, tmp_path: Path
) -> None:
    report = with_score(example, SCORE)
    (tmp_path / "r.json").write_text(to_json(report))
    again = read_report(tmp_path / "r.json")
    assert again.own("anytime", AnytimeScore) == SCORE
    page, text, printed = shown(report)
    assert '<a href="#anytime">Stopped early</a>' in page and "## Stopped early" in text
    for told in (page, text, printed):
        assert "3.9" in told and "85.7 %" in told and "-0.3 points" in told
        assert "330,000" in told and "25.00 % saved" in told
        assert "at most 0.5 points of HM (83.4 to 83.1)" in told
        assert "from step 3 on" in told and "3.9 times on average" in told
    assert 'data-key="sections.anytime.stopped.1">120<' in page
    assert "4: 12.00 %" in page  # the figure, as it is described


@pytest.mark.slow
def test_a_margin_that_was_given_or_is_never_reached_is_said_to_be(example: RunReport) -> None:
    given = shown(with_score(example, replace(SCORE, validated=None)))
    assert all("as given" in told and "validation data, where" not in told for told in given)
    never = shown(with_score(example, replace(SCORE, threshold=None)))
    assert all("no margin stops a sample" in told for told in never)


@pytest.mark.parametrize("place", range(3))
def test_a_report_of_all_steps_has_no_such_section(example: RunReport, place: int) -> None:
    assert "topped early" not in shown(example)[place]


def test_a_comparison_says_that_the_samples_of_a_row_stopped(example: RunReport) -> None:
    rows = compare([compared("whole", example), compared("early", with_score(example, SCORE))]).rows
    assert "stopped" not in rows[0].subject
    assert rows[1].subject.endswith("stopped after 3.9 of 6 steps (host: once a step)")
