"""Widths of Loihi's registers, and the integer rules of its weights and biases.

Reference: the bit-accurate CPU models of lava-nc 0.10.0 (`PyLifModelBitAcc`, `PyDenseModelBitAcc`,
`weightutils`), which state the arithmetic of the chip. All values are integers; arrays of any
integer type go in, int64 comes out. The equations of a neuron are in `program`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput

Ints = npt.NDArray[np.int64]
IntLike = npt.ArrayLike

STATE_BITS: Final = 24  # u and v, sign included
DECAY_BITS: Final = 12  # du and dv are fractions of 4096
ALIGN_BITS: Final = 6  # synaptic input and threshold are aligned to the state by << 6
THRESHOLD_BITS: Final = 17  # unsigned
MANTISSA_BITS: Final = 13  # of a bias, sign included
EXPONENT_BITS: Final = 3  # of a bias, unsigned
WEIGHT_BITS: Final = 8  # of a mixed-sign weight; it is written on a grid of 2^(9 - bits)

DECAY_UNITY: Final = 1 << DECAY_BITS
DECAY_MAX: Final = DECAY_UNITY - 1
STATE_LIMIT: Final = 1 << (STATE_BITS - 1)
THRESHOLD_MAX: Final = (1 << THRESHOLD_BITS) - 1
MANTISSA_MIN: Final = -(1 << (MANTISSA_BITS - 1))
MANTISSA_MAX: Final = (1 << (MANTISSA_BITS - 1)) - 1
EXPONENT_MAX: Final = (1 << EXPONENT_BITS) - 1
WEIGHT_MIN: Final = -(1 << WEIGHT_BITS)
WEIGHT_MAX: Final = (1 << WEIGHT_BITS) - 1
# |sum of weight x code| must stay below this, or sum << 6 leaves 24 bits and u wraps.
ACCUMULATOR_LIMIT: Final = STATE_LIMIT >> ALIGN_BITS


def shift(x: IntLike, exponent: int) -> Ints:
    """Multiply by 2^exponent; a negative one is an arithmetic right shift (towards -infinity).

    >>> shift([100, -5], -1).tolist()
    [50, -3]
    """
    value = np.asarray(x, dtype=np.int64)
    return value << exponent if exponent >= 0 else value >> -exponent


def weight_step(bits: int) -> int:
    """Spacing of mixed-sign weights of `bits` bits: 2^(9 - bits), so 2 at 8 bits and 32 at 4."""
    return 1 << (WEIGHT_BITS - bits + 1)


def even_weights(weight: IntLike, bits: int = WEIGHT_BITS) -> Ints:
    """Mixed-sign weights as the chip stores them: clip to -256..255, clear the lowest 9 - bits.

    >>> even_weights([3, 5, 7, -9]).tolist()
    [2, 4, 6, -10]
    >>> even_weights([100, -100], bits=4).tolist()
    [96, -128]
    """
    clear = WEIGHT_BITS - bits + 1
    clipped = np.clip(np.asarray(weight, dtype=np.int64), WEIGHT_MIN, WEIGHT_MAX)
    return (clipped >> clear) << clear


def split_mantissa_exponent(value: npt.ArrayLike, least: int = 0) -> tuple[Ints, int, int]:
    """Write numbers as mantissa * 2^exponent with one exponent for all of them.

    The exponent is the smallest of least..7 for which every rounded mantissa fits -4096..4095;
    where even 7 is not enough the mantissas are clipped.

    Args:
        value: real numbers in state LSBs, shape `(n,)`.
        least: smallest exponent.

    Returns:
        mantissa `(n,)`, exponent, and how many mantissas were clipped.

    Raises:
        BadInput: a value is not finite.

    >>> mantissa, exponent, clipped = split_mantissa_exponent([5000.0, -3.0])
    >>> mantissa.tolist(), exponent, clipped
    ([2500, -2], 1, 0)
    """
    real = np.asarray(value, dtype=np.float64)
    if not np.isfinite(real).all():
        raise BadInput("bias: holds values that are not finite")
    for exponent in range(least, EXPONENT_MAX + 1):
        mantissa = np.rint(real / (1 << exponent))
        clipped = np.clip(mantissa, MANTISSA_MIN, MANTISSA_MAX)
        beyond = int(np.count_nonzero(clipped != mantissa))
        if not beyond:
            break
    return clipped.astype(np.int64), exponent, beyond
