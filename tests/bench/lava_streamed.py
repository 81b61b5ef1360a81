"""`emulator.vs_lava_streamed`: samples a second over lava-nc's fixed-point simulation, streamed.

Lava's time is that between the first and the last report of a running simulation, so neither its
start (0.2 s or more) nor its end count. Of wall time and CPU time of the worker and its
processes the *smaller* one is taken: the first suffers from a busy machine, the second from
processes that wait actively. The emulator's is CPU time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from neurozsl.export.backends.lava.environment import locate
from neurozsl.export.backends.lava.run import run_lava
from neurozsl.hardware.loihi.emulator import emulate
from tests.bench.measure import Ratio, side_by_side
from tests.bench.networks import DESCRIPTION, dense_network

LAVA_SAMPLES = 40


def measure() -> dict[str, Ratio]:
    """The ratio, or None where the Lava environment is absent."""
    name = "emulator.vs_lava_streamed"
    if locate() is None:
        reason = "the Lava environment is not set up; run: neurozsl setup lava"
        return {name: Ratio(None, "more", 1000.0, reason)}
    program, given = dense_network()
    part = given.take(slice(0, LAVA_SAMPLES))
    seen: list[tuple[float, float, int]] = []  # wall, CPU, samples done

    def note(done: int, total: int) -> None:
        seen.append((time.perf_counter(), _cpu_of_children(), done))

    trace = run_lava(program, part, progress=note)
    emulated = emulate(program, part)
    if not all(np.array_equal(trace.spikes[k], emulated.spikes[k]) for k in emulated.spikes):
        raise AssertionError("lava-nc and the emulator differ: the ratio would compare nothing")
    (wall, cpu, done), (last_wall, last_cpu, last_done) = seen[0], seen[-1]
    per_sample = {
        "lava_wall": (last_wall - wall) / (last_done - done),
        "lava_cpu": (last_cpu - cpu) / (last_done - done),
        "emulator_cpu": side_by_side({"emulator": lambda: emulate(program, given)})["emulator"]
        / given.batch,
    }
    fastest = min(per_sample["lava_wall"], per_sample["lava_cpu"])
    details = {
        "network": DESCRIPTION,
        "milliseconds_per_sample": {k: round(1e3 * v, 4) for k, v in per_sample.items()},
        "lava_samples": last_done - done,
        "equal_bits": "all layers of all samples that both ran",
    }
    return {name: Ratio(fastest / per_sample["emulator_cpu"], "more", 1000.0, "", details)}


def _cpu_of_children() -> float:
    """CPU seconds of all living descendants of this process and of what they have waited for."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state ppid ... utime stime cutime cstime: fields 14 to 17
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        seconds[pid] = sum(int(x) for x in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def descends(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    return sum(s for pid, s in seconds.items() if descends(pid))
