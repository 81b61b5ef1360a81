"""Parts of STFT against slow loops that follow the equations one by one, in float64."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.models.closed_loop import ClosedLoop, next_theta
from neurozsl.models.conv_layer import ConvSpikingLayer
from neurozsl.models.conv_motion import ConvSpikingBranch
from neurozsl.models.glp import GlobalLocalPooling
from neurozsl.models.lkc import LatentKnowledge
from neurozsl.models.neurons import Neuron, NeuronConfig
from neurozsl.models.tsf import synthesise, time_step_factors
from neurozsl.models.tucker import TuckerFusion
from tests.models.slow_blocks import F64, draw, linear, sigmoid, slow_attention, slow_feed, value

B, T, E = 3, 5, 6


# ---------------------------------------------------------------- GLP, Eq. 7


def slow_pooled(row: F64, beta: float) -> float:
    top, mean = float(max(row)), float(sum(row)) / len(row)
    return 0.5 * (top + mean) + beta * top + (1 - beta) * mean


def test_glp_follows_equation_7() -> None:
    block = GlobalLocalPooling().double()
    nn.init.constant_(block.raw_beta, 0.7)
    x, beta = draw(B, T, E), sigmoid(0.7)
    fast = value(block(torch.from_numpy(x)))
    for b in range(B):
        for t in range(T):
            p_all = slow_pooled(x[b, t], beta)
            np.testing.assert_allclose(fast[b, t], sigmoid(p_all * x[b, t] + x[b, t]), rtol=1e-12)
    assert 0 < fast.min() and fast.max() < 1


# ---------------------------------------------------------------- TSF, Eq. 8


@pytest.mark.parametrize("literal", [False, True])
def test_time_step_factors_follow_equation_8(literal: bool) -> None:
    spikes = (draw(B, T, E) > 0.3).astype(float)
    factors = np.zeros((B, T))
    for b in range(B):
        for t in range(T):
            shares = [
                math.exp(spikes[b, t, c]) / sum(math.exp(spikes[b, j, c]) for j in range(T))
                for c in range(E)
            ]
            factors[b, t] = max(shares)
        if not literal:
            factors[b] /= factors[b].sum()
    found = time_step_factors(torch.from_numpy(spikes), literal=literal)
    np.testing.assert_allclose(value(found), factors, rtol=1e-12)
    slow = sum(factors[:, t, None] * spikes[:, t] for t in range(T))
    np.testing.assert_allclose(value(synthesise(torch.from_numpy(spikes), found)), slow, rtol=1e-12)


def test_factors_sum_to_one_and_leave_padded_steps_out() -> None:
    spikes = torch.from_numpy((draw(B, T, E) > 0).astype(float))
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[1, 3:] = False
    factors = time_step_factors(spikes, mask)
    torch.testing.assert_close(factors.sum(1), torch.ones(B, dtype=torch.float64))
    assert factors[1, 3:].tolist() == [0.0, 0.0]
    alone = time_step_factors(spikes[1:2, :3])
    torch.testing.assert_close(factors[1:2, :3], alone)


# ---------------------------------------------------------------- Tucker, Eq. 10-13


@pytest.mark.parametrize("literal", [False, True])
def test_tucker_fusion_is_the_full_tensor_of_equation_11(literal: bool) -> None:
    width, rank, outputs, size = 4, 3, 5, 7
    unit = TuckerFusion(E, size, outputs, width=width, rank=rank, literal=literal).double()
    r, s = draw(B, T, E, seed=1), draw(B, size, seed=2)
    m = value(unit.semantic_core.weight).reshape(rank, width, width)
    n = value(unit.temporal_core.weight).reshape(rank, width, width)
    core = np.einsum("qki,qkj->ijk", m, n)  # G of Eq. 11, a sum of `rank` slices
    slow = np.zeros((B, T, outputs))
    for b in range(B):
        reduced_s = linear(unit.from_temporal, s[b])
        for t in range(T):
            reduced_r = linear(unit.from_semantic, r[b, t])
            y = np.zeros(width)
            for i in range(width):
                for j in range(width):
                    y += core[i, j] * reduced_r[i] * reduced_s[j]
            slow[b, t] = linear(unit.to_output, y)
    fast = value(unit(torch.from_numpy(r), torch.from_numpy(s)))
    np.testing.assert_allclose(fast, slow, rtol=1e-10, atol=1e-14)


def test_a_silent_branch_silences_the_printed_fusion_and_not_ours() -> None:
    r, silent = torch.randn(B, T, E), torch.zeros(B, 4)
    printed = TuckerFusion(E, 4, E, width=3, rank=2, literal=True)
    ours = TuckerFusion(E, 4, E, width=3, rank=2)
    assert not printed(r, silent).any()
    assert bool(ours(r, silent).any())


# ---------------------------------------------------------------- LKC, Eq. 1-4


def knowledge(**options: Any) -> LatentKnowledge:
    given: dict[str, Any] = {"slots": 3, "heads": 2, "head_width": 4, "hidden": 5, "dropout": 0.0}
    given |= {"tokens": "pair", "state": "buffer", **options}
    return LatentKnowledge(E, **given).double()


def slow_lkc(unit: LatentKnowledge, modes: dict[str, F64]) -> tuple[dict[str, F64], F64]:
    """R per modality, and the slots after the batch."""
    slots, alpha = value(unit.slots).copy(), value(unit.alpha)
    gates = {"audio": unit.gate_audio, "video": unit.gate_video}
    known = {name: np.zeros((B, T, E)) for name in modes}
    gated = {name: np.zeros((B, T, E)) for name in modes}
    ends = []
    new = np.zeros_like(slots)
    for b in range(B):
        own = slots.copy()
        for t in range(T):
            step = np.zeros_like(slots)
            for name, x in modes.items():
                shares = [
                    sigmoid(x[b, t] @ k / math.sqrt(E)) * x[b, t]
                    for k in (own if unit.state == "sample" else slots)
                ]
                combined = sum(shares) / (len(shares) if unit.pool == "mean" else 1)  # Eq. 1
                gate = np.maximum(linear(gates[name], combined), 0)  # Eq. 2
                gated[name][b, t] = gate
                known[name][b, t] = gate * combined
                for i, share in enumerate(shares):
                    step[i] += np.outer(gate, share)  # Eq. 3
            new += step / (B * T)
            own = np.stack([a * s + (1 - a) * o for a, s, o in zip(alpha, step, own, strict=True)])
        ends.append(own)
    moved = np.stack([a * n + (1 - a) * s for a, n, s in zip(alpha, new, slots, strict=True)])
    if unit.state == "learnt" and unit.training:  # Eq. 1 anew, with K^t
        for name, x in modes.items():
            for b, t in np.ndindex(B, T):
                shares = [sigmoid(x[b, t] @ k / math.sqrt(E)) * x[b, t] for k in moved]
                known[name][b, t] = gated[name][b, t] * sum(shares)
                known[name][b, t] /= len(shares) if unit.pool == "mean" else 1
    out = {name: np.zeros((B, T, E)) for name in modes}
    for b in range(B):
        for t in range(T):
            for name in modes:  # Eq. 4
                query = known[name][b, t]
                keys = [known[k][b, t] for k in modes]
                if unit.tokens == "time":
                    keys = list(known[name][b])
                out[name][b, t] = slow_feed(
                    unit.feed, slow_attention(unit.attend, [query], keys)[0]
                )
    return out, moved


@pytest.mark.parametrize("state", ["buffer", "sample", "learnt"])
@pytest.mark.parametrize("tokens", ["pair", "time"])
@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_lkc_follows_equations_1_to_4(state: str, tokens: str, pool: str) -> None:
    unit = knowledge(state=state, tokens=tokens, pool=pool).train()
    audio, video = draw(B, T, E, seed=1), draw(B, T, E, seed=2)
    slow, moved = slow_lkc(unit, {"audio": audio, "video": video})
    before = unit.slots.clone()
    fast = unit(torch.from_numpy(audio), torch.from_numpy(video))
    for found, name in zip(fast, ("audio", "video"), strict=True):
        np.testing.assert_allclose(value(found), slow[name], rtol=1e-10, atol=1e-12)
    if state != "sample":
        np.testing.assert_allclose(value(unit.slots), moved, rtol=1e-10)
    else:
        assert torch.equal(unit.slots, before)


def test_a_learnt_alpha_has_the_gradient_of_the_slots_it_moves_and_rests_in_evaluation() -> None:
    unit = knowledge(state="learnt").train()
    audio, video = torch.randn(2, B, T, E, dtype=torch.float64)
    start = unit.slots.clone()

    def total(shift: float) -> torch.Tensor:
        with torch.no_grad():
            unit.slots.copy_(start)
            unit.raw_alpha[1] += shift
        found: torch.Tensor = torch.stack(unit(audio, video)).square().sum()
        with torch.no_grad():
            unit.raw_alpha[1] -= shift
        return found

    torch.autograd.backward(total(0.0))
    assert unit.raw_alpha.grad is not None
    slope = float((total(1e-5) - total(-1e-5)).detach()) / 2e-5
    assert abs(slope) > 1e-4
    np.testing.assert_allclose(float(unit.raw_alpha.grad[1]), slope, rtol=1e-5)
    unit.eval()
    rested = unit.slots.clone()
    still = unit(audio, video)
    assert torch.equal(unit.slots, rested)
    plain = knowledge(state="buffer").eval()
    plain.load_state_dict(unit.state_dict())
    for left, right in zip(still, plain(audio, video), strict=True):
        assert torch.equal(left, right)


def test_slots_are_a_buffer_that_only_training_moves() -> None:
    unit = knowledge()
    audio, video = torch.randn(2, B, T, E, dtype=torch.float64)
    assert "slots" not in dict(unit.named_parameters())
    start = unit.slots.clone()
    torch.autograd.backward(sum(x.sum() for x in unit.eval()(audio, video)))
    assert torch.equal(unit.slots, start)
    unit.train()(audio, video)
    assert not torch.equal(unit.slots, start)
    assert not unit.slots.requires_grad
    a, b = unit.slots[:2]
    assert not torch.allclose(a, b)  # slots keep apart


def test_padded_steps_change_neither_slots_nor_real_steps() -> None:
    audio, video = torch.randn(2, B, T, E, dtype=torch.float64)
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[:, 3:] = False
    for tokens, state in (("time", "buffer"), ("time", "sample"), ("pair", "buffer")):
        torch.manual_seed(0)
        one = knowledge(tokens=tokens, state=state)
        torch.manual_seed(0)
        other = knowledge(tokens=tokens, state=state)
        padded = one.train()(audio, video, mask)[0][:, :3]
        short = other.train()(audio[:, :3], video[:, :3])[0]
        torch.testing.assert_close(padded, short)
        torch.testing.assert_close(one.slots, other.slots)


# ---------------------------------------------------------------- blocks and closed loop, Eq. 5-9


def layer(neuron: Neuron = "lif", **options: Any) -> ConvSpikingLayer:
    given: dict[str, Any] = {"axis": "feature", "kernel": 3, "stride": 2, "norm": True}
    given |= {"shaped": False, "loop": "fixed", "detach": False, **options}
    made = ConvSpikingLayer((2, 9), 3, NeuronConfig(neuron, theta=0.5), **given).double()
    if made.norm is not None:
        nn.init.uniform_(made.norm.norm.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
        nn.init.uniform_(made.norm.norm.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return made.eval()


def slow_current(x: ConvSpikingLayer, row: F64) -> F64:
    """BN(Conv(x)) of one step, one output value at a time."""
    w, b = value(x.conv.weight), value(x.conv.bias)  # type: ignore[arg-type]
    maps, (channels, length) = row.reshape(x.shape), x.out
    out = np.zeros(x.out)
    for c in range(channels):
        for i in range(length):
            total = b[c]
            for s in range(x.shape[0]):
                for d in range(x.kernel):
                    at = i * x.stride + d - x.kernel // 2
                    if 0 <= at < x.shape[1]:
                        total += w[c, s, d] * maps[s, at]
            out[c, i] = total
        assert x.norm is not None
        n = x.norm.norm
        assert n.running_mean is not None and n.running_var is not None
        mean, var = value(n.running_mean)[c], value(n.running_var)[c]
        scaled = (out[c] - mean) / math.sqrt(var + n.eps)
        out[c] = scaled * value(n.weight)[c] + value(n.bias)[c]
    return out.reshape(-1)


def slow_factor(mode: str, p_all: float, spikes: F64) -> float:
    phi, (channels, length) = float(sigmoid(p_all)), spikes.shape
    terms: float = 0.0
    for c in range(channels):
        for s in spikes[c]:
            if s:
                share = 1 / spikes[c].sum()
                terms += float(share * math.log(share)) / channels
    if mode == "literal":
        return float(phi + terms / length)
    return float(phi - terms / math.log(length))


@pytest.mark.parametrize("shaped", [False, True])
@pytest.mark.parametrize("neuron", ["lif", "if"])
@pytest.mark.parametrize("loop", get_args(ClosedLoop))
def test_a_block_follows_equations_5_to_9(loop: str, neuron: Neuron, shaped: bool) -> None:
    torch.manual_seed(1)
    block = layer(loop=loop, neuron=neuron, shaped=shaped)
    x = draw(B, T, 18, seed=3) * 2
    spikes, thetas = block(torch.from_numpy(x), None)
    beta = 0.5
    for b in range(B):
        v, z, theta = np.zeros(block.size), np.zeros(block.out), 0.5
        for t in range(T):
            drive = slow_current(block, x[b, t])
            p_all = slow_pooled(drive, beta)
            if shaped:
                drive = sigmoid(p_all * drive + drive)
            if loop != "fixed":
                factor = slow_factor(loop, p_all, z)
                theta = 0.5 * factor / 1.5 if loop == "dynamic" else factor * theta
                theta = min(max(theta, 0.125), 2.0)
            v = v + drive if neuron == "if" else v + 0.5 * (drive - v)
            now = v > theta
            v = np.where(now, 0.0, v)
            z = now.astype(float).reshape(block.out)
            assert np.array_equal(value(spikes[b, t]), now), (b, t)
            assert float(thetas[b, t].detach()) == pytest.approx(theta, rel=1e-12)
    assert 0 < float(spikes.detach().mean()) < 1


def test_a_threshold_sees_the_spikes_of_the_step_before_and_no_others() -> None:
    block = layer(loop="dynamic", norm=False)
    assert block.pooling is not None
    quiet = torch.zeros(1, T, 18, dtype=torch.float64)
    loud = quiet.clone()
    loud[0, 2] = 5.0  # spikes at step 2
    (spikes, theta), (_, calm) = block(loud, None), block(quiet, None)
    assert bool(spikes[0, 2].any())
    assert torch.equal(theta[0, :2], calm[0, :2])
    # Step 2 differs by P_all alone; its spikes first appear in the threshold of step 3.
    pooled = block.pooling.pooled(block.current(loud, None))
    none = torch.zeros(1, *block.out, dtype=torch.float64)
    for t, before in ((2, none), (3, spikes[:, 2].reshape(1, *block.out))):
        expected = next_theta(
            "dynamic", pooled=pooled[:, t], spikes=before, theta=theta[:, t - 1], theta_0=0.5
        )
        torch.testing.assert_close(theta[:, t], expected)
    assert bool((theta[0, 3] > calm[0, 3]).all())  # spikes raise it


@pytest.mark.parametrize("loop", [m for m in get_args(ClosedLoop) if m != "fixed"])
def test_thetas_stay_inside_the_clip(loop: str) -> None:
    block = layer(loop=loop)
    _, theta = block(torch.randn(8, 40, 18, dtype=torch.float64) * 20, None)
    assert float(theta.detach().min()) >= 0.125 and float(theta.detach().max()) <= 2.0


def test_the_loop_carries_a_gradient_and_detaching_cuts_it() -> None:
    for detach in (False, True):
        block = layer(loop="clipped", detach=detach).train()
        _, theta = block(torch.randn(4, T, 18, dtype=torch.float64) * 2, None)
        assert theta.requires_grad is not detach


def test_a_kernel_over_time_is_causal() -> None:
    block = ConvSpikingLayer(
        (6, 1),
        4,
        NeuronConfig(theta=0.2),
        axis="time",
        kernel=3,
        stride=1,
        norm=False,
        shaped=False,
        loop="fixed",
        detach=False,
    ).double()
    x = torch.randn(2, T, 6, dtype=torch.float64)
    changed = x.clone()
    changed[:, 3] += 1
    one, other = block.current(x, None), block.current(changed, None)
    assert torch.equal(one[:, :3], other[:, :3]) and not torch.equal(one[:, 3], other[:, 3])
    weight = value(block.conv.weight)
    assert block.conv.bias is not None
    slow = value(block.conv.bias)
    for k, t in ((2, 3), (1, 2), (0, 1)):
        slow = slow + weight[:, :, k] @ value(x[0, t])
    np.testing.assert_allclose(value(one[0, 3]), slow, rtol=1e-10)


def branch(neuron: Neuron = "lif", **options: Any) -> ConvSpikingBranch:
    codes = {"audio": InputCode(8, "binary", 1, False, 1.0)}
    config = NeuronConfig(neuron, theta=0.3)
    return ConvSpikingBranch(codes, (2, 1), (1, 2), config, steps=T, **options)


def test_a_frozen_branch_is_the_trained_one_at_constant_thresholds() -> None:
    torch.manual_seed(0)
    trained, made = branch(loop="clipped"), branch(norm=False)
    chip = ChipInput({"audio": (torch.rand(16, T, 8) > 0.5).float()}, trained.codes)
    for _ in range(20):
        trained.train()(chip)
    made.load_folded(trained.eval())
    made.freeze({"audio.0": 0.25, "audio.1": 0.15})
    trained.freeze({"audio.0": 0.25, "audio.1": 0.15})
    assert (made.spec().policy, trained.spec().policy) == ("frozen", "frozen")
    for name, spikes in trained(chip).spikes.items():
        assert torch.equal(spikes, made(chip).spikes[name]) and 0 < spikes.mean() < 1
    assert set(trained.thresholds(chip)) == {"audio.0", "audio.1"}
    assert bool((trained.thresholds(chip)["audio.1"] == 0.15).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shaped": True}, "glp=input"),
        ({"neuron": "mlp"}, "does not spike"),
        ({"axis": "time"}, "conv_axis=feature"),
    ],
)
def test_what_no_chip_can_do_is_refused_with_the_remedy(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        branch(**options).spec()
