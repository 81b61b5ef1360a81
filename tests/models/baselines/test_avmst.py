"""AVMST as it is deployed: its spikes and gates by hand, its options, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.models.base import BranchModel, own_trace
from neurozsl.models.baselines.avmst import AVMST, build

SMALL: dict[str, Any] = {
    "embed": 12, "hidden": 20, "proj": 8, "head_width": 4, "mlp": 6, "spiking_hidden": 24,
    "drop_enc": 0.0, "drop_proj": 0.0, "drop_dec": 0.0, "theta": 0.3,
}  # fmt: skip


def batch(n: int = 12, steps: int = 5, width: int = 14) -> AVBatch:
    g = torch.Generator().manual_seed(3)
    mask = torch.ones(n, steps, dtype=torch.bool)
    mask[::3, 3:] = False
    audio = torch.randn(n, steps, 10, generator=g, dtype=torch.float64)
    video = torch.randn(n, steps, width, generator=g, dtype=torch.float64)
    return AVBatch(audio, video, mask, torch.arange(n) % 3)


def small(**options: Any) -> AVMST:
    torch.manual_seed(0)
    model = build(audio_dim=10, video_dim=14, **{**SMALL, **options}).double()
    model.calibrate(batch())
    return model


def spikes_of(model: AVMST, given: AVBatch) -> Trace:
    trace = own_trace(model, model.prepare(given))
    assert trace is not None
    return trace


def slow_rates(model: AVMST, given: AVBatch, name: str) -> Any:
    """Rates of a modality, one sample, step and neuron after the other."""
    code = model.branch.codes[name]
    features, mask = getattr(given, name).numpy(), given.mask.numpy()
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    found = np.zeros((len(given), model.config.embed))
    for i in range(len(given)):
        average = features[i][mask[i]].mean(0)
        shown = np.clip(np.rint(average / code.scale), code.low, code.high) * code.scale
        membranes: list[Any] = [0.0, 0.0]
        for _ in range(model.config.steps):
            x = shown
            for layer in (0, 1):
                place = f"branch.pathways.{name}.{layer}.linear"
                u = membranes[layer] + state[f"{place}.weight"] @ x + state[f"{place}.bias"]
                x = (u >= np.float32(model.config.theta)).astype(float)
                membranes[layer] = np.where(x > 0, 0.0, u)
            found[i] += x
    return found / model.config.steps


def test_rates_and_gates_equal_those_worked_out_sample_by_sample() -> None:
    model, given = small().eval(), batch()
    with torch.no_grad():
        output = model(given)
        encoded = model.prepare(given).context
    attention = model.cross_attention
    for name, token in (("audio", 0), ("video", 1)):
        rate = torch.from_numpy(slow_rates(model, given, name))
        assert torch.allclose(output.aux[f"rate_{name[0]}"], rate, atol=1e-12)
        assert 0.02 < rate.mean().item() < 0.9
        phi = getattr(encoded, f"phi_{name[0]}")
        gate = rate.exp() / rate.exp().sum(1, keepdim=True)
        with torch.no_grad():
            tokens = torch.stack([phi, phi * gate], 1) + attention.position[token]
            expected = attention.mix(tokens)[:, token]
        assert torch.allclose(output.aux[f"phi_{name[0]}"], expected, atol=1e-12)


def test_a_samples_spikes_depend_on_it_alone_and_in_the_public_order_on_its_partner_too() -> None:
    given = replace(batch(8, width=10), video=batch(8).audio.flip(0))
    other = given.take([0, 1, 2, 3, 7, 6, 5, 4])  # the second half in another order
    for order, alone in (("clean", True), ("public", False)):
        model = build(audio_dim=10, video_dim=10, **SMALL, order=order, passes="apart").double()
        model.calibrate(given)
        model.train()
        one, two = (spikes_of(model, x).spikes["audio.1"] for x in (given, other))
        assert torch.equal(one[:4], two[:4])
        assert torch.equal(one[4:], two[4:].flip(0)) == alone


def test_the_video_of_the_public_order_goes_through_the_audio_neurons_after_one_step() -> None:
    given = replace(batch(6, width=10), video=batch(6).audio.flip(0))
    spikes = []
    for touched in (False, True):
        torch.manual_seed(0)
        model = build(audio_dim=10, video_dim=10, **SMALL, order="public").double().eval()
        if touched:
            with torch.no_grad():
                for p in model.branch.pathways["video"].parameters():
                    p.add_(torch.randn(p.shape, dtype=p.dtype))
        spikes.append(spikes_of(model, given).spikes["video.0"])
    assert torch.equal(spikes[0][:, 1:], spikes[1][:, 1:])
    assert not torch.equal(spikes[0][:, 0], spikes[1][:, 0])


def test_the_neurons_learn_unless_they_are_left_as_drawn() -> None:
    vectors = torch.randn(3, 300, dtype=torch.float64)
    for train_branch in (True, False):
        model, given = small(train_branch=train_branch), batch()
        output = model(given)
        terms = model.loss(output, given.label, torch.arange(12).roll(1), vectors)
        terms.total.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in model.branch.parameters()]
        assert all((g is not None and bool(g.any())) == train_branch for g in gradients)


def test_options_with_codes_make_the_model_again_and_the_deployed_copy_scores_the_same() -> None:
    model, given = small(norm=True), batch()
    for _ in range(20):
        model(given)  # moves the running statistics
    model.eval()
    again = models.build("avmst", **json.loads(json.dumps(model.options())))
    again.to(torch.float64).load_state_dict(model.state_dict())
    again.eval()
    frozen = model.frozen({name: 0.3 for name in model.branch.layer_names("audio")}
                          | {name: 0.3 for name in model.branch.layer_names("video")})  # fmt: skip
    assert isinstance(frozen, BranchModel)
    assert frozen.branch.spec().policy == "frozen" and not frozen.config.norm
    with torch.no_grad():
        expected = model(given).heads[0]
        assert torch.equal(again(given).heads[0], expected)  # type: ignore[operator]
        found = frozen.double().eval()(given).heads[0]
    assert torch.allclose(found, expected, atol=1e-3)  # weights are folded to float32


def test_the_deployed_branch_is_two_integrating_layers_a_modality() -> None:
    spec = small().branch.spec()
    assert [layer.name for layer in spec.layers] == ["audio.0", "audio.1", "video.0", "video.1"]
    assert spec.outputs == ("audio.1", "video.1") and spec.steps == 10
    for layer in spec.layers:
        assert not layer.kappa.any()
        assert set(layer.threshold) == {float(np.nextafter(np.float32(0.3), np.float32(0)))}
    [above] = {x for layer in small(fires="above").branch.spec().layers for x in layer.threshold}
    assert above == 0.3


def test_only_the_steps_that_ran_count_where_a_sample_is_stopped() -> None:
    model, given = small().eval(), batch()
    with torch.no_grad():
        whole, stopped = (model(x).aux["rate_v"] for x in (given, replace(given, stop=4)))
        spikes = spikes_of(model, given).spikes["video.1"]
    assert torch.allclose(stopped, spikes[:, :4].mean(1))
    assert not torch.equal(whole, stopped)


def test_silent_layers_are_named() -> None:
    assert not [text for text in small().eval().warnings(batch()) if "never spikes" in text]
    found = small(theta=1e6).eval().warnings(batch())
    assert [text.split("'")[1] for text in found if "never spikes" in text] == [
        "audio.0", "audio.1", "video.0", "video.1",
    ]  # fmt: skip


@pytest.mark.parametrize("widths", [(256, 256), (512, 512), (128, 1024), (1, 1)])
def test_the_speck_profile_fits_two_large_and_two_small_cores(widths: tuple[int, int]) -> None:
    model = build(audio_dim=widths[0], video_dim=widths[1], motion_profile="speck")
    spec = model.branch.spec()
    assert all(code.kind == "binary" for code in spec.inputs.values())
    words = sorted(
        (x.weight.shape[1] * 2 ** int(np.ceil(np.log2(x.weight.shape[0]))) for x in spec.layers),
        reverse=True,
    )
    free = sorted((c["kernel_words"] for c in load_chip("speck2f").cores for _ in c["ids"]),
                  reverse=True)  # fmt: skip
    assert len(words) == 4 and all(a <= b for a, b in zip(words, free, strict=False))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wings": 1}, "model 'avmst': unknown option wings"),
        ({"order": "clear"}, "order='clear', expected one of clean, public"),
        ({"order": "public"}, "features are 10 and 14 wide; use order=clean"),
        ({"order": "public", "audio_dim": 14, "norm": True}, "use norm=false"),
        ({"theta": 0.0}, "theta=0.0, expected a threshold above 0"),
        ({"input_bits": 1}, r"input_bits=1, expected 2\.\.16"),
        ({"input_levels": 17}, r"input_levels=17, expected 1\.\.16"),
        ({"steps": 0}, "steps=0"),
        ({"motion_profile": "loihi9"}, "motion_profile='loihi9', expected one of speck"),
        ({"motion_profile": "speck", "video_dim": 1025}, "1025 features, a Speck layer takes 1024"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        build(**{"audio_dim": 10, "video_dim": 14, **options})


def test_the_public_order_says_why_no_chip_can_take_it_over() -> None:
    model = build(audio_dim=10, video_dim=10, order="public", **SMALL)
    for refused in (lambda: model.branch.spec(), lambda: model.frozen({"audio.0": 1.0})):
        with pytest.raises(BadInput, match=r"order=public carries membranes.*train with order=cl"):
            refused()
