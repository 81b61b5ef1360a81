"""Pixel events as the visual motion of a model: what it reads, and its code.

In: `AVBatch.events`, counts of ON and OFF cells on a grid (`data.events.clip_events`); out: 0 or
1, one binary channel a cell, which every chip here takes as they are.
"""

from typing import Final

from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.core.maps import MapShape
from neurozsl.core.signals import InputCode
from neurozsl.data.batch import AVBatch
from neurozsl.data.events.clip_events import GRID

PIXEL_MAP: Final[MapShape] = (2, GRID, GRID)  # ON and OFF, height, width
PIXEL_CODE: Final = InputCode(2 * GRID * GRID, "binary", 1, False, 1.0)


def pixel_motion(batch: AVBatch, model: str) -> Tensor:
    """Where something moved, `(batch, time, cells)` of 0 and 1 in the type of the features.

    Raises:
        BadInput: the data have no pixel events, or others than the model's steps and grid.
    """
    events = batch.events
    if events is None:
        raise BadInput(
            f"model '{model}': events=pixel needs data with pixel events; this data set has none, "
            "use events=feature (without `--motion pixel`)"
        )
    wanted = (*batch.audio.shape[:2], PIXEL_CODE.size)
    if tuple(events.shape) != wanted:
        raise BadInput(
            f"model '{model}': pixel events of shape {tuple(events.shape)}, expected {wanted} "
            f"(samples, steps, ON and OFF cells of {GRID} x {GRID}); build the data again, and "
            "train with encode=sequence"
        )
    return (events > 0).to(batch.audio.dtype)
