"""Names that a terminal would obey or a file could not hold: written out in every text of ours.

The names are real: files that lie there and are read, or are missing and named in the message.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import run_command
from tests.source_tree import ROOT

OBEYED = {
    "title": "\x1b]0;owned\x07",
    "colour": "\x1b[31m",
    "clear": "\x1b[2J\x1b[H",
    "C1": "\x9b31m",
    "bell": "\x07\x08",
    "carriage return": "a\rb",
    "delete": "\x7f",
    "right to left": "\u202egnp.exe",
    "isolate": "\u2066a",
}
COMMANDS = {
    "inspect": ("inspect", "{}.nir"),
    "evaluate": ("evaluate", "{}"),
    "export": ("export", "{}.nir", "--target", "nir"),
    "simulate": ("simulate", "{}"),
    "profile": ("profile", "{}.nir"),
    "verify": ("verify", "{}"),
    "train --data": ("train", "--data", "{}", "--out", "out"),
    "train --seed": ("train", "--seed", "{}"),
    "train --set": ("train", "--data", "d", "--out", "out", "--set", "{}"),
    "export --target": ("export", "net.nir", "--target", "{}"),
    "export --dialect": ("export", "net.nir", "--target", "nir", "--dialect", "{}"),
    "profile --device": ("profile", "net.nir", "--device", "{}"),
    "--progress": ("targets", "--progress", "{}"),
    "an option": ("targets", "--{}"),
    "a command": ("{}",),
    "data check": ("data", "check", "{}"),
}
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", OBEYED)
def test_no_message_holds_what_a_terminal_obeys(
    command: str, name: str, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(network.parent)
    ended = run_command(*(x.replace("{}", OBEYED[name]) for x in COMMANDS[command]))
    assert ended.code == 2 and ended.out == "", ended
    assert not _OBEYED.search(ended.err), repr(ended.err)


@pytest.mark.parametrize("suffix", [".html", ".md", ".json"])
@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\udcffb", "a:smile:b", "a\x9bb"])
def test_a_report_holds_no_such_name_and_reads_back(
    name: str, suffix: str, network: Path, tmp_path: Path
) -> None:
    own = network.with_name(f"{name}.nir")
    shutil.copyfile(network, own)
    page = tmp_path / f"r{suffix}"
    options = ("--poisson", 0.1, "--samples", 1, "--steps", 3, "--report", page)
    ended = run_command("profile", own, *options)
    assert ended.code == 0, ended.err
    assert not _OBEYED.search(ended.err), repr(ended.err)
    text = page.read_text(encoding="utf-8")
    assert not _OBEYED.search(text) and json.loads(page.with_suffix(".json").read_text())
    again = run_command("profile", page.with_suffix(".json"))
    assert again.code == 0 and not _OBEYED.search(again.err), again.err
    printed = run_command("profile", own, *options[:-2], "--json")
    (tmp_path / "again.json").write_text(printed.out, encoding="utf-8")
    assert run_command("profile", tmp_path / "again.json").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the system are those of POSIX")
@pytest.mark.parametrize("most", [4, 5, 6, 8, 10])
def test_too_few_open_files_give_no_traceback_of_the_message_itself(
    most: int, tmp_path: Path
) -> None:
    line = (
        "import resource, sys; sys.argv = ['neurozsl', 'inspect', sys.argv[1]]; "
        "import neurozsl.cli as cli; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most})); cli.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", line, str(tmp_path / "nothing.nir")],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        text=True,
    )
    assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr
    assert ended.stderr.startswith("error: ")


REMOVED = {
    "inspect": ("inspect", "net.nir"),
    "export": ("export", "net.nir", "--target", "nir"),
    "profile --report": ("profile", "net.nir", "--report", "r.html"),
    "train": ("train", "--data", "data", "--out", "run"),
    "data synth": ("data", "synth", "--out", "data"),
    "data convert": ("data", "convert", "data", "--out", "packed"),
    "benchmark": ("benchmark", "--study", "motion", "--out", "study"),
    "demo": ("demo", "--out", "demo"),
}


@pytest.mark.parametrize("command", REMOVED)
def test_a_working_folder_that_was_removed_is_one_message(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    ended = run_command(*REMOVED[command])
    assert ended.code == 2 and ended.out == "" and "Traceback" not in ended.err, ended
    assert len([x for x in ended.err.splitlines() if x.startswith("error:")]) == 1


def test_the_tests_leave_the_limit_of_files_alone() -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64
