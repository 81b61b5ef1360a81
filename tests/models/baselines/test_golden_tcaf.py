"""TCaF against one step of its public code: `golden_baselines/tcaf.npz`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from neurozsl.models.base import Embedding
from neurozsl.models.baselines.tcaf import PRESETS, TCaF, TimedFeatures, build
from neurozsl.models.baselines.tcaf_attention import CrossModalLayer, readable
from tests.models.baselines.golden import (
    BLOCK1,
    BLOCK2,
    Golden,
    close,
    names,
    open_golden,
    same_gradients,
    same_statistics,
)

LAYER = {
    "norm": "norm",
    "attn.to_q": "attend.to_query",
    "attn.to_k": "attend.to_key",
    "attn.to_v": "attend.to_value",
    "attn.to_out.0": "attend.out",
    "ff.net.0": "feed.0",
    "ff.net.3": "feed.3",
}
TOKENS = {
    "fourier_randn": "frequencies",
    "fourier_embeddings": "fourier",
    "modal_embedding": "modality",
    "pad_embedding": "pad",
    "out_proj_audio": "audio",
    "out_proj_video": "video",
}
NAMES = {
    **names(
        encode_audio=("A_enc", BLOCK2),
        encode_video=("V_enc", BLOCK2),
        **{
            "aligned.project_output": ("O_proj", BLOCK2),
            "aligned.decode_output": ("D_o", BLOCK2),
            "aligned.project_word": ("W_proj", BLOCK1),
            "aligned.decode_word": ("D_w", BLOCK1),
            "layers.0": ("Audio_visual_transformer.layers.0", LAYER),
            "layers.1": ("Audio_visual_transformer.layers.1", LAYER),
            "tokens": ("position_encoder_block", TOKENS),
        },
    ),
    # The public state lists the tokens' tensors under two names.
    **names(tokens=("audiovisual_embeddings", TOKENS)),
    "cls_token": "cls",
}
DROPS = ("drop_enc", "drop_dec", "drop_word", "drop_attend", "drop_pos")


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> Golden:
    return open_golden(shared_data, "tcaf", NAMES)


def made(golden: Golden, **options: str) -> TCaF:
    """The model of the file: depth 2, hidden 12, 8 position features, dropout 0."""
    sizes: dict[str, Any] = {
        **{"enc_hidden": 12, "hidden": 12, "feed": 16, "depth": 2, "heads": 2, "head_width": 8},
        **{"positions": 8, "norm_rows": "all", **dict.fromkeys(DROPS, 0.0)},
    }
    model = build(audio_dim=20, video_dim=12, **{**sizes, **options})
    golden.load(model)
    return model


def streams(golden: Golden, *, seconds: bool = True) -> tuple[TimedFeatures, TimedFeatures]:
    both = []
    for name in ("audio", "video"):
        times = golden[f"in/time_{name}"]
        if not seconds:
            times = torch.arange(times.shape[1]).expand_as(times)
        both.append(TimedFeatures(golden[f"in/{name}"], golden[f"in/mask_{name}"].bool(), times))
    return both[0], both[1]


def test_golden_baselines_tcaf_embeddings_losses_gradients_and_statistics(golden: Golden) -> None:
    model = made(golden).train()
    label, classes = golden["in/label"], golden["in/classes"]
    assert torch.equal(classes[label], golden["in/text"])
    theta_o = model.theta_o(*streams(golden))
    assert close(theta_o, golden["train/theta_o"])
    terms = model.loss(Embedding((theta_o,), {}), label, label, classes)
    expected = golden.group("loss/")
    assert close(terms.total, expected["total_loss"])
    assert close(terms.parts["ce"], expected["cross_entropy"])
    assert close(terms.parts["reg"], expected["loss_reg"])
    assert close(terms.parts["rec_o"], expected["rec_o"])
    assert close(terms.parts["rec_w"], expected["rec_w"])
    same_statistics(model, golden)
    terms.total.backward()  # type: ignore[no-untyped-call]
    same_gradients(model, golden)
    heads = model.aligned
    theta_w = heads.project_word(golden["in/text"])
    assert close(theta_w, golden["train/theta_w"])
    assert close(heads.decode_word(theta_w), golden["train/rho_w"])
    assert close(heads.decode_output(theta_o), golden["train/rho_o"])


def test_golden_baselines_tcaf_attention_reads_the_other_modality_alone(golden: Golden) -> None:
    """The first layer's softmax, worked out here from the model's parts, of every real row."""
    model = made(golden).train()
    audio, video = streams(golden)
    may_read = readable(audio.mask, video.mask)
    real = torch.cat([torch.ones(8, 1, dtype=torch.bool), audio.mask, video.mask], 1)
    expected = golden["train/attn_layer0"]
    shown = real[:, None, :, None].expand_as(expected)
    pattern = may_read[:, None].expand_as(expected)
    assert torch.equal((expected > 0)[shown], pattern[shown])
    seen = []
    layer = model.get_submodule("layers.0")
    assert isinstance(layer, CrossModalLayer)
    layer.register_forward_pre_hook(lambda _layer, given: seen.append(given[0]))
    model.theta_o(audio, video)
    normed = layer.norm(seen[0])
    q, k = (
        f(normed).unflatten(-1, (2, 8)).transpose(1, 2)
        for f in (layer.attend.to_query, layer.attend.to_key)
    )
    scores = (q @ k.transpose(2, 3) / 8**0.5).masked_fill(~may_read[:, None], -1e300)
    assert close(scores.softmax(-1)[shown], expected[shown])


@pytest.mark.parametrize(
    ("seconds", "key"), [(True, "eval/theta_o_with_timestamps"), (False, "eval/theta_o")]
)
def test_golden_baselines_tcaf_evaluation(golden: Golden, seconds: bool, key: str) -> None:
    model = made(golden)
    own = dict(model.named_buffers())
    with torch.no_grad():
        for name, value in golden.renamed("buf_after/").items():
            own[name].copy_(value)
        model.eval()
        theta_o = model.theta_o(*streams(golden, seconds=seconds))
        theta_w = model.embed_words(golden["in/classes"])
    assert close(theta_o, golden[key])
    assert close(theta_w, golden["eval/theta_w"])
    if not seconds:  # the public evaluation's positions
        assert close(torch.cdist(theta_o, theta_w), golden["eval/dist"])


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("ucf_main", 4_521_764),
        ("vggsound_main", 8_848_308),
        ("activitynet_main", 5_161_908),
        ("ucf_cls", 7_269_972),
        ("vggsound_cls", 8_655_028),
        ("activitynet_cls", 7_269_972),
    ],
)
def test_golden_baselines_tcaf_parameters(preset: str, expected: int) -> None:
    audio, video = (128, 4096) if preset.endswith("cls") else (512, 512)
    model = build(audio_dim=audio, video_dim=video, preset=preset)
    assert sum(p.numel() for p in model.parameters()) == expected
    assert len(PRESETS) == 6
