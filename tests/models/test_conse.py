"""ConSE against a slow reference, and on the road of a run: no training, any names ranked."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.data import store
from neurozsl.data.batch import F32, SPLITS, AVBatch, Split, ZSLData
from neurozsl.data.encoder_spec import EncoderSpec
from neurozsl.data.encoders.base import LabelHead
from neurozsl.models import conse
from neurozsl.models.base import embed
from neurozsl.runs import run as runs
from neurozsl.training.protocol import TrainConfig

WORDS, STEPS = 5, 10
RNG = np.random.default_rng(3)


class Video:
    spec = EncoderSpec("v", "video", 6, "v1", labels=4, layers=(6, 4))

    def head(self) -> LabelHead:
        weights = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
        return LabelHead(("red", "green", "", "blue"), ((weights, np.arange(4, dtype=np.float32)),))


class Audio:
    spec = EncoderSpec("a", "audio", 3, "a1", labels=2, layers=(3, 4, 2), pool="max")

    def head(self) -> LabelHead:
        rng = np.random.default_rng(2)
        layers = [
            (rng.normal(size=(o, i)).astype(np.float32), rng.normal(size=o).astype(np.float32))
            for i, o in ((3, 4), (4, 2))
        ]
        return LabelHead(("loud", "quiet"), tuple(layers))


class Text:
    spec = EncoderSpec("t", "text", WORDS, "t1")

    def text(self, names: list[str]) -> F32:
        """A vector that depends on the letters."""
        rows = [np.random.default_rng(sum(map(ord, name))).normal(size=WORDS) for name in names]
        unit = [row / np.linalg.norm(row) for row in rows]
        return np.array(unit, np.float32).reshape(len(names), WORDS)


ENCODERS = {"video": Video(), "audio": Audio(), "text": Text()}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conse, "same_encoder", lambda spec, where: ENCODERS[spec.part])


def noted() -> dict[str, object]:
    specs = {part: each.spec.to_meta() for part, each in ENCODERS.items()}  # type: ignore[attr-defined]
    return {
        **specs,
        "video": specs["video"] | {"scale": 0.5},
        "audio": specs["audio"] | {"scale": 2.0},
    }


def batch(count: int = 7) -> AVBatch:
    mask = np.ones((count, STEPS), bool)
    mask[0, 4:] = False

    def draw(width: int) -> torch.Tensor:
        values = RNG.normal(size=(count, STEPS, width)).astype(np.float32)
        return torch.from_numpy(values)

    return AVBatch(draw(3), draw(6), torch.from_numpy(mask), torch.zeros(count, dtype=torch.int64))


def slowly(values: F32, mask: F32, part: str, scale: float, top: int, temperature: float) -> F32:
    """Eq. 2 of the paper, sample by sample and label by label."""
    head = ENCODERS[part].head()  # type: ignore[attr-defined]
    rows = []
    for sample, real in zip(values.astype(np.float64), mask, strict=True):
        steps = sample[real.astype(bool)] * scale
        x = steps.max(0) if part == "audio" else steps.mean(0)
        for number, (weight, bias) in enumerate(head.layers):
            x = weight @ (np.maximum(x, 0) if number else x) + bias
        p = np.exp(x / temperature)
        p /= p.sum()
        known = [i for i in np.argsort(-p) if head.labels[i]][: top or None]
        place = sum(p[i] * Text().text([head.labels[i]])[0].astype(np.float64) for i in known)
        rows.append(place / sum(p[i] for i in known))
    found = np.array(rows)
    unit: F32 = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize(("top", "temperature"), [(1, 1.0), (2, 0.5), (0, 2.0), (30, 1.0)])
def test_the_combination_is_that_of_the_paper(top: int, temperature: float) -> None:
    model = conse.build(
        audio_dim=3, video_dim=6, encoders=noted(), top_k=top, temperature=temperature
    )
    given = batch()
    model.calibrate(given)
    video, audio = embed(model, given).heads
    mask = given.mask.numpy()
    for found, values, part, scale in (
        (video, given.video, "video", 0.5),
        (audio, given.audio, "audio", 2.0),
    ):
        expected = slowly(values.numpy(), mask, part, scale, top, temperature)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_nearest_is_most_similar_by_cosine() -> None:
    model = conse.build(audio_dim=3, video_dim=6, encoders=noted())
    model.calibrate(batch())
    place = embed(model, batch()).heads[0]
    names = torch.from_numpy(Text().text(["dog", "cat", "cow"])) * 3
    by_distance = torch.cdist(place, model.embed_words(names)).argmin(1)
    by_cosine = torch.nn.functional.cosine_similarity(place[:, None], names[None], dim=2).argmax(1)
    assert torch.equal(by_distance, by_cosine)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"encoders": None}, "no text encoder"),
        ({"encoders": {"text": Text.spec.to_meta()}}, "no classifier"),
        ({"top_k": -1}, "top_k=-1"),
        ({"temperature": 0}, "temperature=0"),
        ({"video_dim": 7}, "video is 7 wide"),
        ({"epochs": 7}, "unknown option epochs"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        conse.build(**{"audio_dim": 3, "video_dim": 6, "encoders": noted(), **options})  # type: ignore[arg-type]


def a_set(folder: Path) -> Path:
    classes = ("ant", "bee", "cat", "dog", "eel", "fox")
    of = {"train": (0, 1, 2), "val_seen": (0, 1), "val_unseen": (3, 4)}
    of |= {"test_seen": (0, 2), "test_unseen": (5,)}
    splits = {}
    for name in SPLITS:
        label = np.repeat(of[name], 3).astype(np.int64)
        shape = (len(label), STEPS)
        audio, video = (RNG.normal(size=(*shape, d)).astype(np.float32) for d in (3, 6))
        names = tuple(f"{name}{i // 3}.mp4#{i % 3}s" for i in range(len(label)))
        splits[name] = Split(name, audio, video, label, np.ones(shape, bool), names)
    statistics = {
        "schema": 1, "steps": STEPS, "window_s": 2.0, "pretrained": ["audio", "video"],
        "audio_mean": [0.0] * 3, "audio_scale": [2.0] * 3,
        "video_mean": [0.0] * 6, "video_scale": [0.5] * 6,
    }  # fmt: skip
    specs = {part: each.spec.to_meta() for part, each in ENCODERS.items()}  # type: ignore[attr-defined]
    meta = {"encoder": statistics, "encoders": specs}
    vectors = Text().text(list(classes))
    store.save(ZSLData("made", classes, vectors, splits, False, 0.2, meta), folder)
    return folder


def test_a_run_trains_nothing_chooses_on_validation_and_opens_without_encoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.create(
        tmp_path / "run",
        data_dir=a_set(tmp_path / "set"),
        model="conse",
        options={},
        train=TrainConfig(),
    )
    lines: list[str] = []
    done = runs.train(tmp_path / "run", progress=lambda i, n, text: lines.append(text))
    assert done.selected.epochs == 0 and len(lines) >= len(conse.TOP_KS) * len(conse.TEMPERATURES)
    chosen = json.loads((tmp_path / "run" / "model.json").read_text())
    assert chosen["top_k"] in conse.TOP_KS and chosen["temperature"] in conse.TEMPERATURES
    best = max(float(x.rpartition(" ")[2]) for x in lines if "validation HM" in x)
    assert done.selected.val_hm == pytest.approx(best, abs=0.06)
    assert "encoders" not in json.loads((tmp_path / "run" / "run.json").read_text())["options"]
    monkeypatch.setattr(conse, "same_encoder", lambda *_, **__: pytest.fail("asked for encoders"))
    again = runs.open_run(tmp_path / "run")
    given = again.data.splits["test_seen"].batch()
    for one, other in zip(
        embed(done.model, given).heads, embed(again.model, given).heads, strict=True
    ):
        assert torch.equal(one, other)
