"""Joules of repeated work on an NVIDIA GPU, read from its own meter through NVML.

    joules per call = (counter after - counter before) / calls

`nvmlDeviceGetTotalEnergyConsumption` counts millijoules of the whole board since the driver was
loaded (Volta and newer). On older boards power is sampled in a thread while the work runs, and
joined by trapezoids. Idle power is sampled before the first call. What the host's processor, its
memory and the power supply take is not in it. The package is `nvidia-ml-py` (extra `gpu`).
"""

import importlib
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, Final

import torch

from neurozsl.meters.reading import IDLE_S, WARM_UP_CALLS, Measured, Refused, repeat

_SAMPLE_S: Final = 0.02


def measure(
    work: Callable[[], object], *, gpu: int = 0, seconds: float = 2.0, idle_s: float = IDLE_S
) -> Measured | Refused:
    """Run `work` on a CUDA device and read what the board took, or why that cannot be read.

    Errors of `work` are not caught.

    Args:
        work: one call, e.g. a batch; whatever it leaves running on the device is waited for.
        gpu: number of the device as torch counts.
        seconds: least length of the measured part; the counter moves in steps of up to 0.1 s.
        idle_s: how long idle power is sampled before.
    """
    if not torch.cuda.is_available():
        return Refused("torch finds no CUDA device here")
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return Refused("pynvml is not installed; pip install 'neurozsl[gpu]'")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Refused(f"NVML does not start ({error})")
    try:
        handle = _handle(nvml, gpu)
        return _measure(nvml, handle, work, lambda: torch.cuda.synchronize(gpu), seconds, idle_s)
    except nvml.NVMLError as error:
        return Refused(f"NVML refuses the meter of device {gpu} ({error})")
    finally:
        nvml.nvmlShutdown()


def _handle(nvml: Any, gpu: int) -> Any:
    """NVML's handle of torch's device; by UUID, as CUDA_VISIBLE_DEVICES renumbers devices."""
    uuid = getattr(torch.cuda.get_device_properties(gpu), "uuid", None)
    if uuid is None:
        return nvml.nvmlDeviceGetHandleByIndex(gpu)
    named = str(uuid).startswith(("GPU-", "MIG-"))
    return nvml.nvmlDeviceGetHandleByUUID(str(uuid) if named else f"GPU-{uuid}")


def _measure(
    nvml: Any,
    handle: Any,
    work: Callable[[], object],
    synchronize: Callable[[], object],
    seconds: float,
    idle_s: float,
) -> Measured | Refused:
    name = nvml.nvmlDeviceGetName(handle)
    name = name.decode() if isinstance(name, bytes) else str(name)
    synchronize()
    idle = _idle_power(nvml, handle, idle_s)
    for _ in range(WARM_UP_CALLS):
        work()
    synchronize()
    for _ in range(2):  # a counter that runs backwards was reset in between: once more
        try:
            before = nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except nvml.NVMLError_NotSupported:
            run = partial(repeat, work, synchronize, seconds)
            return _sampled(nvml, handle, name, run, idle)
        calls, elapsed = repeat(work, synchronize, seconds)
        joules = (nvml.nvmlDeviceGetTotalEnergyConsumption(handle) - before) * 1e-3
        if joules > 0:
            return Measured(name, "nvml_counter", joules / calls, elapsed / calls, calls, idle)
    return Refused(f"the energy counter of {name} does not run forward ({joules:g} J)")


def _idle_power(nvml: Any, handle: Any, idle_s: float) -> float | None:
    """Mean watts over `idle_s`; None where the board has no power reading."""
    found: list[float] = []
    end = time.perf_counter() + idle_s
    try:
        while not found or time.perf_counter() < end:
            found.append(nvml.nvmlDeviceGetPowerUsage(handle) * 1e-3)
            time.sleep(_SAMPLE_S)
    except nvml.NVMLError:
        return None
    return sum(found) / len(found)


def _sampled(
    nvml: Any, handle: Any, name: str, run: Callable[[], tuple[int, float]], idle: float | None
) -> Measured | Refused:
    """Power sampled in a thread while the work runs, for boards without an energy counter."""
    times, watts, failed = list[float](), list[float](), list[str]()
    done = threading.Event()

    def read() -> None:
        times.append(time.perf_counter())
        watts.append(nvml.nvmlDeviceGetPowerUsage(handle) * 1e-3)

    def sample() -> None:
        try:
            while not done.wait(_SAMPLE_S):
                read()
        except nvml.NVMLError as error:
            failed.append(str(error))

    read()
    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        calls, elapsed = run()
    finally:
        done.set()
        thread.join()
    if failed:
        return Refused(f"{name} has no energy counter, and its power reading broke ({failed[0]})")
    read()
    pieces = zip(pairwise(times), pairwise(watts), strict=True)
    joules = sum((t1 - t0) * (w0 + w1) / 2 for (t0, t1), (w0, w1) in pieces)
    mean_w = joules / (times[-1] - times[0])
    return Measured(name, "nvml_sampled", mean_w * elapsed / calls, elapsed / calls, calls, idle)
