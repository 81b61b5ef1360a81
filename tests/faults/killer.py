"""Kills a command at its n-th call that changes the file system, as `kill -9` at that moment would.

The command runs in a fork of this process, which has imported the libraries already. Calls on paths
below one folder are counted, in the command and in the trainings that it starts (forks as well);
before the n-th one the command is killed, whoever makes the call. So a call is done or not done, a
file is there without content, or written and not yet in its place.
"""

from __future__ import annotations

import builtins
import io
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import safetensors.torch

from neurozsl.cli import main
from neurozsl.core import folders
from neurozsl.export.backends.lava.run import group_members
from neurozsl.studies import base

_WRITES = frozenset("wax+")
_LIMIT_S = 120.0


@dataclass(frozen=True)
class Ended:
    """code: exit code, -9 where it was killed. calls: counted ones. text: both streams."""

    code: int
    calls: int
    text: str
    orphans: tuple[int, ...]


class Injector:
    """Counts calls on paths below a folder; before call `kill_at` it kills the process `victim`."""

    def __init__(self, folder: Path, kill_at: int | None, victim: int) -> None:
        self._below = os.fsencode(folder)
        self._kill_at, self._victim = kill_at, victim
        self._shared = mmap.mmap(-1, 8)  # forks count on

    @property
    def calls(self) -> int:
        """Calls until now, in all processes."""
        return int.from_bytes(self._shared[:8], "little")

    def call(self, *places: object) -> None:
        """One call on these paths is about to be made."""
        paths = [x for x in places if isinstance(x, str | bytes | os.PathLike)]
        if not any(os.fsencode(x).startswith(self._below) for x in paths):
            return
        if self._kill_at is not None and self.calls >= self._kill_at:
            os.kill(self._victim, signal.SIGKILL)
            while True:  # a training goes on until it ends with its parent
                time.sleep(10)
        self._shared[:8] = (self.calls + 1).to_bytes(8, "little")

    def install(self) -> None:
        """Wrap what changes the file system, in this process and its forks."""
        for module, names in (
            (os, ("replace", "rename", "unlink", "remove", "mkdir", "rmdir", "chmod")),
            (shutil, ("rmtree",)),
            (folders, ("_settle", "_exchange")),
            (h5py, ("File",)),
        ):
            for name in names:
                setattr(module, name, self._wrapped(getattr(module, name)))
        written = self._opening(open)
        for module in (builtins, io):
            vars(module)["open"] = written
        dataset = h5py.Group.create_dataset

        def create_dataset(group: Any, *more: Any, **options: Any) -> Any:
            self.call(group.file.filename)
            return dataset(group, *more, **options)

        h5py.Group.create_dataset = create_dataset
        tensors = safetensors.torch.serialize_file

        def serialize(values: Any, place: Any, *more: Any, **options: Any) -> Any:
            self.call(place)
            return tensors(values, place, *more, **options)

        safetensors.torch.serialize_file = serialize
        os_open = os.open

        def opened(path: Any, flags: int, *more: Any, **options: Any) -> int:
            if flags & os.O_CREAT:
                self.call(path)
            return os_open(path, flags, *more, **options)

        os.open = opened

    def _wrapped(self, real: Any) -> Any:
        if isinstance(real, type):
            injector = self

            class Counted(real):  # type: ignore[misc]
                def __init__(self, name: Any, mode: str = "r", *more: Any, **options: Any) -> None:
                    if mode != "r":
                        injector.call(name)
                    super().__init__(name, mode, *more, **options)

            return Counted

        def counted(*arguments: Any, **options: Any) -> Any:
            self.call(*arguments[:2])
            return real(*arguments, **options)

        return counted

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
            if _WRITES & set(mode):
                self.call(file)
            return real(file, mode, *more, **options)

        return opened


def run(*arguments: object, folder: Path, log: Path, kill_at: int | None = None) -> Ended:
    """`neurozsl ARGUMENTS`, killed at a call on what lies in `folder`; log: where its text goes."""
    shared: list[Injector] = []

    def child() -> None:
        os.setsid()
        shared[0]._victim = os.getpid()
        shared[0].install()
        vars(base)["subprocess"] = _Forks()
        _run_main([*map(str, arguments)], log)

    shared.append(Injector(folder, kill_at, 0))
    pid = _fork(child)
    code = _wait(pid)
    end = time.monotonic() + 20
    while (orphans := group_members(pid)) and time.monotonic() < end:
        time.sleep(0.02)
    for orphan in orphans:
        os.kill(orphan, signal.SIGKILL)
    return Ended(code, shared[0].calls, log.read_text(errors="replace"), tuple(orphans))


def _fork(work: Callable[[], None]) -> int:
    """A fork of this process that ends when `work` has returned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of libraries that are idle
        pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def _run_main(arguments: list[str], log: Path) -> None:
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in (1, 2):
        os.dup2(opened, number)
    sys.stdout = sys.stderr = os.fdopen(os.dup(opened), "w", buffering=1)
    sys.argv = ["neurozsl", *arguments]
    main()


def _wait(pid: int) -> int:
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"the command took longer than {_LIMIT_S:g} s")


class _Forks:
    """Stands for `subprocess` in `studies.base`: a training is a fork, not a new interpreter."""

    PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL

    class Popen:
        """As much of `subprocess.Popen` as a study uses."""

        def __init__(self, command: list[str], *, env: Mapping[str, str], **_: object) -> None:
            arguments = command[command.index("neurozsl") + 1 :]
            self._log = Path(os.environ.get("TMPDIR", "/tmp")) / f"training-{os.getpid()}"

            def child() -> None:
                os.environ.clear()
                os.environ.update(env)
                _run_main(arguments, self._log)

            self.returncode = 0
            self.pid = _fork(child)

        def __enter__(self) -> _Forks.Popen:
            return self

        def __exit__(self, *_: object) -> None:
            self._log.unlink(missing_ok=True)

        def communicate(self) -> tuple[str, str]:
            """Its end, and what it printed."""
            self.returncode = _wait(self.pid)
            return "", self._log.read_text()

        def terminate(self) -> None:
            """End it politely."""
            os.kill(self.pid, signal.SIGTERM)


def points(calls: int, wanted: int) -> list[int]:
    """Calls to be killed at, spread over all of them, the first and the last among them."""
    wanted = min(wanted, calls)
    return sorted({round(k * (calls - 1) / max(wanted - 1, 1)) for k in range(wanted)})
