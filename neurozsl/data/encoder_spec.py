"""What a data set stores of the encoders that made its features, and the check that they fit.

Name, width, and a digest of all that decides the numbers (weights, settings, the revision of our
own preprocessing), so that a clip that comes later is encoded by the same one or refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import Kind, checked_object

Part = Literal["video", "audio", "text"]
PARTS: Final[tuple[Part, ...]] = ("video", "audio", "text")
Pool = Literal["mean", "max"]
META: Final = "encoders"  # the key of a set's meta

_KEYS: Final[Mapping[str, Kind]] = {
    "name": str,
    "part": str,
    "width": int,
    "sha256": str,
    "licence": str,
    "source": str,
    "labels": int,
    "layers": list,
    "pool": str,
}


@dataclass(frozen=True)
class EncoderSpec:
    """What a data set notes of an encoder.

    Attributes:
        name: that `--video-encoder` takes, or the TOML file of one of the user's own.
        part: what it reads.
        width: values of a vector.
        sha256: digest of weights, settings and preprocessing.
        licence, source: of the weights, for people.
        labels: classes that its own head names; 0 without a head.
        layers: widths of the head, from `width` to `labels`; empty where the vector itself is the
            scores, or without a head.
        pool: how steps become one vector in front of the head.
    """

    name: str
    part: Part
    width: int
    sha256: str
    licence: str = ""
    source: str = ""
    labels: int = 0
    layers: tuple[int, ...] = ()
    pool: Pool = "mean"

    def to_meta(self) -> dict[str, Any]:
        """Returns a JSON-able form; `spec_from` reads it back."""
        return {**asdict(self), "layers": list(self.layers)}


def spec_from(value: object, where: str, *, remedy: str) -> EncoderSpec:
    """The spec that `to_meta` wrote; further keys are the business of who added them.

    Raises:
        BadInput: a key is missing or holds what cannot be.
    """
    found = checked_object(value, where, remedy=remedy, keys=_KEYS)
    kept = {key: found[key] for key in _KEYS}
    widths = kept["layers"]
    fault = ""
    if kept["part"] not in PARTS or kept["pool"] not in ("mean", "max"):
        fault = f"part {kept['part']!r} with pool {kept['pool']!r}"
    elif not all(isinstance(x, int) and not isinstance(x, bool) and x > 0 for x in widths):
        fault = f"layers {widths}"
    elif kept["width"] < 1 or kept["labels"] < 0:
        fault = f"width {kept['width']} with {kept['labels']} labels"
    elif widths and (widths[0] != kept["width"] or widths[-1] != kept["labels"]):
        fault = f"layers {widths} between width {kept['width']} and {kept['labels']} labels"
    if fault:
        raise BadInput(f"{where}: {fault} is no encoder's; {remedy}")
    return EncoderSpec(**{**kept, "layers": tuple(widths)})


def specs_of(meta: Mapping[str, Any], where: str) -> dict[str, EncoderSpec]:
    """The specs that a set's meta notes, by part; none where all is hand-made.

    Raises:
        BadInput: they are damaged.
    """
    remedy = "build the set again"
    noted = checked_object(meta.get(META, {}), f"{where}: meta '{META}'", remedy=remedy)
    found = {}
    for part, value in noted.items():
        found[part] = spec_from(value, f"{where}: encoder of {part}", remedy=remedy)
        if found[part].part != part:
            raise BadInput(f"{where}: encoder of {part} reads {found[part].part}; {remedy}")
    return found


def check_specs(meta: Mapping[str, Any], widths: Mapping[str, int], where: str) -> None:
    """Refuses specs of other widths than the arrays have: `video`, `audio`, `text` for vectors.

    Raises:
        BadInput: they are damaged, or do not fit.
    """
    for part, spec in specs_of(meta, where).items():
        if spec.width != widths[part]:
            raise BadInput(
                f"{where}: {part} is {widths[part]} wide, its encoder '{spec.name}' gives "
                f"{spec.width}; build the set again"
            )


def scaled_specs(meta: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The specs of a set as plain values, each of features with the `scale` it was divided by.

    Raises:
        BadInput: they are damaged.
    """
    found = {part: spec.to_meta() for part, spec in specs_of(meta, where).items()}
    for part in ("audio", "video"):
        if part in found:
            scales = checked_object(meta.get("encoder", {}), where, remedy="build the set again")
            first = (scales.get(f"{part}_scale") or [0.0])[0]
            found[part]["scale"] = first
    return found
