"""Studies: plans, claims, comparisons, and one small study from end to end."""

import json
from pathlib import Path

import numpy as np
import pytest

from neurozsl import studies
from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.studies import base, motion, quantisation, trainings

NAMES = (
    "dynamic float",
    "frozen float",
    "8-bit",
    "8-bit after QAT",
    "4-bit",
    "4-bit after QAT",
    "frozen float, fine-tuned",
    "control, 8-bit",
    "control, 4-bit",
)


def settings(name: str = "quantisation", **changes: object) -> studies.StudySettings:
    values = {"scene_biases": (0.9,), "seeds": 2, "epochs": 1, "test_size": 96}
    return studies.StudySettings(name=name, **{**values, **changes})  # type: ignore[arg-type]


def outcomes(gain: float) -> list[quantisation.Outcome]:
    """Two seeds; fine-tuned conditions are right `gain` more often."""
    label = np.repeat(np.arange(6), 50)
    found = []
    for seed in range(2):
        draw = np.random.default_rng(seed).random(len(label))
        rate = [0.5 + gain * ("QAT" in n or "control" in n or "tuned" in n) for n in NAMES]
        correct = draw < np.array(rate)[:, None]
        found.append(quantisation.Outcome(NAMES, correct, label, np.arange(4), np.arange(4, 6)))
    return found


def test_equal_conditions_differ_by_exactly_nothing() -> None:
    rows = {row["condition"]: row for row in quantisation.compare(outcomes(0.0))}
    assert tuple(rows) == NAMES
    pooled = rows["8-bit"]["against"]["frozen float"]["pooled"]
    assert pooled == {"points": 0.0, "low": 0.0, "high": 0.0}


def test_a_gain_is_found_with_an_interval_that_leaves_zero_out() -> None:
    rows = {row["condition"]: row for row in quantisation.compare(outcomes(0.2))}
    tuned = rows["4-bit after QAT"]["against"]
    assert set(tuned) == {"frozen float", "control, 4-bit"}
    pooled = tuned["frozen float"]["pooled"]
    assert 10 < pooled["low"] < pooled["points"] < pooled["high"] < 30
    assert len(tuned["frozen float"]["seeds"]) == 2
    means = [x["points"] for x in tuned["frozen float"]["seeds"]]
    assert pooled["points"] == pytest.approx(np.mean(means))
    assert tuned["control, 4-bit"]["pooled"]["points"] == 0.0
    width = pooled["high"] - pooled["low"]
    assert all(x["high"] - x["low"] > width for x in tuned["frozen float"]["seeds"])
    assert rows["frozen float"]["against"] == {}


def test_the_motion_study_pairs_every_variant_with_every_seed_and_bias(tmp_path: Path) -> None:
    plan = motion.plan(settings("motion", scene_biases=(0.0, 0.9)), tmp_path)
    assert len(plan) == len(motion.VARIANTS) * 2 * 2
    assert len({x.job.out for x in plan}) == len(plan)
    first = plan[0].job.begin
    assert first[first.index("--set") + 1] == "motion=false"
    assert str(base.data_folder(tmp_path, 0.0, 0)) in first


def test_a_folder_with_another_study_is_refused(tmp_path: Path) -> None:
    base.claim(settings(), tmp_path)
    base.claim(settings(), tmp_path)
    with pytest.raises(BadInput, match="holds another study"):
        base.claim(settings(seeds=3), tmp_path)
    with pytest.raises(BadInput, match="'energy' is not known; choose one of motion, quantisation"):
        studies.find("energy")
    with pytest.raises(BadInput, match="0 seeds"):
        settings(seeds=0)


@pytest.mark.slow
def test_a_small_quantisation_study_from_end_to_end(tmp_path: Path) -> None:
    small = settings(seeds=1)
    result = studies.run(small, out=tmp_path, on=Workers(2))
    assert json.loads((tmp_path / "study.json").read_text()) == json.loads(json.dumps(result))
    assert tuple(row["condition"] for row in result["rows"]) == NAMES
    tested = json.loads((tmp_path / "dynamic-bias0.9-seed0-qat4" / "result.json").read_text())
    hm = {row["condition"]: row["HM"]["mean"] for row in result["rows"]}
    assert hm["4-bit after QAT"] == pytest.approx(tested["test"]["HM"], abs=1e-9)
    before = {step["step"]: step["HM"] for step in tested["before"]}
    assert hm["dynamic float"] == pytest.approx(before["trained"], abs=1e-9)
    assert hm["frozen float"] == pytest.approx(before["frozen"], abs=1e-9)
    assert hm["4-bit"] == pytest.approx(before["fixed-point"], abs=1e-9)
    (table,) = studies.find("quantisation").tables(result)
    assert [row[0] for row in table.rows] == list(NAMES)
    again = studies.run(small, out=tmp_path, on=ALONE)  # everything is there already
    assert again == result


# ---------------------------------------------------------------- trainings in processes


@pytest.mark.parametrize(
    ("stage", "epoch", "share"), [(1, 2, 0.1), (1, 10, 0.5), (2, 4, 0.7), (2, 10, 1.0), (3, 4, 0.4)]
)
def test_a_run_in_work_is_done_by_its_logged_epochs(
    tmp_path: Path, stage: int, epoch: int, share: float
) -> None:
    assert trainings.share_done(tmp_path) == 0.0
    (tmp_path / "run.json").write_text(json.dumps({"train": {"epochs": 10}}))
    assert trainings.share_done(tmp_path) == 0.0
    lines = [{"stage": 1, "epoch": 1}, {"stage": stage, "epoch": epoch}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    assert trainings.share_done(tmp_path) == pytest.approx(share)
    (tmp_path / "result.json").write_text("{}")
    assert trainings.share_done(tmp_path) == 1.0


@pytest.mark.slow
def test_progress_moves_within_a_training_and_ends_at_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.make_data(settings(seeds=1, test_size=48), tmp_path)
    data = base.data_folder(tmp_path, 0.9, 0)
    small = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32}
    jobs = [
        trainings.new_run(
            f"run {s}", data=data, out=tmp_path / str(s), seed=s, epochs=4, options=small
        )
        for s in range(2)
    ]
    monkeypatch.setattr("neurozsl.cluster.client.LOOK_S", 0.02)
    told: list[tuple[float, int, str]] = []
    trainings.train_all(jobs, on=Workers(2), progress=lambda *report: told.append(report))
    done = [x[0] for x in told]
    assert done[0] == 0.0 and done == sorted(done) and told[-1][:2] == (2, 2)
    assert any(x % 1 for x in done) and {x[1] for x in told} == {2}
    assert {"run 0", "run 1"} <= {y for x in told for y in x[2].split(", ")}


def test_after_a_failed_training_no_other_begins(tmp_path: Path) -> None:
    jobs = [
        trainings.new_run(
            str(s), data=tmp_path / "nowhere", out=tmp_path / str(s), seed=s, epochs=1
        )
        for s in range(30)
    ]
    begun: list[str] = []
    real = trainings.train_one

    def counted(here: str, out: str, begin: tuple[str, ...]) -> None:
        begun.append(Path(out).name)
        real(here, out, begin)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(BadInput, match="nowhere"):
        patch.setattr(trainings, "train_one", counted)
        trainings.train_all(jobs, on=ALONE, progress=None)
    assert begun == ["0"]
