"""Norse's neurons over all steps of a sample in one pass, forward and backward.

In: drive `(batch, time, neuron)` on the CPU and thresholds `(batch, time)`; out: spikes. The same
numbers as Norse's cell step by step, in the same order of operations, so that spikes and gradients
are equal in every bit (tested); only the steps between are not kept as tensors. Per neuron, with
the surrogate tanh of slope a and g_t, h_t the gradients with respect to z_t and v_t::

    u_t = v_{t-1} + kappa (I_t - v_{t-1});   z_t = u_t - theta > 0;   v_t = (1 - z_t) u_t
    x_t = (g_t - h_t u_t) (1 - tanh(a (u_t - theta))^2)      the gradient at the threshold
    d_t = h_t (1 - z_t) + x_t;   dI_t = kappa d_t;   h_{t-1} = d_t - dI_t;   dtheta_t = - sum x_t

An integrator has u_t = v_{t-1} + I_t, dI_t = h_{t-1} = d_t. The tanh is torch's, because its last
bit differs from the one of the C library.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_BLOCK = 1 << 16  # numbers of a block: four arrays of them fit into a cache of 1 MB
Floats = npt.NDArray[Any]  # float32 or float64, all of a call alike


def fits(drive: Tensor, surrogate: str) -> bool:
    """Whether these neurons can run fused; Norse's cell runs the others step by step."""
    return (
        surrogate == "tanh"
        and drive.device.type == "cpu"
        and drive.dtype in (torch.float32, torch.float64)
    )


def fused(drive: Tensor, theta: Tensor, *, kappa: float | None, slope: float) -> Tensor:
    """Spikes of the `drive`, both `(batch, time, neuron)`; float32 or float64, on the CPU.

    `theta` `(batch, time)`, or one number that learns nothing, has its type. `kappa` is the leak
    per step, None integrates without one; `slope` that of the surrogate tanh.
    """
    spikes: Tensor = _Fused.apply(drive, theta, kappa, slope)  # type: ignore[no-untyped-call]
    return spikes


class _Fused(torch.autograd.Function):
    """(drive, theta) -> spikes. The drive is kept, membranes are computed again in `backward`.

    Memory traffic is what this costs beside the matrix products: so nothing of the size of the
    drive is written but the result, and the backward goes through blocks that stay in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, theta: Tensor, kappa: float | None, slope: float
    ) -> Tensor:
        """All steps of a neuron from the first to the last."""
        spikes = torch.empty(drive.shape, dtype=drive.dtype)
        _forward(_array(drive), _each(theta, drive), spikes.numpy(), *_leak(kappa, drive))
        ctx.save_for_backward(drive, theta)
        ctx.kappa, ctx.slope = kappa, slope
        return spikes

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        """All steps of a neuron from the last to the first."""
        drive, theta = ctx.saved_tensors
        leak = _leak(ctx.kappa, drive)
        slope = type(leak[0])(ctx.slope)
        current, limit, given = _array(drive), _each(theta, drive), _array(gradient)
        found = torch.empty(drive.shape, dtype=drive.dtype)
        # The gradient at the threshold is kept for theta alone.
        at = torch.empty_like(found) if ctx.needs_input_grad[1] else found.new_empty(0, 0, 0)
        rows = max(1, _BLOCK // max(1, drive.shape[1:].numel()))
        peak, bent = torch.empty((2, rows, *drive.shape[1:]), dtype=drive.dtype)
        scratch = (peak.numpy(), bent.numpy())
        for start in range(0, len(drive), rows):
            _again(start, current, limit, *scratch, slope, *leak)
            bent.tanh_()
            _backward(start, limit, given, *scratch, found.numpy(), at.numpy(), *leak)
        if not ctx.needs_input_grad[1]:
            return found, None, None, None
        return found, (-at).sum(-1), None, None


def _array(x: Tensor) -> Floats:
    array: Floats = x.detach().contiguous().numpy()
    return array


def _each(theta: Tensor, drive: Tensor) -> Floats:
    """Thresholds `(batch, time)`."""
    return _array(theta.expand(drive.shape[:2]))


def _leak(kappa: float | None, like: Tensor) -> tuple[np.floating[Any], bool]:
    """The leak as a number of the drive's type, and whether there is one."""
    kind = np.float32 if like.dtype == torch.float32 else np.float64
    return kind(0.0 if kappa is None else kappa), kappa is not None


def _forward_loop(drive: Floats, theta: Floats, spikes: Floats, kappa: Any, leaky: bool) -> None:
    """Fills `spikes`."""
    batch, steps, size = drive.shape
    v = np.empty(size, drive.dtype)
    for b in range(batch):
        v[:] = 0
        for t in range(steps):
            limit = theta[b, t]
            for n in range(size):
                now = drive[b, t, n]
                u = v[n] + kappa * (now - v[n]) if leaky else v[n] + now
                above = u - limit > 0
                spikes[b, t, n] = 1 if above else 0
                v[n] = 0 if above else u


def _again_loop(
    start: int,
    drive: Floats,
    theta: Floats,
    peak: Floats,
    bent: Floats,
    slope: Any,
    kappa: Any,
    leaky: bool,
) -> None:
    """The forward pass of the block at `start`: `peak` gets u, `bent` slope x (u - theta)."""
    batch, steps, size = drive.shape
    v = np.empty(size, drive.dtype)
    for b in range(start, min(batch, start + len(peak))):
        v[:] = 0
        for t in range(steps):
            limit = theta[b, t]
            for n in range(size):
                now = drive[b, t, n]
                u = v[n] + kappa * (now - v[n]) if leaky else v[n] + now
                distance = u - limit
                peak[b - start, t, n] = u
                bent[b - start, t, n] = distance * slope
                v[n] = 0 if distance > 0 else u


def _backward_loop(
    start: int,
    theta: Floats,
    gradient: Floats,
    peak: Floats,
    bent: Floats,
    found: Floats,
    at: Floats,
    kappa: Any,
    leaky: bool,
) -> None:
    """`bent` holds the tanh; `found` gets dI, and `at` gets x where it is not empty."""
    batch, steps, size = found.shape
    wanted = at.size > 0
    one = peak.dtype.type(1)
    h = np.empty(size, peak.dtype)
    for b in range(start, min(batch, start + len(peak))):
        h[:] = 0
        # Memory is read and written once in its own order; the walk back then stays in the cache.
        for t in range(steps):
            for n in range(size):
                found[b, t, n] = gradient[b, t, n]
        for t in range(steps - 1, -1, -1):
            limit = theta[b, t]
            for n in range(size):
                u, curve = peak[b - start, t, n], bent[b - start, t, n]
                x = (found[b, t, n] - h[n] * u) * (one - curve * curve)
                d = x if u - limit > 0 else h[n] + x
                back = kappa * d if leaky else d
                found[b, t, n] = back
                h[n] = d - back if leaky else d
                if wanted:
                    at[b, t, n] = x


# numba's decorator is untyped; naming the compiled functions keeps their signatures.
_forward: Callable[..., None] = numba.njit(cache=True, nogil=True)(_forward_loop)
_again: Callable[..., None] = numba.njit(cache=True, nogil=True)(_again_loop)
_backward: Callable[..., None] = numba.njit(cache=True, nogil=True)(_backward_loop)
