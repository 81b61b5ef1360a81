"""Each baseline that builds on AVCA through a run: one epoch, scored again, opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from neurozsl import models
from neurozsl.deploy.deploy import evaluate_run
from neurozsl.runs import run as runs
from neurozsl.training.protocol import train_config

SMALL: dict[str, Any] = {"embed": 16, "hidden": 24, "head_width": 8, "heads": 2, "mlp": 8}
PUBLIC: dict[str, Any] = {
    "order": "public", "train_branch": False, "passes": "apart", "extra_passes": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hyper-alignment", {"passes": "apart"}),
        ("hyper-single", {}),
        ("hyper-multiple", {"curvatures": 3}),
        ("avmst", {"spiking_hidden": 24}),
        ("avmst", {"spiking_hidden": 24, **PUBLIC}),
    ],
)
def test_a_run_of_one_epoch_learns_and_opens_with_its_scores(
    name: str, options: dict[str, Any], tmp_path: Path, data_dir: Path
) -> None:
    torch.set_num_threads(1)
    runs.create(
        tmp_path / "run",
        data_dir=data_dir,
        model=name,
        options={**SMALL, **options},
        train=train_config(rules={"negatives": "drawn"}, epochs=1, batch=32),
    )
    trained = runs.train(tmp_path / "run")
    test = trained.result["test"]
    assert test["ZSL"] >= test["U"]
    scores = evaluate_run(runs.open_run(tmp_path / "run"))
    assert (scores.S, scores.U, scores.HM) == (test["S"], test["U"], test["HM"])
    torch.manual_seed(2)  # of stage 2 with seed 0
    drawn = models.build(name, audio_dim=256, video_dim=256, **SMALL, **options).state_dict()
    moved = {key for key, x in trained.model.state_dict().items() if not torch.equal(x, drawn[key])}
    assert "project_word.linear.weight" in moved and "cross_attention.position" not in moved
    learns = options.get("train_branch", True)
    assert ("branch.pathways.audio.1.linear.weight" in moved) == (learns and name == "avmst")
