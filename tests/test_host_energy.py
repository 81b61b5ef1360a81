"""The host part: FLOPs and bytes of known networks, the estimate, and the meter of a GPU.

No GPU is asked for: the meter is a stand-in for the module `pynvml`, and torch is told that there
is a device.
"""

import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurozsl import host_energy, nvml, runs
from neurozsl.host_energy import (
    counted_bytes,
    counted_flops,
    estimated,
    host,
    measured_row,
)
from neurozsl.nvml import Measured, Refused, measure

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


def test_the_host_part_of_a_run_is_counted_and_named_an_estimate_without_a_gpu(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
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
    assert (found.device, found.motion_backend) == ("cpu", "emulator")
    assert found.seconds_per_inference is not None and found.seconds_per_inference > 0


def test_the_branch_on_the_host_adds_its_own_work(run_dir: Path) -> None:
    run = runs.open_run(run_dir)
    batch = run.data.stage(2).seen.batch(np.arange(4))
    apart = host(run.model, batch, motion_backend="emulator", spikes=True)
    whole = host(run.model, batch, motion_backend="none", spikes=False)
    assert whole.flops is not None and apart.flops is not None
    assert whole.flops > apart.flops


# ---------------------------------------------------------------- the meter of a GPU


class NVMLError(Exception):
    """Root of the stand-in's errors, as in pynvml."""


class NVMLError_NotSupported(NVMLError):
    """The board has no such meter."""


class Board(ModuleType):
    """A stand-in for pynvml: every call of `work` takes `each` millijoules, idle power is 50 W."""

    def __init__(self, each: int = 7000, *, start: int = 123_456, counter: bool = True) -> None:
        super().__init__("pynvml")
        self.NVMLError = NVMLError
        self.NVMLError_NotSupported = NVMLError_NotSupported
        self.each, self.total, self.counter = each, start, counter
        self.calls = self.shut = 0
        self.handles: list[str] = []
        self.broken: set[str] = set()

    def work(self) -> None:
        self.calls += 1
        self.total += self.each

    def _fails(self, name: str) -> None:
        if name in self.broken:
            raise NVMLError(f"{name} failed")

    def nvmlInit(self) -> None:
        self._fails("init")

    def nvmlShutdown(self) -> None:
        self.shut += 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self._fails("handle")
        return uuid

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        self._fails("handle")
        return f"index {index}"

    def nvmlDeviceGetName(self, handle: str) -> bytes:
        self.handles.append(handle)
        return b"Made-up GPU"

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        self._fails("power")
        return 50_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        self._fails("counter")
        if not self.counter:
            raise NVMLError_NotSupported("no counter")
        return self.total


def install(monkeypatch: pytest.MonkeyPatch, board: Board, uuid: str | None = "ab-cd") -> None:
    """Put the board where pynvml is, and tell torch that there is a device."""
    monkeypatch.setitem(sys.modules, "pynvml", board)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: None)
    properties = SimpleNamespace() if uuid is None else SimpleNamespace(uuid=uuid)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)


def test_the_counter_before_and_after_gives_joules_per_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = Board()
    install(monkeypatch, board)
    found = measure(board.work, seconds=0.02, idle_s=0.0)
    assert isinstance(found, Measured)
    assert found.joules == pytest.approx(7.0)
    assert (found.device, found.method) == ("Made-up GPU", "nvml_counter")
    assert found.calls == board.calls - nvml.WARM_UP_CALLS > 0
    assert found.seconds * found.calls >= 0.02
    assert found.idle_w == pytest.approx(50.0)
    assert board.shut == 1


class Queue(Board):
    """A board that works behind the caller's back: 300 W until it has done what was queued."""

    def __init__(self, each: int) -> None:
        super().__init__(each)
        self.queued = 5  # of somebody else, before

    def work(self) -> None:
        self.calls, self.queued = self.calls + 1, self.queued + 1

    def synchronize(self, device: object = None) -> None:
        self.total, self.queued = self.total + self.each * self.queued, 0

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return 300_000 if self.queued else 50_000


@pytest.mark.parametrize("each", [300, 7000])
@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_what_is_queued_is_waited_for_before_idle_power_and_the_counter_are_read(
    monkeypatch: pytest.MonkeyPatch, each: int, seconds: float
) -> None:
    board = Queue(each)
    install(monkeypatch, board)
    monkeypatch.setattr(torch.cuda, "synchronize", board.synchronize)
    found = measure(board.work, seconds=seconds, idle_s=0.0)
    assert isinstance(found, Measured)
    assert found.idle_w == pytest.approx(50.0)
    assert found.joules == pytest.approx(each * 1e-3)  # warm-up and foreign work outside of it


@pytest.mark.parametrize(
    ("uuid", "handle"), [("ab-cd", "GPU-ab-cd"), ("GPU-ab", "GPU-ab"), (None, "index 1")]
)
def test_the_board_is_found_by_its_uuid(
    monkeypatch: pytest.MonkeyPatch, uuid: str | None, handle: str
) -> None:
    board = Board()
    install(monkeypatch, board, uuid)
    assert isinstance(measure(board.work, gpu=1, seconds=0.0, idle_s=0.0), Measured)
    assert board.handles == [handle]


def test_a_counter_that_was_reset_meanwhile_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board()
    install(monkeypatch, board)

    def work() -> None:
        board.work()
        if board.calls == nvml.WARM_UP_CALLS + 1:  # the driver was loaded again
            board.total = 0

    found = measure(work, seconds=0.0, idle_s=0.0)
    assert isinstance(found, Measured)
    assert found.joules == pytest.approx(7.0)


def test_a_counter_that_stands_still_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(each=0)
    install(monkeypatch, board)
    found = measure(board.work, seconds=0.0, idle_s=0.0)
    assert found == Refused("the energy counter of Made-up GPU does not run forward (0 J)")


def test_a_board_without_a_counter_has_its_power_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(counter=False)
    install(monkeypatch, board)
    found = measure(board.work, seconds=0.1, idle_s=0.0)
    assert isinstance(found, Measured)
    assert (found.device, found.method) == ("Made-up GPU", "nvml_sampled")
    assert found.joules == pytest.approx(50.0 * found.seconds)  # 50 W all the time
    row = measured_row(found, rows=1)
    assert "power sampled" in row.note


def test_power_that_breaks_while_it_is_sampled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(counter=False)
    install(monkeypatch, board)

    def work() -> None:
        board.work()
        if board.calls > nvml.WARM_UP_CALLS:
            board.broken.add("power")

    found = measure(work, seconds=0.1, idle_s=0.0)
    assert isinstance(found, Refused)
    assert "no energy counter, and its power reading broke" in found.reason


def test_without_a_power_reading_the_idle_power_is_unknown_and_the_counter_still_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = Board()
    board.broken.add("power")
    install(monkeypatch, board)
    found = measure(board.work, seconds=0.0, idle_s=0.0)
    assert isinstance(found, Measured)
    assert found.idle_w is None
    assert [term.cause for term in measured_row(found, rows=1).terms] == ["whole"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("init", "NVML does not start"),
        ("handle", "NVML refuses the meter of device 0"),
        ("counter", "NVML refuses the meter of device 0"),
    ],
)
def test_errors_of_nvml_are_reasons_not_crashes(
    monkeypatch: pytest.MonkeyPatch, broken: str, said: str
) -> None:
    board = Board()
    board.broken.add(broken)
    install(monkeypatch, board)
    found = measure(board.work, seconds=0.0, idle_s=0.0)
    assert isinstance(found, Refused)
    assert said in found.reason and f"{broken} failed" in found.reason
    assert board.shut == (0 if broken == "init" else 1)


def test_an_error_of_the_work_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board()
    install(monkeypatch, board)

    def work() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        measure(work, seconds=0.0, idle_s=0.0)
    assert board.shut == 1


def test_a_machine_without_gpu_or_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert measure(lambda: None) == Refused("torch finds no CUDA device here")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "pynvml", None)  # import of it fails
    found = measure(lambda: None)
    assert isinstance(found, Refused)
    assert "neurozsl[gpu]" in found.reason


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


def test_the_work_under_the_meter_is_the_host_part_on_a_copy_of_the_model(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.open_run(run_dir)
    batch = run.data.stage(2).seen.batch(np.arange(4))
    with torch.no_grad():
        prepared = run.model.prepare(batch)
        trace = run.model.branch(prepared.chip_input, prepared.context.mask)
        for parameter in run.model.branch.parameters():
            parameter.fill_(float("nan"))  # no motion weight is used
    board = Board()
    install(monkeypatch, board)
    moved: list[float] = []

    def metered(work: Any, *, gpu: int, seconds: float) -> Measured | Refused:
        moved.append(counted_bytes(work))
        return measure(board.work, gpu=gpu, seconds=seconds, idle_s=0.0)

    monkeypatch.setattr(host_energy, "measure", metered)
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

    def __call__(self, batch: "Movable") -> str:
        return f"{self.where} {batch.where}"


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

    monkeypatch.setattr(host_energy, "measure", metered)
    model, batch = Movable(), Movable()
    found = host_energy.measure_model(model, batch, None, device=given, seconds=0.5)  # type: ignore[arg-type]
    assert (found, asked) == (Refused("enough"), [(1, 0.5)])
    assert (model.where, batch.where) == ("cpu", "cuda:1")  # a copy of the model moved
    full = host_energy.measure_model(Movable(fits=False), batch, None, device=given)  # type: ignore[arg-type]
    assert full == Refused("the host part does not run on device 1 (out of memory)")


def test_power_that_rises_is_joined_by_trapezoids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 W/s x t the energy from t0 to t1 is 50 (t1^2 - t0^2), wherever it is read."""
    board, now, read = Board(counter=False), [1.0], threading.local()

    def clock() -> float:
        read.at = now[0]  # a reading belongs to the time that was asked for just before it
        return float(read.at)

    def work() -> None:
        board.work()
        time.sleep(0.01)  # the other thread reads meanwhile
        now[0] += 0.5 * board.calls  # of growing length

    monkeypatch.setattr(board, "nvmlDeviceGetPowerUsage", lambda handle: round(1e5 * read.at))
    monkeypatch.setattr(nvml, "time", SimpleNamespace(perf_counter=clock, sleep=lambda s: None))
    install(monkeypatch, board)
    found = measure(work, seconds=60.0, idle_s=0.0)
    assert isinstance(found, Measured)
    assert found.idle_w == pytest.approx(100.0)  # at t = 1 s, before any work
    begin = 1.0 + 0.5 * sum(range(1, nvml.WARM_UP_CALLS + 1))
    assert found.calls == board.calls - nvml.WARM_UP_CALLS > 3
    assert found.calls * found.seconds == pytest.approx(now[0] - begin)
    assert 60.0 <= now[0] - begin < 60.0 + 0.5 * board.calls
    assert found.joules * found.calls == pytest.approx(50 * (now[0] ** 2 - begin**2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_real_gpu_takes_more_than_nothing_or_says_why() -> None:
    x = torch.ones(2048, 2048, device="cuda")
    found = measure(lambda: x @ x, seconds=2.0)
    if isinstance(found, Refused):
        assert found.reason
        return
    assert found.joules > 0 and found.device
    assert 1.0 < found.joules / found.seconds < 2000.0  # watts
