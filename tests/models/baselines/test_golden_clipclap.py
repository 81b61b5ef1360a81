"""ClipClap against one step of its public code: `golden_baselines/clipclap.npz`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neurozsl.models.baselines.clipclap import ClipClap, build
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

NAMES = names(
    encode_output=("O_enc", BLOCK1),
    encode_word=("W_enc", BLOCK1),
    **{
        "aligned.project_output": ("O_proj", BLOCK2),
        "aligned.decode_output": ("D_o", BLOCK2),
        "aligned.project_word": ("W_proj", BLOCK1),
        "aligned.decode_word": ("D_w", BLOCK1),
    },
)


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> Golden:
    return open_golden(shared_data, "clipclap", NAMES)


def made(golden: Golden) -> ClipClap:
    """The model of the file: pictures alone, decoder hidden 16, dropout 0."""
    model = build(
        audio_dim=1024,
        video_dim=512,
        modality="video",
        hidden=16,
        drop_enc=0.0,
        drop_dec=0.0,
        drop_word=0.0,
    )
    golden.load(model)
    return model


def test_golden_baselines_clipclap_embeddings_losses_gradients_and_statistics(
    golden: Golden,
) -> None:
    model = made(golden).train()
    b, classes = golden.batch(), golden["in/classes"]
    output = model(b)
    assert close(output.heads[0], golden["train/theta_o"])
    terms = model.loss(output, b.label, b.label, classes)
    expected = golden.group("loss/")
    assert close(terms.total, expected["total_loss"])
    assert close(terms.parts["ce"], expected["cross_entropy"])
    assert close(terms.parts["reg"], expected["loss_reg"])
    assert close(terms.parts["rec_o"] + terms.parts["rec_w"], expected["loss_cmd_rec"])
    same_statistics(model, golden)
    terms.total.backward()  # type: ignore[no-untyped-call]
    same_gradients(model, golden)
    u = model.encode_word(golden["in/text"][:, :512])
    assert close(u, golden["train/w"])
    theta_w = model.aligned.project_word(u)
    assert close(theta_w, golden["train/theta_w"])
    assert close(model.aligned.decode_word(theta_w), golden["train/rho_w"])
    assert close(model.aligned.decode_output(output.heads[0]), golden["train/rho_o"])


def test_golden_baselines_clipclap_evaluation(golden: Golden) -> None:
    model = made(golden)
    own = dict(model.named_buffers())
    with torch.no_grad():
        for name, value in golden.renamed("buf_after/").items():
            own[name].copy_(value)
        model.eval()
        theta_o, theta_w = model(golden.batch()).heads[0], model.embed_words(golden["in/classes"])
    assert close(theta_o, golden["eval/theta_o"])
    assert close(theta_w, golden["eval/theta_w"])
    assert close(torch.cdist(theta_o, theta_w), golden["eval/dist"])


def test_golden_baselines_clipclap_parameters() -> None:
    for preset in ("ucf", "activitynet", "vggsound"):
        model = build(audio_dim=1024, video_dim=512, preset=preset)
        assert sum(p.numel() for p in model.parameters()) == 2_237_824
