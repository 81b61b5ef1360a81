"""The presets of STFT as data: what each sets beside the defaults, which are `deploy`.

`paper`: section III-E and IV, and the printed equations where they can be computed: the sum of
Eq. 1, a learnt alpha in Eq. 3, GLP in every block (Eq. 7), no second head, no input codes; features
are averaged and shown in each of T = 8 steps (`encode=repeat`). Readings where the paper is silent
or cannot be computed: `threshold=clipped` is Eq. 9 with the sign of an entropy and bounds
(`closed_loop`); theta 0.5, because GLP gives a neuron less than 1 and it would be silent; channels
8, 8, 1 and kernel 3; one layer in the stack of Eq. 14. The width inside the MLPs (256) and Tucker's
(40) are free in the paper, and are the round ones nearest to the published 4.16 M parameters, 0.7 %
below (`parameter_search`). Slots: UCF's 3, as its best of Table VII (VGGSound 4, ActivityNet 5).

`paper-wide` is what `paper` was before: MLPs of 512, Tucker width 32, the mean in Eq. 1, a constant
alpha, 4-bit codes; 4.49 M parameters.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from neurozsl.models.paper_dropouts import DROPOUTS

PAPER_WIDE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "encode": "repeat",
        "steps": 8,
        "embed": 512,
        "hidden": 512,
        "heads": 8,
        "head_width": 64,
        "feed_hidden": 512,
        **DROPOUTS["ucf"],
        "output": "relu",
        "lkc_heads": 1,
        "lkc_tokens": "pair",
        "slots": 3,
        "motion_head": False,
        "snn_input": "encoded",
        "glp": "blocks",
        "channels": (8, 8, 1),
        "strides": (1, 1, 1),
        "theta": 0.5,
        "threshold": "clipped",
        "tucker_width": 32,
        "rank": 60,
    }
)
PAPER: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **PAPER_WIDE,
        "feed_hidden": 256,
        "tucker_width": 40,
        "lkc_state": "learnt",
        "lkc_pool": "sum",
        "input_bits": None,
    }
)
# `deploy` with its inputs as events, which the encoder finds itself.
SPARSE: Final[Mapping[str, Any]] = MappingProxyType(
    {"snn_input": "features", "input_code": "delta"}
)

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {"paper": PAPER, "deploy": {}, "sparse": SPARSE, "paper-wide": PAPER_WIDE}
)
