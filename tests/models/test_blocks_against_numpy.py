"""RJLU, DAB and dynamic threshold against slow loops that follow the equations one by one."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from neurozsl.models.blocks import RowNorm
from neurozsl.models.dab import DAB
from neurozsl.models.rjlu import RJLU
from neurozsl.models.threshold import ThresholdMode, saturated_share, thresholds
from tests.models.slow_blocks import F64, draw, sigmoid, slow_attention, slow_feed, value

B, T, E = 3, 5, 8


def slow_rjlu(r: RJLU, audio: F64, video: F64) -> tuple[F64, F64]:
    joint, knowledge = np.zeros((B, T, E)), np.zeros((B, T, E))
    for b in range(B):
        h = value(r.start)
        for t in range(T):
            a, v = audio[b, t], video[b, t]
            c = np.zeros(E)
            for attention, x in ((r.cross_audio, a), (r.cross_video, v)):
                slots = slow_attention(
                    attention, list(x.reshape(r.slots, -1)), list(h.reshape(r.slots, -1))
                )
                c += np.concatenate(slots)  # Eq. 1, summed as in Eq. 3
            mixed = slow_attention(r.mix, [h], [a, h, v])[0]
            s = slow_feed(r.feed, mixed)  # Eq. 2
            gate = c if r.literal else sigmoid(c)
            h = gate * h + (1 - gate) * s  # Eq. 3
            joint[b, t], knowledge[b, t] = s, h
    return joint, knowledge


@pytest.mark.parametrize("literal", [False, True])
def test_rjlu_follows_equations_1_to_3(literal: bool) -> None:
    torch.manual_seed(0)
    unit = RJLU(E, heads=2, head_width=3, slots=2, literal=literal).double().eval()
    nn.init.normal_(unit.start)
    audio, video = draw(B, T, E, seed=1), draw(B, T, E, seed=2)
    joint, knowledge = unit(torch.from_numpy(audio), torch.from_numpy(video))
    slow_joint, slow_knowledge = slow_rjlu(unit, audio, video)
    np.testing.assert_allclose(value(joint), slow_joint, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(value(knowledge), slow_knowledge, rtol=1e-10, atol=1e-12)


def test_rjlu_keeps_joint_knowledge_bounded_by_what_it_mixes() -> None:
    torch.manual_seed(0)
    unit = RJLU(E, heads=2, head_width=4, slots=4).eval()
    joint, knowledge = unit(torch.randn(2, 200, E) * 5, torch.randn(2, 200, E) * 5)
    assert float(knowledge.detach().abs().max()) <= float(joint.detach().abs().max()) + 1e-6


@pytest.mark.parametrize("reduce", ["elementwise", "norm"])
def test_dab_follows_equation_6(reduce: str) -> None:
    block = DAB(E, reduce=reduce).double()  # type: ignore[arg-type]  # parametrised literal
    nn.init.normal_(block.raw_beta)
    audio, events = draw(B, T, E), np.sign(draw(B, T, E, seed=3))
    beta = np.log1p(np.exp(value(block.raw_beta))) + 1e-3
    slow = np.zeros_like(audio)
    for b in range(B):
        for t in range(T):
            squared = ((events[b, t] - audio[b, t]) / beta) ** 2
            squared = squared if reduce == "elementwise" else np.full(E, squared.sum())
            slow[b, t] = audio[b, t] + 1 - np.exp(-squared)
    fast = block(torch.from_numpy(audio), torch.from_numpy(events))
    np.testing.assert_allclose(value(fast), slow, rtol=1e-12)


def test_dab_adds_a_term_between_0_and_1_and_starts_with_beta_1() -> None:
    block = DAB(E)
    torch.testing.assert_close(block.beta, torch.ones(E), rtol=1e-5, atol=1e-5)
    audio = torch.randn(B, T, E)
    added = block(audio, torch.sign(torch.randn(B, T, E))) - audio
    assert float(added.detach().min()) >= 0
    assert float(added.detach().max()) <= 1


def slow_factor(s: F64, e: F64, mode: str) -> float:
    """phi + omega of Eq. 7 for one sample and step."""
    p = np.exp(s - s.max()) / np.exp(s - s.max()).sum()
    phi = float(sigmoid(np.asarray(s.mean())))
    if mode == "literal":
        printed = (-pi * np.log(max(1 / pi + ei, 1e-6)) for pi, ei in zip(p, e, strict=True))
        return float(phi + sum(printed))
    terms = (pi * np.log(1 / pi + abs(ei)) for pi, ei in zip(p, e, strict=True))
    return float(phi + sum(terms) / np.log(len(s)))


@pytest.mark.parametrize("mode", [m for m in get_args(ThresholdMode) if m != "fixed"])
def test_dynamic_threshold_follows_equation_7(mode: str) -> None:
    joint, events = draw(B, T, E), np.sign(draw(B, T, E, seed=4)) * (draw(B, T, E, seed=5) > 0.5)
    theta_0 = 1.25
    rules: dict[str, Callable[[float, float], float]] = {
        "dynamic": lambda f, _: theta_0 * f / 1.5,
        "clipped": lambda f, old: min(max(f * old, theta_0 / 4), theta_0 * 4),
        "centred": lambda f, old: min(max((f - 0.5) * old, theta_0 / 4), theta_0 * 4),
        "literal": lambda f, old: min(max(f * old, theta_0 / 4), theta_0 * 4),
    }
    slow = np.zeros((B, T))
    for b in range(B):
        theta = theta_0
        for t in range(T):
            theta = rules[mode](slow_factor(joint[b, t], events[b, t], mode), theta)
            slow[b, t] = theta
    fast = thresholds(
        torch.from_numpy(joint),
        torch.from_numpy(events),
        theta_0=theta_0,
        mode=mode,  # type: ignore[arg-type]  # parametrised literal
    )
    assert fast is not None
    np.testing.assert_allclose(value(fast), slow, rtol=1e-12)


def test_the_printed_recurrence_degenerates_and_the_deployed_form_does_not() -> None:
    joint, events = torch.randn(4, 10, 64) * 0.1, torch.zeros(4, 10, 64)
    clipped = thresholds(joint, events, theta_0=1.0, mode="clipped")
    deployed = thresholds(joint, events, theta_0=1.0, mode="dynamic")
    assert clipped is not None and deployed is not None
    assert saturated_share(clipped, 1.0) > 0.5
    assert saturated_share(deployed, 1.0) == 0.0


def test_row_norm_ignores_padding() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 6, 5)
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[1, 3:] = False
    padded = x.clone()
    padded[1, 3:] = 1e6
    a, b = RowNorm(5), RowNorm(5)
    left, right = a(x, mask), b(padded, mask)
    torch.testing.assert_close(left, right)
    torch.testing.assert_close(a.norm.running_mean, b.norm.running_mean)
    assert float(right[1, 3:].detach().abs().max()) == 0.0
