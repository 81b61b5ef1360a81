"""All steps in one pass against Norse's cell step by step: the same spikes, the same gradients."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from neurozsl.models import fused_neurons
from neurozsl.models.fused_neurons import fits
from neurozsl.models.neurons import NeuronConfig, Surrogate, fire, stepwise


def given(
    dtype: torch.dtype, *, shape: tuple[int, int, int] = (7, 9, 37), seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Drive, thresholds and a gradient."""
    g = torch.Generator().manual_seed(seed)
    drive = torch.randn(*shape, generator=g, dtype=dtype) * 1.5 + 0.3
    theta = torch.rand(*shape[:2], generator=g, dtype=dtype) * 0.8 + 0.2
    return drive, theta, torch.randn(*shape, generator=g, dtype=dtype)


def both(
    config: NeuronConfig, drive: Tensor, theta: Tensor | None, gradient: Tensor
) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """Spikes, gradient of the drive, gradient of the thresholds: fused, then Norse."""
    found = []
    for run in (fire, stepwise):
        x = drive.clone().requires_grad_()
        limit = None if theta is None else theta.clone().requires_grad_()
        spikes = run(x, config, limit)
        torch.autograd.backward(spikes, gradient)
        assert x.grad is not None
        found.append((spikes.detach(), x.grad, None if limit is None else limit.grad))
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("neuron", ["lif", "if"])
@pytest.mark.parametrize("slope", [1.0, 2.5])
@pytest.mark.parametrize("per_sample", [False, True], ids=["constant", "per sample and step"])
def test_spikes_and_gradients_are_those_of_norses_cell(
    dtype: torch.dtype, neuron: Literal["lif", "if"], slope: float, per_sample: bool
) -> None:
    config = NeuronConfig(neuron, 1229, 0.7, "tanh", slope)
    drive, theta, gradient = given(dtype)
    assert fits(drive, config.surrogate)
    fused, norse = both(config, drive, theta if per_sample else None, gradient)
    assert torch.equal(fused[0], norse[0])
    assert 0.02 < float(fused[0].mean()) < 0.98
    assert torch.equal(fused[1], norse[1])
    if per_sample:
        assert fused[2] is not None and norse[2] is not None
        close = 1e-12 if dtype == torch.float64 else 1e-5
        assert torch.allclose(fused[2], norse[2], rtol=close, atol=close)
        assert bool((fused[2] != 0).all())


def test_blocks_of_samples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    config = NeuronConfig(theta=0.6)
    drive, theta, gradient = given(torch.float32)
    whole = both(config, drive, theta, gradient)[0]
    monkeypatch.setattr(fused_neurons, "_BLOCK", 3 * 9 * 37)  # 7 samples: 3, 3 and 1
    parts = both(config, drive, theta, gradient)[0]
    for left, right in zip(whole, parts, strict=True):
        assert left is not None and right is not None
        assert torch.equal(left, right)


def test_a_membrane_exactly_at_the_threshold_does_not_spike() -> None:
    config = NeuronConfig(theta=0.5)
    drive = torch.tensor([[[1.0, 1.0000001, -0.0]]])
    assert fire(drive, config).tolist() == [[[0.0, 1.0, 0.0]]]


def test_strided_drives_and_gradients_are_read_right() -> None:
    config = NeuronConfig(theta=0.6)
    drive, _, gradient = given(torch.float32, shape=(6, 8, 10))
    plain, _ = both(config, drive.transpose(0, 1).contiguous(), None, gradient.transpose(0, 1))
    x = drive.clone().requires_grad_()
    spikes = fire(x.transpose(0, 1), config)
    torch.autograd.backward(spikes, gradient.transpose(0, 1))
    assert x.grad is not None
    assert torch.equal(spikes, plain[0])
    assert torch.equal(x.grad.transpose(0, 1), plain[1])


def test_going_back_twice_gives_the_same_gradient() -> None:
    drive, _, gradient = given(torch.float32)
    x = drive.requires_grad_()
    spikes = fire(x, NeuronConfig(theta=0.6))
    first, second = (torch.autograd.grad(spikes, x, gradient, retain_graph=True) for _ in range(2))
    assert torch.equal(first[0], second[0])


def test_nothing_is_kept_where_nothing_learns() -> None:
    drive, _, _ = given(torch.float32)
    with torch.no_grad():
        spikes = fire(drive.requires_grad_(), NeuronConfig(theta=0.6))
    assert spikes.grad_fn is None


@pytest.mark.parametrize("surrogate", ["heavi_erfc", "super"])
def test_other_surrogates_and_types_stay_with_norse(surrogate: Surrogate) -> None:
    drive, _, gradient = given(torch.float32)
    assert not fits(drive, surrogate)
    assert not fits(drive.to(torch.bfloat16), "tanh")
    fused, norse = both(NeuronConfig(theta=0.6, surrogate=surrogate), drive, None, gradient)
    assert torch.equal(fused[0], norse[0]) and torch.equal(fused[1], norse[1])


def test_an_empty_batch_gives_no_spikes() -> None:
    x = torch.zeros(0, 4, 5, requires_grad=True)
    spikes = fire(x, NeuronConfig())
    torch.autograd.backward(spikes.sum())
    assert spikes.shape == (0, 4, 5)
    assert x.grad is not None and x.grad.shape == (0, 4, 5)
