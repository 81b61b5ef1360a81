"""Rules of Loihi's neuron as pure functions on int64 arrays, beside which the kernels are tested.

Reference: the bit-accurate CPU models of lava-nc 0.10.0 (`PyLifModelBitAcc`).
"""

from __future__ import annotations

import numpy as np

from neurozsl.hardware.loihi import fixedpoint as fp


def wrap_signed(x: fp.IntLike, bits: int = fp.STATE_BITS) -> fp.Ints:
    """Fold once into the signed range of `bits`, keeping +2^(bits-1) (as the reference does).

    x - 2^bits where x > 2^(bits-1); x + 2^bits where x <= -2^(bits-1); else x

    For |x| <= 3 * 2^(bits-1) this is arithmetic modulo 2^bits on the interval
    (-2^(bits-1), 2^(bits-1)]. Beyond, the reference folds only once, and so does this.
    """
    value = np.asarray(x, dtype=np.int64)
    limit, span = 1 << (bits - 1), 1 << bits
    return np.where(value > limit, value - span, np.where(value <= -limit, value + span, value))


def saturate_signed(x: fp.IntLike, bits: int = fp.STATE_BITS) -> fp.Ints:
    """Clip to the symmetric range -(2^(bits-1) - 1) .. 2^(bits-1) - 1."""
    limit = (1 << (bits - 1)) - 1
    return np.clip(np.asarray(x, dtype=np.int64), -limit, limit)


def decay_towards_zero(x: fp.IntLike, decay_u12: fp.IntLike, offset: int = 0) -> fp.Ints:
    """sign(x) * floor(|x| * (4096 - (decay_u12 + offset)) / 4096).

    Args:
        x: state, any shape.
        decay_u12: fraction lost in one step, in 1/4096, 0..4095.
        offset: 1 for the synaptic current (so 4095 forgets everything), 0 for the membrane.
    """
    value = np.asarray(x, dtype=np.int64)
    keep = fp.DECAY_UNITY - (np.asarray(decay_u12, dtype=np.int64) + offset)
    decayed: fp.Ints = np.sign(value) * ((np.abs(value) * keep) >> fp.DECAY_BITS)
    return decayed
