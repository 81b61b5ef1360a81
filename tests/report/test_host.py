"""The host part: FLOPs and bytes of known networks, the estimate, and what a meter says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurozsl.meters import nvml, rapl
from neurozsl.meters.reading import Measured, Refused
from neurozsl.models.base import Prepared, needed_branch
from neurozsl.report.sections import host as host_energy
from neurozsl.report.sections.host import estimated, host, measured_row
from neurozsl.report.sections.host_work import counted_bytes, counted_flops
from neurozsl.runs import run as runs
from tests.meters.board import Board, install
from tests.meters.counters import Counters

# ---------------------------------------------------------------- counts on the processor


def test_a_matrix_product_has_two_flops_per_multiply_accumulate() -> None:
    layer, x = nn.Linear(7, 5, bias=False), torch.ones(3, 7)
    assert counted_flops(lambda: layer(x)) == 2 * 3 * 7 * 5


def test_bytes_are_what_operators_read_and_write_and_views_are_free() -> None:
    weight, x = torch.ones(7, 5), torch.ones(3, 7)
    product = 4 * (3 * 7 + 7 * 5 + 3 * 5)
    assert counted_bytes(lambda: x @ weight) == product
    assert counted_bytes(lambda: x.t().view(7, 3)[:, :2].unsqueeze(0)) == 0
    assert counted_bytes(lambda: torch.relu(x @ weight)) == product + 4 * (15 + 15)
    halves = x.to(torch.float16)
    assert counted_bytes(lambda: torch.relu(halves)) == 2 * (21 + 21)
    assert counted_bytes(lambda: x.to(torch.float64)) == 4 * 21 + 8 * 21
    line, order = torch.arange(9.0), torch.arange(9)  # a tensor that is given by its name counts
    found = counted_bytes(lambda: torch.searchsorted(line, line[:3], sorter=order))
    assert found == 4 * 9 + 4 * 3 + 8 * 9 + 8 * 3


# ---------------------------------------------------------------- the estimate


def test_the_estimate_spans_the_peak_of_an_accelerator_to_a_desktop_cpu() -> None:
    row = estimated(2e6, "no meter here")
    assert row.estimate
    assert row.joules_low == pytest.approx(1e6 * 1.4e-12)
    assert row.joules_high == pytest.approx(1e6 * 8.6e-9)
    assert row.joules == pytest.approx(1e6 * (1.4e-12 * 8.6e-9) ** 0.5)
    assert row.interval == "between sources"
    assert "gpu_h100 mac_bf16 1.4 pJ" in row.source
    assert "cpu_i7_4960x mac 8600 pJ" in row.source
    assert "an estimate, not measured: no meter here" in row.note
    [term] = row.terms  # a million multiply-accumulates
    assert term.count * term.joules_each == pytest.approx(term.joules) == row.joules
    assert (term.count, term.joules_low, term.joules_high) == (1e6, row.joules_low, row.joules_high)
    for said in ("element-wise operators", "feature extraction", "idle power of the machine"):
        assert said in row.excluded
    assert estimated(0.0).joules == 0.0


def test_the_host_part_of_a_run_is_counted_and_named_an_estimate_without_a_meter(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(rapl, "ROOT", tmp_path)
    run = runs.open_run(run_dir)
    split = run.data.stage(2).seen
    found = host(run.model, split.batch(np.arange(4)), motion_backend="emulator", spikes=True)
    again = host(run.model, split.batch(np.arange(8)), motion_backend="emulator", spikes=True)
    assert found.flops is not None and found.encoding_flops is not None
    assert 0 < found.encoding_flops < found.flops  # `finish` is the rest
    assert found.flops == pytest.approx(again.flops)  # per inference, whatever the batch
    # Parameters are read once per batch, so that a larger one moves fewer bytes per inference.
    assert found.bytes_moved is not None and again.bytes_moved is not None
    assert 0 < again.bytes_moved < found.bytes_moved
    [row] = found.energy
    assert row.estimate and "torch finds no CUDA device" in row.note
    assert "no RAPL counters" in row.note
    assert (found.device, found.motion_backend) == ("cpu", "emulator")
    assert found.seconds_per_inference is not None and found.seconds_per_inference > 0


def test_the_branch_on_the_host_adds_its_own_work(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(rapl, "ROOT", tmp_path)
    run = runs.open_run(run_dir)
    batch = run.data.stage(2).seen.batch(np.arange(4))
    apart = host(run.model, batch, motion_backend="emulator", spikes=True)
    whole = host(run.model, batch, motion_backend="none", spikes=False)
    assert whole.flops is not None and apart.flops is not None
    assert whole.flops > apart.flops


def test_a_measured_row_splits_the_idle_power_off_and_names_the_board() -> None:
    found = Measured("Made-up GPU", "nvml_counter", 8.0, 0.1, calls=25, idle_w=50.0)
    row = measured_row(found, rows=4)
    assert not row.estimate
    assert row.joules == pytest.approx(2.0)
    assert row.latency_s == pytest.approx(0.025)
    parts = {term.cause: term.joules for term in row.terms}
    assert parts == {"whole": pytest.approx(2.0 - 1.25), "static": pytest.approx(1.25)}
    assert row.joules == pytest.approx(sum(parts.values()))
    assert row.static_joules is None  # it is inside: nobody may add it again
    for said in ("the host's processor and memory", "power supply", "feature extraction"):
        assert said in row.excluded
    assert "Made-up GPU" in row.name and "Made-up GPU" in row.source
    assert "idle before: 50 W" in row.note
    cool = measured_row(Measured("G", "nvml_counter", 1.0, 0.1, 9, idle_w=50.0), rows=1)
    assert [term.cause for term in cool.terms] == ["whole"]  # below its idle power: no split


@pytest.mark.parametrize("parts", [(), ("memory",)])
def test_memory_of_a_processor_is_in_its_row_or_said_to_be_left_out(parts: tuple[str, ...]) -> None:
    row = measured_row(Measured("A CPU", "rapl", 8.0, 0.1, 25, 50.0, parts), rows=4)
    assert ("memory" in row.excluded) == (not parts) and row.included[1:] == parts
    assert "RAPL on A CPU, 25 batches of 4" in row.source
    assert {t.figure for t in row.terms} == {"processor", "idle"}


def test_a_run_on_a_gpu_has_the_measured_row_first_and_the_estimate_beside_it(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.open_run(run_dir)
    given = Measured("Made-up GPU", "nvml_counter", 8.0, 0.1, calls=25, idle_w=50.0)
    monkeypatch.setattr(host_energy, "measure_model", lambda *args, **kwargs: given)
    batch = run.data.stage(2).seen.batch(np.arange(4))
    found = host(run.model, batch, motion_backend="emulator", spikes=True)
    assert [row.estimate for row in found.energy] == [False, True]
    assert found.device == "Made-up GPU"
    assert found.seconds_per_inference == pytest.approx(0.025)
    assert found.energy[0].joules == pytest.approx(2.0)


def test_a_machine_without_a_gpu_is_metered_at_its_processor(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    counters = Counters(tmp_path, monkeypatch, {"package-0": 9_000_000, "dram": 1_000_000})
    run = runs.open_run(run_dir)
    real = rapl.measure
    monkeypatch.setattr(
        rapl, "measure", lambda work, *, seconds: real(counters.around(work), seconds=0, idle_s=0)
    )
    batch = run.data.stage(2).seen.batch(np.arange(4))
    found = host(run.model, batch, motion_backend="emulator", spikes=True)
    row, other = found.energy
    assert (row.device, row.estimate, other.estimate) == ("host/rapl", False, True)
    assert row.joules == pytest.approx(10.0 / 4)
    assert row.included[-1] == "memory" and "feature extraction" in row.excluded
    assert "whatever else ran" in row.note and "not measured" not in other.note
    assert "no GPU was measured: torch finds no CUDA device here" in row.note
    assert found.device in row.name


def test_the_work_under_the_meter_is_the_host_part_on_a_copy_of_the_model(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.open_run(run_dir)
    batch = run.data.stage(2).seen.batch(np.arange(4))
    with torch.no_grad():
        prepared = run.model.prepare(batch)
        assert prepared.chip_input is not None
        branch = needed_branch(run.model)
        trace = branch(prepared.chip_input)
        for parameter in branch.parameters():
            parameter.fill_(float("nan"))  # no motion weight is used
    board = Board()
    install(monkeypatch, board)
    moved: list[float] = []
    real = nvml.measure

    def metered(work: Any, *, gpu: int, seconds: float) -> Measured | Refused:
        moved.append(counted_bytes(work))
        return real(board.work, gpu=gpu, seconds=seconds, idle_s=0.0)

    monkeypatch.setattr(nvml, "measure", metered)
    found = host_energy.measure_model(
        run.model, batch, trace, device=torch.device("cpu"), seconds=0.0
    )
    assert isinstance(found, Measured)
    assert found.joules == pytest.approx(7.0)
    assert moved == [
        counted_bytes(lambda: run.model.finish(trace, run.model.prepare(batch).context))
    ]


class Movable:
    """A model or a batch that notes where it is sent."""

    def __init__(self, *, fits: bool = True) -> None:
        self.fits, self.where = fits, "cpu"

    def to(self, device: torch.device) -> "Movable":
        if not self.fits:
            raise RuntimeError("out of memory")
        self.where = str(device)
        return self

    def prepare(self, batch: "Movable") -> Prepared:
        return Prepared(None, f"{self.where} {batch.where}")

    def finish(self, _trace: None, context: str) -> str:
        return context


@pytest.mark.parametrize("given", [torch.device("cuda", 1), None])
def test_the_meter_is_that_of_the_device_which_the_model_moves_to(
    monkeypatch: pytest.MonkeyPatch, given: torch.device | None
) -> None:
    install(monkeypatch, Board())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    asked: list[tuple[int, float]] = []

    def metered(work: Any, *, gpu: int, seconds: float) -> Refused:
        asked.append((gpu, seconds))
        work()
        return Refused("enough")

    monkeypatch.setattr(nvml, "measure", metered)
    monkeypatch.setattr(rapl, "measure", lambda work, *, seconds: Refused("no counters"))
    model, batch = Movable(), Movable()
    found = host_energy.measure_model(model, batch, None, device=given, seconds=0.5)  # type: ignore[arg-type]
    assert asked == [(1, 0.5)]
    assert (model.where, batch.where) == ("cpu", "cuda:1")  # a copy of the model moved
    assert found == Refused("enough; no counters")
    full = host_energy.measure_model(Movable(fits=False), batch, None, device=given)  # type: ignore[arg-type]
    assert isinstance(full, Refused)
    assert full.reason.startswith("the host part does not run on device 1 (out of memory); ")
