"""Every command on a small trained run: its JSON, its tables, and the next command to paste."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurozsl.export.targets import FEATURES, TARGETS

LAYERS = ["audio.0", "audio.1", "audio.2", "video.0", "video.1", "video.2"]
Command = Callable[..., Any]

# ---------------------------------------------------------------- targets and inspect


def test_targets_as_json_are_the_registry(neurozsl: Command) -> None:
    rows = neurozsl("targets", "--json").document
    assert [row["target"] for row in rows] == list(TARGETS)
    assert all(set(FEATURES.values()) < set(row) for row in rows)


def test_targets_in_markdown_hold_every_target_and_feature(neurozsl: Command) -> None:
    ran = neurozsl("targets", "--markdown")
    assert ran.code == 0 and ran.err == ""
    head, rule, *rows = ran.out.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")][1:] == list(TARGETS)
    assert set(rule) == set("|- ")
    named = [row.strip("|").split("|")[0].strip() for row in rows]
    assert named == ["chip", "fidelity", *FEATURES.values()]
    assert max(map(len, ran.out.splitlines())) < 100  # readable as text, too


def test_targets_for_people_go_to_stderr(neurozsl: Command) -> None:
    ran = neurozsl("targets")
    assert ran.code == 0 and ran.out == ""
    assert all(name in ran.err for name in TARGETS)
    assert "neurozsl export RUN --target" in ran.err


def test_inspect_lists_the_nodes_of_a_nir_file(neurozsl: Command, lava_bundle: Path) -> None:
    path = lava_bundle / "motion.nir"
    document = neurozsl("inspect", path, "--json").document
    nodes = {node["name"]: node for node in document["nodes"]}
    assert {"audio", "video", "audio.0.w", "audio.0", "out.video.2"} <= set(nodes)
    assert nodes["audio.0.w"]["type"] == "Affine"
    assert nodes["audio.0.w"]["shapes"]["weight"] == [64, 256]
    assert nodes["audio.0"]["feeds"] == ["audio.1.w"]
    assert json.loads(document["metadata"]["neurozsl"])["steps"] == 10
    shown = neurozsl("inspect", path)
    assert shown.out == "" and "audio.0.w" in shown.err and "LIF" in shown.err


# ---------------------------------------------------------------- evaluate


def check_scores(found: dict[str, Any]) -> None:
    assert {"S", "U", "HM", "ZSL", "beta", "chance"} <= set(found)
    assert all(0 <= found[key] <= 100 for key in ("S", "U", "HM", "ZSL", "chance"))
    assert found["ZSL"] >= found["U"]
    total = found["S"] + found["U"]
    assert found["HM"] == pytest.approx(2 * found["S"] * found["U"] / total if total else 0)
    assert found["samples"] == 96


def test_evaluate_prints_pure_json_equal_to_the_result_of_training(
    neurozsl: Command, run_dir: Path
) -> None:
    found = neurozsl("evaluate", run_dir, "--json").document
    check_scores(found)
    stored = json.loads((run_dir / "result.json").read_text())["test"]
    assert {key: found[key] for key in stored} == pytest.approx(stored)
    assert (found["motion_backend"], found["host_device"]) == ("norse", "cpu")


def test_evaluate_with_a_bundle_scores_the_deployed_model(
    neurozsl: Command, run_dir: Path, lava_bundle: Path
) -> None:
    found = neurozsl("evaluate", run_dir, "--bundle", lava_bundle, "--json").document
    check_scores(found)
    assert found["motion_backend"] == "emulator"
    manifest = json.loads((lava_bundle / "manifest.json").read_text())
    assert found["HM"] == pytest.approx(manifest["steps"][-1]["HM"])
    norse = neurozsl(
        "evaluate", run_dir, "--bundle", lava_bundle, "--backend", "norse", "--json"
    ).document
    assert norse["HM"] == pytest.approx(manifest["steps"][0]["HM"])


def test_evaluate_for_people_is_a_plain_table_on_stderr(neurozsl: Command, run_dir: Path) -> None:
    ran = neurozsl("evaluate", run_dir)
    assert ran.code == 0 and ran.out == ""
    assert "HM" in ran.err and "96 test samples" in ran.err
    assert f"neurozsl profile {run_dir}" in ran.err
    assert "\x1b" not in ran.err


# ---------------------------------------------------------------- export


def test_export_writes_a_bundle_and_says_what_comes_next(neurozsl: Command, own_run: Path) -> None:
    ran = neurozsl("export", own_run, "--target", "nir")
    assert ran.code == 0 and ran.out == ""
    bundle = own_run / "deploy" / "nir"
    assert f"verdict PASS; bundle in {bundle}" in ran.err
    assert f"neurozsl verify {bundle}" in ran.err
    assert sorted(p.name for p in bundle.parent.iterdir()) == ["nir"]


def test_export_as_json_prints_the_manifest(
    neurozsl: Command, own_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "elsewhere"
    ran = neurozsl("export", own_run, "--target", "sinabs", "--out", out, "--samples", 4, "--json")
    assert ran.document == json.loads((out / "manifest.json").read_text())
    assert ran.document["verdict"] == "PASS"
    assert ran.document["verification"]["samples"] == 4


def test_a_lost_score_is_exit_code_3_and_the_bundle_is_kept_as_rejected(
    neurozsl: Command, own_run: Path
) -> None:
    # Integers may score a little better than floats on 96 samples: -100 asks for the impossible.
    ran = neurozsl("export", own_run, "--target", "lava", "--max-hm-drop", "-100")
    assert ran.code == 3
    [line] = [text for text in ran.err.splitlines() if text.startswith("error:")]
    assert "HM drops by" in line and "lava.rejected" in line
    deploy = own_run / "deploy"
    assert sorted(p.name for p in deploy.iterdir()) == ["lava.rejected"]
    manifest = json.loads((deploy / "lava.rejected" / "manifest.json").read_text())
    assert manifest["verdict"] == "FAIL"


# ---------------------------------------------------------------- verify


def check_verification(document: dict[str, Any]) -> None:
    for found in document["backends"].values():
        assert [layer["name"] for layer in found["layers"]] == LAYERS
        for layer in found["layers"]:
            assert {"name", "agree", "matched", "spikes", "rate"} <= set(layer)
            assert 0 <= layer["agree"] <= 1 and 0 <= layer["matched"] <= 1
            assert 0 < layer["rate"] < 0.9 and layer["spikes"] > 0


@pytest.mark.lava
@pytest.mark.usefixtures("lava_python")
def test_verify_compares_four_pairs_of_backends(neurozsl: Command, lava_bundle: Path) -> None:
    ran = neurozsl("verify", lava_bundle, "--json")
    document = ran.document
    assert ran.code == 0
    assert document["verdict"] == "PASS-WITH-LOSS" and document["samples"] >= 16
    assert set(document["backends"]) == {
        "emulator_vs_lava_fixed",
        "norse_vs_lava_float",
        "norse_vs_sinabs",
        "emulator_vs_norse",
    }
    check_verification(document)
    for name in ("emulator_vs_lava_fixed", "norse_vs_lava_float", "norse_vs_sinabs"):
        assert all(layer["agree"] == 1.0 for layer in document["backends"][name]["layers"])


def test_verify_of_a_float_bundle_passes_without_lava(neurozsl: Command, run_dir: Path) -> None:
    document = neurozsl("verify", run_dir / "deploy" / "sinabs", "--json").document
    assert (document["verdict"], list(document["backends"])) == ("PASS", ["norse_vs_sinabs"])
    check_verification(document)


def test_verify_for_people_is_a_tree_of_layers(neurozsl: Command, run_dir: Path) -> None:
    ran = neurozsl("verify", run_dir / "deploy" / "sinabs")
    assert ran.code == 0 and ran.out == ""
    assert "norse_vs_sinabs" in ran.err
    assert ran.err.count("equal") == len(LAYERS)
    assert "neurozsl simulate" in ran.err


# ---------------------------------------------------------------- simulate


def test_simulate_on_the_emulator_names_classes_and_draws_the_raster(
    neurozsl: Command, lava_bundle: Path
) -> None:
    options = ("--backend", "emulator", "--limit", 4)
    ran = neurozsl("simulate", lava_bundle, *options, "--raster", "--json")
    document = ran.document
    assert (document["backend"], document["samples"]) == ("emulator", 4)
    assert [layer["name"] for layer in document["layers"]] == LAYERS
    assert all(0 < layer["rate"] < 0.9 for layer in document["layers"])
    assert len(document["predictions"]) == 4
    assert all(", " in row["predicted"] and ", " in row["true"] for row in document["predictions"])
    picture = lava_bundle.parent / "raster_lava_emulator.svg"
    assert "<svg" in picture.read_text()
    again = neurozsl("simulate", lava_bundle, *options, "--json").document
    assert again["predictions"] == document["predictions"]


@pytest.mark.lava
@pytest.mark.usefixtures("lava_python")
def test_simulate_on_lava_gives_the_spikes_of_the_emulator(
    neurozsl: Command, lava_bundle: Path
) -> None:
    ours, theirs = (
        neurozsl("simulate", lava_bundle, "--backend", name, "--limit", 2, "--json").document
        for name in ("emulator", "lava")
    )
    assert theirs["layers"] == ours["layers"]
    assert theirs["predictions"] == ours["predictions"]


def test_simulate_without_a_backend_takes_the_one_that_the_bundle_is_scored_on(
    neurozsl: Command, lava_bundle: Path
) -> None:
    ran = neurozsl("simulate", lava_bundle, "--limit", 2)
    assert ran.code == 0 and ran.out == ""
    assert "on emulator: 2 samples" in " ".join(ran.err.split()) and "true:" in ran.err


# ---------------------------------------------------------------- profile


def test_profile_joins_layers_energy_and_accuracy_in_one_document(
    neurozsl: Command, run_dir: Path
) -> None:
    document = neurozsl("profile", run_dir, "--json").document
    assert [layer["name"] for layer in document["layers"]] == LAYERS
    for layer in document["layers"]:
        assert 0 < layer["spike_rate"] < 0.9 and layer["synops"] > 0
    devices = [row["key"] for row in document["energy"]]
    assert {"loihi1", "loihi1_sanafe", "loihi2"} <= set(devices)
    assert any(name.startswith("speck2f") for name in devices)
    assert sorted(set(devices)) == sorted(devices)
    for row in document["energy"]:
        keys = {"device", "joules_low", "joules", "joules_high", "latency_s", "source"}
        assert keys <= set(row) and row["source"] and row["joules"] > 0
        unpublished = row["interval"] == "unpublished"
        assert unpublished == (row["joules_low"] is None) == (row["joules_high"] is None)
    check_scores(document["accuracy"])
    assert document["host"]["motion_backend"] == "emulator"  # RUN/deploy/lava is found by itself


def test_profile_writes_the_page_and_its_json(
    neurozsl: Command, run_dir: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    page = tmp_path / "r.html"
    ran = neurozsl("profile", run_dir, "--bundle", lava_bundle, "--report", page)
    assert ran.code == 0 and ran.out == ""
    assert f"report in {page}" in ran.err
    assert "circling, chirping" in page.read_text()
    stored = json.loads(page.with_suffix(".json").read_text())
    assert stored["verification"]["verdict"] in ("PASS-WITH-LOSS", "UNVERIFIED")


# ---------------------------------------------------------------- data


def test_data_inspect_reads_the_set_through_main(neurozsl: Command, workspace: Path) -> None:
    document = neurozsl("data", "inspect", workspace / "data", "--json").document
    assert document["classes"] == 24 and document["synthetic"] is True
    shown = neurozsl("data", "inspect", workspace / "data")
    assert shown.code == 0 and shown.out == ""
    assert "scenes and motions" in shown.err and "neurozsl train --data" in shown.err


def test_data_synth_through_main(neurozsl: Command, tmp_path: Path) -> None:
    out = tmp_path / "set"
    ran = neurozsl("data", "synth", "--out", out, "--test-size", 48, "--train-per-class", 2)
    assert ran.code == 0
    assert sorted(p.name for p in out.iterdir()) == ["dataset.h5", "dataset.json"]
