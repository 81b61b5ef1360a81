"""Reports of version 2 stand in a comparison; `version_2/` holds two that its code wrote."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from neurozsl.core.errors import BadInput
from neurozsl.report.schema import NetworkReport, RunReport, read_report, to_json
from neurozsl.report.schema.version_2 import read_for_comparison
from neurozsl.report.sections.uniform import report_of_sizes
from neurozsl.report.show.compare import compare, compared
from neurozsl.report.show.compare_text import print_comparison

OLD = Path(__file__).parent / "version_2"
RUN, NETWORK = OLD / "run.json", OLD / "network.json"
SCORES = {"S", "U", "HM", "ZSL"}


def _document(path: Path) -> Any:
    document = json.loads(path.read_text())
    assert document["schema_version"] == 2
    return document


def test_a_run_of_version_2_has_the_row_that_its_numbers_give() -> None:
    document = _document(RUN)
    report = read_for_comparison(RUN)
    assert isinstance(report, RunReport)
    row = compared("old", report)
    assert row.scores is not None
    assert {x: getattr(row.scores, x) for x in SCORES} == {
        x: document["accuracy"][x] for x in SCORES
    }
    layers = document["layers"]
    for name in ("neurons", "spikes", "synops", "dense"):
        assert getattr(row, name) == pytest.approx(sum(x[name] for x in layers), rel=1e-15)
    updates = sum(x["neuron_updates"] for x in layers)
    assert row.spike_rate == pytest.approx(sum(x["spikes"] for x in layers) / updates)
    assert [(x.key, x.joules, x.static_joules, x.warnings) for x in row.energy] == [
        (x["device"], x["joules"], x["static_joules"], tuple(x["warnings"]))
        for x in document["energy"]
    ]
    assert {x.device for x in row.energy} == {"loihi1"}  # `loihi1/between_sources` is one of it
    assert [x.joules for x in row.host_joules] == [x["joules"] for x in document["host"]["energy"]]
    assert row.verdict == document["verification"]["verdict"]
    assert (row.backend, row.steps) == (
        document["host"]["motion_backend"],
        document["data"]["steps"],
    )


def test_old_and_new_reports_of_one_input_are_comparable_and_print() -> None:
    command = "neurozsl profile --layers 8-6-4 --rate 0.1 --steps 5"
    new = report_of_sizes((8, 6, 4), 0.1, 5, command=command)
    old = read_for_comparison(NETWORK)
    assert isinstance(old, NetworkReport)
    found = compare([compared("new", new), compared("old", old), compared("run", _run())])
    assert [bool(row.not_comparable) for row in found.rows] == [False, False, True]
    first, second, _ = found.rows
    assert (first.spikes, first.synops, first.identity) == (
        second.spikes, second.synops, second.identity,
    )  # fmt: skip
    assert [x.joules for x in second.energy] == [x.joules for x in first.energy[:2]]
    out = io.StringIO()
    print_comparison(found, Console(file=out, width=120))
    assert "SynOps, dense" in out.getvalue() and "old" in out.getvalue()


def _run() -> RunReport | NetworkReport:
    return read_for_comparison(RUN)


def test_a_report_of_this_version_is_read_as_ever(example: RunReport, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(to_json(example))
    assert read_for_comparison(path) == example == read_report(path)


def test_only_a_comparison_reads_version_2_and_damage_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="schema_version is 2, this neurozsl reads 3"):
        read_report(RUN)
    document = _document(RUN)
    damaged = tmp_path / "damaged.json"
    del document["accuracy"]["S"]
    damaged.write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"damaged\.json.*accuracy\.S"):
        read_for_comparison(damaged)
    del document["layers"]
    damaged.write_text(json.dumps(document))
    with pytest.raises(BadInput, match="schema_version is 2"):
        read_for_comparison(damaged)
    damaged.write_text("{")
    with pytest.raises(BadInput, match=r"damaged\.json"):
        read_for_comparison(damaged)
