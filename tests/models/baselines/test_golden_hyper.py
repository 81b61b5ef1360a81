"""Hyper-alignment, -single, -multiple and AVCA under them against the public code's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from neurozsl import models
from neurozsl.models.avca import AVCA
from neurozsl.models.base import distances
from neurozsl.models.baselines.hyper import HyperAVCA
from neurozsl.scoring import metrics
from tests.models.baselines import avca_names
from tests.models.baselines.golden import (
    Golden,
    averaged,
    by_id,
    load,
    near,
    open_golden,
    problem,
    same_scores,
)

NAMES = {
    "avca": "avca",
    "hyper-alignment": "Hyper-alignment",
    "hyper-single": "Hyper-single",
    "hyper-multiple": "Hyper-multiple",
}
LEARNT = ("hyper-single", "hyper-multiple")
PUBLIC: dict[str, Any] = {
    "hidden": 12, "drop_enc": 0.0, "drop_proj": 0.0, "drop_dec": 0.0, "extra_passes": True,
    "passes": "apart", "pos_emb": "trained",  # drawn and kept, but its gradient is stored
}  # fmt: skip


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> Golden:
    return open_golden(shared_data, "hyper_avca")


def public(golden: Golden, name: str) -> AVCA:
    """The model with the file's weights, in the public code's form."""
    model = models.build(name, audio_dim=20, video_dim=12, **PUBLIC)
    assert isinstance(model, AVCA)
    weights = avca_names.renamed(golden.group("w/"))
    if name in LEARNT:
        rows = slice(1 if name == "hyper-single" else 2)
        weights |= {f"curve.{key}": x[rows] for key, x in golden.group("w_fuse/").items()}
    load(model.double(), weights)
    return model


def step(model: AVCA, golden: Golden) -> tuple[Any, Any]:
    """One training step's output and loss, the negatives as the second half of the batch."""
    audio = torch.cat([golden["in/audio"], golden["in/neg_audio"]])
    video = torch.cat([golden["in/video"], golden["in/neg_video"]])
    label = torch.cat([golden["in/label"], golden["in/neg_label"]])
    assert torch.equal(golden["in/classes"][golden["in/neg_label"]], golden["in/neg_text"])
    model.train()
    output = model(averaged(audio, video))
    negative = torch.arange(len(label)).roll(len(label) // 2)
    return output, model.loss(output, label, negative, golden["in/classes"])


@pytest.mark.parametrize("name", NAMES)
def test_golden_baselines_losses_and_gradients_are_the_public_ones(
    golden: Golden, name: str
) -> None:
    model, key = public(golden, name), NAMES[name]
    _, terms = step(model, golden)
    stored = {x: float(golden[f"avca/loss/{x}"]) for x in ("rec", "ct", "w", "reg")}
    first, second = (float(golden[f"avca/loss/t_{x}"]) for x in ("first", "second"))
    expected = {
        "l_t": first + second,
        "l_rec": stored["rec"],
        "l_ct": stored["ct"],
        "l_w": stored["w"],
        "l_r": stored["reg"],
    }
    if name != "avca":
        expected["l_align"] = float(golden[f"{key}/loss/align_unscaled"])
    found = {k: v.item() for k, v in terms.parts.items()}
    assert found == pytest.approx(expected, abs=1e-5)
    assert terms.total.item() == pytest.approx(float(golden[f"{key}/loss/total"]), abs=1e-5)
    terms.total.backward()
    gradients = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    norms = avca_names.joined(gradients)
    checked = 0
    for public_name, norm in golden.group(f"{key}/gradnorm/").items():
        if public_name.startswith("fusenet1."):
            own = public_name.replace("fusenet1", "curve")
        elif public_name.endswith("to_qkv.weight"):
            own = public_name
        else:
            own = avca_names.ours(public_name)
        assert norms.pop(own) == pytest.approx(float(norm), abs=1e-4), public_name
        checked += 1
    assert checked > 40 and norms == {}


@pytest.mark.parametrize("name", NAMES)
def test_golden_baselines_outputs_and_running_statistics_are_the_public_ones(
    golden: Golden, name: str
) -> None:
    model, rows = public(golden, name), 12
    output, _ = step(model, golden)
    seen = 0
    for field in ("phi_a", "phi_v", "theta_a", "theta_v"):
        near(output.aux[field][:rows], golden[f"avca/train/{field}"])
        near(output.aux[field][rows:], golden[f"avca/train/{field}_neg"])
        seen += 1
    assert seen == 4
    state = model.state_dict()
    buffers = golden.group(f"{NAMES[name]}/buf_after_step/")
    compared = 0
    for key, value in buffers.items():
        # D is called in another order, and nothing reads its running statistics.
        if not key.endswith("num_batches_tracked") and not key.startswith("D."):
            near(state[avca_names.ours(key)], value)
            compared += 1
    assert compared == 22


@pytest.mark.parametrize("name", NAMES)
def test_golden_baselines_evaluation_and_metrics_are_the_public_ones(
    golden: Golden, name: str
) -> None:
    model = public(golden, name)
    statistics = golden.group("avca/buf_after_step/")
    model.load_state_dict(avca_names.renamed(statistics), strict=False)
    model.eval()
    with torch.no_grad():
        output = model(averaged(golden["eval/audio"], golden["eval/video"]))
        words = model.embed_words(golden["eval/classes"])
    for field, found in {**output.aux, "theta_w": words}.items():
        if field.startswith("theta_"):
            near(found, golden[f"avca/eval/{field}"])
    found = by_id(distances(output, words)[0])
    asked = problem(golden)
    same_scores(metrics.search_beta(found, asked), golden, "avca/metric/video")
    same_scores(metrics.score(found, asked, 0.31), golden, "avca/metric_beta0.31/video")


@pytest.mark.parametrize("name", LEARNT)
def test_golden_baselines_curvatures_are_the_public_ones_and_learn_nothing(
    golden: Golden, name: str
) -> None:
    model = public(golden, name)
    assert isinstance(model, HyperAVCA)
    output, terms = step(model, golden)
    curvature = model.curvature_of(output.aux["phi_v"][:12], output.aux["phi_a"][:12])
    key = f"{NAMES[name]}/curvature_pos"
    if key in golden.arrays:
        near(curvature.reshape(golden[key].shape), golden[key], 1e-7)
    assert curvature.std().item() > 1e-5  # they do differ
    terms.total.backward()
    assert model.curve is not None and model.curve.weight.grad is not None
    assert float(model.curve.weight.grad.norm()) < 1e-15
    euclidean = float(golden[f"{NAMES[name]}/loss/align_euclidean"])
    assert terms.parts["l_align"].item() == pytest.approx(euclidean, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("hyper-alignment", (1_693_108, 3_331_508)),
        ("hyper-single", (1_693_709, 3_332_109)),
        ("hyper-multiple", (1_694_310, 3_332_710)),
    ],
)
def test_golden_baselines_hyper_parameter_counts(name: str, counts: tuple[int, int]) -> None:
    found = []
    for audio, video in ((512, 512), (128, 4096)):
        model = models.build(name, audio_dim=audio, video_dim=video)
        found.append(sum(p.numel() for p in model.parameters()))
    assert tuple(found) == counts
