"""Does the order of events matter? `compare_orders(program, lowered, chip_input, events)`.

In: the integers of Speck, their float network, codes, the same codes as `OrderedEvents`, and labels
where there are some. Out: `OrderOfEvents`, both readings of the chip beside each other: step by
step (`emulator`), on which everything else here is based, and event by event (`event_driven`).

Rates are of the event-driven run. A step's events over its length are a mean: inside the step they
may come closer.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput
from neurozsl.export.bundle.accuracy import PairedDrop, TaskAccuracy, accuracy, changed
from neurozsl.export.bundle.task_score import Readout
from neurozsl.export.network.readout import Answers, answers, needs_membrane
from neurozsl.export.network.task import Task
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.place.place import place
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.hardware.speck.event_driven import EventRun, OrderedEvents, run_event_driven
from neurozsl.hardware.speck.program import SpeckProgram

_HELD: Final = 1 << 24  # neuron-steps that are held at once, in 4 bytes and some
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LayerOrder:
    """One layer in both readings.

    clocked, event_driven: spikes in all samples. equal: share of neuron-steps with equal counts.
    differing: neurons with another count in any step of any sample. core: that the placer gives it,
    None where the network does not fit. Per second, into the core: events and synaptic operations,
    in all steps (mean) and in the fullest step of any sample (peak). limit: the published
    operations of the core per second, None where it is unknown.
    """

    name: str
    neurons: int
    clocked: int
    event_driven: int
    equal: float
    differing: int
    core: int | None
    events_per_s: float
    events_per_s_peak: float
    operations_per_s: float
    operations_per_s_peak: float
    limit_per_s: float | None

    @property
    def ratio(self) -> float | None:
        """Spikes event by event over those step by step; None where there are none of these."""
        return self.event_driven / self.clocked if self.clocked else None

    @property
    def is_over(self) -> bool:
        """Whether the fullest step asks for more than the core is published to do."""
        return self.limit_per_s is not None and self.operations_per_s_peak > self.limit_per_s


@dataclass(frozen=True)
class OrderOfEvents:
    """Both readings of a network on the same samples.

    order: where the order of the events comes from. events: that enter. left_out: events of the
    recordings that the codes do not hold. step_s: mean length of a step. readout: None where
    nothing was scored. same_class: samples with the same answer in both, None without a readout.
    clipped: states that were clipped, event by event. seconds: (step by step, event by event).
    """

    chip: str
    samples: int
    steps: int
    order: str
    events: int
    left_out: int
    step_s: float
    layers: tuple[LayerOrder, ...]
    readout: Readout | None = None
    same_class: int | None = None
    clocked: TaskAccuracy | None = None
    event_driven: TaskAccuracy | None = None
    drop: PairedDrop | None = None
    clipped: int = 0
    seconds: tuple[float, float] = (0.0, 0.0)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class InOrder:
    """The events of an input in an order, and what is known of it.

    order: in words. step_s: seconds of a step, `(sample,)`. left_out: see `OrderOfEvents`.
    is_coded: whether they are those of the codes, and no others.
    """

    events: OrderedEvents
    order: str
    step_s: Floats
    left_out: int = 0
    is_coded: bool = True

    def __post_init__(self) -> None:
        """Check that every sample has a length."""
        if self.step_s.shape != (self.events.samples,) or not (self.step_s > 0).all():
            raise BadInput(
                f"order of events: {self.step_s.shape} lengths of steps for {self.events.samples} "
                "samples; each needs seconds above 0"
            )


@dataclass
class _Sums:
    """What the blocks of samples add up to, per layer."""

    clocked: int = 0
    free: int = 0
    equal: int = 0
    differing: Any = False
    mean: Floats = field(default_factory=lambda: np.zeros(2))  # events, operations
    peak: Floats = field(default_factory=lambda: np.zeros(2))  # a second


def compare_orders(
    program: SpeckProgram,
    lowered: Lowered,
    chip_input: ChipInput,
    given: InOrder,
    *,
    task: Task | None = None,
    progress: Progress | None = None,
) -> OrderOfEvents:
    """Run both readings on the same events.

    task: labels of the samples, and how the output answers.

    Raises:
        BadInput: the events are not those of the codes, or the output is read from a membrane.
    """
    checked = program.check(chip_input)
    if given.is_coded:
        _check_events(program, checked, given.events)
    readout = None if task is None else task.readout
    output = None
    if task is not None:
        output = next(x for x in lowered.layers if x.name == task.output)
        if needs_membrane(output, task.readout):
            raise BadInput(
                f"readout {task.readout}: event by event no membrane is kept; use count or first"
            )
    sums = {layer.name: _Sums() for layer in program.layers}
    said: tuple[list[Answers], list[Answers]] = ([], [])
    spent, clipped = [0.0, 0.0], 0
    size = max(1, _HELD // max(1, checked.steps * sum(x.size for x in program.layers)))
    for start in range(0, checked.batch, size):
        stop = min(start + size, checked.batch)
        begun = time.perf_counter()
        clocked = emulate_speck(program, checked.take(slice(start, stop)))
        if checked.lengths is not None:
            clocked = clocked.stopped(checked.ran[start:stop])
        between = time.perf_counter()
        free = run_event_driven(program, given.events.take(start, stop))
        spent[0] += between - begun
        spent[1] += time.perf_counter() - between
        clipped += sum(free.clipped.values())
        for name, held in sums.items():
            _add(held, name, clocked.spikes[name], free, given.step_s[start:stop])
        if output is not None and readout is not None:
            said[0].append(answers(clocked, output, readout))
            said[1].append(answers(free.trace, output, readout))
        if progress is not None:
            progress(stop, checked.batch)
    ran = given.events.ran
    cores, notes = _cores(program)
    seconds, steps = float((ran * given.step_s).sum()), int(ran.sum())
    found = OrderOfEvents(
        chip=program.chip,
        samples=checked.batch,
        steps=checked.steps,
        order=given.order,
        events=len(given.events.step),
        left_out=given.left_out,
        step_s=seconds / max(steps, 1),
        layers=tuple(
            _row(x.name, x.size, sums[x.name], cores[x.name], seconds, checked)
            for x in program.layers
        ),
        clipped=clipped,
        seconds=(spent[0], spent[1]),
        notes=notes,
    )
    if task is None or readout is None:
        return found
    return _scored(found, task, readout, Answers.join(said[0]), Answers.join(said[1]))


def _scored(
    found: OrderOfEvents, task: Task, readout: Readout, clocked: Answers, free: Answers
) -> OrderOfEvents:
    before, after = clocked.predicted == task.labels, free.predicted == task.labels
    return replace(
        found,
        readout=readout,
        same_class=int(np.count_nonzero(clocked.predicted == free.predicted)),
        clocked=accuracy(int(before.sum()), len(before)),
        event_driven=accuracy(int(after.sum()), len(after)),
        drop=changed(before, after),
    )


def _add(sums: _Sums, name: str, clocked: Any, free: EventRun, step_s: Floats) -> None:
    spikes = free.spikes[name]
    unequal = spikes != clocked
    sums.clocked += int(clocked.sum(dtype=np.int64))
    sums.free += int(spikes.sum(dtype=np.int64))
    sums.equal += unequal.size - int(np.count_nonzero(unequal))
    sums.differing = sums.differing | unequal.any(axis=(0, 1))
    for i, counts in enumerate((free.arrived[name], free.operations[name])):
        sums.mean[i] += counts.sum()
        sums.peak[i] = max(sums.peak[i], float((counts / step_s[:, None]).max(initial=0.0)))


def _row(
    name: str,
    size: int,
    sums: _Sums,
    core: tuple[int | None, float | None],
    seconds: float,
    checked: ChipInput,
) -> LayerOrder:
    mean = sums.mean / max(seconds, 1e-300)
    return LayerOrder(
        name=name,
        neurons=size,
        clocked=sums.clocked,
        event_driven=sums.free,
        equal=sums.equal / max(1, checked.batch * checked.steps * size),
        differing=int(np.count_nonzero(sums.differing)),
        core=core[0],
        events_per_s=float(mean[0]),
        events_per_s_peak=float(sums.peak[0]),
        operations_per_s=float(mean[1]),
        operations_per_s_peak=float(sums.peak[1]),
        limit_per_s=core[1],
    )


def _cores(
    program: SpeckProgram,
) -> tuple[dict[str, tuple[int | None, float | None]], tuple[str, ...]]:
    """Core of every layer, and its published operations per second."""
    chip = load_chip(program.chip)
    try:
        mapping = place(program, chip)
    except DoesNotFit as error:
        nowhere = {layer.name: (None, None) for layer in program.layers}
        return dict(nowhere), (f"no core is known, and no limit: {error}",)
    found: dict[str, tuple[int | None, float | None]] = {}
    for layer in program.layers:
        core = mapping.cores_of(layer.name)[0]
        figure = chip.rate.get("synops_per_s_core0" if core == 0 else "synops_per_s_other")
        found[layer.name] = (core, None if figure is None else float(figure.value))
    return found, ()


def _check_events(program: SpeckProgram, checked: ChipInput, events: OrderedEvents) -> None:
    """The events are those of the codes, in whatever order."""
    if (events.samples, events.steps) != (checked.batch, checked.steps) or np.any(
        events.ran != checked.ran
    ):
        raise BadInput(
            f"order of events: {events.samples} samples of {events.steps} steps, the input has "
            f"{checked.batch} of {checked.steps}; order the events of this input"
        )
    size = sum(code.size for code in program.inputs.values())
    for sample in range(checked.batch):
        own = slice(events.offsets[sample], events.offsets[sample + 1])
        cells = events.step[own] * size + events.index[own]
        counted = np.bincount(cells, minlength=checked.steps * size).reshape(-1, size)
        codes = np.concatenate([checked.codes[name][sample] for name in program.inputs], axis=1)
        ran = int(events.ran[sample])
        if counted.shape[0] != checked.steps or np.any(counted[:ran] != codes[:ran]):
            raise BadInput(
                f"order of events: the events of sample {sample} are not the codes of the input; "
                "order the events of this input"
            )
