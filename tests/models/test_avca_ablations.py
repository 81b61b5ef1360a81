"""AVCA of one modality or with a part of its attention: sizes, forward, losses, isolation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch
from neurozsl.models.avca import AVCA
from neurozsl.models.avca_isolated import Isolated
from neurozsl.models.avca_losses import BRANCHES, NAMES, Three, losses
from neurozsl.models.base import Embedding, ZSLModel, distances
from neurozsl.runs import run as runs
from neurozsl.training.protocol import TrainConfig
from tests.models.slow_avca import (
    SMALL,
    Slow,
    batch,
    mse,
    negatives,
    plain,
    small,
    trained_a_little,
    triplet,
    vectors,
)

NAMED: tuple[str, ...] = BRANCHES
ONE: dict[str, dict[str, Any]] = {name: {"inputs": [name], "score": name} for name in NAMED}
CROSSED: dict[str, dict[str, Any]] = {name: {"cross": name, "score": name} for name in NAMED}
ISOLATED: dict[str, Any] = {"cross": "none", "score": "mean"}
CASES = [(name, options) for kind in (ONE, CROSSED) for name, options in kind.items()]


def isolated(**options: Any) -> Isolated:
    torch.manual_seed(0)
    made = models.build("avca", audio_dim=10, video_dim=14, **{**SMALL, **ISOLATED, **options})
    assert isinstance(made, Isolated)
    return made


def shown(b: AVBatch, **features: Tensor) -> AVBatch:
    """The batch with other audio or video."""
    changed: dict[str, Any] = features
    return replace(b, **changed)


def other_than(name: str) -> str:
    return "video" if name == "audio" else "audio"


# ---------------------------------------------------------------- size


@pytest.mark.parametrize(
    ("options", "at_main", "at_cls"),
    [
        # encoder + projection + W_proj + D + reconstruction
        (ONE["audio"], 665_868, 221_572 + 188_096 + 19_392 + 20_100 + 20_100),
        (ONE["video"], 665_868, 2_253_188 + 188_096 + 19_392 + 20_100 + 20_100),
        # all but one projection and one reconstruction
        (CROSSED["audio"], 1_693_108 - 188_096 - 20_100, 3_331_508 - 188_096 - 20_100),
        (CROSSED["video"], 1_693_108 - 188_096 - 20_100, 3_331_508 - 188_096 - 20_100),
        # all but the attention, W_proj and D twice
        (ISOLATED, 1_693_108 - 400_864 + 39_492, 3_331_508 - 400_864 + 39_492),
    ],
)
def test_what_is_left_has_its_parts_parameters(
    options: dict[str, Any], at_main: int, at_cls: int
) -> None:
    for widths, expected in (((512, 512), at_main), ((128, 4096), at_cls)):
        model = models.build("avca", audio_dim=widths[0], video_dim=widths[1], **options)
        assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(("name", "options"), CASES)
def test_one_seed_begins_with_the_same_weights_whatever_is_left_out(
    name: str, options: dict[str, Any]
) -> None:
    whole, part = small().state_dict(), small(**options).state_dict()
    assert 0 < len(part) < len(whole)
    assert all(torch.equal(value, whole[key]) for key, value in part.items())
    gone = {key.partition(".")[0] for key in set(whole) - set(part)}
    left_out = other_than(name)
    expected = {f"project_{left_out}", f"reconstruct_{left_out}"}
    if "inputs" in options:
        expected |= {f"encode_{left_out}", "cross_attention"}
    assert gone == expected


# ---------------------------------------------------------------- forward


def averages(b: AVBatch, name: str) -> Any:
    """`(batch, width)`, one sample at a time."""
    features = getattr(b, name)
    return np.stack([x[m].numpy().mean(0) for x, m in zip(features, b.mask, strict=True)])


def alone(model: AVCA, b: AVBatch, name: str) -> tuple[Any, Any]:
    """phi and theta of one modality, which nothing is attended to beside."""
    slow = Slow(model)
    phi = slow.two(f"encode_{name}", averages(b, name))
    return phi, slow.two(f"project_{name}", phi)


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_of_one_modality_projects_its_encoding_and_reads_no_other(name: str) -> None:
    model = trained_a_little(**ONE[name])
    b = batch(seed=9, dtype=torch.float64)
    with torch.no_grad():
        output = model(b)
        nothing = torch.full_like(getattr(b, other_than(name)), torch.nan)
        unread = model(shown(b, **{other_than(name): nothing}))
    [head] = output.heads
    assert np.abs(head.numpy() - alone(model, b, name)[1]).max() < 1e-12 and head.max() > 0
    assert torch.equal(head, unread.heads[0])


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("attention", ["pre_norm", "post_norm"])
def test_the_branch_that_goes_on_is_that_of_the_whole_model_and_attends_to_the_other(
    name: str, attention: str
) -> None:
    whole = trained_a_little(attention=attention)
    part = small(**CROSSED[name], attention=attention).double().eval()
    part.load_state_dict({k: x for k, x in whole.state_dict().items() if k in part.state_dict()})
    b = batch(seed=9, dtype=torch.float64)
    theta = dict(zip(NAMED, Slow(whole).thetas(b), strict=True))[name]
    with torch.no_grad():
        [head] = part(b).heads
        louder = getattr(b, other_than(name)) + 1
        [other] = part(shown(b, **{other_than(name): louder})).heads
    assert np.abs(head.numpy() - theta).max() < 1e-12
    assert (head - other).abs().max() > 1e-6


# ---------------------------------------------------------------- losses


def slow_branch(
    theta: Any, rho: Any, phi: Any, rec: Any, w: Any, minus: list[int], margin: float = 1.0
) -> dict[str, float]:
    """Eq. 5 and 7 to 10 of one branch: theta and rho are (its own, the word's), in plain Python."""
    (tm, tw), (rm, rw) = theta, rho
    nm, nw, mm = ([x[i] for i in minus] for x in (tm, tw, rm))

    def t(anchor: Any, positive: Any, negative: Any) -> float:
        return triplet(anchor, positive, negative, margin)

    return {
        "l_t": t(tm, tw, nm) + t(tw, tm, nw),
        "l_rec": mse(rm, w) + mse(rw, w),
        "l_ct": t(rw, rm, mm),
        "l_w": t(tw, tm, nm) + t(tm, tw, nw),
        "l_r": mse(rec, phi) + mse(tm, tw),
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_a_branch_keeps_the_terms_that_name_it_and_both_together_are_the_papers(
    seed: int, margin: float
) -> None:
    g = torch.Generator().manual_seed(seed)

    def rows(width: int) -> Tensor:
        return torch.randn(7, width, generator=g, dtype=torch.float64) * 0.5

    theta, rho = Three(rows(4), rows(4), rows(4)), Three(rows(6), rows(6), rows(6))
    phi, rec, w = (rows(5), rows(5)), (rows(5), rows(5)), rows(6)
    minus = torch.randint(7, (7,), generator=g)
    given = (theta, rho, phi, rec, w, minus)
    found = []
    for place, name in enumerate(BRANCHES):
        terms = losses(*given, margin=margin, branches=(name,))
        expected = slow_branch(
            plain((theta[place], theta.word)),
            plain((rho[place], rho.word)),
            phi[place].tolist(),
            rec[place].tolist(),
            w.tolist(),
            minus.tolist(),
            margin,
        )
        assert tuple(terms) == NAMES
        assert {k: float(v) for k, v in terms.items()} == pytest.approx(expected, abs=1e-12)
        found.append(terms)
    whole = losses(*given, margin=margin)
    for term in NAMES:
        twice = mse(rho.word.tolist(), w.tolist()) if term == "l_rec" else 0.0
        both = float(found[0][term] + found[1][term])
        assert both - twice == pytest.approx(float(whole[term]), abs=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_models_loss_is_that_of_its_branch(name: str, options: dict[str, Any]) -> None:
    weights = {"weight_t": 2.0, "weight_rec": 0.5, "weight_ct": 3.0, "weight_w": 0.0, "weight_r": 7}
    model = trained_a_little(**options, **weights)
    b, every = batch(seed=4, dtype=torch.float64), vectors(torch.float64)
    minus, slow, raw = negatives(12), Slow(model), every[b.label].numpy()
    if "inputs" in options:
        phi, theta = alone(model, b, name)
    else:
        encoded = {x: slow.two(f"encode_{x}", averages(b, x)) for x in NAMED}
        phi, at = encoded[name], NAMED.index(name)
        pairs = zip(encoded["audio"], encoded["video"], strict=True)
        attended = np.stack([slow.cross(*pair)[at] for pair in pairs])
        theta = slow.two(f"project_{name}", attended + phi)
    theta_w = slow.block("project_word", raw)
    with torch.no_grad():
        terms = model.loss(model(b), b.label, minus, every)
    expected = slow_branch(
        (theta, theta_w),
        (slow.block("decode", theta), slow.block("decode", theta_w)),
        phi,
        slow.block(f"reconstruct_{name}", theta),
        raw,
        minus.tolist(),
    )
    assert {k: float(v) for k, v in terms.parts.items()} == pytest.approx(expected, abs=1e-10)
    share = dict(zip(NAMES, weights.values(), strict=True))
    assert float(terms.total) == pytest.approx(sum(share[k] * expected[k] for k in NAMES), abs=1e-9)


@pytest.mark.parametrize("options", [*(x for _, x in CASES), ISOLATED])
def test_gradients_reach_every_part_that_is_left(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = models.build("avca", audio_dim=10, video_dim=14, **SMALL, **options)
    assert isinstance(model, ZSLModel) and isinstance(model, torch.nn.Module)
    b = batch(n=48)
    torch.autograd.backward(model.loss(model(b), b.label, negatives(48), vectors()).total)
    idle = {k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    fixed = {"cross_attention.position"}
    assert idle == (fixed if options["score"] == options.get("cross") else set())


# ---------------------------------------------------------------- both branches in isolation


@pytest.mark.parametrize("passes", ["joint", "apart"])
def test_isolated_branches_train_as_two_models_of_one_modality(passes: str) -> None:
    how = {"passes": passes, "extra_passes": True}
    both = isolated(**how)
    others = {name: small(**ONE[name], **how) for name in NAMED}
    for name, one in others.items():
        one.load_state_dict(both.get_submodule(name).state_dict())
    trained: list[Any] = [both, *others.values()]
    optimisers = [torch.optim.Adam(x.parameters(), lr=1e-2) for x in trained]
    minus = torch.arange(24).roll(12)
    for seed in range(4):
        b = batch(n=24, seed=seed)
        label = torch.cat([torch.arange(12) % 3, (torch.arange(12) + 1) % 3])
        terms = []
        for model, optimiser in zip(trained, optimisers, strict=True):
            optimiser.zero_grad()
            terms.append(model.loss(model(b), label, minus, vectors()))
            torch.autograd.backward(terms[-1].total)
            optimiser.step()
        together, audio, video = terms
        assert together.total.item() == pytest.approx((audio.total + video.total).item(), rel=1e-6)
        for term in NAMES:
            added = (audio.parts[term] + video.parts[term]).item()
            assert together.parts[term].item() == pytest.approx(added, rel=1e-6)
    for name, one in others.items():
        for key, value in both.get_submodule(name).state_dict().items():
            assert torch.equal(value, one.state_dict()[key]), (name, key)


def test_isolated_branches_are_scored_by_the_mean_of_their_own_distances() -> None:
    both = isolated().eval()
    b = batch()
    with torch.no_grad():
        output, classes = both(b), both.embed_words(vectors())
        parts = [both.get_submodule(name) for name in BRANCHES]
        own = [
            torch.cdist(part(b).heads[0], part.embed_words(vectors()))  # type: ignore[operator]
            for part in parts
        ]
    assert not torch.equal(*classes.chunk(2, 1))
    assert torch.equal(distances(output, classes)[0], (own[0] + own[1]) / 2)


def test_halves_are_compared_each_with_its_own_worked_out_by_hand() -> None:
    head = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    classes = torch.tensor([[3.0, 4.0, 1.0, 1.0], [0.0, 1.0, 1.0, 4.0]])
    found = distances(Embedding((head,), {}, "halves"), classes)
    assert found.tolist() == [[[2.5, 2.0]]]  # 5 and 0; 1 and 3


def test_a_dead_branch_is_named() -> None:
    both = isolated().eval()
    assert both.warnings(batch()) == []
    assert isinstance(both.video, AVCA)
    with torch.no_grad():
        both.video.project_video.second.norm.norm.bias.fill_(-100.0)
    [warning] = both.warnings(batch())
    assert warning.startswith("video branch: 100 % of the embedding's channels")


# ---------------------------------------------------------------- options


@pytest.mark.parametrize("options", [*(x for _, x in CASES), ISOLATED])
def test_options_rebuild_it(options: dict[str, Any]) -> None:
    first = models.build("avca", audio_dim=10, video_dim=14, **SMALL, **options)
    stored = json.loads(json.dumps(first.options()))
    assert {k: stored[k] for k in options} == options
    again = models.build("avca", **stored)
    again.load_state_dict(first.state_dict())
    assert again.options() == first.options() and type(again) is type(first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": []}, r"inputs=\[\], expected audio, video or both, each once"),
        ({"inputs": "video"}, "inputs='video', expected"),
        ({"inputs": ["video", "video"]}, "each once"),
        ({"inputs": ["smell"]}, "inputs='smell', expected"),
        ({"inputs": ["audio"]}, "no embedding but that of audio; use score=audio"),
        ({"inputs": ["video"], "score": "mean"}, "use score=video"),
        ({"inputs": ["video"], "cross": "none"}, "one modality leaves nothing to cross"),
        ({"inputs": ["video"], "cross": "video"}, "one modality leaves nothing to cross"),
        ({"cross": "audio"}, "no embedding but that of audio; use score=audio"),
        ({"cross": "video", "score": "both"}, "use score=video"),
        ({"cross": "none"}, r"use score=mean, or train one by inputs=\['video'\]"),
        ({"cross": "none", "score": "min"}, "use score=mean"),
        ({"cross": "left"}, "expected one of both, video, audio, none"),
    ],
)
def test_what_cannot_be_trained_or_scored_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        models.build("avca", audio_dim=4, video_dim=4, **options)


@pytest.mark.parametrize("name", ["avmst", "hyper-single"])
@pytest.mark.parametrize("options", [ONE["video"], CROSSED["video"], ISOLATED])
def test_models_that_build_on_avca_leave_nothing_out(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=f"'{name}'.*only avca itself"):
        models.build(name, audio_dim=4, video_dim=4, **options)


# ---------------------------------------------------------------- trained


@pytest.mark.parametrize("options", [ONE["audio"], CROSSED["video"], ISOLATED])
def test_it_trains_and_opens_again_with_the_same_scores(
    options: dict[str, Any], tmp_path: Path, data_dir: Path
) -> None:
    from neurozsl.training.train import final_result

    small_sizes = {"hidden": 16, "embed": 24, "head_width": 8, "extra_passes": True}
    runs.create(
        tmp_path / "run",
        data_dir=data_dir,
        model="avca",
        options={"preset": "vggsound_main", **small_sizes, **options},
        train=TrainConfig(epochs=1, batch=32),
    )
    trained = runs.train(tmp_path / "run")
    assert trained.result["test"]["ZSL"] >= trained.result["test"]["U"]
    opened = runs.open_run(tmp_path / "run")
    assert final_result(opened.model, opened.data, opened.selected) == trained.result
