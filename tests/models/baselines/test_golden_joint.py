"""AVGZSLNet and CJME against what the benchmark's public code computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from neurozsl import models
from neurozsl.models.base import distances, embed
from neurozsl.models.baselines.avgzslnet import AVGZSLNet
from neurozsl.models.baselines.cjme import CJME
from tests.models.baselines import golden as files
from tests.models.baselines.golden import MLP2, close, names, open_golden

NET = "triplet_net.embedding_net"
EMBEDDINGS = names(
    embed_audio=(f"{NET}1", MLP2), embed_video=(f"{NET}2", MLP2), embed_word=(f"{NET}3", MLP2)
)
AVGZSLNET = EMBEDDINGS | names(decode=("decoder_net.embedding_net", MLP2))
CJMENET = EMBEDDINGS | names(attention=("attention_model", {"0": "0", "1": "1"}))
LOSSES = ("l_rec", "l_cta", "l_ctv", "l_ta", "l_at", "l_tv", "l_vt")
TINY: dict[str, Any] = {"audio_dim": 20, "video_dim": 12, "hidden": 16, "passes": "apart"}
NO_DROPOUT: dict[str, Any] = {"drop_embed": 0.0, "drop_decode": 0.0}


@pytest.mark.parametrize(
    ("name", "audio", "video", "count"),
    [
        ("avgzslnet", 512, 512, 1_319_872),
        ("avgzslnet", 128, 4096, 4_596_672),
        ("cjme", 512, 512, 1_299_157),
        ("cjme", 128, 4096, 4_585_557),
    ],
)
def test_golden_baselines_the_model_has_the_published_size(
    name: str, audio: int, video: int, count: int
) -> None:
    model = models.build(name, audio_dim=audio, video_dim=video)
    assert sum(p.numel() for p in model.parameters()) == count


def test_golden_baselines_an_avgzslnet_step_and_its_evaluation_are_the_public_ones(
    shared_data: Path,
) -> None:
    golden = open_golden(shared_data, "avgzslnet", AVGZSLNET)
    model = models.build("avgzslnet", decode_hidden=8, **TINY, **NO_DROPOUT)
    assert isinstance(model, AVGZSLNet)
    golden.load(model)
    batch, negative = golden.pairs()
    model.train()
    output = embed(model, batch)
    terms = model.loss(output, batch.label, negative, golden["in/classes"])
    terms.total.backward()  # type: ignore[no-untyped-call]
    for key, part in (("audio", "a"), ("video", "v")):
        public = torch.cat([golden[f"train/{part}_p"], golden[f"train/{part}_q"]])
        assert close(output.aux[key], public)
    files.same_losses(terms, golden, {x: x for x in LOSSES})
    files.same_gradients(model, golden)
    files.same_statistics(model, golden)

    model.eval()
    for mode in ("audio", "video", "both"):
        scored = (
            models.build("avgzslnet", decode_hidden=8, **TINY, score=mode).to(torch.float64).eval()
        )
        scored.load_state_dict(model.state_dict())
        with torch.no_grad():
            output = embed(scored, golden.evaluated())
            words = scored.embed_words(golden["eval/classes"])
        assert close(words, golden["eval/t_p"])
        (distance,) = distances(output, words)
        expected = {
            "audio": files.distances_of(golden["eval/a_p"], golden["eval/t_p"]),
            "video": files.distances_of(golden["eval/v_p"], golden["eval/t_p"]),
            "both": golden["eval/dist_both"],
        }
        assert close(distance, expected[mode])
        files.same_metrics(distance, golden, mode, beta=0.31)


@pytest.mark.parametrize(
    ("attention_loss", "key"), [("batch_means", "ct"), ("per_sample", "ct_if_per_sample")]
)
def test_golden_baselines_both_readings_of_cjmes_weight_are_the_public_ones(
    shared_data: Path, attention_loss: str, key: str
) -> None:
    golden = open_golden(shared_data, "cjme", CJMENET)
    model = models.build("cjme", **TINY, dropout=0.0, attention_loss=attention_loss)
    assert isinstance(model, CJME)
    golden.load(model)
    batch, negative = golden.pairs()
    model.train()
    terms = model.loss(embed(model, batch), batch.label, negative, golden["in/classes"])
    assert close(terms.parts["l_ct"], golden[f"loss/{key}"])
    assert abs(float(golden["loss/ct"]) - float(golden["loss/ct_if_per_sample"])) > 0.01


def test_golden_baselines_a_cjme_step_and_its_evaluation_are_the_public_ones(
    shared_data: Path,
) -> None:
    golden = open_golden(shared_data, "cjme", CJMENET)
    model = models.build("cjme", **TINY, dropout=0.0)
    assert isinstance(model, CJME)
    golden.load(model)
    batch, negative = golden.pairs()
    model.train()
    output = embed(model, batch)
    terms = model.loss(output, batch.label, negative, golden["in/classes"])
    terms.total.backward()  # type: ignore[no-untyped-call]
    for name, part in (("audio", "a"), ("video", "v")):
        public = torch.cat([golden[f"train/{part}_p"], golden[f"train/{part}_q"]])
        assert close(output.aux[name], public)
    alpha, targets = output.aux["alpha"][:12], golden["train/attention_target"]
    assert close(alpha, golden["train/attention"])
    assert len(set(targets.tolist())) > 1  # the entropies decide something
    files.same_losses(terms, golden, {"l_ct": "ct", "l_av": "av", "l_alpha": "attention"})
    files.same_gradients(model, golden)
    files.same_statistics(model, golden)

    modes = {"audio": "audio", "video": "video", "picked": "both"}
    for score, mode in modes.items():
        scored = models.build("cjme", **TINY, score=score).to(torch.float64).eval()
        scored.load_state_dict(model.state_dict())
        with torch.no_grad():
            output = embed(scored, golden.evaluated())
            words = scored.embed_words(golden["eval/classes"])
        assert close(words, golden["eval/t_p"])
        assert close(output.aux["alpha"], golden["eval/attention"])
        picks = (output.aux["alpha"] >= 0.5).double()
        assert torch.equal(picks, golden["eval/attention_hard"]) and 0 < float(picks.sum()) < 24
        (distance,) = distances(output, words)
        expected = {
            "audio": files.distances_of(golden["eval/a_p"], golden["eval/t_p"]),
            "video": files.distances_of(golden["eval/v_p"], golden["eval/t_p"]),
            "picked": golden["eval/dist_both"],
        }
        assert close(distance, expected[score])
        files.same_metrics(distance, golden, mode, beta=0.31)
