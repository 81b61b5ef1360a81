"""ALE, SJE, DEVISE and APN against what the benchmark's public code computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.models.base import LossTerms, distances, embed
from neurozsl.models.baselines.apn import APN
from neurozsl.models.baselines.bilinear import Bilinear
from tests.models.baselines import golden as files
from tests.models.baselines.golden import Golden, close, open_golden

RULES = ("ale", "sje", "devise")
BILINEAR = {"bilinear": "compatibility"}
MAPS = {"ALE_vector": "final.weight", "prototype_vectors.layer4": "layer4.weight"}
PARTS = {x: x for x in ("ce_final", "mse_final", "ce_layer4", "mse_layer4")}
INPUTS = [("", False), ("_norminputs", True)]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("audio", "video", "count"), [(512, 512, 307_200), (128, 4096, 1_267_200)])
def test_golden_baselines_a_bilinear_map_has_the_published_size(
    name: str, audio: int, video: int, count: int
) -> None:
    assert weights(name, audio, video) == count


@pytest.mark.parametrize(("audio", "video", "count"), [(512, 512, 614_400), (128, 4096, 2_534_400)])
def test_golden_baselines_apn_has_the_published_size(audio: int, video: int, count: int) -> None:
    assert weights("apn", audio, video) == count


def weights(name: str, audio: int, video: int) -> int:
    model = models.build(name, audio_dim=audio, video_dim=video)
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("suffix", "norm"), INPUTS)
@pytest.mark.parametrize("name", RULES)
def test_golden_baselines_a_bilinear_step_and_its_evaluation_are_the_public_ones(
    shared_data: Path, name: str, suffix: str, norm: bool
) -> None:
    golden = open_golden(shared_data, f"ale_sje_devise{suffix}", BILINEAR)
    model = models.build(name, audio_dim=20, video_dim=12, dropout=0.0, norm_inputs=norm)
    assert isinstance(model, Bilinear)
    golden.load(model)
    place, terms = step(model, golden, "place")
    assert close(place, golden["train/proj"])
    assert close(terms.total, golden[f"loss/{name}"])
    gradient = model.compatibility.weight.grad
    assert gradient is not None
    assert close(gradient, golden[f"grad_{name}/bilinear.weight"])
    norm_of = golden[f"grad_{name}_norm/bilinear.weight"]
    assert close(gradient.norm(), norm_of, files.GRADIENT) and float(norm_of) > 0.1
    same_evaluation(model, golden, "proj")


@pytest.mark.parametrize(("suffix", "norm"), INPUTS)
def test_golden_baselines_an_apn_step_and_its_evaluation_are_the_public_ones(
    shared_data: Path, suffix: str, norm: bool
) -> None:
    golden = open_golden(shared_data, f"apn{suffix}", MAPS)
    model = models.build("apn", audio_dim=20, video_dim=12, norm_inputs=norm)
    assert isinstance(model, APN)
    golden.load(model)
    final, terms = step(model, golden, "final")
    assert close(final, golden["train/attri_final"])
    probabilities = (final @ golden["in/classes"].T).softmax(1)
    assert close(probabilities, golden["train/prob_final"])
    files.same_losses(terms, golden, PARTS)
    files.same_gradients(model, golden)
    same_evaluation(model, golden, "attri_final")


def step(model: Bilinear | APN, golden: Golden, name: str) -> tuple[Tensor, LossTerms]:
    """What `aux` holds under a name, and the loss; gradients are in the weights."""
    batch = golden.batch()
    model.train()
    output = embed(model, batch)
    no_negatives = torch.zeros_like(batch.label)
    terms = model.loss(output, batch.label, no_negatives, golden["in/classes"])
    terms.total.backward()  # type: ignore[no-untyped-call]
    return output.aux[name], terms


def same_evaluation(model: Bilinear | APN, golden: Golden, key: str) -> None:
    model.eval()
    with torch.no_grad():
        output = embed(model, golden.evaluated())
        words = model.embed_words(golden["eval/classes"])
    assert close(output.heads[0], golden[f"eval/{key}"])
    (distance,) = distances(output, words)
    assert close(distance, golden["eval/dist"])
    for mode in ("audio", "video", "both"):  # one evaluation under three names
        files.same_metrics(distance, golden, mode, beta=0.13)
