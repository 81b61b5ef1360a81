"""A folder has one writer at a time, and a lock never outlives its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.lock import locked

_HOLD = """
import sys, time
from pathlib import Path
from neurozsl.core.lock import locked
with locked(Path(sys.argv[1]), "run"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_writer_is_refused_by_name_and_let_in_when_the_first_is_killed(
    tmp_path: Path,
) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with pytest.raises(BadInput, match="another command") as refused, locked(tmp_path, "run"):
            pass
        assert f"run '{tmp_path}'" in str(refused.value)
        if Path("/proc/locks").exists() and str(first.pid) in Path("/proc/locks").read_text():
            assert f"(process {first.pid})" in str(refused.value)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
    with locked(tmp_path, "run"):
        assert list(tmp_path.iterdir()) == []  # a lock is no file that could stay


def test_a_lock_ends_with_its_block_and_lies_on_one_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    again = (pytest.raises(BadInput, match="another command"), locked(tmp_path, "run"))
    with locked(tmp_path, "run"), locked(tmp_path / "other", "run"), again[0], again[1]:
        pass
    with locked(tmp_path, "run"):
        pass
