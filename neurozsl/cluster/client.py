"""Tasks on `dask.distributed`: a cluster of this machine for as long as it is needed, or yours.

The local one: N worker processes of one thread each, on the loopback address, without a dashboard;
they end with this process, also where it is killed. Its scheduler takes what any process of this
machine sends it, as Dask's do. Dask itself prints nothing; a lost worker is told in one note.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from neurozsl.cluster.tasks import LOOK_S, TRIES, Answer, Call, Look, Workers, on_worker, versions
from neurozsl.core.errors import BadInput, MissingPart, NeuroZSLError
from neurozsl.core.folders import temporary_folder
from neurozsl.core.printable import printable

EXTRA_LINE: Final = "pip install 'neurozsl[cluster]'"
_LOOPBACK: Final = "127.0.0.1"
_ANSWER_S: Final = 20  # to answer a call
_FIRST_WORKER_S: Final = 300  # queues of clusters are long; Ctrl-C ends it before
_AHEAD: Final = 64  # tasks that a foreign scheduler sees beyond its threads: it may start workers
_QUIET: Final[Mapping[str, Any]] = {
    "distributed.nanny.pre-spawn-environ.DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
    # Dask has memory given back in pieces of 64 kB, which encoding clips paid for with half as much
    # time again; None leaves it to the C library, as in this process.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.scheduler.allowed-failures": 3,
    "distributed.scheduler.worker-saturation": 1.0,  # what has not begun waits with the scheduler
    "distributed.worker.profile.enabled": False,
}


@contextmanager
def opened(on: Workers, tasks: int) -> Iterator[Any]:
    """A client of the cluster; tasks: how many there are, no more workers than that begin.

    Raises:
        BadInput: no scheduler answers at the address, or it has no worker.
        MissingPart: `distributed` is not installed.
    """
    what = f"--scheduler '{on.scheduler}'" if on.scheduler else f"--jobs {on.jobs}"
    try:
        import dask
    except ImportError as error:
        raise _missing(what, error) from error
    try:
        # Before ours are set: they would, as they are taken back, take its own settings along.
        import distributed
    except ImportError as error:
        raise _missing(what, error) from error
    with dask.config.set(_QUIET), _silent():
        if on.scheduler:
            with _yours(distributed, on.scheduler) as client:
                yield client
            return
        with temporary_folder("neurozsl-workers") as folder:
            cluster = distributed.LocalCluster(
                n_workers=min(on.jobs, tasks),
                threads_per_worker=1,
                processes=True,
                host=_LOOPBACK,
                dashboard_address=f"{_LOOPBACK}:0",
                scheduler_kwargs={"dashboard": False},
                worker_dashboard_address=None,
                memory_limit=0,  # else it ends workers at a share of what this machine has
                local_directory=str(folder),
                silence_logs=False,  # it would silence the handlers of the root, ours among them
            )
            with cluster, distributed.Client(cluster, set_as_default=False) as client:
                yield client


@contextmanager
def _silent() -> Iterator[None]:
    """Inside, Dask's part in this process logs nothing."""
    known = [x for x in logging.root.manager.loggerDict if x.split(".")[0] == "distributed"]
    levels = {name: logging.getLogger(name).level for name in known}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _yours(distributed: Any, address: str) -> Iterator[Any]:
    what = f"--scheduler '{address}'"
    remedy = "start one with: dask scheduler, then dask worker ADDRESS --nthreads 1"
    try:
        client = distributed.Client(address, timeout=_ANSWER_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(
            f"{what}: no Dask scheduler answers there within {_ANSWER_S} s ({_told(error)}); "
            f"{remedy}"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_FIRST_WORKER_S)
        except TimeoutError as error:
            raise BadInput(
                f"{what}: 0 workers after {_FIRST_WORKER_S} s, at least 1 is needed; {remedy}"
            ) from error
        yield client


def run_on(
    client: Any, tasks: Sequence[Call], *, all_begun: bool, look: Look | None = None
) -> Iterator[tuple[int, Any]]:
    """Yields (index, value) as they are ready.

    all_begun: no more are handed in than threads are there, so each of them has begun.

    Raises:
        NeuroZSLError: a task failed, or its workers were lost again and again.
    """
    wanted = dict(versions())
    own: dict[str, list[int]] = {}  # tasks of one key are one
    for index, task in enumerate(tasks):
        own.setdefault(task.key, []).append(index)
    waiting = iter(own)
    ready: queue.SimpleQueue[str] = queue.SimpleQueue()
    futures: dict[str, Any] = {}
    failed: BaseException | None = None
    told: set[tuple[str, int, str]] = set()

    def hand_in() -> None:
        threads = max(1, sum(client.nthreads().values()))
        while len(futures) < threads + (0 if all_begun else _AHEAD):
            key = next(waiting, None)
            if key is None:
                return
            task = tasks[own[key][0]]
            futures[key] = client.submit(
                on_worker,
                wanted,
                task.function,
                task.arguments,
                key=f"neurozsl-{task.key}",
                retries=TRIES - 1,
                pure=False,
            )
            futures[key].add_done_callback(lambda _, key=key: ready.put(key))

    try:
        hand_in()
        while futures:
            if look is not None:
                look(sorted(own[key][0] for key in futures))
            try:
                key = ready.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            future = futures.pop(key)
            try:
                answer = _answer(future, tasks[own[key][0]])
            except NeuroZSLError as error:
                if failed is None:
                    failed = error
                if not all_begun:
                    break
                continue
            finally:
                future.release()
            for note in answer.notes:
                if note not in told:
                    told.add(note)
                    logging.getLogger(note[0]).log(note[1], "%s", note[2])
            if failed is None:
                hand_in()
            for index in own[key]:
                yield index, answer.value
    finally:
        with suppress(Exception):  # the cluster itself may be what failed
            client.cancel(list(futures.values()))
    if failed is not None:
        raise failed


def _answer(future: Any, task: Call) -> Answer:
    import distributed

    try:
        answer = future.result(timeout=_ANSWER_S)
    except NeuroZSLError:
        raise
    except distributed.KilledWorker as error:
        raise NeuroZSLError(
            f"task '{task.label}': 4 workers that had it were lost; it may need "
            "more memory than there is: use fewer --jobs, or larger machines"
        ) from error
    except Exception as error:
        raise NeuroZSLError(
            f"task '{task.label}': failed {TRIES} times with {type(error).__name__}: {_told(error)}"
        ) from error
    if not isinstance(answer, Answer):
        raise NeuroZSLError(f"task '{task.label}': its worker gave {type(answer).__name__}")
    if answer.error is not None:
        raise answer.error
    return answer


def _told(error: BaseException) -> str:
    return printable(str(error))[:500]


def _missing(what: str, error: ImportError) -> MissingPart:
    return MissingPart(f"{what} needs dask.distributed ({error}); install it with: {EXTRA_LINE}")
