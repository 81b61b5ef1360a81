"""`NeuronRule`: what a neuron does at its threshold, where it is not what our branches train with.

    n = number of spikes: 1 where v* > theta (or >=), at most max_spikes
        max_spikes > 1:   floor(v* / theta), at most max_spikes, where v* > theta (or >=)
    v = 0 where n > 0            reset "zero"
    v = v* - n theta             reset "subtract"
    v = max(v, low)              where a lower bound is given, after the reset

Who means what (measured; NIR itself stores none of it):

    Norse, Lava, NIR >= 1.0.6    zero, one spike, >
    NIR <= 1.0.5, snnTorch       subtract (snnTorch also zero), one spike, >
    sinabs                       subtract, several spikes, >=, from_nir adds low = -theta

A layer that does not spike (`spiking` False: LI, CubaLI, I, a read-out without a neuron) only
integrates; its membrane is what is read.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from neurozsl.core.errors import BadInput

Reset = Literal["zero", "subtract"]
Compare = Literal[">", ">="]
MAX_SPIKES: Final = 255  # a Trace holds spike counts in 8 bits


@dataclass(frozen=True)
class NeuronRule:
    """See the module docstring; `low` is in the unit of the membrane, None where there is none."""

    reset: Reset = "zero"
    max_spikes: int = 1
    compare: Compare = ">"
    low: float | None = None
    spiking: bool = True

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.reset not in get_args(Reset):
            raise BadInput(f"neuron rule: reset {self.reset!r}, expected zero or subtract")
        if self.compare not in get_args(Compare):
            raise BadInput(f"neuron rule: compare {self.compare!r}, expected '>' or '>='")
        if isinstance(self.max_spikes, bool) or not isinstance(self.max_spikes, int):
            raise BadInput(f"neuron rule: max_spikes {self.max_spikes!r}, expected an integer")
        if not 1 <= self.max_spikes <= MAX_SPIKES:
            raise BadInput(f"neuron rule: max_spikes {self.max_spikes}, expected 1..{MAX_SPIKES}")
        if self.low is not None and not (math.isfinite(self.low) and self.low <= 0):
            raise BadInput(f"neuron rule: lower bound {self.low}, expected 0 or less")

    @property
    def is_plain(self) -> bool:
        """True for reset to zero, one spike, strict comparison: what Norse, Lava and Loihi run."""
        return self == PLAIN_RULE

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


PLAIN_RULE: Final = NeuronRule()
