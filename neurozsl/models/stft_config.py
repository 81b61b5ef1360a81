"""Options of STFT, its two presets, and the switches of the paper's ablations.

Table III   loss_parts=triplet,projection,reconstruction; leave out what is ablated
Table IV    glp=off, tsf=false, threshold=fixed, lkc=false
Table V     weight_triplet, weight_rest
Table VI    neuron=mlp (Transformer + MLP). "Spikformer + SNN" is not built: the spiking
            attention of this package is MDST++'s
Table VII   slots=1..6
Table IX    motion=false (only Transformer), transformer=false (only SNN)
Fig. 3      steps, rank, theta with threshold=fixed, motion_inputs (one modality)
"""

from dataclasses import dataclass
from typing import Any, Literal

from neurozsl.core.errors import BadInput
from neurozsl.models.branch_config import BranchConfig
from neurozsl.models.closed_loop import ClosedLoop
from neurozsl.models.conv_layer import Axis
from neurozsl.models.event_codes import EVENT_ENCODERS, EventKind
from neurozsl.models.lkc import State, Tokens
from neurozsl.models.options import check_choices, check_known

LossPart = Literal["triplet", "projection", "reconstruction"]


@dataclass(frozen=True)
class STFTConfig(BranchConfig):
    """Everything that defines an STFT; the defaults are the preset `deploy`.

    Attributes:
        heads, head_width: of the cross-modal transformer.
        feed_hidden: width inside the residual MLPs.
        lkc_heads, slots, lkc_tokens, lkc_state: see `lkc`.
        snn_input: the branch reads raw features, their change since the step before, or the
            encoders' output. Only the change tells motion from scene without a head start, so
            `deploy` has it (ours); repeated averages do not change, so their first step is
            compared with zero.
        glp: where Eq. 7 acts: in every block as printed (not exportable), on the host's input
            (exportable), nowhere. `deploy` has it off: on the input it cost accuracy (synthetic
            set, one seed, 8 epochs: HM 23 against 37).
        channels, strides, kernel, conv_axis: of the convolutional blocks, see `conv_motion`.
        threshold: see `closed_loop`.
        input_bits, input_code, input_levels: how the branch's input is coded (`coding`).
        input_events, input_rate, input_threshold: of the codes change and delta, as MDFT's
            `audio_events`, `audio_rate` and `audio_threshold`.
        tucker_width, rank: of the fusion, see `tucker`.
        literal: Eq. 8 without normalisation, Eq. 10-13 without constant terms.
    """

    feed_hidden: int = 64
    transformer: bool = True
    lkc: bool = True
    lkc_heads: int = 1
    slots: int = 3
    lkc_tokens: Tokens = "time"
    lkc_state: State = "buffer"
    snn_input: Literal["features", "change", "encoded"] = "change"
    glp: Literal["blocks", "input", "off"] = "off"
    tsf: bool = True
    channels: tuple[int, ...] = (8, 8, 4)
    strides: tuple[int, ...] = (2, 2, 1)
    kernel: int = 3
    conv_axis: Axis = "feature"
    threshold: ClosedLoop = "dynamic"
    input_bits: int = 4
    input_code: Literal["graded", "level", "rate", "change", "delta"] = "graded"
    input_levels: int = 2
    input_events: EventKind = "ternary"
    input_rate: float = 0.1
    input_threshold: float = 0.0
    tucker_width: int = 16
    rank: int = 8
    loss_parts: tuple[LossPart, ...] = ("triplet", "projection", "reconstruction")
    weight_triplet: float = 0.5
    weight_rest: float = 0.5


# Section III-E and IV of the paper, and the readings where it is silent (channels, kernel, theta,
# Tucker width, surrogate). slots: UCF 3, VGGSound 4, ActivityNet 5. Dropouts of VGGSound, UCF,
# ActivityNet: drop_enc .20/.25/.10, drop_dec .25/.20/.15, drop_word .1; here UCF's.
_PAPER: dict[str, Any] = {
    "preset": "paper",
    "encode": "repeat",
    "steps": 8,
    "embed": 512,
    "hidden": 512,
    "heads": 8,
    "head_width": 64,
    "feed_hidden": 512,
    "drop_enc": 0.25,
    "drop_dec": 0.20,
    "drop_word": 0.1,
    "output": "relu",
    "lkc_heads": 1,
    "lkc_tokens": "pair",
    "slots": 3,
    "motion_head": False,
    "snn_input": "encoded",
    "glp": "blocks",
    "channels": (8, 8, 1),
    "strides": (1, 1, 1),
    "theta": 0.5,  # GLP gives the neuron less than 1: at 1 it would be silent
    "threshold": "clipped",
    "tucker_width": 32,
    "rank": 60,
}
# `deploy` with its inputs as events, which the encoder finds itself.
_SPARSE: dict[str, Any] = {"preset": "sparse", "snn_input": "features", "input_code": "delta"}
_TUPLES = ("channels", "strides", "motion_inputs", "loss_parts")


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> STFTConfig:
    """Resolve a preset and the options on top of it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    check_known("stft", STFTConfig, options)
    chosen = {"paper": _PAPER, "sparse": _SPARSE}.get(str(options.get("preset")), {})
    values = {**chosen, **options}
    for name in set(_TUPLES) & set(values):
        values[name] = tuple(values[name])
    c = STFTConfig(audio_dim=audio_dim, video_dim=video_dim, **values)
    check_choices("stft", c)
    rules = {
        "motion_inputs is empty; use motion=false to ablate the branch": not c.motion_inputs,
        "loss_parts is empty; name at least one": not c.loss_parts,
        "motion=false and transformer=false leave nothing; switch one of them on": not (
            c.motion or c.transformer
        ),
        "transformer=false has one head, on the spikes; use motion_head=false": (
            c.motion_head and not c.transformer
        ),
        f"{len(c.channels)} channels and {len(c.strides)} strides; give one of each per block": (
            len(c.channels) != len(c.strides) or not c.channels
        ),
        f"kernel={c.kernel}, expected an odd number from 1 up": c.kernel < 1 or c.kernel % 2 == 0,
        f"threshold={c.threshold} follows spikes, neuron=mlp has none; use threshold=fixed": (
            c.neuron == "mlp" and c.threshold != "fixed"
        ),
        f"decay_u12={c.decay_u12}, expected 1..4095 (a 12-bit decay)": (not 0 < c.decay_u12 < 4096),
        f"slots={c.slots}, rank={c.rank}, tucker_width={c.tucker_width}: at least 1 each": (
            min(c.slots, c.rank, c.tucker_width) < 1
        ),
        f"input_code={c.input_code} compares the steps itself, and snn_input=change did so before "
        "it; use snn_input=features or encoded": (
            c.input_code in EVENT_ENCODERS and c.snn_input == "change"
        ),
        "learn_thresholds=true finds no threshold of events; use input_code=change or delta": (
            c.learn_thresholds and not (c.motion and c.input_code in EVENT_ENCODERS)
        ),
        f"input_rate={c.input_rate}, expected a share of steps between 0 and 1": not (
            0 < c.input_rate < 1
        ),
        f"input_threshold={c.input_threshold}, expected 0 (found from input_rate) or more": (
            c.input_threshold < 0
        ),
        f"input_bits={c.input_bits}, an event with a sign needs 2 or more": (
            c.input_events == "graded" and c.input_bits < 2
        ),
        f"input_levels={c.input_levels}, expected 1..16": not 1 <= c.input_levels <= 16,
    }
    faults = [text for text, broken in rules.items() if broken]
    if faults:
        raise BadInput("model 'stft': " + "; ".join(faults))
    return c
