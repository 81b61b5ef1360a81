"""Tasks -> results: one after another here, on a cluster of this machine, or on a scheduler's.

Tasks of one key are one task: on a scheduler that still has its result it is not run again. Results
come in the order in which they are ready; each says which task it is of.

A lost worker's tasks are run again by others. A task that fails by an error of its own is tried
once more; the second error ends the work. What is wrong with an input (`BadInput` and its like) is
wrong the second time too, and ends it at once. Then no further task begins; what has begun here
runs to its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any

from neurozsl.cluster.client import opened, run_on
from neurozsl.cluster.tasks import ALONE, TRIES, Call, Look, Workers, lasting, looking
from neurozsl.core.errors import NeuroZSLError


def run(
    tasks: Sequence[Call], on: Workers = ALONE, *, look: Look | None = None
) -> Iterator[tuple[int, Any]]:
    """Yields (index of the task, its value) as they are ready.

    Raises:
        BadInput: no scheduler answers there, or a worker has other versions than this process.
        MissingPart: `distributed` is not installed.
        NeuroZSLError: a task failed, or its workers were lost again and again.
    """
    if not tasks:
        return
    if on.alone:
        yield from _here(tasks, look)
        return
    with opened(on, len(tasks)) as client:
        yield from run_on(client, tasks, all_begun=not on.scheduler, look=look)


def _here(tasks: Sequence[Call], look: Look | None) -> Iterator[tuple[int, Any]]:
    known: dict[str, Any] = {}
    for index, task in enumerate(tasks):
        if task.key not in known:
            told = partial(_nothing if look is None else look, [index])
            told()
            with looking(told):
                known[task.key] = _tried(task)
        yield index, known[task.key]


def _nothing(_: Collection[int]) -> None:
    pass


def _tried(task: Call) -> Any:
    for left in reversed(range(TRIES)):
        try:
            return task.function(*task.arguments)
        except NeuroZSLError as error:
            if lasting(error) or not left:
                raise
        except Exception:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")
