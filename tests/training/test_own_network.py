"""Pruning in a training loop of one's own: any torch stack, then NIR with its zeros."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import neurozsl as nz
from neurozsl.norse.cells import IAFCell, LIFBoxCell, SequentialState


def stack() -> SequentialState:
    torch.manual_seed(0)
    return SequentialState(
        nn.Conv2d(2, 4, 3, stride=2),
        IAFCell(),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 12),
        LIFBoxCell(),
        nn.Linear(12, 5, bias=False),
    )


def inputs() -> torch.Tensor:
    return torch.rand(6, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 3


def test_a_stack_of_ones_own_is_pruned_while_it_learns_and_written_with_its_zeros(
    tmp_path: Path,
) -> None:
    network = stack()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    target = torch.randn(6, 5, generator=torch.Generator().manual_seed(2))
    pruning = nz.Pruning(network, nz.Sparsity(0.25))
    densities, losses = [], []
    for step in range(40):
        densities.append(pruning.before_step(step / 40))
        optimiser.zero_grad()
        loss = (network(inputs())[0] - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        pruning.before_step(1.0)
        before = network(inputs())[0]
        left = pruning.finish()
        after = network(inputs())[0]
    assert densities[0] == 1 and densities[-1] == 0.25 and densities == sorted(densities)[::-1]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert torch.equal(before, after)
    sizes = {name: x.weight.numel() for name, x in network.named_modules() if name in left}
    assert left == {name: round(size / 4) for name, size in sizes.items()}
    assert {type(x) for x in network.modules()} >= {nn.Conv2d, nn.Linear}
    assert not any("parametrizations" in name for name in network.state_dict())

    spiking = SequentialState(*list(network.children())[:-1])
    graph = nz.from_norse(spiking, torch.zeros(1, 5, 2, 8, 8))
    nz.write_nir(tmp_path / "own.nir", graph)
    lowered = nz.lower(nz.read_nir(tmp_path / "own.nir"))
    found = [int(np.count_nonzero(layer.weight)) for layer in lowered.layers]
    assert found == list(left.values())[:-1]


def test_a_pruned_neuron_has_neither_weights_nor_bias_and_the_last_layer_keeps_its_own() -> None:
    network = nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 4))
    pruning = nz.Pruning(network, nz.Sparsity(0.3, "neurons"))
    pruning.finish()
    first, _, last = network
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    alive = (first.weight != 0).any(1)
    assert int(alive.sum()) == 3
    assert torch.equal(first.bias != 0, alive)
    assert int(torch.count_nonzero(last.weight)) == 12 and bool((last.bias != 0).all())


def test_what_cannot_be_pruned_is_refused() -> None:
    with pytest.raises(nz.BadInput, match="no Linear, Conv1d or Conv2d"):
        nz.Pruning(nn.ReLU(), nz.Sparsity())
    with pytest.raises(nz.BadInput, match="no layer head; the layers are 0"):
        nz.Pruning(nn.Sequential(nn.Linear(2, 2)), nz.Sparsity(), output=("head",))
    with pytest.raises(nz.BadInput, match="share 0 to 1"):
        nz.Pruning(nn.Sequential(nn.Linear(2, 2)), nz.Sparsity()).before_step(3)
    pruning = nz.Pruning(nn.Sequential(nn.Linear(2, 2)), nz.Sparsity())
    pruning.finish()
    with pytest.raises(nz.BadInput, match="make a new"):
        pruning.finish()
