"""`evaluate` and `simulate` on workers: the very distances, spikes and names of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurozsl as nz
from neurozsl.cluster.tasks import Workers
from neurozsl.core.errors import BadInput
from neurozsl.deploy import on_workers
from neurozsl.deploy.deploy import evaluate_run
from neurozsl.deploy.on_workers import collected_on, files_of
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.scoring import evaluation
from neurozsl.scoring.evaluation import collect
from neurozsl.simulation import blocks
from neurozsl.simulation.simulate import simulate


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches and blocks out of few samples; workers open anew."""
    for module in (evaluation, on_workers):
        monkeypatch.setattr(module, "BATCH", 10)
    monkeypatch.setattr(blocks, "BLOCK", 5)
    on_workers.opened.cache_clear()
    blocks._host.cache_clear()


def test_distances_are_the_bits_of_one_process(
    instead: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = nz.load(workspace / "run")
    stage = run.data.stage(2)
    monkeypatch.setattr(evaluation.walk_share, "__kwdefaults__", _tens(evaluation.walk_share))
    alone = collect(run.model, stage, run.data.vectors, batch=10)
    told: list[tuple[int, int]] = []
    found = collected_on(run, None, Workers(2), lambda *x: told.append(x))
    np.testing.assert_array_equal(found.distance, alone.distance)
    np.testing.assert_array_equal(found.problem.label, alone.problem.label)
    assert len(told) > 2 and told[-1] == (len(alone.problem.label),) * 2


def _tens(function: Any) -> dict[str, Any]:
    return {**function.__kwdefaults__, "batch": 10}


def test_a_bundle_is_scored_as_in_one_process(instead: Any, workspace: Path) -> None:
    run, bundle = nz.load(workspace / "run"), workspace / "run" / "deploy" / "lava"
    alone = evaluate_run(run, bundle=bundle)
    assert evaluate_run(run, bundle=bundle, on=Workers(2)) == alone


@pytest.mark.parametrize("margin", [None, 0.5])
def test_a_simulation_gives_the_spikes_and_names_of_one_process(
    instead: Any, workspace: Path, margin: float | None
) -> None:
    bundle = open_bundle(workspace / "run" / "deploy" / "lava")
    asked: dict[str, Any] = {"backend": "emulator", "limit": 22, "margin": margin}
    alone, both = simulate(bundle, **asked), simulate(bundle, **asked, on=Workers(2))
    assert both.predictions == alone.predictions and len(both.predictions) == 22
    assert both.margin == alone.margin and both.trace.spikes.keys() == alone.trace.spikes.keys()
    for layer, spikes in alone.trace.spikes.items():
        np.testing.assert_array_equal(both.trace.spikes[layer], spikes)


def test_a_worker_with_other_files_ends_the_work(
    instead: Any, workspace: Path, tmp_path: Path
) -> None:
    run = nz.load(workspace / "run")
    bundle = workspace / "run" / "deploy" / "lava"
    with pytest.raises(BadInput, match="or its bundle is another one there"):
        on_workers.opened(run.path.resolve(), None, (bundle, "emulator"), files_of(run, None))
    with pytest.raises(BadInput, match=r"has no '.*under the same path"):
        on_workers.opened(tmp_path / "none", None, None, "")


def test_golden_samples_of_a_lone_bundle_run_here(workspace: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "lava"
    shutil.copytree(workspace / "run" / "deploy" / "lava", copy)
    with pytest.raises(BadInput, match="golden samples run in one process"):
        simulate(open_bundle(copy), backend="emulator", on=Workers(2))
