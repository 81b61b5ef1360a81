"""Sparse training: gradual magnitude pruning of the spiking branch, with a way back.

Before every step the largest weights of each layer are kept and the others count as 0, while the
gradient reaches all of them (`models.spiking_layer`): a weight that was pruned grows on and takes
the place of another one where it has become larger. The share that is kept falls along the cubic
curve of Zhu and Gupta (2017, arXiv:1710.01878, Eq. 1) between two points of a stage::

    density(p) = f + (1 - f) (1 - (p - start) / (end - start))^3        p: share of the steps done

so the last part of a stage trains at the final density f. The masks are a function of the weights
and of p alone: nothing but f (where a budget steers it) is kept between steps, and a run that is
continued goes on to the same numbers. What is pruned, `structure`:

    weights   single weights, the largest |w|
    inputs    whole input values of a layer: columns with the largest norm
    neurons   whole neurons of hidden layers: rows with the largest norm; their drive becomes 0, so
              they never spike. Layers that the host reads keep theirs, and prune single weights

`scope`: how many each layer keeps of the total,

    layer     the same share
    erk       shares in proportion to (inputs + outputs) / (inputs x outputs), at most 1: small
              layers keep more (the Erdos-Renyi kernel of Evci et al. 2020, arXiv:1911.11134)
    global    all layers are ranked together, each by its |w| over the root mean square of its own
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.models.base import ZSLModel, branch_of
from neurozsl.models.pathways import PathwayBranch
from neurozsl.models.spiking_layer import NeuronLayer
from neurozsl.training.economy import Scope, Sparsity, Structure

Prunable: TypeAlias = PathwayBranch[Any]
"""A branch whose layers hold masks, as all of ours do."""


class HasLayers(Protocol):
    """What is asked of a network that is pruned: layers with `synapse.weight` and `prune`."""

    def named_layers(self) -> Mapping[str, Any]: ...
    def read_layers(self) -> tuple[str, ...]: ...


def prunable(model: ZSLModel) -> Prunable:
    """The branch of a model, as one whose layers can be pruned.

    Raises:
        BadInput: there is none, or it is another kind.
    """
    branch = branch_of(model)
    if isinstance(branch, PathwayBranch):
        return branch
    what = (
        "it has no spiking branch" if branch is None else f"its branch is a {type(branch).__name__}"
    )
    raise BadInput(
        f"sparsity: model {type(model).__name__} cannot be pruned, {what}; train a model whose "
        "branch is a models.pathways.PathwayBranch (mdft, stft, mdst++), or leave --sparsity out"
    )


def apply(branch: HasLayers, sparsity: Sparsity, density: float) -> None:
    """Keep the largest weights, inputs or neurons of every layer, this share of them."""
    layers = branch.named_layers()
    if density >= 1:
        for layer in layers.values():
            layer.prune(None)
        return
    read = branch.read_layers()
    with torch.no_grad():
        how = {x: _structure(sparsity.structure, x in read) for x in layers}
        scores = {x: _score(y, how[x]) for x, y in layers.items()}
        counts = _COUNTS[sparsity.scope](layers, scores, density)
        for name, layer in layers.items():
            _keep(layer, largest(scores[name], counts[name]), how[name])


@dataclass(frozen=True)
class Zeros:
    """Which weights of a pruned layer are 0: what `keep_zeros` keeps so.

    count: weights that are left. alive: output channels with a drive; None: all. columns: inputs
    with weights, where whole inputs were pruned; None: any weight of a living channel may be used.
    """

    count: int
    alive: Tensor | None
    columns: Tensor | None


def zeros_of(branch: Prunable) -> dict[str, Zeros]:
    """The zeros of every layer of a branch that was pruned."""
    with torch.no_grad():
        return {name: _zeros(name, layer) for name, layer in branch.named_layers().items()}


def _zeros(name: str, layer: NeuronLayer) -> Zeros:
    used = layer.weight != 0
    # A pruned neuron has no bias either; a row that merely lost its weights has one.
    bias = torch.as_tensor(layer.folded(name)[1], device=used.device)
    alive = used.flatten(1).any(1) | (bias != 0)
    columns = used.transpose(0, 1).flatten(1).any(1)
    block = used[alive][:, columns]
    return Zeros(
        count=int(used.sum()),
        alive=None if bool(alive.all()) else alive,
        columns=columns if bool(block.all()) and not bool(columns.all()) else None,
    )


def keep_zeros(branch: HasLayers, zeros: Mapping[str, Zeros]) -> None:
    """Keep as many weights of every layer as there were, the largest ones.

    Whole neurons and whole inputs that were pruned stay so; other weights may change places.
    """
    with torch.no_grad():
        for name, layer in branch.named_layers().items():
            had, score = zeros[name], layer.synapse.weight.abs()
            if had.alive is not None:
                score[~had.alive] = -1.0
            if had.columns is not None:
                score[:, ~had.columns] = -1.0
            layer.prune(largest(score, had.count), had.alive)


def nonzeros(branch: Prunable) -> dict[str, int]:
    """Weights of every layer that are used and not 0."""
    layers = branch.named_layers().items()
    return {name: int(torch.count_nonzero(layer.weight)) for name, layer in layers}


def number(of: int, density: float) -> int:
    """How many of `of` are kept: at least one, so that a layer hears something.

    >>> number(1000, 0.05), number(10, 0.001)
    (50, 1)
    """
    return min(of, max(1, round(of * density)))


def settle(branch: Prunable) -> None:
    """Write the zeros into the weights; nothing is pruned in training from here on.

    Of a branch that runs in integers, weights that round to 0 become 0 too: they did nothing.
    """
    program, layers = branch.integers(), branch.named_layers()
    for layer in layers.values():
        layer.settle()
    if program is None:
        return
    with torch.no_grad():
        for rounded in program.layers:
            weight = layers[rounded.name].synapse.weight
            zero = torch.as_tensor(rounded.synapses[0].weight == 0, device=weight.device)
            weight.masked_fill_(zero.reshape(weight.shape), 0.0)


def largest(score: Tensor, count: int) -> Tensor:
    """Which scores are the `count` largest, in their shape; exactly so many even of equal ones."""
    kept = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
    kept[torch.topk(score.flatten(), count, sorted=False).indices] = True
    return kept.reshape(score.shape)


def _structure(asked: Structure, read: bool) -> Structure:
    """What one layer is pruned by: the host reads the neurons of some."""
    return "weights" if asked == "neurons" and read else asked


def _score(layer: NeuronLayer, structure: Structure) -> Tensor:
    """What ranks the weights, input values or output channels of a layer."""
    weight = layer.synapse.weight
    if structure == "weights":
        return weight.abs()
    if structure == "neurons":
        return _norms(weight)
    return _norms(weight.transpose(0, 1))  # input channels


def _norms(weight: Tensor) -> Tensor:
    """Euclidean norm of what stands behind each entry of the first axis."""
    norms: Tensor = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    return norms


def _keep(layer: NeuronLayer, kept: Tensor, structure: Structure) -> None:
    """Masks of a layer; kept: of its weights, neurons or inputs."""
    weight = layer.synapse.weight
    trailing = (1,) * (weight.dim() - 2)
    if structure == "weights":
        layer.prune(kept)
    elif structure == "neurons":
        layer.prune(kept.reshape(-1, 1, *trailing).expand_as(weight), kept)
    else:
        layer.prune(kept.reshape(1, -1, *trailing).expand_as(weight))


Layers = Mapping[str, NeuronLayer]
Scores = Mapping[str, Tensor]


def _equal(layers: Layers, scores: Scores, density: float) -> dict[str, int]:
    """The same share of every layer."""
    return {name: number(score.numel(), density) for name, score in scores.items()}


def _small_layers_more(layers: Layers, scores: Scores, density: float) -> dict[str, int]:
    """Erdos-Renyi shares; a layer that is full leaves its surplus to the others."""
    raw = {}
    for name, layer in layers.items():
        out, inputs = layer.synapse.weight.shape[:2]
        raw[name] = (out + inputs) / (out * inputs)
    sizes = {name: score.numel() for name, score in scores.items()}
    full: set[str] = set()
    while True:
        left = density * sum(sizes.values()) - sum(sizes[name] for name in full)
        free = [name for name in sizes if name not in full]
        scale = left / sum(raw[name] * sizes[name] for name in free) if free else 0.0
        over = [name for name in free if scale * raw[name] > 1]
        if not over:
            break
        full.update(over)
    return {
        name: sizes[name] if name in full else number(sizes[name], scale * raw[name])
        for name in sizes
    }


def _ranked_together(layers: Layers, scores: Scores, density: float) -> dict[str, int]:
    """As many of each layer as are among the largest of all."""
    flat = {name: score.flatten() for name, score in scores.items()}
    flat = {n: x / x.square().mean().sqrt().clamp_min(1e-12) for n, x in flat.items()}
    every = torch.cat(list(flat.values()))
    kept = largest(every, number(every.numel(), density))
    parts = torch.split(kept, [x.numel() for x in flat.values()])
    return {name: max(1, int(part.sum())) for name, part in zip(flat, parts, strict=True)}


_COUNTS: Mapping[Scope, Callable[[Layers, Scores, float], dict[str, int]]] = {
    "layer": _equal,
    "erk": _small_layers_more,
    "global": _ranked_together,
}


def density_of(branch: Prunable) -> float:
    """Share of the weights of all layers that are used and not 0."""
    sizes = [layer.synapse.weight.numel() for layer in branch.named_layers().values()]
    return sum(nonzeros(branch).values()) / math.fsum(sizes)
