"""Which readings of the widths that MDFT and STFT leave open have the published parameter counts.

In: the name of a model; out: every combination of the options below over its preset `paper`, with
the parameters of the model that it makes, nearest to the count of STFT's Table X first. Models are
made without memory for their weights, so what is counted is what would be trained. The slots of
STFT's Eq. 3 are a running state and no parameters; as parameters they would be 1.05 M by
themselves (four of 512 x 512).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import torch

from neurozsl.core.errors import BadInput
from neurozsl.models.mdft import MDFT
from neurozsl.models.stft import STFT

PUBLISHED: Final[Mapping[str, float]] = MappingProxyType({"mdft": 5.51e6, "stft": 4.16e6})
FEATURES: Final = 512  # SeLaVi's, of VGGSound, whose counts Table X has

# Model -> option -> values that a reader of the paper might take. E is not given for MDFT; AVCA,
# whose protocol both follow, has 300 and MLPs of 64. "E" stands for the embedding's width.
OPEN: Final[Mapping[str, Mapping[str, Sequence[Any]]]] = MappingProxyType(
    {
        "mdft": {
            "embed": (300, 512),
            "slots": (1, 4),
            "feed_hidden": (64, 128, 256, "E", 512, 0),
            "motion_widths": ("E", 512),
            "events_of": ("encoded", "raw"),
            "gate": ("printed", "sigmoid"),
            "crm_depth": (1, 2),
        },
        "stft": {
            "slots": (4,),
            "feed_hidden": (64, 128, 256, 512),
            "tucker_width": (16, 20, 30, 32, 40, 50, 60, 64),
            "lkc_heads": (1, 8),
            "channels": ((8, 8, 1), (16, 16, 1), (64, 64, 1)),
            "lkc_state": ("learnt",),
        },
    }
)


@dataclass(frozen=True)
class WidthReading:
    """Options over the preset `paper`, parameters, and their distance to the published count, %."""

    options: Mapping[str, Any]
    parameters: int
    off_percent: float


def readings(model: str) -> list[WidthReading]:
    """All combinations of `OPEN`, the nearest first.

    Raises:
        BadInput: no count of this model is published that its options leave open.
    """
    if model not in PUBLISHED:
        raise BadInput(f"parameter search: model '{model}', expected {' or '.join(PUBLISHED)}")
    goal = PUBLISHED[model]
    found = []
    for options in _combinations(OPEN[model]):
        count = parameters(model, options)
        found.append(WidthReading(options, count, 100 * (count / goal - 1)))
    return sorted(found, key=lambda reading: abs(reading.off_percent))


def parameters(model: str, options: Mapping[str, Any]) -> int:
    """Trained numbers of the model with these options over the preset `paper`.

    >>> parameters("mdft", {})
    5510548
    """
    sizes = {"audio_dim": FEATURES, "video_dim": FEATURES, "preset": "paper"}
    with torch.device("meta"):
        made = (MDFT if model == "mdft" else STFT).build(**{**sizes, **options})
    return sum(p.numel() for p in made.parameters())


def _combinations(values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for chosen in product(*values.values()):
        options = dict(zip(values, chosen, strict=True))
        width = options.get("embed", FEATURES)
        named = {key: width if value == "E" else value for key, value in options.items()}
        if "motion_widths" in named:
            named["motion_widths"] = (named["motion_widths"],) * 3
        # Where "E" is one of the numbers beside it, the number says the same.
        if all(value != "E" or width not in values[key] for key, value in options.items()):
            yield named
