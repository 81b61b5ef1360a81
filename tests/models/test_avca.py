"""AVCA: parameter counts, forward and losses against slow references, variants, training."""

import json
import math
from collections.abc import Callable
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
from neurozsl.models.avca import AVCA, PRESETS
from neurozsl.models.avca_losses import NAMES, Three, losses
from neurozsl.models.base import (
    Embedding,
    ZSLModel,
    branch_model,
    branch_of,
    distances,
    host_parts,
    needed_branch,
)
from neurozsl.runs import run as runs
from neurozsl.training import checkpoint
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.train import fit
from tests.models.slow_avca import (
    SMALL,
    Slow,
    batch,
    build,
    negatives,
    plain,
    slow_losses,
    small,
    trained_a_little,
    vectors,
)

# ---------------------------------------------------------------- size


@pytest.mark.parametrize(
    ("audio", "video", "expected"), [(512, 512, 1_693_108), (128, 4096, 3_331_508)]
)
def test_the_model_has_the_published_number_of_parameters(
    audio: int, video: int, expected: int
) -> None:
    model = models.build("avca", audio_dim=audio, video_dim=video)
    assert sum(p.numel() for p in model.parameters()) == expected


def test_every_block_has_the_published_number_of_parameters() -> None:
    model = build(audio_dim=512, video_dim=512)
    counts = {name: sum(p.numel() for p in m.parameters()) for name, m in model.named_children()}
    assert counts == {
        "encode_audio": 418_180,
        "encode_video": 418_180,
        "cross_attention": 400_264 + 600,  # and the position vectors
        "project_audio": 188_096,
        "project_video": 188_096,
        "project_word": 19_392,
        "decode": 20_100,
        "reconstruct_audio": 20_100,
        "reconstruct_video": 20_100,
    }


# ---------------------------------------------------------------- forward


@pytest.mark.parametrize("attention", ["pre_norm", "post_norm"])
@pytest.mark.parametrize("residual", ["double", "single"])
def test_the_forward_pass_equals_a_slow_one(attention: str, residual: str) -> None:
    model = trained_a_little(attention=attention, residual=residual)
    b = batch(seed=9, dtype=torch.float64)
    with torch.no_grad():
        aux = model(b).aux
    expected = Slow(model).thetas(b)
    for name, slow in zip(("theta_a", "theta_v"), expected, strict=True):
        assert np.abs(aux[name].numpy() - slow).max() < 1e-12
        assert slow.max() > 0 and slow.min() >= 0  # every output ends in ReLU


@pytest.mark.parametrize("attention", ["pre_norm", "post_norm"])
def test_the_attention_block_gives_what_is_worked_out_by_hand(attention: str) -> None:
    """One head of width 2 whose maps are the identity, no feed-forward: softmax of dot products."""
    model = build(
        audio_dim=3,
        video_dim=3,
        embed=2,
        heads=1,
        head_width=2,
        mlp=2,
        drop_enc=0.0,
        attention=attention,
    ).double()
    block = model.cross_attention
    with torch.no_grad():
        for p in block.feed.parameters():
            p.zero_()
        for linear in (block.attend.to_query, block.attend.to_key, block.attend.to_value):
            linear.weight.copy_(torch.eye(2))
        block.attend.out.weight.copy_(torch.eye(2))
        block.attend.out.bias.zero_()
        block.position.copy_(torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
        audio, video = block(
            torch.tensor([[3.0, 1.0]], dtype=torch.float64),
            torch.tensor([[0.0, 1.0]], dtype=torch.float64),
        )
    # the tokens are (3, 1) and (0, 1) + (0, 1) = (0, 2)
    if attention == "pre_norm":
        s = 1 / math.sqrt(1 + 1e-5)  # LN: (s, -s) and (-s, s), dot products 2 s^2 and -2 s^2
        own = 1 / (1 + math.exp(-4 * s * s / math.sqrt(2)))  # weight of a token on itself
        mixed = (2 * own - 1) * s
        expected_a, expected_v = [3 + mixed, 1 - mixed], [-mixed, 2 + mixed]
    else:
        # dot products: audio 10 with itself, video 4 with itself, 2 with each other
        own_a = 1 / (1 + math.exp((2 - 10) / math.sqrt(2)))
        own_v = 1 / (1 + math.exp((2 - 4) / math.sqrt(2)))
        sum_a = (3 + own_a * 3, 1 + own_a * 1 + (1 - own_a) * 2)
        sum_v = ((1 - own_v) * 3, 2 + own_v * 2 + (1 - own_v) * 1)

        def norm(x: tuple[float, float]) -> list[float]:
            half = (x[0] - x[1]) / 2
            y = half / math.sqrt(half * half + 1e-5)
            y = y / math.sqrt(y * y + 1e-5)  # the second norm, of (y, -y)
            return [y, -y]

        expected_a, expected_v = norm(sum_a), norm(sum_v)
    assert audio[0].tolist() == pytest.approx(expected_a, abs=1e-12)
    assert video[0].tolist() == pytest.approx(expected_v, abs=1e-12)


def test_pre_norm_and_post_norm_share_their_weights_and_differ_in_their_output() -> None:
    pre, post = small().eval(), small(attention="post_norm").eval()
    post.load_state_dict(pre.state_dict())
    b = batch()
    assert not torch.allclose(pre(b).heads[0], post(b).heads[0])
    phi = torch.randn(4, 12), torch.randn(4, 12)
    for token in post.cross_attention(*phi):  # ends in a LayerNorm
        assert torch.allclose(token.mean(-1), torch.zeros(4), atol=1e-5)
        assert torch.allclose(token.var(-1, unbiased=False), torch.ones(4), atol=1e-2)
    assert not torch.allclose(pre.cross_attention(*phi)[0].mean(-1), torch.zeros(4), atol=1e-2)


def test_padded_steps_change_nothing_and_averaged_features_are_taken_as_they_are() -> None:
    model = small().eval()
    b = batch()
    noisy = replace(b, audio=torch.where(b.mask[..., None], b.audio, torch.tensor(99.0)))
    assert torch.equal(model(b).heads[0], model(noisy).heads[0])
    rows = [x[m].mean(0) for x, m in zip(b.audio, b.mask, strict=True)]
    shown = [x[m].mean(0) for x, m in zip(b.video, b.mask, strict=True)]
    ones = torch.ones(len(b), 1, dtype=torch.bool)
    averaged = AVBatch(torch.stack(rows)[:, None], torch.stack(shown)[:, None], ones, b.label)
    assert torch.allclose(model(b).heads[0], model(averaged).heads[0], atol=1e-6)


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_every_loss_equals_its_formula_in_plain_python(seed: int, margin: float) -> None:
    g = torch.Generator().manual_seed(seed)

    def rows(width: int) -> Tensor:
        return torch.randn(7, width, generator=g, dtype=torch.float64) * 0.5

    theta, rho = Three(rows(4), rows(4), rows(4)), Three(rows(6), rows(6), rows(6))
    phi, rec, w = (rows(5), rows(5)), (rows(5), rows(5)), rows(6)
    minus = torch.randint(7, (7,), generator=g)
    found = losses(theta, rho, phi, rec, w, minus, margin=margin)
    expected = slow_losses(
        plain(theta), plain(rho), plain(phi), plain(rec), w.tolist(), minus.tolist(), margin
    )
    assert tuple(found) == NAMES
    assert {k: float(v) for k, v in found.items()} == pytest.approx(expected, abs=1e-12)
    assert len({round(x, 9) for x in expected.values()}) == 5  # no loss hides behind another


def test_the_hinge_of_a_triplet_cuts_each_sample_apart_and_then_averages() -> None:
    near, far = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64)
    far[0] = 10.0  # the first sample is far beyond the margin: 0, not negative
    zero = torch.zeros(2, 3, dtype=torch.float64)
    rho = Three(zero, zero, zero)
    pair = (zero, zero)
    found = losses(Three(zero, zero, near), rho, pair, pair, zero, torch.tensor([0, 1]), margin=1.0)
    assert float(found["l_ct"]) == pytest.approx(2.0)  # two terms of margin 1, distances cancel
    theta = Three(far, zero, near)
    one = losses(theta, rho, pair, pair, zero, torch.tensor([1, 0]), margin=1.0)
    expected = slow_losses(
        plain(theta), plain([zero] * 3), plain(pair), plain(pair), zero.tolist(), [1, 0], 1.0
    )
    assert float(one["l_t"]) == pytest.approx(expected["l_t"], abs=1e-12)


def test_the_models_loss_uses_the_encodings_before_attention_and_the_samples_own_vectors() -> None:
    model = trained_a_little(weight_t=2.0, weight_rec=0.5, weight_ct=3.0, weight_w=0.0, weight_r=7)
    b = batch(seed=4, dtype=torch.float64)
    all_vectors = vectors(torch.float64)
    minus = negatives(len(b))
    with torch.no_grad():
        terms = model.loss(model(b), b.label, minus, all_vectors)
        slow = Slow(model)
        theta_a, theta_v = slow.thetas(b)
        raw = all_vectors[b.label].numpy()
        theta_w = slow.block("project_word", raw)
        real = [m.numpy() for m in b.mask]
        phi = [
            slow.two(name, np.stack([x.numpy()[m].mean(0) for x, m in zip(f, real, strict=True)]))
            for name, f in (("encode_audio", b.audio), ("encode_video", b.video))
        ]
    theta = [theta_a, theta_v, theta_w]
    expected = slow_losses(
        theta,
        [slow.block("decode", x) for x in theta],
        phi,
        [slow.block("reconstruct_audio", theta_a), slow.block("reconstruct_video", theta_v)],
        raw,
        minus.tolist(),
        1.0,
    )
    assert {k: float(v) for k, v in terms.parts.items()} == pytest.approx(expected, abs=1e-10)
    weight = dict(zip(NAMES, (2.0, 0.5, 3.0, 0.0, 7.0), strict=True))
    total = sum(weight[k] * v for k, v in expected.items())
    assert float(terms.total) == pytest.approx(total, abs=1e-9)


# ---------------------------------------------------------------- gradients and statistics


@pytest.mark.parametrize("options", [{}, {"pos_emb": "trained"}, {"attention": "post_norm"}])
def test_gradients_reach_every_trained_parameter_and_not_the_fixed_positions(
    options: dict[str, Any],
) -> None:
    model = small(**options)
    b = batch(n=48)
    terms = model.loss(model(b), b.label, negatives(48), vectors())
    torch.autograd.backward(terms.total)
    reached = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    missing = {name for name, _ in model.named_parameters()} - reached
    assert missing == (set() if options.get("pos_emb") else {"cross_attention.position"})


def test_extra_passes_change_the_running_statistics_and_nothing_else() -> None:
    b = batch(n=24)
    plain, extra = small(), small(extra_passes=True)
    found = {}
    for name, model in (("plain", plain), ("extra", extra)):
        terms = model.loss(model(b), b.label, negatives(24), vectors())
        torch.autograd.backward(terms.total)
        found[name] = float(terms.total.detach())
    assert found["plain"] == found["extra"]
    for p, q in zip(plain.parameters(), extra.parameters(), strict=True):
        assert p.grad is None or q.grad is None or torch.equal(p.grad, q.grad)
    assert _passes(plain) == {
        "encode": 1,
        "project": 1,
        "project_word": 1,
        "decode": 3,
        "reconstruct": 1,
    }
    assert _passes(extra) == {
        "encode": 2,
        "project": 3,
        "project_word": 2,
        "decode": 3,
        "reconstruct": 1,
    }
    extra.eval()
    before = {k: v.clone() for k, v in extra.state_dict().items()}
    extra.loss(extra(b), b.label, negatives(24), vectors())
    assert all(torch.equal(v, before[k]) for k, v in extra.state_dict().items())


def _passes(model: AVCA) -> dict[str, int]:
    """How many batches the BatchNorms of each kind of block have seen."""
    found: dict[str, set[int]] = {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            block = name.partition(".")[0]
            kind = block if block == "project_word" else block.partition("_")[0]
            found.setdefault(kind, set()).add(int(value))
    assert all(len(x) == 1 for x in found.values())
    return {kind: x.pop() for kind, x in found.items()}


# ---------------------------------------------------------------- options


CASES = [  # run_scripts of the public code: r_enc, r_proj, r_dec, momentum
    ("ucf_main", 0.2, 0.3, 0.5, 0.1),
    ("ucf_cls", 0.2, 0.3, 0.5, 0.99),
    ("activitynet_main", 0.2, 0.2, 0.1, 0.99),
    ("activitynet_cls", 0.2, 0.2, 0.1, 0.99),
    ("vggsound_main", 0.0, 0.0, 0.1, 0.1),
    ("vggsound_cls", 0.0, 0.0, 0.0, 0.99),
]


@pytest.mark.parametrize(("preset", "enc", "proj", "dec", "momentum"), CASES)
def test_a_preset_sets_the_dropouts_and_the_second_batch_norms_momentum(
    preset: str, enc: float, proj: float, dec: float, momentum: float
) -> None:
    model = build(audio_dim=4, video_dim=4, preset=preset)
    for two, drop in (
        (model.encode_audio, enc),
        (model.encode_video, enc),
        (model.project_audio, proj),
        (model.project_video, proj),
    ):
        assert (two.first.dropout.p, two.second.dropout.p) == (drop, drop)
        assert (two.first.norm.norm.momentum, two.second.norm.norm.momentum) == (0.1, momentum)
    assert model.cross_attention.dropout.p == enc
    assert [m.p for m in model.cross_attention.feed if isinstance(m, torch.nn.Dropout)] == [enc] * 2
    for one in (model.project_word, model.decode, model.reconstruct_audio, model.reconstruct_video):
        assert (one.dropout.p, one.norm.norm.momentum) == (dec, 0.1)


def test_every_preset_is_tested_and_an_option_overrides_it() -> None:
    assert [case[0] for case in CASES] == list(PRESETS)
    assert build(audio_dim=4, video_dim=4).config.preset == "ucf_main"
    assert build(audio_dim=4, video_dim=4, preset="ucf_cls", momentum=0.2).config.momentum == 0.2


@pytest.mark.parametrize(
    ("score", "rule"),
    [
        ("video", lambda a, v: v),
        ("audio", lambda a, v: a),
        ("both", lambda a, v: a + v),
        ("mean", lambda a, v: (a + v) / 2),
        ("min", torch.minimum),
    ],
)
def test_the_score_branch_decides_which_distance_is_scored(
    score: str, rule: Callable[[Tensor, Tensor], Tensor]
) -> None:
    model = small(score=score).eval()
    output = model(batch())
    classes = model.embed_words(vectors())
    a, v = (torch.cdist(output.aux[name], classes) for name in ("theta_a", "theta_v"))
    found = distances(output, classes)
    assert found.shape == (1, 12, 3)
    assert torch.allclose(found[0], rule(a, v))


def test_heads_without_a_rule_of_the_model_stay_apart() -> None:
    heads = (torch.zeros(2, 3), torch.ones(2, 3))
    assert distances(Embedding(heads, {}), torch.zeros(4, 3)).shape == (2, 2, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wings": 2}, "unknown option wings"),
        ({"preset": "deploy"}, "preset='deploy', expected one of ucf_main, ucf_cls"),
        ({"attention": "both_norm"}, "expected one of pre_norm, post_norm"),
        ({"pos_emb": "none"}, "expected one of fixed, trained"),
        ({"residual": "triple"}, "expected one of double, single"),
        ({"score": "sound"}, "expected one of video, audio, both, mean, min"),
        ({"drop_enc": 1.0}, "drop_enc=1.0, expected 0 to below 1"),
        ({"momentum": 0.0}, "momentum=0.0"),
        ({"weight_t": -1.0}, "none below 0"),
        ({f"weight_{x}": 0.0 for x in ("t", "rec", "ct", "w", "r")}, "one above 0"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        build(audio_dim=4, video_dim=4, **options)


def test_nothing_spikes_and_nothing_goes_to_a_chip() -> None:
    model = small()
    assert isinstance(model, ZSLModel)
    assert model.prepare(batch()).chip_input is None
    assert branch_of(model) is None and host_parts(model) == ()
    with pytest.raises(BadInput, match=r"AVCA.*no spiking branch.*such as mdft"):
        needed_branch(model)
    with pytest.raises(BadInput, match=r"AVCA.*no spiking branch"):
        branch_model(model)


def test_the_same_seed_makes_the_same_model_and_options_rebuild_it() -> None:
    first, second = small(drop_enc=0.3), small(drop_enc=0.3)
    torch.manual_seed(7)
    one = first(batch()).heads[0]
    torch.manual_seed(7)
    assert torch.equal(one, second(batch()).heads[0])
    again = build(**json.loads(json.dumps(first.options())))
    again.load_state_dict(first.state_dict())
    assert torch.equal(again.eval()(batch()).heads[0], first.eval()(batch()).heads[0])
    torch.manual_seed(1)
    other = build(audio_dim=10, video_dim=14, **SMALL)
    assert not torch.equal(other.cross_attention.position, first.cross_attention.position)


def test_an_embedding_that_is_zero_for_every_sample_is_reported() -> None:
    model = small().eval()
    assert model.warnings(batch()) == []
    with torch.no_grad():
        model.project_video.second.norm.norm.bias.fill_(-100.0)
    [warning] = model.warnings(batch())
    assert "100 % of the embedding's channels are 0" in warning


# ---------------------------------------------------------------- training


def new_run(path: Path, data_dir: Path, **options: Any) -> runs.Run:
    runs.create(
        path,
        data_dir=data_dir,
        model="avca",
        options={"preset": "vggsound_main", **options},
        train=TrainConfig(epochs=2, batch=32),
    )
    return runs.train(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> runs.Run:
    torch.set_num_threads(1)
    return new_run(tmp_path_factory.mktemp("avca-runs") / "run", data_dir)


@pytest.mark.slow
def test_fit_trains_it_and_leaves_the_positions_as_they_were_drawn(
    tmp_path: Path, data_dir: Path
) -> None:
    from neurozsl.data.sets.load import load

    data = load(data_dir)
    model, selected = fit(
        data,
        name="avca",
        options={},
        config=TrainConfig(epochs=2, batch=32),
        out=tmp_path,
        run="one",
    )
    assert selected.epochs in (1, 2)
    losses_per_epoch = [
        json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()
    ]
    assert losses_per_epoch[1] < losses_per_epoch[0]
    torch.manual_seed(2)  # of stage 2 with seed 0, see `training._fit_stage`
    fresh = build(audio_dim=256, video_dim=256)
    assert isinstance(model, AVCA)
    assert torch.equal(model.cross_attention.position, fresh.cross_attention.position)
    assert not torch.equal(model.project_word.linear.weight, fresh.project_word.linear.weight)


def test_a_run_opens_with_the_same_weights_and_the_same_scores(trained: runs.Run) -> None:
    from neurozsl.training.train import final_result

    opened = runs.open_run(trained.path)
    stored = checkpoint.read(trained.path / runs.WEIGHTS)[0]
    state = opened.model.state_dict()
    assert {f"model/{name}" for name in state} == set(stored)
    assert all(torch.equal(value, stored[f"model/{name}"]) for name, value in state.items())
    assert final_result(opened.model, opened.data, opened.selected) == trained.result


def test_zsl_is_at_least_u_in_training_and_in_the_test(trained: runs.Run) -> None:
    lines = [json.loads(x) for x in (trained.path / "log.jsonl").read_text().splitlines()]
    scored = [x for x in lines if "HM" in x]
    assert len(scored) == 2
    assert all(x["ZSL"] >= x["U"] for x in [*scored, trained.result["test"]])
    assert set(NAMES) < set(lines[0])


def test_the_same_seed_trains_to_the_same_weights(
    trained: runs.Run, tmp_path: Path, data_dir: Path
) -> None:
    again = new_run(tmp_path / "again", data_dir)
    for name, value in again.model.state_dict().items():
        assert torch.equal(value, trained.model.state_dict()[name]), name


@pytest.mark.parametrize("score", ["audio", "mean", "min"])
def test_other_score_branches_keep_zsl_at_least_u(
    score: str, tmp_path: Path, data_dir: Path
) -> None:
    run = new_run(tmp_path / "run", data_dir, score=score, attention="post_norm", extra_passes=True)
    assert run.result["test"]["ZSL"] >= run.result["test"]["U"]
    assert run.result["selected"]["head_weight"] == 0.0
