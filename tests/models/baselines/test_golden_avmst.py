"""AVMST in its public code's order against that code's numbers, and how ties are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.models.base import Embedding, LossTerms, distances, own_trace
from neurozsl.models.baselines.avmst import AVMST, build
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

PUBLIC: dict[str, Any] = {
    "hidden": 12, "spiking_hidden": 12, "drop_enc": 0.0, "drop_proj": 0.0, "drop_dec": 0.0,
    "order": "public", "passes": "apart",
    # Drawn and kept by the public code, but their gradients are stored.
    "pos_emb": "trained", "train_branch": True,
}  # fmt: skip
ROWS = 12


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> Golden:
    return open_golden(shared_data, "avmst")


def ours(key: str) -> str:
    """Our name of a public tensor of the spiking branch, or of AVCA."""
    if not key.startswith("SNNbranch"):
        return avca_names.ours(key)
    modality, number, leaf = key.removeprefix("SNNbranch").replace(".fc", "").split(".")
    return f"branch.pathways.{modality}.{int(number) // 2}.linear.{leaf}"


def weights(golden: Golden) -> dict[str, Tensor]:
    stored = golden.group("w/")
    spiking = {ours(key): x for key, x in stored.items() if key.startswith("SNN")}
    assert len(spiking) == 8
    rest = {key: x for key, x in stored.items() if not key.startswith("SNN")}
    return {**avca_names.renamed(rest), **spiking}


def public(golden: Golden, **options: Any) -> AVMST:
    """The model with the file's weights."""
    model = build(audio_dim=16, video_dim=16, **{**PUBLIC, **options}).double()
    load(model, weights(golden))
    return model


def step(model: AVMST, golden: Golden) -> tuple[Embedding, LossTerms]:
    """One training step's output and loss, the negatives as the second half of the batch."""
    audio = torch.cat([golden["in/audio"], golden["in/neg_audio"]])
    video = torch.cat([golden["in/video"], golden["in/neg_video"]])
    label = torch.cat([golden["in/label"], golden["in/neg_label"]])
    model.train()
    output = model(averaged(audio, video))
    negative = torch.arange(len(label)).roll(len(label) // 2)
    return output, model.loss(output, label, negative, golden["in/classes"])


def test_golden_baselines_avmst_losses_and_gradients_are_the_public_ones(golden: Golden) -> None:
    model = public(golden)
    _, terms = step(model, golden)
    stored = {key: float(x) for key, x in golden.group("loss/").items()}
    expected = {
        "l_t": stored["t_first"] + stored["t_second"],
        "l_rec": stored["rec"],
        "l_ct": stored["ct"],
        "l_w": stored["w"],
        "l_r": stored["reg"],
    }
    found = {k: v.item() for k, v in terms.parts.items()}
    assert found == pytest.approx(expected, abs=1e-5)
    assert terms.total.item() == pytest.approx(stored["total"], abs=1e-5)
    terms.total.backward()  # type: ignore[no-untyped-call]
    gradients = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    norms = avca_names.joined(gradients)
    for key, norm in golden.group("gradnorm/").items():
        own = key if key.endswith("to_qkv.weight") else ours(key)
        assert norms.pop(own) == pytest.approx(float(norm), abs=1e-4), key
    assert norms == {}


def test_golden_baselines_avmst_gradients_of_the_neurons_are_as_close_as_they_are_small(
    golden: Golden,
) -> None:
    model = public(golden)
    step(model, golden)[1].total.backward()  # type: ignore[no-untyped-call]
    gradients = {k: p.grad for k, p in model.named_parameters()}
    for kind in ("gradnorm", "gradsum"):
        stored = golden.group(f"{kind}/SNNbranch")
        assert len(stored) == 8
        for key, value in stored.items():
            gradient = gradients[ours(f"SNNbranch{key}")]
            assert gradient is not None
            found = gradient.norm() if kind == "gradnorm" else gradient.sum()
            assert found.item() == pytest.approx(float(value), rel=1e-4, abs=1e-7), key


def test_golden_baselines_avmst_gated_encodings_and_outputs_are_the_public_ones(
    golden: Golden,
) -> None:
    model = public(golden)
    output, _ = step(model, golden)
    # The public names phi_m1 hold the rates.
    for own, stored in (("rate_a", "phi_a{}1"), ("rate_v", "phi_v{}1")):
        near(output.aux[own][:ROWS], golden[f"train/{stored.format('')}"])
        near(output.aux[own][ROWS:], golden[f"train/{stored.format('_neg')}"])
    for own in ("phi_a", "phi_v", "theta_a", "theta_v"):
        near(output.aux[own][:ROWS], golden[f"train/{own}"])
        near(output.aux[own][ROWS:], golden[f"train/{own}_neg"])
    rates = torch.stack([output.aux["rate_a"], output.aux["rate_v"]])
    assert torch.equal(10 * rates, (10 * rates).round())
    means = rates.reshape(2, 2, -1).mean(-1)
    assert 0.13 < means.min().item() < means.max().item() < 0.21  # the range the file was made for


def test_golden_baselines_avmst_evaluation_and_metrics_are_the_public_ones(golden: Golden) -> None:
    model = public(golden)
    model.load_state_dict(avca_names.renamed(golden.group("buf_after/")), strict=False)
    model.eval()
    with torch.no_grad():
        output = model(averaged(golden["eval/audio"], golden["eval/video"]))
        words = model.embed_words(golden["eval/classes"])
    for field, found in {**output.aux, "theta_w": words}.items():
        if field.startswith("theta_"):
            near(found, golden[f"eval/{field}"])
    distance = distances(output, words)[0]
    near(distance, golden["eval/dist"])
    found, asked = by_id(distance), problem(golden)
    same_scores(metrics.search_beta(found, asked), golden, "metric/video")


def test_golden_baselines_avmst_a_membrane_at_the_threshold_spikes(golden: Golden) -> None:
    """The weights lie on a grid where u = 1 is met, so both comparisons are told apart."""
    spikes: dict[str, tuple[Tensor, Tensor]] = {}
    for fires in ("reached", "above"):
        model = public(golden, fires=fires, passes="joint").eval()
        prepared = model.prepare(averaged(golden["in/audio"], golden["in/video"]))
        trace = own_trace(model, prepared)
        assert trace is not None
        spikes[fires] = trace.spikes["audio.0"], trace.spikes["audio.1"]
    weight, bias = (golden[f"w/SNNbranchaudio.fc.2.{leaf}"] for leaf in ("weight", "bias"))
    ties = 0
    for fires, reached in (("reached", torch.ge), ("above", torch.gt)):
        v = torch.zeros(ROWS, 300, dtype=torch.float64)
        first, second = spikes[fires]
        for t in range(10):
            u = v + first[:, t] @ weight.T + bias
            z = reached(u, 1.0).double()
            assert torch.equal(second[:, t], z)
            ties += int((u == 1).sum())
            v = u * (1 - z)
    assert ties > 100
    assert not torch.equal(spikes["reached"][1], spikes["above"][1])


def test_golden_baselines_avmst_parameter_counts_hold_in_either_order() -> None:
    def count(width: tuple[int, int], **options: Any) -> int:
        model = models.build("avmst", audio_dim=width[0], video_dim=width[1], **options)
        return sum(p.numel() for p in model.parameters())

    assert count((512, 512)) == count((512, 512), order="public", train_branch=False) == 2_526_220
    assert count((128, 4096)) == 5_803_020
    with_norm = count((512, 512), norm=True)
    assert with_norm == 2_526_220 + 2 * 2 * (512 + 300)
