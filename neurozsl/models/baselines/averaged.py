"""What baselines on averaged features have in common: the contract's parts that are alike in all.

In: an `AVBatch`; its audio and video, averaged over the real steps of a sample, go through the
whole model on the host, nothing spikes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.avca_config import Preset as Preset
from neurozsl.models.base import Embedding, Prepared
from neurozsl.models.baselines.trained_classes import TrainedClasses
from neurozsl.models.blocks import masked_mean
from neurozsl.models.options import check_known, check_rules


class AveragedFeatures(NamedTuple):
    """Averaged features, `(batch, width)` each."""

    audio: Tensor
    video: Tensor


class Averaged(TrainedClasses):
    """Base of such a model; `finish`, `embed_words`, `loss` and `options` are the model's own."""

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
    config = kind(**{**presets[preset], **given})
    values: dict[str, Any] = vars(config)
    rules = {f"{x}={values[x]}, expected 0 to below 1": 0 <= values[x] < 1 for x in shares}
    rules |= {
        f"{x}={values[x]}, expected a whole number of at least 1": values[x] >= 1 for x in sizes
    }
    check_rules(name, rules)
    return config
