"""The Pareto study: its points, its energies recomputed, its refusals, its command."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from neurozsl.cluster.tasks import Workers
from neurozsl.core.errors import BadInput
from neurozsl.data.sets.load import load
from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic
from neurozsl.deploy import deploy
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.report.show.pareto_figure import draw
from neurozsl.runs import run as runs
from neurozsl.studies import pareto, pareto_points, pareto_table
from neurozsl.studies.energy_points import marked
from neurozsl.studies.front import on_front
from tests.cli.conftest import run_command

SMALL = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32, "theta": 0.5}
Result = dict[str, Any]


def settings(**changes: Any) -> pareto.ParetoSettings:
    values: dict[str, Any] = {
        "steps": (5, 10),
        "bits": (4, 8, 9),
        "policies": ("dynamic", "frozen"),
        "targets": ("lava", "speck"),
        "seeds": 1,
        "epochs": 2,
        "test_size": 48,
        "options": SMALL,
    }
    return pareto.ParetoSettings(**{**values, **changes})


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pareto") / "study"


@pytest.fixture(scope="module")
def result(out: Path) -> Result:
    return pareto.run(settings(), out=out, on=Workers(2))


@pytest.mark.slow
def test_every_setting_is_a_point_or_a_refusal_with_its_reason(result: Result, out: Path) -> None:
    def name(row: Result) -> tuple[Any, ...]:
        return (row["steps"], row["seed"], row["target"], row["policy"], row["bits"])

    wanted = {(t, 0, *one) for t in (5, 10) for one in settings().deployments()}
    points = {name(row) for row in result["points"]}
    refused = {name(row): row["reason"] for row in result["refused"]}
    assert points | set(refused) == wanted and not points & set(refused)
    assert points == {(t, 0, "lava", p, b) for t, _, _, p, b in wanted if b != 9}
    assert "weight bits: 9, expected 4..8" in refused[5, 0, "lava", "frozen", 9]
    assert "no dynamic thresholds" in refused[5, 0, "speck", "dynamic", 8]
    assert refused[5, 0, "speck", "frozen", 8] != ""
    assert json.loads((out / "pareto.json").read_text()) == result


@pytest.mark.slow
def test_energies_are_counts_times_published_figures(result: Result) -> None:
    """Davies 2018, term by term, from the counts and the chip's file alone."""
    figures = {name: f.value for name, f in load_chip("loihi1").energy.items()}
    cmos = {name: f.value for name, f in load_chip("cmos45_fp32").energy.items()}
    assert result["points"]
    for point in result["points"]:
        counts = point["counts"]
        assert counts["synops"] == pytest.approx(counts["effective_acs"] + counts["effective_macs"])
        by_hand = (
            counts["synops"] * figures["synop"]
            + counts["active_updates"] * figures["neuron_active"]
            + counts["inactive_updates"] * figures["neuron_inactive"]
            + counts["spikes"] * figures["spike_in_tile"]
        )
        assert point["energy"]["loihi1"]["joules"] == pytest.approx(by_hand, rel=1e-9)
        arithmetic = counts["effective_acs"] * cmos["ac"] + counts["effective_macs"] * cmos["mac"]
        [key] = [k for k in point["energy"] if k.startswith("cmos45_fp32")]
        assert point["energy"][key]["joules"] == pytest.approx(arithmetic, rel=1e-9)
        spread = point["energy"]["loihi1_sanafe"]
        assert spread["joules_low"] < spread["joules"] < spread["joules_high"]
    assert set(result["points"][0]["energy"]) == set(result["tables"])
    assert all(facts["source"] for facts in result["tables"].values())


@pytest.mark.slow
def test_a_point_scores_what_the_exported_bundle_scores(result: Result, out: Path) -> None:
    run = runs.open_run(out / "run-T5-seed0")
    for policy in ("dynamic", "frozen"):
        manifest = deploy.deploy(
            run,
            target="lava",
            out=out / f"bundle-{policy}",
            threshold=policy,
            bits=4,
            samples=4,
            max_hm_drop=100,
        )
        [point] = [
            p for p in result["points"] if (p["steps"], p["policy"], p["bits"]) == (5, policy, 4)
        ]
        last = manifest.steps[-1]
        assert {k: point[k] for k in ("S", "U", "HM", "ZSL")} == pytest.approx(
            {"S": last.S, "U": last.U, "HM": last.HM, "ZSL": last.ZSL}
        )


@pytest.mark.slow
def test_the_data_of_each_t_are_the_same_clips(out: Path, result: Result) -> None:
    five, ten = load(out / "data-T5-seed0"), load(out / "data-T10-seed0")
    assert five.splits["train"].audio.shape[1] == 5 and ten.splits["train"].audio.shape[1] == 10
    assert five.splits["train"].label.tolist() == ten.splits["train"].label.tolist()
    assert result["data"]["synthetic"] is True and result["test_samples"] == 48


@pytest.mark.slow
def test_fronts_are_marked_per_cost_table(result: Result) -> None:
    for key in result["tables"]:
        rows = result["settings"]
        marks = [row["on_front"][key] for row in rows]
        assert marks == on_front([(r["energy"][key]["mean"], r["HM"]["mean"]) for r in rows])
        assert any(marks)


@pytest.mark.slow
def test_finished_runs_are_kept_and_the_same_seed_gives_the_same_document(
    result: Result, out: Path
) -> None:
    weights = out / "run-T10-seed0" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    told: list[tuple[int, int, str]] = []
    again = pareto.run(settings(), out=out, progress=lambda *x: told.append(x))
    assert again == result and weights.stat().st_mtime_ns == before
    assert told[-1][0] == told[-1][1] == 2 * 12
    fewer = pareto.run(settings(steps=(10,), bits=(6,), targets=("lava",)), out=out)
    assert {(p["steps"], p["bits"]) for p in fewer["points"]} == {(10, 6)}
    assert weights.stat().st_mtime_ns == before
    (out / "pareto.json").write_text(json.dumps(result))
    with pytest.raises(BadInput, match="holds another study"):
        pareto.run(settings(epochs=3), out=out)


@pytest.mark.slow
def test_means_over_seeds_have_their_extremes(result: Result) -> None:
    first = result["points"][0]
    second = {**first, "seed": 1, "HM": first["HM"] + 4.0}
    [row] = pareto_points.over_seeds([first, second])
    assert (row["HM"]["min"], row["HM"]["max"]) == (first["HM"], first["HM"] + 4.0)
    assert row["HM"]["mean"] == pytest.approx(first["HM"] + 2.0) and row["seeds"] == 2
    joules = first["energy"]["loihi1"]["joules"]
    assert row["energy"]["loihi1"]["mean"] == pytest.approx(mean([joules, joules]))


@pytest.mark.slow
def test_points_of_one_seed_are_judged_among_themselves(result: Result) -> None:
    points = [{**p, "seed": seed} for p in result["points"] for seed in (0, 1)]
    better = [{**p, "HM": p["HM"] + 10 * p["seed"]} for p in points]
    found = marked(better, by_seed=True)
    for seed in (0, 1):
        own = [p for p in found if p["seed"] == seed]
        assert any(p["on_front"]["loihi1"] for p in own)


@pytest.mark.slow
def test_the_figure_and_the_table_hold_every_setting(result: Result) -> None:
    key = pareto_table.main_table(result)
    assert key == "loihi1"
    plot = draw(result, key)
    assert ElementTree.fromstring(plot.svg_file).get("role") == "img"
    assert plot.png().startswith(b"\x89PNG") and plot.svg == draw(result, key).svg
    table = pareto_table.table(result)
    assert len(table.rows) == len(result["settings"])
    assert plot.description.count("HM ") == len(result["settings"])
    assert "48 test samples" in table.title and "synthetic" in table.title
    stars = sum(row[-1] == "*" for row in table.rows)
    assert stars == sum(row["on_front"][key] for row in result["settings"]) > 0
    notes = pareto_table.footnotes(result)
    assert any("one more or less" in note for note in notes)
    assert any("those of Loihi 2, which publishes no energy per operation" in x for x in notes)
    assert any("same clips, described in T steps" in note for note in notes)
    assert any(note.startswith("refused: ") and "9 bits" in note for note in notes)


# ---------------------------------------------------------------- data of the user


def test_steps_of_given_data_are_joined_or_refused(tmp_path: Path) -> None:
    config = SyntheticConfig(
        train_per_class=4, val_seen_per_class=2, val_unseen_per_class=4, test_size=48
    )
    write_synthetic(config, tmp_path / "data")
    asked = settings(
        data=tmp_path / "data",
        steps=(4, 5),
        bits=(8,),
        policies=("table",),
        targets=("lava",),
        epochs=1,
    )
    found = pareto.run(asked, out=tmp_path / "out")
    assert [p["steps"] for p in found["points"]] == [5]
    assert load(tmp_path / "out" / "data-T5").splits["train"].audio.shape[1] == 5
    [refused] = found["refused"]
    assert refused["steps"] == 4 and "10 steps cannot become 4" in refused["reason"]
    assert "neighbours averaged" in found["steps_from"]
    with pytest.raises(BadInput, match="no T can be made"):
        pareto.run(settings(data=tmp_path / "data", steps=(3,), epochs=1), out=tmp_path / "none")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--model", "mdft"), "--model: only with --pareto"),
        (("--bits", "4"), "--bits: only with --pareto"),
        (("--pareto", "--models", "mdft"), "--models: only with --data DIR, and --pareto"),
        (("--pareto", "--study", "motion"), "--study: only with a study"),
        (("--pareto", "--data", "d", "--test-size", 96), "--test-size: belongs to the synthetic"),
        (("--pareto", "--device", "cpu"), "--device: only with --data DIR"),
        (("--pareto", "--bits", "four"), "--bits 'four'"),
        (("--pareto", "--bits", "4,4"), "name each once"),
        (("--pareto", "--policies", "open"), "policy open"),
        (("--pareto", "--targets", "nir"), "'nir' has no integers"),
        (("--pareto", "--model", "nope"), "--model 'nope'"),
        (("--pareto", "--model", "avca"), "no spiking branch"),
        (("--pareto", "--set", "stft.steps=4"), "the model is mdft"),
        (("--pareto", "--set", "mdft.colour=4"), "unknown option colour"),
        (("--pareto", "--seeds", 0), "0 seeds"),
        (("--pareto", "--data", "nowhere"), "no such data set folder"),
        (("--pareto", "--scene-bias", 0, "--scene-bias", 0.9), "one --scene-bias"),
    ],
)
def test_a_wrong_option_is_one_error(tmp_path: Path, given: tuple[Any, ...], message: str) -> None:
    ran = run_command("benchmark", *given, "--out", tmp_path / "out")
    assert ran.code == 2 and message in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_prints_the_document_and_writes_the_figure(result: Result, out: Path) -> None:
    options: tuple[str, ...] = (
        "--steps",
        "5,10",
        "--bits",
        "4,8,9",
        "--policies",
        "dynamic,frozen",
    )
    options += ("--targets", "lava,speck", "--seeds", "1", "--epochs", "2", "--test-size", "48")
    for key, value in SMALL.items():
        options += ("--set", f"mdft.{key}={json.dumps(value)}")
    ran = run_command("benchmark", "--pareto", *options, "--out", out, "--json")
    assert ran.code == 0, ran.err
    assert ran.document == result
    assert (out / "pareto.svg").read_text().startswith("<?xml")
    shown = run_command("benchmark", "--pareto", *options, "--out", out, "--progress", "json")
    events = [json.loads(line) for line in shown.err.splitlines()]
    [table] = [x for x in events if x["event"] == "table"]
    assert len(table["rows"]) == len(result["settings"])
    bars = [x for x in events if x["event"] == "progress"]
    assert bars[-1]["done"] == bars[-1]["total"] == 24
