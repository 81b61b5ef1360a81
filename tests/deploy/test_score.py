"""The steps of a deployment are scored on one walk: the host runs once for all of them."""

from pathlib import Path
from typing import Any

import pytest

from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic
from neurozsl.deploy import deploy
from neurozsl.deploy.score import RunScores, score_backend, score_each
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.targets import lava as lava_target
from neurozsl.runs import run as runs
from neurozsl.training.protocol import TrainConfig

SMALL = {"motion_widths": [32, 16, 16], "embed": 16, "hidden": 32}


@pytest.fixture(scope="module")
def following(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run whose thresholds follow the sample, with more test samples than a batch takes."""
    folder = tmp_path_factory.mktemp("score")
    config = SyntheticConfig(
        train_per_class=8, val_seen_per_class=2, val_unseen_per_class=4, test_size=540
    )
    write_synthetic(config, folder / "data")
    runs.create(
        folder / "run",
        data_dir=folder / "data",
        model="mdft",
        options={**SMALL, "threshold": "dynamic"},
        train=TrainConfig(epochs=4, batch=16),
    )
    runs.train(folder / "run")
    return folder / "run"


def test_an_export_with_four_scored_steps_prepares_every_batch_once(
    following: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, prepared, told = runs.open_run(following), list[int](), list[tuple[str, int, int]]()
    prepare = run.model.prepare

    def spy(batch: Any) -> Any:
        prepared.append(len(batch))
        return prepare(batch)

    monkeypatch.setattr(run.model, "prepare", spy)
    monkeypatch.setattr(lava_target, "locate", lambda: None)
    manifest = deploy.deploy(
        run,
        target="lava",
        out=tmp_path / "lava",
        max_hm_drop=100,
        progress=lambda *done: told.append(done),
    )
    steps = [step.step for step in manifest.steps]
    assert steps == ["trained", "frozen", "fixed-point", "fixed-point, dynamic"]
    # Two halves of the golden samples and the calibration; then the test in batches of 256.
    golden, calibration, test = prepared[:2], prepared[2], prepared[3:]
    assert golden == [8, 8] and calibration > 100
    assert test == [256, 14, 256, 14]

    scored = [x for x in told if x[0].startswith("score")]
    assert {x[0] for x in scored} == {f"score {', '.join(steps)}"}
    assert [x[1] for x in scored] == sorted(x[1] for x in scored) and len(scored) == 16
    assert scored[-1][1:] == (4 * 540, 4 * 540)

    bundle = open_bundle(tmp_path / "lava")
    alone = score_backend(run, bundle.backend("emulator")).scores
    last = manifest.steps[-1]
    assert (last.S, last.U, last.HM, last.ZSL) == (alone.S, alone.U, alone.HM, alone.ZSL)
    assert all(x.operations is not None and x.operations.synops > 0 for x in manifest.steps)


def test_the_scores_of_a_run_are_the_document_that_evaluate_prints(following: Path) -> None:
    run = runs.open_run(following)
    found = deploy.evaluate_run(run)
    assert isinstance(found, RunScores) and found.motion_backend == "norse"
    wanted = {**run.result["test"], "motion_backend": "norse", "policy": "dynamic", "bundle": None}
    assert found.as_json() == {**wanted, "host_device": "cpu"}
    assert list(found.as_json())[:4] == ["S", "U", "HM", "ZSL"]
    assert score_each(run, {}) == {}
