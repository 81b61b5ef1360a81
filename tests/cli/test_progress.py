"""Progress: what is told how often, when work will be done, and stderr in the four modes."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from neurozsl.cli import console
from neurozsl.cli.progress import Meter, Pace, Reading, take
from neurozsl.cli.verify import show_tree
from neurozsl.core.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., Any]
TINY = ("--test-size", 48, "--train-per-class", 2)


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def events(text: str, kind: str = "") -> list[dict[str, Any]]:
    """Every line of stderr as the object that it must be."""
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        assert one["time"].endswith("Z") and datetime.fromisoformat(one["time"])
        assert {"time", "command", "event"} <= set(one)
    return [one for one in found if not kind or one["event"] == kind]


# ---------------------------------------------------------------- modes


@pytest.mark.parametrize(
    ("given", "environment", "mode", "rest"),
    [
        (["train"], {}, "bar", ["train"]),
        (["--progress", "lines", "train"], {}, "lines", ["train"]),
        (["train", "--progress=off", "--seed", "1"], {}, "off", ["train", "--seed", "1"]),
        (["train"], {"NEUROZSL_PROGRESS": "json"}, "json", ["train"]),
        (["train"], {"NEUROZSL_PROGRESS": ""}, "bar", ["train"]),
        (["--progress", "off", "train"], {"NEUROZSL_PROGRESS": "json"}, "off", ["train"]),
        (["a", "--", "--progress", "off"], {}, "bar", ["a", "--", "--progress", "off"]),
    ],
)
def test_the_mode_comes_from_arguments_then_from_the_environment(
    given: list[str], environment: dict[str, str], mode: str, rest: list[str]
) -> None:
    assert take(given, environment) == (mode, rest)


@pytest.mark.parametrize(
    ("given", "environment", "named"),
    [
        (["--progress", "loud"], {}, "--progress 'loud'"),
        (["train", "--progress"], {}, "--progress ''"),
        ([], {"NEUROZSL_PROGRESS": "JSON"}, "NEUROZSL_PROGRESS 'JSON'"),
    ],
)
def test_an_unknown_mode_is_refused_by_where_it_was_given(
    given: list[str], environment: dict[str, str], named: str
) -> None:
    with pytest.raises(BadInput, match="expected one of bar, lines, json, off") as refused:
        take(given, environment)
    assert named in str(refused.value)


def test_an_unknown_mode_is_one_error_with_exit_code_2(neurozsl: Command) -> None:
    ran = neurozsl("targets", "--progress", "loud")
    assert (ran.code, ran.out) == (2, "") and "--progress 'loud'" in ran.err


def test_the_help_names_option_modes_and_variable(neurozsl: Command) -> None:
    ran = neurozsl("--help")
    assert ran.code == 0
    for word in ("--progress", "bar|lines|json|off", "NEUROZSL_PROGRESS"):
        assert word in ran.out


# ---------------------------------------------------------------- pace


def test_at_a_steady_pace_the_eta_is_exact() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    for done in range(1, 11):
        clock.now += 7.0
        assert pace.eta_s(done, 10) == pytest.approx(7.0 * (10 - done))


def test_the_pace_is_the_mean_of_the_stage() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    for seconds in (2.0, 4.0, 9.0):
        clock.now += seconds
        done = int((clock.now - 1000.0) > 2.0) + int((clock.now - 1000.0) > 6.0) + 1
        eta = pace.eta_s(done, 5)
    assert eta == pytest.approx((5 - 3) * 15.0 / 3)


def test_a_new_stage_has_its_own_pace() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    for done in range(1, 5):
        clock.now += 2.0
        pace.eta_s(done, 4)
    clock.now += 30.0
    assert pace.eta_s(1, 4) == pytest.approx(90.0)  # the same total, but done fell
    clock.now += 5.0
    assert pace.eta_s(1, 100) == pytest.approx(99 * 5.0)  # another total


def test_what_was_done_before_says_nothing_about_the_pace() -> None:
    """A run that is continued at epoch 8 of 10 reports that at once."""
    clock = FakeClock()
    pace = Pace(clock)
    assert pace.eta_s(8, 10) is None
    clock.now += 60.0
    assert pace.eta_s(9, 10) == pytest.approx(60.0)
    clock.now += 60.0
    assert pace.eta_s(10, 10) == 0.0


def test_a_study_that_goes_on_tells_the_pace_of_what_is_left() -> None:
    """Half of two trainings is done already; the data are loaded for 20 s before."""
    clock = FakeClock()
    pace = Pace(clock)
    clock.now += 20.0
    assert pace.eta_s(0, 2) is None  # the trainings begin
    clock.now += 0.5
    assert pace.eta_s(1.0, 2) is None
    for _ in range(60):
        clock.now += 1.0
        eta = pace.eta_s(1.0 + (clock.now - 1020.5) / 1000, 2)
    assert eta == pytest.approx((2 - 1.06) * 1000, rel=1e-6)


def test_readings_are_at_most_one_an_interval_and_the_last_is_never_missing() -> None:
    clock, told = FakeClock(), list[Reading]()
    meter = Meter("rendering", told.append, every_s=1.0, clock=clock)
    for done in range(1, 101):
        clock.now += 0.1
        meter.update(done, 100, "clips")
    assert told[0] == Reading("rendering", "", 0, 0, None, 0.0)
    assert [x.done for x in told[1:]] == pytest.approx(range(10, 101, 10), abs=1)
    gaps = [b.elapsed_s - a.elapsed_s for a, b in pairwise(told[:-1])]
    assert min(gaps) >= 1.0
    assert (told[-1].stage, told[-1].done, told[-1].eta_s) == ("clips", 100, 0.0)
    assert told[-1].elapsed_s == pytest.approx(10.0)
    count = len(told)
    meter.flush()
    assert len(told) == count  # it was told already


def test_work_that_ends_early_still_tells_its_last_reading() -> None:
    clock, told = FakeClock(), list[Reading]()
    meter = Meter("x", told.append, every_s=60.0, clock=clock)
    for done in (1, 2, 3):
        clock.now += 5.0
        meter.update(done, 10)
    assert [x.done for x in told] == [0]
    meter.flush()
    assert [x.done for x in told[1:]] == [3]
    assert told[-1].eta_s == pytest.approx(35.0)


# ---------------------------------------------------------------- commands in every mode


def test_json_is_one_object_a_line_and_the_document_stays_alone(
    neurozsl: Command, tmp_path: Path
) -> None:
    ran = neurozsl("data", "synth", "--out", tmp_path / "d", *TINY, "--json", "--progress", "json")
    assert ran.code == 0
    assert ran.document["synthetic"] is True
    found = events(ran.err)
    assert {x["command"] for x in found} == {"data synth"}
    bars = events(ran.err, "progress")
    keys = {"label", "stage", "done", "total", "eta_s", "elapsed_s"}
    assert all(keys | {"time", "command", "event"} == set(x) for x in bars)
    assert (bars[0]["done"], bars[0]["total"]) == (0, None)
    assert bars[-1]["done"] == bars[-1]["total"] > 0 and bars[-1]["eta_s"] == 0.0


def test_text_of_any_origin_becomes_messages(neurozsl: Command, run_dir: Path) -> None:
    ran = neurozsl("--progress", "json", "evaluate", run_dir)
    [table] = events(ran.err, "table")
    assert table["columns"][:4] == ["S", "U", "HM", "ZSL"] and len(table["rows"][0]) == 6
    [after] = events(ran.err, "next")
    assert after["commands"] == [f"neurozsl profile {run_dir}"]
    shown = neurozsl("--progress", "json", "profile", run_dir)  # tables of a console of its own
    assert any("HM" in x["message"] for x in events(shown.err, "message"))
    assert "\\u001b" not in shown.err


def test_every_epoch_is_an_event_with_loss_and_hm(
    neurozsl: Command, workspace: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    small = ("--set", "motion_widths=[16,16,16]", "--set", "embed=16", "--set", "hidden=32")
    train = ("train", "--data", workspace / "data", "--out", out, "--epochs", 2, *small)
    ran = neurozsl(*train, "--progress", "json")
    assert ran.code == 0, ran.err
    epochs = events(ran.err, "epoch")
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [{k: x[k] for k in line} for x, line in zip(epochs, log, strict=True)] == log
    assert [(x["stage"], x["epoch"]) for x in epochs][:2] == [(1, 1), (1, 2)]
    assert all(x["loss"] > 0 for x in epochs) and all("HM" in x for x in epochs[:2])
    again = neurozsl("train", "--resume", out, "--progress", "json")
    assert again.code == 0 and events(again.err, "epoch") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train",), "give --data and --out"),
        (("evaluate", "nowhere"), "no run.json there"),
        (("train", "--colour", "red"), "--colour"),
        (("evaluate",), "Missing argument"),
        (("paint",), "paint"),
    ],
)
def test_errors_are_events_in_json_and_the_only_text_in_off(
    neurozsl: Command, arguments: tuple[str, ...], message: str
) -> None:
    ran = neurozsl(*arguments, "--progress", "json")
    [error] = events(ran.err)
    assert (ran.code, ran.out) == (2, "")
    assert error["event"] == "error" and message in error["message"] and error["exit_code"] == 2
    quiet = neurozsl(*arguments, "--progress", "off")
    assert (quiet.code, quiet.out) == (2, "")
    [line] = quiet.err.splitlines()
    assert line.startswith("error: ") and message in line


def test_an_error_that_nobody_foresaw_is_an_event_with_its_traceback(
    neurozsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("neurozsl.export.targets.TARGETS", None)
    monkeypatch.setattr("neurozsl.cli.targets.show_table", broken)
    ran = neurozsl("targets", "--progress", "json")
    [error] = events(ran.err)
    assert ran.code == 1 and error["event"] == "error"
    assert "Traceback" in error["traceback"] and error["message"].split(":")[0].endswith("Error")


def test_a_data_set_that_cannot_be_used_says_why_in_every_mode(
    neurozsl: Command, tmp_path: Path
) -> None:
    (tmp_path / "data.json").write_text("{")
    for mode in ("json", "off"):
        ran = neurozsl("data", "check", tmp_path, "--progress", mode)
        assert ran.code == 2
        assert "error" in ran.err
        if mode == "json":
            assert events(ran.err, "error")


def test_off_prints_nothing_where_nothing_is_wrong(neurozsl: Command, run_dir: Path) -> None:
    ran = neurozsl("evaluate", run_dir, "--progress", "off")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    with_document = neurozsl("evaluate", run_dir, "--json", "--progress", "off")
    assert with_document.err == "" and with_document.document["samples"] == 96


def test_lines_are_plain_text_with_the_last_count(neurozsl: Command, run_dir: Path) -> None:
    ran = neurozsl("evaluate", run_dir, "--progress", "lines")
    assert ran.code == 0 and "\x1b" not in ran.err
    lines = [x for x in ran.err.splitlines() if x.startswith("evaluating: ")]
    assert lines[0] == "evaluating: begun"
    assert lines[-1].startswith("evaluating: 96/96, 0:00:")


def test_without_a_terminal_bars_are_silent(neurozsl: Command, run_dir: Path) -> None:
    ran = neurozsl("evaluate", run_dir)
    assert "evaluating" not in ran.err


def test_stderr_is_as_before_after_a_command(neurozsl: Command) -> None:
    before = sys.stderr
    neurozsl("targets", "--progress", "json")
    neurozsl("evaluate", "nowhere", "--progress", "off")
    assert sys.stderr is before and console.mode() == "bar"


@pytest.mark.slow
def test_a_process_of_its_own_writes_nothing_else(run_dir: Path) -> None:
    """Warnings, and libraries that print when they are imported, included."""
    environment = {**os.environ, "NEUROZSL_PROGRESS": "json", "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-m", "neurozsl", "evaluate", str(run_dir), "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"] == 96
    assert events(done.stderr, "progress")[-1]["done"] == 96


def test_the_bar_of_a_terminal_counts_down_between_rare_reports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Epochs of ten minutes: Rich's own estimate would be gone after half a minute."""
    clock, page = FakeClock(), io.StringIO()
    monkeypatch.setattr(time, "monotonic", clock)
    terminal = Console(file=page, force_terminal=True, width=120)
    monkeypatch.setattr(console, "err", terminal)
    with console.progress_bar("training") as update:
        update(0, 4, "epochs")
        clock.now += 600.0
        update(1, 4, "epochs")
        clock.now += 45.0
    assert "0:29:15" in page.getvalue()  # three epochs of ten minutes, less what has gone


# ---------------------------------------------------------------- the library is silent


def test_nothing_is_printed_outside_the_command_line() -> None:
    """Calls of print, and writes to stdout or stderr, in library modules."""
    # Runs in a process of its own, whose host reads it.
    program = "export/backends/lava/worker/run_lava.py"
    found, looked = [], 0
    for top in ("neurozsl", "export", "hardware"):
        for path in sorted((ROOT / top).rglob("*.py")):
            inside = path.relative_to(ROOT)
            if inside.parts[:2] in {("neurozsl", "cli"), ("neurozsl", "export")}:
                continue
            looked += 1
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                    "print",
                    "sys.stdout.write",
                    "sys.stderr.write",
                ):
                    found.append(f"{inside}:{node.lineno}")
    assert looked > 100
    assert [x for x in found if not x.startswith(program)] == []


def test_titles_of_tables_and_trees_never_break_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/data/" + "/".join(["a folder of many words"] * 12)
    console.show_table(f"{path}: 96 test samples", ["class", "HM"], [["x", "1"]])
    tree = {"verdict": "PASS", "samples": 4, "backends": {}}
    show_tree(f"{path}/deploy", tree)
    told = capsys.readouterr().err
    assert f"{path}: 96 test samples" in told and f"{path}/deploy: PASS, 4 samples" in told
