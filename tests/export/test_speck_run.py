"""From `train --motion-profile speck` to a verified bundle, on a tiny synthetic set, by command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from neurozsl import cli
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.hardware.speck.program import SpeckProgram


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Exit code of `neurozsl WORDS`."""
    monkeypatch.setattr(sys, "argv", ["neurozsl", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def train(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path, *options: str) -> int:
    # Small batches, so that BatchNorm's running statistics arrive within the few clips.
    small = ("--epochs", "2", "--batch", "8", "--set", "embed=16", "--set", "hidden=32")
    return command(monkeypatch, "train", "--data", data, "--out", out, *small, *options)


@pytest.mark.slow
def test_a_run_of_the_speck_profile_is_exported_verified_and_scored_on_the_emulator(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    assert train(monkeypatch, data_dir, run, "--motion-profile", "speck") == 0
    assert f"neurozsl export {run} --target speck" in capsys.readouterr().err.replace("\n", " ")
    settings = json.loads((run / "run.json").read_text())["options"]
    assert (settings["motion_profile"], settings["neuron"]) == ("speck", "if")
    # Two epochs on 112 clips: what is checked is the path, not the score.
    lenient = ("--max-hm-drop", "100")
    assert command(monkeypatch, "export", run, "--target", "speck", *lenient) == 0
    printed = capsys.readouterr().err
    assert "verdict PASS-WITH-LOSS" in printed
    assert "biases need the slow clock" in printed
    bundle = open_bundle(run / "deploy" / "speck")
    assert isinstance(bundle.program, SpeckProgram)
    assert [x.weight.shape for x in bundle.program.layers][:3] == [
        (128, 512),
        (128, 128),
        (64, 128),
    ]
    rows = bundle.manifest.verification["backends"]["emulator_vs_sinabs_discretised"]["layers"]
    assert [row["differing"] for row in rows] == [0] * 6
    assert all(row["spikes"] > 0 for row in rows)
    assert [step.step for step in bundle.manifest.steps] == ["trained", "fixed-point"]
    assert command(monkeypatch, "verify", run / "deploy" / "speck") == 0
    assert "stand-in" in capsys.readouterr().err.replace("\n", " ")
    assert command(monkeypatch, "profile", run, "--bundle", run / "deploy" / "speck", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["host"]["motion_backend"] == "emulator"
    assert len(report["layers"]) == 6


@pytest.mark.slow
def test_leak_is_exit_code_2_size_is_4_and_a_missing_samna_is_5(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    leaky, wide = tmp_path / "leaky", tmp_path / "wide"
    assert train(monkeypatch, data_dir, leaky, "--set", "motion_widths=[16,8]") == 0
    assert command(monkeypatch, "export", leaky, "--target", "speck") == 2
    printed = capsys.readouterr().err
    assert "layers audio.0, audio.1, video.0, video.1 leak" in printed
    assert "--motion-profile speck" in printed
    options = ("--motion-profile", "speck", "--set", "motion_widths=[512,512,64]")
    assert train(monkeypatch, data_dir, wide, *options) == 0
    assert command(monkeypatch, "export", wide, "--target", "speck") == 4
    printed = capsys.readouterr().err
    assert "layer 'audio.1': 512 x 512 takes 262144 kernel words" in printed
    assert "512 inputs take at most 128 outputs" in printed
    device = ("--device", "speck2fdevkit:0")
    assert command(monkeypatch, "export", wide, "--target", "speck", *device) == 5
    assert command(monkeypatch, "export", wide, "--target", "lava", *device) == 2
