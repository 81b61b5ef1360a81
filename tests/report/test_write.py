"""The suffix says which files a report becomes; they are complete or not there."""

from pathlib import Path

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.report import card, check_page, read_report, render, to_json, write_report
from neurozsl.report.schema import NetworkReport, RunReport
from neurozsl.report.show.files import replace_texts

EITHER = pytest.mark.parametrize("kind", ["example", "network_example"])


@pytest.fixture
def report(kind: str, request: pytest.FixtureRequest) -> RunReport | NetworkReport:
    found: RunReport | NetworkReport = request.getfixturevalue(kind)
    return found


@EITHER
@pytest.mark.parametrize("suffix", [".html", ".md", ".json"])
def test_a_report_becomes_what_its_suffix_says_with_the_json_beside_it(
    report: RunReport | NetworkReport, suffix: str, tmp_path: Path
) -> None:
    asked = tmp_path / "new" / f"r{suffix}"
    files = write_report(report, asked)
    assert files.page == asked and files.json == asked.with_suffix(".json")
    texts = {".html": render, ".md": card, ".json": to_json}
    assert asked.read_text(encoding="utf-8") == texts[suffix](report)
    assert read_report(files.json) == report
    assert {x.name for x in asked.parent.iterdir()} == {asked.name, "r.json"}


def test_plots_are_written_beside_any_kind(tmp_path: Path, network_example: NetworkReport) -> None:
    files = write_report(network_example, tmp_path / "r.json", plot_folder=tmp_path / "plots")
    names = {x.stem for x in files.plots}
    assert {"raster", "spike_rate", "activity", "energy", "advantage", "cores"} <= names
    assert {x.suffix for x in files.plots} == {".svg", ".png"}
    assert all(x.stat().st_size > 1000 for x in files.plots)


@pytest.mark.parametrize("name", ["r.pdf", "r", "r.htm", "r.HTML"])
def test_another_suffix_is_refused_and_the_three_are_named(
    name: str, tmp_path: Path, network_example: NetworkReport
) -> None:
    for refuse in (check_page, lambda path: write_report(network_example, path)):
        with pytest.raises(BadInput, match=r"\.html .*\.md .*\.json"):
            refuse(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, network_example: NetworkReport
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        write_report(network_example, tmp_path / "file" / "r.md")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(UnicodeEncodeError):  # the second file cannot be written
        replace_texts({folder / "r.md": "", folder / "r.json": "\udcff"})
    assert list(folder.iterdir()) == []


def test_a_page_does_not_replace_the_json_of_something_else(
    tmp_path: Path, network_example: NetworkReport
) -> None:
    other = tmp_path / "model.json"
    other.write_text('{"weights": 3}')
    with pytest.raises(BadInput, match=r"model\.json', which is there and no report"):
        write_report(network_example, tmp_path / "model.html")
    assert other.read_text() == '{"weights": 3}'
    assert [x.name for x in tmp_path.iterdir()] == ["model.json"]
    other.write_text("")  # as a shell does before the command runs
    write_report(network_example, tmp_path / "model.html")
    write_report(network_example, tmp_path / "model.html")  # a report replaces a report
    assert read_report(other) == network_example


def test_a_folder_in_the_place_of_the_page_leaves_the_json_as_it_was(
    tmp_path: Path, network_example: NetworkReport
) -> None:
    (tmp_path / "r.html").mkdir()
    with pytest.raises(BadInput, match=r"cannot be written.*folder"):
        write_report(network_example, tmp_path / "r.html")
    assert [x.name for x in tmp_path.iterdir()] == ["r.html"]
