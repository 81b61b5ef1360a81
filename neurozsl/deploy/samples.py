"""Samples of a run as the chip reads them: for calibration, as golden inputs, for a closer look.

In: an opened run or its model, and rows of a split. Out: `ChipInput`, integers.
"""

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput, Policy, Trace
from neurozsl.data.batch import Split
from neurozsl.models.base import ZSLModel, closed_loop, needed_branch
from neurozsl.runs.run import Run
from neurozsl.scoring import road
from neurozsl.scoring.road import Rows

CALIBRATION_ROWS = 256


def spread(split: Split, count: int) -> Rows:
    """Up to `count` rows of a split, evenly spread, so that all classes appear."""
    return np.unique(np.linspace(0, len(split) - 1, count).astype(np.int64))


def chip_input(model: ZSLModel, split: Split, rows: npt.ArrayLike) -> ChipInput:
    """What the chip would read for samples `rows` of a split, as integers.

    Raises:
        BadInput: the model has no spiking branch.
    """
    with road.at_rest(model):
        found = road.prepare(model, split, rows).chip_input
    if found is None:
        raise BadInput("model: it has no motion branch; train with motion=true to deploy it")
    return found


def golden_input(run: Run, count: int) -> ChipInput:
    """Inputs of `count` test samples, half seen and half unseen classes."""
    stage = run.data.stage(2)
    halves = ((stage.seen, count - count // 2), (stage.unseen, count // 2))
    return ChipInput.join([chip_input(run.model, x, spread(x, n)) for x, n in halves if n])


def calibration_input(run: Run, spec: BranchSpec) -> ChipInput:
    """Inputs of training samples, with the thresholds that the branch itself uses on them.

    A closed loop moves its thresholds by its own spikes: `prepare` cannot know them, the branch is
    asked. For every other policy the input is as `prepare` made it.
    """
    return calibration_of(run.model, run.data.stage(2).train, spec.policy)


def calibration_of(model: ZSLModel, train: Split, policy: Policy) -> ChipInput:
    """As `calibration_input`, of any model with a branch and its training samples."""
    chip = chip_input(model, train, spread(train, CALIBRATION_ROWS))
    if policy != "closed":
        return chip
    with torch.no_grad():
        found = closed_loop(needed_branch(model)).thresholds(_as_float(chip))
    return ChipInput(chip.codes, chip.code, {k: v.double().numpy() for k, v in found.items()})


def training_spikes(run: Run, samples: ChipInput) -> Trace:
    """Spikes of the branch's own forward in training mode, as its loss saw them."""
    branch = needed_branch(run.model)
    was_training = branch.training
    branch.train()
    try:
        return branch(_as_float(samples)).to_numpy()
    finally:
        branch.train(was_training)


def _as_float(chip: ChipInput) -> ChipInput:
    codes = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in chip.codes.items()}
    return ChipInput(codes, chip.code, None)
