"""The meter of a GPU, on a stand-in for NVML, and on a real one where there is one."""

import sys
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from neurozsl.meters import nvml, reading
from neurozsl.meters.nvml import measure
from neurozsl.meters.reading import WARM_UP_CALLS, Measured, Refused
from tests.meters.board import Board, NVMLError, install


def test_the_counter_before_and_after_gives_joules_per_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = Board()
    install(monkeypatch, board)
    found = measure(board.work, seconds=0.02, idle_s=0.0)
    assert isinstance(found, Measured)
    assert found.joules == pytest.approx(7.0)
    assert (found.device, found.method) == ("Made-up GPU", "nvml_counter")
    assert found.calls == board.calls - WARM_UP_CALLS > 0
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
        if board.calls == WARM_UP_CALLS + 1:  # the driver was loaded again
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


def test_power_that_breaks_while_it_is_sampled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    board, tried = Board(counter=False), threading.Event()
    install(monkeypatch, board)

    def power(handle: str) -> int:
        if board.calls <= WARM_UP_CALLS:
            return 50_000
        tried.set()
        raise NVMLError("power failed")

    def work() -> None:
        board.work()
        assert board.calls <= WARM_UP_CALLS or tried.wait(60)  # for the other thread's reading

    monkeypatch.setattr(board, "nvmlDeviceGetPowerUsage", power)
    found = measure(work, seconds=0.0, idle_s=0.0)
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
    for module in (nvml, reading):
        fake = SimpleNamespace(perf_counter=clock, sleep=lambda s: None)
        monkeypatch.setattr(module, "time", fake)
    install(monkeypatch, board)
    found = measure(work, seconds=60.0, idle_s=0.0)
    assert isinstance(found, Measured)
    assert found.idle_w == pytest.approx(100.0)  # at t = 1 s, before any work
    begin = 1.0 + 0.5 * sum(range(1, WARM_UP_CALLS + 1))
    assert found.calls == board.calls - WARM_UP_CALLS > 3
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
