"""Host side of a Lava run: files in, a watched worker process, spikes out.

The worker (`worker/run_lava.py`) is Python 3.10 with numpy and lava-nc alone. It runs in a process
group of its own, because Lava starts one process per Lava Process; whatever ends the call
(result, error, timeout, Ctrl-C), the whole group is ended. If this process is killed, the
worker's stdin closes and it ends itself.
"""

import contextlib
import errno
import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neurozsl.core.errors import BadInput, NeuroZSLError
from neurozsl.core.folders import temporary_folder
from neurozsl.core.npz import read_npz
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.export.backends.lava.environment import clean_environment, require
from neurozsl.export.backends.lava.limits import check_network
from neurozsl.hardware.loihi.program import Program, threshold_codes
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.chip_input import check_input
from neurozsl.hardware.network.golden import save_input
from neurozsl.hardware.network.program_file import links_as_json

WORKER = Path(__file__).parent / "worker" / "run_lava.py"
# Start-up of Lava with a margin for a busy machine, and 30 times the measured time of a sample.
_START_S, _SAMPLE_S = 120.0, 1.0
_GRACE_S = 3.0
_TAIL_LINES = 12
_ERROR = re.compile(r"[\w.]+(?:Error|Exception)\b")


class LavaRunFailed(NeuroZSLError):
    """The worker ended without a result; the message holds the end of what it printed."""


def run_lava(
    network: Lowered | Program,
    chip: ChipInput,
    *,
    timeout_s: float | None = None,
    progress: Progress | None = None,
    worker: Path = WORKER,
) -> Trace:
    """Run samples on lava-nc's CPU simulation.

    `Lowered` runs on Lava's floating-point models, `Program` on the bit-accurate ones; `chip` has
    codes `(batch, time, size)`, and theta where the policy is dynamic. Without a limit the whole
    run may take 2 minutes and 1 second a sample.

    Returns:
        Trace with the spikes of every layer, uint8, aligned (Lava's lag per layer removed), the
        membrane of layers that do not spike, and the Lava Process that ran each synapse.

    Raises:
        BadInput: the network has what Lava cannot run (see `limits`); the input does not belong to
            it, or is shorter or longer than T.
        MissingPart: the Lava environment is not set up.
        LavaRunFailed: the worker failed or took longer than the limit.
    """
    check_network(network)
    python = require()
    chip = check_input(network.inputs, network.layers, network.steps, network.policy, chip)
    if chip.steps != network.steps:
        raise BadInput(
            f"chip input: {chip.steps} steps, Lava streams samples of {network.steps} steps; "
            "export the network with that number of steps"
        )
    if isinstance(network, Program) and network.policy == "dynamic" and chip.theta is not None:
        for layer in network.layers:  # refuse here what the worker would silently round
            threshold_codes(layer, chip.theta[layer.name])
    limit = _START_S + _SAMPLE_S * chip.batch if timeout_s is None else timeout_s
    with temporary_folder("neurozsl-lava") as folder:
        out = folder / "trace.npz"
        save_network(folder / "program.npz", network)
        save_input(folder / "input.npz", chip)
        command = [str(python), str(worker), "--guarded", "--out", str(out)]
        command += ["--network", str(folder / "program.npz"), "--input", str(folder / "input.npz")]
        _watch(command, folder / "stderr.txt", limit, _per_sample(progress, chip.batch))
        return _read_trace(out, network, chip)


def save_network(path: Path, network: Lowered | Program) -> None:
    """What the worker reads: `program.npz`, or the same layout with float64 arrays."""
    if isinstance(network, Program):
        network.save(path)
        return
    arrays: dict[str, Any] = {}
    layers = []
    for layer in network.layers:
        row = {"name": layer.name, "source": layer.source, "bias_to": layer.bias_to}
        layers.append(row | links_as_json(layer) | {"rule": layer.rule.as_json()})
        values = {
            "weight": layer.weight,
            "bias_mant": layer.bias,
            "du": layer.syn_leak,
            "dv": layer.leak,
            "vth": layer.threshold,
            "vth_table": layer.theta_table,
        }
        arrays |= {f"{layer.name}/{key}": v for key, v in values.items() if v is not None}
        arrays |= {f"{layer.name}/also/{i}": s.weight for i, s in enumerate(layer.also)}
    text = {
        "kind": "float",
        "steps": network.steps,
        "policy": network.policy,
        "inputs": {name: asdict(code) for name, code in network.inputs.items()},
        "layers": layers,
    }
    np.savez(path, json=np.array(json.dumps(text)), **arrays)


def _per_sample(progress: Progress | None, batch: int) -> Callable[[str], None]:
    """A reader of the worker's lines `progress PART STEP LAST`; it names all parts first."""
    done: dict[str, float] = {}

    def read(line: str) -> None:
        words = line.split()
        if len(words) == 4 and words[0] == "progress":
            done[words[1]] = int(words[2]) / int(words[3])
            if progress is not None and done[words[1]]:
                progress(round(batch * sum(done.values()) / len(done)), batch)

    return read


def _watch(
    command: list[str], stderr: Path, limit_s: float, on_line: Callable[[str], None]
) -> None:
    """Run the worker to its end; its process group never outlives this call."""
    settings = {
        "PYTHONDONTWRITEBYTECODE": "1",  # Lava executes the .py files beside its Processes
        "OMP_NUM_THREADS": "1",  # one process per layer is parallel enough
        "OPENBLAS_NUM_THREADS": "1",
    }
    with stderr.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env=clean_environment() | settings,
        )
    try:
        for line in _lines(process, time.monotonic() + limit_s):
            on_line(line)
        code = process.wait(timeout=_GRACE_S + 30)
    except TimeoutError:
        raise LavaRunFailed(
            f"the Lava worker took longer than {limit_s:g} s and was ended{_tail(stderr)}; use "
            "fewer samples or a longer limit"
        ) from None
    except subprocess.TimeoutExpired:
        raise LavaRunFailed(
            f"the Lava worker did not end after its result{_tail(stderr)}"
        ) from None
    finally:
        _end_group(process)
    if code:
        if os.strerror(errno.EMFILE) in stderr.read_text(errors="replace"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "the Lava worker")
        raise LavaRunFailed(f"the Lava worker ended with exit code {code}{_tail(stderr)}")


def _lines(process: subprocess.Popen[bytes], deadline: float) -> Iterator[str]:
    """Lines of stdout until it closes or the worker ends.

    Raises:
        TimeoutError: at the deadline.
    """
    assert process.stdout is not None
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if selector.select(min(left, 0.5)):
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                yield from (line.decode("utf8", "replace") for line in lines)
            elif process.poll() is not None and not selector.select(0):
                # Ended, and nothing that it wrote just before is left; children that survive it
                # may hold its stdout open, so the end of the stream is not waited for.
                return


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End every process of the worker's group: first politely, so shared memory is released."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    for sign in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + _GRACE_S
        while time.monotonic() < end:
            process.poll()  # collects the worker itself
            if not group_members(process.pid):
                process.wait(timeout=_GRACE_S)  # it may have ended since it was polled
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, sign)
            time.sleep(0.02)
    process.wait(timeout=_GRACE_S)


def group_members(group: int) -> list[int]:
    """Living processes of a group; ended ones that nobody collected yet do not count."""
    if not Path("/proc/self/stat").exists():  # not Linux: ask whether the group exists
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return []
        return [group]
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state parent group ...; the name may hold spaces and brackets
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue  # it ended while we looked
        if int(pgrp) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def _tail(stderr: Path) -> str:
    lines = stderr.read_text(errors="replace").strip().splitlines()
    if any(line.startswith("Traceback ") for line in lines):
        # What went wrong first; where in the worker helps nobody who runs it, nor what followed.
        lines = [line for line in lines if _ERROR.match(line)][:1] or lines[-1:]
    lines = lines[-_TAIL_LINES:]
    return ": " + "\n  ".join(["", *lines]) if lines else ""


def _read_trace(path: Path, network: Lowered | Program, chip: ChipInput) -> Trace:
    spikes, membrane, processes = {}, {}, {}
    needed = [layer.name for layer in network.layers]
    needed += [f"membrane/{layer.name}" for layer in network.layers if not layer.rule.spiking]
    try:
        file = read_npz(path, remedy="run it again", needed=needed)
    except BadInput as error:
        raise LavaRunFailed(f"the Lava worker left no readable trace ({error})") from error
    for layer in network.layers:
        spikes[layer.name] = file[layer.name]
        if (key := f"processes/{layer.name}") in file:  # none: reads read-outs alone
            processes[layer.name] = tuple(str(name) for name in file[key])
        if not layer.rule.spiking:
            membrane[layer.name] = file[f"membrane/{layer.name}"]
    for layer in network.layers:
        expected = (chip.batch, chip.steps, layer.size)
        if spikes[layer.name].shape != expected:
            raise LavaRunFailed(
                f"the Lava worker returned {spikes[layer.name].shape} spikes of '{layer.name}', "
                f"expected {expected}"
            )
    return Trace(spikes, membrane=membrane, processes=processes)
