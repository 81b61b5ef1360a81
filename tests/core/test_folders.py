"""What is written appears whole, older content is never lost, a kill leaves nothing for long."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neurozsl.core import folders, leftovers
from neurozsl.core.folders import whole_file, whole_files, whole_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def ended_process() -> int:
    """The number of a process that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def left(place: Path, *, pid: int, host: str | None = None, kind: str = "part") -> Path:
    """A file as a writer of `place` leaves it when it is killed."""
    path = place.with_name(f".{place.name}@{host or leftovers._HOST}-{pid}-0.{kind}")
    path.write_text("left")
    return path


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750)])
def test_files_and_folders_have_the_mode_of_the_umask(
    mask: int, file: int, folder: int, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    with umask(mask):
        with whole_file(tmp_path / "model.safetensors") as part:
            save_file({"w": torch.zeros(2)}, part)
        with whole_folder(tmp_path / "set") as made:
            (made / "a").write_text("a")
    assert stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode) == file
    assert stat.S_IMODE((tmp_path / "set").stat().st_mode) == folder
    assert stat.S_IMODE((tmp_path / "set" / "a").stat().st_mode) == file


_KILLED = """
import os, signal, sys
from pathlib import Path
from neurozsl.core import folders
place, calls, with_exchange = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "exchange"
real = os.replace
def replace(*paths):
    global calls
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    calls -= 1
    real(*paths)
os.replace = replace
if not with_exchange:
    folders._exchange = lambda one, other: False
with folders.whole_folder(place) as made:
    (made / "content").write_text("new")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("way", ["exchange", "two renames"])
@pytest.mark.parametrize("calls", range(3))
def test_a_kill_at_any_rename_loses_no_folder_and_the_next_write_leaves_nothing(
    way: str, calls: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "set"
    with whole_folder(place) as made:
        (made / "content").write_text("old")
    killed = subprocess.run([sys.executable, "-c", _KILLED, place, str(calls), way], check=False)
    assert killed.returncode == -9
    if way == "exchange":  # never absent, not for a moment
        assert (place / "content").read_text() == "new"
    lost = not place.exists()
    assert lost == ((way, calls) == ("two renames", 1))
    leftovers.recover(place)
    assert (place / "content").read_text() in ("old", "new")
    assert ("is put back" in caplog.text) == lost
    with whole_folder(place) as made:
        (made / "content").write_text("newest")
    assert (place / "content").read_text() == "newest" and names(tmp_path) == ["set"]


def test_a_folder_behind_a_link_is_replaced_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "disk" / "set").mkdir(parents=True)
    (tmp_path / "set").symlink_to(tmp_path / "disk" / "set")
    with whole_folder(tmp_path / "set") as made:
        (made / "content").write_text("new")
    assert (tmp_path / "set").is_symlink() and names(tmp_path) == ["disk", "set"]
    assert (tmp_path / "disk" / "set" / "content").read_text() == "new"
    assert names(tmp_path / "disk") == ["set"]


def test_of_what_is_left_only_that_of_ended_commands_of_this_user_goes(tmp_path: Path) -> None:
    place = tmp_path / "result.json"
    gone, alive = ended_process(), os.getppid()
    old = left(tmp_path / "elsewhere", pid=gone, host="another-host")
    swept = [
        left(place, pid=gone),
        left(tmp_path / "other", pid=gone),
        left(place, pid=os.getpid()),
    ]
    stays = [
        left(place, pid=alive),
        left(place, pid=gone, host="another"),
        tmp_path / ".notes.part",
        tmp_path / "data.old",
        old,
    ]
    for path in stays[2:4]:
        path.write_text("a user's own")
    if os.getuid() == 0:
        stays.append(left(tmp_path / "theirs", pid=gone))
        os.chown(stays[-1], 12345, -1)
    folders.write_json(place, {})
    assert not any(path.exists() for path in swept)
    assert all(path.exists() for path in stays)


def test_leftovers_of_another_machine_go_when_nobody_touched_them_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left(tmp_path / "a", pid=1, host="another")
    now = time.time()
    for age, there in ((3600.0, True), (90000.0, False)):
        monkeypatch.setattr(time, "time", lambda age=age: now + age)
        leftovers.sweep(tmp_path / "a")
        assert path.exists() == there


def test_a_name_at_the_limit_of_the_file_system_is_written(tmp_path: Path) -> None:
    place = tmp_path / ("µ" * 127)  # 254 bytes
    folders.write_json(place, 1)
    with whole_folder(tmp_path / ("n" * 255)) as made:
        (made / "content").write_text("new")
    assert sorted(map(len, names(tmp_path))) == [127, 255]


def test_files_that_belong_together_never_lie_beside_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, page = tmp_path / "r.json", tmp_path / "r.html"
    seen: list[tuple[str, str]] = []
    real = os.replace

    def look(one: Path, other: Path) -> None:
        real(one, other)
        now = [x.read_text() if x.exists() else "-" for x in (numbers, page)]
        seen.append((now[0], now[1]))

    monkeypatch.setattr(os, "replace", look)
    for text in ("old", "new"):
        with whole_files((numbers, page)) as parts:
            for part in parts.values():
                part.write_text(text)
    assert seen[-1] == ("new", "new") and names(tmp_path) == ["r.html", "r.json"]
    assert set(seen) <= {("old", "-"), ("old", "old"), ("new", "-"), ("new", "new")}


def test_an_error_names_the_place_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as full, whole_file(tmp_path / "a") as part:
        with part.open("wb") as file:
            file.write(b"begun")
        raise OSError(28, "No space left on device")
    assert full.value.__notes__ == [f"while writing '{tmp_path / 'a'}'"]
    assert names(tmp_path) == []
