"""The option `passes` of every model that has it: what is refused, and the word for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import ZSLModel, embed
from neurozsl.parallel.shared_layers import Scope, convert
from neurozsl.parallel.team import Alone

SMALL: dict[str, Any] = {"hidden": 8, "proj": 3}
FORMS: dict[str, dict[str, Any]] = {
    "avca": {"embed": 6},
    "hyper-alignment": {"embed": 6},
    "hyper-single": {"embed": 6},
    "hyper-multiple": {"embed": 6},
    "avmst": {"embed": 6, "spiking_hidden": 5, "steps": 2},
    "avgzslnet": {"word_hidden": 8},
    "cjme": {"word_hidden": 8},
}
VECTORS = torch.randn(4, 300, generator=torch.Generator().manual_seed(3))


def built(name: str, **options: Any) -> ZSLModel:
    torch.manual_seed(0)
    return models.build(name, audio_dim=4, video_dim=5, **SMALL, **FORMS[name], **options).train()


def batch(rows: int) -> AVBatch:
    g = torch.Generator().manual_seed(1)
    audio, video = (torch.rand(rows, 1, n, generator=g) for n in (4, 5))
    return AVBatch(audio, video, torch.ones(rows, 1, dtype=torch.bool), torch.arange(rows) % 4)


def test_it_is_one_name_for_all_models_that_have_it() -> None:
    simple = set(models.names()) - {"conse", "tcaf"}
    options = {n: models.build(n, audio_dim=4, video_dim=5).options() for n in simple}
    assert {n for n in options if "passes" in options[n]} == set(FORMS)
    assert not [n for n in options if "negatives" in options[n]]
    assert {options[n]["passes"] for n in FORMS} == {"joint"}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("rows", [12, 11])
def test_apart_a_batch_without_drawn_negatives_is_refused(name: str, rows: int) -> None:
    model, b = built(name, passes="apart"), batch(rows)
    negative = (torch.arange(rows) + 1) % rows
    with pytest.raises(BadInput, match=r"train with `--rule negatives=drawn`, or with passes=joi"):
        model.loss(embed(model, b), b.label, negative, VECTORS)


@pytest.mark.parametrize("name", FORMS)
def test_apart_the_negatives_statistics_do_not_touch_the_samples(name: str) -> None:
    """Video of the negatives a thousand times as large: the samples' video embedding stays."""
    quiet, loud = batch(12), batch(12)
    loud.video[6:] *= 1000
    for passes, equal in (("apart", True), ("joint", False)):
        model = built(name, passes=passes, **_still(name))
        key = "theta_v" if name not in ("avgzslnet", "cjme") else "video"
        one, two = (embed(model, b).aux[key][:6] for b in (quiet, loud))
        assert torch.allclose(one, two) == equal


def _still(name: str) -> dict[str, float]:
    """Without dropout."""
    drops = [o for o in models.build(name, audio_dim=4, video_dim=5).options() if "drop" in o]
    assert drops
    return dict.fromkeys(drops, 0.0)


class Two(Alone):
    """Stands for a team of two."""

    size = 2


@pytest.mark.parametrize("name", FORMS)
def test_apart_several_processes_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"halves, which 2 processes would cut"):
        convert(built(name, passes="apart"), Scope(Two()), dropout=False)
    convert(built(name, passes="apart"), Scope(Alone()), dropout=False)
    convert(built(name), Scope(Two()), dropout=False)
