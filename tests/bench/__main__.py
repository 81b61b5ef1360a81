"""`make bench`: every registered measurement in one run, `build/bench.json`, ratios on stdout.

One more: a file with a function `measure() -> dict[str, Ratio]` and a line in BENCHES.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from tests.bench import emulator, emulator_conv, events_from_video, lava_streamed, train_step
from tests.bench.measure import Bench, Ratio

BENCHES: tuple[Bench, ...] = (
    emulator.measure,
    emulator_conv.measure,
    lava_streamed.measure,
    events_from_video.measure,
    train_step.measure,
)
PACKAGES = ("neurozsl", "torch", "numpy", "numba", "norse", "nir")
INT8 = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")  # what 8-bit dot products are


def main() -> int:
    """Measure, write, print."""
    torch.set_num_threads(1)
    before = os.getloadavg()
    found: dict[str, Ratio] = {}
    for bench in BENCHES:
        found |= bench()
    document = {
        **{name: ratio.value for name, ratio in found.items()},
        "ratios": {
            name: asdict(ratio) | {"within_limit": ratio.within_limit}
            for name, ratio in found.items()
        },
        "method": "one process, one thread, CPU time, medians, cases in turns",
        "machine": machine() | {"load_before": before, "load_after": os.getloadavg()},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    out = Path("build") / "bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n")
    for name, ratio in found.items():
        sys.stdout.write(line(name, ratio) + "\n")
    sys.stdout.write(f"{out}: {machine()['cpu']}, load {before[0]:.1f}\n")
    return 0


def line(name: str, ratio: Ratio) -> str:
    """One ratio in words."""
    if ratio.value is None:
        return f"{name:40s} not measured: {ratio.note}"
    text = f"{name:40s} {ratio.value:9.4g} x"
    if ratio.limit is None:
        return text
    word = "at least" if ratio.better == "more" else "at most"
    return f"{text}   {word} {ratio.limit:g}: {'kept' if ratio.within_limit else 'MISSED'}"


def machine() -> dict[str, object]:
    """Processor, its 8-bit instructions, cores."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    rows = dict(line.split(":", 1) for line in reversed(text.splitlines()) if ":" in line)
    values = {key.strip(): value.strip() for key, value in rows.items()}
    flags = values.get("flags", values.get("Features", "")).split()
    return {
        "cpu": values.get("model name", platform.processor() or platform.machine()),
        "int8_instructions": [flag for flag in INT8 if flag in flags],
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    sys.exit(main())
