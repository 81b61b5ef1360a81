"""The command line in this process, and a copy of the tiny run that a test may damage."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neurozsl.cli import main
from tests.factories import network_files


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Stdout as the one JSON document that it must be."""
        return json.loads(self.out)


Command = Callable[..., Ran]


def run_command(*arguments: object) -> Ran:
    """`neurozsl ARGUMENTS` through `main`, so with its exit code, without a new process."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["neurozsl", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
        code: Any = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = before
    return Ran(int(code), out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def neurozsl() -> Command:
    return run_command


@pytest.fixture
def own_run(run_dir: Path, tmp_path: Path) -> Path:
    """A copy of the run, without bundles, that a test may damage."""
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy, ignore=shutil.ignore_patterns("deploy"))
    settings = json.loads((copy / "run.json").read_text())
    settings["data"] = str((run_dir / settings["data"]).resolve())
    (copy / "run.json").write_text(json.dumps(settings))
    return copy


def listing(folder: Path) -> dict[str, int]:
    """Every path below a folder with its size: equal before and after means nothing written."""
    return {
        str(path.relative_to(folder)): path.stat().st_size if path.is_file() else -1
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="session", name="listing")
def _listing() -> Callable[[Path], dict[str, int]]:
    return listing


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A dense network of two layers as another tool writes it."""
    return network_files.write(tmp_path / "net.nir", network_files.dense())
