"""What a measure (`count.savings`) saves in joules, by the cost table of one chip.

An estimate as every row is: the operations that a measure saves, priced as a run of their own.
Every method but `dense_pass` is a sum over counts, so this is the difference between the rows of
the run before and after. What is not among them: updates that stay but in which no event arrives
any more, messages after a placement, and what enters and leaves the chip.
"""

from dataclasses import fields
from typing import Any

from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.count.counts import Counts, LayerCounts
from neurozsl.hardware.count.savings import Measure
from neurozsl.hardware.energy.estimates import estimate


def saved_joules(measure: Measure, chip: Chip | str, steps: int) -> float:
    """Dynamic joules per inference; steps: of the run.

    Operations count as accumulates where a chip tells these from multiplies.

    Raises:
        BadInput: the chip has no energy method.
    """
    zeros: dict[str, Any] = {field.name: 0 for field in fields(LayerCounts)}
    saved = {
        "name": measure.where,
        "source": "",
        "steps": steps,
        "leaky": False,
        "spikes": measure.spikes,
        "effective_acs": measure.synops,
        "conv_synops": measure.conv_synops,
        "active_updates": measure.active_updates,
        "inactive_updates": measure.updates - measure.active_updates,
    }
    layer = LayerCounts(**{**zeros, **saved})
    return estimate(Counts((layer,), 1, steps), chip).joules
