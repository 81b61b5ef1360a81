"""A data set in fewer time steps: neighbouring steps become one.

With T_0 steps in, T out and r = T_0 / T (a whole number), the step t of a feature is the mean of
its real steps r t .. r t + r - 1, and of the pixel events their sum, at most 255. The window stays
as long as it was. Statistics of an encoder belong to the steps they were fitted on and are dropped.
"""

from dataclasses import replace

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32, Bools, Split, ZSLData
from neurozsl.data.store import time_mean


def in_steps(data: ZSLData, steps: int) -> ZSLData:
    """The data set with `steps` steps.

    Raises:
        BadInput: the number of its steps is no multiple of `steps`.
    """
    found = data.splits["train"].steps
    if steps < 1 or found % steps:
        wholes = ", ".join(str(t) for t in range(1, found + 1) if found % t == 0)
        raise BadInput(
            f"{data.name}: {found} steps cannot become {steps}, neighbours are joined and none "
            f"are invented; choose {wholes}"
        )
    meta = {k: v for k, v in data.meta.items() if k != "encoder"}
    meta["joined_steps"] = {"from": found, "to": steps}
    return replace(
        data,
        splits={name: _joined(split, found // steps) for name, split in data.splits.items()},
        step_s=data.step_s * (found // steps),
        meta=meta,
    )


def _joined(split: Split, ratio: int) -> Split:
    mask = split.mask.reshape(len(split), split.steps // ratio, ratio)
    events = None
    if split.events is not None:
        grouped = split.events.reshape(*mask.shape, -1).astype(np.uint32)
        events = np.minimum(grouped.sum(axis=2), 255).astype(np.uint8)
    return Split(  # the values lie in memory now
        name=split.name,
        audio=_mean(split.audio, mask),
        video=_mean(split.video, mask),
        label=split.label,
        mask=np.asarray(mask.any(axis=2)),
        names=split.names,
        events=events,
    )


def _mean(sequence: F32, mask: Bools) -> F32:
    """(n, T_0, D) -> (n, T, D) over the real steps of each group; 0 where none is real."""
    n, steps, ratio = mask.shape
    grouped = np.asarray(sequence).reshape(n * steps, ratio, -1)
    return time_mean(grouped, mask.reshape(n * steps, ratio)).reshape(n, steps, -1)
