"""A run whose branch has dead neurons: deployed without them, scored and profiled as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neurozsl.deploy import deploy
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.models.base import needed_branch
from neurozsl.models.motion import SpikingBranch
from neurozsl.report.sections import build
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run


@pytest.fixture(name="run")
def _run(run_dir: Path) -> Run:
    """The tiny run, with neurons 0..9 of `audio.0` without weights and 10..19 read by nobody."""
    run = runs.open_run(run_dir)
    branch = needed_branch(run.model)
    assert isinstance(branch, SpikingBranch)
    layers = branch.named_layers()
    first, second = layers["audio.0"], layers["audio.1"]
    assert first.norm is not None
    with torch.no_grad():
        first.synapse.weight[:10] = 0
        first.norm.norm.bias[:10] = -5.0
        second.synapse.weight[:, 10:20] = 0
    return run


def test_dead_neurons_leave_a_run_and_every_score_stays(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROZSL_LAVA_HOME", str(tmp_path))  # the scores need no oracle
    monkeypatch.delenv("NEUROZSL_LAVA_PYTHON", raising=False)
    options = {"target": "lava", "max_hm_drop": 100, "threshold": "frozen"}
    lean = deploy.deploy(run, out=tmp_path / "lean", **options)  # type: ignore[arg-type]
    whole = deploy.deploy(
        run,
        out=tmp_path / "whole",
        keep_dead_neurons=True,
        **options,  # type: ignore[arg-type]
    )
    assert whole.dead_neurons is None and lean.dead_neurons is not None
    row = lean.dead_neurons.layers[0]
    assert (row.layer, row.neurons) == ("audio.0", 64)
    assert set(range(10)) <= set(row.silent) and set(range(10, 20)) <= set(row.unread)
    for a, b in zip(lean.steps, whole.steps, strict=True):
        assert (a.step, a.HM, a.ZSL) == (b.step, b.HM, b.ZSL)
    before, after = whole.steps[-1].operations, lean.steps[-1].operations
    assert before is not None and after is not None and lean.steps[-1].backend == "emulator"
    keys = ("active_updates", "inactive_updates")
    saved = sum(getattr(before, key) - getattr(after, key) for key in keys)
    assert saved == pytest.approx(lean.dead_neurons.updates)
    assert after.synops < before.synops  # what unread neurons received
    assert lean.steps[0].operations == whole.steps[0].operations  # the trained model has them all
    scored = [deploy.evaluate_run(run, bundle=tmp_path / x) for x in ("lean", "whole")]
    assert scored[0].HM == scored[1].HM


@pytest.mark.slow
def test_a_profile_of_the_bundle_counts_the_neurons_that_are_left(run: Run, tmp_path: Path) -> None:
    options = {"target": "lava", "max_hm_drop": 100, "threshold": "frozen"}
    made = deploy.deploy(run, out=tmp_path / "lava", **options)  # type: ignore[arg-type]
    assert made.dead_neurons is not None and made.mapping is not None
    left = 64 - sum(
        len(x.silent) + len(x.unread) for x in made.dead_neurons.layers if x.layer == "audio.0"
    )
    report = build.build(run, bundle=tmp_path / "lava")
    assert {x.name: x.neurons for x in report.layers}["audio.0"] == left
    opened = open_bundle(tmp_path / "lava")
    assert opened.golden_trace.spikes["audio.0"].shape[2] == left
    assert np.count_nonzero(opened.spec.layers[0].weight) <= left * opened.spec.layers[0].size_in
    assert opened.verify().verdict == made.verdict
