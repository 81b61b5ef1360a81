"""Batched emulator of the chip's integer neuron: `emulate(program, chip_input) -> Trace`.

Bit for bit the fixed-point models of lava-nc 0.10.0 without their one step of delay per synapse:
wrap of the current, saturation of the membrane, truncating decays (see `program`). The weighted
sums of all steps of a layer are one exact product (`emulator_products`), the neurons one fused loop
(`kernels`; on other devices `kernels_torch`). `emulator_steps` runs the same layers one step at a
time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.errors import BadInput
from neurozsl.hardware import fixedpoint as fp
from neurozsl.hardware import kernels
from neurozsl.hardware.emulator_products import Codes, code_tensor, exact_product
from neurozsl.hardware.floatsim import Progress, Record
from neurozsl.hardware.kernels_torch import run_torch
from neurozsl.hardware.program import (
    REGISTER_LIMIT,
    Program,
    ProgramLayer,
    accumulator_bound,
    threshold_codes,
)
from neurozsl.signals import ChipInput, InputCode, Trace

_CACHED_SUMS: Final = 5 << 16  # 1.3 MB: with weights and spikes inside a 2 MB cache of a core
_DEVICE_SUMS: Final = 1 << 25

Kernel = Literal["auto", "numba", "torch"]
LayerRun = Callable[..., kernels.NeuronRun]


def emulate(
    program: Program,
    chip_input: ChipInput,
    *,
    record: tuple[Record, ...] = ("spikes",),
    batch: int | None = None,
    device: str = "cpu",
    kernel: Kernel = "auto",
    progress: Progress | None = None,
) -> Trace:
    """Spikes of every layer as the chip would give them.

    Args:
        program: integers of the network.
        chip_input: codes `(samples, time, size)`; theta where the policy is dynamic.
        record: add "membrane" for v after each step, int32 `(samples, time, neuron)`.
        batch: samples that are held at once; None lets their sums fit the cache of a core.
        device: "cpu", "cuda", "cuda:1": where sums and neurons are computed.
        kernel: "numba" (CPU), "torch" (any device); "auto" takes numba where it can. Same bits.
        progress: called with (samples done, samples in all) after each batch.

    Returns:
        Trace with uint8 spikes; overflow counts sample x step x neuron where the current wrapped,
        saturation where the membrane was clipped.

    Raises:
        BadInput: see `Program.check`; a dynamic threshold that is no 17-bit integer; a device that
            this machine or the kernel does not have.
    """
    checked = program.check(chip_input)
    samples, steps = checked.batch, checked.steps
    runners = layer_runners(program, device, kernel)
    held = _samples_at_once(program, steps, device) if batch is None else batch
    sizes = {layer.name: (samples, steps, len(layer.weight)) for layer in program.layers}
    spikes = {name: np.empty(shape, np.uint8) for name, shape in sizes.items()}
    kept = sizes if "membrane" in record else {}
    membrane = {name: np.empty(shape, np.int32) for name, shape in kept.items()}
    overflow, saturation = dict.fromkeys(sizes, 0), dict.fromkeys(sizes, 0)
    threshold = {x.name: layer_thresholds(program, x, checked) for x in program.layers}
    codes = {name: code_tensor(x, program.inputs[name]) for name, x in checked.codes.items()}
    for start in range(0, samples, held):
        rows = slice(start, start + held)
        values = {name: x[rows].to(device) for name, x in codes.items()}
        for layer in program.layers:
            name = layer.name
            run = runners[name](
                values[layer.source],
                threshold[name][rows],
                keep_membrane=name in membrane,
                out=spikes[name][rows],
            )
            values[name] = run.spikes
            if name in membrane:
                membrane[name][rows] = run.membrane.cpu().numpy()
            overflow[name] += run.overflow
            saturation[name] += run.saturation
        if progress is not None:
            progress(min(start + held, samples), samples)
    return Trace(spikes, overflow, saturation, membrane)


def _samples_at_once(program: Program, steps: int, device: str) -> int:
    """As many as keep the sums of the widest layer in a core's cache; more for a device."""
    sums = _CACHED_SUMS if device == "cpu" else _DEVICE_SUMS
    widest = max(len(layer.weight) for layer in program.layers)
    return max(1, sums // max(1, steps * widest))


def layer_runners(program: Program, device: str, kernel: Kernel) -> dict[str, LayerRun]:
    """Per layer a function `(codes, threshold, *, keep_membrane, state, out)`.

    Arguments as `kernels.run_numba`, but codes are a tensor on the device, and so is the result.

    Raises:
        BadInput: the machine lacks the device, or the kernel cannot run there.
    """
    chosen = choose_kernel(device, kernel)
    return {
        layer.name: _layer_run(layer, program.inputs.get(layer.source), device, chosen)
        for layer in program.layers
    }


def choose_kernel(device: str, kernel: Kernel) -> Kernel:
    """The kernel that "auto" means on a device; others are checked."""
    if kernel not in get_args(Kernel):
        raise BadInput(f"emulator: kernel {kernel!r} is not one of {get_args(Kernel)}")
    kind = device.partition(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise BadInput(f"emulator: torch sees no CUDA device for {device!r}; use device 'cpu'")
    has_numba = kind == "cpu" and kernels.HAS_NUMBA
    if kernel == "numba" and not has_numba:
        raise BadInput(
            f"emulator: kernel 'numba' runs on the CPU and needs numba, not on {device!r}; use "
            "kernel 'auto' or 'torch'"
        )
    if kernel == "auto":
        return "numba" if has_numba else "torch"
    return kernel


@lru_cache(maxsize=64)
def _layer_run(
    layer: ProgramLayer, code: InputCode | None, device: str, kernel: Kernel
) -> LayerRun:
    """Product and neurons of one layer; what depends on the layer alone is computed once."""
    product = exact_product(layer, code, device)
    constants = layer_constants(layer, code)

    def numba(codes: torch.Tensor, threshold: Codes, **options: Any) -> kernels.NeuronRun:
        run = kernels.run_numba(product(codes).numpy(), threshold, constants, **options)
        tensors = torch.from_numpy(run.spikes), torch.from_numpy(run.membrane)
        return kernels.NeuronRun(*tensors, run.overflow, run.saturation)

    def tensors(
        codes: torch.Tensor, threshold: Codes, *, out: Codes | None = None, **options: Any
    ) -> kernels.NeuronRun:
        limits = torch.from_numpy(threshold).to(device)
        run = run_torch(product(codes), limits, constants, **options)
        if out is not None:
            out[:] = run.spikes.cpu().numpy()
        return run

    return tensors if kernel == "torch" else numba


def neuron_constants(
    layer: ProgramLayer, *, reach: int = REGISTER_LIMIT
) -> kernels.NeuronConstants:
    """Constants of the neuron kernels; sums arrive as q x codes, half of weight x codes.

    Args:
        layer: the layer.
        reach: largest |a| that can arrive, where it is known (`program.accumulator_bound`).
    """
    bias = layer.bias.astype(np.int32)
    none = np.zeros_like(bias)
    to_current = layer.bias_to == "current"
    return kernels.NeuronConstants(
        up=1 + max(layer.weight_exp, 0),
        down=max(-layer.weight_exp, 0),
        to_current=bias >> fp.ALIGN_BITS if to_current else none,
        to_membrane=none if to_current else bias,
        keep_u=fp.DECAY_UNITY - (layer.du + 1),
        keep_v=fp.DECAY_UNITY - layer.dv,
        reach=reach,
    )


@lru_cache(maxsize=64)
def layer_constants(layer: ProgramLayer, code: InputCode | None) -> kernels.NeuronConstants:
    """`neuron_constants` with the reach that this input code allows."""
    reach = {} if code is None else {layer.source: (code.low, code.high)}
    return neuron_constants(layer, reach=accumulator_bound(layer, reach))


def layer_thresholds(
    program: Program, layer: ProgramLayer, part: ChipInput, *, first_step: int = 0
) -> npt.NDArray[np.int32]:
    """Thresholds << 6, int32 `(batch, time)`; in a table the part begins at `first_step`."""
    shape = (part.batch, part.steps)
    if program.policy == "dynamic" and part.theta is not None:
        return threshold_codes(layer, part.theta[layer.name]) << fp.ALIGN_BITS
    if program.policy == "table" and layer.vth_table is not None:
        now = layer.vth_table[first_step : first_step + part.steps] << fp.ALIGN_BITS
        return np.ascontiguousarray(np.broadcast_to(now, shape))
    return np.full(shape, layer.vth << fp.ALIGN_BITS, np.int32)
