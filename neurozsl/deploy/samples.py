"""Samples of a run as the chip reads them: of its data set, or those that it kept (`runs.kept`)."""

from neurozsl.core.signals import BranchSpec, ChipInput, Trace
from neurozsl.data.batch import Split, join
from neurozsl.models.base import needed_branch
from neurozsl.runs.kept import KeptData, TestSplit
from neurozsl.runs.run import Run
from neurozsl.scoring.evaluation import problem_of
from neurozsl.scoring.metrics import Ints, Problem
from neurozsl.scoring.road import Rows
from neurozsl.scoring.samples import as_float, calibration_of, chip_input, spread


def shown_samples(run: Run, count: int) -> list[tuple[Split, Rows]]:
    """`count` evenly spread test samples, half of seen and half of unseen classes.

    Raises:
        DataElsewhere: the data set is not here, and the run keeps fewer samples.
    """
    halves: tuple[tuple[TestSplit, int], ...]
    halves = (("test_seen", count - count // 2), ("test_unseen", count // 2))
    if isinstance(run.data, KeptData):
        return [run.data.test_rows(name, n) for name, n in halves if n]
    splits = run.data.splits
    return [(splits[name], spread(len(splits[name]), n)) for name, n in halves if n]


def asked_problem(run: Run) -> Problem:
    """What the test of a run asks; of kept samples alone where its data set is not here."""
    if isinstance(run.data, KeptData):
        return run.data.kept.problem(_labels(run.data))
    return problem_of(run.data.stage(2))


def _labels(data: KeptData) -> Ints:
    return join([x.split for x in data.kept.samples.values()]).label


def golden_input(run: Run, count: int) -> ChipInput:
    """Inputs of `count` test samples, half seen and half unseen classes.

    Raises:
        DataElsewhere: as `shown_samples`.
    """
    taken = shown_samples(run, count)
    return ChipInput.join([chip_input(run.model, split, rows) for split, rows in taken])


def calibration_input(run: Run, spec: BranchSpec) -> ChipInput:
    """Inputs of training samples, with the thresholds that the branch itself uses on them.

    A closed loop moves its thresholds by its own spikes: `prepare` cannot know them, the branch is
    asked. For every other policy the input is as `prepare` made it.
    """
    if isinstance(run.data, KeptData):
        return run.data.calibration
    return calibration_of(run.model, run.data.stage(2).train, spec.policy)


def training_spikes(run: Run, samples: ChipInput) -> Trace:
    """Spikes of the branch's own forward in training mode, as its loss saw them."""
    branch = needed_branch(run.model)
    was_training = branch.training
    branch.train()
    try:
        return branch(as_float(samples)).to_numpy()
    finally:
        branch.train(was_training)
