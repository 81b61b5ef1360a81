"""`NeuronRule`: what a neuron does at its threshold, where it is not what our branches train with.

    n = number of spikes: 1 where v* > theta (or >=), at most max_spikes
        max_spikes > 1:   floor(v* / theta), at most max_spikes, where v* > theta (or >=)
    reset, with v the membrane that is kept for the next step:
        zero              v = 0 where n > 0
        subtract          v = v* - n theta
        none              v = v*
        subtract-late     v = v*, and the next v* is n theta lower: it comes after the decay
        zero-late         v = v*, and the next v* is 0 where n > 0: what arrives then is lost
        subtract-nodelay  theta is compared with v* - theta where the step before left v > theta;
                          v = v* - n theta
    v = max(v, low)              where a lower bound is given, after the reset

Who means what (measured; NIR itself stores none of it):

    Norse, Lava, NIR >= 1.0.6    zero, one spike, >
    NIR <= 1.0.5                 subtract, one spike, >
    SpikingJelly                 zero, one spike, >=
    sinabs                       subtract, several spikes, >=, from_nir adds low = -theta
    snnTorch, >                  subtract-late by default; zero (Leaky) or zero-late (its other
                                 cells); without its reset_delay subtract-nodelay and zero; none

Without a leak subtract-late spikes as subtract does: what is taken off late is taken off whole.

A layer that does not spike (`spiking` False: LI, CubaLI, I, a read-out without a neuron) only
integrates; its membrane is what is read.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from neurozsl.core.errors import BadInput

Reset = Literal["zero", "subtract", "none", "zero-late", "subtract-late", "subtract-nodelay"]
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
            known = ", ".join(get_args(Reset))
            raise BadInput(f"neuron rule: reset {self.reset!r}, expected one of {known}")
        if self.compare not in get_args(Compare):
            raise BadInput(f"neuron rule: compare {self.compare!r}, expected '>' or '>='")
        if not isinstance(self.spiking, bool):
            raise BadInput(f"neuron rule: spiking {self.spiking!r}, expected true or false")
        if isinstance(self.max_spikes, bool) or not isinstance(self.max_spikes, int):
            raise BadInput(f"neuron rule: max_spikes {self.max_spikes!r}, expected an integer")
        if not 1 <= self.max_spikes <= MAX_SPIKES:
            raise BadInput(f"neuron rule: max_spikes {self.max_spikes}, expected 1..{MAX_SPIKES}")
        if self.low is not None and not (math.isfinite(self.low) and self.low <= 0):
            raise BadInput(f"neuron rule: lower bound {self.low}, expected 0 or less")
        if self.reset == "subtract-nodelay" and self.max_spikes > 1:
            raise BadInput(
                f"neuron rule: reset subtract-nodelay with max_spikes {self.max_spikes}; snnTorch, "
                "whose rule it is, sends one spike a step"
            )

    @property
    def is_plain(self) -> bool:
        """True for reset to zero, one spike, strict comparison: what Norse, Lava and Loihi run."""
        return self == PLAIN_RULE

    @property
    def is_late(self) -> bool:
        """True where a spike acts on the membrane one step later."""
        return self.reset in ("zero-late", "subtract-late")

    @property
    def only_compares(self) -> bool:
        """True where the threshold is compared with and enters no state."""
        return self.max_spikes == 1 and self.reset in ("zero", "zero-late", "none")

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


PLAIN_RULE: Final = NeuronRule()
