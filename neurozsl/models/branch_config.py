"""Options that every model with a spiking branch has."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from neurozsl.core.errors import BadInput
from neurozsl.models.blocks import Output
from neurozsl.models.neurons import Neuron, NeuronConfig, Surrogate
from neurozsl.models.sequence import Encode

Preset = Literal["paper", "deploy", "sparse", "paper-wide"]
Modality = Literal["audio", "video"]


@dataclass(frozen=True)
class BranchConfig:
    """What the configurations share; the defaults are those of the preset `deploy`.

    Widths: `embed` E, `hidden` of the encoders and projections, `proj` of the shared space.
    `encode`, `steps`: what is done with time, see `sequence`. `motion_inputs` are the modalities
    with a motion pathway. `motion_head`: a second head on the spikes alone with its own loss.
    `learn_thresholds`: those of the events are trained with the weights (`event_threshold`).
    `literal`: equations as printed where the reading differs.
    """

    audio_dim: int
    video_dim: int
    word_dim: int = 300
    preset: Preset = "deploy"
    encode: Encode = "sequence"
    steps: int = 10
    embed: int = 64
    hidden: int = 128
    proj: int = 64
    heads: int = 2
    head_width: int = 32
    drop_enc: float = 0.2
    drop_dec: float = 0.2
    drop_word: float = 0.1
    output: Output = "linear"  # relu: AVCA's block, as printed
    margin: float = 1.0
    motion: bool = True
    motion_inputs: tuple[Modality, ...] = ("audio", "video")
    motion_head: bool = True
    neuron: Neuron = "lif"
    decay_u12: int = 2048  # beta = 0.5: the best in the sweep, and exact on every target
    theta: float = 1.0
    surrogate: Surrogate = "tanh"
    slope: float = 1.0  # of tanh; 1 beat 2 and 3 in trials, 5 of SuperSpike is not to be had
    norm: bool = True
    detach_threshold: bool = False
    dt_s: float = 1e-3
    learn_thresholds: bool = False
    literal: bool = False

    @property
    def widths(self) -> dict[str, int]:
        """Of the features of each modality."""
        return {"audio": self.audio_dim, "video": self.video_dim}

    @property
    def neurons(self) -> NeuronConfig:
        """The neuron of every layer."""
        return NeuronConfig(self.neuron, self.decay_u12, self.theta, self.surrogate, self.slope)


def is_stored(options: Mapping[str, Any]) -> bool:
    """Whether these are the resolved options of a stored run: all that models with a branch share.

    Nobody writes all of them by hand. What such options lack came after them: its default is what
    was computed before, whatever a preset says today. So a new option belongs into a model's own
    configuration, with the old behaviour as its default.
    """
    return {f.name for f in fields(BranchConfig)} - {"audio_dim", "video_dim"} <= options.keys()


def preset_options(
    model: str, presets: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What the preset among the options sets, `deploy` where there is none.

    Raises:
        BadInput: the model has no preset of that name.
    """
    name = str(options.get("preset", "deploy"))
    if name not in presets:
        raise BadInput(f"model '{model}': preset='{name}', expected one of {', '.join(presets)}")
    return presets[name]


def without_bits(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The options with the word none of `name` as None: no code, real numbers."""
    found = dict(options)
    if found.get(name) == "none":
        found[name] = None
    return found
