"""A team whose processes are threads: the same collectives, without starting anything."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


@dataclass
class Meeting:
    """Where the threads of a team leave what they bring."""

    size: int
    slots: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = [None] * self.size
        self.barrier = Barrier(self.size, timeout=60)


class ThreadTeam:
    """Keeps `neurozsl.parallel.team.Team`."""

    def __init__(self, rank: int, meeting: Meeting) -> None:
        self.rank, self.size, self._meeting = rank, meeting.size, meeting

    def total(self, x: Tensor) -> Tensor:
        found = self._exchange(x.detach().clone())
        whole: Tensor = found[0].clone()
        for part in found[1:]:
            whole += part
        return whole

    def wait(self) -> None:
        self._meeting.barrier.wait()

    def tell(self, value: T) -> T:
        told: T = self._exchange(value)[0]
        return told

    def _exchange(self, value: Any) -> list[Any]:
        self._meeting.slots[self.rank] = value
        self.wait()
        found = list(self._meeting.slots)
        self.wait()  # nobody overwrites what another has not read
        return found


def together(size: int, work: Callable[[ThreadTeam], T]) -> list[T]:
    """What `work` returns in every thread of a team, by rank."""
    meeting = Meeting(size)

    def guarded(rank: int) -> T:
        try:
            return work(ThreadTeam(rank, meeting))
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return [f.result() for f in [pool.submit(guarded, r) for r in range(size)]]
