"""NIR's own text, taken literally: explicit Euler, v' = r I of an IF, strict comparison.

The text of nir <= 1.0.5 subtracts the threshold at a spike, that of >= 1.0.6 sets v to v_reset; a
neuron with a v_reset in the file is one of the second.
"""

from typing import Final

from neurozsl.export.nir.dialects.base import Dialect
from neurozsl.hardware.network.neuron import NeuronRule

NIR: Final = Dialect(
    key="nir",
    title="NIR's text",
    wrote=lambda seen: "",  # a reading, not a writer
    rule=lambda cell, variant: NeuronRule(
        "zero" if cell.values("v_reset") is not None else "subtract"
    ),
    if_gain="rate",
    cannot_say=("the step (--dt)", "the unit of time (--tau-unit)"),
)
