"""Samples as the chip reads them: for calibration, as golden inputs, for a closer look.

In: a model with a spiking branch, and rows of a split. Out: `ChipInput`, integers.
"""

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Policy
from neurozsl.data.batch import Split
from neurozsl.models.base import ZSLModel, closed_loop, needed_branch
from neurozsl.scoring import road
from neurozsl.scoring.road import Rows

CALIBRATION_ROWS = 256


def spread(size: int, count: int) -> Rows:
    """Up to `count` of the rows 0..size-1, evenly spread, so that all classes appear.

    >>> spread(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.unique(np.linspace(0, size - 1, count).astype(np.int64))


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


def calibration_of(model: ZSLModel, train: Split, policy: Policy) -> ChipInput:
    """Inputs of training samples, with the thresholds that the branch itself uses on them.

    A closed loop moves its thresholds by its own spikes: `prepare` cannot know them, the branch is
    asked. For every other policy the input is as `prepare` made it.
    """
    chip = chip_input(model, train, spread(len(train), CALIBRATION_ROWS))
    if policy != "closed":
        return chip
    with torch.no_grad():
        found = closed_loop(needed_branch(model)).thresholds(as_float(chip))
    return ChipInput(chip.codes, chip.code, {k: v.double().numpy() for k, v in found.items()})


def as_float(chip: ChipInput) -> ChipInput:
    """The codes as tensors of floats, as the branch reads them in training; no thresholds."""
    codes = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in chip.codes.items()}
    return ChipInput(codes, chip.code, None)
