"""ClipClap in the house: which features and columns are read, options, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch
from neurozsl.models.baselines.clipclap import ClipClap, build

SMALL: dict[str, Any] = {"word_dim": 9, "clip_words": 4, "embed": 8, "hidden": 10, "proj": 6}


def batch() -> AVBatch:
    g = torch.Generator().manual_seed(0)
    mask = torch.ones(6, 3, dtype=torch.bool)
    mask[::2, 2] = False
    return AVBatch(
        torch.rand(6, 3, 5, generator=g), torch.rand(6, 3, 4, generator=g), mask, torch.arange(6)
    )


def small(**options: Any) -> ClipClap:
    torch.manual_seed(0)
    return build(audio_dim=5, video_dim=4, **{**SMALL, **options}).eval()


@pytest.mark.parametrize(
    ("options", "features", "columns"),
    [
        ({}, 9, range(9)),
        ({"modality": "video"}, 4, range(4)),
        ({"modality": "audio"}, 5, range(4, 9)),
        ({"words": "video"}, 9, range(4)),
        ({"words": "audio"}, 9, range(4, 9)),
    ],
)
def test_a_modality_reads_its_features_and_its_columns_of_the_class_vectors(
    options: dict[str, str], features: int, columns: range
) -> None:
    model, vectors = small(**options), torch.randn(3, 9)
    assert model.encode_output.linear.in_features == features
    for column in range(9):
        changed = vectors.clone()
        changed[:, column] += 10.0
        moved = not torch.equal(model._encoded(changed), model._encoded(vectors))
        assert moved == (column in columns)


def test_pictures_come_first_and_padded_steps_are_not_averaged() -> None:
    model, b = small(), batch()
    rows = [
        torch.cat([v[m].mean(0), a[m].mean(0)])
        for a, v, m in zip(b.audio, b.video, b.mask, strict=True)
    ]
    expected = model.aligned.project_output(model.encode_output(torch.stack(rows)))
    assert torch.allclose(model(b).heads[0], expected, atol=1e-6)


def test_the_reconstruction_target_is_trained() -> None:
    model, b = small(), batch()
    parts = model.loss(model(b), b.label % 3, b.label, torch.randn(3, 9)).parts
    parts["rec_o"].backward()  # type: ignore[no-untyped-call]
    gradient = model.encode_word.linear.weight.grad
    assert gradient is not None and float(gradient.abs().max()) > 0


def test_the_cross_entropy_is_over_the_classes_of_the_training_alone() -> None:
    model, b, vectors = small(), batch(), torch.randn(5, 9)
    label = torch.tensor([0, 3, 4])[b.label % 3]
    model.train_on(torch.tensor([4, 0, 3]))
    found = float(model.loss(model(b), label, label, vectors).parts["ce"].detach())
    scores = model(b).heads[0] @ model.embed_words(vectors[[0, 3, 4]]).T
    expected = -scores.log_softmax(1)[range(6), b.label % 3].mean()
    assert found == pytest.approx(float(expected.detach()))


def test_options_make_the_model_again_as_json_and_are_checked() -> None:
    model = models.build("clipclap", audio_dim=1024, video_dim=512, preset="vggsound")
    options = json.loads(json.dumps(model.options()))
    assert models.build("clipclap", **options).options() == model.options()
    for wrong, message in (
        ({"modality": "sound"}, "modality='sound', expected one of both"),
        ({"modality": "audio", "words": "video"}, "words=video beside modality=audio"),
        ({"modality": "audio", "clip_words": 1536}, "clip_words=1536 of 1536 columns leave none"),
        ({"proj": 0}, "proj=0, expected at least 1"),
        ({"drop_dec": -0.1}, "drop_dec=-0.1, expected 0 to below 1"),
        ({"embed": "x"}, "embed='x', expected a whole number"),
        ({"depth": 3}, "unknown option depth"),
    ):
        with pytest.raises(BadInput, match=message):
            models.build("clipclap", audio_dim=5, video_dim=4, **wrong)
