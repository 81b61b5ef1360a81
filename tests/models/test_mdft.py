"""MDFT: gradients, the two doors between host and chip, presets, switches and the LIF neuron."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import needed_branch
from neurozsl.models.coding import encode, graded_code
from neurozsl.models.dense_layer import SpikingLayer
from neurozsl.models.mdft import MDFT, build
from neurozsl.models.neurons import NeuronConfig
from tests.factories.batches import batch

SMALL: dict[str, Any] = {
    "embed": 16,
    "hidden": 24,
    "proj": 8,
    "heads": 2,
    "head_width": 4,
    "motion_widths": (20, 12, 8),
    "steps": 6,
    "theta": 0.5,
}


def small(**options: Any) -> MDFT:
    torch.manual_seed(0)
    model = build(audio_dim=10, video_dim=14, **{**SMALL, **options})
    model.calibrate(batch())
    return model


def loss(model: MDFT, b: AVBatch) -> Tensor:
    vectors = torch.randn(3, 300, generator=torch.Generator().manual_seed(1))
    negative = (torch.arange(len(b)) + 1) % len(b)
    return model.loss(model(b), b.label, negative, vectors).total


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threshold": "dynamic"},
        {"preset": "paper", "theta": 0.02},  # alive at random weights
        {"neuron": "mlp"},
        {"motion": False},
        {"rjlu": False},
        {"crm": False},
        {"output": "relu"},
        {"gate": "sigmoid"},
        {"encode": "repeat"},
        {"dab": "norm"},
        {"motion_inputs": ["audio"]},
        {"audio_code": "change", "audio_rate": 0.3},
        {"audio_code": "delta", "audio_rate": 0.3, "audio_events": "graded"},
    ],
    ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items()) or "deploy",
)
def test_gradients_reach_every_trainable_parameter(options: dict[str, Any]) -> None:
    model = small(**options)
    torch.autograd.backward(loss(model, batch(n=48)))
    without = [
        name
        for name, p in model.named_parameters()
        if p.grad is None or not bool((p.grad != 0).any())
    ]
    assert without == []


def test_the_split_model_gives_what_the_whole_model_gives() -> None:
    model = small().eval()
    b = batch()
    whole = model(b)
    prepared = model.prepare(b)
    assert prepared.chip_input is not None and model.branch is not None
    trace = model.branch(prepared.chip_input).to_numpy()
    split = model.finish(trace, prepared.context)
    for left, right in zip(whole.heads, split.heads, strict=True):
        assert torch.equal(left, right)


def test_no_motion_weight_is_used_on_the_host() -> None:
    model = small().eval()
    b = batch()
    prepared = model.prepare(b)
    assert prepared.chip_input is not None and model.branch is not None
    trace = model.branch(prepared.chip_input).to_numpy()
    expected = model.finish(trace, prepared.context)
    with torch.no_grad():
        for p in model.branch.parameters():
            p.fill_(float("nan"))
    again = model.prepare(b)
    assert again.chip_input is not None
    for name, codes in again.chip_input.codes.items():
        assert torch.equal(codes, prepared.chip_input.codes[name])
    for left, right in zip(expected.heads, model.finish(trace, again.context).heads, strict=True):
        assert torch.equal(left, right)


def test_chip_input_holds_integers_inside_the_codes_range() -> None:
    model = small().eval()
    prepared = model.prepare(batch(seed=3))
    assert prepared.chip_input is not None
    as_integers = prepared.chip_input.to_numpy()
    assert as_integers.codes["audio"].dtype == np.int16
    assert 0 <= as_integers.codes["audio"].min() and as_integers.codes["audio"].max() <= 15
    assert set(np.unique(as_integers.codes["video"])) <= {-1, 0, 1}


def test_the_scale_of_graded_codes_is_a_power_of_two_and_rounding_passes_the_gradient() -> None:
    assert graded_code(torch.zeros(4, 5), bits=4).scale == 1.0  # and not the smallest power of two
    code = graded_code(torch.rand(100, 5) * 3, bits=4)
    assert np.log2(code.scale) == int(np.log2(code.scale))
    assert (code.signed, code.high) == (False, 15)
    x = torch.tensor([0.3, 1.0, 1e9], requires_grad=True)
    coded = encode(x, InputCode(3, "graded", 4, False, 0.25))
    assert coded.tolist() == [1.0, 4.0, 15.0]
    torch.autograd.backward(coded.sum())
    assert x.grad is not None
    assert x.grad.tolist() == [4.0, 4.0, 0.0]


def test_lif_layer_follows_norses_equation_with_a_strict_threshold() -> None:
    torch.manual_seed(0)
    layer = SpikingLayer(4, 3, NeuronConfig("lif", 1024, 0.02, "tanh", 5.0), norm=False).double()
    x = torch.randn(2, 9, 4, dtype=torch.float64)
    fast = layer(x, None, None)
    w, b = layer.linear.weight.detach().numpy(), layer.linear.bias.detach().numpy()
    v = np.zeros((2, 3))
    for t in range(9):
        v = v + 0.25 * (x[:, t].numpy() @ w.T + b - v)
        z = v > 0.02
        v = np.where(z, 0.0, v)
        assert np.array_equal(fast[:, t].detach().numpy(), z)
    assert 0 < float(fast.detach().mean()) < 1


def test_a_membrane_exactly_at_the_threshold_does_not_spike() -> None:
    layer = SpikingLayer(1, 1, NeuronConfig("lif", 2048, 0.5, "tanh", 5.0), norm=False)
    with torch.no_grad():
        layer.linear.weight.fill_(1.0)
        layer.linear.bias.fill_(0.0)
    at = layer(torch.ones(1, 1, 1), None, None)
    above = layer(torch.full((1, 1, 1), 1.0001), None, None)
    assert (float(at.detach()), float(above.detach())) == (0.0, 1.0)


def test_folding_batch_norm_changes_no_spike() -> None:
    model = small()
    for _ in range(40):
        model(batch(n=40))  # move the running statistics away from 0 and 1
    model.eval()
    assert model.branch is not None
    prepared = model.prepare(batch(n=40, seed=2))
    assert prepared.chip_input is not None
    trained = model.branch(prepared.chip_input).to_numpy()
    spec = model.branch.spec()
    codes = prepared.chip_input.to_numpy()
    spikes: dict[str, Any] = {
        n: codes.codes[n] * c.scale for n, c in prepared.chip_input.code.items()
    }
    for layer in spec.layers:
        drive = spikes[layer.source] @ layer.weight.astype(float).T + layer.bias
        v = np.zeros_like(drive[:, 0])
        out = np.zeros_like(drive)
        for t in range(drive.shape[1]):
            v = v + layer.kappa * (drive[:, t] - v)
            out[:, t] = v > layer.threshold
            v = np.where(out[:, t] > 0, 0.0, v)
        spikes[layer.name] = out
        assert np.mean(out == trained.spikes[layer.name]) > 0.999, layer.name
        assert 0 < out.mean() < 1


def test_repeated_features_are_averaged_first_and_then_shown_at_every_step() -> None:
    model = small(encode="repeat").eval()
    prepared = model.prepare(batch(steps=4))
    assert prepared.chip_input is not None
    codes = prepared.chip_input.to_numpy().codes["audio"]
    assert codes.shape[1] == 6
    assert np.array_equal(codes[:, 1:], np.repeat(codes[:, 1:2], 5, 1))  # step 0 has the events


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wings": 2}, "unknown option wings"),
        ({"gate": "open"}, "gate='open'"),
        ({"threshold": "dynamic", "rjlu": False}, "needs the RJLU"),
        ({"decay_u12": 5000}, "decay_u12=5000"),
        ({"preset": "huge"}, "preset='huge'"),
        ({"slots": 5, "embed": 16}, "not a multiple"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        build(audio_dim=10, video_dim=14, **options)


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="mdft"):
        models.build("resnet", audio_dim=1, video_dim=1)


def test_features_with_another_number_of_steps_are_refused() -> None:
    with pytest.raises(BadInput, match="4 steps, the model expects 6"):
        small()(batch(steps=4))


def test_the_mlp_ablation_cannot_be_exported() -> None:
    with pytest.raises(BadInput, match="does not spike"):
        needed_branch(small(neuron="mlp")).spec()


def test_options_rebuild_the_same_model() -> None:
    model = small(threshold="dynamic")
    again = build(**model.options())
    again.load_state_dict(model.state_dict())
    b = batch(seed=5)
    for left, right in zip(model.eval()(b).heads, again.eval()(b).heads, strict=True):
        assert torch.equal(left, right)
