"""How large values and sums can become, whatever the input is.

In: the codes of the inputs and the integer synapses of a layer. Out: the smallest and largest value
that a source sends in one step, and per neuron the largest weighted sum of them,

    max |sum of weight x value|    over all values in low..high of every source

which decides whether an adder can wrap and how coarse a scale must be.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from neurozsl.core.signals import InputCode
from neurozsl.hardware.network.neuron import NeuronRule
from neurozsl.hardware.network.synapse import Synapse, sum_range

Range = tuple[int, int]  # smallest, largest value of one step
SPIKE: Final[Range] = (0, 1)


class Spiking(Protocol):
    """A layer whose neurons send up to `rule.max_spikes` a step."""

    @property
    def name(self) -> str: ...
    @property
    def rule(self) -> NeuronRule: ...


def value_ranges(
    inputs: Mapping[str, InputCode], layers: Sequence[Spiking] = ()
) -> dict[str, Range]:
    """Smallest and largest value that every input and every layer sends in one step."""
    found: dict[str, Range] = {name: (code.low, code.high) for name, code in inputs.items()}
    return found | {layer.name: (0, layer.rule.max_spikes) for layer in layers}


def worst_sums(synapses: Sequence[Synapse], reach: Mapping[str, Range]) -> npt.NDArray[np.int64]:
    """Per neuron the largest |sum of weight x value| that the sources can cause.

    The synapses of one layer have integer weights; reach: of every source (`value_ranges`), single
    spikes, 0 or 1, where it names none.
    """
    bottom, top = np.zeros((2, synapses[0].size_out), np.int64)
    for synapse in synapses:
        least, most = sum_range(synapse, *reach.get(synapse.source, SPIKE))
        bottom, top = bottom + least, top + most
    worst: npt.NDArray[np.int64] = np.maximum(top, -bottom)
    return worst
