"""Spiking self-attention and timestep shrinkage against slow references in plain loops."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.shrinkage import Shrinkage, groups, pool_mask, stage_lengths, stretch
from neurozsl.models.spiking_attention import (
    AttentionConfig,
    Projections,
    SpikingBlock,
    SpikingProduct,
    attention,
)

NEURON: dict[str, Any] = {"neuron": NeuronConfig(), "norm": True}
CONFIGS = [
    AttentionConfig(24, slots=4, heads=2),
    AttentionConfig(24, slots=24, heads=1, scale=0.25),
    AttentionConfig(24, slots=1, heads=3, scale=2.0),
    AttentionConfig(24, heads=3, scale=0.125, tokens="time"),
]


def spikes(*shape: int, rate: float = 0.4, seed: int = 0) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def three(batch: int = 2, time: int = 5, width: int = 24) -> Projections:
    return Projections(*(spikes(batch, time, width, seed=seed) for seed in range(3)))


def counted(qkv: Projections, c: AttentionConfig) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Sum over keys of (q . k) v, one integer at a time; channel = (slot, head, inner)."""
    q, k, v = (np.asarray(x, dtype=np.int64) for x in qkv)
    batch, time, width = q.shape
    out = np.zeros((batch, time, width))
    slots = c.slots if c.tokens == "slots" else 1
    inner = width // (slots * c.heads)
    for b in range(batch):
        for t in range(time):
            for h in range(c.heads):
                for n in range(slots):
                    keys = range(slots) if c.tokens == "slots" else range(time)
                    for key in keys:
                        kt, kn = (t, key) if c.tokens == "slots" else (key, 0)
                        at, of = (n * c.heads + h) * inner, (kn * c.heads + h) * inner
                        same = sum(int(q[b, t, at + i] * k[b, kt, of + i]) for i in range(inner))
                        for i in range(inner):
                            out[b, t, at + i] += c.scale * same * int(v[b, kt, of + i])
    return out


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.tokens}-{c.slots}x{c.heads}")
def test_the_product_is_the_count_of_shared_spikes_exactly(config: AttentionConfig) -> None:
    qkv = three()
    found = attention(qkv, config).numpy()
    assert np.array_equal(found, counted(qkv, config))
    assert found.max() > 0
    assert np.array_equal(found / config.scale, np.rint(found / config.scale))


def test_the_readers_of_the_product_follow_the_lif_equation_in_fractions() -> None:
    config = AttentionConfig(24, slots=4, heads=2, scale=0.25, theta=0.5)
    product = SpikingProduct(
        config, SpikingBlock(config, ratio=1, projected=True, **NEURON).out.config
    )
    qkv = three()
    drive = counted(qkv, config)
    fired = product(qkv).numpy()
    v = np.full(drive[:, 0].shape, Fraction(0))
    for t in range(drive.shape[1]):
        for at in np.ndindex(*v.shape):
            v[at] += (Fraction(float(drive[(at[0], t, *at[1:])])) - v[at]) / 2
            assert fired[(at[0], t, *at[1:])] == (v[at] > Fraction(1, 2))
            v[at] = Fraction(0) if fired[(at[0], t, *at[1:])] else v[at]
    assert 0 < fired.mean() < 1


@pytest.mark.parametrize("projected", [False, True])
def test_every_activation_of_a_block_is_binary(projected: bool) -> None:
    torch.manual_seed(0)
    block = SpikingBlock(AttentionConfig(24, slots=4), ratio=2, projected=projected, **NEURON)
    seen: dict[str, Tensor] = {}
    for name, module in block.named_modules():
        if name.split(".")[-1] in ("linear", "product"):
            which = (lambda g, s: g[0]) if name.endswith("linear") else (lambda g, s: s)
            module.register_forward_hook(
                lambda _m, given, out, key=name, which=which: seen.update({key: which(given, out)})
            )
    out = block(spikes(6, 5, 24), None, None, three(6) if projected else None)
    assert len(seen) == (4 if projected else 7)  # inputs of all linear layers, and the product
    for name, x in {**seen, "out": out}.items():
        assert set(np.unique(x.detach().numpy())) == {0.0, 1.0}, name


def test_a_new_block_passes_most_residual_spikes_on() -> None:
    torch.manual_seed(0)
    block = SpikingBlock(AttentionConfig(64, slots=8), ratio=2, projected=False, **NEURON)
    x = spikes(64, 5, 64, rate=0.2)
    out = block(x, None, None).detach()
    assert float(out[x == 1].mean()) > 0.8
    assert float(out[x == 0].mean()) < 0.2


def test_padded_steps_send_no_spike_to_the_other_steps() -> None:
    torch.manual_seed(0)
    config = AttentionConfig(24, heads=2, tokens="time", theta=0.25)
    block = SpikingBlock(config, ratio=1, projected=False, **NEURON).eval()
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    x = spikes(2, 5, 24)
    changed = x.clone()
    changed[1, 3:] = 1 - x[1, 3:]
    first, second = (block(given, mask, None).detach() for given in (x, changed))
    assert torch.equal(first[mask], second[mask])
    assert float(first[mask].mean()) > 0


def test_gradients_reach_queries_keys_and_values() -> None:
    torch.manual_seed(0)
    block = SpikingBlock(AttentionConfig(24, slots=4), ratio=2, projected=False, **NEURON)
    x = spikes(16, 5, 24).requires_grad_()
    torch.autograd.backward(block(x, None, None).square().mean())
    assert x.grad is not None and bool((x.grad != 0).any())
    without = [n for n, p in block.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert without == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slots": 5}, "24 is not a multiple of 5"),
        ({"slots": 4, "heads": 4}, "not a multiple of 16"),
        ({"scale": 0.3}, "power of two"),
        ({"scale": 0.0}, "power of two"),
    ],
)
def test_a_shape_that_cannot_be_cut_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        AttentionConfig(24, **options)


# ---------------------------------------------------------------- timestep shrinkage


@pytest.mark.parametrize(
    ("before", "after"), [(8, 4), (4, 2), (10, 5), (5, 2), (7, 3), (6, 6), (9, 1)]
)
def test_shrunk_steps_are_the_means_of_their_groups(before: int, after: int) -> None:
    x = torch.randn(3, before, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = Shrinkage(before, after, learnt=False).double()(x)
    assert found.shape == (3, after, 4)
    sizes = [0] * after
    for t in range(before):
        sizes[t * after // before] += 1
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1
    start = 0
    for j, size in enumerate(sizes):
        expected = sum(x[:, start + i] for i in range(size)) / size
        assert torch.allclose(found[:, j], torch.as_tensor(expected), atol=1e-12, rtol=0)
        start += size


def test_learnt_shrinkage_starts_at_the_mean_and_its_weights_stay_convex() -> None:
    x = torch.randn(2, 7, 3)
    learnt, mean = Shrinkage(7, 3, learnt=True), Shrinkage(7, 3, learnt=False)
    assert torch.allclose(learnt(x), mean(x), atol=1e-6)
    assert learnt.logit is not None
    with torch.no_grad():
        learnt.logit.copy_(torch.tensor([3.0, -1, 0, -200, -200, 900, 1]))
    weight = learnt.weight
    assert torch.allclose(weight.sum(1), torch.ones(3)) and bool((weight >= 0).all())
    assert bool((weight[groups(7, 3) == 0] == 0).all())
    torch.autograd.backward(learnt(x).square().sum())
    assert learnt.logit.grad is not None and bool((learnt.logit.grad != 0).any())


def test_padded_steps_leave_the_means_and_a_group_without_any_is_padded() -> None:
    mask = torch.tensor([[True, True, True, False, False, False]])
    x = torch.arange(6.0).reshape(1, 6, 1)
    assert Shrinkage(6, 3, learnt=False)(x, mask).flatten().tolist() == [0.5, 2.0, 0.0]
    assert pool_mask(mask, 3).tolist() == [[True, True, False]]


def test_stretching_gives_every_step_the_value_of_its_group() -> None:
    assert stretch(torch.tensor([[[1.0], [2.0]]]), 5).flatten().tolist() == [1, 1, 1, 2, 2]


def test_more_stages_than_halvings_are_refused() -> None:
    assert stage_lengths(8, 3) == (8, 4, 2)
    with pytest.raises(BadInput, match="fewer stages"):
        stage_lengths(2, 3)
