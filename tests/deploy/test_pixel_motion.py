"""MDFT with convolutions on pixel events: trained, opened, exported, verified, scored, reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.deploy import deploy, finetune, samples
from neurozsl.deploy.belonging import check_belongs
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.targets import lava as lava_target
from neurozsl.models.base import needed_branch
from neurozsl.models.profiles import motion_options
from neurozsl.report import write_report
from neurozsl.report.sections import build
from neurozsl.runs import run as runs
from neurozsl.training.economy import Sparsity
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.qat import Rounding
from neurozsl.training.sparsity import density_of, prunable

SMALL: dict[str, Any] = {
    **motion_options("pixel", "mdft"),
    "motion_widths": [32, 16, 16],
    "motion_maps": [3, 4],
    "embed": 16,
    "hidden": 32,
    "theta": 0.05,
    "norm": False,  # an epoch is too short for its statistics
}
RUNS: dict[str, tuple[dict[str, Any], Sparsity | None]] = {
    "lif": ({}, Sparsity(0.5)),
    "speck": ({"motion_profile": "speck", "theta": 1.0, "norm": True}, None),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> dict[str, Path]:
    """A run of one epoch for each."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("pixel")
    for name, (options, how) in RUNS.items():
        runs.create(
            folder / name,
            data_dir=data_dir,
            model="mdft",
            options={**SMALL, **options},
            train=TrainConfig(epochs=1, batch=32, sparsity=how),
        )
        runs.train(folder / name)
    return {name: folder / name for name in RUNS}


def test_the_chip_reads_the_sets_pixel_events(trained: dict[str, Path]) -> None:
    run = runs.open_run(trained["lif"])
    codes = samples.golden_input(run, 8).to_numpy().codes["video"]
    assert codes.shape[2] == 512 and set(np.unique(codes)) == {0, 1}
    assert 0.001 < codes.mean() < 0.3


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("lif", "lava"),
        pytest.param("speck", "speck", marks=pytest.mark.slow),
        pytest.param("lif", "nir", marks=pytest.mark.slow),
        pytest.param("speck", "sinabs", marks=pytest.mark.slow),
    ],
)
def test_what_was_trained_is_deployed_verified_scored_and_reported(
    trained: dict[str, Path],
    name: str,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lava_target, "locate", lambda: None)  # integers alone: seconds, not minutes
    run, out = runs.open_run(trained[name]), tmp_path / "out"
    manifest = deploy.deploy(run, target=target, out=out, max_hm_drop=100)
    assert manifest.verdict in ("PASS", "PASS-WITH-LOSS", "UNVERIFIED")
    bundle = open_bundle(out)
    assert check_belongs(run, bundle) == ""
    pools = {x.name: len(x.pools) for x in bundle.spec.layers}
    assert (pools["video.0"], pools["video.1"], pools["video.2"]) == (0, 1, 1)
    found = bundle.verify()
    assert found.verdict == manifest.verdict, found.reasons
    assert 0 <= deploy.evaluate_run(run, bundle=out).HM <= 100
    if bundle.program is not None:
        report = build.build(run, bundle=out)
        assert {layer.name for layer in report.layers} == set(pools)
        write_report(report, tmp_path / "report.html")
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "video.1" in page


def test_a_pruned_branch_keeps_its_zeros_where_it_is_opened(trained: dict[str, Path]) -> None:
    run = runs.open_run(trained["lif"])
    branch = prunable(run.model)
    assert density_of(branch) == pytest.approx(0.5, abs=0.02)
    spec = needed_branch(run.model).spec()
    assert all(np.mean(x.weight != 0) < 0.6 for x in spec.layers)


def test_training_on_in_integers_is_refused_before_a_folder_is_made(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"the branch has convolutions.*--qat none"):
        finetune.create(
            runs.open_run(trained["lif"]),
            rounding=Rounding(),
            train=TrainConfig(epochs=1),
            out=tmp_path / "qat",
        )
    assert not (tmp_path / "qat").exists()
