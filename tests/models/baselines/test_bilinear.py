"""ALE, SJE, DEVISE and APN: losses by hand, the classes they compare, options beside the code."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import ZSLModel, distances, embed
from neurozsl.models.baselines.apn import APN
from neurozsl.models.baselines.bilinear import Bilinear, ale
from tests.models.baselines.golden import averaged

RULES = ("ale", "sje", "devise")


def bilinear(name: str, weight: Tensor, **options: object) -> Bilinear:
    """A model of one number each for video and audio, with this map."""
    model = models.build(name, audio_dim=1, video_dim=1, word_dim=len(weight), **options)
    assert isinstance(model, Bilinear)
    with torch.no_grad():
        model.compatibility.weight.copy_(weight)
    return model


def test_the_losses_of_one_sample_are_what_is_worked_out_by_hand() -> None:
    """Scores 1, 0.95, 0.5, 1.4 with the first class true: costs 0, 0.05, 0, 0.5."""
    words = torch.tensor([[1.0, 0.0], [0.95, 0.0], [0.5, 0.0], [1.4, 0.0]])
    one, label = torch.ones(1, 1), torch.tensor([0])
    expected = {"sje": 0.5, "devise": 0.55, "ale": 0.55 * (1 + 1 / 2) / 2}
    for name, value in expected.items():
        model = bilinear(name, torch.tensor([[1.0, 0.0], [0.0, 0.0]]), dropout=0.0)
        with torch.no_grad():
            total = model.loss(embed(model, averaged(one, one, label)), label, label, words).total
        assert float(total) == pytest.approx(value, abs=1e-6), name
    assert ale(torch.zeros(1, 4)).tolist() == [0.0]  # no class comes too close


@pytest.mark.parametrize("name", [*RULES, "apn"])
def test_only_classes_that_are_trained_on_are_compared(name: str) -> None:
    """Ids 4 and 7 of nine: as a set of these two alone, whatever the others' vectors are."""
    vectors = torch.randn(9, 6)
    label = torch.tensor([7, 4, 4, 7])
    model = models.build(name, audio_dim=3, video_dim=5, word_dim=6)
    assert isinstance(model, Bilinear | APN)
    model.eval()
    with torch.no_grad():
        output = embed(model, averaged(torch.rand(4, 3), torch.rand(4, 5), label))
        alone = model.loss(output, torch.tensor([1, 0, 0, 1]), label, vectors[[4, 7]]).total
        assert not torch.allclose(model.loss(output, label, label, vectors).total, alone)
        model.train_on(torch.tensor([7, 4]))
        assert torch.allclose(model.loss(output, label, label, vectors).total, alone)
    assert "classes" not in model.state_dict()


def test_dropout_hits_features_and_class_vectors_with_masks_of_their_own() -> None:
    model = models.build("devise", audio_dim=4, video_dim=4, word_dim=8, dropout=0.5)
    assert isinstance(model, Bilinear)
    seen: list[Tensor] = []
    model.dropout.register_forward_hook(lambda _m, _i, dropped: seen.append(dropped))
    batch = averaged(torch.ones(6, 4), torch.ones(6, 4), torch.arange(6) % 3)
    model.train()
    model.loss(embed(model, batch), batch.label, batch.label, torch.ones(3, 8))
    x, words = seen
    assert x.shape == (6, 8) and words.shape == (3, 8)
    assert {0.0, 2.0} == set(x.flatten().tolist()) == set(words.flatten().tolist())


@pytest.mark.parametrize(("score", "nearest"), [("distance", 0), ("cosine", 1)])
def test_what_is_scored_is_the_distance_or_the_direction(score: str, nearest: int) -> None:
    """P is (3, 0.9): 2.1 from (3, 3) and 2.19 from (1, 0), but most along (1, 0)."""
    model = bilinear("sje", torch.tensor([[1.0, 0.0], [0.3, 0.0]]), score=score).eval()
    output = embed(model, averaged(torch.zeros(1, 1), torch.full((1, 1), 3.0), torch.tensor([0])))
    words = model.embed_words(torch.tensor([[3.0, 3.0], [1.0, 0.0]]))
    assert int(distances(output, words)[0].argmin()) == nearest


def test_probabilities_once_takes_products_for_logits_and_has_no_floor() -> None:
    """Right by a wide margin of 1e4: no loss is left, but of the double softmax log(1 + 4 / e)."""
    found = {x: _far(x) for x in ("once", "twice")}
    assert found["once"] == pytest.approx(0.0, abs=1e-6)
    assert found["twice"] == pytest.approx(math.log(1 + 4 / math.e), abs=1e-6)


def _far(probabilities: str) -> float:
    """Cross-entropy of five samples, each on its own class vector, 100 long."""
    model: ZSLModel = models.build(
        "apn", audio_dim=5, video_dim=5, word_dim=5, probabilities=probabilities
    )
    assert isinstance(model, APN)
    label, rows = torch.arange(5), 100 * torch.eye(5)
    with torch.no_grad():
        model.final.weight.copy_(torch.cat([torch.eye(5), torch.zeros(5, 5)], 1))
        output = embed(model, averaged(torch.zeros(5, 5), rows, label))
        return float(model.loss(output, label, label, rows).parts["ce_final"])


@pytest.mark.parametrize("name", [*RULES, "apn", "cjme", "avgzslnet"])
def test_padded_steps_change_nothing_and_options_come_back_from_json(name: str) -> None:
    model = models.build(name, audio_dim=3, video_dim=4, encode="sequence", steps=5).eval()
    again = models.build(name, **json.loads(json.dumps(model.options()))).eval()
    again.load_state_dict(model.state_dict())
    mask = torch.tensor([[True, True, False], [True, True, True]])
    audio, video = torch.rand(2, 3, 3), torch.rand(2, 3, 4)
    noisy = torch.where(mask[..., None], audio, torch.tensor(99.0))
    heard, shown = (torch.stack([x[0, :2].mean(0), x[1].mean(0)]) for x in (audio, video))
    label = torch.tensor([0, 1])
    batches = (AVBatch(noisy, video, mask, label), averaged(heard, shown, label))
    found = [embed(again, batch).heads[0] for batch in batches]
    assert torch.allclose(embed(model, AVBatch(audio, video, mask, label)).heads[0], found[0])
    assert torch.allclose(found[0], found[1], atol=1e-6)


@pytest.mark.parametrize("name", [*RULES, "apn", "cjme", "avgzslnet"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "paper"}, "preset='paper', expected one of ucf_main"),
        ({"score": "loud"}, r"score='loud', expected one of|unknown option score"),
        ({"drop": 0.5}, "unknown option drop; options are"),
    ],
)
def test_an_option_that_does_not_exist_is_refused_with_the_list(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        models.build(name, audio_dim=3, video_dim=4, **options)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_a_dropout_that_leaves_nothing_is_refused(dropout: float) -> None:
    with pytest.raises(BadInput, match=r"model 'ale': dropout=.*, expected 0 to below 1"):
        models.build("ale", audio_dim=3, video_dim=4, dropout=dropout)
    with pytest.raises(BadInput, match=r"model 'cjme': hidden=0, expected a whole number"):
        models.build("cjme", audio_dim=3, video_dim=4, hidden=0)


def test_presets_hold_what_the_published_scripts_set() -> None:
    found = {
        name: {
            k: models.build(name, audio_dim=3, video_dim=4, preset=preset).options()[k]
            for k in keys
        }
        for name, preset, keys in (
            ("ale", "vggsound_cls", ("dropout", "norm_inputs")),
            ("sje", "ucf_main", ("dropout", "norm_inputs")),
            ("apn", "activitynet_cls", ("norm_inputs",)),
            ("cjme", "vggsound_main", ("dropout",)),
            ("avgzslnet", "ucf_cls", ("drop_embed", "drop_decode")),
        )
    }
    assert found == {
        "ale": {"dropout": 0.0, "norm_inputs": True},
        "sje": {"dropout": 0.2, "norm_inputs": False},
        "apn": {"norm_inputs": True},
        "cjme": {"dropout": 0.0},
        "avgzslnet": {"drop_embed": 0.8, "drop_decode": 0.5},
    }
