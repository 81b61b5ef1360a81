"""lava-nc itself as oracle: float equals Norse, integers equal the emulator, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.core.signals import BranchSpec, ChipInput, Trace
from neurozsl.export.backends.lava import run as lava_run
from neurozsl.export.backends.lava.run import LavaRunFailed, group_members, run_lava
from neurozsl.export.nir.graph import canonical, to_nir
from neurozsl.export.norse.branch import run_norse
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.loihi.emulator import emulate
from neurozsl.hardware.lower.lower import lower

MakeBranch = Callable[..., BranchSpec]
MakeInput = Callable[..., ChipInput]

FORMS: dict[str, dict[str, Any]] = {
    "lif": {},
    "synaptic current": {"synaptic": True},
    "integrate and fire": {"kappa": 0.0, "gain": 1.0},
    "one step a sample": {"steps": 1, "gain": 8.0},
    "table": {"policy": "table"},
    "dynamic": {"policy": "dynamic", "synaptic": True},
}


def _assert_equal(found: Trace, wanted: Trace, spec: BranchSpec) -> None:
    assert sum(wanted.rates().values()) > 0
    for layer in spec.layers:
        a, b = found.to_numpy().spikes[layer.name], wanted.to_numpy().spikes[layer.name]
        assert np.array_equal(a, b), f"{layer.name}: {int((a != b).sum())} bits differ"


@pytest.mark.lava
@pytest.mark.parametrize("form", FORMS)
def test_integers_on_lava_equal_the_emulator(
    form: str, make_branch: MakeBranch, make_input: MakeInput, lava: Path
) -> None:
    spec = make_branch(**FORMS[form], seed=4)
    program, chip = quantize(to_nir(spec), "loihi2"), make_input(spec, 6)
    _assert_equal(run_lava(program, chip), emulate(program, chip), spec)


@pytest.mark.lava
@pytest.mark.parametrize("form", ["values per neuron", "synaptic current", "dynamic"])
def test_floats_on_lava_equal_norse(
    form: str, make_branch: MakeBranch, make_input: MakeInput, lava: Path
) -> None:
    options = {"values per neuron": {"vectors": True, "kappa": 0.3, "gain": 6.0}, **FORMS}[form]
    spec = canonical(make_branch(**options, seed=5))
    chip = make_input(spec, 6)
    _assert_equal(run_lava(lower(to_nir(spec)), chip), run_norse(spec, chip), spec)


@pytest.mark.lava
def test_five_bit_weights_on_lava_equal_the_emulator(
    make_branch: MakeBranch, make_input: MakeInput, lava: Path
) -> None:
    spec = make_branch(seed=6, kappa=0.1, gain=8.0)
    program, chip = quantize(to_nir(spec), "loihi2", bits=5), make_input(spec, 6)
    seen: list[tuple[int, int]] = []
    trace = run_lava(program, chip, progress=lambda done, total: seen.append((done, total)))
    _assert_equal(trace, emulate(program, chip), spec)
    assert seen[-1] == (6, 6) and seen == sorted(seen)


@pytest.mark.lava
def test_other_lengths_than_T_are_refused(
    make_branch: MakeBranch, make_input: MakeInput, lava: Path
) -> None:
    spec = make_branch()
    with pytest.raises(BadInput, match="7 steps, Lava streams samples of 10 steps"):
        run_lava(lower(to_nir(spec)), make_input(make_branch(steps=7)))


def test_without_the_environment_the_error_holds_the_line_that_builds_it(
    make_branch: MakeBranch, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEUROZSL_LAVA_HOME", str(tmp_path))
    monkeypatch.delenv("NEUROZSL_LAVA_PYTHON", raising=False)
    spec = make_branch()
    with pytest.raises(MissingPart, match="neurozsl setup lava"):
        run_lava(lower(to_nir(spec)), make_input(spec))


# The watched process is any script: these need Python, not Lava.

_FAMILY = """
import os, sys, time, pathlib, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        break
with open(pathlib.Path(__file__).with_name("group"), "w") as file:
    file.write(str(os.getpgrp()))
print("progress audio 1 4", flush=True)
time.sleep(60)
"""


@pytest.fixture(name="python_is_ours")
def _python_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_run, "require", lambda: Path(sys.executable))
    monkeypatch.setattr(lava_run, "_GRACE_S", 0.3)


def _run_script(
    folder: Path, script: str, spec: BranchSpec, chip: ChipInput, **options: Any
) -> Trace:
    worker = folder / "worker.py"
    worker.write_text(script)
    return run_lava(lower(to_nir(spec)), chip, worker=worker, **options)


def _group(folder: Path) -> int:
    return int((folder / "group").read_text())


@pytest.mark.usefixtures("python_is_ours")
def test_a_timeout_ends_the_worker_and_all_its_children(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch()
    with pytest.raises(LavaRunFailed, match=r"longer than 1 s and was ended.*longer limit"):
        _run_script(tmp_path, _FAMILY, spec, make_input(spec), timeout_s=1)
    assert group_members(_group(tmp_path)) == []


@pytest.mark.usefixtures("python_is_ours")
def test_an_interrupt_ends_the_worker_and_all_its_children(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    spec = make_branch()
    with pytest.raises(KeyboardInterrupt):
        _run_script(tmp_path, _FAMILY, spec, make_input(spec), progress=interrupt)
    assert group_members(_group(tmp_path)) == []


@pytest.mark.usefixtures("python_is_ours")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise ValueError('the reason')", r"exit code 1(?s:.*)ValueError: the reason"),
        ("print('progress audio 1 1')", "left no readable trace"),
        ("import sys; open(sys.argv[3], 'w').write('x')", "left no readable trace"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit code -9"),
    ],
)
def test_a_broken_worker_is_reported_with_its_own_words(
    script: str, message: str, make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch()
    with pytest.raises(LavaRunFailed, match=message):
        _run_script(tmp_path, script, spec, make_input(spec))


@pytest.mark.lava
def test_the_worker_ends_itself_when_its_host_is_killed(lava: Path, tmp_path: Path) -> None:
    worker = lava_run.WORKER
    host = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([{str(lava)!r}, {str(worker)!r}, '--guarded', '--network', "
        f"{str(tmp_path / 'pipe')!r}], stdin=subprocess.PIPE, start_new_session=True)\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    os.mkfifo(tmp_path / "pipe")  # the worker waits for its network for ever
    process = subprocess.Popen([sys.executable, "-c", host], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    group = int(process.stdout.readline())
    time.sleep(2)
    assert group_members(group)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    end = time.monotonic() + 10
    while group_members(group) and time.monotonic() < end:
        time.sleep(0.1)
    assert group_members(group) == []


def test_lava_sees_nothing_beside_the_worker() -> None:
    """Lava executes every .py file in the folder of a Process class."""
    assert [p.name for p in lava_run.WORKER.parent.glob("*.py")] == ["run_lava.py"]
    assert "neurozsl" not in lava_run.WORKER.read_text()


@pytest.mark.lava
@pytest.mark.parametrize("damaged", ["program.npz", "golden.npz"])
def test_the_script_beside_a_damaged_file_says_so_in_one_line(
    damaged: str, lava: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    for name in ("program.npz", "golden.npz", "run_lava.py"):
        (tmp_path / name).write_bytes((lava_bundle / name).read_bytes())
    content = (tmp_path / damaged).read_bytes()
    for wrong in (b"", content[: len(content) // 2], b"PK\x05\x06" + bytes(18)):
        (tmp_path / damaged).write_bytes(wrong)
        command = [str(lava), str(tmp_path / "run_lava.py")]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert ran.returncode == 2, ran.stderr
        assert "Traceback" not in ran.stderr
        assert ran.stderr.count("\n") == 1 and f"{damaged}" in ran.stderr
