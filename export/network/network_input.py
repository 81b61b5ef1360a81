"""Input of a `Network`: arrays of a file, or synthetic spikes, as integer codes.

A file is `.npz` with one array per input of the network (or a single one where it has one input),
`(batch, time, ...)` or `(time, ...)`; a `.npy` is a single array. Values choose the code:

    0 and 1               binary               integers         graded, as many bits as they need
    -1, 0 and 1           ternary              real numbers     graded, 8 bits, rounded to a scale
                                               that is a power of two (the rounding is reported)

A network that declares its codes itself, as that of a bundle, gets integers as these codes, and
real numbers rounded to the scale that it declares.

`poisson` draws every channel and step independently: a spike with probability `rate` (Bernoulli,
the discrete form of a Poisson process). It is synthetic and says so.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.npz import is_npz, read_npy, read_npz
from neurozsl.core.reading import file_size
from neurozsl.core.signals import ChipInput, InputCode

GRADED_BITS: Final = 8
_LARGEST_CODE: Final = 32767  # codes travel as int16


@dataclass(frozen=True)
class Given:
    """Codes for a network. notes: what coding changed, or that the input is synthetic."""

    chip_input: ChipInput
    notes: tuple[str, ...] = ()


def poisson(
    shapes: Mapping[str, tuple[int, ...]], *, rate: float, samples: int, steps: int, seed: int = 0
) -> Given:
    """Independent spikes on all inputs, whose `shapes` are without batch and time.

    `rate` is the probability of a spike per channel and step, 0..1; `steps` is T.
    """
    if not 0 <= rate <= 1:
        raise BadInput(f"--poisson {rate:g}: a probability of a spike per step, expected 0..1")
    rng, codes, code = np.random.default_rng(seed), {}, {}
    for name, shape in shapes.items():
        size = math.prod(shape)
        codes[name] = (rng.random((samples, steps, size)) < rate).astype(np.int16)
        code[name] = InputCode(size, "binary", 1, False, 1.0)
    note = f"input is synthetic: Bernoulli spikes, {rate:g} per channel and step, seed {seed}"
    return Given(ChipInput(codes, code), (note,))


def read_input(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    declared: Mapping[str, InputCode] | None = None,
) -> Given:
    """Arrays of a file as codes; declared: those of the network, where it says them.

    Raises:
        BadInput: not such a file, an input that is missing or of another shape, values that are
            not finite.
    """
    return encode(_load(Path(path), shapes), shapes, str(path), declared)


def encode(
    arrays: Mapping[str, npt.NDArray[Any]],
    shapes: Mapping[str, tuple[int, ...]],
    where: str = "input",
    declared: Mapping[str, InputCode] | None = None,
) -> Given:
    """Arrays as codes; see the module docstring."""
    codes, code, notes = {}, {}, []
    for name, shape in shapes.items():
        if name not in arrays:
            raise BadInput(
                f"{where}: no array '{name}'; it holds {', '.join(arrays) or 'nothing'}, name its "
                f"arrays after the inputs: {', '.join(shapes)}"
            )
        values = _shaped(f"{where}: '{name}'", arrays[name], shape)
        known = (declared or {}).get(name)
        if known is not None and known.kind == "graded" and not _are_whole(values):
            codes[name], code[name], note = _as_graded(values, known)
        else:
            codes[name], code[name], note = _code(values)
        notes += [f"input '{name}': {note}"] if note else []
    if len({x.shape[:2] for x in codes.values()}) > 1:
        sizes = {name: x.shape[:2] for name, x in codes.items()}
        raise BadInput(f"{where}: (batch, time) differ between inputs: {sizes}")
    return Given(ChipInput(codes, code), tuple(notes))


def _load(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, npt.NDArray[Any]]:
    file_size(path, remedy="give a .npz or .npy file, or --poisson RATE")
    remedy = "write it with numpy.savez(path, NAME=array)"
    arrays = read_npz(path, remedy=remedy) if is_npz(path) else {"": read_npy(path, remedy=remedy)}
    if len(arrays) == 1 and len(shapes) == 1:  # one array, one input: no name is needed
        return {next(iter(shapes)): next(iter(arrays.values()))}
    return arrays


def _shaped(where: str, value: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """`(batch, time, size)`."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise BadInput(f"{where}: type {array.dtype}, expected numbers")
    size = math.prod(shape)
    if array.shape[-len(shape) :] == shape:
        rank = array.ndim - len(shape)
    elif array.ndim and array.shape[-1] == size:  # flat
        rank = array.ndim - 1
    else:
        wide = ", ".join(map(str, shape))
        raise BadInput(
            f"{where}: shape {array.shape}, expected (batch, time, {wide}) or (time, {wide})"
        )
    if rank not in (1, 2):
        raise BadInput(f"{where}: shape {array.shape}, expected (batch, time, ...) or (time, ...)")
    made = array.reshape(*(array.shape[:rank] if rank == 2 else (1, array.shape[0])), size)
    if not made.size:
        raise BadInput(f"{where}: shape {array.shape} holds no value")
    if not np.isfinite(made).all():
        raise BadInput(f"{where}: holds NaN or infinite values; mend the file")
    return made.astype(np.float64)


def _code(values: npt.NDArray[np.float64]) -> tuple[Any, InputCode, str]:
    size = values.shape[2]
    low, high = float(values.min()), float(values.max())
    signed = low < 0
    if _are_whole(values) and max(high, -low) <= _LARGEST_CODE:
        if low >= -1 and high <= 1:
            kind = InputCode(size, "ternary" if signed else "binary", 1, False, 1.0)
            return values.astype(np.int16), kind, ""
        bits = int(max(high, -low)).bit_length() + signed
        return values.astype(np.int16), InputCode(size, "graded", bits, signed, 1.0), ""
    top = 2 ** (GRADED_BITS - 1) - 1 if signed else 2**GRADED_BITS - 1
    scale = 2.0 ** math.ceil(math.log2(max(high, -low) / top))
    return _as_graded(values, InputCode(size, "graded", GRADED_BITS, signed, scale))


def _are_whole(values: npt.NDArray[np.float64]) -> bool:
    return bool(np.array_equal(values, np.rint(values)))


def _as_graded(values: npt.NDArray[np.float64], code: InputCode) -> tuple[Any, InputCode, str]:
    """Real numbers rounded to the scale of a code; its range is checked where they are used."""
    codes = np.rint(values / code.scale)
    worst = float(np.abs(values - codes * code.scale).max())
    note = (
        f"real values, coded as {code.bits}-bit graded spikes of {code.scale:g} each; the largest "
        f"rounding is {worst:.3g}, and spikes may differ from those of the exact values"
    )
    return np.clip(codes, -_LARGEST_CODE, _LARGEST_CODE).astype(np.int16), code, note
