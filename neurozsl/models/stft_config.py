"""Options of STFT and the switches of its paper's ablations; presets are in `stft_presets`.

Rows by name (`ablation=NAME`) are in `stft_ablations`::

    Table III   loss_parts=triplet,projection,reconstruction; leave out what is ablated
    Table IV    glp=off, tsf=false, threshold=fixed, lkc=false
    Table V     weight_triplet, weight_rest
    Table VI    neuron=mlp (Transformer + MLP), cross=spikformer (Spikformer + SNN)
    Table VII   slots=1..6
    Table IX    motion=false (only Transformer), transformer=false (only SNN)
    Fig. 3      steps, rank, theta with threshold=fixed, inputs (one modality)
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from neurozsl.core.errors import BadInput
from neurozsl.models.branch_config import (
    BranchConfig,
    Modality,
    is_stored,
    preset_options,
    without_bits,
)
from neurozsl.models.closed_loop import ClosedLoop
from neurozsl.models.conv_layer import Axis
from neurozsl.models.event_codes import EVENT_ENCODERS, EventKind
from neurozsl.models.lkc import Pool, State, Tokens
from neurozsl.models.options import check_choices, check_known
from neurozsl.models.paper_dropouts import DropoutSet, dropout_options
from neurozsl.models.stft_ablations import ablation_options
from neurozsl.models.stft_presets import PRESETS

LossPart = Literal["triplet", "projection", "reconstruction"]


@dataclass(frozen=True)
class STFTConfig(BranchConfig):
    """Everything that defines an STFT; the defaults are the preset `deploy`.

    Attributes:
        ablation: a row of `stft_ablations`, "" for none.
        inputs: modalities that the whole model sees; one alone stands in wherever two are joined.
        heads, head_width: of the cross-modal transformer.
        feed_hidden: width inside the residual MLPs.
        cross, cross_depth: what joins the modalities, see `stft_cross`; layers of the transformer.
        lkc_heads, slots, lkc_tokens, lkc_state, lkc_pool: see `lkc`.
        snn_input: the branch reads raw features, their change since the step before, or the
            encoders' output. Only the change tells motion from scene without a head start, so
            `deploy` has it (ours); repeated averages do not change, so their first step is
            compared with zero.
        glp: where Eq. 7 acts: in every block as printed (not exportable), on the host's input
            (exportable), nowhere. `deploy` has it off: on the input it cost accuracy (synthetic
            set, one seed, 8 epochs: HM 23 against 37).
        channels, strides, kernel, conv_axis: of the convolutional blocks, see `conv_motion`.
        threshold: see `closed_loop`.
        input_bits, input_code, input_levels: how the branch's input is coded (`coding`); no bits
            (none): the branch reads real numbers, and cannot be exported.
        input_events, input_rate, input_threshold: of the codes change and delta, as MDFT's
            `audio_events`, `audio_rate` and `audio_threshold`.
        tucker_width, rank: of the fusion, see `tucker`.
        dropouts: the data set whose dropouts are taken (`paper_dropouts`), "" for none.
        literal: Eq. 8 without normalisation, Eq. 10-13 without constant terms.
    """

    ablation: str = ""
    inputs: tuple[Modality, ...] = ("audio", "video")
    feed_hidden: int = 64
    cross: Literal["transformer", "spikformer"] = "transformer"
    cross_depth: int = 1
    dropouts: DropoutSet = ""
    transformer: bool = True
    lkc: bool = True
    lkc_heads: int = 1
    slots: int = 3
    lkc_tokens: Tokens = "time"
    lkc_state: State = "buffer"
    lkc_pool: Pool = "mean"
    snn_input: Literal["features", "change", "encoded"] = "change"
    glp: Literal["blocks", "input", "off"] = "off"
    tsf: bool = True
    channels: tuple[int, ...] = (8, 8, 4)
    strides: tuple[int, ...] = (2, 2, 1)
    kernel: int = 3
    conv_axis: Axis = "feature"
    threshold: ClosedLoop = "dynamic"
    input_bits: int | None = 4
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


_TUPLES = ("channels", "strides", "inputs", "motion_inputs", "loss_parts")


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> STFTConfig:
    """Resolve a preset and the options on top of it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    options = without_bits(options, "input_bits")
    check_known("stft", STFTConfig, options)
    values, row = dict(options), ablation_options(options.get("ablation", ""), options)
    if not is_stored(options):
        values = {
            **preset_options("stft", PRESETS, options),
            **dropout_options(options.get("dropouts")),
            **row,
            **options,
        }
    for name in set(_TUPLES) & set(values):
        values[name] = tuple(values[name])
    c = STFTConfig(audio_dim=audio_dim, video_dim=video_dim, **values)
    check_choices("stft", c)
    seen = tuple(name for name in c.motion_inputs if name in c.inputs)
    rules = {
        "motion_inputs is empty; use motion=false to ablate the branch": not c.motion_inputs,
        f"motion_inputs={list(c.motion_inputs)} holds nothing of inputs={list(c.inputs)}; use "
        "motion=false to ablate the branch": c.motion and not seen,
        f"inputs={list(c.inputs)}, expected audio, video or both": not c.inputs,
        f"cross=spikformer spikes, neuron={c.neuron} does not; use neuron=lif or if": (
            c.cross == "spikformer" and c.neuron == "mlp"
        ),
        "cross=spikformer stands in for the transformer, transformer=false leaves it out; leave "
        "one of the two out": c.cross == "spikformer" and not c.transformer,
        f"cross_depth={c.cross_depth}, cross={c.cross}: at least one layer, of a Spikformer one": (
            c.cross_depth < 1 or (c.cross_depth > 1 and c.cross == "spikformer")
        ),
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
            c.input_events == "graded" and (c.input_bits or 0) < 2
        ),
        f"input_levels={c.input_levels}, expected 1..16": not 1 <= c.input_levels <= 16,
    }
    faults = [text for text, broken in rules.items() if broken]
    if faults:
        raise BadInput("model 'stft': " + "; ".join(faults))
    return replace(c, motion_inputs=seen or c.motion_inputs)
