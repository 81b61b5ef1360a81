"""Batches as a model of T steps reads them: sequences as they are, averaged features T times."""

from dataclasses import replace
from typing import Literal

import torch

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch
from neurozsl.models.blocks import masked_mean

Encode = Literal["sequence", "repeat"]


def as_steps(batch: AVBatch, *, steps: int, encode: Encode, model: str) -> AVBatch:
    """The batch with `steps` steps, T of the model.

    `sequence` takes T steps as they are, a batch that is shorter than its data set's longest sample
    with zeros behind it; `repeat` shows the average T times. The mask ends at
    `batch.stop`: what `repeat` averages is known before the first step, all of it.

    Raises:
        BadInput: a sequence of another length.
    """
    shown = _all_steps(batch, steps=steps, encode=encode, model=model)
    if batch.stop is None:
        return shown
    ran = torch.arange(steps, device=shown.mask.device) < batch.stop
    return replace(shown, mask=shown.mask & ran)


def _all_steps(batch: AVBatch, *, steps: int, encode: Encode, model: str) -> AVBatch:
    """As `as_steps`, without a stop."""
    if encode == "sequence":
        batch = batch.padded()
    found = batch.audio.shape[1]
    if encode == "sequence":
        if found != steps:
            raise BadInput(
                f"model '{model}': features have {found} steps, the model expects {steps}; use "
                f"encode=repeat for averaged features or steps={found}"
            )
        return batch
    if found != 1:  # averaged over the real steps first, as the benchmark's files are
        batch = replace(
            batch,
            audio=masked_mean(batch.audio, batch.mask)[:, None],
            video=masked_mean(batch.video, batch.mask)[:, None],
            mask=batch.mask.any(1, keepdim=True),
        )
    return replace(
        batch,
        audio=batch.audio.expand(-1, steps, -1),
        video=batch.video.expand(-1, steps, -1),
        mask=batch.mask.expand(-1, steps),
    )
