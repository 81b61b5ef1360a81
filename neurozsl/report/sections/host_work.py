"""What a piece of host work does: its FLOPs, the bytes that it moves, its seconds.

FLOPs are those of torch's counter: matrix products, convolutions and attention, nothing element by
element. Bytes are the sizes of the tensors that every operator reads and writes, parameters and
activations alike; views move nothing, and caches, which save much of this, are not modelled.
"""

import timeit
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

_TIMED_CALLS: Final = 3


def counted_flops(work: Callable[[], object]) -> float:
    """FLOPs of one call by torch's counter (2 per multiply-accumulate)."""
    # Outside no_grad: the counter hooks into autograd and fails on views of parameters inside it.
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def counted_bytes(work: Callable[[], object]) -> float:
    """Bytes that the operators of one call read and write; see the module."""
    with torch.no_grad(), _Bytes() as counter:
        work()
    return float(counter.total)


class _Bytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own is untyped
    """Sum of the sizes of all tensors that go into and come out of operators but views."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view and func not in _MOVES_NOTHING:
            values = tree_leaves((args, kwargs, out))
            self.total += sum(
                x.numel() * x.element_size() for x in values if isinstance(x, torch.Tensor)
            )
        return out


# Reshape without a copy of its own: what it copies, it copies through `clone`.
_MOVES_NOTHING: Final = frozenset({torch.ops.aten._unsafe_view.default})


def measured_seconds(work: Callable[[], object]) -> float:
    """Wall time of one call on this processor: the least of a few, after one to warm up."""
    with torch.no_grad():
        work()
        return min(timeit.repeat(work, repeat=_TIMED_CALLS, number=1))
