"""Counts of a network that does not exist yet: layer sizes, steps and one spike rate.

A feed-forward chain of dense layers without biases; every neuron, of the input and of each layer,
spikes in every step with probability `rate`, each on its own. Counts are expected values; of a
layer with n inputs and m neurons in T steps::

    synaptic operations  n m T rate                       spikes           m T rate
    active updates       m T (1 - (1 - rate)^n)           inactive updates the rest of m T

An update is active where at least one event arrives; a wide layer is active in nearly every step.
"""

from collections.abc import Sequence
from itertools import pairwise

from neurozsl.core.errors import BadInput
from neurozsl.hardware.count.counts import Counts, LayerCounts

WIDEST = 10**7  # no chip holds a layer near it
LONGEST = 10**9


def uniform_counts(sizes: Sequence[int], steps: int, rate: float, *, leaky: bool = False) -> Counts:
    """Expected counts of one inference.

    >>> counts = uniform_counts((512, 512, 512, 512), steps=10, rate=0.05)
    >>> round(counts.total("synops")), round(counts.total("spikes")), counts.total("dense")
    (393216, 768, 7864320.0)

    sizes: width of the input, then of every layer. rate: spikes per neuron and step, 0..1. leaky:
    whether the neurons leak; integrate-and-fire chips are warned about then.

    Raises:
        BadInput: fewer than two sizes, or a value out of range.
    """
    listed = "-".join(map(str, sizes))[:60]
    if len(sizes) < 2 or min(sizes) < 1:
        raise BadInput(
            f"layers '{listed}': expected at least two widths of 1 or more, the input's first; "
            "write e.g. 512-512-64"
        )
    if max(sizes) > WIDEST:
        raise BadInput(
            f"layers '{listed}': the widest has {len(str(max(sizes)))} digits, at most "
            f"{WIDEST:,} neurons are estimated; was a hyphen left out?"
        )
    if not 1 <= steps <= LONGEST:
        raise BadInput(f"layers '{listed}': {steps} steps, expected 1 to {LONGEST:,}")
    if not 0.0 <= rate <= 1.0:
        raise BadInput(
            f"layers '{listed}': rate {rate:g}, expected 0..1 spikes per neuron and step; "
            "5 % is 0.05"
        )
    layers = []
    for number, (inputs, neurons) in enumerate(pairwise(sizes), start=1):
        updates = float(neurons * steps)
        active = updates * (1.0 - (1.0 - rate) ** inputs)
        synops = inputs * updates * rate
        layers.append(
            LayerCounts(
                name=f"layer{number}",
                source="input" if number == 1 else f"layer{number - 1}",
                fan_in=inputs,
                neurons=neurons,
                parameters=inputs * neurons,
                nonzero_weights=inputs * neurons,
                steps=steps,
                spikes=updates * rate,
                spike_rate=rate,
                input_events=inputs * steps * rate,
                effective_acs=synops,
                effective_macs=0.0,
                dense=inputs * updates,
                synops_weighted=synops,
                most_synops=inputs * updates,
                active_updates=active,
                inactive_updates=updates - active,
                leaky=leaky,
            )
        )
    return Counts(tuple(layers), samples=1, steps=steps, entering=sizes[0] * steps * rate)
