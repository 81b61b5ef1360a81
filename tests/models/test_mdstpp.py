"""MDST++-style reading: gradients, stages and their losses, the two doors, the host's part."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import ZSLModel, host_parts, needed_branch
from neurozsl.models.mdstpp import MDSTPP, build
from neurozsl.models.timescales import Timescales
from tests.factories import batches

SMALL: dict[str, Any] = {
    "embed": 16,
    "hidden": 24,
    "proj": 8,
    "heads": 2,
    "head_width": 4,
    "motion_widths": (20, 16),
    "motion_slots": 4,
    "stages": 3,
    "steps": 8,
    "theta": 0.5,
}
ABLATIONS: list[dict[str, Any]] = [
    {},
    {"threshold": "dynamic"},
    {"stages": 1},
    {"shrink": "none"},
    {"shrink": "learnt"},
    {"stage_steps": [8, 3]},
    {"ssa": False},
    {"egm": False},
    {"stage_losses": False},
    {"motion_head": False},
    {"on_chip": "embedding"},
    {"tokens": "time"},
    {"depth": 2},
    {"neuron": "if", "on_chip": "embedding"},
    {"motion_inputs": ["audio"]},
]
PAPER = {"preset": "paper", "motion_widths": [16], "attention_scale": 1}


def name_of(options: dict[str, Any]) -> str:
    return ",".join(f"{k}={v}" for k, v in options.items()) or "deploy"


batch = partial(batches.batch, steps=8)


def small(**options: Any) -> MDSTPP:
    torch.manual_seed(0)
    model = build(audio_dim=10, video_dim=14, **{**SMALL, **options})
    model.calibrate(batch())
    return model


def terms(model: MDSTPP, b: AVBatch) -> Any:
    vectors = torch.randn(3, 300, generator=torch.Generator().manual_seed(1))
    negative = (torch.arange(len(b)) + 1) % len(b)
    return model.loss(model(b), b.label, negative, vectors)


def stage_spikes(model: MDSTPP, b: AVBatch) -> dict[str, list[Tensor]]:
    """Spikes of every stage of both modalities."""
    found: dict[str, list[Tensor]] = {}
    for name, module in model.timescales.items():
        assert isinstance(module, Timescales)
        module.register_forward_hook(
            lambda _m, _given, out, name=name: found.update({name: [x.detach() for x, _ in out]})
        )
    model(b)
    return found


@pytest.mark.parametrize("options", [*ABLATIONS, PAPER], ids=name_of)
def test_gradients_reach_every_trainable_parameter(options: dict[str, Any]) -> None:
    model = small(**options)
    torch.autograd.backward(terms(model, batch(n=48)).total)
    without = [
        name
        for name, p in model.named_parameters()
        if p.grad is None or not bool((p.grad != 0).any())
    ]
    assert without == []


def test_stages_have_ever_fewer_steps_and_binary_spikes() -> None:
    model = small()
    assert model.config.lengths == (8, 4, 2)
    for stages in stage_spikes(model, batch(n=32)).values():
        assert [x.shape for x in stages] == [(32, 8, 16), (32, 4, 16), (32, 2, 16)]
        for x in stages:
            assert set(np.unique(x.numpy())) == {0.0, 1.0}


def test_the_entry_of_a_stage_reads_the_means_of_the_stage_before() -> None:
    model = small().eval()
    timescales = model.timescales["audio"]
    assert isinstance(timescales, Timescales)
    read: list[Tensor] = []
    timescales.enter[0].register_forward_hook(lambda _m, given, _out: read.append(given[0]))
    before = stage_spikes(model, batch(n=32))["audio"][0]
    pairs = (before[:, 0::2] + before[:, 1::2]) / 2
    assert torch.equal(read[0], pairs)
    assert {0.0, 0.5} <= set(np.unique(pairs.numpy())) <= {0.0, 0.5, 1.0}


def test_membranes_start_at_zero_in_every_stage_and_sample() -> None:
    model = small().eval()
    b = batch(n=16)
    first, second = model(b).heads[0], model(b).heads[0]
    halves = [
        model(AVBatch(*(x[i : i + 8] for x in vars(b).values() if x is not None))) for i in (0, 8)
    ]
    assert torch.equal(first, second)
    assert torch.allclose(torch.cat([h.heads[0] for h in halves]), first, atol=1e-5)


def test_every_stage_has_a_loss_of_equal_weight() -> None:
    parts = terms(small(), batch(n=32)).parts
    kinds = ("triplet", "projection", "reconstruction")
    assert set(parts) == {
        f"{n}/{k}" for n in ("joint", "motion", "stage1", "stage2") for k in kinds
    }
    alone = small(stage_losses=False)
    unweighted = small()
    weighted = {n: w for n, (_, w) in unweighted._weighted(unweighted(batch())).items()}
    assert weighted == {"joint": 1.0, "motion": 1 / 3, "stage1": 1 / 3, "stage2": 1 / 3}
    assert set(terms(alone, batch()).parts) == {
        f"{n}/{k}" for n in ("joint", "motion") for k in kinds
    }


def test_without_a_motion_head_every_stage_is_trained_and_only_the_fused_head_scores() -> None:
    output = small(motion_head=False)(batch())
    assert len(output.heads) == 1
    assert set(output.aux) == {"stage1", "stage2", "stage3"}


@pytest.mark.parametrize("options", ABLATIONS, ids=name_of)
def test_the_split_model_gives_what_the_whole_model_gives(options: dict[str, Any]) -> None:
    model = small(**options).eval()
    b = batch()
    whole = model(b)
    prepared = model.prepare(b)
    assert prepared.chip_input is not None and model.branch is not None
    trace = model.branch(prepared.chip_input).to_numpy()
    with torch.no_grad():
        for p in model.branch.parameters():  # the host uses no weight of the chip
            p.fill_(float("nan"))
    split = model.finish(trace, model.prepare(b).context)
    for left, right in zip(whole.heads, split.heads, strict=True):
        assert torch.equal(left, right)
    for name, value in whole.aux.items():
        assert torch.equal(value, split.aux[name])


def test_the_finish_reads_the_outputs_of_the_spec_and_nothing_else() -> None:
    for options in ({}, {"on_chip": "embedding"}, {"ssa": False}):
        model = small(**options).eval()
        prepared = model.prepare(batch())
        spec = needed_branch(model).spec()
        assert prepared.chip_input is not None and model.branch is not None
        trace = model.branch(prepared.chip_input)
        less = Trace({name: trace.spikes[name] for name in spec.outputs})
        expected = model.finish(trace, prepared.context).heads[0]
        assert torch.equal(model.finish(less, prepared.context).heads[0], expected)


def test_the_chip_holds_the_embedding_and_the_projections_of_the_first_attention() -> None:
    spec = needed_branch(small()).spec()
    wires = {layer.name: layer.source for layer in spec.layers if layer.name.startswith("audio")}
    assert wires == {
        "audio.0": "audio",
        "audio.1": "audio.0",
        "audio.q": "audio.1",
        "audio.k": "audio.1",
        "audio.v": "audio.1",
    }
    assert spec.outputs[:4] == ("audio.1", "audio.q", "audio.k", "audio.v")
    plain = needed_branch(small(ssa=False)).spec()
    assert plain is not None
    assert [layer.weight.shape[0] for layer in plain.layers[:4]] == [20, 16, 32, 16]


def test_what_stays_on_the_host_is_named_with_the_reason() -> None:
    parts = host_parts(small())
    assert any("Q K^T V" in part and "NIR has no node" in part for part in parts)
    assert any("8, 4, 2" in part for part in parts)
    assert host_parts(small(ssa=False, stages=1)) == ()
    assert host_parts(models.build("mdft", audio_dim=4, video_dim=4)) == ()


def test_attention_on_the_chip_is_refused_with_the_reasons() -> None:
    with pytest.raises(BadInput, match=r"spikes with spikes.*NIR has no node.*use on_chip=qkv"):
        small(on_chip="attention")


@pytest.mark.parametrize("threshold", ["fixed", "dynamic"])
def test_a_frozen_copy_has_the_scores_of_the_model_up_to_its_constants(threshold: str) -> None:
    model = small(threshold=threshold)
    for _ in range(20):
        model(batch(n=40))
    model.eval()
    spec = needed_branch(model).spec()
    frozen = model.frozen({layer.name: 0.5 for layer in spec.layers}).eval()
    deployed = needed_branch(frozen).spec()
    assert deployed is not None and deployed.policy == "frozen"
    again = build(**frozen.options())
    again.load_state_dict(frozen.state_dict())
    b = batch(n=24, seed=2)
    prepared = frozen.prepare(b)
    assert prepared.chip_input is not None and prepared.chip_input.theta is None
    assert torch.equal(frozen(b).heads[0], again.eval()(b).heads[0])
    if threshold == "fixed":  # folding rounds: a spike in a million may move
        close = torch.isclose(frozen(b).heads[1], model(b).heads[1], atol=1e-4).all(1)
        assert float(close.float().mean()) > 0.9


def test_dynamic_thresholds_reach_the_stages_on_the_host() -> None:
    model = small(threshold="dynamic").eval()
    prepared = model.prepare(batch())
    context = prepared.context
    assert context.theta["audio"].shape == (12, 8)
    assert float(context.theta["audio"].detach().std()) > 0
    assert model.branch is not None and prepared.chip_input is not None
    trace = model.branch(prepared.chip_input)
    lower = replace(context, theta={name: theta / 4 for name, theta in context.theta.items()})
    for before, after in zip(
        model._stages("audio", trace, context), model._stages("audio", trace, lower), strict=True
    ):
        assert float(after[0].detach().mean()) > float(before[0].detach().mean())


def test_without_events_the_chip_reads_graded_visual_features() -> None:
    model = small(egm=False)
    prepared = model.prepare(batch())
    assert prepared.chip_input is not None
    codes = prepared.chip_input.to_numpy()
    assert codes.code["video"].kind == "graded" and not codes.code["video"].signed
    assert len(np.unique(codes.codes["video"])) > 8
    real = codes.codes["video"] * codes.code["video"].scale
    assert np.abs(real - batch().video.numpy()).max() <= codes.code["video"].scale / 2 + 1e-6


def test_a_dead_attention_is_named_in_the_warnings() -> None:
    assert small(attention_theta=0.25).warnings(batch(n=48)) == []
    [first, *_] = small(attention_scale=2.0**-10).warnings(batch(n=48))
    assert "audio.blocks.0.0.product: its neurons never fire" in first


def test_options_rebuild_the_same_model() -> None:
    for options in ({"threshold": "dynamic"}, {"egm": False}, {"shrink": "learnt"}):
        model = small(**options)
        again = build(**model.options())
        again.load_state_dict(model.state_dict())
        b = batch(seed=5)
        for left, right in zip(model.eval()(b).heads, again.eval()(b).heads, strict=True):
            assert torch.equal(left, right)


def test_the_same_seed_gives_the_same_gradients() -> None:
    def gradients() -> list[Tensor]:
        model = small()
        torch.manual_seed(3)
        torch.autograd.backward(terms(model, batch(n=24)).total)
        return [p.grad for p in model.parameters() if p.grad is not None]

    assert all(torch.equal(a, b) for a, b in zip(gradients(), gradients(), strict=True))


def test_padded_steps_do_not_change_an_embedding() -> None:
    model = small().eval()
    b = batch()
    mask = b.mask.clone()
    mask[0, 5:] = False
    other = AVBatch(b.audio.clone(), b.video.clone(), mask, b.label)
    other.audio[0, 5:] = 7.0
    other.video[0, 5:] = -3.0
    padded = AVBatch(b.audio, b.video, mask, b.label)
    for left, right in zip(model(padded).heads, model(other).heads, strict=True):
        assert torch.allclose(left, right, atol=1e-6)


def test_the_model_is_registered_and_keeps_the_contract() -> None:
    model = models.build("mdst++", audio_dim=10, video_dim=14)
    assert isinstance(model, ZSLModel)
    assert "MDST++-style" in models.title("mdst++") and models.title("mdst") == "mdst"


def test_the_speck_profile_leaves_the_projections_to_the_host() -> None:
    model = models.build("mdst++", audio_dim=64, video_dim=64, motion_profile="speck")
    assert isinstance(model, MDSTPP)
    spec = needed_branch(model).spec()
    assert [layer.name for layer in spec.layers] == [
        f"{m}.{i}" for m in ("audio", "video") for i in range(3)
    ]
    assert all(float(layer.kappa.max()) == 0 for layer in spec.layers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wings": 2}, "model 'mdst\\+\\+': unknown option wings"),
        ({"neuron": "mlp"}, "neuron='mlp'"),
        ({"stage_steps": [8, 8]}, "to fall from stage to stage"),
        ({"stage_steps": [4, 2]}, "with steps=8"),
        ({"stages": 5}, "halving ends after 4 stages"),
        ({"stages": 0}, "stages=0"),
        ({"motion_slots": 3}, "not a multiple of 3"),
        ({"egm": False, "events": "pixel"}, "egm=false"),
        ({"on_chip": "all"}, "on_chip='all'"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        build(audio_dim=10, video_dim=14, **{**SMALL, **options})
