"""What runs where: verdicts, reasons and the table, on tiny runs of real models."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.runs import run as runs
from neurozsl.studies import deployments
from neurozsl.training.train import TrainConfig
from tests.factories.datasets import small_set


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("deployments")
    small_set(base / "data")
    small = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32}
    made = {}
    for model, options in (("avca", {}), ("mdft", small)):
        made[model] = base / model
        runs.create(
            base / model,
            data_dir=base / "data",
            model=model,
            options=options,
            train=TrainConfig(epochs=3, batch=8),
        )
        runs.train(base / model)
    return made


def test_a_model_has_a_verdict_or_a_reason_on_every_target(folders: dict[str, Path]) -> None:
    told = []
    rows = deployments.deploy_all(
        folders, ("sinabs", "speck"), progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    avca, mdft = rows
    assert avca["spiking"] == [] and avca["host"] == "the whole model"
    assert {found["verdict"] for found in avca["targets"].values()} == {"-"}
    assert "never spikes" in avca["targets"]["speck"]["reason"]
    assert len(mdft["spiking"]) == 6
    sinabs, speck = mdft["targets"]["sinabs"], mdft["targets"]["speck"]
    assert sinabs["verdict"] == "PASS" and sinabs["bundle"] is not None
    assert (Path(sinabs["bundle"]) / "manifest.json").is_file()
    assert speck["verdict"] == "cannot run it" and "leak" in speck["reason"]
    text = deployments.markdown(rows, ("sinabs", "speck")).splitlines()
    assert text[0] == "| model | weights | spiking layers | sinabs | speck |"
    assert text[3].endswith("| 6 | PASS | cannot run it |")
    assert any(line.startswith("mdft on speck: ") for line in deployments.reasons(rows))


def test_an_unknown_target_is_refused_before_anything_is_exported(
    folders: dict[str, Path],
) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        deployments.deploy_all(folders, ("sinabs", "nowhere"))
