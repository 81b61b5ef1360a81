"""A Norse stack becomes a BranchSpec that spikes as the stack does, or one list of why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.signals import ChipInput
from neurozsl.export.backends.sinabs_layers import run_sinabs
from neurozsl.export.nir.graph import from_nir, to_nir
from neurozsl.export.norse.branch import run_norse, spec_from_norse
from neurozsl.hardware.lower.lower import lower
from neurozsl.norse.cells import (
    LIF,
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
    spec = spec_from_norse(module, steps=STEPS)
    chip = ChipInput({"input": codes}, spec.inputs)
    found = run_norse(spec, chip).spikes[spec.outputs[0]]
    assert 0 < wanted.mean() < 0.9
    assert np.array_equal(found, wanted)
    again = run_norse(from_nir(to_nir(spec)), chip).spikes[spec.outputs[0]]
    assert np.array_equal(again, wanted)


def test_batch_norm_before_a_cell_folds_into_the_linear_layer() -> None:
    torch.manual_seed(3)
    norm = nn.BatchNorm1d(6).double()
    with torch.no_grad():
        norm.running_mean += torch.randn(6).double()  # type: ignore[operator]
        norm.running_var *= torch.rand(6).double() + 0.5  # type: ignore[operator]
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-1, 1)
    linear = nn.Linear(8, 6).double()
    nn.init.normal_(linear.weight, std=2)
    spec = spec_from_norse(
        nn.Sequential(nn.Sequential(linear, norm.eval()), nn.Dropout(), LIFBoxCell()), steps=STEPS
    )
    x = torch.randn(5, 8, dtype=torch.float64)
    with torch.no_grad():
        wanted = norm(linear(x)).numpy()
    layer = spec.layers[0]
    np.testing.assert_allclose(x.numpy() @ layer.weight.T + layer.bias, wanted, rtol=1e-12)


def test_time_constants_are_dt_times_the_inverse_once() -> None:
    spec = spec_from_norse(_stack(LIFBoxCell(), LIFCell()), steps=STEPS)
    box, lif = spec.layers
    assert spec.dt_s == 0.001
    np.testing.assert_allclose([box.kappa[0], lif.kappa[0]], 0.1)
    assert lif.syn_kappa is not None and lif.syn_kappa[0] == pytest.approx(0.2)
    node = to_nir(spec).nodes["layer.0"]
    np.testing.assert_allclose(node.tau, 0.01, rtol=1e-6)  # seconds; norse issue 411 gives 1e-5
    assert node.tau.shape == (6,)  # norse issue 412 gives ()


def test_one_error_lists_every_module_that_cannot_be_exported() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.Linear(8, 6),
        LIF(),
        nn.Linear(8, 6),
        LIFBoxCell(LIFBoxParameters(reset_method=reset_subtract)),
        nn.Linear(6, 6),
        LIFBoxCell(LIFBoxParameters(v_leak=torch.tensor(0.5))),
        nn.Linear(6, 6),
        LIFCell(LIFParameters(v_reset=torch.tensor(-0.5))),
        nn.Linear(6, 6),
        nn.Linear(6, 6),
        LIFBoxCell(LIFBoxParameters(v_th=torch.ones(5))),
    )
    with pytest.raises(UnsupportedNode) as caught:
        spec_from_norse(module, steps=STEPS)
    found = "\n".join(caught.value.found)
    for part in (
        "0 (Conv2d)",
        "2 (LIF): wraps time itself",
        "4 (LIFBoxCell): reset_method",
        "6 (LIFBoxCell): v_leak is not 0",
        "8 (LIFCell): v_reset is not 0",
        "10 (Linear): follows another Linear",
        "11 (LIFBoxCell): threshold has 5 values for 6 neurons",
    ):
        assert part in found
    assert len(caught.value.found) == 7


def test_a_stack_without_a_cell_or_without_layers_is_refused() -> None:
    with pytest.raises(UnsupportedNode, match="no spiking cell after it"):
        spec_from_norse(nn.Sequential(nn.Linear(3, 2)), steps=2)
    with pytest.raises(BadInput, match="holds no layer"):
        spec_from_norse(nn.Sequential(), steps=2)


def test_dynamic_thresholds_reach_the_norse_cell_per_sample_and_step() -> None:
    spec = spec_from_norse(nn.Sequential(nn.Linear(8, 6), LIFBoxCell(dt=0.01)), steps=2)
    spec = replace(spec, policy="dynamic")
    codes = np.zeros((2, 2, 8), np.int16)
    bias = replace(spec.layers[0], bias=np.full(6, 0.5))  # kappa 1: v* = 0.5 at every step
    spec = replace(spec, layers=(bias,))
    theta = {"layer.0": np.array([[0.4, 0.5], [0.6, 0.499]])}
    spikes = run_norse(spec, ChipInput({"input": codes}, spec.inputs, theta)).spikes["layer.0"]
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

    spec = spec_from_norse(module, steps=STEPS)
    ours = run_sinabs(lower(to_nir(spec)), ChipInput({"input": codes}, spec.inputs))
    assert np.array_equal(ours.spikes["layer.0"], wanted)
