"""BatchNorm and dropout that do not depend on how many processes a batch is spread over.

`convert` puts them in the place of a model's own, with the same parameters and names. What they
need to know of the step is in a `Scope` that the training loop sets:

    BatchNorm   mean and variance over the rows of all processes (all-reduced, differentiable;
                torch's SyncBatchNorm does not run on a CPU). In float64 the statistics are those
                of one process to rounding.
    Dropout     the mask is a hash of (seed, stage, epoch, step, layer, call, row, channel), so a
                sample meets the same mask in whichever process it is, and after a restart.

While the scope names no rows, every process holds the whole batch (as in the loss), and the layers
do what one process would do.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neurozsl.core.errors import BadInput
from neurozsl.models.base import TorchModule
from neurozsl.parallel.team import Ints, Team, total

# Increment and multipliers of splitmix64 (Steele, Lea, Flood, OOPSLA 2014), as signed 64-bit.
_WEYL = 0x9E3779B97F4A7C15 - 2**64
_MULTIPLY = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))
_BITS = 53  # of a hash that are compared with the dropout probability


class Scope:
    """Where in the training the layers of one model are; set by the loop, read by the layers."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.rows: Ints | None = None  # global positions of the rows in this process
        self.key: tuple[int, ...] = ()
        self._calls: dict[str, int] = {}

    def begin(self, *key: int) -> None:
        """Start a step: its key (seed, stage, epoch, step) is part of every dropout mask."""
        self.key = key
        self._calls = {}

    @contextmanager
    def sliced(self, rows: Ints) -> Iterator[None]:
        """Inside, batches hold the rows `rows` of the global batch."""
        self.rows = rows
        try:
            yield
        finally:
            self.rows = None

    def mean(self, x: Tensor) -> Tensor:
        """Mean over the samples, the first axis, of the global batch; with gradient."""
        if self.rows is None or self.team.size == 1:
            return x.mean(0)
        count = total(self.team, x.new_tensor(float(len(x))))
        return total(self.team, x.sum(0)) / count

    def sum(self, x: Tensor) -> Tensor:
        """Sum over the processes of one batch; with gradient."""
        return x if self.rows is None or self.team.size == 1 else total(self.team, x)

    def call(self, layer: str) -> int:
        """How often the layer was called in this step before."""
        count = self._calls.get(layer, 0)
        self._calls[layer] = count + 1
        return count


@runtime_checkable
class ReadsBatch(Protocol):
    """A module of a model's own that reads the whole batch in another way than a batch norm."""

    def share(self, scope: Scope) -> None:
        """Take the scope, to read the rows of all processes with it."""


def convert(model: TorchModule, scope: Scope, *, dropout: bool) -> None:
    """Put shared layers in the place of a model's batch norms (several processes) and dropout.

    model: changed in place; parameters, buffers and their names stay. scope: of this model alone.
    dropout: replace dropout too.

    Raises:
        BadInput: the model has a dropout of another kind.
    """
    for name, module in list(model.named_modules()):
        made: nn.Module
        if isinstance(module, _BatchNorm) and scope.team.size > 1:
            made = SharedBatchNorm(module, scope)
        elif isinstance(module, nn.Dropout) and dropout:
            made = CounterDropout(module.p, scope, name)
        else:
            if dropout and _draws_its_own(module):
                raise BadInput(
                    f"layer '{name}' ({type(module).__name__}): draws its own dropout, which "
                    "would depend on the number of processes; use nn.Dropout, or train in one "
                    "process with dropout=torch"
                )
            if isinstance(module, ReadsBatch):
                module.share(scope)
            continue
        made.train(module.training)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, made)


def _draws_its_own(module: nn.Module) -> bool:
    if isinstance(module, nn.MultiheadAttention):
        return bool(module.dropout > 0)
    return isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0


class SharedBatchNorm(nn.BatchNorm1d):
    """BatchNorm over the rows of all processes, for any number of axes behind the features."""

    def __init__(self, source: _BatchNorm, scope: Scope) -> None:
        like = ("eps", "momentum", "affine", "track_running_stats")
        super().__init__(source.num_features, **{key: getattr(source, key) for key in like})
        self.weight, self.bias = source.weight, source.bias
        self.running_mean, self.running_var = source.running_mean, source.running_var
        self.num_batches_tracked = source.num_batches_tracked
        self._scope = scope

    def _check_input_dim(self, input: Tensor) -> None:
        """The source's shapes were right, or its model would not run in one process."""

    def forward(self, x: Tensor) -> Tensor:
        """`(rows, features, ...)`."""
        if not self.training or self._scope.rows is None:
            return super().forward(x)
        low = x.dtype in (torch.bfloat16, torch.float16)
        y = x.float() if low else x
        axes = [d for d in range(y.dim()) if d != 1]
        shape = [1, -1, *[1] * (y.dim() - 2)]
        team = self._scope.team
        local = y.new_tensor(float(y.numel() // y.shape[1]))
        sums = total(team, torch.cat([y.sum(axes), local.reshape(1)]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = y - mean.view(shape)
        variance = total(team, centred.square().sum(axes)) / count
        self._track(mean.detach(), variance.detach(), count)
        y = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Running statistics as torch keeps them: the variance there is the unbiased one."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        part = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = variance * (count / (count - 1).clamp_min(1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), part)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), part)


class CounterDropout(nn.Dropout):
    """Dropout with a mask that is a function of the position in the training alone."""

    def __init__(self, p: float, scope: Scope, name: str) -> None:
        super().__init__(p)
        self._scope, self._name = scope, name

    def forward(self, x: Tensor) -> Tensor:
        """Any shape with the samples, or samples x something, on the first axis.

        Raises:
            BadInput: the first axis holds something else.
        """
        if not self.training or self.p == 0.0:
            return x
        if self.p == 1.0:
            return x * 0.0
        scope, height = self._scope, x.shape[0]
        rows = np.arange(height) if scope.rows is None else scope.rows
        if height % len(rows):
            raise BadInput(
                f"dropout '{self._name}': {height} rows for {len(rows)} samples; with "
                "dropout=counter the first axis must be the samples"
            )
        key = (*scope.key, zlib.crc32(self._name.encode()), scope.call(self._name))
        per_sample = x.numel() // len(rows)
        kept = keep_mask(key, rows, per_sample, self.p, x.device)
        return x * kept.view(x.shape).to(x.dtype) / (1.0 - self.p)


def keep_mask(
    key: tuple[int, ...], rows: Ints, per_sample: int, p: float, device: torch.device
) -> Tensor:
    """Which values stay: bool `(rows, per_sample)`, True with probability 1 - p.

    key: of the step and layer. rows: global positions of the samples. The bits are the same on
    every device.
    """
    seed = int(np.random.SeedSequence([int(k) for k in key]).generate_state(1, np.uint64)[0])
    start = torch.as_tensor(rows, device=device).unsqueeze(1) * per_sample
    z = (start + torch.arange(per_sample, device=device)).mul_(_WEYL)
    z.add_(seed - 2**64 if seed >= 2**63 else seed)
    for shift, factor in _MULTIPLY:
        z.bitwise_xor_(_right(z, shift)).mul_(factor)
    z.bitwise_xor_(_right(z, 31))
    return _right(z, 64 - _BITS) >= int(p * 2**_BITS)


def _right(z: Tensor, shift: int) -> Tensor:
    """Logical shift of 64-bit words to the right; torch's own keeps the sign."""
    return (z >> shift).bitwise_and_((1 << (64 - shift)) - 1)
