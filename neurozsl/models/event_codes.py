"""Features as events: codes that say only where a feature changed, and their threshold.

In: features `(batch, time, features)`; out: integers, mostly 0. Per feature, threshold `step` C::

    change  d_t = x_t - x_{t-1}                                        no memory beyond a step
    delta   d_t = x_t - r_{t-1};   r_t = r_{t-1} + C q_t               send on delta

    q_t = sign(d_t) min(floor(|d_t| / C), high);   x_{-1} = r_{-1} = 0

`delta` is level-crossing sampling (Miskowicz, Sensors 2006): the receiver's sum of events, r, stays
within C of x unless x moves by more than `high` levels a step, and then catches up. `change`
forgets what lay below the threshold. high is 1 for ternary codes and for ON and OFF channels; a
graded code sends up to 2^(bits-1) - 1 levels in one event. Each event is worth 1 a level (`scale`),
whatever the threshold.

The first step is compared with 0: a sample starts with an empty membrane, so its first events must
say where the features stand, and later ones where they went. Hence features that never change
(`encode=repeat`) have events in the first step alone with `change`, and with `delta` until r has
arrived. Padding sends nothing and moves no reference.

Gradient (straight-through): that of the line from 0 to the end of the staircase, on what moved
since the step before; 0 where the event is clipped. The reference moves along with the features, so
raising all steps of a feature changes its first events alone.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode

EventEncoder = Literal["change", "delta"]
EventKind = Literal["ternary", "on_off", "graded"]
EVENT_ENCODERS: tuple[EventEncoder, ...] = ("change", "delta")

_DECADES, _HALVINGS = 6, 24  # of the search for a threshold: 1e-6 relative


def event_code(
    features: int, *, encoder: EventEncoder, kind: EventKind, bits: int, step: float = 1.0
) -> InputCode:
    """Code of events; `bits` are those of graded ones, sign included."""
    if kind == "on_off":
        return InputCode(2 * features, "binary", 1, False, 1.0, encoder, 2, step)
    return InputCode(features, kind, 1 if kind == "ternary" else bits, True, 1.0, encoder, 1, step)


def encode_events(
    values: Tensor, code: InputCode, mask: Tensor | None = None, step: Tensor | None = None
) -> Tensor:
    """Events of `values` `(batch, time, features)` as float tensor that holds integers.

    `mask` `(batch, time)` says which steps are real; None: all. `step` gets a gradient in the place
    of `code.step`, whose value it has.
    """
    real = torch.ones_like(values[..., :1]) if mask is None else mask.unsqueeze(-1).to(values)
    before = torch.cat([torch.zeros_like(values[:, :1]), values[:, :-1]], 1)
    moved = values - before
    error = _errors(values, code, real) if code.encoder == "delta" else moved.detach()
    events = _levels(error, code) * real
    passes = real * (error.abs() < (code.high + 1) * code.step)
    soft = moved * passes * (code.high / (code.high + 1) / code.step)
    events = events + (soft - soft.detach())
    if step is not None:
        events = events + threshold_gradient(error, step, code.high) * real
    if code.kind != "binary":
        return events
    return torch.cat([events * (error > 0), -events * (error < 0)], -1)


def threshold_gradient(error: Tensor, step: Tensor, high: int = 1) -> Tensor:
    """Zeros, whose gradient with respect to the threshold `step` is that of the events.

    It is that of the line from 0 to the end of the staircase, `high` levels: a higher threshold
    brings every event that is not clipped closer to 0. `error`, what is compared with the
    threshold, gets none.
    """
    soft = (error.detach() * (high / (high + 1)) / step).clamp(-high, high)
    return soft - soft.detach()


def event_rate(codes: Tensor, code: InputCode, mask: Tensor | None = None) -> float:
    """Share of the (feature, real step) pairs of `codes` `(batch, time, size)` that have an event.

    ON and OFF of a feature are one pair.
    """
    steps = codes.shape[0] * codes.shape[1] if mask is None else int(mask.sum())
    features = codes.shape[-1] // (code.levels if code.kind == "binary" else 1)
    return int(codes.count_nonzero()) / max(1, steps * features)


@torch.no_grad()
def with_rate(
    code: InputCode, values: Tensor, rate: float, mask: Tensor | None = None
) -> InputCode:
    """The code with the threshold at which `values` `(batch, time, features)` have `rate` events.

    rate: share of (feature, real step) pairs, see `event_rate`. Values that are all 0 leave the
    threshold as it is.

    Raises:
        BadInput: no threshold gives as many events.
    """

    def rate_of(step: float) -> float:
        tried = replace(code, step=step)
        return event_rate(encode_events(values, tried, mask), tried, mask)

    top = 2 * float(values.abs().max())
    if top == 0:
        return code
    return replace(code, step=threshold_of(rate, rate_of, top))


def threshold_of(rate: float, rate_of: Callable[[float], float], top: float) -> float:
    """The lowest threshold, a float32, at which at most `rate` of the pairs have an event.

    `rate_of` gives the rate of a threshold, and falls with it, so the threshold is found by
    halving, between `top`, where there are no events, and six decades below it.

    Raises:
        BadInput: the lowest threshold has fewer events than `rate`.
    """
    low, high = top * 10.0**-_DECADES, top
    most = rate_of(low)
    if most < rate:
        raise BadInput(
            f"event rate {rate:g}: at most {most:.3g} of the (feature, step) pairs of the training "
            "data change at all; ask for a lower rate, or set the threshold itself"
        )
    for _ in range(_HALVINGS):
        middle = _float32(math.sqrt(low * high))
        low, high = (middle, high) if rate_of(middle) > rate else (low, middle)
    return _float32(high)


def _float32(value: float) -> float:
    """The nearest value that tensors hold exactly."""
    return float(torch.tensor(value, dtype=torch.float32))


@torch.no_grad()
def _errors(values: Tensor, code: InputCode, real: Tensor) -> Tensor:
    """How far `values` are from what the receiver knows, before each step."""
    level = torch.zeros_like(values[:, 0])
    errors = []
    for now, there in zip(values.unbind(1), real.unbind(1), strict=True):
        error = now - level * code.step
        level = level + _levels(error, code) * there
        errors.append(error)
    return torch.stack(errors, 1)


def _levels(error: Tensor, code: InputCode) -> Tensor:
    """Levels that `error` spans, towards 0, as far as an event holds them."""
    # By a scalar CUDA multiplies with its reciprocal, which is another number at times.
    return torch.trunc(error / error.new_tensor(code.step)).clamp(-code.high, code.high)
