"""TCaF in the house: padding, positions, statistics, presets and refusals."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch
from neurozsl.data.sets.load import load as load_data
from neurozsl.models.baselines.tcaf import TCaF, build
from neurozsl.models.baselines.tcaf_attention import TokenPositions, readable
from neurozsl.parallel.shared_layers import Scope, convert
from neurozsl.parallel.team import assembled_output, average_gradients, share
from neurozsl.training.train import make_model
from tests.parallel.thread_team import together

SMALL: dict[str, Any] = {
    **{"enc_hidden": 8, "width": 12, "depth": 2, "heads": 2, "head_width": 4, "feed": 6},
    **{"positions": 8, "scale": 0.5, "hidden": 10, "proj": 6, "word_dim": 7},
    **dict.fromkeys(("drop_enc", "drop_dec", "drop_word", "drop_attend", "drop_pos"), 0.0),
}

MEAN = "encode_audio.first.norm.norm.running_mean"


def batch(n: int = 10, steps: int = 6, seed: int = 0) -> AVBatch:
    g = torch.Generator().manual_seed(seed)
    mask = torch.arange(steps) < torch.randint(2, steps, (n, 1), generator=g)
    audio = torch.rand(n, steps, 5, generator=g, dtype=torch.float64)
    video = torch.rand(n, steps, 4, generator=g, dtype=torch.float64)
    return AVBatch(audio, video, mask, torch.arange(n) % 3)


def small(**options: Any) -> TCaF:
    torch.manual_seed(0)
    return build(audio_dim=5, video_dim=4, **{**SMALL, **options}).double()


def padded(b: AVBatch, steps: int, filling: float) -> AVBatch:
    """The batch with more padded steps, and something in all of them."""

    def longer(x: Tensor) -> Tensor:
        more = torch.cat([x, torch.zeros(len(x), steps, x.shape[2], dtype=x.dtype)], 1)
        return torch.where(mask[..., None], more, torch.full_like(more, filling))

    mask = torch.cat([b.mask, torch.zeros(len(b), steps, dtype=torch.bool)], 1)
    return replace(b, audio=longer(b.audio), video=longer(b.video), mask=mask)


@pytest.mark.parametrize("training", [False, True])
def test_padding_of_any_length_and_content_changes_nothing(training: bool) -> None:
    b = batch()
    found = []
    for given in (b, padded(b, 5, 99.0)):
        model = small().train(training)
        found.append((model(given).heads[0], model.get_buffer(MEAN)))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-12)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-12)


def test_with_norm_rows_all_padding_moves_the_statistics_as_in_the_public_code() -> None:
    b = batch()
    real, every = small().train(), small(norm_rows="all").train()
    every.load_state_dict(real.state_dict())
    assert not torch.allclose(real(b).heads[0], every(b).heads[0])
    model = small(norm_rows="all").train()
    model(b)
    rows = b.audio.masked_fill(~b.mask[..., None], 0.0).reshape(-1, 5) / 255
    expected = 0.1 * small().encode_audio.first.linear(rows).mean(0)
    assert torch.allclose(model.get_buffer(MEAN), expected)


def test_positions_are_seconds_in_training_and_integers_at_test_only_where_asked() -> None:
    b = batch()
    quirk, honest, counted = (
        small(step_s=0.96, test_positions="integers"),
        small(step_s=0.96),
        small(step_s=1.0),
    )
    for model in (honest, counted):
        model.load_state_dict(quirk.state_dict())
    assert torch.equal(quirk.train()(b).heads[0], honest.train()(b).heads[0])
    for model in (quirk, honest, counted):
        model.load_state_dict(small().state_dict())
        model.eval()
    assert torch.equal(quirk(b).heads[0], counted(b).heads[0])
    assert not torch.allclose(quirk(b).heads[0], honest(b).heads[0])


def test_a_step_hears_the_other_modality_and_cls_hears_all_that_is_real() -> None:
    audio = torch.tensor([[True, True, False]])
    video = torch.tensor([[True, True]])
    expected = [
        [1, 1, 1, 0, 1, 1],  # cls
        [1, 0, 0, 0, 1, 1],  # audio
        [1, 0, 0, 0, 1, 1],
        [1, 0, 0, 0, 0, 0],  # padding
        [1, 1, 1, 0, 0, 0],  # video
        [1, 1, 1, 0, 0, 0],
    ]
    assert readable(audio, video)[0].int().tolist() == expected


def test_a_late_position_is_the_same_in_single_and_in_double_precision() -> None:
    torch.manual_seed(0)
    single = TokenPositions(4, positions=64, scale=10.0, dropout=0.0)
    at = torch.tensor([[300.0]])
    rough = single._fourier(at, torch.float32)
    exact = single.double()._fourier(at, torch.float64)
    assert torch.allclose(rough.double(), exact, atol=1e-6)
    turns = single.get_buffer("frequencies").sum(0) * 300
    assert float(turns.abs().max()) > 1000  # where float32 alone is off by more than 1e-4
    phase = 2 * torch.pi * turns
    assert torch.allclose(single.fourier(torch.cat([phase.sin(), phase.cos()])), exact[0, 0])


def test_an_anytime_stop_leaves_later_steps_out() -> None:
    b = batch()
    whole = replace(b, mask=torch.ones_like(b.mask))
    cut = AVBatch(b.audio[:, :3], b.video[:, :3], torch.ones(10, 3, dtype=torch.bool), b.label)
    model = small().eval()
    assert torch.allclose(model(replace(whole, stop=3)).heads[0], model(cut).heads[0], atol=1e-12)


def test_extra_passes_move_running_statistics_and_nothing_else() -> None:
    b, vectors = batch(), torch.randn(3, 7, dtype=torch.float64)
    found = {}
    for extra in (False, True):
        model = small(extra_passes=extra).train()
        terms = model.loss(model(b), b.label, b.label, vectors)
        counts = [
            int(model.get_buffer(f"{name}.norm.norm.num_batches_tracked"))
            for name in ("encode_audio.first", "aligned.project_word", "aligned.decode_word")
        ]
        found[extra] = (float(terms.total.detach()), counts)
    assert found[False] == (found[True][0], [1, 2, 1])
    assert found[True][1] == [2, 3, 1]


def test_several_processes_train_as_one_does() -> None:
    b, vectors = batch(n=11), torch.randn(3, 7, dtype=torch.float64)
    start = small(extra_passes=True).train()

    def work(team: Any) -> dict[str, Tensor]:
        model = deepcopy(start)
        scope, mine = Scope(team), share(len(b), team)
        convert(model, scope, dropout=False)
        with scope.sliced(mine):
            output = model(b.take(mine))
        whole = assembled_output(team, output, mine, len(b))
        terms = model.loss(whole, b.label, b.label, vectors)
        torch.autograd.backward(terms.total)
        average_gradients(team, model.parameters())
        found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        return {**found, **dict(model.named_buffers()), "total": terms.total.detach()}

    [alone] = together(1, work)
    for found in together(2, work):
        assert found.keys() == alone.keys() and "cls" in found
        for name, value in found.items():
            assert torch.allclose(value, alone[name], rtol=1e-9, atol=1e-11), name


def test_the_cross_entropy_is_over_the_classes_of_the_training_alone() -> None:
    b, vectors = batch(), torch.randn(6, 7, dtype=torch.float64)
    ids = torch.tensor([1, 2, 5])
    b = replace(b, label=ids[b.label])
    model = small().eval()
    with torch.no_grad():
        _compare(model, b, ids, vectors)


def _compare(model: TCaF, b: AVBatch, ids: Tensor, vectors: Tensor) -> None:
    output = model(b)
    model.train_on(ids)
    found = model.loss(output, b.label, b.label, vectors)
    scores = output.heads[0] @ model.embed_words(vectors[ids]).T
    expected = -scores.log_softmax(1)[torch.arange(10), torch.searchsorted(ids, b.label)].mean()
    assert float(found.parts["ce"]) == pytest.approx(float(expected), abs=1e-12)
    changed = torch.where(torch.isin(torch.arange(6), ids)[:, None], vectors, 9.0)
    again = model.loss(output, b.label, b.label, changed)
    assert float(again.total) == pytest.approx(float(found.total), abs=1e-12)


def test_options_make_the_model_again_as_json_and_are_checked() -> None:
    model = models.build("tcaf", audio_dim=5, video_dim=4, preset="vggsound_cls", depth=2)
    assert isinstance(model, TCaF)
    options = json.loads(json.dumps(model.options()))
    assert models.build("tcaf", **options).options() == model.options()
    assert (model.config.enc_hidden, model.config.depth, model.config.drop_attend) == (512, 2, 0.5)
    for wrong, message in (
        ({"preset": "ucf"}, "preset='ucf', expected one of ucf_main"),
        ({"positions": 7}, "positions=7, expected an even number"),
        ({"depth": 0}, "depth=0, expected at least 1"),
        ({"depth": "two"}, "depth='two', expected a whole number"),
        ({"depth": True}, "depth=True, expected a whole number"),
        ({"scale": float("nan")}, "scale=nan, expected a number"),
        ({"extra_passes": 1}, "extra_passes=1, expected true or false"),
        ({"drop_pos": 1.0}, "drop_pos=1.0, expected 0 to below 1"),
        ({"test_positions": "frames"}, "test_positions='frames', expected one of seconds"),
        ({"mlp": 3}, "unknown option mlp"),
    ):
        with pytest.raises(BadInput, match=message):
            models.build("tcaf", audio_dim=5, video_dim=4, **wrong)
    with pytest.raises(BadInput, match="no time axis"):
        models.build("tcaf", audio_dim=5, video_dim=4, encode="repeat")


def test_an_embedding_that_is_zero_for_every_sample_is_reported() -> None:
    model = small().eval()
    assert model.warnings(batch()) == []
    with torch.no_grad():
        model.aligned.project_output.second.norm.norm.bias.fill_(-100.0)
    [warning] = model.warnings(batch())
    assert "100 % of the embedding's channels are 0" in warning


def test_a_data_set_tells_the_seconds_of_a_step(data_dir: Path) -> None:
    data = load_data(data_dir)
    model = make_model("tcaf", replace(data, step_s=0.96), {"depth": 1})
    assert model.options()["step_s"] == 0.96
    assert make_model("tcaf", data, {"step_s": 2.0}).options()["step_s"] == 2.0
