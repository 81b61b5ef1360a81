"""f-VAEGAN-D2 in the house: its stages, its rules, its scores as distances."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch, Split, ZSLData
from neurozsl.data.sets.load import load as load_data
from neurozsl.models.base import distances
from neurozsl.models.baselines.fvaegan import FVAEGAN, build
from neurozsl.models.baselines.fvaegan_features import features
from neurozsl.models.own_stages import OwnTraining, Rows
from neurozsl.runs import run as runs
from neurozsl.training.economy import Distillation
from neurozsl.training.protocol import TrainConfig, train_config
from neurozsl.training.train import fit

SMALL: dict[str, Any] = {"latent": 8, "hidden": 16, "synthetic": 10, "clf_epochs": 2}


@pytest.fixture(scope="module")
def data(data_dir: Path) -> ZSLData:
    return load_data(data_dir)


def small(data: ZSLData, **options: Any) -> FVAEGAN:
    torch.manual_seed(0)
    split = data.splits["train"]
    return build(
        audio_dim=split.audio.shape[2],
        video_dim=split.video.shape[2],
        classes=len(data.classes),
        **{**SMALL, **options},
    )


def training(data: ZSLData, *, epochs: int = 2, scored: bool = True, lr: float = 1e-3) -> Any:
    """Stage 1 in batches of 16 rows in order."""
    stage = data.stage(1)

    def rows(_epoch: int) -> Iterator[Rows]:
        for start in range(0, len(stage.train), 16):
            yield np.arange(start, min(start + 16, len(stage.train)))

    def read(split: Split, which: Rows) -> AVBatch:
        return split.batch(which)

    return OwnTraining(stage, torch.from_numpy(data.vectors), epochs, lr, scored, rows, read)


def changed(model: FVAEGAN, before: dict[str, Tensor]) -> set[str]:
    """Names of the parts whose weights are not as they were."""
    now = model.state_dict()
    return {name.split(".")[0] for name in now if not torch.equal(now[name], before[name])}


@pytest.mark.parametrize(("batches", "steps"), [("all", 8), ("first", 1)])
def test_critics_step_in_every_batch_and_the_generator_in_every_third(
    data: ZSLData, batches: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, asked = small(data, batches=batches, every=3), training(data, epochs=1)
    cut = replace(asked, rows=lambda _epoch: iter([np.arange(16)] * 8))
    stepped: list[bool] = []
    own = FVAEGAN._step

    def noted(self: FVAEGAN, *given: Any) -> dict[str, float]:
        before = {k: v.clone() for k, v in self.state_dict().items()}
        told = own(self, *given)
        parts = changed(self, before)
        assert {"critic", "critic2"} <= parts
        assert ({"encoder", "generator"} <= parts) == given[3]
        stepped.append(given[3])
        return told

    monkeypatch.setattr(FVAEGAN, "_step", noted)
    list(model.own_epochs(cut))
    assert stepped == [index % 3 == 0 for index in range(steps)]


def test_d2_enters_the_generators_cost_unless_it_idles(data: ZSLData) -> None:
    stage, costs = data.stage(1), dict[str, float]()
    batch = stage.train.batch(np.arange(16))
    words = torch.from_numpy(data.vectors)[batch.label]
    for d2 in ("loss", "idle"):
        model = small(data, d2=d2)
        with torch.no_grad():
            model.critic2.out.bias.fill_(5.0)
        nets = (model.encoder, model.generator, model.critic, model.critic2)
        none = [torch.optim.Adam(net.parameters(), lr=1e-12) for net in nets]
        torch.manual_seed(3)
        costs[d2] = model._step(features(batch), words, none, True)["generator"]
    # D2 of what is generated is its bias but for weights of about 0.02.
    assert costs["idle"] - costs["loss"] == pytest.approx(5.0, abs=0.1)


def test_scores_are_log_probabilities_of_the_classes_that_were_trained(data: ZSLData) -> None:
    model, asked = small(data), training(data)
    list(model.own_epochs(asked))
    stage, vectors = asked.stage, torch.from_numpy(data.vectors)
    batch = stage.unseen.batch()
    with torch.no_grad():
        output, words = model(batch), model.embed_words(vectors)
        [found] = distances(output, words)
        picked = distances(output, model.embed_words(vectors[stage.unseen_ids]))[0]
    trained = np.union1d(stage.train_ids, stage.unseen_ids)
    others = np.setdiff1d(np.arange(len(vectors)), trained)
    assert len(others) > 0 and bool((found[:, others] == 1e4).all())
    assert torch.allclose((-found[:, trained]).exp().sum(1), torch.ones(len(batch)), atol=1e-5)
    assert torch.equal(picked, found[:, stage.unseen_ids])
    logits = model.classifier(features(batch))
    assert torch.equal(found.argmin(1), logits[:, trained].argmax(1).apply_(lambda k: trained[k]))
    for wrong in (vectors[others[:1]], torch.ones(2, vectors.shape[1])):
        with pytest.raises(BadInput, match=r"no output for [12] of [12] class vectors"):
            model.embed_words(wrong)


def test_generated_features_teach_the_classifier_unseen_classes(data: ZSLData) -> None:
    """A generator that copies what the class looks like must make unseen classes recognised."""
    model, asked = small(data, synthetic=40, clf_epochs=60, clf_lr=0.02), training(data)
    stage = asked.stage
    model.class_vectors.copy_(asked.vectors)
    mean = {
        int(c): features(stage.unseen.batch(np.flatnonzero(stage.unseen.label == c))).mean(0)
        for c in stage.unseen_ids
    }
    by_vector = {tuple(asked.vectors[c].tolist()): x for c, x in mean.items()}

    class Perfect(torch.nn.Module):
        def forward(self, z: Tensor, words: Tensor) -> Tensor:
            return torch.stack([by_vector[tuple(w.tolist())] for w in words]) + 0.01 * z[:, :1]

    model.generator = Perfect()  # type: ignore[assignment]
    batch = stage.train.batch()
    model._classify(asked, (features(batch), batch.label), None)
    with torch.no_grad():
        shown = stage.unseen.batch()
        named = model(shown).heads[0].argmax(1)
    right = float((named == shown.label).double().mean())
    assert right > 0.5  # where 1 of all classes is by chance


def test_a_test_selection_keeps_the_best_epoch_and_says_so(data: ZSLData) -> None:
    model, asked = small(data, selection="test", clf_lr=0.05), training(data, epochs=3)
    told = [dict(line) for line in model.own_epochs(asked)]
    best = max(line["public_HM"] for line in told)
    assert len({line["public_HM"] for line in told}) > 1  # or the choice would be no choice
    stage, columns = asked.stage, []
    for split, ids in ((stage.seen, stage.seen_ids), (stage.unseen, stage.unseen_ids)):
        with torch.no_grad():
            named = model(split.batch()).heads[0].argmax(1).numpy()
        columns.append(np.mean([np.mean(named[split.label == c] == c) for c in ids]))
    s, u = columns
    assert 100 * 2 * s * u / (s + u) == pytest.approx(best)
    assert "chosen on the test set" in model.warnings(stage.train.batch())[0]
    assert small(data).options()["selection"] == "validation"


def test_generated_features_that_outweigh_the_real_ones_are_reported(data: ZSLData) -> None:
    asked = training(data, epochs=1)
    batch = asked.stage.train.batch()
    for synthetic, lr, expected in ((1000, 1e-3, 1), (5, 0.01, 0)):
        model = small(data, synthetic=synthetic, clf_lr=lr, clf_epochs=30)
        list(model.own_epochs(asked))
        found = model.warnings(batch)
        assert len(found) == expected
        assert all("1000 generated features per unseen class outweigh" in x for x in found)


def test_by_default_no_evaluation_split_is_read_in_training(data: ZSLData) -> None:
    asked = training(data)
    names: list[str] = []

    def read(split: Split, which: Rows) -> AVBatch:
        names.append(split.name)
        return split.batch(which)

    list(small(data).own_epochs(replace(asked, read=read)))
    assert set(names) == {asked.stage.train.name}


def test_stage_2_trains_for_the_epochs_of_stage_1_and_a_second_run_is_the_same(
    data: ZSLData, tmp_path: Path
) -> None:
    found = []
    for name in ("one", "two"):
        out = tmp_path / name
        out.mkdir()
        config = TrainConfig(epochs=3, batch=32, lr=1e-3)
        model, best = fit(data, name="fvaegan-d2", options=SMALL, config=config, out=out, run="x")
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        found.append((model.state_dict(), best, lines))
    (state, best, lines), (again, best_again, lines_again) = found
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert best == best_again and lines == lines_again
    assert [x["epoch"] for x in lines if x["stage"] == 2] == list(range(1, best.epochs + 1))
    scored = [x["HM"] for x in lines if x["stage"] == 1]
    assert len(scored) == 3 and best.val_hm == max(scored)
    assert best.epochs == 1 + scored.index(max(scored))
    assert {"loss", "critic", "critic2", "generator", "bce", "kld"} <= lines[0].keys()


def test_a_stopped_run_begins_again_and_ends_the_same(data_dir: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, _of: int, text: str) -> None:
        if text.startswith("stage 2"):
            raise Stopped

    made = []
    for name in ("whole", "stopped"):
        runs.create(
            tmp_path / name,
            data_dir=data_dir,
            model="fvaegan-d2",
            options=SMALL,
            train=TrainConfig(epochs=1, batch=32),
        )
        if name == "stopped":
            with pytest.raises(Stopped):
                runs.train(tmp_path / name, progress=stop)
        made.append(runs.train(tmp_path / name))
    assert made[0].result == made[1].result


def test_the_public_run_is_spelled_by_options_and_rules(data: ZSLData, tmp_path: Path) -> None:
    rules = {"stage2_epochs": "all", "beta_max": 0.0, "beta_count": 1}
    config = train_config(rules=rules, epochs=2, batch=64, lr=1e-3)
    options = {**SMALL, "batches": "first", "d2": "idle", "selection": "test"}
    _, best = fit(data, name="fvaegan-d2", options=options, config=config, out=tmp_path, run="x")
    assert best.beta == 0.0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(x["stage"], x["epoch"]) for x in lines] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert all({"public_HM", "public_S", "public_U", "public_ZSL"} <= x.keys() for x in lines)


def test_what_its_own_training_does_not_know_is_refused(data: ZSLData, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="precision 32 or 64, not bf16-mixed"):
        fit(
            data,
            name="fvaegan-d2",
            options=SMALL,
            config=TrainConfig(epochs=1, precision="bf16-mixed"),
            out=tmp_path,
            run="x",
        )
    taught = TrainConfig(distillation=Distillation(teacher="elsewhere"))
    crowd: Any = SimpleNamespace(team=SimpleNamespace(size=2))
    for config, crew, message in (
        (TrainConfig(), crowd, "runs in one process, not in 2"),
        (taught, None, "learns from no teacher"),
    ):
        how: dict[str, Any] = {"config": config, "out": tmp_path, "run": "x", "crew": crew}
        with pytest.raises(BadInput, match=message):
            fit(data, name="fvaegan-d2", options=SMALL, **how)
    with pytest.raises(BadInput, match=r"stage 1, epoch 1: .* is not finite; lower --lr"):
        fit(
            data,
            name="fvaegan-d2",
            options={**SMALL, "weight_gan": 1e39},
            config=TrainConfig(epochs=1),
            out=tmp_path,
            run="x",
        )


def test_options_make_the_model_again_as_json_and_are_checked() -> None:
    model = models.build("fvaegan-d2", audio_dim=512, video_dim=512, preset="vggsound", classes=9)
    options = json.loads(json.dumps(model.options()))
    assert models.build("fvaegan-d2", **options).options() == model.options()
    assert options["synthetic"] == 10_000
    for wrong, message in (
        ({"preset": "kinetics"}, "preset='kinetics', expected one of ucf"),
        ({"d2": "off"}, "d2='off', expected one of loss, idle"),
        ({"synthetic": 0}, "synthetic=0, expected at least 1"),
        ({"weight_vae": -1.0}, "weight_vae=-1.0, expected at least 0"),
        ({"clf_lr": 0.0}, "clf_lr=0.0, expected above 0"),
        ({"clf_lr": "x"}, "clf_lr='x', expected a number"),
        ({"depth": 3}, "unknown option depth"),
    ):
        with pytest.raises(BadInput, match=message):
            models.build("fvaegan-d2", audio_dim=5, video_dim=4, **wrong)
