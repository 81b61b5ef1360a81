"""Models with a ConSE beside them: scores as a slow loop mixes them, the weight from validation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.sets.load import load
from neurozsl.deploy.motion import motion
from neurozsl.models import conse
from neurozsl.models.base import distances, embed
from neurozsl.report.sections.motion import whole_test
from neurozsl.runs import run as runs
from neurozsl.scoring import further as scoring
from neurozsl.scoring.evaluation import Collected, choose, collect
from neurozsl.training.protocol import TrainConfig
from tests.models.test_conse import ENCODERS, WORDS, a_set, batch, noted

SMALL: dict[str, dict[str, Any]] = {
    "mdft": {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32, "word_dim": WORDS},
    "avca": {"embed": 16, "hidden": 32, "word_dim": WORDS},
}
WIDE = {"audio_dim": 3, "video_dim": 6}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conse, "same_encoder", lambda spec, where: ENCODERS[spec.part])


def built(name: str, **more: Any) -> Any:
    torch.manual_seed(0)
    return models.build(name, **WIDE, encode="sequence", steps=10, **SMALL[name], **more)


@pytest.mark.parametrize("name", SMALL)
def test_every_distance_is_the_mixture_of_both(name: str) -> None:
    both = built(name, conse=True, encoders=noted(), conse_top_k=2)
    read, vectors = batch(), torch.randn(5, WORDS)
    both.calibrate(read)
    both.eval()
    other = conse.build(**WIDE, encoders=noted(), top_k=2)
    other.calibrate(read)
    with torch.no_grad():
        own = distances(embed(both.own, read), both.own.embed_words(vectors))
        places = torch.stack(embed(other, read).heads).mean(0)
        for share in (0.0, 0.3, 1.0):
            both.weigh_further(share)
            found = distances(embed(both, read), both.embed_words(vectors))
            assert found.shape == own.shape
            for row in range(len(read)):
                place = places[row] / places[row].norm()
                for c in range(5):
                    apart = (place - vectors[c] / vectors[c].norm()).norm()
                    wanted = (1 - share) * own[:, row, c] + share * apart
                    torch.testing.assert_close(found[:, row, c], wanted, rtol=1e-5, atol=1e-5)


def test_a_model_is_trained_as_without_and_made_again_by_its_options() -> None:
    both = built("mdft", conse=True, encoders=noted(), conse_temperature=2.0)
    alone = built("mdft")
    for model in (both, alone):
        model.calibrate(batch(40))
        model.train()
    assert [x.shape for x in both.parameters()] == [x.shape for x in alone.parameters()]
    assert embed(both, batch()).further is None
    again = models.build("mdft", **json.loads(json.dumps(both.options())))
    assert again.options() == both.options()
    both.weigh_further(0.25)
    again.load_state_dict(both.state_dict())
    assert float(again.further) == 0.25  # type: ignore[attr-defined]
    frozen = both.frozen({layer: 0.5 for layer in both.motion_branch().spiking_layers()})
    assert float(frozen.further) == 0.25 and not hasattr(built("avca"), "weigh_further")


def test_the_share_is_the_best_of_the_grid_and_stays_out_where_it_does_not_help(
    tmp_path: Path,
) -> None:
    data = load(a_set(tmp_path / "data"))
    both = built("mdft", conse=True, encoders=noted())
    both.calibrate(data.splits["train"].batch(np.arange(9)))
    both.eval()
    stage = data.stage(1)

    def collected() -> Collected:
        return collect(both, stage, data.vectors)

    found = scoring.choose_all(both, collected)
    slow = []
    for share in scoring.SHARES:
        both.weigh_further(share)
        slow.append((choose(collected())[0].HM, -share))
    hm, share = max(slow)
    assert found.scores.HM == pytest.approx(hm) and found.further == -share


def test_a_run_keeps_the_share_and_scores_as_stage_1_chose(tmp_path: Path) -> None:
    a_set(tmp_path / "data")
    options = {"conse": True, **SMALL["mdft"]}
    runs.create(
        tmp_path / "run",
        data_dir=tmp_path / "data",
        model="mdft",
        options=options,
        train=TrainConfig(epochs=2, batch=16),
    )
    runs.train(tmp_path / "run")
    run = runs.open_run(tmp_path / "run")
    assert float(run.model.further) == pytest.approx(run.selected.further)  # type: ignore[attr-defined]
    assert run.selected.further in [pytest.approx(x) for x in scoring.SHARES]
    tested = whole_test(run, motion(run, None))  # what a report draws
    assert tested.classes.shape[1] == tested.embedded.shape[1]


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("conse", {"conse": True}, "takes no conse=true"),
        ("avca", {"conse": "yes"}, "expected true or false"),
        ("avca", {"conse": False, "conse_top_k": 3}, "conse_top_k belongs to conse=true"),
        ("avca", {"conse": True, "encoders": {}}, "the set's encoders"),
        ("avca", {"conse": True, "encoders": "noted", "conse_top_k": -1}, "top_k=-1"),
    ],
)
def test_what_cannot_be_is_refused(name: str, more: dict[str, Any], said: str) -> None:
    if more.get("encoders") == "noted" or name == "conse":
        more = {**more, "encoders": noted()}
    with pytest.raises(BadInput, match=said):
        models.build(name, **WIDE, **more)


def test_without_the_word_nothing_changes() -> None:
    assert type(built("mdft", conse=False)) is type(built("mdft"))
