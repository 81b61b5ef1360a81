"""`neurozsl benchmark` and the arithmetic of its study, on results that are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.synthetic.scenes import SyntheticConfig
from neurozsl.studies import motion
from neurozsl.studies.base import StudySettings, data_folder
from neurozsl.studies.motion import PlannedVariant
from tests.factories import runs as run_folders

Command = Callable[..., Any]
VARIANTS = list(motion.VARIANTS)


def study(**options: Any) -> StudySettings:
    settings = {"scene_biases": (0.0, 0.9), "seeds": 3, "epochs": 1, "test_size": 96}
    return StudySettings(name="motion", **{**settings, **options})


def write_results(planned: list[PlannedVariant], hm: Callable[[PlannedVariant], float]) -> None:
    for one in planned:
        test = {"S": 50.0, "U": 40.0, "HM": hm(one), "ZSL": 45.0 + one.seed}
        run_folders.made_up(one.job.out, test)


def test_an_unknown_study_is_one_error_and_no_folder(neurozsl: Command, tmp_path: Path) -> None:
    out = tmp_path / "study"
    ran = neurozsl("benchmark", "--ablation", "colour", "--out", out)
    assert (ran.code, ran.out) == (2, "")
    [line] = ran.err.splitlines()
    assert "'colour'" in line and "motion" in line
    assert not out.exists()


def test_every_variant_meets_the_same_data_and_seeds(tmp_path: Path) -> None:
    planned = motion.plan(study(), tmp_path)
    assert len(planned) == 2 * 3 * len(VARIANTS)

    def data_and_seed(variant: str) -> list[tuple[str, ...]]:
        begins = [x.job.begin for x in planned if x.variant == variant]
        return [b[b.index("--data") : b.index("--data") + 2] for b in begins]

    for variant in VARIANTS:
        assert data_and_seed(variant) == data_and_seed(VARIANTS[0])
    assert dict(motion.VARIANTS["no motion"]) == {"motion": False}


def test_the_summary_is_mean_extremes_and_spread(tmp_path: Path) -> None:
    jobs = motion.plan(study(), tmp_path)
    write_results(jobs, lambda job: 10.0 + job.seed)
    rows = motion.summarise(study(), jobs)
    assert [(r["scene_bias"], r["variant"]) for r in rows] == [
        (bias, variant) for bias in (0.0, 0.9) for variant in VARIANTS
    ]
    for row in rows:
        assert row["HM"] == {
            "mean": 11.0,
            "min": 10.0,
            "max": 12.0,
            "sd": 1.0,
            "values": [10, 11, 12],
        }
        assert row["ZSL"]["mean"] == 46.0


def test_the_gain_is_paired_by_seed_against_no_motion_at_the_same_bias(tmp_path: Path) -> None:
    jobs = motion.plan(study(), tmp_path)
    gains = {0: 1.0, 1: 2.0, 2: 6.0}  # the mean gain is 3 although the seeds lie 100 apart

    def hm(job: PlannedVariant) -> float:
        base = 100.0 * job.seed + 10 * job.bias
        return base if job.variant == VARIANTS[0] else base + gains[job.seed] * (1 + job.bias)

    write_results(jobs, hm)
    rows = motion.summarise(study(), jobs)
    for row in rows:
        if row["variant"] == VARIANTS[0]:
            assert row["hm_gain"] is None
        else:
            factor = 1 + row["scene_bias"]
            assert row["hm_gain"] == pytest.approx(3.0 * factor)
            assert row["hm_gain_sd"] == pytest.approx(stdev(gains.values()) * factor)


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    one = study(seeds=1, scene_biases=(0.9,))
    jobs = motion.plan(one, tmp_path)
    write_results(jobs, lambda job: 10.0)
    rows = motion.summarise(one, jobs)
    assert all(row["HM"]["sd"] is None and row["hm_gain_sd"] is None for row in rows)


def test_the_study_is_summed_up_from_runs_that_are_there(
    neurozsl: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study that was stopped goes on; here nothing is left to train."""
    # The runs are made up; that others are refused is tests/faults/test_kept.py.
    monkeypatch.setattr("neurozsl.studies.trainings.check_run", lambda path, **asked: None)
    out = tmp_path / "study"
    jobs = motion.plan(study(seeds=2), out)
    write_results(jobs, lambda job: 10.0 + job.seed)
    for bias in (0.0, 0.9):
        for seed in range(2):
            folder = data_folder(out, bias, seed)
            folder.mkdir()
            config = asdict(SyntheticConfig(bias, seed=seed, test_size=96))
            (folder / "dataset.json").write_text(json.dumps({"meta": {"config": config}}))
    options = ("--seeds", 2, "--epochs", 1, "--test-size", 96, "--out", out)
    ran = neurozsl("benchmark", *options, "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    assert len(document["rows"]) == 2 * len(VARIANTS)
    assert json.loads((out / "study.json").read_text()) == document
    shown = neurozsl("benchmark", *options)
    assert shown.code == 0 and shown.out == ""
    assert all(variant in shown.err for variant in VARIANTS)
    refused = neurozsl("benchmark", "--seeds", 3, "--out", out)
    assert refused.code == 2 and "another study" in refused.err


def test_a_study_without_seeds_is_refused() -> None:
    with pytest.raises(BadInput, match="0 seeds"):
        study(seeds=0)
