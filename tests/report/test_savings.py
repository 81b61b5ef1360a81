"""What costs most: the same ranking in the document, on page and card and in the terminal."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from neurozsl.core import quantities as q
from neurozsl.hardware.energy.saved import saved_joules
from neurozsl.report import card, print_report, read_report, render, to_json
from neurozsl.report.schema import NetworkReport, RunReport
from neurozsl.report.sections.build import build
from neurozsl.report.sections.savings import Ranking
from neurozsl.report.sections.uniform import report_of_sizes
from neurozsl.report.show.compare import compare, compared
from neurozsl.runs import run as runs

Either = RunReport | NetworkReport


def printed(report: Either) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=140))
    return out.getvalue()


def ranking(report: Either) -> Ranking:
    found = report.own("savings", Ranking)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def of_run(run_dir: Path, lava_bundle: Path) -> RunReport:
    return build(runs.open_run(run_dir), bundle=lava_bundle)


def test_the_ranking_of_a_run_is_that_of_its_layers(of_run: RunReport) -> None:
    found = ranking(of_run)
    total = sum(x.synops for x in of_run.layers)
    assert found.synops == pytest.approx(total) and total > 0
    dearest = max(of_run.layers, key=lambda x: x.synops)
    assert found.layers[0].layer == dearest.name
    share = q.share(found.layers[0].synops_share)
    start = f"Most of it: layer '{dearest.name}', {share} of {q.count(total)} SynOps: "
    assert found.sentence.startswith(start) and " x " in found.sentence
    first = found.measures[0]
    assert f"Largest saving: {first.where}, {first.text}: {q.count(first.synops)} SynOps" in (
        found.sentence
    )
    assert {x.where for x in found.measures} >= {dearest.name, "all layers"}
    steps = of_run.data.steps
    for measure in found.measures:
        assert measure.joules == saved_joules(measure, "loihi1", steps) > 0
    assert found.device == "Intel Loihi"


def test_page_card_and_terminal_show_it_and_the_terminal_five_rows(
    of_run: RunReport, tmp_path: Path
) -> None:
    found = ranking(of_run)
    assert len(found.measures) > 5
    (tmp_path / "r.json").write_text(to_json(of_run))
    again = read_report(tmp_path / "r.json")
    assert ranking(again) == found
    page, text, terminal = render(again), card(again).replace("\\", ""), printed(again)
    assert found.sentence in text and found.sentence in terminal
    assert page.count("Most of it: layer") == 1
    lines = terminal.splitlines()
    start = next(k for k, x in enumerate(lines) if x.startswith("What would cut it"))
    shown = lines[start + 2 : lines.index("", start)]
    assert len(shown) == 5
    for row, measure in zip(shown, found.measures, strict=False):
        assert row.startswith(measure.text) and q.count(measure.synops) in row
    document = json.loads(to_json(again))["sections"]["savings"]["measures"]
    for k, measure in enumerate(found.measures):
        key = f'data-key="sections.savings.measures.{k}.synops"'
        assert f'<data value="{document[k]["synops"]!r}" {key}>' in page
        assert f"| {measure.text} | {measure.where} | {q.count(measure.synops)} |" in text


def test_a_report_without_it_is_read_shown_and_compared(of_run: RunReport, tmp_path: Path) -> None:
    old = of_run.model_copy(update={"sections": {}})
    (tmp_path / "old.json").write_text(to_json(old))
    again = read_report(tmp_path / "old.json")
    assert again == old
    assert not any("What would cut it" in x for x in (render(old), card(old), printed(old)))
    rows = compare([compared("old", again), compared("new", of_run)]).rows
    assert rows[0].synops == rows[1].synops and not any(x.not_comparable for x in rows)


def test_where_nothing_ran_nothing_is_ranked() -> None:
    report = report_of_sizes((8, 6, 4), 0.1, 5, command="neurozsl profile --layers 8-6-4")
    assert report.own("savings", Ranking) is None and "savings" not in report.sections


def test_sentences_of_several_sources_of_no_events_and_of_nothing_to_gain(
    example: RunReport,
) -> None:
    found = ranking(example)
    [layer] = found.layers
    two = replace(layer, arriving=(*layer.arriving, replace(layer.arriving[0], source="loop")))
    assert "1,200 events of '<b>made-up</b>' x 33.2 weights each and 1,200 events of 'loop'" in (
        replace(found, layers=(two,)).sentence
    )
    assert "None of the measures" in replace(found, measures=()).sentence
    silent = replace(found, synops=0.0, measures=())
    assert silent.sentence.startswith("No event met a weight")
    other = replace(found.measures[0], where="all layers", synops=40_000.0)
    both = replace(found, measures=(other, *found.measures)).sentence
    assert "Largest saving: all layers, " in both
    assert "Largest at that layer: <i>layer</i>, keep" in both
