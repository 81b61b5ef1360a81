"""Every example runs as a person would run it, in order, and prints what its docstring promises."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from neurozsl.data.synthetic.scenes import SyntheticConfig, render
from neurozsl.report import RunReport, read_report

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
TINY = ("--epochs", "4", "--batch", "16", "--train-per-class", "8", "--test-size", "96")
CLIP = "clips/playing_cello/avsync15_playing_cello.mp4"

RunExample = Callable[..., str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of all examples; their defaults write `runs/examples` below it."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture
def example(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RunExample:
    """Runs `examples/<number>_*.py` in this process and returns what it printed."""

    def run(number: str, *options: str) -> str:
        [path] = [p for p in EXAMPLES if p.name.startswith(number)]
        monkeypatch.chdir(place)
        monkeypatch.setattr(sys, "argv", [str(path), *options])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return run


def needs(path: Path) -> None:
    """Examples stand on each other; alone a later one has nothing to read."""
    if not path.exists():
        pytest.skip(f"{path.name} is made by an earlier example; run the whole file")


@pytest.fixture
def bundle(place: Path) -> Path:
    path = place / "runs" / "examples" / "deploy" / "lava"
    needs(path)
    return path


def test_the_examples_are_short_and_say_first_how_to_run_them() -> None:
    assert [p.name[:2] for p in EXAMPLES] == ["01", "02", "03", "04", "05", "06", "07"]
    for path in EXAMPLES:
        text = path.read_text()
        assert len(text.splitlines()) < 80, path.name
        docstring = ast.get_docstring(ast.parse(text)) or ""
        assert docstring.startswith(f"`python examples/{path.name}"), path.name
        assert "\n    " in docstring, f"{path.name}: shows no output"


def test_01_trains_and_prints_the_scores(example: RunExample, place: Path) -> None:
    printed = example("01", *TINY)
    assert "24 classes, 112 training and 96 test clips, synthetic" in printed
    assert "epoch   4/ 4  stage 1" in printed and "stage 2" in printed
    scores = re.search(r"test   S (\S+)  U (\S+)  HM (\S+)  ZSL (\S+) ", printed)
    assert scores is not None
    s, u, hm, zsl = map(float, scores.groups())
    assert zsl >= u and 0 <= hm <= 100
    assert hm == pytest.approx(2 * s * u / (s + u) if s + u else 0, abs=0.1)
    assert (place / "runs" / "examples" / "model.safetensors").is_file()


def test_01_again_goes_on_with_the_finished_run(example: RunExample, place: Path) -> None:
    needs(place / "runs" / "examples" / "result.json")
    assert "epoch" not in example("01", *TINY)


def test_02_exports_a_verified_bundle_for_every_target(example: RunExample, place: Path) -> None:
    needs(place / "runs" / "examples" / "result.json")
    printed = example("02", "--max-hm-drop", "100")
    verdicts = dict(re.findall(r"^(nir|lava|sinabs) +(\S+)$", printed, re.M))
    assert verdicts["nir"] == verdicts["sinabs"] == "PASS"
    assert verdicts["lava"] in ("PASS-WITH-LOSS", "UNVERIFIED")
    assert re.search(r"norse_vs_sinabs +every bit equal", printed)
    for target in verdicts:
        assert (place / "runs" / "examples" / "deploy" / target / "motion.nir").is_file()


def test_03_names_a_class_for_every_sample(example: RunExample, bundle: Path) -> None:
    printed = example("03", "--limit", "4")
    named = re.findall(r"^(\w+, \w+) +true: (\w+, \w+) +(right|wrong)$", printed, re.M)
    assert len(named) == 4
    assert all((a == b) == (mark == "right") for a, b, mark in named)
    assert re.search(r"^\d of 4 right$", printed, re.M)
    assert "audio.0 " in printed and "video.2 " in printed


@pytest.mark.lava
def test_03_compares_every_spike_with_lava(
    example: RunExample, bundle: Path, lava_python: Path
) -> None:
    printed = example("03", "--limit", "2")
    assert re.search(
        r"^lava +2 samples in \S+ s, every spike equal to the emulator's", printed, re.M
    )


def test_04_writes_the_report_that_it_summarises(example: RunExample, bundle: Path) -> None:
    printed = example("04")
    report = read_report(bundle.parents[1] / "report.json")
    assert isinstance(report, RunReport)
    assert f"HM {report.accuracy.HM:.1f}" in printed
    assert "verdict " + report.verdict in printed
    assert all(row.name in printed for row in report.energy)
    assert {row.device for row in report.energy} >= {"loihi1", "loihi2"}
    assert all(layer.spikes > 0 and layer.name in printed for layer in report.layers)
    assert "<svg" in (bundle.parents[1] / "report.html").read_text()


def test_05_carries_a_norse_stack_that_is_not_ours(example: RunExample, place: Path) -> None:
    printed = example("05")
    assert "1 LIF, 3 CubaLIF" in printed
    for name in ("norse", "floatsim", "sinabs"):
        assert re.search(rf"^{name} +every spike equal +[1-9]\d* spikes", printed, re.M)
    emulator = re.search(r"^emulator +(\S+) % of bits equal", printed, re.M)
    assert emulator is not None and 90 < float(emulator[1]) < 100
    assert (place / "runs" / "examples" / "own.nir").is_file()


def check_clip(printed: str, name: str) -> None:
    """Spikes of every layer, classes by name, and no claim about them."""
    head = re.search(rf"^{re.escape(name)}: (\S+) s, (\d+) windows$", printed, re.M)
    assert head is not None and int(head[2]) >= 1
    assert len(re.findall(r"^(?:audio|video)\.\d +\d+ spikes", printed, re.M)) == 6
    assert re.search(r"^audio\.0 +[1-9]\d* spikes", printed, re.M)
    assert len(re.findall(r"\w+, \w+ \d+\.\d+", printed)) == 3
    assert "trained on synthetic clips and cannot name what a real clip shows" in printed


def test_06_runs_a_video_file_through_the_chip(
    example: RunExample, bundle: Path, place: Path
) -> None:
    path = place / "rendered.mkv"
    write_rendered_clip(path)
    check_clip(example("06", str(path)), path.name)


def test_06_runs_a_recording_through_the_chip(
    example: RunExample, bundle: Path, shared_data: Path
) -> None:
    path = shared_data / CLIP
    check_clip(example("06", str(path)), path.name)


@pytest.mark.slow
def test_07_trains_a_network_on_recordings_and_leaves_a_bundle_and_a_report(
    example: RunExample, place: Path
) -> None:
    printed = example("07", "--epochs", "2")
    commands = re.findall(r"^\$ neurozsl (\w+)", printed, re.M)
    assert commands == ["data", "train", "train", "export", "profile"]
    made = place / "runs" / "examples"
    assert "<svg" in (made / "bars.html").read_text()
    assert (made / "bars-if-qat8" / "deploy" / "speck" / "manifest.json").is_file()


def write_rendered_clip(path: Path) -> None:
    """One clip of the synthetic set as a container file: a decoder's input, not a recording."""
    config = SyntheticConfig(
        train_per_class=2, val_seen_per_class=1, val_unseen_per_class=1, test_size=48
    )
    clip = render(config, "test_seen")[0]
    side: int = clip.frames.shape[1]
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("ffv1", rate=round(clip.fps))
        video.width, video.height, video.pix_fmt = side, side, "bgr0"
        audio: Any = out.add_stream("pcm_s16le", rate=clip.rate, layout="mono")
        for i, picture in enumerate(clip.frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = i
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        loud = clip.waveform / max(1.0, float(np.abs(clip.waveform).max()))
        block = av.AudioFrame.from_ndarray(
            (loud * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        block.sample_rate, block.pts = clip.rate, 0
        out.mux(audio.encode(block))
        out.mux(audio.encode(None))
