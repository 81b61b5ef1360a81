"""The frontier study: its runs, their operations recounted, their prices, its command."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.cluster.tasks import Workers
from neurozsl.core.errors import BadInput
from neurozsl.data.encoders.features import FEATURE_DIM
from neurozsl.data.sets.load import load
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.models.base import needed_branch, own_trace
from neurozsl.models.motion import SpikingBranch
from neurozsl.report import read_report
from neurozsl.report.schema.frontier import OnFrontier
from neurozsl.report.sections.frontier import neighbours
from neurozsl.report.show.frontier_figure import draw
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.scoring import road
from neurozsl.studies import frontier, frontier_table
from neurozsl.studies.dense_work import together, work_of
from neurozsl.studies.frontier_settings import FrontierSettings, Setting
from tests.cli.conftest import run_command

SMALL = {"embed": 16, "hidden": 32, "theta": 0.5}
FAMILIES = ("snn", "ann-steps", "ann-pooled")
Result = dict[str, Any]


def settings(data: Path, **changes: Any) -> FrontierSettings:
    values: dict[str, Any] = {
        "data": data,
        "widths": ((16, 8),),
        "densities": (0.2,),
        "seeds": 1,
        "epochs": 1,
        "options": SMALL,
    }
    return FrontierSettings(**{**values, **changes})


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frontier") / "study"


@pytest.fixture(scope="module")
def result(out: Path, data_dir: Path) -> Result:
    return frontier.run(settings(data_dir), out=out, on=Workers(2))


def opened(out: Path, family: str) -> Run:
    return runs.open_run(out / f"{family}-16-8-d0.2-T10-seed0")


def point(result: Result, family: str) -> Result:
    [found] = [x for x in result["points"] if x["family"] == family]
    return dict(found)


@pytest.mark.slow
def test_every_family_is_trained_by_one_recipe(result: Result, out: Path) -> None:
    found = {(x["family"], x["density"], x["seed"]) for x in result["points"]}
    assert found == {(family, 0.2, 0) for family in FAMILIES}
    assert json.loads((out / "frontier.json").read_text()) == result
    recipes = []
    for x in result["points"]:
        run = runs.open_run(out / x["run"])
        recipe = {k: v for k, v in vars(run.settings.train).items() if k != "sparsity"}
        options = {
            k: v for k, v in run.settings.options.items() if k not in ("neuron", "pool_time")
        }
        recipes.append((recipe, options, run.settings.data))
    assert all(x == recipes[0] for x in recipes)


@pytest.mark.slow
def test_pruned_runs_keep_their_share_of_the_weights(out: Path, result: Result) -> None:
    for family in FAMILIES:
        branch = needed_branch(opened(out, family).model)
        assert isinstance(branch, SpikingBranch)
        for layer in branch.named_layers().values():
            assert int(torch.count_nonzero(layer.weight)) == round(0.2 * layer.connections)


@pytest.mark.parametrize("family", ["ann-steps", "ann-pooled"])
@pytest.mark.slow
def test_multiply_accumulates_are_those_of_a_loop(out: Path, result: Result, family: str) -> None:
    """Every sample, pass, neuron and input, one by one, on values that the loop computes itself."""
    run = opened(out, family)
    branch = needed_branch(run.model)
    assert isinstance(branch, SpikingBranch)
    with road.at_rest(run.model):
        parts = road.prepare(run.model, run.data.stage(2).seen, np.arange(2))
        trace = own_trace(run.model, parts.made)
        given = parts.made.chip_input
        assert given is not None and trace is not None
        found = work_of(branch, given, parts.made.mask, trace)
        macs, nonzero, adds, events = 0, 0, 0, 0
        for name, code in given.code.items():
            values = torch.as_tensor(given.codes[name])
            if family == "ann-pooled":
                adds += values.numel()
                events += sum(int(x != 0) for x in values.flatten().tolist())
                values = values.mean(1, keepdim=True)
            x = values * code.scale
            for layer in (branch.named_layers()[f"{name}.{k}"] for k in (0, 1)):
                weight = layer.weight.tolist()
                for row in x.flatten(0, 1).tolist():
                    for neuron in weight:
                        for w, v in zip(neuron, row, strict=True):
                            macs += 1
                            nonzero += w != 0 and v != 0
                assert layer.norm is not None
                bias = layer.synapse.get_parameter("bias")
                x = torch.relu(layer.norm(x @ layer.weight.T + bias))
    assert sum(found.macs.values()) == macs and sum(found.nonzero.values()) == nonzero
    assert (found.adds, found.nonzero_adds) == (adds, events)
    assert 0 < nonzero < macs
    twice = together([found, found])
    assert twice.samples == 4 and twice.macs_each == found.macs_each == macs / 2


@pytest.mark.slow
def test_one_pass_costs_a_tenth_of_ten(result: Result) -> None:
    steps, pooled = (point(result, x)["operations"] for x in ("ann-steps", "ann-pooled"))
    weights = 2 * (FEATURE_DIM * 16 + 16 * 8)
    assert steps["macs"] == 10 * weights and pooled["macs"] == weights
    assert steps["adds"] == 0 and pooled["adds"] == 10 * 2 * FEATURE_DIM
    assert 0 < pooled["nonzero_macs"] <= 0.2 * weights


@pytest.mark.slow
def test_energies_are_operations_times_published_figures(result: Result) -> None:
    figures = {name: x.value for name, x in load_chip("cmos45_fp32").energy.items()}
    for family in ("ann-steps", "ann-pooled"):
        found = point(result, family)
        done, energy = found["operations"], found["energy"]
        dense = done["macs"] * figures["mac"] + done["adds"] * figures["ac"]
        sparse = done["nonzero_macs"] * figures["mac"] + done["nonzero_adds"] * figures["ac"]
        assert energy["cmos45_fp32/dense_pass"]["joules"] == pytest.approx(dense)
        assert energy["cmos45_fp32/dense_pass+zeros"]["joules"] == pytest.approx(sparse)
    spiking = point(result, "snn")
    adds = spiking["operations"]["effective_acs"] * figures["ac"]
    macs = spiking["operations"]["effective_macs"] * figures["mac"]
    assert spiking["energy"]["cmos45_fp32/event_driven"]["joules"] == pytest.approx(adds + macs)
    zeros = [key for key in result["tables"] if key.endswith("+zeros")]
    assert zeros and all(result["tables"][key]["lower_bound"] for key in zeros)
    assert not any(key.startswith("gpu") for key in zeros)


@pytest.mark.slow
def test_the_host_does_the_same_in_every_family(result: Result) -> None:
    assert list(result["host"]) == list(FAMILIES)
    assert len({x["flops"] for x in result["host"].values()}) == 1


@pytest.mark.slow
def test_every_spiking_table_has_a_sentence_and_static_energy_one_of_its_own(
    result: Result,
) -> None:
    told = result["statements"]
    spiking = {k for k, x in result["tables"].items() if x["method"] != "dense_pass"}
    assert {x["spiking"] for x in told} == spiking
    assert all(x["sentence"].endswith("(one seed, so no interval)") for x in told)
    static = [x for x in told if x["with_static"]]
    assert static and {x["spiking"] for x in static} == {"loihi1"}
    assert all("with static energy" in x["sentence"] for x in static)
    # 104 mW for ten steps of a millisecond are 1.04 mJ: no spiking network here is cheaper.
    dense = [x for x in static if x["dense"] == "cmos45_fp32/dense_pass"]
    assert all(x["winner"] != "first" for x in dense)
    shown = frontier_table.sentences(result)
    assert set(shown) <= {x["sentence"] for x in told} and len(shown) >= len(spiking)


@pytest.mark.slow
def test_finished_runs_are_kept_and_more_may_be_asked_for(
    result: Result, out: Path, data_dir: Path
) -> None:
    weights = out / "snn-16-8-d0.2-T10-seed0" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    more = frontier.run(settings(data_dir, families=("snn",), densities=(1.0, 0.2)), out=out)
    assert [x["density"] for x in more["points"]] == [1.0, 0.2]
    branch = needed_branch(runs.open_run(out / "snn-16-8-d1-T10-seed0").model)
    assert isinstance(branch, SpikingBranch)
    assert all(torch.all(layer.weight != 0) for layer in branch.named_layers().values())
    again = frontier.run(settings(data_dir), out=out)
    assert again == result and weights.stat().st_mtime_ns == before
    with pytest.raises(BadInput, match="holds another study"):
        frontier.run(settings(data_dir, epochs=2), out=out)


@pytest.mark.slow
def test_integers_can_be_counted_instead(result: Result, out: Path, data_dir: Path) -> None:
    asked = settings(data_dir, families=("snn",), densities=(0.2,), deployed=True)
    deployed = frontier.run(asked, out=out)
    [found] = deployed["points"]
    spikes = found["operations"]["synops"]
    assert spikes == pytest.approx(point(result, "snn")["operations"]["synops"], rel=0.2)
    assert deployed["statements"] == [] and deployed["main"] == []
    draw(deployed, deployed["main"])
    (out / "frontier.json").write_text(json.dumps(result))


@pytest.mark.slow
def test_the_figure_draws_every_setting_in_every_panel(result: Result) -> None:
    plot = draw(result, result["main"])
    ElementTree.fromstring(plot.svg_file)
    assert len(plot.figure.axes) == len(result["main"]) == 3
    assert all(x["name"] in plot.description for x in result["settings"])


@pytest.mark.slow
def test_a_run_of_the_study_finds_its_place_by_itself(
    result: Result, out: Path, tmp_path: Path
) -> None:
    run, page = out / "ann-pooled-16-8-d0.2-T10-seed0", tmp_path / "r.html"
    assert run_command("profile", run, "--report", page).code == 0
    found = read_report(tmp_path / "r.json").own("frontier", OnFrontier)
    assert found is not None
    own = point(result, "ann-pooled")
    assert (found.points[0].hm, found.points[0].joules) == (
        own["HM"],
        own["energy"]["cmos45_fp32/dense_pass"]["joules"],
    )
    assert "On the frontier" in page.read_text() and "one seed, so no interval" in page.read_text()


@pytest.mark.slow
def test_another_run_is_placed_where_it_is_asked_for(
    result: Result, out: Path, run_dir: Path
) -> None:
    ran = run_command("profile", run_dir, "--frontier", out, "--json")
    placed = ran.document["sections"]["frontier"]
    assert placed["points"][0]["hm"] == ran.document["accuracy"]["HM"]
    assert any("not one of the study" in note for note in placed["notes"])
    wrong = run_command("profile", run_dir, "--frontier", run_dir)
    assert wrong.code != 0 and "frontier.json" in wrong.err


def test_neighbours_are_the_best_cheaper_and_the_cheapest_better_setting() -> None:
    def row(name: str, hm: float, joules: float) -> Result:
        return {
            "name": name,
            "HM": {"mean": hm, "min": hm, "max": hm},
            "energy": {"x": {"mean": joules}},
        }

    rows = [row("a", 80, 1.0), row("b", 85, 1.5), row("c", 92, 4.0), row("d", 95, 9.0)]
    found = {x.place: x.name for x in neighbours(rows, "x", hm=90.0, joules=2.0)}
    assert found == {"cheaper": "b", "better": "c"}
    assert list(neighbours(rows, "x", hm=96.0, joules=0.5)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"families": ("snn", "cnn")}, "family cnn; choose from snn"),
        ({"densities": (0.0,)}, "a density of 0"),
        ({"densities": (0.1, 0.1)}, "name each once"),
        ({"widths": ()}, "widths none"),
        ({"seeds": 0}, "0 seeds"),
        ({"sparsity_scope": "all"}, "scope='all'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    changes: Result, message: str, data_dir: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        settings(data_dir, **changes)


def test_what_cannot_be_built_is_refused_before_training(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not spike with these options"):
        frontier.run(settings(data_dir, options={"neuron": "mlp"}), out=tmp_path / "a")
    with pytest.raises(BadInput, match="unknown option motion_widths"):
        frontier.run(settings(data_dir, model="stft", options={}), out=tmp_path / "b")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_names_of_runs_are_stable() -> None:
    assert Setting("snn", (256, 128, 64), 0.05, 10).name == "snn-256-128-64-d0.05-T10"


@pytest.mark.slow
def test_the_command_takes_options_of_one_family(result: Result, out: Path, data_dir: Path) -> None:
    options = [x for k, v in SMALL.items() for x in ("--set", f"mdft.{k}={v}")]
    ran = run_command(
        "benchmark", "--frontier", "--data", data_dir, "--widths", "16-8", "--densities", "0.2",
        "--seeds", 1, "--epochs", 1, "--out", out, *options,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "ann-pooled-16-8-d0.2-T10" in ran.out + ran.err
    assert {"frontier.svg", "frontier.png", "frontier.json"} <= {x.name for x in out.iterdir()}
    wrong = run_command("benchmark", "--frontier", "--set", "cnn.theta=1")
    assert wrong.code != 0 and "the families are snn" in wrong.err
    both = run_command("benchmark", "--frontier", "--pareto")
    assert both.code != 0 and "two studies" in both.err


@pytest.mark.slow
def test_the_data_are_read_in_their_own_steps(result: Result, data_dir: Path) -> None:
    assert {x["steps"] for x in result["points"]} == {10}
    assert load(data_dir).splits["train"].audio.shape[1] == 10
