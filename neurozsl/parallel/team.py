"""Processes that train one model together, each on its rows of the same global batch.

A `Team` can add tensors up over its processes; everything else here follows from that one
operation, and the adjoint of a sum over processes is the same sum. The loss is then that of the
global batch in every process, so the mean of the processes' gradients is its gradient, exactly:
with R processes the loss counts R times, in the sum of the adjoints, and the mean divides by R.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from neurozsl.models.base import Embedding

Ints = npt.NDArray[np.int64]
T = TypeVar("T")


class Team(Protocol):
    """What the processes of one training ask of each other; each calls all of it in one order."""

    @property
    def rank(self) -> int:
        """Number of this process, 0 for the one that writes files and prints."""

    @property
    def size(self) -> int:
        """Number of processes."""

    def total(self, x: Tensor) -> Tensor:
        """Sum of `x` over the processes, the same bits in each; no gradient."""

    def wait(self) -> None:
        """Return when every process is here."""

    def tell(self, value: T) -> T:
        """The value that the first process has, in every process."""


class Alone:
    """One process."""

    rank = 0
    size = 1

    def total(self, x: Tensor) -> Tensor:
        return x

    def wait(self) -> None:
        """Nothing to wait for."""

    def tell(self, value: T) -> T:
        return value


class FabricTeam:
    """Processes that Lightning Fabric or torchrun started (gloo on the CPU, NCCL on CUDA)."""

    def __init__(self, fabric: Any) -> None:
        self._fabric = fabric
        self.rank = int(fabric.global_rank)
        self.size = int(fabric.world_size)

    def total(self, x: Tensor) -> Tensor:
        """Sum over the processes; low precisions are added up in float32."""
        narrow = x.dtype in (torch.bfloat16, torch.float16)
        wide = x.detach().float() if narrow else x.detach().clone()
        summed: Tensor = self._fabric.all_reduce(wide.contiguous(), reduce_op="sum")
        return summed.to(x.dtype)

    def wait(self) -> None:
        self._fabric.barrier()

    def tell(self, value: T) -> T:
        told: T = self._fabric.broadcast(value)
        return told


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, team: Team) -> Tensor:
        ctx.team = team
        return team.total(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.team.total(grad.contiguous()), None


def total(team: Team, x: Tensor) -> Tensor:
    """Sum of `x` over the processes, with gradient."""
    summed: Tensor = x if team.size == 1 else _Total.apply(x, team)  # type: ignore[no-untyped-call]  # torch's own
    return summed


def share(count: int, team: Team) -> Ints:
    """The positions `0..count-1` that this process works on: consecutive, sizes differ by <= 1."""
    return np.asarray(np.array_split(np.arange(count), team.size)[team.rank], dtype=np.int64)


def assembled(team: Team, part: Tensor, positions: Ints, count: int) -> Tensor:
    """Rows of all processes in their global order `(count, ...)`, with gradient.

    part: this process's rows. positions: where they belong; those of the processes are disjoint
    and complete.
    """
    if team.size == 1:
        return part
    index = torch.as_tensor(positions, device=part.device)
    whole = part.new_zeros((count, *part.shape[1:])).index_copy(0, index, part)
    return total(team, whole)


def assembled_output(team: Team, output: Embedding, positions: Ints, count: int) -> Embedding:
    """The embedding of the global batch, from the processes' parts of it.

    Of `aux`, tensors with one row per sample are put together; any other is the same everywhere.
    """
    if team.size == 1:
        return output

    def whole(x: Tensor) -> Tensor:
        per_sample = x.dim() > 0 and x.shape[0] == len(positions) and x.is_floating_point()
        return assembled(team, x, positions, count) if per_sample else x

    heads = tuple(assembled(team, head, positions, count) for head in output.heads)
    return replace(output, heads=heads, aux={k: whole(v) for k, v in output.aux.items()})


def average_gradients(team: Team, parameters: Iterable[nn.Parameter]) -> None:
    """Put the mean over the processes in place of every gradient, in one message."""
    if team.size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    mean = team.total(flat) / team.size
    for g, part in zip(gradients, torch.split(mean, [g.numel() for g in gradients]), strict=True):
        g.copy_(part.view_as(g))


def first_does(team: Team, work: Callable[[], object]) -> None:
    """The first process works, the others wait; where it fails, all of them end.

    Raises:
        Exception: in the first process, the error of `work`.
        SystemExit: in the others, with the exit code of that error; the first one says why.
    """
    failed: Exception | None = None
    if team.rank == 0:
        try:
            work()
        except Exception as error:
            failed = error
    code = team.tell(0 if failed is None else getattr(failed, "exit_code", 1))
    if failed is not None:
        raise failed
    if code:
        raise SystemExit(code)
