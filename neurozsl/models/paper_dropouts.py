"""The dropouts of MDFT and STFT by data set: both papers give the same three sets.

MDFT section 3.4, STFT section III-E: d_enc = 0.20 / 0.25 / 0.10 and d_dec = 0.25 / 0.20 / 0.15 for
VGGSound / UCF / ActivityNet, d_wproj (STFT d_text) = 0.1 for each. The projection's d_proj (MDFT
section 3.3) gets no value; `drop_dec` stands for it.

The presets `paper` hold those of UCF; the option `dropouts=NAME` takes another set's.
"""

from typing import Any, Final, Literal

DropoutSet = Literal["", "vggsound", "ucf", "activitynet"]

DROPOUTS: Final[dict[str, dict[str, float]]] = {
    "vggsound": {"drop_enc": 0.20, "drop_dec": 0.25, "drop_word": 0.1},
    "ucf": {"drop_enc": 0.25, "drop_dec": 0.20, "drop_word": 0.1},
    "activitynet": {"drop_enc": 0.10, "drop_dec": 0.15, "drop_word": 0.1},
}


def dropout_options(name: Any) -> dict[str, float]:
    """The three options of the set `name`; {} for another name, which is refused as an option.

    >>> dropout_options("activitynet")["drop_enc"]
    0.1
    """
    return dict(DROPOUTS.get(str(name), {}))
