"""The presets of MDFT as data: what each sets beside the defaults, which are `deploy`.

`paper` takes the printed equations wherever they can be computed: events and discrepancy of the
encoders' outputs (Eq. 4 to 6), cross attention of one pooled vector with one (Eq. 1, one slot),
the gate sigmoid(j) (Eq. 10), no second head, no input codes. Readings where the paper is silent or
cannot be computed: every width inside is E, and E is AVCA's 300, which gives 5.51 M parameters, as
published (`parameter_search`); `threshold=dynamic` is Eq. 7 without its recurrence, which
degenerates (`threshold`); h stays among the keys of Eq. 11, because the text has it there
(`crm_keys`); one layer in the stack of Eq. 11; event threshold C = 0.2 of the logarithm; T = 10;
tanh for the surrogate. `encode` follows the data: `sequence` where they have time.

`paper-wide` is what `paper` was before: E = 512, MLPs of 2 E, events of the raw features, 4-bit
codes, sigmoid(W j); 12.0 M parameters.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from neurozsl.models.paper_dropouts import DROPOUTS

PAPER_WIDE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "embed": 512,
        "hidden": 512,
        "heads": 8,
        "head_width": 64,
        **DROPOUTS["ucf"],
        "output": "relu",
        "gate": "sigmoid",
        "motion_head": False,
        "motion_widths": (512, 512, 512),
        "norm": False,
        "threshold": "dynamic",
        "event_log": True,
    }
)
PAPER: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **PAPER_WIDE,
        "embed": 300,
        "motion_widths": (300, 300, 300),
        "feed_hidden": 300,
        "slots": 1,
        "gate": "printed",
        "events_of": "encoded",
        "audio_bits": None,
    }
)
# `deploy` with audio as events: a tenth of the (channel, step) pairs instead of three quarters.
SPARSE: Final[Mapping[str, Any]] = MappingProxyType({"audio_code": "delta", "audio_rate": 0.1})

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {"paper": PAPER, "deploy": {}, "sparse": SPARSE, "paper-wide": PAPER_WIDE}
)
