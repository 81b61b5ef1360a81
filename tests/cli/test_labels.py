"""Labels on the command line: accuracy, the verdict about the task, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.export.bundle.accuracy import accuracy, drop
from tests.factories import labelled
from tests.factories import network_files as files

Command = Callable[..., Any]
Files = tuple[Path, Path, Path]
SAID = ("--reset", "zero", "--dt", 1e-3)


@pytest.fixture(name="tie")
def _tie(tmp_path: Path) -> Files:
    return labelled.write(tmp_path)


@pytest.fixture
def no_lava(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle stays out: what is tested is not the arithmetic, and it takes a minute."""
    monkeypatch.setenv("NEUROZSL_LAVA_HOME", "/nowhere")
    monkeypatch.delenv("NEUROZSL_LAVA_PYTHON", raising=False)


def given(tie: Files) -> tuple[Any, ...]:
    return ("--input", tie[1], "--labels", tie[2])


def save(path: Path, values: Any) -> None:
    np.savez(path, **{"in": values})


def rows(task: Any) -> dict[str, tuple[int, int]]:
    return {x["name"]: (x["accuracy"]["right"], x["ties"]) for x in task["rows"]}


@pytest.mark.parametrize(
    ("options", "name", "right", "ties"),
    [
        ((), "float", 20, 0),
        (("--backend", "emulator"), "8 bits, emulator", 20, 0),
        (("--backend", "sinabs"), "sinabs", 20, 0),
        (("--readout", "first"), "float", 20, 0),
        # After its resets the output that spikes less is the higher one: 1.08 against 0.57.
        (("--readout", "membrane"), "float", 0, 0),
        (("--limit", 12), "float", 12, 0),
    ],
)
def test_simulate_tells_the_accuracy_of_what_ran(
    options: tuple[Any, ...], name: str, right: int, ties: int, neurozsl: Command, tie: Files
) -> None:
    ran = neurozsl("simulate", tie[0], *given(tie), *SAID, *options, "--json")
    assert ran.code == 0, ran.err
    task = ran.document["task"]
    assert rows(task)[name] == (right, ties)
    assert task["verdict"] == "PASS" and task["samples"] == (12 if "--limit" in options else 20)
    told = neurozsl("simulate", tie[0], *given(tie), *SAID, *options).err
    assert "task: PASS" in told and "accuracy on the labelled samples" in told


@pytest.mark.usefixtures("no_lava")
def test_an_export_at_eight_bits_passes_and_its_bundle_takes_new_samples(
    neurozsl: Command, tie: Files, tmp_path: Path
) -> None:
    ran = neurozsl("export", tie[0], *given(tie), *SAID, "--target", "lava", "--json")
    assert ran.code == 0, ran.err
    bundle = tmp_path / "tie.deploy" / "lava"
    task = ran.document["task"]
    assert rows(task) == {"float": (20, 0), "8 bits": (20, 0), "4 bits": (10, 20)}
    four = task["rows"][2]
    assert four["drop"] == drop(10, 0, 20).__dict__ and not four["shipped"]
    assert four["accuracy"] == accuracy(10, 20).__dict__
    assert task["recalls"] == [
        {"label": 0, "samples": 10, "float_right": 10, "right": 10},
        {"label": 1, "samples": 10, "float_right": 10, "right": 10},
    ]
    assert (task["readout"], task["output"], task["classes"]) == ("count", "b", 2)
    assert task["verdict"] == "PASS" and len(task["input_sha256"]) == 64
    # New samples of the bundle: another number of them, and of steps.
    codes, labels = labelled.samples(3, 4)
    labels[0] = 0  # a label that is wrong
    save(tmp_path / "new.npz", codes[:, :12])
    np.savez(tmp_path / "new_y.npz", labels=labels)
    new = ("--input", tmp_path / "new.npz", "--labels", tmp_path / "new_y.npz")
    for command in ("simulate", "verify"):
        ran = neurozsl(command, bundle, *new, "--json")
        assert ran.code == 0, ran.err
        assert [x["accuracy"]["right"] for x in ran.document["task"]["rows"]] == [6, 6]
    simulated = neurozsl("simulate", bundle, "--input", tmp_path / "new.npz", "--json").document
    assert (simulated["samples"], simulated["steps"], simulated["chip"]) == (7, 12, "loihi2")
    golden = neurozsl("simulate", bundle, "--limit", 2)
    assert golden.code == 0 and "golden samples of the bundle" in golden.err
    report = neurozsl("profile", bundle, *new, "--json").document
    assert report["chip"] == "loihi2" and report["sections"]["task"]["rows"][1]["bits"] == 8
    told = neurozsl("verify", bundle).err
    assert "at export: task: PASS" in told
    save(tmp_path / "wide.npz", np.zeros((2, 5, 4), np.uint8))
    ran = neurozsl("simulate", bundle, "--input", tmp_path / "wide.npz")
    assert ran.code == 2 and "shape (2, 5, 4), expected (batch, time, 3)" in ran.err


@pytest.mark.usefixtures("no_lava")
def test_a_task_that_loses_too_much_is_exit_code_3_and_the_bundle_is_kept_as_rejected(
    neurozsl: Command, tie: Files, tmp_path: Path
) -> None:
    options = ("--target", "lava", "--bits", 4)
    ran = neurozsl("export", tie[0], *given(tie), *SAID, *options)
    reason = (
        f"accuracy {accuracy(10, 20)}, float {accuracy(20, 20)}: drop 50.0 points, limit 2 "
        "(--max-acc-drop)"
    )
    rejected = tmp_path / "tie.deploy" / "lava.rejected"
    assert ran.code == 3 and f"task: {reason}" in ran.err and str(rejected) in ran.err
    assert not (tmp_path / "tie.deploy" / "lava").exists()
    manifest = json.loads((rejected / "manifest.json").read_text())
    assert manifest["task"]["verdict"] == "FAIL" and manifest["task"]["reason"] == reason
    assert manifest["verdict"] != "FAIL" and manifest["reasons"] == []  # the bits are right
    # Every reader takes the folder for what it says it is.
    ran = neurozsl("verify", rejected, *given(tie))
    assert ran.code == 3 and "task FAIL" in ran.err
    assert neurozsl("verify", rejected).code == 0
    ran = neurozsl("verify", rejected, *given(tie), "--max-acc-drop", 60)
    assert ran.code == 0 and "task: PASS" in ran.err
    ran = neurozsl("export", tie[0], *given(tie), *SAID, *options, "--max-acc-drop", 60)
    assert ran.code == 0 and "4 bits *" in ran.err and not rejected.exists()


def test_a_manifest_whose_score_was_written_anew_is_refused(
    neurozsl: Command, tie: Files, tmp_path: Path
) -> None:
    from neurozsl.export.bundle.manifest import Manifest, write

    assert neurozsl("export", tie[0], *given(tie), *SAID, "--target", "nir").code == 0
    bundle = tmp_path / "tie.deploy" / "nir"
    document = json.loads((bundle / "manifest.json").read_text())
    assert rows(document["task"]) == {"float": (20, 0)}
    for key, value, named in (
        ("right", 19, "task.float.accuracy follows from its counts"),
        ("low", 99.0, "task.float.accuracy follows from its counts"),
    ):
        changed = json.loads(json.dumps(document))
        changed["task"]["rows"][0]["accuracy"][key] = value
        write(bundle, Manifest.model_validate(changed))
        ran = neurozsl("verify", bundle)
        assert ran.code == 2 and named in ran.err
    document["task"] |= {"output": "z"}
    write(bundle, Manifest.model_validate(document))
    assert "task.output is ('z',), motion.nir has ('b',)" in neurozsl("verify", bundle).err
    del document["task"]  # as bundles of earlier versions
    write(bundle, Manifest.model_validate(document))
    assert neurozsl("verify", bundle).code == 0


def test_labels_that_do_not_belong_name_both_sides(
    neurozsl: Command, tie: Files, tmp_path: Path
) -> None:
    labels = labelled.samples(10, 10)[1]
    cases = {
        "19 labels, the input has 20 samples": labels[:19],
        "shape (20, 2) of int64, expected whole numbers of shape (20,)":
            np.stack([labels, labels], axis=1),
        "shape (20,) of float64, expected whole numbers": labels.astype(float),
        "label 2 in row 7, output layer 'b' of tie.nir has 2 neurons, so labels are 0 to 1":
            np.where(np.arange(20) == 7, 2, labels),
        "label -1 in row 0": np.where(np.arange(20) == 0, -1, labels),
    }  # fmt: skip
    for text, values in cases.items():
        np.save(tmp_path / "bad.npy", values)
        for command in (("simulate",), ("profile",), ("export", "--target", "nir")):
            name, *more = command
            bad = ("--input", tie[1], "--labels", tmp_path / "bad.npy")
            ran = neurozsl(name, tie[0], *more, *bad, *SAID)
            assert ran.code == 2 and text in ran.err, ran.err
    assert not (tmp_path / "tie.deploy").exists()
    np.savez(tmp_path / "two.npz", a=labels, b=labels)
    ran = neurozsl("simulate", tie[0], "--input", tie[1], "--labels", tmp_path / "two.npz", *SAID)
    assert ran.code == 2 and "holds a, b, none of them called labels" in ran.err


def test_labels_without_their_samples_and_the_reverse_name_the_remedy(
    neurozsl: Command, tie: Files, lava_bundle: Path
) -> None:
    net, x, y = tie
    for command in (("simulate",), ("profile",), ("export", "--target", "nir")):
        name, *more = command
        ran = neurozsl(name, net, *more, "--labels", y, "--poisson", 0.1)
        assert ran.code == 2 and f"--labels {y}: are classes of the samples of --input" in ran.err
        ran = neurozsl(name, net, *more, "--input", x, "--readout", "first")
        assert ran.code == 2 and "--readout first: belongs to --labels" in ran.err
        ran = neurozsl(name, net, *more, *given(tie), "--max-acc-drop", -1)
        assert ran.code == 2 and "--max-acc-drop -1: expected 0 to 100 points" in ran.err
    for name in ("simulate", "profile"):
        ran = neurozsl(name, lava_bundle, "--input", x)
        assert ran.code == 2 and "--input: only with a .nir file" in ran.err
    assert "evaluate RUN --bundle" in neurozsl("simulate", lava_bundle, "--input", x).err
    ran = neurozsl("verify", lava_bundle, *given(tie))
    assert ran.code == 2 and "is the bundle of a run" in ran.err and "evaluate RUN" in ran.err
    ran = neurozsl("verify", lava_bundle, "--input", x)
    assert ran.code == 2 and "new ones are for --labels" in ran.err


def test_a_profile_and_a_comparison_show_the_accuracy_beside_the_energy(
    neurozsl: Command, tie: Files, tmp_path: Path
) -> None:
    options = (*given(tie), *SAID)
    for page, chip in (("f", ()), ("i", ("--chip", "loihi2"))):
        ran = neurozsl("profile", tie[0], *options, *chip, "--report", tmp_path / f"{page}.md")
        assert ran.code == 0 and "Accuracy on 20 labelled samples" in ran.err
        assert "task: PASS" in ran.err
        text = (tmp_path / f"{page}.md").read_text()
        assert "## What it is right about" in text and "100.0 %" in text
        assert "Nothing is known here of its task" not in text
    pair = (tmp_path / "f.json", tmp_path / "i.json")
    ran = neurozsl("profile", *pair, "--compare")
    assert "accuracy" in ran.err and "100.0 % (83.9 % to 100.0 %)" in ran.err
    assert "drop from float" in ran.err and "(PASS)" in ran.err
    compared = neurozsl("profile", *pair, "--compare", "--json").document
    assert [x["task"]["samples"] for x in compared["rows"]] == [20, 20]
    assert all(x["not_comparable"] == "" for x in compared["rows"])


def test_real_values_of_a_bundle_are_rounded_to_the_scale_that_it_declares(
    neurozsl: Command, network: Path, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).random((4, 20, 6))
    save(tmp_path / "x.npz", values)
    options = ("--target", "nir", "--input", tmp_path / "x.npz", "--samples", 4)
    assert neurozsl("export", network, *options).code == 0
    bundle = network.parent / "net.deploy" / "nir"
    save(tmp_path / "one.npz", values[1:2] / 2)
    again = neurozsl("simulate", bundle, "--input", tmp_path / "x.npz", "--json").document
    golden = neurozsl("simulate", bundle, "--json").document
    assert again["layers"] == golden["layers"]
    half = neurozsl("simulate", bundle, "--input", tmp_path / "one.npz", "--json").document
    assert half["samples"] == 1 and "coded as 8-bit graded spikes" in half["input"][0]
    save(tmp_path / "far.npz", 9.5 * values)
    ran = neurozsl("simulate", bundle, "--input", tmp_path / "far.npz")
    assert ran.code == 2 and "declares graded codes" in ran.err


def test_a_dense_network_is_scored_on_its_output_layer(
    neurozsl: Command, network: Path, tmp_path: Path
) -> None:
    save(tmp_path / "x.npz", files.spikes(5))
    np.save(tmp_path / "y.npy", np.array([0, 1, 2, 3, 0], np.uint8))
    given = ("--input", tmp_path / "x.npz", "--labels", tmp_path / "y.npy")
    ran = neurozsl("simulate", network, *given, "--json")
    assert ran.code == 0 and ran.document["task"]["output"] == "d"
