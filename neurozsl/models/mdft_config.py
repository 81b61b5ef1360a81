"""What defines an MDFT: its options, and which of them go together; presets: `mdft_presets`.

In: a preset, a motion profile, an ablation and the user's options, each over the one before. Out:
an `MDFTConfig`, or an error that names the option, its value and what is allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeVar

from neurozsl.core.errors import BadInput
from neurozsl.models.branch_config import (
    BranchConfig,
    Modality,
    is_stored,
    preset_options,
    without_bits,
)
from neurozsl.models.crm import Gate, Keys
from neurozsl.models.event_codes import EVENT_ENCODERS, EventKind
from neurozsl.models.mdft_ablations import ablation_options
from neurozsl.models.mdft_presets import PRESETS
from neurozsl.models.options import check_choices, check_known, check_rules, check_weights
from neurozsl.models.paper_dropouts import DropoutSet, dropout_options
from neurozsl.models.pixel_input import PIXEL_MAP
from neurozsl.models.pixel_layer import MapEncoder
from neurozsl.models.profiles import profile_options
from neurozsl.models.threshold import ThresholdMode

MOST_MAPS: Final = 4  # blocks that halve a map of 16 x 16


@dataclass(frozen=True)
class MDFTConfig(BranchConfig):
    """Everything that defines an MDFT; the defaults are the preset `deploy`.

    `motion_widths` are those of the three spiking layers. `ablation` names a row of
    `mdft_ablations`, "" for none. `inputs` are the modalities that the whole model sees: with one,
    it stands in wherever the paper joins two. `audio_bits`, or `input_bits` as STFT calls it, are
    those of every graded code; none: the branch reads real numbers, and cannot be exported.
    `events_of`: what the EGM compares, the DAB adds to, and the branch reads without them: the
    `encoded` features a^t and v^t, as Eq. 4 to 6 print, or the `raw` ones (ours). `deploy` stays
    with raw, which is far better (measured, `EQUATIONS.md`).
    Of the audio codes change and delta (`event_codes`): `audio_events`, how an event is written;
    `audio_rate`, share of (feature, step) pairs with an event, from which `calibrate` finds the
    threshold on training data; `audio_threshold`, the threshold itself, 0 to find it. Of the
    visual feature events: `event_threshold`, or `event_rate` to find it, 0 for not.
    `motion_profile` names the options of a chip's motion branch (`models.profiles`), "" for none.
    `motion_encoder`: what reads pixel events, `dense` as every input, or `conv`: blocks of
    `motion_maps` channels with kernels of side `motion_kernel`, then one layer of the last width.
    `pool_time`: the layers read the mean of the coded inputs over the steps, in one pass (mlp).
    `gate`, `crm_keys`, `crm_depth`: see `crm`. `feed_hidden`: width inside the residual MLPs, 0
    for 2 E. `dropouts`: the data set whose dropouts are taken (`paper_dropouts`), "" for none.
    `literal`: Eq. 3 as printed, without the sigmoid.
    """

    motion_profile: str = ""
    ablation: str = ""
    slots: int = 4
    weight_n: float = 1.0  # of L_n, L_p and L_r, for both heads
    weight_p: float = 1.0
    weight_r: float = 1.0
    inputs: tuple[Modality, ...] = ("audio", "video")
    egm: bool = True
    rjlu: bool = True
    crm: bool = True
    gate: Gate = "tokens"
    crm_keys: Keys = "both"
    crm_depth: int = 1
    feed_hidden: int = 0
    dropouts: DropoutSet = ""
    motion_widths: tuple[int, ...] = (256, 128, 64)
    threshold: ThresholdMode = "fixed"
    events: Literal["feature", "pixel"] = "feature"
    events_of: Literal["raw", "encoded"] = "raw"
    motion_encoder: Literal["dense", "conv"] = "dense"
    motion_maps: tuple[int, ...] = (16, 32)
    motion_kernel: int = 3
    event_threshold: float = 0.2
    event_rate: float = 0.0
    event_log: bool = False
    dab: Literal["elementwise", "norm"] = "elementwise"
    audio_bits: int | None = 4
    audio_code: Literal["graded", "level", "rate", "change", "delta"] = "graded"
    audio_levels: int = 2  # channels per feature of the codes level and rate
    audio_events: EventKind = "ternary"
    audio_rate: float = 0.1
    audio_threshold: float = 0.0
    video_code: Literal["ternary", "on_off"] = "ternary"
    pool_time: bool = False

    @property
    def sees_changes(self) -> bool:
        """Whether the visual motion is changes of features, which have a threshold."""
        return self.motion and self.egm and self.events == "feature" and "video" in self.inputs

    @property
    def motion_dims(self) -> dict[str, int]:
        """Width of what the motion pathway of each modality is made from."""
        encoded = dict.fromkeys(self.widths, self.embed)
        return encoded if self.events_of == "encoded" else self.widths

    @property
    def map_encoders(self) -> dict[str, MapEncoder]:
        """The convolutions that pathways begin with."""
        if self.motion_encoder == "dense":
            return {}
        return {"video": MapEncoder(PIXEL_MAP, self.motion_maps, self.motion_kernel)}


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> MDFTConfig:
    """Resolve a preset and the options on top of it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    return resolve("mdft", MDFTConfig, PRESETS, audio_dim, video_dim, options)


Config = TypeVar("Config", bound=MDFTConfig)


def resolve(
    model: str,
    kind: type[Config],
    presets: Mapping[str, Mapping[str, Any]],
    audio_dim: int,
    video_dim: int,
    options: Mapping[str, Any],
) -> Config:
    """The configuration of `model`, which has these presets; see `configure`."""
    options = bits_named(options)
    check_known(model, kind, options)
    code = str(options.get("audio_code", ""))
    pixels = options.get("motion_encoder") == "conv"
    ablated = ablation_options(options.get("ablation", ""), options)
    values = dict(options)
    if not is_stored(options):
        chosen = {**preset_options(model, presets, options), **options}
        sizes = audio_dim, video_dim
        if chosen.get("events_of") == "encoded":
            sizes = (int(chosen.get("embed", kind.embed)),) * 2
        profile = profile_options(
            options.get("motion_profile", ""), sizes[0], 0 if pixels else sizes[1], code
        )
        values = {**chosen, **dropout_options(options.get("dropouts")), **profile, **ablated}
        values |= options
    for key in ("motion_widths", "motion_maps"):
        if key in values:
            values[key] = tuple(int(w) for w in values[key])
    for key in ("inputs", "motion_inputs"):
        if key in values:
            values[key] = _modalities(model, key, values[key])
    c = kind(audio_dim=audio_dim, video_dim=video_dim, **values)
    check_choices(model, c)
    heard = tuple(name for name in c.motion_inputs if name in c.inputs)
    rules = {
        f"motion_inputs={list(c.motion_inputs)} holds nothing of inputs={list(c.inputs)}; use "
        "motion=false to ablate motion": bool(heard),
        f"egm=false makes no events, events={c.events} and video_code={c.video_code} code them; "
        "leave these options (or the motion profile) out": (
            c.egm or (c.events, c.video_code) == ("feature", "ternary")
        ),
        f"motion_encoder=conv reads pixel events, events={c.events} makes none; use events=pixel, "
        "or leave motion_encoder out": c.motion_encoder == "dense" or c.events == "pixel",
        "motion_encoder=conv is the visual pathway, which "
        + (f"motion_inputs={list(heard)} lacks" if c.motion else "motion=false leaves out")
        + "; leave one of the two out": (
            c.motion_encoder == "dense" or (c.motion and "video" in heard)
        ),
        f"motion_maps={list(c.motion_maps)}, expected one to {MOST_MAPS} numbers of channels": (
            1 <= len(c.motion_maps) <= MOST_MAPS and min(c.motion_maps) >= 1
        ),
        f"motion_kernel={c.motion_kernel}, expected an odd side of 1..15": (
            c.motion_kernel % 2 == 1 and 1 <= c.motion_kernel <= 15
        ),
        f"theta={c.theta}, expected a threshold above 0": c.theta > 0,
        f"audio_levels={c.audio_levels}, expected 1..16": 1 <= c.audio_levels <= 16,
        f"audio_rate={c.audio_rate}, expected a share of steps between 0 and 1": (
            0 < c.audio_rate < 1
        ),
        f"audio_threshold={c.audio_threshold}, expected 0 (found from audio_rate) or more": (
            c.audio_threshold >= 0
        ),
        f"event_rate={c.event_rate}, expected a share of steps below 1, or 0 (event_threshold)": (
            0 <= c.event_rate < 1
        ),
        f"event_threshold={c.event_threshold}, expected a change above 0": c.event_threshold > 0,
        f"event_rate={c.event_rate} is that of feature events; use events=feature and egm=true": (
            not c.event_rate or c.sees_changes
        ),
        "learn_thresholds=true finds no threshold of events; use audio_code=change or delta, or "
        "events=feature": (
            not c.learn_thresholds or c.sees_changes or c.audio_code in EVENT_ENCODERS
        ),
        f"audio_bits={c.audio_bits}, an event with a sign needs 2 or more": (
            (c.audio_bits or 0) >= 2 or c.audio_events != "graded"
        ),
        f"crm_depth={c.crm_depth}, feed_hidden={c.feed_hidden}: at least one layer, and a width of "
        "1 or more, or 0 for 2 E": c.crm_depth >= 1 and c.feed_hidden >= 0,
        f"threshold={c.threshold} needs the RJLU's joint features and the motion branch (Eq. 7); "
        "switch both on or use threshold=fixed": c.threshold == "fixed" or (c.rjlu and c.motion),
        f"pool_time=true with neuron={c.neuron}: a spiking neuron needs the steps that a mean over "
        "time takes away; add neuron=mlp, or leave pool_time out": (
            not c.pool_time or c.neuron == "mlp"
        ),
        f"decay_u12={c.decay_u12}, expected 1..4095 (a 12-bit decay)": 0 < c.decay_u12 < 4096,
        f"embed={c.embed} is not a multiple of slots={c.slots}": c.embed % c.slots == 0,
    }
    check_rules(model, rules)
    check_weights(model, (c.weight_n, c.weight_p, c.weight_r))
    return replace(c, motion_inputs=heard)


def bits_named(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with `input_bits`, STFT's word, under MDFT's name of it, and "none" as None."""
    found = dict(options)
    if "input_bits" in found:
        found.setdefault("audio_bits", found.pop("input_bits"))
    return without_bits(found, "audio_bits")


def _modalities(model: str, name: str, values: Any) -> tuple[Modality, ...]:
    """The listed modalities, each once."""
    if isinstance(values, str) or not values or len(set(values)) != len(values):
        raise BadInput(
            f"model '{model}': {name}={values!r}, expected a list of audio, video or both"
        )
    return tuple(values)
