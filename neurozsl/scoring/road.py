"""The road of a batch through a split model: the chip is a value in the middle.

    parts  = prepare(model, split, rows)       host, once: what the chip reads, and a context
    trace  = backend(parts.chip_input)         any backend, any number of them, on the same parts
    output = finish(model, parts, trace)       host again

Where no backend is asked for, the model's own branch runs, in Norse's neurons. A test goes this way
batch by batch, so that memory is bounded by the batch; who wants something of the whole test keeps
it per batch (`evaluation.walk`) and joins it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, MotionBackend, Trace
from neurozsl.data.batch import AVBatch, Split, Stage
from neurozsl.models.base import Embedding, Prepared, ZSLModel, own_trace

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PreparedBatch:
    """A batch between the two doors.

    rows: places of its samples. made: by the model, tensors on the host's device.
    """

    rows: Rows
    made: Prepared

    @cached_property
    def chip_input(self) -> ChipInput | None:
        """What every backend reads, as integers; None where nothing spikes."""
        return None if self.made.chip_input is None else self.made.chip_input.to_numpy()


@contextmanager
def at_rest(model: ZSLModel) -> Iterator[None]:
    """The model in evaluation mode and without gradients; its mode is restored."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def prepare(
    model: ZSLModel,
    split: Split,
    rows: npt.ArrayLike,
    *,
    first: int = 0,
    device: torch.device | str = "cpu",
    stop: int | None = None,
) -> PreparedBatch:
    """The host's part before the chip, for samples `rows` of a split; no motion weight is used.

    first: place of the split's first sample in what is walked. device: where the model is. stop:
    the host knows the first `stop` steps alone (`AVBatch.stop`).
    """
    batch = replace(split.batch(rows).to(device), stop=stop)
    return prepare_batch(model, batch, first + np.asarray(rows, np.int64))


def prepare_batch(model: ZSLModel, batch: AVBatch, rows: Rows) -> PreparedBatch:
    """The same for a batch of no split, on the model's device; rows: places of its samples."""
    return PreparedBatch(rows, model.prepare(cast(batch, precision(model))))


def trace_of(
    model: ZSLModel, parts: PreparedBatch, backend: MotionBackend | None = None
) -> Trace | None:
    """The spikes of a backend, of the model's own branch where it is None; None without a branch.

    The own branch reads the tensors as they are, and which steps are real.
    """
    if backend is None:
        return own_trace(model, parts.made)
    return None if parts.chip_input is None else backend(parts.chip_input)


def finish(model: ZSLModel, parts: PreparedBatch, trace: Trace | None) -> Embedding:
    """The host's part after the chip; no motion weight is used."""
    return model.finish(trace, parts.made.context)


def on_chip(parts: PreparedBatch, trace: Trace | None) -> tuple[ChipInput, Trace]:
    """What was read and what was spiked, as numpy, to count on.

    Raises:
        BadInput: the model has no spiking branch.
    """
    if parts.chip_input is None or trace is None:
        raise BadInput("model: it has no motion branch, nothing spikes that could be counted")
    return parts.chip_input, trace.to_numpy()


def joined(passed: Sequence[tuple[ChipInput, Trace]]) -> tuple[ChipInput, Trace]:
    """What was read and spiked in several batches, end to end."""
    read, traces = zip(*passed, strict=True)
    return ChipInput.join(read), Trace.join(traces)


def batches(stage: Stage, size: int) -> list[tuple[Split, int, Rows]]:
    """The test of a stage: split, place of its first sample, rows; seen before unseen."""
    return [
        (split, first, np.arange(start, min(start + size, len(split))))
        for split, first in ((stage.seen, 0), (stage.unseen, len(stage.seen)))
        for start in range(0, len(split), size)
    ]


def words(
    model: ZSLModel, vectors: npt.NDArray[np.float32], device: torch.device | str = "cpu"
) -> Tensor:
    """The embedded class vectors, `(classes, proj)`."""
    return model.embed_words(torch.as_tensor(vectors, dtype=precision(model), device=device))


def precision(model: ZSLModel) -> torch.dtype:
    """Of a model's weights."""
    first = next(model.parameters(), None)
    return torch.float32 if first is None else first.dtype


def cast(batch: AVBatch, dtype: torch.dtype) -> AVBatch:
    """The batch with features of another precision."""
    if batch.audio.dtype == dtype:
        return batch
    events = None if batch.events is None else batch.events.to(dtype)
    return replace(batch, audio=batch.audio.to(dtype), video=batch.video.to(dtype), events=events)
