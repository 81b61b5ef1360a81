"""`from_norse` makes a graph that behaves as the user's own stack does, step by step in float64."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from torch import nn

from neurozsl.core.errors import BadInput, UnsupportedNode
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.export.nir.nirfile import read, write
from neurozsl.export.nir.normalise import normalise
from neurozsl.export.norse.graph import from_norse
from neurozsl.hardware.lower.lower import lower
from neurozsl.norse.cells import (
    LIF,
    IAFCell,
    LIBoxCell,
    LICell,
    LIFBoxCell,
    LIFBoxParameters,
    LIFCell,
    LIFParameters,
    LIFRecurrentCell,
    SequentialState,
    reset_subtract,
)
from tests.export.step_reference import reference

STEPS, SAMPLES = 25, 3


def louder(module: nn.Module, gain: float = 16.0) -> nn.Module:
    """The module in use, float64, with weights (of float32) that make its neurons spike."""
    with torch.no_grad():
        for name, value in module.named_parameters():
            if "weight" in name and "recurrent" not in name:
                value.mul_(gain)
    return module.double().eval()


def input_spikes(*shape: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy((rng.random((SAMPLES, STEPS, *shape)) < 0.4).astype(np.float64))


def norse_own(module: Any, x: torch.Tensor) -> Any:
    """Output of the stack as Norse runs it, `(batch, time, values)`."""
    state, values = None, []
    with torch.no_grad():
        for t in range(x.shape[1]):
            z, state = module(x[:, t], state)
            values.append(z.flatten(1))
    return torch.stack(values, 1).numpy()


def ours(graph: nir.NIRGraph, x: torch.Tensor) -> tuple[Any, Any]:
    """Spikes and membrane of the read layer in the slow reference."""
    lowered = lower(graph)
    codes = x.numpy().reshape(*x.shape[:2], -1)
    spikes, membrane = reference(lowered, ChipInput({"input": codes}, lowered.inputs))
    return spikes[lowered.outputs[0]], membrane[lowered.outputs[0]]


def subtracting() -> LIFBoxCell:
    return LIFBoxCell(LIFBoxParameters(reset_method=reset_subtract))


STACKS: dict[str, tuple[tuple[int, ...], Callable[[], tuple[nn.Module, ...]]]] = {
    "dense": (
        (8,),
        lambda: (nn.Linear(8, 6), LIFBoxCell(), nn.Linear(6, 5, bias=False), LIFCell()),
    ),
    "conv": (
        (2, 9, 8),
        lambda: (
            nn.Conv2d(2, 4, (3, 5), stride=(2, 1), padding=(1, 0), bias=False),
            IAFCell(),
            nn.AvgPool2d(2),
            nn.Dropout(),
            nn.Conv2d(4, 6, 2, groups=2, dilation=(1, 1)),
            LIFBoxCell(),
            nn.Flatten(),
            nn.Linear(6, 5),
            LIFCell(),
        ),
    ),
    "same padding, even kernel, sums": (
        (1, 6, 6),
        lambda: (
            nn.Conv2d(1, 3, 4, padding="same"),
            LIFBoxCell(),
            nn.LPPool2d(1, 3, stride=3),
            nn.AvgPool2d((2, 1), divisor_override=1),
            nn.Flatten(1),
            nn.Linear(6, 4),
            LIFBoxCell(),
        ),
    ),
    "one dimension": (
        (2, 12),
        lambda: (
            nn.Conv1d(2, 3, 4, stride=2, padding=1),
            LIFCell(),
            nn.Flatten(),
            nn.Linear(18, 5),
            LIFBoxCell(),
        ),
    ),
    "recurrent": ((7,), lambda: (LIFRecurrentCell(7, 6), nn.Linear(6, 5), LIFCell())),
    "recurrent behind weights": ((7,), lambda: (nn.Linear(7, 5), LIFRecurrentCell(5, 6))),
    "nested, vectors per neuron": (
        (8,),
        lambda: (
            nn.Sequential(nn.Linear(8, 6), nn.Identity()),
            LIFBoxCell(LIFBoxParameters(v_th=torch.linspace(0.5, 1.5, 6))),
            nn.Linear(6, 3),
            LIFCell(LIFParameters(tau_syn_inv=torch.tensor([300.0, 200.0, 100.0]))),
        ),
    ),
    "subtract": ((8,), lambda: (nn.Linear(8, 6), subtracting(), nn.Linear(6, 3), subtracting())),
}
READ_OUTS: dict[str, Callable[[], tuple[nn.Module, ...]]] = {
    "LIBoxCell": lambda: (nn.Linear(6, 4), LIBoxCell()),
    "LICell": lambda: (nn.Linear(6, 4), LICell()),
    "sums": lambda: (nn.Linear(6, 4),),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # torch
@pytest.mark.parametrize("kind", STACKS)
def test_the_graph_spikes_as_the_stack_does_before_and_after_a_file(
    kind: str, tmp_path: Path
) -> None:
    shape, make = STACKS[kind]
    torch.manual_seed(5)
    module, x = louder(SequentialState(*make())), input_spikes(*shape)
    wanted = norse_own(module, x)
    assert 0.02 < wanted.mean() < 0.9
    graph = from_norse(module, x)
    assert np.array_equal(ours(graph, x)[0], wanted)
    again = normalise(read(write(tmp_path / "net.nir", graph)))
    assert again.repairs == ()
    assert np.array_equal(ours(again.graph, x)[0], wanted)


@pytest.mark.parametrize("kind", READ_OUTS)
def test_a_read_out_integrates_as_norse_does(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(4)
    module = louder(SequentialState(nn.Linear(8, 6), LIFBoxCell(), *READ_OUTS[kind]()))
    x = input_spikes(8)
    graph = normalise(read(write(tmp_path / "net.nir", from_norse(module, x)))).graph
    spikes, membrane = ours(graph, x)
    assert not spikes.any()
    np.testing.assert_allclose(membrane, norse_own(module, x), rtol=1e-6, atol=1e-7)


def test_batch_norm_folds_into_the_convolution_before_it() -> None:
    torch.manual_seed(5)
    norm = nn.BatchNorm2d(3).double().eval()
    with torch.no_grad():
        norm.running_mean += torch.randn(3).double()  # type: ignore[operator]
        norm.running_var *= torch.rand(3).double() + 0.5  # type: ignore[operator]
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-1, 1)
    conv, x = nn.Conv2d(2, 3, 3).double(), torch.randn(4, 2, 5, 5).double()
    graph = from_norse(nn.Sequential(conv, norm, LIFBoxCell()), x[:, None], input_code=graded(50))
    assert set(graph.nodes) == {"input", "0", "2", "output"}
    node = graph.nodes["0"]
    found = nn.functional.conv2d(x, torch.from_numpy(node.weight).double()) + torch.from_numpy(
        node.bias
    ).double().reshape(1, 3, 1, 1)
    with torch.no_grad():
        np.testing.assert_allclose(found.numpy(), norm(conv(x)).numpy(), rtol=1e-5, atol=1e-5)


def graded(size: int) -> InputCode:
    return InputCode(size, "graded", 4, True, 0.25)


def test_nodes_edges_shapes_and_metadata_of_a_small_stack() -> None:
    module = SequentialState(
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), LIFBoxCell(dt=0.002)),
        nn.Flatten(),
        LIFRecurrentCell(64, 5, dt=0.002),
    )
    x = input_spikes(2, 4, 4)
    graph = from_norse(module, x)
    chain = ["input", "0_0", "0_1", "1", "2_in", "2", "output"]
    loop = {("2", "2_rec"), ("2_rec", "2")}
    assert set(graph.edges) == {*pairwise(chain), *loop}
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    assert kinds["0_0"] == "Conv2d" and kinds["0_1"] == "LIF" and kinds["2"] == "CubaLIF"
    assert kinds["2_in"] == kinds["2_rec"] == "Linear" and kinds["1"] == "Flatten"
    assert tuple(graph.nodes["0_0"].input_shape) == (4, 4)
    assert graph.nodes["0_1"].tau.shape == (4, 4, 4) and graph.nodes["2"].tau_syn.shape == (5,)
    np.testing.assert_allclose(graph.nodes["0_1"].tau, 0.01, rtol=1e-6)  # seconds
    np.testing.assert_allclose(graph.nodes["2"].w_in, 2.5, rtol=1e-6)  # 1 / (dt tau_syn_inv)
    assert graph.nodes["0_0"].weight.dtype == np.float32
    assert graph.nodes["input"].input_type["input"].tolist() == [2, 4, 4]
    header = json.loads(graph.metadata["neurozsl"])
    assert header["dt_s"] == 0.002 and header["steps"] == STEPS and header["reset"] == "zero"
    assert header["layers"] == ["0_1", "2"] and header["outputs"] == ["2"]
    assert header["inputs"]["input"]["size"] == 32 and header["inputs"]["input"]["kind"] == "binary"


def test_one_error_lists_every_module_that_cannot_be_carried_over() -> None:
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"),
        nn.MaxPool2d(2),
        nn.Linear(8, 6),
        LIF(),
        nn.Linear(6, 6),
        LIFBoxCell(LIFBoxParameters(v_leak=torch.tensor(0.5))),
        nn.Linear(5, 6),
        LIFCell(LIFParameters(v_th=torch.ones(5))),
        nn.ReLU(),
        nn.Linear(6, 6),
        LIFBoxCell(dt=1.0),
        subtracting(),
        LIFCell(),
    )
    with pytest.raises(UnsupportedNode) as caught:
        from_norse(module, input_spikes(2, 4, 4))
    wanted = [
        "0 (Conv2d): padding_mode 'circular'",
        "1 (MaxPool2d): a maximum is not a sum",
        "3 (LIF): wraps time itself",
        "5 (LIFBoxCell): v_leak is not 0",
        "6 (Linear): reads 5 values, before it is (6,)",
        "8 (ReLU): layers send spikes",
        "10 (LIFBoxCell): dt tau_mem_inv is 100..100, expected a decay in (0, 1]",
        "some cells reset to a value and others subtract",
    ]
    for text in wanted:
        assert any(found.startswith(text) for found in caught.value.found), text
    assert len(caught.value.found) == len(wanted)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # torch
@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Conv2d(2, 4, 5), r"does not take \(2, 4, 4\)"),
        (nn.Conv2d(3, 4, 1), "a map of 3 channels, before it is"),
        (nn.BatchNorm2d(2), "directly before it to fold into"),
        (nn.AvgPool2d(3, ceil_mode=True), "ceil_mode"),
        (nn.AvgPool2d(2, padding=1, count_include_pad=False), "count_include_pad=False"),
        (nn.AvgPool2d(2, divisor_override=3), "divides by 3"),
        (nn.LPPool2d(2, 2), "norm_type 2"),
        (nn.Conv2d(2, 4, 2, dilation=3, padding="same"), "not the same on both sides"),
        (nn.Flatten(0), "start_dim 0 joins the samples"),
        (nn.Linear(32, 4), "put Flatten in front"),
        (LIFRecurrentCell(32, 4), "reads 32 values, before it is"),
    ],
)
def test_a_module_that_would_be_carried_over_wrongly_is_refused(
    module: nn.Module, message: str
) -> None:
    with pytest.raises(UnsupportedNode, match=message):
        from_norse(nn.Sequential(module, LIFBoxCell()), input_spikes(2, 4, 4))


def test_an_example_without_time_or_with_other_values_says_what_is_missing() -> None:
    module = nn.Sequential(nn.Linear(8, 4), LIFBoxCell())
    with pytest.raises(BadInput, match=r"the example is \(3, 8\), expected a tensor \(batch, time"):
        from_norse(module, torch.zeros(3, 8))
    with pytest.raises(BadInput, match=r"not spikes .* pass input_code"):
        from_norse(module, torch.full((1, 2, 8), 0.5))
    with pytest.raises(BadInput, match="has 8 values, its code says 50"):
        from_norse(module, torch.zeros(1, 2, 8), input_code=graded(50))
    ternary = from_norse(module, -torch.ones(1, 2, 8))
    assert json.loads(ternary.metadata["neurozsl"])["inputs"]["input"]["kind"] == "ternary"
    with pytest.raises(BadInput, match="holds no cell"):
        from_norse(nn.Sequential(nn.Linear(8, 4)), torch.zeros(1, 2, 8))
    two = nn.Sequential(nn.Linear(8, 4), LIFBoxCell(), LIFBoxCell(dt=0.002))
    with pytest.raises(BadInput, match="different dt"):
        from_norse(two, torch.zeros(1, 2, 8))
    assert math.isclose(lower(from_norse(two, torch.zeros(1, 2, 8), dt_s=0.004)).dt_s, 0.004)


def test_importing_export_imports_no_torch_until_from_norse_is_asked_for() -> None:
    code = (
        "import sys, neurozsl as nz, neurozsl.export\n"
        "before = 'torch' in sys.modules\n"
        "first, again = nz.from_norse, nz.from_norse\n"
        "print(before, callable(first), first is again)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]
