"""AVGZSLNet and CJME: losses in plain Python, passes joint and apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import LossTerms, embed
from neurozsl.models.baselines.avgzslnet import AVGZSLNet
from neurozsl.models.baselines.cjme import CJME
from tests.models.baselines.golden import averaged

Rows = Sequence[Sequence[float]]
TINY: dict[str, Any] = {"audio_dim": 4, "video_dim": 5, "word_dim": 6, "hidden": 7, "proj": 3}
STILL: dict[str, dict[str, Any]] = {
    "avgzslnet": {"drop_embed": 0.0, "drop_decode": 0.0},
    "cjme": {"dropout": 0.0},
}
NAMES = tuple(STILL)
VECTORS = torch.randn(5, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def built(name: str, **options: Any) -> AVGZSLNet | CJME:
    model = models.build(name, **TINY, word_hidden=8, **STILL[name], **options)
    assert isinstance(model, AVGZSLNet | CJME)
    return model.double()


def batch(rows: int = 12) -> AVBatch:
    g = torch.Generator().manual_seed(1)
    audio, video = (torch.rand(rows, n, generator=g, dtype=torch.float64) for n in (4, 5))
    return averaged(audio, video, torch.arange(rows) % 4)


def d(x: Sequence[float], y: Sequence[float], eps: float = 1e-6) -> float:
    return math.sqrt(sum((a - b + eps) ** 2 for a, b in zip(x, y, strict=True)))


def t(anchor: Rows, positive: Rows, negative: Rows) -> list[float]:
    every = zip(anchor, positive, negative, strict=True)
    return [max(1 + d(a, p) - d(a, n), 0.0) for a, p, n in every]


def mean(x: Sequence[float]) -> float:
    return sum(x) / len(x)


def plain(terms: LossTerms) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in terms.parts.items()}


def test_the_joint_loss_of_avgzslnet_is_its_formula_in_plain_python() -> None:
    model, b = built("avgzslnet").eval(), batch()
    assert isinstance(model, AVGZSLNet)
    minus = (torch.arange(12) * 5 + 1) % 12
    with torch.no_grad():
        output = embed(model, b)
        terms = model.loss(output, b.label, minus, VECTORS)
        own = VECTORS[b.label]
        three = (output.aux["audio"], output.aux["video"], model.embed_words(own))
        decoded = [model.decode(x) for x in three]
    a, v, w = (x.tolist() for x in three)
    rho_a, rho_v, rho_w = ((x / x.square().sum(1, keepdim=True).sqrt()).tolist() for x in decoded)

    def of(x: Any) -> Any:
        return [x[i] for i in minus.tolist()]

    words = own.tolist()
    pairs = [zip(x, words, strict=True) for x in (rho_a, rho_v, rho_w)]
    assert plain(terms) == pytest.approx(
        {
            "l_rec": sum(mean([d(x, y, 0.0) for x, y in pair]) for pair in pairs),
            "l_cta": mean(t(rho_w, rho_a, of(rho_a))),
            "l_ctv": mean(t(rho_w, rho_v, of(rho_v))),
            "l_ta": mean(t(w, a, of(a))),
            "l_at": mean(t(a, w, of(w))),
            "l_tv": mean(t(w, v, of(v))),
            "l_vt": mean(t(v, w, of(w))),
        },
        abs=1e-9,
    )
    assert float(terms.total) == pytest.approx(sum(plain(terms).values()))


def entropy(x: Sequence[float], classes: Rows) -> float:
    products = [sum(a * b for a, b in zip(x, c, strict=True)) for c in classes]
    total = sum(math.exp(p) for p in products)
    return -sum(math.exp(p) / total * (p - math.log(total)) for p in products)


@pytest.mark.parametrize("attention_loss", ["batch_means", "per_sample"])
def test_the_joint_loss_of_cjme_is_its_formula_in_plain_python(attention_loss: str) -> None:
    """Classes 0 to 3 are trained on; the vector of the fifth weighs nothing."""
    torch.manual_seed(4)
    model, b = built("cjme", attention_loss=attention_loss).eval(), batch()
    with torch.no_grad():
        for net in (model.embed_audio, model.embed_video, model.embed_word):
            net.get_parameter("1.weight").mul_(16)  # so that entropies differ by more than 0.1
    minus = (torch.arange(12) * 5 + 1) % 12
    model.train_on(torch.arange(4))
    with torch.no_grad():
        output = embed(model, b)
        terms = model.loss(output, b.label, minus, VECTORS)
        classes = model.embed_words(VECTORS[:4]).tolist()
    a, v = output.aux["audio"].tolist(), output.aux["video"].tolist()
    alpha = output.aux["alpha"].squeeze(1).tolist()
    w = [classes[i] for i in b.label.tolist()]
    l_ta = t(w, a, [a[i] for i in minus.tolist()])
    l_tv = t(w, v, [v[i] for i in minus.tolist()])
    if attention_loss == "per_sample":
        every = zip(alpha, l_ta, l_tv, strict=True)
        l_ct = mean([(1 - x) * one + x * two for x, one, two in every])
    else:
        l_ct = (1 - mean(alpha)) * mean(l_ta) + mean(alpha) * mean(l_tv)
    tau = []
    for one, two in zip(a, v, strict=True):
        h_a, h_v = entropy(one, classes), entropy(two, classes)
        tau.append(0.0 if h_v - h_a > 0.1 else 1.0 if h_a - h_v > 0.1 else 0.5)
    assert set(tau) == {0.0, 0.5, 1.0}
    squares = [(x - y) ** 2 for p, q in zip(a, v, strict=True) for x, y in zip(p, q, strict=True)]
    l_alpha = mean([(x - y) ** 2 for x, y in zip(alpha, tau, strict=True)])
    expected = {"l_ct": l_ct, "l_av": mean(squares), "l_alpha": l_alpha}
    assert plain(terms) == pytest.approx(expected, abs=1e-9)


# ---------------------------------------------------------------- passes


def step(name: str, passes: str, b: AVBatch) -> tuple[LossTerms, dict[str, Tensor]]:
    """Loss in training mode, and the counts of BatchNorm passes."""
    torch.manual_seed(0)
    model = built(name, passes=passes).train()
    negative = torch.arange(len(b)).roll(len(b) // 2)
    terms = model.loss(embed(model, b), b.label, negative, VECTORS)
    counted = {k: x for k, x in model.named_buffers() if k.endswith("num_batches_tracked")}
    return terms, counted


@pytest.mark.parametrize("name", NAMES)
def test_passes_are_counted_by_every_batch_norm(name: str) -> None:
    b = batch()
    more = int(name == "cjme")  # the class set passes f_t once more
    counts = {
        passes: {k.split(".")[0]: int(x) for k, x in step(name, passes, b)[1].items()}
        for passes in ("joint", "apart")
    }
    last = {"attention": (1, 1)} if name == "cjme" else {"decode": (3, 5)}
    every = {"embed_audio": (1, 2), "embed_video": (1, 2), "embed_word": (1 + more, 2 + more)}
    assert [(counts["joint"][k], counts["apart"][k]) for k in {**every, **last}] == list(
        {**every, **last}.values()
    )


@pytest.mark.parametrize("name", NAMES)
def test_apart_the_statistics_of_the_samples_know_nothing_of_the_negatives(name: str) -> None:
    """Negatives a thousand times as large: the samples' own embeddings stay."""
    b = batch()
    audio, video = (torch.cat([x[:6, 0], 1000 * x[6:, 0]]) for x in (b.audio, b.video))
    loud = averaged(audio, video, b.label)
    for passes, equal in (("apart", True), ("joint", False)):
        torch.manual_seed(0)
        model = built(name, passes=passes).train()
        quiet, other = (embed(model, x).aux["audio"][:6] for x in (b, loud))
        assert torch.allclose(quiet, other) == equal


def test_cjme_says_where_its_attention_always_picks_the_same() -> None:
    model, b = built("cjme").eval(), batch()
    assert isinstance(model, CJME)
    for bias, never in ((50.0, "audio"), (-50.0, "video")):
        with torch.no_grad():
            model.get_parameter("attention.1.bias").fill_(bias)
        assert model.warnings(b)[0].endswith(f"{never} is never scored")
    with torch.no_grad():
        model.get_parameter("attention.1.bias").zero_()
        model.get_parameter("attention.1.weight").copy_(torch.tensor([[1.0] + 8 * [0.0]]))
        model.get_buffer("attention.0.running_mean").fill_(0.5)
    assert model.warnings(b) == []
