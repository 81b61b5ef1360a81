"""Sparse training in a loop of one's own: any torch network of Linear and Conv layers.

The schedule and the ranking are those of `training.sparsity`; the masks are parametrisations of
torch (`torch.nn.utils.parametrize`), which leave the parameters that an optimiser holds as they
are. What is pruned counts as 0 and keeps its gradient, so that it can come back::

    pruning = nz.Pruning(stack, nz.Sparsity(0.05))
    for step in range(steps):
        pruning.before_step(step / steps)
        ...                                  # forward, backward, optimiser
    pruning.finish()                         # zeros written, the layers are plain again
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from neurozsl.core.errors import BadInput
from neurozsl.training import sparsity as sparse
from neurozsl.training.economy import Sparsity

_KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d)


class _Masked(nn.Module):
    """Straight-through zeros in a parameter."""

    kept: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", None, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """0 where not kept, with the gradient of all."""
        if self.kept is None:
            return values
        return values - values.detach().masked_fill(self.kept, 0.0)

    def right_inverse(self, values: Tensor) -> Tensor:
        """A value that is set is the value itself."""
        return values


class _OwnLayer:
    """One layer of the network, with the words that `training.sparsity` uses."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer
        self.masks: dict[str, _Masked] = {}
        for name in ("weight", "bias"):
            if getattr(layer, name) is not None:
                self.masks[name] = _Masked()
                parametrize.register_parametrization(layer, name, self.masks[name])

    @property
    def synapse(self) -> "_OwnLayer":
        """What holds the weights that are ranked."""
        return self

    @property
    def weight(self) -> Tensor:
        """All weights, those too that are pruned at the moment."""
        original: Tensor = self.layer.parametrizations.weight.original  # type: ignore[union-attr, assignment]
        return original

    def prune(self, kept: Tensor | None, alive: Tensor | None = None) -> None:
        """Use these weights and output channels alone from now on; None: all of them."""
        self.masks["weight"].kept = kept
        if "bias" in self.masks:
            self.masks["bias"].kept = alive

    def settle(self) -> None:
        """Write the zeros and take the masks away."""
        for name in self.masks:
            parametrize.remove_parametrizations(self.layer, name, leave_parametrized=True)


def _zeros(weight: Tensor) -> sparse.Zeros:
    """The zeros that a layer begins with: none, a number, or whole inputs."""
    return sparse.Zeros(int(torch.count_nonzero(weight.detach())), None, None)


class Pruning:
    """Prunes the Linear and Conv layers of a network while it is trained.

    Args:
        network: trained in place. Recurrent weights of Norse's cells are left alone.
        sparsity: how much, what and where; None: every layer keeps as many zeros as it has now, so
            that a pruned network can be trained on. Weights may change places with zeros.
        output: names of layers whose neurons are read; default the last one. With
            structure="neurons" they keep their neurons. BatchNorm behind a pruned neuron may still
            make it spike by its shift: fold it first, or prune weights.

    Raises:
        BadInput: the network has no such layer, or none of that name.
    """

    def __init__(
        self, network: nn.Module, sparsity: Sparsity | None, *, output: tuple[str, ...] = ()
    ) -> None:
        found = {name: x for name, x in network.named_modules() if isinstance(x, _KINDS)}
        if not found:
            raise BadInput(
                f"pruning: {type(network).__name__} has no Linear, Conv1d or Conv2d layer, nothing "
                "can be pruned"
            )
        unknown = sorted(set(output) - set(found))
        if unknown:
            raise BadInput(
                f"pruning: no layer {', '.join(unknown)}; the layers are {', '.join(found)}"
            )
        self.sparsity = sparsity
        self.output = output or (list(found)[-1],)
        self.finished = False
        self._layers = {name: _OwnLayer(layer) for name, layer in found.items()}
        self._zeros = {name: _zeros(x.weight) for name, x in self._layers.items()}

    def named_layers(self) -> Mapping[str, _OwnLayer]:
        """The layers that are pruned, by their names in the network."""
        return self._layers

    def read_layers(self) -> tuple[str, ...]:
        """Layers that keep their neurons."""
        return self.output

    def before_step(self, done: float) -> float:
        """Set the masks; done: share of all steps, 0 to 1. Returns the density of the schedule.

        Raises:
            BadInput: `done` is no share, or the pruning is finished.
        """
        if self.finished:
            raise BadInput("pruning: finished; to prune on, make a new nz.Pruning of the network")
        if not 0 <= done <= 1:
            raise BadInput(f"pruning: {done:g} of the steps done, expected a share 0 to 1")
        if self.sparsity is None:
            sparse.keep_zeros(self, self._zeros)
            return self.density()
        density = self.sparsity.at(done)
        sparse.apply(self, self.sparsity, density)
        return density

    def density(self) -> float:
        """Share of the weights of all layers that are used and not 0 at the moment."""
        used = sum(int(torch.count_nonzero(x.layer.weight)) for x in self._layers.values())  # type: ignore[arg-type, misc]
        return used / sum(x.weight.numel() for x in self._layers.values())

    def finish(self) -> dict[str, int]:
        """Write the zeros of the final density; returns the weights left in every layer."""
        self.before_step(1.0)
        for layer in self._layers.values():
            layer.settle()
        self.finished = True
        return {
            name: int(torch.count_nonzero(x.layer.weight))  # type: ignore[arg-type]
            for name, x in self._layers.items()
        }
