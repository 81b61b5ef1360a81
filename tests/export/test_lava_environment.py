"""The Lava environment is found by running it, and an incomplete one does not count."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurozsl.core.errors import MissingPart
from neurozsl.export.backends.lava import environment as lava


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with nothing on it but what a test puts there."""
    monkeypatch.setenv("NEUROZSL_LAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("NEUROZSL_LAVA_PYTHON", raising=False)
    (tmp_path / "bin").mkdir()


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_shim_that_fails_is_passed_over_for_a_version_that_runs(tmp_path: Path) -> None:
    _program(tmp_path / "bin" / "python3.10", "echo 'pyenv: command not found' >&2; exit 127")
    good = _program(tmp_path / "pyenv" / "versions" / "3.10.9" / "bin" / "python", "echo 3.10.9")
    tried = list(lava.candidates())
    assert [(one.origin, one.usable) for one in tried] == [("PATH", False), ("pyenv", True)]
    assert "exit code 127 (pyenv: command not found)" in tried[0].problem
    assert lava.find_interpreter().path == str(good)


def test_the_named_interpreter_comes_first_and_uv_before_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = _program(tmp_path / "mine", "echo 3.10.1")
    managed = _program(tmp_path / "managed", "echo 3.10.2")
    _program(tmp_path / "bin" / "uv", f"echo {managed}")
    _program(tmp_path / "bin" / "python3.10", "echo 3.10.3")
    monkeypatch.setenv("NEUROZSL_LAVA_PYTHON", str(named))
    assert [one.origin for one in lava.candidates()] == ["NEUROZSL_LAVA_PYTHON", "uv", "PATH"]
    assert lava.find_interpreter().version == "3.10.1"


def test_another_python_version_is_not_used_and_the_error_says_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _program(tmp_path / "py", "echo 3.12.1")
    monkeypatch.setenv("NEUROZSL_LAVA_PYTHON", str(other))
    with pytest.raises(MissingPart) as caught:
        lava.find_interpreter()
    assert "is Python 3.12.1" in str(caught.value) and "neurozsl setup lava" in str(caught.value)
    assert caught.value.exit_code == 5


def test_an_environment_counts_only_with_the_marker_of_this_lock(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "env"
    python = _program(folder / "bin" / "python", "exit 0")
    assert lava.locate() is None
    (folder / ".complete").write_text('{"lock": "of another version"}')
    assert lava.locate() is None
    (folder / ".complete").write_text(f'{{"lock": "{lava._digest()}"}}')
    assert lava.locate() == python
    with pytest.raises(MissingPart, match="neurozsl setup lava"):
        (folder / ".complete").unlink()
        lava.require()


def test_a_failed_installation_leaves_no_marker(tmp_path: Path) -> None:
    # "python -m venv DIR" makes the folder; the pip inside it fails.
    script = (
        'case "$*" in *ensurepip*) echo 3.10.9;; '
        '*) mkdir -p "$3/bin"; cp "$0.pip" "$3/bin/python";; esac'
    )
    fake = _program(tmp_path / "pyenv" / "versions" / "3.10.9" / "bin" / "python", script)
    _program(fake.with_name("python.pip"), "echo 'no network' >&2; exit 1")
    lines: list[str] = []
    with pytest.raises(MissingPart, match=r"install the packages.*no network"):
        lava.create(report=lines.append)
    assert lava.locate() is None and any("3.10.9 (pyenv)" in line for line in lines)


def test_the_lock_pins_every_package() -> None:
    lines = [x for x in lava.lock_text().splitlines() if x and not x.startswith("#")]
    assert "lava-nc==0.10.0" in lines and len(lines) == 9
    assert all(line.count("==") == 1 for line in lines)
