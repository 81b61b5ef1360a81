"""Several reports side by side; what was not counted on the same thing says so."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.report.schema import NetworkReport, Provenance, RunReport, to_json
from neurozsl.report.show import compare_text
from neurozsl.report.show.compare import ReportComparison, compared
from neurozsl.report.show.compare import compare as compare_rows

DATA = "data (fingerprint of the folder)"


def compare(reports: Sequence[tuple[str, RunReport | NetworkReport]]) -> ReportComparison:
    return compare_rows([compared(what, report) for what, report in reports])


@pytest.fixture
def run(example: RunReport) -> RunReport:
    return example.model_copy(
        update={"provenance": Provenance(seed=3, files={DATA: "f00d", "run/model": "1"})}
    )


@pytest.fixture
def network(example: RunReport) -> NetworkReport:
    shared = {
        key: getattr(example, key)
        for key in ("created", "versions", "layers", "energy", "baseline")
    }
    return NetworkReport(
        **shared,
        provenance=Provenance(seed=0, files={"net.nir": "1", "x.npz": "2"}),
        file="net.nir", sha256="1", backend="floatsim", chip=None, samples=4, steps=10, dt_s=1e-3,
        assumptions=(), repairs=(), input_notes=(), readouts=("video.2",),
    )  # fmt: skip


def moved(report: RunReport, **files: str) -> RunReport:
    found = report.provenance.model_copy(update={"files": {**report.provenance.files, **files}})
    return report.model_copy(update={"provenance": found})


def test_runs_on_the_same_data_are_comparable_and_others_are_not(run: RunReport) -> None:
    other = moved(run, **{DATA: "beef"})
    found = compare([("a", run), ("b", moved(run, **{"run/model": "2"})), ("c", other)])
    assert [bool(row.not_comparable) for row in found.rows] == [False, False, True]
    assert "other data" in found.rows[2].not_comparable
    assert any("Not comparable with a: c" in note for note in found.notes)
    nameless = run.model_copy(update={"provenance": Provenance(seed=3)})
    for pair in ([("a", run), ("b", nameless)], [("b", nameless), ("a", run)]):
        assert "not identified" in compare(pair).rows[1].not_comparable
    fewer = run.model_copy(update={"accuracy": replace(run.accuracy, samples=499)})
    assert "other test samples: 499" in compare([("a", run), ("b", fewer)]).rows[1].not_comparable


def test_a_row_holds_the_figures_of_its_report(run: RunReport) -> None:
    row = compare([("a", run), ("b", run)]).rows[0]
    assert row.scores is not None
    assert (row.scores.S, row.scores.U, row.scores.ZSL) == (61.25, 38.5, 55.125)
    assert row.scores.HM == pytest.approx(2 * 61.25 * 38.5 / (61.25 + 38.5))
    assert (row.samples, row.steps, row.parameters) == (500, run.data.steps, 500_000)
    for key in ("neurons", "spikes", "synops", "dense"):
        assert getattr(row, key) == sum(getattr(layer, key) for layer in run.layers)
    assert (row.host_flops, row.backend) == (1.25e6, "emulator")
    assert [x.joules for x in row.host_joules] == [4.2e-3]
    assert row.energy == run.energy


def test_networks_are_comparable_on_the_same_input(network: NetworkReport) -> None:
    elsewhere = {"other.nir": "7", "x.npz": "2"}
    same = network.model_copy(
        update={"file": "other.nir", "provenance": Provenance(seed=9, files=elsewhere)}
    )
    changed = Provenance(seed=0, files={"net.nir": "1", "x.npz": "3"})
    updates: tuple[dict[str, object], ...] = (
        {"steps": 20},
        {"samples": 5},
        {"dt_s": 2e-3},
        {"input_notes": ("coded in another way",)},
        {"provenance": changed},  # a file of other contents under the same name
    )
    others = [(str(i), network.model_copy(update=u)) for i, u in enumerate(updates)]
    found = compare([("a", network), ("b", same), *others])
    marked = [bool(row.not_comparable) for row in found.rows]
    assert marked == [False, False, *[True] * len(others)]
    assert found.rows[0].subject == "x.npz, 4 samples of 10 steps"
    assert len(compare([("a", network), ("b", same)]).notes) == len(found.notes) - 1
    drawn = [
        network.model_copy(
            update={
                "provenance": Provenance(seed=seed, files={"net.nir": "1"}),
                "input_notes": ("synthetic",),
            }
        )
        for seed in (0, 0, 1)
    ]
    rows = compare([("a", drawn[0]), ("b", drawn[1]), ("c", drawn[2])]).rows
    assert [bool(row.not_comparable) for row in rows] == [False, False, True]


def test_a_run_beside_a_network_is_marked(run: RunReport, network: NetworkReport) -> None:
    found = compare([("a", run), ("b", network)])
    assert "a network on an input" in found.rows[1].not_comparable
    turned = compare([("b", network), ("a", run)]).rows[1].not_comparable
    assert turned == "a run on data, the first row is a network on an input of its own"
    assert found.rows[1].scores is None and found.rows[0].scores is not None
    assert found.rows[0].verdict == run.verdict
    silent = network.readouts[0]
    spikes = sum(x.spikes for x in network.layers if x.name != silent)
    updates = sum(x.neuron_updates for x in network.layers if x.name != silent)
    assert found.rows[1].spike_rate == pytest.approx(spikes / updates)
    assert found.devices == tuple(e.key for e in run.energy)


def test_one_report_is_no_comparison(run: RunReport) -> None:
    with pytest.raises(BadInput, match="1 report"):
        compare([("a", run)])


def test_every_number_of_the_page_is_the_number_of_the_json(
    run: RunReport, network: NetworkReport, tmp_path: Path
) -> None:
    found = compare([("<script>alert(1)</script>", run), ("b|c", network)])
    page = tmp_path / "out" / "c.html"
    beside = compare_text.write_comparison(found, page)
    text, document = page.read_text(), json.loads(beside.read_text())
    shown = re.findall(r'<data value="([^"]+)" data-key="([^"]+)">', text)
    assert len(shown) > 20
    for value, key in shown:
        place = document
        for part in key.split("."):
            place = place[int(part)] if part.isdigit() else place[part]
        assert float(value) == place, key
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "http" not in text
    assert sorted(x.name for x in page.parent.iterdir()) == ["c.html", "c.json"]


def test_weak_figures_are_called_so_and_static_energy_is_a_line_of_its_own(
    run: RunReport, tmp_path: Path
) -> None:
    first = replace(
        run.energy[0], key="mine", inherited=True, lower_bound=True, static_joules=2e-3,
        static_joules_high=None, warnings=("<does not fit>",),
    )  # fmt: skip
    silent = run.model_copy(update={"energy": (*run.energy, first)})
    found = compare([("a", run), ("b", silent)])
    lines = dict[str, list[str]]()
    for row in compare_text.table(found).rows:
        title, *cells = map(str, row.cells)
        lines[title] = cells
    mine = f"{first.name} (mine)"  # two rows of this name
    assert lines[f"energy, {mine}"][0] == "n/a"
    assert lines[f"energy, {mine}"][1].endswith("J (lower bound, inherited, see its warning)")
    assert lines[f"static, {mine}"] == ["n/a", "2.00 mJ"]
    assert f"energy, {first.name} ({run.energy[0].key})" in lines
    assert all(f"energy, {row.name}" in lines for row in run.energy[1:])
    compare_text.write_comparison(found, tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text()
    assert "</data> (lower bound, inherited, see its warning)" in page


def test_the_card_escapes_what_markdown_reads_and_other_suffixes_are_refused(
    run: RunReport, tmp_path: Path
) -> None:
    found = compare([("a|b", run), ("c", run)])
    compare_text.write_comparison(found, tmp_path / "c.md")
    lines = (tmp_path / "c.md").read_text().splitlines()
    cells = [line.replace("\\|", "").count("|") for line in lines if line.startswith("|")]
    assert len(set(cells)) == 1 and len(cells) > 10
    assert json.loads((tmp_path / "c.json").read_text()) == json.loads(to_json(found))
    with pytest.raises(BadInput, match=r"ends in '.pdf'"):
        compare_text.write_comparison(found, tmp_path / "c.pdf")
    assert not (tmp_path / "c.pdf").exists()
