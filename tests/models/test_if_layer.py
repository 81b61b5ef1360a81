"""The integrate-and-fire layer against Norse's own IAFCell, and the profile made for Speck."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.speck.cores import CoreShape
from neurozsl.models.base import needed_branch
from neurozsl.models.dense_layer import SpikingLayer
from neurozsl.models.mdft import build
from neurozsl.models.motion import SpikingBranch
from neurozsl.models.neurons import NeuronConfig
from neurozsl.models.profiles import PROFILES, SPECK_CHANNELS, SPECK_LARGEST_CORE, profile_options
from neurozsl.norse.cells import IAFCell, IAFParameters


def make(norm: bool = False, theta: float = 0.4) -> SpikingLayer:
    return SpikingLayer(6, 5, NeuronConfig("if", theta=theta), norm=norm).double()


def by_cell(layer: SpikingLayer, x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """The same weights in front of Norse's IAFCell, one call per step."""
    drive = torch.nn.functional.linear(x, layer.linear.weight, layer.linear.bias)
    cell = IAFCell(IAFParameters(method="tanh", alpha=torch.tensor(1.0).double()))
    state, spikes = None, []
    for t in range(x.shape[1]):
        cell.p = cell.p._replace(v_th=theta[:, t])
        z, state = cell(drive[:, t], state)
        spikes.append(z)
    return torch.stack(spikes, 1)


@pytest.mark.parametrize("dynamic", [False, True])
def test_spikes_and_gradients_are_those_of_norses_iaf_cell(dynamic: bool) -> None:
    layer = make()
    x = torch.randn(3, 11, 6, dtype=torch.float64, requires_grad=True)
    wave = 0.3 + 0.2 * torch.rand(3, 11, dtype=torch.float64)
    theta = wave if dynamic else torch.full((3, 11), 0.4, dtype=torch.float64)
    weights = torch.randn(3, 11, 5, dtype=torch.float64)
    found = []
    for spikes in (layer(x, None, wave if dynamic else None), by_cell(layer, x, theta[:, :, None])):
        parameters = [x, layer.linear.weight, layer.linear.bias]
        gradients = torch.autograd.grad((spikes * weights).sum(), parameters)
        found.append((spikes.detach(), gradients))
    (ours, our_gradients), (norse, norse_gradients) = found
    assert torch.equal(ours, norse)
    assert 0.05 < float(ours.mean()) < 0.95
    for left, right in zip(our_gradients, norse_gradients, strict=True):
        assert torch.equal(left, right)
        assert float(left.abs().max()) > 0


def test_the_membrane_adds_up_without_a_leak_and_spikes_above_the_threshold_only() -> None:
    layer = make(theta=1.0)
    with torch.no_grad():
        layer.linear.weight.fill_(0.0)
        layer.linear.bias.fill_(0.25)
    spikes = layer(torch.zeros(1, 10, 6, dtype=torch.float64), None, None)
    # 0.25 .. 1.0 is not above 1; 1.25 is, and the membrane starts again from 0.
    assert spikes[0, :, 0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert layer.config.kappa == 0.0


def test_the_spec_of_an_if_branch_says_no_leak_and_folds_batch_norm() -> None:
    codes = {"a": InputCode(6, "binary", 1, False, 1.0)}
    branch = SpikingBranch(codes, (5, 4), steps=9, neuron=NeuronConfig("if", theta=0.7))
    x = (torch.rand(64, 9, 6) < 0.4).float()
    for _ in range(30):
        branch(ChipInput({"a": x}, codes))  # move the running statistics away from 0 and 1
    branch.eval()
    spec = branch.spec()
    trained = branch(ChipInput({"a": x}, codes)).to_numpy()
    values: dict[str, Any] = {"a": x.numpy()}
    for layer in spec.layers:
        assert not layer.kappa.any()
        drive = values[layer.source] @ layer.weight.astype(float).T + layer.bias
        v, out = np.zeros_like(drive[:, 0]), np.zeros_like(drive)
        for t in range(9):
            v = v + drive[:, t]
            out[:, t] = v > layer.threshold
            v = np.where(out[:, t] > 0, 0.0, v)
        assert np.mean(out == trained.spikes[layer.name]) > 0.999
        assert 0 < out.mean() < 1
        values[layer.name] = trained.spikes[layer.name]


# ---------------------------------------------------------------- the profile


@pytest.mark.parametrize(
    ("audio_dim", "video_dim"), [(256, 256), (512, 512), (128, 300), (1024, 10), (1, 1)]
)
def test_the_speck_profile_fits_the_nine_cores_of_the_chips_file(
    audio_dim: int, video_dim: int
) -> None:
    model = build(audio_dim=audio_dim, video_dim=video_dim, motion_profile="speck")
    spec = needed_branch(model).spec()
    assert all(code.kind == "binary" for code in spec.inputs.values())
    shapes = [
        CoreShape(x.name, x.source, x.weight.shape[1], x.weight.shape[0], 0) for x in spec.layers
    ]
    assert len(shapes) == 6
    chip = load_chip("speck2f")
    free = sorted((c["kernel_words"], i) for c in chip.cores for i in c["ids"])
    assert len(free) == 9
    # Largest layer first into the smallest core that holds it: a placement, if there is one.
    for shape in sorted(shapes, key=lambda s: -s.kernel_words):
        core = next((c for c in free if c[0] >= shape.kernel_words), None)
        assert core is not None, f"{shape.name} finds no core"
        free.remove(core)
    assert max(c["kernel_words"] for c in chip.cores) == SPECK_LARGEST_CORE
    assert chip.limit["channels"].value == SPECK_CHANNELS
    assert {s.inputs for s in shapes if s.name.endswith(".0")} <= set(range(SPECK_CHANNELS + 1))


@pytest.mark.parametrize(
    ("dims", "message"),
    [((256, 513), r"1026 visual \(ON and OFF\) channels"), ((1025, 8), "1025 audio channels")],
)
def test_too_many_features_for_a_layer_are_refused(dims: tuple[int, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        profile_options("speck", *dims)


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="motion profile 'loihi9' is not known; choose one of speck"):
        build(audio_dim=4, video_dim=4, motion_profile="loihi9")
    assert profile_options("", 4, 4) == {}
    assert list(PROFILES) == ["speck"]


def test_options_of_the_user_win_over_the_profile_and_rebuild_the_same_model() -> None:
    model = build(
        audio_dim=8, video_dim=8, motion_profile="speck", motion_widths=[16, 8], audio_code="level"
    )
    assert model.config.motion_widths == (16, 8)
    assert model.config.neuron == "if" and model.config.audio_code == "level"
    again = build(**model.options())
    again.load_state_dict(model.state_dict())
    first, second = needed_branch(model).spec(), needed_branch(again).spec()
    assert first is not None and second is not None
    assert first.inputs == second.inputs
    paper = build(audio_dim=8, video_dim=8, preset="paper", motion_profile="speck")
    assert (paper.config.threshold, paper.config.neuron) == ("fixed", "if")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"audio_code": "morse"}, "audio_code='morse', expected one of graded, level, rate"),
        ({"video_code": "rgb"}, "video_code='rgb', expected one of ternary, on_off"),
        ({"audio_levels": 0}, r"audio_levels=0, expected 1\.\.16"),
        ({"neuron": "lir"}, "neuron='lir', expected one of lif, if, mlp"),
    ],
)
def test_wrong_codes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        build(audio_dim=4, video_dim=4, **options)
