"""`neurozsl data`: JSON alone on stdout, the next command on stderr, files in place."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurozsl.cli.data import app
from neurozsl.core.errors import BadInput


def synth(out: Path, *more: str) -> list[str]:
    return ["synth", "--out", str(out), "--test-size", "48", "--train-per-class", "2", *more]


def test_synth_writes_a_set_that_inspect_reads(tmp_path: Path) -> None:
    runner = CliRunner()
    made = runner.invoke(app, synth(tmp_path / "set", "--seed", "3", "--unbiased-val"))
    assert made.exit_code == 0, made.output
    assert made.stdout == ""
    assert f"neurozsl train --data {tmp_path / 'set'} --model mdft --out" in made.stderr
    shown = runner.invoke(app, ["inspect", str(tmp_path / "set"), "--json"])
    assert shown.exit_code == 0
    facts = json.loads(shown.stdout)
    assert facts["synthetic"] is True and facts["classes"] == 24 and facts["steps"] == 10
    counts = {part["name"]: part["samples"] for part in facts["splits"]}
    assert counts == {
        "train": 28,
        "val_seen": 112,
        "val_unseen": 200,
        "test_seen": 24,
        "test_unseen": 24,
    }
    assert all(0.05 < part["event_density"] < 0.6 for part in facts["splits"])
    assert all(part["pixel_event_density"] > 0.01 for part in facts["splits"])


def test_synth_with_json_keeps_stdout_to_one_document(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, synth(tmp_path / "set", "--json"))
    assert json.loads(made.stdout)["name"] == "scenes and motions"


def test_inspect_of_a_missing_folder_is_bad_input(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "no")])
    assert isinstance(result.exception, BadInput)


def test_a_refused_target_costs_no_rendering(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    result = CliRunner().invoke(app, synth(tmp_path))
    assert isinstance(result.exception, BadInput)
    assert "notes.txt" in str(result.exception)


@pytest.mark.parametrize("command", ["synth", "build", "inspect"])
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0 and "Usage" in result.stdout


def test_the_command_line_imports_no_torch() -> None:
    code = "import sys, neurozsl.cli.data; print('torch' in sys.modules, 'h5py' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.split() == ["False", "False"]
