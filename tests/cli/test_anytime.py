"""`--margin` on the command line, and the section of the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import neurozsl as nz
from neurozsl.report.schema import read_report
from tests.cli.conftest import Command


@pytest.mark.slow
def test_evaluate_shows_several_margins_and_what_the_chosen_one_saves(
    neurozsl: Command, run_dir: Path, lava_bundle: Path
) -> None:
    where = ("evaluate", run_dir, "--bundle", lava_bundle)
    ran = neurozsl(*where, "--margin", "0,0.05", "--margin", "auto")
    assert ran.code == 0, ran.err
    assert "1.00 of 10" in ran.err and "on validation" in ran.err
    assert "of HM on validation data" in ran.err.replace("\n", " ")
    assert "once per step" in ran.err.replace("\n", " ")
    found = neurozsl(*where, "--margin", "0.05,inf,auto", "--json").document
    some, never, auto = found["anytime"]
    assert (some["threshold"], never["threshold"]) == (0.05, None)
    assert never["HM"] == found["HM"] and never["saved"] == 0 and never["mean_steps"] == 10
    assert some["saved"] == pytest.approx(1 - some["synops"] / never["synops"])
    assert some["loss"] == pytest.approx(found["HM"] - some["HM"])
    assert sum(some["stopped"]) == found["samples"] and some["validated"] is None
    assert auto["validated"]["full_HM"] - auto["validated"]["HM"] <= 0.5
    assert "anytime" not in neurozsl("evaluate", run_dir, "--json").document


@pytest.mark.parametrize("word", ["soon", "-0.1", "nan"])
@pytest.mark.parametrize("verb", ["evaluate", "simulate", "profile"])
def test_a_margin_that_is_none_is_refused(
    neurozsl: Command, run_dir: Path, lava_bundle: Path, verb: str, word: str
) -> None:
    ran = neurozsl(verb, lava_bundle if verb == "simulate" else run_dir, f"--margin={word}")
    assert ran.code == 2 and f"--margin '{word}'" in ran.err


def test_margins_belong_to_runs_and_bundles_alone(neurozsl: Command, network: Path) -> None:
    ran = neurozsl("simulate", network, "--poisson", "0.1", "--margin", "0.1")
    assert ran.code == 2 and "--margin: only with a run's bundle" in ran.err.replace("\n", " ")
    ran = neurozsl("profile", network, "--poisson", "0.1", "--margin", "0.1")
    assert ran.code == 2 and "--margin: only with a run or a run's bundle" in ran.err.replace(
        "\n", " "
    )


def test_simulate_prints_the_steps_that_each_sample_took(
    neurozsl: Command, lava_bundle: Path
) -> None:
    ran = neurozsl("simulate", lava_bundle, "--margin", "0.03", "--limit", "6")
    assert ran.code == 0, ran.err
    assert ran.err.count("of 10 steps)") == 6 and "stopped at margin 0.03" in ran.err
    found = neurozsl("simulate", lava_bundle, "--margin", "0", "--limit", "4", "--json").document
    assert [p["steps"] for p in found["predictions"]] == [1] * 4 and found["margin"] == 0


@pytest.mark.slow
def test_a_profile_is_as_used_on_page_card_terminal_and_in_json(
    neurozsl: Command, run_dir: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    page = tmp_path / "r.html"
    ran = neurozsl(
        "profile", run_dir, "--bundle", lava_bundle, "--margin", "0.03",
        "--step-time", "0.001", "--report", page,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "--margin 0.03" in ran.err and "Stopped at a margin" in ran.err
    report = read_report(page.with_suffix(".json"))
    assert "--margin 0.03" in report.provenance.command
    [score] = nz.evaluate(run_dir, lava_bundle, margin=0.03).anytime
    assert report.kind == "run" and report.accuracy.HM == pytest.approx(score.HM)
    section = json.loads(page.with_suffix(".json").read_text())["sections"]["anytime"]
    assert section["mean_steps"] == pytest.approx(score.mean_steps) and section["threshold"] == 0.03
    assert sum(x.synops for x in report.layers) == pytest.approx(score.synops)
    assert sum(x.neuron_updates for x in report.layers) == pytest.approx(score.neuron_updates)
    loihi = next(row for row in report.energy if row.key == "loihi1")
    assert loihi.latency_s == pytest.approx(score.mean_steps * 1e-3)
    assert loihi.static_joules is not None
    whole = nz.profile(run_dir, lava_bundle, step_s=1e-3)
    full = next(row for row in whole.energy if row.key == "loihi1")
    assert full.static_joules is not None and "anytime" not in whole.sections
    share = score.mean_steps / 10
    assert loihi.static_joules == pytest.approx(full.static_joules * share)
    assert loihi.joules < full.joules
    # One dense pass costs what it costs, however many steps ran.
    assert report.baseline is not None and whole.baseline is not None
    assert report.baseline.macs == pytest.approx(whole.baseline.macs)
    text = page.read_text()
    assert "Stopped early" in text and "Steps after which samples stopped" in text
    assert 'data-key="sections.anytime.mean_steps"' in text
    card = neurozsl(
        "profile",
        run_dir,
        "--bundle",
        lava_bundle,
        "--margin",
        "0.03",
        "--report",
        tmp_path / "r.md",
    )
    assert card.code == 0 and "Stopped early" in (tmp_path / "r.md").read_text()


def test_several_verbs_take_margins_in_python(run_dir: Path, lava_bundle: Path) -> None:
    found = nz.evaluate(run_dir, lava_bundle, margin=[0.0, 0.05])
    first, second = (x.mean_steps for x in found.anytime)
    assert first == 1 < second
    assert nz.simulate(lava_bundle, limit=2, margin=0.0).predictions[0].steps == 1
    report = nz.profile(run_dir, lava_bundle, margin=0.0)
    assert report.provenance.command.endswith("--margin 0.0")
