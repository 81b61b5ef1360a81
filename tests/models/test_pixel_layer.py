"""Spiking layers on maps against slow loops, and what pruning and export ask of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.maps import Pool
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.export.nir.graph import canonical, to_nir
from neurozsl.export.norse.branch import run_norse
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.synapse import Link, Synapse, matrix
from neurozsl.models.motion import SpikingBranch
from neurozsl.models.neurons import Neuron, NeuronConfig
from neurozsl.models.pixel_layer import MapEncoder, PixelLayer, PooledLayer
from neurozsl.training import penalties, sparsity
from neurozsl.training.economy import Sparsity, Structure

SIDE, STEPS = 6, 5
CODES = {
    "sound": InputCode(7, "binary", 1, False, 1.0),
    "pixels": InputCode(2 * SIDE * SIDE, "binary", 1, False, 1.0),
}
ENCODER = MapEncoder((2, SIDE, SIDE), (3, 4))
POOL = Pool((3, 7, 6), (2, 2), (2, 2))  # the last row is in no window


def branch(neuron: Neuron = "lif", *, norm: bool = True) -> SpikingBranch:
    torch.manual_seed(0)
    config = NeuronConfig(neuron, theta=0.4)
    return SpikingBranch(
        CODES, (6, 5), steps=STEPS, neuron=config, norm=norm, maps={"pixels": ENCODER}
    )


def drawn(samples: int = 9, rate: float = 0.3) -> ChipInput:
    rng = np.random.default_rng(3)
    shapes = {name: (samples, STEPS, code.size) for name, code in CODES.items()}
    return ChipInput(
        {k: torch.tensor(rng.random(x) < rate).float() for k, x in shapes.items()}, CODES
    )


def moved(made: SpikingBranch) -> SpikingBranch:
    """With running statistics that are not 0 and 1."""
    for _ in range(30):
        made(drawn())
    return made.eval()


def slow_sums(row: Any) -> Any:
    maps, (channels, high, wide) = row.reshape(POOL.shape), POOL.out_shape
    found = np.zeros((channels, high, wide))
    for c, i, j in np.ndindex(found.shape):
        for di in range(2):
            for dj in range(2):
                found[c, i, j] += maps[c, 2 * i + di, 2 * j + dj]
    return found


def test_the_drive_is_the_kernel_on_window_sums_as_slow_loops_give_it() -> None:
    torch.manual_seed(1)
    layer = PixelLayer(POOL.out_shape, 4, NeuronConfig(), kernel=3, norm=False, pool=POOL).double()
    weight, bias = layer.folded("drive")  # without a BatchNorm these are the layer's own
    x = torch.rand(2, 3, 3 * 7 * 6, dtype=torch.float64)
    found = layer.drive(x, None).detach().numpy()
    assert found.shape == (2, 3, layer.size) and layer.out == (4, 3, 3)
    for b, t in np.ndindex(2, 3):
        sums, slow = slow_sums(x[b, t].numpy()), np.zeros(layer.out)
        for c, i, j in np.ndindex(layer.out):
            slow[c, i, j] = bias[c]
            for s, di, dj in np.ndindex(3, 3, 3):
                p, q = i + di - 1, j + dj - 1
                if 0 <= p < 3 and 0 <= q < 3:
                    slow[c, i, j] += weight[c, s, di, dj] * sums[s, p, q]
        np.testing.assert_allclose(found[b, t], slow.reshape(-1), rtol=1e-12, atol=1e-14)


def test_statistics_are_those_of_the_real_steps_and_padding_gets_no_drive() -> None:
    torch.manual_seed(2)
    layers = [
        PixelLayer((2, 4, 4), 3, NeuronConfig(), kernel=3, norm=True).double() for _ in range(2)
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    x = torch.randn(4, 5, 32, dtype=torch.float64)
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[1, 2:] = mask[3, 4:] = False
    drive = layers[0].drive(x, mask)
    alone = layers[1].drive(x[mask][:, None], None)  # every real step as a sample of its own
    assert not drive[~mask].any()
    torch.testing.assert_close(drive[mask], alone[:, 0])
    mean = [layer.norm.norm.running_mean for layer in layers if layer.norm is not None]
    torch.testing.assert_close(mean[0], mean[1])


@pytest.mark.parametrize("pruned", [False, True])
def test_fan_out_is_the_nonzero_column_of_the_layer_written_as_a_matrix(pruned: bool) -> None:
    made = branch()
    if pruned:
        sparsity.apply(made, Sparsity(0.3), 0.3)
    shapes = {name: type(layer) for name, layer in made.named_layers().items()}
    assert shapes["pixels.1"] is PixelLayer and shapes["pixels.2"] is PooledLayer
    for layer, spec in zip(made.named_layers().values(), made.spec().layers, strict=True):
        whole = matrix(Synapse(spec.source, spec.weight, Link(spec.conv, spec.pools)))
        assert layer.fan_out().tolist() == np.count_nonzero(whole, 0).tolist()
        ones = Synapse(spec.source, np.ones_like(spec.weight), Link(spec.conv, spec.pools))
        assert layer.connections == np.count_nonzero(matrix(ones))


def test_values_that_no_window_reaches_lead_nowhere() -> None:
    behind = PooledLayer(POOL, 5, NeuronConfig(), norm=False).fan_out().reshape(POOL.shape)
    assert bool((behind[:, :6] == 5).all()) and not bool(behind[:, 6:].any())


@pytest.mark.parametrize("neuron", ["lif", "if"])
def test_the_description_has_batch_norm_folded_and_norse_spikes_as_the_branch(
    neuron: Neuron,
) -> None:
    made, given = moved(branch(neuron)), drawn()
    spec = canonical(made.spec())
    assert [x.shape for x in spec.layers] == [(6,), (5,), (3, 6, 6), (4, 3, 3), (5,)]
    with torch.no_grad():
        own = made(given).to_numpy().spikes
    norse = run_norse(spec, given.to_numpy()).spikes
    for name, spikes in own.items():
        assert np.mean(spikes == norse[name]) > 0.999, name
        assert 0 < spikes.mean() < 1, name
    plain = branch(neuron, norm=False).eval()
    plain.load_folded(made)
    with torch.no_grad():
        folded = plain(given).to_numpy().spikes
    assert all(np.mean(folded[name] == own[name]) > 0.999 for name in own)


def test_operations_of_the_penalty_are_those_that_the_chip_side_counts() -> None:
    made, given = moved(branch()), drawn()
    with torch.no_grad():
        trace = made(given)
        found = penalties.synops(made, given, trace)
    counted = count(lower(to_nir(made.spec())), given.to_numpy(), trace.to_numpy())
    total = float(torch.stack(list(found.values())).sum(0).mean())
    assert total == pytest.approx(counted.total("synops"))


@pytest.mark.parametrize("structure", ["weights", "inputs", "neurons"])
def test_the_zeros_that_are_written_at_the_end_give_the_spikes_of_the_masks(
    structure: Structure,
) -> None:
    made, given = moved(branch()), drawn()
    sparsity.apply(made, Sparsity(0.5, structure), 0.5)
    with torch.no_grad():
        before = made(given).spikes
        sparsity.settle(made)
        after = made(given).spikes
    assert any(bool(x.any()) for x in before.values())
    assert all(torch.equal(before[name], after[name]) for name in before)
    if structure == "neurons":  # whole maps of a kernel, which then never spike
        kernel = made.named_layers()["pixels.1"].synapse.weight
        used = kernel.detach().flatten(1).any(1)
        maps = before["pixels.1"].unflatten(2, (4, 3, 3)).any(0).any(0).flatten(1).any(1)
        assert int(used.sum()) == 2 and not (maps & ~used).any()


def test_gradients_reach_every_weight_of_every_layer() -> None:
    made = branch()
    trace = made(drawn())
    sum(x.square().sum() for x in trace.spikes.values()).backward()
    for name, layer in made.named_layers().items():
        gradient = layer.synapse.weight.grad
        assert gradient is not None and bool(gradient.any()), name
