"""How samples and their negatives go through a model: in one pass, or in two passes apart.

The benchmark's public code passes samples and their negatives through the networks one after the
other, each with BatchNorm statistics of its own, and takes the loss of the samples alone. With
`passes="apart"` a training batch is read so: its first half are samples, its second half the
negatives drawn for them, as the rule `negatives=drawn` makes it. With `passes="joint"` it is one
batch, whatever its rows are for, and every row is a sample with a negative in some other row.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from neurozsl.core.errors import BadInput

Passes = Literal["joint", "apart"]


class InPasses:
    """What a model with the option `passes` has beside `nn.Module`; it sets `passes` itself."""

    name: ClassVar[str]  # in messages
    passes: Passes
    training: bool

    @property
    def apart(self) -> bool:
        """Whether halves of a batch pass by themselves now."""
        return self.training and self.passes == "apart"

    def share(self, scope: Any) -> None:
        """Refuse several processes, which would cut the halves (`parallel.shared_layers`)."""
        if self.passes == "apart" and scope.team.size > 1:
            raise BadInput(
                f"model '{self.name}': passes=apart reads a batch as two halves, which "
                f"{scope.team.size} processes would cut; train in one, or with passes=joint"
            )

    def through(self, net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Pass rows through a network, each half by itself where that is asked for."""
        if not self.apart:
            return net(x)
        return torch.cat([net(half) for half in halves(x)])

    def pairs(self, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the samples, from 0 on, and of their negatives, `(pairs,)` each.

        Raises:
            BadInput: passes=apart, and the second half are not the first one's negatives.
        """
        rows = torch.arange(len(negative), device=negative.device)
        if not self.apart:
            return rows, negative
        sample, other = halves(rows)
        if len(rows) % 2 or not torch.equal(negative[: len(sample)], other):
            raise BadInput(
                f"model '{self.name}': passes=apart takes batches that end in the negatives drawn "
                "for their samples; train with `--rule negatives=drawn`, or with passes=joint"
            )
        return sample, other


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the second half of the rows."""
    return x[: len(x) // 2], x[len(x) // 2 :]
