"""Tasks here, on Dask's own threads, and on a cluster of two worker processes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from neurozsl.cluster import client as clients
from neurozsl.cluster import tasks as modules
from neurozsl.cluster.run import run
from neurozsl.cluster.tasks import Call, Workers, key_of
from neurozsl.core.errors import BadInput, MissingPart, NeuroZSLError

distributed = pytest.importorskip("distributed")


def squares(folder: Path, n: int) -> list[Call]:
    return [Call(f"square {k}", key_of("square", folder, k), square, (folder, k)) for k in range(n)]


def square(folder: Path, k: int) -> int:
    with (folder / "begun").open("a") as file:
        file.write(f"{k}\n")
    return k * k


def fails_once(folder: Path) -> str:
    if (folder / "failed").exists():
        return "second"
    (folder / "failed").touch()
    raise RuntimeError("a passing trouble")


def fails(folder: Path, error: Exception) -> None:
    with (folder / "begun").open("a") as file:
        file.write("fails\n")
    raise error


def warns(text: str) -> str:
    logging.getLogger("neurozsl.somewhere").warning("note: %s", text)
    return text


def killed_the_first_time(folder: Path, k: int) -> int:
    """Call 1 waits to be killed; what the others have computed is not computed again."""
    if k == 1 and not (folder / "killed").exists():
        (folder / "victim").write_text(str(os.getpid()))
        time.sleep(60)
    return square(folder, k)


def begun(folder: Path) -> list[str]:
    return (folder / "begun").read_text().split()


def on_threads(client: Any, tasks: list[Call], all_begun: bool = True) -> dict[int, Any]:
    return dict(clients.run_on(client, tasks, all_begun=all_begun))


def _here(tasks: list[Call]) -> dict[int, Any]:
    return dict(run(tasks))


@pytest.mark.parametrize("all_begun", [True, False])
def test_every_task_gives_what_it_gives_here(threads: Any, tmp_path: Path, all_begun: bool) -> None:
    tasks = squares(tmp_path, 20)
    assert dict(run(tasks)) == {k: k * k for k in range(20)}
    (tmp_path / "begun").unlink()
    assert on_threads(threads, tasks, all_begun) == {k: k * k for k in range(20)}
    assert sorted(map(int, begun(tmp_path))) == list(range(20))


def test_tasks_of_one_key_run_once(threads: Any, tmp_path: Path) -> None:
    twice = squares(tmp_path, 3) * 2
    wanted = {k: (k % 3) ** 2 for k in range(6)}
    assert dict(run(twice)) == wanted and len(begun(tmp_path)) == 3
    assert on_threads(threads, twice) == wanted and len(begun(tmp_path)) == 6


def test_a_task_that_fails_once_is_tried_again(threads: Any, tmp_path: Path) -> None:
    task = Call("trouble", key_of("trouble", tmp_path), fails_once, (tmp_path,))
    assert dict(run([task])) == {0: "second"}
    (tmp_path / "failed").unlink()
    assert on_threads(threads, [task]) == {0: "second"}


def test_its_second_error_ends_the_work_and_nothing_else_begins(
    threads: Any, tmp_path: Path
) -> None:
    bad = Call("bad", key_of("bad", tmp_path), fails, (tmp_path, ValueError("no such thing")))
    with pytest.raises(ValueError, match="no such thing"):
        dict(run([bad, *squares(tmp_path, 20)]))
    assert begun(tmp_path) == ["fails"] * 2
    with pytest.raises(NeuroZSLError, match="'bad': failed 2 times with ValueError: no such thing"):
        on_threads(threads, [bad, *squares(tmp_path, 50)])
    assert begun(tmp_path).count("fails") == 4
    assert len(begun(tmp_path)) < 50


def test_a_wrong_input_is_not_tried_twice_and_keeps_its_kind(threads: Any, tmp_path: Path) -> None:
    for error in (BadInput("x.mp4: is empty"), MissingPart("install it")):
        bad = Call("bad", key_of(tmp_path, error), fails, (tmp_path, error))
        for work in (_here, partial(on_threads, threads)):
            (tmp_path / "begun").unlink(missing_ok=True)
            with pytest.raises(type(error), match=str(error)):
                work([bad])
            assert begun(tmp_path) == ["fails"]


def test_what_a_worker_logs_is_told_here_once(
    threads: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = [Call("w", key_of("warns", k), warns, ("the disk is full",)) for k in range(3)]
    assert set(on_threads(threads, tasks).values()) == {"the disk is full"}
    told = [x.getMessage() for x in caplog.records if x.name.startswith("neurozsl")]
    assert told == ["note: the disk is full"] * (3 + 1)  # these workers are threads: theirs count


def test_a_worker_of_other_versions_is_refused(
    threads: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = dict(modules.versions())
    monkeypatch.setattr(clients, "versions", lambda: ours | {"torch": "1.0"})
    with pytest.raises(BadInput, match=f"has torch {ours['torch']}, not 1.0; its numbers could"):
        on_threads(threads, squares(tmp_path, 2))
    assert not (tmp_path / "begun").exists()


def test_begun_tasks_are_looked_at(threads: Any, tmp_path: Path) -> None:
    looks: list[list[int]] = []
    tasks = squares(tmp_path, 5)
    dict(clients.run_on(threads, tasks, all_begun=True, look=lambda x: looks.append([*x])))
    assert looks[0] == [0, 1] and {k for look in looks for k in look} == set(range(5))
    assert max(map(len, looks)) == 2
    here: list[list[int]] = []
    dict(run(tasks, look=lambda x: here.append([*x])))
    assert here == [[k] for k in range(5)]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"jobs": 0}, "--jobs 0: expected 1 to 512"),
        ({"jobs": 513}, "--jobs 513: expected 1 to 512"),
        ({"jobs": 2, "scheduler": "tcp://a:1"}, "leave one of the two out"),
    ],
)
def test_workers_that_cannot_be_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        Workers(**wrong)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1"])
def test_where_no_scheduler_answers_it_is_said(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_ANSWER_S", 0.3)
    with pytest.raises(BadInput, match=f"--scheduler '{address}': no Dask scheduler answers"):
        dict(run(squares(tmp_path, 1), Workers(scheduler=address)))


def test_without_the_extra_its_line_is_told_and_one_process_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert dict(run(squares(tmp_path, 3))) == {0: 0, 1: 1, 2: 4}
    for on in (Workers(2), Workers(scheduler="tcp://h:1")):
        with pytest.raises(
            MissingPart, match=r"install it with: pip install 'neurozsl\[cluster\]'"
        ):
            dict(run(squares(tmp_path, 3), on))


@pytest.mark.skipif(sys.platform != "linux", reason="sockets of children are looked up in /proc")
def test_two_processes_one_of_them_killed_give_all_and_leave_nothing(tmp_path: Path) -> None:
    me = psutil.Process()
    before = {x.pid for x in me.children(recursive=True)}
    tasks = [
        Call(f"task {k}", key_of(tmp_path, k), killed_the_first_time, (tmp_path, k))
        for k in range(6)
    ]
    known, ports = _listening(me), set[tuple[str, int]]()

    def look(_: object) -> None:
        victim = tmp_path / "victim"
        if victim.exists() and not (tmp_path / "killed").exists() and victim.read_text():
            ports.update(_listening(me) - known)
            (tmp_path / "killed").touch()
            os.kill(int(victim.read_text()), signal.SIGKILL)

    found = dict(run(tasks, Workers(2), look=look))
    assert found == {k: k * k for k in range(6)}
    assert (tmp_path / "killed").exists()
    assert sorted(map(int, begun(tmp_path))) == list(range(6))  # nothing was done twice
    assert {ip for ip, _ in ports} == {"127.0.0.1"}
    assert {x.pid for x in me.children(recursive=True)} - before <= _trackers(me)


def _listening(me: psutil.Process) -> set[tuple[str, int]]:
    """Addresses on which this process and its children can be called."""
    every = [x for p in (me, *me.children(recursive=True)) for x in p.net_connections(kind="tcp")]
    return {(x.laddr.ip, x.laddr.port) for x in every if x.status == psutil.CONN_LISTEN}


def _trackers(me: psutil.Process) -> set[int]:
    """Python's own process that looks after shared memory; it ends with this one."""
    every = me.children(recursive=True)
    return {x.pid for x in every if "resource_tracker" in " ".join(x.cmdline())}


def test_two_tasks_of_one_process_both_compute_with_one_thread_until_the_last_is_done() -> None:
    import threading

    import threadpoolctl
    import torch

    def counts() -> tuple[int, set[int]]:
        pools = threadpoolctl.threadpool_info()
        return torch.get_num_threads(), {x["num_threads"] for x in pools if x["user_api"] == "blas"}

    first_in, first_out, both_in = threading.Event(), threading.Event(), threading.Event()
    seen: list[tuple[int, set[int]]] = []

    def first() -> None:
        with modules.one_thread():
            first_in.set()
            both_in.wait(30)
        first_out.set()

    def second() -> None:
        first_in.wait(30)
        with modules.one_thread():
            both_in.set()
            first_out.wait(30)
            seen.append(counts())

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        threads = [threading.Thread(target=x) for x in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert seen == [(1, {1})]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
