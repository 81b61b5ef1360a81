"""Whatever a file is called, a printed command is one command, and its path is one word of it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurozsl.core.shell import command, place, word, words
from tests.source_tree import ROOT

Command = Callable[..., Any]
NASTY = ["$(touch x) y", "a\nb", "`touch x`", "a'b", 'a"b', "a\\b", "a;touch x", "a\x1b[31m", "!!",
         "-rf", "~", "*", "µ", "a\\\nb'c", "a\udcffb"]  # fmt: skip


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("name", NASTY)
def test_a_shell_reads_back_the_name_and_runs_nothing_else(name: str, tmp_path: Path) -> None:
    line = f"printf '%s\\0' {word(name)} {place(name)}{words({'bundle': Path(name)})}"
    assert "\n" not in line and "\x1b" not in line
    got = subprocess.run(["bash", "-c", line.encode("utf-8", "surrogateescape")], cwd=tmp_path,
                         capture_output=True, check=True)  # fmt: skip
    path = f"./{name}" if name.startswith("-") else name
    found = got.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
    assert found == [name, path, "--bundle", path]
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_needs_no_quotes_has_none() -> None:
    more = words({"bundle": Path("runs/a/deploy/lava"), "margin": None, "dt": 0.1})
    line = "neurozsl profile runs/a --bundle runs/a/deploy/lava --dt 0.1"
    assert command("profile", Path("runs/a"), more) == line


def _texts(tree: ast.AST) -> list[ast.JoinedStr]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]


def unquoted(text: ast.JoinedStr) -> list[str]:
    """Values behind a `neurozsl ...` of an f-string that no function has quoted."""
    found, inside = [], False
    for part in text.values:
        if isinstance(part, ast.Constant):
            after = str(part.value)
            begun = re.search(r"neurozsl (?:[a-z]+ )?[^`]*$", after)
            inside = bool(begun) or (inside and "`" not in after)
        elif inside and isinstance(part, ast.FormattedValue):
            value = part.value
            called = isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1]
            if called not in ("word", "words", "place", "command"):
                found.append(ast.unparse(value))
    return found


QUOTED_BEFORE = {
    # Values that are words already, or come from a fixed list.
    "neurozsl/core/shell.py": {"name", "more"},
    "neurozsl/cli/profile_tables.py": {"names", "options"},
    "neurozsl/cli/profile_layers.py": {"layers", "rate", "number"},
    "neurozsl/data/sets/load.py": {"out"},
    "neurozsl/report/schema/report.py": {"_VERSION"},
    "export/bundle/build_branch.py": {"chosen.chip"},
}


def test_no_command_is_built_of_a_value_that_is_not_quoted() -> None:
    seen = 0
    for top in ("neurozsl", "export", "hardware"):
        for file in sorted((ROOT / top).rglob("*.py")):
            name = str(file.relative_to(ROOT))
            for text in _texts(ast.parse(file.read_text())):
                seen += 1
                bad = set(unquoted(text)) - QUOTED_BEFORE.get(name, set())
                assert not bad, f"{name}:{text.lineno}: {bad} in a command"
    assert seen > 500


@pytest.mark.parametrize("name", ["$(touch x) y", "a\nb"])
def test_what_a_command_prints_can_be_pasted_whatever_the_run_is_called(
    name: str, own_run: Path, neurozsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = own_run.rename(own_run.with_name(name))
    monkeypatch.chdir(run.parent)
    shown = neurozsl("evaluate", name)
    assert shown.code == 0, shown.err
    line = shown.err.partition("next:\n")[2].strip()
    assert line == f"neurozsl profile {word(name)}"
    refused = neurozsl("train", "--data", "nowhere", "--out", name)
    assert refused.code == 2
    absent = neurozsl("data", "check", "no $(touch x)\nset")
    assert absent.code == 2 and "Traceback" not in absent.err
    assert not (run.parent / "x").exists()
