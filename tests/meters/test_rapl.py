"""The meter of a processor, on a stand-in for the kernel's counters, and on real ones."""

import math
from pathlib import Path

import pytest

from neurozsl.meters import rapl
from neurozsl.meters.rapl import measure
from neurozsl.meters.reading import WARM_UP_CALLS, Measured, Refused
from tests.meters.counters import Counters

ZONES = {"package-0": 7_000_000, "core": 5_000_000, "package-1": 2_000_000, "dram": 1_000_000}


def test_packages_and_memory_are_added_and_their_parts_and_the_platform_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters(tmp_path, monkeypatch, {**ZONES, "psys": 20_000_000, "uncore": 9})
    found = measure(counters.work, seconds=0.02, idle_s=0.0)
    assert isinstance(found, Measured)
    assert found.joules == pytest.approx(10.0)
    assert found.calls == counters.calls - WARM_UP_CALLS > 0
    assert found.seconds * found.calls >= 0.02
    assert (found.method, found.idle_w, found.parts) == ("rapl", None, ("memory",))
    assert found.device


def test_without_a_counter_of_its_own_memory_is_not_said_to_be_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters(tmp_path, monkeypatch, {"package-0": 3_000_000})
    found = measure(counters.work, seconds=0.0, idle_s=0.0)
    assert isinstance(found, Measured)
    assert found.joules == pytest.approx(3.0)
    assert found.parts == ()


def test_a_counter_that_starts_again_is_carried_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 65_532_610_987
    start = most - (WARM_UP_CALLS * 4_000_000) - 1_000_000  # it wraps in the measured call
    counters = Counters(tmp_path, monkeypatch, {"package-0": 4_000_000}, start=start, most=most)
    found = measure(counters.work, seconds=0.0, idle_s=0.0)
    assert isinstance(found, Measured) and found.calls == 1
    assert int((tmp_path / "intel-rapl:0" / "energy_uj").read_text()) == 3_000_000
    assert found.joules == pytest.approx(4.0)


def test_idle_power_is_what_runs_before_the_first_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters(tmp_path, monkeypatch, {"package-0": 6_000_000})
    now = [0.0]

    class Clock:
        """Each look at the clock takes no time; a sleep of s seconds takes 30 W x s."""

        @staticmethod
        def perf_counter() -> float:
            return now[0]

        @staticmethod
        def sleep(seconds: float) -> None:
            now[0] += seconds
            file = tmp_path / "intel-rapl:0" / "energy_uj"
            file.write_text(str(int(file.read_text()) + math.floor(30e6 * seconds)))

    monkeypatch.setattr(rapl, "time", Clock)
    found = measure(counters.work, seconds=0.0, idle_s=0.5)
    assert isinstance(found, Measured)
    assert found.idle_w == pytest.approx(30.0) and found.joules == pytest.approx(6.0)


def test_what_cannot_be_read_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rapl, "ROOT", tmp_path)
    nothing = measure(lambda: None, seconds=0.0, idle_s=0.0)
    assert isinstance(nothing, Refused) and "shows no RAPL counters" in nothing.reason
    counters = Counters(tmp_path, monkeypatch, {"package-0": 0})
    still = measure(counters.work, seconds=0.0, idle_s=0.0)
    assert isinstance(still, Refused) and "do not run forward (0 J)" in still.reason
    energy = tmp_path / "intel-rapl:0" / "energy_uj"
    energy.write_text("much\n")
    odd = measure(lambda: None, seconds=0.0, idle_s=0.0)
    assert isinstance(odd, Refused) and "holds 'much', expected microjoules" in odd.reason
    energy.unlink()
    gone = measure(lambda: None, seconds=0.0, idle_s=0.0)
    assert isinstance(gone, Refused) and "energy_uj" in gone.reason


def test_counters_of_the_administrator_alone_name_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters(tmp_path, monkeypatch, {"package-0": 1})

    def refused(self: Path) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", refused)
    found = measure(counters.work, seconds=0.0, idle_s=0.0)
    assert isinstance(found, Refused)
    assert "permission denied; an administrator can allow it with chmod o+r" in found.reason


def test_an_error_of_the_work_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Counters(tmp_path, monkeypatch, {"package-0": 1})

    def work() -> None:
        raise OSError("mine")

    with pytest.raises(OSError, match="mine"):
        measure(work, seconds=0.0, idle_s=0.0)


def test_a_real_processor_takes_more_than_nothing_or_says_why() -> None:
    found = measure(lambda: sum(range(1000)), seconds=0.2, idle_s=0.05)
    if isinstance(found, Refused):
        assert "RAPL counters" in found.reason
        return
    assert 0.1 < found.joules / found.seconds < 5000.0  # watts
