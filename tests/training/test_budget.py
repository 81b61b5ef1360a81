"""Budgets: what is counted is what a profile counts, and a run ends where it should."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.sets.load import load
from neurozsl.deploy.branch import branch_spec
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.lower.lower import lower
from neurozsl.models.base import own_trace
from neurozsl.report.sections.build import build
from neurozsl.runs import run as runs
from neurozsl.scoring import road
from neurozsl.training import penalties, sparsity
from neurozsl.training.budget import CostMeter, density_for
from neurozsl.training.economy import Budget, Sparsity
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.train import make_model

SMALL: dict[str, Any] = {"motion_widths": [32, 16, 16], "embed": 16, "hidden": 32}


@pytest.mark.parametrize("name", ["mdft", "stft"])
def test_operations_in_training_are_those_that_hardware_counts(name: str, data_dir: Path) -> None:
    data = load(data_dir)
    model = make_model(name, data, SMALL if name == "mdft" else {})
    split = data.splits["train"]
    branch = sparsity.prunable(model)
    sparsity.apply(branch, Sparsity(0.3), 0.3)
    with road.at_rest(model):
        made = road.prepare(model, split, np.arange(16)).made
        trace = own_trace(model, made)
        assert made.chip_input is not None and trace is not None
        found = penalties.synops(branch, made.chip_input, trace)
    network = lower(to_nir(replace(branch.spec(), policy="fixed")))
    wanted = count(network, made.chip_input.to_numpy(), trace.to_numpy())
    assert {x.name: x.synops for x in wanted.layers} == pytest.approx(
        {name: float(each.mean()) for name, each in found.items()}, rel=1e-12
    )
    assert wanted.total("synops") > 0
    budget = CostMeter(Budget(synops=1.0), replace_rows(split, 16))
    assert budget.cost(model) == pytest.approx(wanted.total("synops"), rel=1e-12)


def replace_rows(split: Any, count_: int) -> Any:
    """The first samples of a split, as a split."""
    fields = {
        key: value[:count_]
        for key, value in vars(split).items()
        if isinstance(value, np.ndarray) and len(value) == len(split)
    }
    return replace(split, **fields)


@pytest.mark.parametrize("slope", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("start", [0.001, 0.05, 1.0])
def test_the_density_of_a_cost_is_found_from_anywhere(slope: float, start: float) -> None:
    density, cost = density_for(500.0, lambda d: 100 + 8000 * d**slope, 1e-5, start)
    assert cost == pytest.approx(500.0, rel=0.005)
    assert density == pytest.approx(0.05 ** (1 / slope), rel=0.01)


def test_a_cost_that_no_density_has_gives_the_nearest_one() -> None:
    density, cost = density_for(50.0, lambda d: 100 + 8000 * d, 1e-5, 0.5)
    assert density == pytest.approx(1e-5, rel=0.5)
    assert cost == pytest.approx(100, rel=0.01)
    assert density_for(1e6, lambda d: 100 + 8000 * d, 1e-5, 0.5) == (1.0, 8100.0)


def test_where_the_cost_grows_in_jumps_a_budget_is_not_exceeded() -> None:
    def jumps(density: float) -> float:  # 16 neurons of 100 operations each
        return 100.0 * max(1, round(16 * density))

    for start in (0.01, 0.3, 1.0):
        assert density_for(390.0, jumps, 1e-5, start)[1] == 400  # within the tolerance
        assert density_for(360.0, jumps, 1e-5, start)[1] == 300
        assert density_for(60.0, jumps, 1e-5, start)[1] == 100  # the smallest there is


@pytest.mark.parametrize(
    "budget", [Budget(synops=2500.0), Budget(joules=2.5e-7, device="loihi1")], ids=["synops", "J"]
)
def test_a_run_with_a_budget_costs_that_where_it_is_profiled(
    budget: Budget, tmp_path: Path, data_dir: Path
) -> None:
    path = tmp_path / "run"
    train = TrainConfig(epochs=3, budget=budget)
    runs.create(path, data_dir=data_dir, model="mdft", options=SMALL, train=train)
    run = runs.train(path)
    meter = CostMeter(budget, run.data.stage(2).train)
    assert meter.cost(run.model) == pytest.approx(budget.limit, rel=0.01)
    report = build(run)
    found = sum(x.synops for x in report.layers)
    if budget.joules is not None:
        found = next(x.joules for x in report.energy if x.key == "loihi1")
    assert found == pytest.approx(budget.limit, rel=0.05)
    lines = [json.loads(x) for x in (path / "log.jsonl").read_text().splitlines()]
    assert all(line["cost"] > 0 and 0 < line["aimed_density"] <= 1 for line in lines)
    assert branch_spec(run).layers  # it can be described as deployed


def test_a_budget_that_nothing_meets_is_refused_with_the_smallest_cost(
    tmp_path: Path, data_dir: Path
) -> None:
    path = tmp_path / "run"
    train = TrainConfig(epochs=2, budget=Budget(synops=0.01))
    runs.create(path, data_dir=data_dir, model="mdft", options=SMALL, train=train)
    with pytest.raises(BadInput, match=r"budget of 0\.01 SynOps: out of reach.*6 weights left"):
        runs.train(path)
    assert not (path / "model.safetensors").exists()


def test_a_budget_that_is_not_used_up_is_told(tmp_path: Path, data_dir: Path) -> None:
    path = tmp_path / "run"
    train = TrainConfig(epochs=1, budget=Budget(synops=1e9))
    runs.create(path, data_dir=data_dir, model="mdft", options=SMALL, train=train)
    run = runs.train(path)
    assert sparsity.density_of(sparsity.prunable(run.model)) == 1
    said = run.result["warnings"][-1]
    assert "budget of 1,000,000,000 SynOps" in said and "no weight had to be pruned" in said


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({}, "SynOps or joules"),
        ({"synops": 1.0, "joules": 1.0, "device": "loihi1"}, "one of the two"),
        ({"synops": -3.0}, "above 0"),
        ({"synops": float("nan")}, "above 0"),
        ({"joules": 1e-6}, "--device loihi1"),
        ({"joules": 1e-6, "device": "loihi9"}, "loihi9"),
    ],
)
def test_a_budget_that_says_nothing_is_refused(budget: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Budget(**budget)


def test_a_model_that_never_spikes_has_no_budget(data_dir: Path) -> None:
    data = load(data_dir)
    model = models.build("avca", audio_dim=8, video_dim=8)
    with pytest.raises(BadInput, match="no spiking branch"):
        CostMeter(Budget(synops=1.0), data.splits["train"]).cost(model)
