"""What baselines on averaged features have in common: the contract's parts that are alike in all.

In: an `AVBatch`; its audio and video, averaged over the real steps of a sample, go through the
whole model on the host, nothing spikes. Losses compare a sample with the classes that are trained
on, which `train_on` tells; before it does, these are all rows of the class vectors.

The benchmark's public code passes samples and their negatives through the networks one after the
other, each with BatchNorm statistics of its own, and takes the loss of the samples alone. With
`passes="apart"` a training batch is read so: its first half are samples, its second half the
negatives drawn for them, as the rule `negatives=drawn` makes it. With `passes="joint"` it is one
batch, whatever its rows are for, and every row is a sample with a negative in some other row.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.avca_config import Preset as Preset
from neurozsl.models.base import Embedding, Prepared
from neurozsl.models.blocks import masked_mean
from neurozsl.models.options import check_choices, check_known, check_rules, one_of

Passes = Literal["joint", "apart"]


class AveragedFeatures(NamedTuple):
    """Averaged features, `(batch, width)` each."""

    audio: Tensor
    video: Tensor


class Averaged(nn.Module):
    """Base of such a model; `finish`, `embed_words`, `loss` and `options` are the model's own."""

    classes: Tensor  # ids of the classes that are trained on, ascending; none: not told

    def __init__(self) -> None:
        super().__init__()
        # Not in the state: a stored model is not trained on, and a new one is told again.
        self.register_buffer("classes", torch.empty(0, dtype=torch.long), persistent=False)

    def train_on(self, classes: Tensor) -> None:
        """Take the ids of the classes that are trained on, see `models.base.ComparesClasses`."""
        self.classes = classes.to(self.classes.device).sort().values

    def trained(self, vectors: Tensor) -> Tensor:
        """Vectors of the classes that are trained on, of all `(classes, words)`."""
        return vectors[self.classes] if len(self.classes) else vectors

    def target(self, label: Tensor) -> Tensor:
        """Rows of `trained` that the labels `(batch,)`, rows of all vectors, are."""
        return torch.searchsorted(self.classes, label) if len(self.classes) else label

    def calibrate(self, batch: AVBatch) -> None:
        """Nothing here depends on the training data but the weights."""

    def warnings(self, batch: AVBatch) -> list[str]:
        """Nothing that could degenerate."""
        return []

    def prepare(self, batch: AVBatch) -> Prepared:
        """Average the features over their real steps; nothing goes to a chip."""
        averaged = (masked_mean(x, batch.mask) for x in (batch.audio, batch.video))
        return Prepared(None, AveragedFeatures(*averaged))

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """The model's own part."""
        raise NotImplementedError

    def forward(self, batch: AVBatch) -> Embedding:
        """The whole model."""
        return self.finish(None, self.prepare(batch).context)


class Paired(Averaged):
    """Base of a model that compares samples with negatives, in `passes` of either kind."""

    def __init__(self, name: str, passes: Passes) -> None:
        super().__init__()
        self._name, self._passes = name, passes

    @property
    def apart(self) -> bool:
        """Whether halves of a batch pass by themselves now."""
        return self.training and self._passes == "apart"

    def share(self, scope: Any) -> None:
        """Refuse several processes, which would cut the halves (`parallel.shared_layers`)."""
        if self._passes == "apart" and scope.team.size > 1:
            raise BadInput(
                f"model '{self._name}': passes=apart reads a batch as two halves, which "
                f"{scope.team.size} processes would cut; train in one, or with passes=joint"
            )

    def through(self, net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Pass rows through a network, each half by itself where that is asked for."""
        if not self.apart:
            return net(x)
        return torch.cat([net(half) for half in halves(x)])

    def pairs(self, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the samples and of their negatives, `(pairs,)` each.

        Raises:
            BadInput: passes=apart, and the second half are not the first one's negatives.
        """
        rows = torch.arange(len(negative), device=negative.device)
        if not self.apart:
            return rows, negative
        sample, other = halves(rows)
        if len(rows) % 2 or not torch.equal(negative[: len(sample)], other):
            raise BadInput(
                f"model '{self._name}': passes=apart takes batches that end in the negatives drawn "
                "for their samples; train with `--rule negatives=drawn`, or with passes=joint"
            )
        return sample, other


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the second half of the rows."""
    return x[: len(x) // 2], x[len(x) // 2 :]


def resolve(
    name: str,
    kind: type[Any],
    presets: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
    *,
    shares: Iterable[str] = (),
    sizes: Iterable[str] = (),
) -> Any:
    """A configuration of the dataclass `kind`: a preset, and what is given on top of it.

    shares: options from 0 to below 1, such as dropouts. sizes: whole ones of at least 1.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    check_known(name, kind, given)
    preset = given.get("preset", "ucf_main")
    one_of(name, "preset", preset, presets)
    config = kind(**{**presets[preset], **given})
    check_choices(name, config)
    values: dict[str, Any] = vars(config)
    rules = {f"{x}={values[x]}, expected 0 to below 1": 0 <= values[x] < 1 for x in shares}
    rules |= {
        f"{x}={values[x]!r}, expected a whole number of at least 1": isinstance(values[x], int)
        and values[x] >= 1
        for x in sizes
    }
    check_rules(name, rules)
    return config
