"""ConSE: what pretrained classifiers already know, without training (Norouzi et al., ICLR 2014).

A classifier of labels y gives p(y | x). With the class vector s(y) of each of its own labels, the
convex combination of the k likeliest labels is a place in the space of class vectors::

    f(x) = sum over the top k of  p(y | x) s(y)  /  sum over the top k of  p(y | x)        (Eq. 2)

and any class, one without a sample too, is ranked by cos(f(x), s(class)). Here the classifiers are
the heads of the encoders that made the features of the set, and s is its text encoder; picture and
sound give an f each, in the two heads of the score, whose weight validation chooses with k and the
temperature of the softmax (p ~ exp(logit / temperature)). Outputs without a name are left out.

Steps of a window become one vector before the classifier, as its authors pool: the mean over time
of scores' input for pictures, the maximum for sound. There is no parameter and no loss.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.data.encoder_spec import EncoderSpec, specs_of
from neurozsl.data.encoders.registry import same_encoder
from neurozsl.models.base import Embedding, LossTerms, Prepared
from neurozsl.models.blocks import masked_mean
from neurozsl.models.options import check_known, check_rules

TOP_KS: Final = (1, 3, 5, 10, 30, 0)  # that validation chooses among; 0: all labels
TEMPERATURES: Final = (0.5, 1.0, 2.0)
PARTS: Final = ("video", "audio")


@dataclass(frozen=True)
class ConSEConfig:
    """Everything that defines a ConSE.

    encoders: what the set's meta notes of its encoders, each with `scale`, by which its features
    were divided. top_k: labels in the combination, 0 for all. temperature: of the softmax.
    """

    audio_dim: int
    video_dim: int
    encoders: Mapping[str, Any] = field(default_factory=dict)
    top_k: int = 10
    temperature: float = 1.0
    encode: str = "sequence"
    steps: int = 0


class ConSE(nn.Module):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    def __init__(self, config: ConSEConfig) -> None:
        super().__init__()
        self.config = config
        self._specs = specs_of({"encoders": config.encoders}, "model 'conse'")
        self._parts = [part for part in PARTS if part in self._specs and self._specs[part].labels]
        if "text" not in self._specs or not self._parts:
            had = ", ".join(f"{part}: {spec.name}" for part, spec in self._specs.items()) or "none"
            raise BadInput(
                f"model 'conse': the set's encoders ({had}) have no text encoder, or no classifier "
                "with labels; build the set with `neurozsl data build --video-encoder "
                "efficientnet-lite0 --audio-encoder aisfx --text-encoder minilm`"
            )
        words = self._specs["text"].width
        for part in self._parts:
            spec = self._specs[part]
            for number, (fan_in, fan_out) in enumerate(_pairs(spec)):
                self.register_buffer(f"{part}_weight{number}", torch.zeros(fan_out, fan_in))
                self.register_buffer(f"{part}_bias{number}", torch.zeros(fan_out))
            self.register_buffer(f"{part}_labels", torch.zeros(spec.labels, words))
            self.register_buffer(f"{part}_named", torch.zeros(spec.labels))

    def options(self) -> dict[str, Any]:
        """All arguments of `build`."""
        return asdict(self.config)

    def choices(self) -> tuple[dict[str, Any], ...]:
        """What validation chooses among."""
        return tuple({"top_k": k, "temperature": t} for k in TOP_KS for t in TEMPERATURES)

    def with_choice(self, choice: Mapping[str, Any]) -> "ConSE":
        """This model with another top k and temperature."""
        other = ConSE(replace(self.config, **choice))
        other.load_state_dict(self.state_dict())
        return other

    def calibrate(self, batch: AVBatch) -> None:
        """Take the heads of the encoders over, and the vectors of their labels.

        Raises:
            BadInput: this machine has another version of an encoder.
            MissingPart: an encoder is not set up here.
        """
        text = same_encoder(self._specs["text"], where="the data set")
        for part in self._parts:
            head = same_encoder(self._specs[part], where="the data set").head()
            state = {}
            for number, (weight, bias) in enumerate(head.layers):
                state[f"{part}_weight{number}"], state[f"{part}_bias{number}"] = weight, bias
            named = [i for i, name in enumerate(head.labels) if name]
            vectors = torch.zeros_like(self._of(part, "labels"))
            vectors[named] = torch.from_numpy(text.text([head.labels[i] for i in named]))
            state[f"{part}_labels"] = vectors
            state[f"{part}_named"] = torch.tensor([float(bool(name)) for name in head.labels])
            for name, value in state.items():
                self.get_buffer(name).copy_(torch.as_tensor(value))

    def prepare(self, batch: AVBatch) -> Prepared:
        """Pool the steps of each part as its encoder does; nothing goes to a chip."""
        pooled = {}
        for part in self._parts:
            values = batch.video if part == "video" else batch.audio
            if self._specs[part].pool == "max":
                pooled[part] = values.masked_fill(~batch.mask[..., None], -torch.inf).amax(1)
            else:
                pooled[part] = masked_mean(values, batch.mask)
        return Prepared(None, pooled)

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """A unit vector per part in the space of the class vectors."""
        heads = tuple(self._place(part, context[part]) for part in self._parts)
        return Embedding(heads, {})

    def forward(self, batch: AVBatch) -> Embedding:
        """The whole model."""
        return self.finish(None, self.prepare(batch).context)

    def embed_words(self, vectors: Tensor) -> Tensor:
        """Class vectors stay as they are, of length 1: nearest is most similar by cosine."""
        return functional.normalize(vectors, dim=1)

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """Nothing is minimised."""
        return LossTerms(output.heads[0].new_zeros(()), {})

    def warnings(self, batch: AVBatch) -> list[str]:
        """Nothing that could degenerate."""
        return []

    def _place(self, part: str, pooled: Tensor) -> Tensor:
        """f(x), (batch, words), normalised."""
        scores = pooled * float(self.config.encoders[part]["scale"])
        pairs = _pairs(self._specs[part])
        for number in range(len(pairs)):
            weight, bias = self._of(part, f"weight{number}"), self._of(part, f"bias{number}")
            scores = functional.linear(scores if number == 0 else scores.relu(), weight, bias)
        shares = functional.softmax(scores / self.config.temperature, dim=1)
        shares = shares * self._of(part, "named")
        count = min(self.config.top_k or shares.shape[1], shares.shape[1])
        best, which = shares.topk(count, dim=1)
        share = best / best.sum(1, keepdim=True).clamp_min(1e-12)
        place = (share[..., None] * self._of(part, "labels")[which]).sum(1)
        return functional.normalize(place, dim=1)

    def _of(self, part: str, name: str) -> Tensor:
        return self.get_buffer(f"{part}_{name}")


def _pairs(spec: EncoderSpec) -> list[tuple[int, int]]:
    """(in, out) of every layer of a head."""
    return list(zip(spec.layers[:-1], spec.layers[1:], strict=True))


def build(
    *, audio_dim: int, video_dim: int, encoders: Mapping[str, Any] | None = None, **options: Any
) -> ConSE:
    """Make a ConSE for a set whose encoders have labels.

    Raises:
        BadInput: unknown option, a value that is not allowed, or a set without such encoders.
    """
    check_known("conse", ConSEConfig, options)
    config = ConSEConfig(audio_dim, video_dim, encoders or {}, **options)
    k, t = config.top_k, config.temperature
    rules = {
        f"top_k={k}, expected a whole number of at least 0 (0: all)": k >= 0,
        f"temperature={t!r}, expected a number above 0": _is_positive(t),
    }
    for part, width in (("audio", audio_dim), ("video", video_dim)):
        spec = config.encoders.get(part)
        if spec is not None:
            fits = isinstance(spec, dict) and spec.get("width") == width
            rules[f"{part} is {width} wide, its encoder gives another width"] = fits
            rules[f"the encoder of {part} has no scale"] = fits and _is_positive(spec.get("scale"))
    check_rules("conse", rules)
    return ConSE(config)


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9
