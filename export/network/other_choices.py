"""How many spikes the other side of every assumption would change, on the input that was given.

In: a fed network. Out: a `Changed` per `meaning.Choice`, counted in the float simulation, which
every target is compared with. A side that makes no network (a rule that cannot be, a decay beyond
1) is told as such.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.export.network.network_run import Fed
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import from_graph
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered

# Neuron-steps that are run for one choice, about a second; of a larger input the first samples.
_RUN: Final = 1 << 22


@dataclass(frozen=True)
class Changed:
    """One other side: its option, how many neuron-steps spike otherwise, of how many.

    samples: that were run, of `given`: of a large input the first ones. error: why it makes no
    network.
    """

    option: str
    differing: int
    of: int
    samples: int
    given: int
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        """One line."""
        if self.error:
            return f"{self.option} makes no network: {self.error}"
        share = f"{100 * self.differing / self.of:.2g} %" if self.differing else "none"
        some = f", {self.samples} samples of it" if self.samples < self.given else ""
        return (
            f"{self.option} would change {self.differing:,} of {self.of:,} neuron-steps on this "
            f"input ({share}{some})"
        )


def other_choices(fed: Fed) -> tuple[Changed, ...]:
    """Run every other choice of the network on its input; () where nothing was assumed."""
    network = fed.network
    if not network.choices:
        return ()
    given = _first_samples(network.lowered, fed.given.chip_input)
    before, graph = simulate(network.lowered, given), nirfile.read(fed.file)
    found, of = [], (given.batch, fed.given.chip_input.batch)
    for choice in network.choices:
        try:
            other = from_graph(graph, network.source, choice.said).lowered
            after = simulate(other, given)
        except BadInput as error:
            found.append(Changed(choice.option, 0, 0, *of, str(error)))
            continue
        found.append(Changed(choice.option, *differing(before, after), *of))
    return tuple(found)


def differing(first: Trace, second: Trace) -> tuple[int, int]:
    """Neuron-steps in which two traces of the same layers differ, and all of them."""
    pairs = [(x, second.spikes[name]) for name, x in first.spikes.items()]
    return sum(int(np.count_nonzero(a != b)) for a, b in pairs), sum(a.size for a, _ in pairs)


def _first_samples(lowered: Lowered, given: ChipInput) -> ChipInput:
    each = given.steps * sum(layer.size for layer in lowered.layers)
    return given.take(slice(0, max(1, _RUN // max(1, each))))
