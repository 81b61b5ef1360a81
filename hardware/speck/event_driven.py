"""Speck without a clock: `run_event_driven(program, events) -> EventRun`, event by event.

The chip has no time step (`program` says what it computes instead). Per event that a core receives,
and per neuron that the kernel joins it to::

    v = sat16(v + weight)
    where v >= threshold:  one spike, v = 0 (reset "zero")  or  v - threshold ("subtract")
    v = max(v, low)

Published (sinabs, docs/speck): a layer works on an event when it receives it (overview, "Async
event-driven feature"); a neuron sends one spike an event, and what is left above the threshold
waits for the next event that it receives (faqs/tips_for_training, "Weight Clipping During
Training"); the bias is added at every tick of a slow clock (notebooks/leak_neuron); simulation in
steps "is not the same thing" (dangers). `max_spikes` is a rule of the steps and has no part here.

Not published, and assumed here:

* the chip is faster than its input: what an event causes in all layers is finished, first in, first
  out, before the next one enters. No event is lost, none overtakes another. Real events come
  closer where rates are near the limits of the cores.
* an event reaches the neurons of a layer by row, then column, then channel; zero weights too, as
  kernels are stored whole.
* a tick comes at the end of a step, to all neurons of the layers that have any bias, one layer
  after the other, each with all that follows from it; it compares as an event does.

A pool in front of a layer is a sum: an event passes to the place of its sum. A layer that receives
at most one event a step, without bias and with weights up to its threshold, does what the program
says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.network.integers import check_integers
from neurozsl.hardware.speck.event_kernel import LARGEST_COUNT, LARGEST_QUEUE, run_sample
from neurozsl.hardware.speck.event_links import event_tables
from neurozsl.hardware.speck.program import SpeckProgram

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OrderedEvents:
    """Input events of samples, in the order in which they enter the chip.

    Attributes:
        step: `(event,)` in which each comes, rising inside a sample.
        index: `(event,)` place in the inputs of the network, laid behind each other.
        offsets: `(sample + 1,)` first event of each sample, and their number.
        ran: `(sample,)` steps that run; after them no tick comes and no event.
        steps: of a sample at most.
    """

    step: Ints
    index: Ints
    offsets: Ints
    ran: Ints
    steps: int

    def __post_init__(self) -> None:
        """Check that events are ordered and inside their sample; arrays are stored as int64."""
        where = "ordered events"
        for name in ("step", "index", "offsets", "ran"):
            array = check_integers(f"{where}: {name}", getattr(self, name), 0, 2**62)
            object.__setattr__(self, name, np.ascontiguousarray(array, np.int64))
        ends, n = self.offsets, len(self.step)
        if ends.ndim != 1 or not len(ends) or ends[0] or ends[-1] != n or np.any(np.diff(ends) < 0):
            raise BadInput(f"{where}: offsets must rise from 0 to the {n:,} events")
        if self.index.shape != self.step.shape or len(self.ran) != self.samples:
            raise BadInput(
                f"{where}: {len(self.index):,} places for {n:,} events and {len(self.ran)} lengths "
                f"for {self.samples} samples; give one each"
            )
        if np.any(self.ran > self.steps):
            raise BadInput(f"{where}: a sample runs {self.ran.max()} steps, at most {self.steps}")
        sample = np.repeat(np.arange(self.samples), np.diff(ends))
        late = self.step >= self.ran[sample]
        back = np.zeros(n, np.bool_)
        back[1:] = (np.diff(self.step) < 0) & (np.diff(sample) == 0)
        for wrong, what in (
            (late, "comes after the last step"),
            (back, "is before an earlier one"),
        ):
            if wrong.any():
                k = int(np.argmax(wrong))
                raise BadInput(
                    f"{where}: event {k} of step {self.step[k]} {what} of sample {sample[k]}; give "
                    "the events of a sample in the order of its steps"
                )

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    def take(self, start: int, stop: int) -> "OrderedEvents":
        """Samples start to stop, the last not among them."""
        first, last = self.offsets[start], self.offsets[stop]
        return OrderedEvents(
            self.step[first:last],
            self.index[first:last],
            self.offsets[start : stop + 1] - first,
            self.ran[start:stop],
            self.steps,
        )


@dataclass(frozen=True, eq=False)
class EventRun:
    """What the chip does without a clock, per layer.

    Attributes:
        spikes: uint16 `(sample, time, neuron)`, spikes of a neuron in each step.
        arrived: int64 `(sample, time)`, events that the core of the layer received.
        operations: int64 `(sample, time)`, weights that it added (SynOps), ticks not among them.
        clipped: how often a state was clipped, by its 16 bits or by the lower bound.
    """

    spikes: Mapping[str, npt.NDArray[np.uint16]]
    arrived: Mapping[str, Ints]
    operations: Mapping[str, Ints]
    clipped: Mapping[str, int]

    @property
    def trace(self) -> Trace:
        """Its spikes as a `Trace`; counts above 255 stay what they are."""
        return Trace(dict(self.spikes), dict.fromkeys(self.spikes, 0), dict(self.clipped))


def random_order(program: SpeckProgram, chip_input: ChipInput, seed: int = 0) -> OrderedEvents:
    """The events of every step in a random order: frames do not say which came first.

    A code of n is n events. Each sample has a random generator of its own, so that its order does
    not depend on the others.

    Raises:
        BadInput: see `SpeckProgram.check`.
    """
    checked = program.check(chip_input)
    codes = np.concatenate([checked.codes[name] for name in program.inputs], axis=2)
    ran = checked.ran
    steps, places, ends = [], [], [0]
    for sample, frames in enumerate(codes):
        step, place = np.nonzero(frames[: ran[sample]])
        count = frames[step, place]
        step, place = np.repeat(step, count), np.repeat(place, count)
        draw = np.random.default_rng((seed, sample)).random(len(step))
        order = np.lexsort((draw, step))
        steps.append(step[order])
        places.append(place[order])
        ends.append(ends[-1] + len(step))
    none = [np.zeros(0, np.int64)]
    return OrderedEvents(
        np.concatenate(steps or none),
        np.concatenate(places or none),
        np.array(ends),
        ran,
        checked.steps,
    )


def run_event_driven(
    program: SpeckProgram, events: OrderedEvents, *, progress: Progress | None = None
) -> EventRun:
    """Spikes of every layer where each event acts at once; see the module docstring.

    Raises:
        BadInput: an event beside the inputs, or a network in which one event causes more spikes
            than can be held.
    """
    widths = np.cumsum([0, *(code.size for code in program.inputs.values())])
    if len(events.index) and events.index.max() >= widths[-1]:
        raise BadInput(
            f"ordered events: place {events.index.max()}, the inputs have {widths[-1]} values; "
            "give the place in the inputs laid behind each other"
        )
    tables = event_tables(program)
    source = np.searchsorted(widths, events.index, side="right") - 1
    value = events.index - widths[source]
    layers, first = program.layers, tables.first_state
    shape = (events.samples, events.steps)
    spikes = {x.name: np.zeros((*shape, x.size), np.uint16) for x in layers}
    arrived, operations = np.zeros((2, *shape, len(layers)), np.int64)
    clipped = np.zeros(len(layers), np.int64)
    for sample in range(events.samples):
        ran = int(events.ran[sample])
        own = slice(events.offsets[sample], events.offsets[sample + 1])
        bounds = np.searchsorted(events.step[own], np.arange(ran + 1)).astype(np.int64)
        counted = np.zeros((ran, first[-1]), np.uint16)
        over = run_sample(
            tables,
            source[own],
            value[own],
            bounds,
            np.zeros(first[-1], np.int64),
            counted,
            arrived[sample],
            operations[sample],
            clipped,
        )
        if over:
            raise BadInput(
                f"event-driven run: sample {sample} has a neuron with more than {LARGEST_COUNT:,} "
                f"spikes in a step, or more than {LARGEST_QUEUE:,} spikes wait at once; raise the "
                "thresholds of the network"
            )
        for layer, start in zip(layers, first, strict=False):
            spikes[layer.name][sample, :ran] = counted[:, start : start + layer.size]
        if progress is not None:
            progress(sample + 1, events.samples)
    names = [layer.name for layer in layers]
    return EventRun(
        spikes,
        {name: arrived[..., i] for i, name in enumerate(names)},
        {name: operations[..., i] for i, name in enumerate(names)},
        {name: int(clipped[i]) for i, name in enumerate(names)},
    )
