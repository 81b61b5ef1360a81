"""A Norse stack becomes a BranchSpec that spikes as the stack does, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.backends.sinabs_layers import run_sinabs
from neurozsl.export.nir.graph import from_nir, to_nir
from neurozsl.export.norse.branch import run_norse
from neurozsl.export.norse.graph import from_norse
from neurozsl.hardware.lower.lower import lower
from neurozsl.norse.cells import (
    IAFCell,
    LIFBoxCell,
    LIFBoxParameters,
    LIFCell,
    LIFParameters,
    SequentialState,
    reset_subtract,
)

STEPS = 40


def _step_by_hand(module: Any, x: torch.Tensor) -> Any:
    """Spikes of the user's own stack, as Norse runs it in float64."""
    state, spikes = None, []
    with torch.no_grad():
        for t in range(x.shape[1]):
            z, state = module(x[:, t], state)
            spikes.append(z)
    return torch.stack(spikes, 1).numpy()


def _stack(*cells: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    sizes = [8, 6, 4, 5][: len(cells) + 1]
    parts: list[nn.Module] = []
    for width, out, cell in zip(sizes[:-1], sizes[1:], cells, strict=True):
        linear = nn.Linear(width, out)
        nn.init.normal_(linear.weight, std=4 / width**0.5)
        parts += [linear, cell]
    return SequentialState(*parts).double()


def _spikes(samples: int = 3, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.random((samples, STEPS, 8)) < 0.5).astype(np.int16)


def _vector(size: int) -> torch.Tensor:
    return torch.linspace(0.5, 1.5, size, dtype=torch.float64)


STACKS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "LIFBoxCell": lambda: (LIFBoxCell(), LIFBoxCell()),
    "LIFCell": lambda: (LIFCell(), LIFCell()),
    "IAFCell": lambda: (IAFCell(), IAFCell()),
    "mixed, other dt": lambda: (LIFBoxCell(dt=0.002), IAFCell(dt=0.002), LIFCell(dt=0.002)),
    "vector threshold": lambda: (
        LIFBoxCell(LIFBoxParameters(v_th=_vector(6), tau_mem_inv=torch.tensor(300.0))),
        LIFCell(LIFParameters(v_th=_vector(4), tau_syn_inv=torch.tensor(100.0))),
    ),
}


@pytest.mark.parametrize("kind", STACKS)
def test_the_exported_stack_spikes_like_the_users_own(kind: str) -> None:
    module = _stack(*STACKS[kind]())
    codes = _spikes()
    wanted = _step_by_hand(module, torch.as_tensor(codes, dtype=torch.float64))
    spec = from_nir(from_norse(module, torch.as_tensor(codes)))
    chip = ChipInput({"input": codes}, spec.inputs)
    found = run_norse(spec, chip).spikes[spec.outputs[0]]
    assert 0 < wanted.mean() < 0.9
    assert np.array_equal(found, wanted)
    again = run_norse(from_nir(to_nir(spec)), chip).spikes[spec.outputs[0]]
    assert np.array_equal(again, wanted)


def test_time_constants_are_dt_times_the_inverse_once() -> None:
    spec = from_nir(from_norse(_stack(LIFBoxCell(), LIFCell()), torch.as_tensor(_spikes())))
    box, lif = spec.layers
    assert spec.dt_s == 0.001
    np.testing.assert_allclose([box.kappa[0], lif.kappa[0]], 0.1)
    assert lif.syn_kappa is not None and lif.syn_kappa[0] == pytest.approx(0.2)
    node = to_nir(spec).nodes["1"]
    np.testing.assert_allclose(node.tau, 0.01, rtol=1e-6)  # seconds; norse issue 411 gives 1e-5
    assert node.tau.shape == (6,)  # norse issue 412 gives ()


def test_a_stack_that_subtracts_at_a_spike_is_no_branch() -> None:
    cell = LIFBoxCell(LIFBoxParameters(reset_method=reset_subtract))
    with pytest.raises(BadInput, match="reset 'subtract'"):
        from_nir(from_norse(_stack(cell), torch.as_tensor(_spikes())))


def test_dynamic_thresholds_reach_the_norse_cell_per_sample_and_step() -> None:
    stack = nn.Sequential(nn.Linear(8, 6), LIFBoxCell(dt=0.01))
    spec = from_nir(from_norse(stack, torch.zeros(1, 2, 8)))
    spec = replace(spec, policy="dynamic")
    codes = np.zeros((2, 2, 8), np.int16)
    bias = replace(spec.layers[0], bias=np.full(6, 0.5))  # kappa 1: v* = 0.5 at every step
    spec = replace(spec, layers=(bias,))
    theta = {"1": np.array([[0.4, 0.5], [0.6, 0.499]])}
    spikes = run_norse(spec, ChipInput({"input": codes}, spec.inputs, theta)).spikes["1"]
    assert spikes[:, :, 0].tolist() == [[1, 0], [0, 1]]  # equal to theta is no spike
    with pytest.raises(BadInput, match="theta of layer"):
        run_norse(spec, ChipInput({"input": codes}, spec.inputs))


# What a user of the stock path sees once, and then nothing.
@pytest.mark.filterwarnings("ignore:nirtorch.* is being deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor:UserWarning")
@pytest.mark.parametrize("cell", [LIFCell, LIFBoxCell, IAFCell])
def test_stock_converters_are_silently_wrong_where_our_path_is_exact(cell: Any) -> None:
    """The table in the README: Norse's to_nir into Sinabs' from_nir, no exception anywhere."""
    import sinabs.nir
    from norse.torch.utils.export_nir import to_nir as norse_to_nir

    torch.manual_seed(1)
    module = SequentialState(nn.Linear(8, 4), cell())
    with torch.no_grad():
        module[0].weight.mul_(4)
    codes = (np.random.default_rng(1).random((1, STEPS, 8)) < 0.5).astype(np.int16)
    x = torch.as_tensor(codes, dtype=torch.float32)
    wanted = _step_by_hand(module, x)
    assert wanted.any()
    stock = sinabs.nir.from_nir(norse_to_nir(module, x[:, 0]), batch_size=1)
    with torch.no_grad():
        output = stock(x.flatten(0, 1))
    values = (output[0] if isinstance(output, tuple) else output).reshape(1, STEPS, 4).numpy()
    equal_steps = (values == wanted).all(axis=2).mean()
    assert equal_steps < 0.75

    lowered = lower(from_norse(module, x))
    ours = run_sinabs(lowered, ChipInput({"input": codes}, lowered.inputs))
    assert np.array_equal(ours.spikes["1"], wanted)
