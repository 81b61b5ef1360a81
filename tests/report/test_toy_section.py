"""A section that lives in tests alone is filled, stored, read back and shown everywhere."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from neurozsl.core import quantities as q
from neurozsl.core.errors import BadInput
from neurozsl.report import card, print_report, read_report, render, to_json
from neurozsl.report.schema import NetworkReport, RunReport
from neurozsl.report.sections import registry
from neurozsl.report.sections.build import build
from neurozsl.report.sections.uniform import report_of_sizes
from neurozsl.runs import run as runs
from tests.toys.section import SECTION, Unevenness

Either = RunReport | NetworkReport


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "SECTIONS", (*registry.SECTIONS, SECTION))


def _shown(report: Either) -> tuple[str, str, str]:
    out = io.StringIO()
    print_report(report, Console(file=out, width=120))
    return render(report), card(report), out.getvalue()


@pytest.mark.usefixtures("_registered")
def test_a_toy_section_of_a_run_is_in_document_page_card_and_terminal(
    run_dir: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    report = build(runs.open_run(run_dir), bundle=lava_bundle)
    busiest = max(report.layers, key=lambda x: x.spikes)
    total = sum(x.spikes for x in report.layers)
    found = Unevenness(busiest.name, busiest.spikes, busiest.spikes / total)
    assert report.own("uneven", Unevenness) == found
    document = json.loads(to_json(report))
    assert document["sections"] == {"uneven": vars(found)}
    (tmp_path / "r.json").write_text(to_json(report))
    again = read_report(tmp_path / "r.json")
    assert again == report and again.own("uneven", Unevenness) == found
    page, text, printed = _shown(again)
    assert '<a href="#uneven">How uneven it is</a>' in page
    assert "One layer may do most of the work." in page
    [(value, shown)] = re.findall(
        r'<data value="([^"]+)" data-key="sections.uneven.part">([^<]+)<', page
    )
    assert float(value) == found.part and shown == q.share(found.part)
    row = f"| {found.layer} | {q.count(found.spikes)} | {q.share(found.part)} |"
    assert "## How uneven it is" in text and row in text
    assert "Unevenness" in printed and f"busiest: {found.layer}" in printed
    assert q.share(found.part) in printed


@pytest.mark.usefixtures("_registered")
def test_a_toy_section_of_an_estimate_is_shown_and_its_absence_leaves_nothing() -> None:
    report = report_of_sizes((32, 16, 8), 0.1, 5, command="neurozsl profile --layers 32-16-8")
    assert report.own("uneven", Unevenness) == Unevenness("layer1", 8.0, 8 / 12)
    assert all("neven" in text for text in _shown(report))
    without = report.model_copy(update={"sections": {}})
    assert without.own("uneven", Unevenness) is None
    assert not any("neven" in text for text in _shown(without))


def test_a_report_with_an_unknown_section_is_read_and_shown_without_it(
    network_example: NetworkReport, tmp_path: Path
) -> None:
    page = render(network_example)
    sections = {**network_example.sections, "uneven": {"layer": "a"}}
    stranger = network_example.model_copy(update={"sections": sections})
    (tmp_path / "r.json").write_text(to_json(stranger))
    again = read_report(tmp_path / "r.json")
    assert again == stranger and render(again) == page
    with pytest.raises(BadInput, match=r"sections\.uneven: spikes: Field required"):
        again.own("uneven", Unevenness)


@pytest.mark.usefixtures("_registered")
def test_the_made_up_example_of_a_section_is_in_the_made_up_report(
    request: pytest.FixtureRequest,
) -> None:
    from tests.report import made_up

    example: RunReport = made_up.with_examples(request.getfixturevalue("example"))
    assert example.own("uneven", Unevenness) == Unevenness("<b>made-up</b>", 12.5, 0.75)
    page, text, printed = _shown(example)
    assert "&lt;b&gt;made-up&lt;/b&gt;" in page and "\\<b\\>made-up" in text
    assert "<b>made-up</b>" in printed
