"""Event codes beside a loop in plain Python: values, thresholds, padding, gradients, rates."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.models.coding import encode
from neurozsl.models.event_codes import (
    EVENT_ENCODERS,
    EventEncoder,
    EventKind,
    event_code,
    event_rate,
    with_rate,
)

KINDS: tuple[EventKind, ...] = ("ternary", "on_off", "graded")
CASES = list(product(EVENT_ENCODERS, KINDS))


def features(n: int = 6, steps: int = 9, size: int = 7, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, steps, size, generator=g)


def padding(n: int = 6, steps: int = 9) -> torch.Tensor:
    """The last steps of most samples are padding, and one step in the middle of one."""
    mask = torch.arange(steps)[None] < torch.tensor([9, 5, 1, 8, 9, 3])[:n, None]
    mask[0, 4] = False
    return mask


def by_hand(
    values: torch.Tensor, code: InputCode, mask: torch.Tensor | None = None
) -> npt.NDArray[np.float32]:
    """Events sample by sample, channel by channel, step by step."""
    x = values.detach().numpy()
    found = np.zeros_like(x)
    step = np.float32(code.step)
    for sample, channel in product(range(x.shape[0]), range(x.shape[2])):
        before, level = np.float32(0), 0
        for t in range(x.shape[1]):
            now = x[sample, t, channel]
            seen = before if code.encoder == "change" else np.float32(level) * step
            before = now
            if mask is not None and not mask[sample, t]:
                continue
            error = now - seen
            size = 0
            while size < code.high and np.float32(abs(error) / step) >= size + 1:
                size += 1
            event = size if error > 0 else -size
            level += event
            found[sample, t, channel] = event
    if code.kind == "binary":
        return np.concatenate([found > 0, found < 0], -1).astype(np.float32)
    return found


@pytest.mark.parametrize(("encoder", "kind"), CASES)
@pytest.mark.parametrize("step", [0.3, 1.0, 2.5])
def test_events_are_those_of_the_loop(encoder: EventEncoder, kind: EventKind, step: float) -> None:
    code = event_code(7, encoder=encoder, kind=kind, bits=3, step=step)
    mask = padding()
    values = features() * mask.unsqueeze(-1)
    for real in (None, mask):
        found = encode(values, code, real)
        assert np.array_equal(found.numpy(), by_hand(values, code, real))
        assert found.any()


def test_a_change_reaches_the_threshold_and_delta_follows_in_levels() -> None:
    values = torch.tensor([0.5, 1.0, 1.0, 3.0, 3.0, 2.25]).reshape(1, 6, 1)
    read = {
        ("change", "ternary"): [0, 0, 0, 1, 0, 0],
        ("change", "graded"): [0, 0, 0, 2, 0, 0],
        ("delta", "ternary"): [0, 1, 0, 1, 1, 0],
        ("delta", "graded"): [0, 1, 0, 2, 0, 0],
    }
    for (encoder, kind), events in read.items():
        code = event_code(1, encoder=encoder, kind=kind, bits=4)  # type: ignore[arg-type]
        assert encode(values, code).flatten().tolist() == events, (encoder, kind)


def test_the_sum_of_graded_delta_codes_stays_within_a_threshold_of_the_feature() -> None:
    values = features()
    code = event_code(7, encoder="delta", kind="graded", bits=8, step=0.1)
    back = encode(values, code).cumsum(1) * code.step
    assert float((back - values).abs().max()) < 0.1 + 1e-6


@pytest.mark.parametrize("encoder", EVENT_ENCODERS)
def test_on_and_off_are_the_signs_of_the_ternary_events(encoder: EventEncoder) -> None:
    ternary = event_code(7, encoder=encoder, kind="ternary", bits=1, step=0.8)
    both = event_code(7, encoder=encoder, kind="on_off", bits=1, step=0.8)
    on, off = encode(features(), both).chunk(2, -1)
    assert torch.equal(on - off, encode(features(), ternary))
    assert (both.size, both.kind, both.levels) == (14, "binary", 2)


@pytest.mark.parametrize(("encoder", "kind"), CASES)
def test_padding_has_no_events_and_changes_none(encoder: EventEncoder, kind: EventKind) -> None:
    code = event_code(7, encoder=encoder, kind=kind, bits=4, step=0.4)
    mask = torch.arange(9)[None] < torch.tensor([9, 5, 1, 8, 9, 3])[:, None]
    values = features() * mask.unsqueeze(-1)
    padded = encode(values, code, mask)
    assert not padded[~mask].any() and padded.any()
    assert torch.equal(padded[1, :5], encode(values[1:2, :5], code)[0])
    assert encode(values, code)[~mask].any()  # without the mask, the fall to 0 is a change


@pytest.mark.parametrize(("encoder", "kind"), CASES)
def test_events_of_a_sample_do_not_depend_on_its_batch(
    encoder: EventEncoder, kind: EventKind
) -> None:
    code = event_code(7, encoder=encoder, kind=kind, bits=4, step=0.4)
    alone = [encode(row[None], code) for row in features()]
    assert torch.equal(torch.cat(alone), encode(features(), code))


@pytest.mark.parametrize(("encoder", "kind"), CASES)
def test_a_feature_that_never_changes_is_sent_once(encoder: EventEncoder, kind: EventKind) -> None:
    code = event_code(1, encoder=encoder, kind=kind, bits=4, step=1.0)
    events = encode(torch.full((1, 6, 1), 2.5), code).count_nonzero(-1).flatten().tolist()
    catches_up = encoder == "delta" and kind != "graded"  # a level a step
    assert events == ([1, 1, 0, 0, 0, 0] if catches_up else [1, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(("encoder", "kind"), CASES)
def test_codes_are_legal_integers(encoder: EventEncoder, kind: EventKind) -> None:
    code = event_code(7, encoder=encoder, kind=kind, bits=3, step=0.01)
    chip = ChipInput({"x": encode(features(), code)}, {"x": code}).to_numpy()
    assert chip.codes["x"].min() == code.low and chip.codes["x"].max() == code.high


@pytest.mark.parametrize(("encoder", "kind"), CASES)
def test_the_gradient_is_that_of_the_staircase_without_its_steps(
    encoder: EventEncoder, kind: EventKind
) -> None:
    code = event_code(1, encoder=encoder, kind=kind, bits=4, step=0.5)
    slope = code.high / (code.high + 1) / code.step
    values = torch.tensor([0.0, 0.6, 0.0]).reshape(1, 3, 1).requires_grad_()
    torch.autograd.backward(encode(values, code)[0, 1, 0])  # ON, where there are two channels
    assert values.grad is not None
    assert values.grad.flatten().tolist() == pytest.approx([-slope, slope, 0.0])


@pytest.mark.parametrize(("encoder", "kind"), CASES)
def test_clipped_and_padded_events_pass_no_gradient(encoder: EventEncoder, kind: EventKind) -> None:
    code = event_code(1, encoder=encoder, kind=kind, bits=3, step=0.5)
    far = torch.full((1, 1, 1), 100.0, requires_grad=True)
    torch.autograd.backward(encode(far, code).sum())
    padded = torch.full((1, 1, 1), 0.6, requires_grad=True)
    torch.autograd.backward(encode(padded, code, torch.zeros(1, 1, dtype=torch.bool)).sum())
    for given in (far, padded):
        assert given.grad is not None and not given.grad.any()


@pytest.mark.parametrize(("encoder", "kind"), CASES)
@pytest.mark.parametrize("rate", [0.05, 0.15, 0.4])
def test_the_threshold_is_found_from_the_rate(
    encoder: EventEncoder, kind: EventKind, rate: float
) -> None:
    values, mask = features(40, 9, 20).cumsum(1), padding(6).repeat(7, 1)[:40]
    values = values * mask.unsqueeze(-1)
    start = event_code(20, encoder=encoder, kind=kind, bits=4)
    code = with_rate(start, values, rate, mask)
    events = encode(values, code, mask)
    counted = int(events.count_nonzero()) / (int(mask.sum()) * 20)
    assert counted == pytest.approx(rate, rel=0.02)
    assert event_rate(events, code, mask) == pytest.approx(counted)
    assert code == replace(start, step=code.step)
    assert np.float32(code.step) == code.step  # tensors hold it as it is


def test_a_rate_that_no_threshold_gives_is_refused() -> None:
    constant = torch.full((3, 10, 4), 2.0)
    code = event_code(4, encoder="change", kind="ternary", bits=1)
    assert event_rate(encode(constant, with_rate(code, constant, 0.1)), code) == 0.1
    with pytest.raises(BadInput, match=r"event rate 0\.3: at most 0\.1 of .* lower rate"):
        with_rate(code, constant, 0.3)
    assert with_rate(code, torch.zeros(3, 10, 4), 0.3) == code


@pytest.mark.parametrize(("encoder", "kind"), CASES)
def test_a_higher_threshold_means_fewer_events_says_its_gradient(
    encoder: EventEncoder, kind: EventKind
) -> None:
    code = event_code(7, encoder=encoder, kind=kind, bits=4, step=0.5)
    step = torch.tensor(0.5, requires_grad=True)
    mask = padding()
    values = features() * mask.unsqueeze(-1)
    events = encode(values, code, mask, step)
    assert torch.equal(events, encode(values, code, mask))  # its value is the code's
    torch.autograd.backward(events.abs().sum())
    assert step.grad is not None and torch.isfinite(step.grad) and step.grad < 0


def test_the_gradient_of_the_threshold_is_that_of_the_line_through_the_staircase() -> None:
    # change 0.6 at threshold 0.5: the line is x / (2 C), its slope in C is -0.6 / (2 * 0.25)
    step = torch.tensor(0.5, requires_grad=True)
    code = event_code(1, encoder="change", kind="ternary", bits=1, step=0.5)
    torch.autograd.backward(encode(torch.full((1, 1, 1), 0.6), code, None, step).sum())
    assert step.grad is not None and float(step.grad) == pytest.approx(-1.2)
    step.grad = None
    torch.autograd.backward(encode(torch.full((1, 1, 1), 1.1), code, None, step).sum())  # clipped
    assert step.grad is not None and float(step.grad) == 0
