"""Batched emulator of the chip's integer neuron: `emulate(program, chip_input) -> Trace`.

Bit for bit the fixed-point models of lava-nc 0.10.0 without their one step of delay per synapse:
wrap of the current, saturation of the membrane, truncating decays (see `program`). The weighted
sums of all steps of a layer are one exact product, the neurons one fused loop (`kernels`).

Products never round or wrap: every weight is 2 q, and q x codes is summed in the first of

    int8 x int8 -> int32     codes in -128..127, and the CPU's product passed a check at its limits
    float32                  worst sum of |q code| below 2^24
    float64                  worst sum below 2^53 (and on every device but the CPU)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.hardware import fixedpoint as fp
from neurozsl.hardware import kernels
from neurozsl.hardware.floatsim import Progress, Record
from neurozsl.hardware.program import Program, ProgramLayer, threshold_codes
from neurozsl.signals import ChipInput, InputCode, Trace

_SMALLEST: Final = 16  # below this a layer gains nothing from int8

Codes = npt.NDArray[Any]
Product = Callable[[Codes], npt.NDArray[np.int32]]  # (batch, time, in) -> (batch, time, out)


def emulate(
    program: Program,
    chip_input: ChipInput,
    *,
    record: tuple[Record, ...] = ("spikes",),
    batch: int = 256,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Trace:
    """Spikes of every layer as the chip would give them.

    Args:
        program: integers of the network.
        chip_input: codes `(samples, time, size)`; theta where the policy is dynamic.
        record: add "membrane" for v after each step, int32 `(samples, time, neuron)`.
        batch: samples that are held at once.
        device: where the weighted sums are computed; neurons always run on the CPU.
        progress: called with (samples done, samples in all) after each batch.

    Returns:
        Trace with uint8 spikes; overflow counts sample x step x neuron where the current wrapped,
        saturation where the membrane was clipped.

    Raises:
        BadInput: see `Program.check`; a dynamic threshold that is no 17-bit integer.
    """
    checked = program.check(chip_input)
    samples = checked.batch
    runs: dict[str, list[kernels.NeuronRun]] = {layer.name: [] for layer in program.layers}
    for start in range(0, max(samples, 1), batch):
        part = checked.take(slice(start, start + batch))
        values: dict[str, Codes] = dict(part.codes)
        for layer in program.layers:
            product = _product(layer, program.inputs.get(layer.source), device)
            run = kernels.run_neurons(
                product(values[layer.source]),
                _thresholds(program, layer, part) << fp.ALIGN_BITS,
                neuron_constants(layer),
                keep_membrane="membrane" in record,
            )
            values[layer.name] = run.spikes
            runs[layer.name].append(run)
        if progress is not None:
            progress(min(start + batch, samples), samples)
    membrane = {}
    if "membrane" in record:
        membrane = {name: np.concatenate([r.membrane for r in rs]) for name, rs in runs.items()}
    return Trace(
        spikes={name: np.concatenate([r.spikes for r in rs]) for name, rs in runs.items()},
        overflow={name: sum(r.overflow for r in rs) for name, rs in runs.items()},
        saturation={name: sum(r.saturation for r in rs) for name, rs in runs.items()},
        membrane=membrane,
    )


def neuron_constants(layer: ProgramLayer) -> kernels.NeuronConstants:
    """Constants of the neuron kernels; sums arrive as q x codes, half of weight x codes."""
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
    )


def _thresholds(program: Program, layer: ProgramLayer, part: ChipInput) -> npt.NDArray[np.int32]:
    """Threshold per sample and step, int32 `(batch, time)`, before the alignment shift."""
    shape = (part.batch, part.steps)
    if program.policy == "dynamic" and part.theta is not None:
        return threshold_codes(layer, part.theta[layer.name])
    if program.policy == "table" and layer.vth_table is not None:
        return np.ascontiguousarray(np.broadcast_to(layer.vth_table, shape))
    return np.full(shape, layer.vth, np.int32)


@lru_cache(maxsize=64)
def _product(layer: ProgramLayer, code: InputCode | None, device: str) -> Product:
    """The exact product for this layer and the codes that can reach it."""
    half = layer.weight >> 1  # exact: mixed-sign weights are even
    low, high = (0, 1) if code is None else (code.low, code.high)
    worst = int(np.abs(half.astype(np.int64)).sum(axis=1).max()) * max(-low, high)
    if device == "cpu" and low >= -128 and high <= 127 and _int8_is_exact(half, low, high):
        return int8_product(half)
    if device == "cpu" and worst < 1 << 24:
        return float_product(half, torch.float32, device)
    return float_product(half, torch.float64, device)


def int8_product(half: Codes) -> Product:
    """Codes x half^T in int8 with int32 sums (an int32 holds any sum that a Program admits)."""
    columns = torch.from_numpy(half.astype(np.int8)).t()

    def product(codes: Codes) -> npt.NDArray[np.int32]:
        samples, steps, size = codes.shape
        if not samples * steps:
            return np.zeros((samples, steps, columns.shape[1]), np.int32)
        narrow = codes.view(np.int8) if codes.dtype == np.uint8 else codes.astype(np.int8)
        rows = torch.from_numpy(np.ascontiguousarray(narrow).reshape(-1, size))
        sums: npt.NDArray[np.int32] = torch._int_mm(rows, columns).numpy()
        return sums.reshape(samples, steps, -1)

    return product


def float_product(half: Codes, dtype: torch.dtype, device: str) -> Product:
    """Codes x half^T in floating point; the caller guarantees that every sum is an exact float."""
    columns = torch.from_numpy(half.astype(np.float64)).to(device, dtype).t()

    def product(codes: Codes) -> npt.NDArray[np.int32]:
        rows = torch.from_numpy(np.ascontiguousarray(codes)).to(device, dtype)
        sums: npt.NDArray[np.int32] = torch.matmul(rows, columns).to(torch.int32).cpu().numpy()
        return sums

    return product


def _int8_is_exact(half: Codes, low: int, high: int) -> bool:
    """Compare int8 products of this shape with int64, at the limits and for these weights.

    CPUs without 8-bit dot products may add pairs in 16 bits that saturate, and torch 2.13 returns
    garbage for a single input (K = 1); neither says so.
    """
    outputs, inputs = half.shape
    if not hasattr(torch, "_int_mm") or inputs < _SMALLEST or outputs < _SMALLEST:
        return False
    drawn = np.random.default_rng(0).integers(low, high + 1, (6, inputs))
    codes = np.concatenate([np.full((1, inputs), low), np.full((1, inputs), high), drawn])
    for weights in (half, np.full_like(half, -128), np.full_like(half, 127)):
        exact = codes @ weights.T.astype(np.int64)
        product = int8_product(weights)
        for rows in (slice(0, 1), slice(1, 2), slice(None)):
            given = codes[None, rows].astype(np.int16)
            if not np.array_equal(product(given)[0], exact[rows]):
                return False
    return True
