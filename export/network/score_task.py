"""The accuracy of a network at its task, in float and in integers: a `TaskScore`.

In: a `Task`, a network in its forms (`Parts`), the samples that the labels are of. Out: a row each
for the float simulation, for what is shipped and for further widths of its weights, the drop of
each against float on the same samples, and the verdict. Samples run some at a time, and only their
answers are kept.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.core.signals import ChipInput, MotionBackend
from neurozsl.export.backends.registry import Parts, RunOptions, backend
from neurozsl.export.bundle.accuracy import Bools, accuracy, changed
from neurozsl.export.bundle.bundle import Bundle, StageProgress
from neurozsl.export.bundle.task_score import MAX_DROP, TaskRecall, TaskRow, TaskScore, verdict_of
from neurozsl.export.network.network_run import NetworkRun
from neurozsl.export.network.readout import Answers, answers, answers_of
from neurozsl.export.network.task import Ints, Task
from neurozsl.export.targets import target as find_target
from neurozsl.export.targets.base import Target
from neurozsl.hardware.arithmetic.base import QuantiserOptions
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.program import ChipProgram

FLOAT: Final = "float"
WIDTHS: Final = (8, 4)  # bits of weights that every export in integers is scored with


@dataclass(frozen=True)
class Contender:
    """One arithmetic to be scored, as a `TaskRow` calls it. make: its backend, if it has one."""

    name: str
    bits: int | None
    shipped: bool
    make: Callable[[], MotionBackend]


def score(
    task: Task,
    parts: Parts,
    chip_input: ChipInput,
    contenders: Iterable[Contender],
    *,
    known: Mapping[str, Answers] | None = None,
    limit: float = MAX_DROP,
    progress: StageProgress | None = None,
) -> TaskScore:
    """The accuracy of float and of every contender on the same samples, and the verdict.

    One contender is shipped; with none the float network is. known: answers that are there, by the
    name of the row.

    Raises:
        BadInput: as many labels as samples are needed, the limit is no number of points, or what
            is shipped cannot run.
    """
    check_limit(limit)
    if len(task.labels) != chip_input.batch or not chip_input.batch:
        raise BadInput(
            f"accuracy: {len(task.labels):,} labels for {chip_input.batch:,} samples; give one each"
        )
    run = _Labelled(task, parts.lowered, chip_input, known or {}, progress)
    contenders = list(contenders)
    alone = not any(one.shipped for one in contenders)
    floats = partial(backend, "floatsim", parts, _options(task))
    before, is_right = run.row(Contender(FLOAT, None, alone, floats), None)
    rows, shipped = [before], is_right
    for one in contenders:
        try:
            row, right = run.row(one, is_right)
        except (BadInput, DoesNotFit) as error:
            if one.shipped:
                raise
            rows.append(TaskRow(one.name, one.bits, False, None, error=str(error)))
            continue
        rows.append(row)
        shipped = right if one.shipped else shipped
    verdict, reason = verdict_of(tuple(rows), limit)
    return TaskScore(
        readout=task.readout,
        output=task.output,
        classes=task.classes,
        samples=chip_input.batch,
        limit=float(limit),
        input_sha256=task.input_sha256,
        labels_sha256=task.labels_sha256,
        rows=tuple(rows),
        recalls=tuple(_recalls(task.labels, is_right, shipped)),
        verdict=verdict,
        reason=reason,
    )


def check_limit(limit: float) -> None:
    """Refuse what is no loss in points.

    Raises:
        BadInput: below 0, above 100, or not a number.
    """
    if not 0 <= limit <= 100:
        raise BadInput(f"--max-acc-drop {limit:g}: expected 0 to 100 points of accuracy")


def deployed(parts: Parts, chosen: Target, task: Task) -> Contender:
    """What a bundle of a target ships, on the first of its backends."""
    name, program = chosen.backends[0], parts.program
    bits = None if program is None else _bits_of(program)
    run = _options(task)
    made = partial(backend, name, parts, run, own=chosen.own_backends)
    return Contender(name if bits is None else _bits(bits), bits, True, made)


def at_bits(
    parts: Parts,
    chip: str,
    task: Task,
    bits: tuple[int, ...],
    rounding: QuantiserOptions | None = None,
    *,
    shipped: bool = True,
) -> list[Contender]:
    """Integers of `chip` at several widths; shipped: the first is what counts, else none."""
    options = rounding or QuantiserOptions(None, 8, "max", False)
    return [
        Contender(
            _bits(each), each, shipped and k == 0, partial(_at, parts, chip, options, task, each)
        )
        for k, each in enumerate(bits)
    ]


def scored_export(
    task: Task,
    parts: Parts,
    chosen: Target,
    rounding: QuantiserOptions,
    chip_input: ChipInput,
    *,
    limit: float = MAX_DROP,
    progress: StageProgress | None = None,
) -> TaskScore:
    """Float, what the target ships, and for integers the other widths, widest first."""
    own = deployed(parts, chosen, task)
    if parts.program is None:
        same = own.name == "floatsim"  # which is the row of float
        return score(
            task, parts, chip_input, () if same else (own,), limit=limit, progress=progress
        )
    others = at_bits(
        parts,
        parts.program.chip,
        task,
        tuple(bits for bits in WIDTHS if bits != own.bits),
        rounding,
        shipped=False,
    )
    every = sorted((own, *others), key=lambda x: -(x.bits or 0))
    return score(task, parts, chip_input, every, limit=limit, progress=progress)


def score_run(
    task: Task, done: NetworkRun, *, limit: float = MAX_DROP, progress: StageProgress | None = None
) -> TaskScore:
    """The answers of a run that is done, beside those of float where it ran something else."""
    lowered, given = done.fed.network.lowered, done.fed.given.chip_input
    layer = next(x for x in lowered.layers if x.name == task.output)
    found = answers(done.trace, layer, task.readout)
    parts = Parts(None, lowered, done.program)
    if done.backend == "floatsim":
        return score(task, parts, given, (), known={FLOAT: found}, limit=limit)
    bits = None if done.program is None else _bits_of(done.program)
    name = done.backend if bits is None else f"{bits} bits, {done.backend}"
    floats = partial(backend, "floatsim", parts)  # is not asked: the answers are known
    own = Contender(name, bits, True, floats)
    return score(task, parts, given, (own,), known={name: found}, limit=limit, progress=progress)


def score_bundle(
    task: Task,
    bundle: Bundle,
    chip_input: ChipInput,
    *,
    limit: float = MAX_DROP,
    progress: StageProgress | None = None,
) -> TaskScore:
    """Float, and what a bundle ships."""
    own = deployed(bundle.parts, find_target(bundle.manifest.target), task)
    every = () if own.name == "floatsim" else (own,)
    return score(task, bundle.parts, chip_input, every, limit=limit, progress=progress)


def _at(
    parts: Parts, chip: str, rounding: QuantiserOptions, task: Task, bits: int
) -> MotionBackend:
    asked = replace(rounding, bits=bits, calibration=None)  # it only fills the loss report
    program = quantize(parts.lowered, chip, **vars(asked))
    return backend("emulator", replace(parts, program=program), _options(task))


def _options(task: Task) -> RunOptions:
    return RunOptions(record=("spikes", "membrane") if task.membrane else ("spikes",))


def _bits_of(program: ChipProgram) -> int:
    """Of the weights, as they were rounded; a program without a report says what is stored."""
    rows: tuple[Any, ...] = program.loss or program.layers
    return int(rows[0].weight_bits)


def _bits(bits: int) -> str:
    return f"{bits} bits"


@dataclass(frozen=True)
class _Labelled:
    """The samples, and what is known of them already."""

    task: Task
    lowered: Lowered
    chip_input: ChipInput
    known: Mapping[str, Answers]
    progress: StageProgress | None

    def row(self, one: Contender, before: Bools | None) -> tuple[TaskRow, Bools]:
        """The row of one arithmetic, and which samples were right; before: those of float."""
        found = self.known.get(one.name) or self._answers(one)
        is_right = found.predicted == self.task.labels
        rate = accuracy(int(np.count_nonzero(is_right)), len(is_right))
        lost = None if before is None else changed(before, is_right)
        made = TaskRow(one.name, one.bits, one.shipped, rate, found.ties, found.silent, lost)
        return made, is_right

    def _answers(self, one: Contender) -> Answers:
        task, lowered = self.task, self.lowered
        layer = next(x for x in lowered.layers if x.name == task.output)
        told = None if self.progress is None else partial(self.progress, f"accuracy, {one.name}")
        return answers_of(one.make(), self.chip_input, lowered, layer, task.readout, told)


def _recalls(labels: Ints, before: Bools, after: Bools) -> Iterable[TaskRecall]:
    for label in np.unique(labels).tolist():
        own = labels == label
        each = (np.count_nonzero(own & x) for x in (before, after))
        yield TaskRecall(label, int(np.count_nonzero(own)), *map(int, each))
