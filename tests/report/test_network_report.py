"""The report of a network: counted by loops, the same in JSON, on the page and in the terminal."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from neurozsl.export.network.network_run import Source, feed, run_network
from neurozsl.export.nir.said import Said
from neurozsl.report import print_report, write_report
from neurozsl.report.schema import NetworkReport, to_json
from neurozsl.report.sections.network import report_of
from tests.factories import network_files as files

COMMAND = "neurozsl profile net.nir --input x.npz"


@pytest.fixture(scope="module")
def stimulus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("input") / "x.npz"
    np.savez(path, **{"in": files.spikes()})
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, stimulus: Path) -> Any:
    path = files.write(tmp_path_factory.mktemp("file") / "net.nir", files.dense())
    return run_network(feed(path, Said(dt_s=files.DT), Source(path=stimulus)))


@pytest.fixture(scope="module")
def report(ran: Any, stimulus: Path) -> NetworkReport:
    return report_of(ran, Source(path=stimulus), command=COMMAND)


def test_operations_are_those_of_loops_over_every_event(ran: Any, report: NetworkReport) -> None:
    weights = {layer.name: layer.weight for layer in ran.fed.network.lowered.layers}
    arriving = {"b": files.spikes(), "d": ran.trace.spikes["b"]}
    for layer in report.layers:
        weight, events = weights[layer.name], arriving[layer.name]
        operations = 0
        for sample, step, source in np.argwhere(events):
            assert events[sample, step, source] == 1
            operations += sum(1 for w in weight[:, source] if w != 0)
        assert layer.synops == pytest.approx(operations / 3)
        assert layer.dense == weight.size * 20
        spikes = ran.trace.spikes[layer.name]
        assert layer.spikes == pytest.approx(spikes.sum() / 3)
        assert layer.neuron_updates == spikes.shape[2] * 20
    assert report.layers[0].synops % 8 != 0  # the weight that is 0 was not counted


def test_an_energy_is_the_count_times_the_figure_that_its_source_gives(
    report: NetworkReport,
) -> None:
    [row] = [x for x in report.energy if x.key.startswith("cmos45_fp32")]
    # Horowitz 2014: 0.9 pJ for an addition in fp32; spikes need no multiplication.
    assert row.joules == pytest.approx(0.9e-12 * sum(x.synops for x in report.layers))
    assert report.baseline is not None
    [dense] = [x for x in report.baseline.energy if x.key.startswith("cmos45_fp32")]
    assert dense.joules == pytest.approx(4.6e-12 * (48 + 32))


def test_its_json_gives_back_the_same_report(report: NetworkReport) -> None:
    assert NetworkReport.model_validate_json(to_json(report)) == report
    assert json.loads(to_json(report))["kind"] == "network"


def test_card_and_terminal_say_what_was_assumed(report: NetworkReport, tmp_path: Path) -> None:
    out = io.StringIO()
    print_report(report, Console(file=out, width=100))
    page = tmp_path / "net.md"
    files = write_report(report, page)
    assert files.json.read_text() == to_json(report)
    assert report.assumptions and report.fits
    for text in (out.getvalue(), page.read_text().replace("\\", "")):
        for sentence in (*report.assumptions, *report.notes):
            assert sentence in text
        for fit in report.fits:
            assert (fit.reason or str(fit)) in text
    assert COMMAND in page.read_text() and report.baseline is not None
    rows = page.read_text().splitlines()
    for layer in report.layers:
        # Counts, sizes, and where its operations come from.
        assert sum(x.startswith(f"| {layer.name} ") for x in rows) == 3
    energies = (*report.energy, *report.baseline.energy)
    escaped = [x.replace("\\", "") for x in rows]
    assert len(energies) > 10
    for energy in energies:
        assert sum(x.startswith(f"| {energy.name} | ") for x in escaped) >= 1, energy.name


def test_a_read_out_has_no_dead_neurons(ran: Any, report: NetworkReport) -> None:
    from neurozsl.report.sections.costs import layer_rows

    silent = ran.trace.__class__({name: 0 * x for name, x in ran.trace.spikes.items()})
    rows = layer_rows(ran.counts(), silent, readouts=("d",))
    assert [row.dead_neurons for row in rows] == [8, 0]
