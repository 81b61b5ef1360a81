"""Options that every model with a spiking branch has."""

from dataclasses import dataclass
from typing import Literal

from neurozsl.models.blocks import Output
from neurozsl.models.neurons import Neuron, NeuronConfig, Surrogate
from neurozsl.models.sequence import Encode

Preset = Literal["paper", "deploy", "sparse"]
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
