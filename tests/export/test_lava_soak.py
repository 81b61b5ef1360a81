"""A long run of the real worker grows in nothing, and nothing of it outlives its host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.signals import BranchSpec, ChipInput
from neurozsl.export.backends.lava.run import LavaRunFailed, group_members, run_lava
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.loihi.emulator import emulate

MakeBranch = Callable[..., BranchSpec]
MakeInput = Callable[..., ChipInput]

SAMPLES = 1000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# The files of recorded spikes are allocated at the start and touched as the run goes on.
GROWTH_BYTES = 4 << 20

pytestmark = [
    pytest.mark.lava,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc (Linux)"),
]


@dataclass(frozen=True)
class Usage:
    """Of the worker and all its processes at one moment."""

    done: int
    processes: int
    resident_bytes: int
    descriptors: int


def worker_groups() -> list[int]:
    """Process groups that children of this process lead."""
    groups = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent, group = stat.read_text().rpartition(")")[2].split()[1:3]
        except OSError:
            continue  # it ended while we looked
        if int(parent) == os.getpid() and group == stat.parent.name:
            groups.append(int(group))
    return groups


def usage(group: int, done: int) -> Usage:
    alive = resident = descriptors = 0
    for pid in group_members(group):
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue  # it ended while we looked
        alive += 1
        resident += pages * PAGE_BYTES
    return Usage(done, alive, resident, descriptors)


@pytest.mark.slow
def test_a_thousand_streamed_samples_grow_neither_memory_nor_descriptors(
    make_branch: MakeBranch, make_input: MakeInput, lava: Path
) -> None:
    spec = make_branch((16, 12, 8))
    # One pathway: one run of Lava from the first sample to the last.
    spec = BranchSpec(
        {"audio": spec.inputs["audio"]}, spec.layers[:2], ("audio.1",), spec.dt_s, spec.steps
    )
    program, chip = quantize(to_nir(spec), "loihi2"), make_input(spec, SAMPLES)
    seen: list[Usage] = []
    groups: set[int] = set()

    def watch(done: int, total: int) -> None:
        groups.update(worker_groups())
        if 0 < done < total:
            (group,) = groups
            seen.append(usage(group, done))

    trace = run_lava(program, chip, progress=watch)
    wanted = emulate(program, chip)
    assert all(np.array_equal(trace.spikes[k], wanted.spikes[k]) for k in wanted.spikes)
    assert 0.01 < wanted.spikes["audio.1"].mean() < 0.99
    early = next(row for row in seen if row.done >= SAMPLES // 10)
    # The last reports may be read when the processes are already leaving.
    late = [row for row in seen if row.processes == early.processes][-1]
    assert late.done - early.done > SAMPLES * 3 // 4 and len(seen) > 20
    assert early.processes > 4, "Lava runs every Process in a process of its own"
    assert max(row.processes for row in seen) == early.processes
    assert max(row.descriptors for row in seen) == early.descriptors
    assert late.resident_bytes - early.resident_bytes < GROWTH_BYTES, (early, late)
    assert [group_members(group) for group in groups] == [[]]


def test_a_timeout_in_the_middle_of_a_run_leaves_no_process_of_lava(
    make_branch: MakeBranch, make_input: MakeInput, lava: Path
) -> None:
    spec = make_branch()
    program, chip = quantize(to_nir(spec), "loihi2"), make_input(spec, 20000)
    groups: set[int] = set()
    seen: list[int] = []
    ended = threading.Event()

    def poll() -> None:
        while not ended.wait(0.1):
            groups.update(worker_groups())
            seen.append(max((len(group_members(group)) for group in groups), default=0))

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        with pytest.raises(LavaRunFailed, match="took longer than 12 s and was ended"):
            run_lava(program, chip, timeout_s=12)
    finally:
        ended.set()
        poller.join()
    assert max(seen) > 4, "Lava had started its processes"
    assert groups and all(group_members(group) == [] for group in groups)


_HOST = """
import signal
import numpy as np
from neurozsl.export.backends.lava.run import run_lava
from neurozsl.hardware.loihi.program import Program, ProgramLayer
from neurozsl.core.signals import ChipInput, InputCode

code = InputCode(8, "binary", 1, False, 1.0)
weight = np.full((8, 8), 40, np.int16)
layer = ProgramLayer("a", "x", weight, 8, 0, np.zeros(8, np.int32), 0, 4095, 2048, 100, 1.0)
program = Program("loihi2", {"x": code}, (layer,), ("a",), 10, 1e-3, "frozen")
chip = ChipInput({"x": np.ones((20000, 10, 8), np.int16)}, {"x": code})
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs of a script inherit "ignore"
told = []  # one line: nobody reads more, and a full pipe would keep the host from ending


def tell(done, total):
    if not told:
        told.append(done)
        print(done, flush=True)


run_lava(program, chip, progress=tell)
"""


@pytest.mark.parametrize(
    "sign",
    [
        *(pytest.param(x, marks=pytest.mark.slow) for x in (signal.SIGINT, signal.SIGTERM)),
        signal.SIGKILL,
    ],
)
def test_a_host_that_is_ended_in_the_middle_of_a_run_leaves_no_process_of_lava(
    sign: signal.Signals, lava: Path
) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert host.stdout is not None and host.stderr is not None
    try:
        assert host.stdout.readline().strip().isdigit(), host.stderr.read()
        groups = [
            int(stat.parent.name)
            for stat in Path("/proc").glob("[0-9]*/stat")
            if _parent(stat) == host.pid
        ]
        (group,) = groups
        assert len(group_members(group)) > 4
        host.send_signal(sign)
        host.wait(timeout=30)
    finally:
        host.kill()
        host.wait()
        host.stdout.close()
        host.stderr.close()
    end = time.monotonic() + 20
    while group_members(group) and time.monotonic() < end:
        time.sleep(0.1)
    assert group_members(group) == []


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0  # it ended while we looked
