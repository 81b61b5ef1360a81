"""Delays that no synapse of a chip has, found before anything is rounded or placed.

In: every synapse as (layer, source, steps late), and the chip with its `limit.delay_steps`. A chip
without that figure has no published limit, so nothing is refused for it. What counts is the delay
that the network asks for: the step that a synapse takes in Lava is no part of it.
"""

from collections.abc import Iterable

from neurozsl.core.errors import DoesNotFit
from neurozsl.hardware.chips.chip import Chip

_SHOWN = 3  # synapses that a message lists


def check_delays(delays: Iterable[tuple[str, str, int]], chip: Chip) -> None:
    """Raise where a spike has to wait longer than a synapse of the chip can hold it.

    Raises:
        DoesNotFit: names layers, sources and steps, the limit, and the ways out.
    """
    most = chip.most("delay_steps")
    late = [x for x in delays if most is not None and x[2] > most]
    if most is None or not late:
        return
    shown = [f"layer '{layer}' reads '{source}' {d:,} steps late" for layer, source, d in late]
    more = f" (and {len(late) - _SHOWN} more)" if len(late) > _SHOWN else ""
    hops = -(-max(d for *_, d in late) // most)  # synapses of that delay in a row
    between = f"{hops - 1} relay neuron{'s' if hops > 2 else ''} in a row"
    raise DoesNotFit(
        f"does not fit chip '{chip.key}' ({chip.name}): {'; '.join(shown[:_SHOWN])}{more}, a "
        f"synapse takes {most}; put {between} between them, use a dt that is {hops} times longer, "
        "or delay an input on the host"
    )
