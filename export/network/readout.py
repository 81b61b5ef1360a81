"""The class that an output layer answers, from its trace; as frameworks read spiking outputs.

In: the trace of one layer, `(sample, time, neuron)`. Out: `Answers`, a class a sample.

count     the neuron with the most spikes in all steps (rate code; snnTorch's `accuracy_rate`)
first     the neuron that spikes first, of several the one with more spikes (latency code). A
          sample without a spike has no answer, which is wrong
membrane  the neuron whose membrane is highest in any step: the largest value over time, as Norse's
          and SpyTorch's classifiers and Cramer et al. (Heidelberg data sets, IEEE TNNLS 33,
          2744-2757, 2022, "max-over-time") read a leaky integrator. Of maximum, mean and sum it is
          the one that neither the length of a sample nor silence before and after it changes
last      the neuron with the highest membrane in the last step, or, of a layer that spikes, with
          most spikes in it ("last-time-step" there)

Where classes are equal the one of the lower number is taken, as argmax does; how often is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, MotionBackend, Trace
from neurozsl.export.bundle.task_score import READOUTS, Readout
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer

NO_ANSWER: Final = -1
_HELD: Final = 1 << 26  # spikes that are held at once, 64 MB


@dataclass(frozen=True)
class Answers:
    """predicted: classes `(sample,)`, NO_ANSWER for none. ties, silent: as of `TaskRow`."""

    predicted: npt.NDArray[np.int64]
    ties: int
    silent: int

    @staticmethod
    def join(parts: Sequence["Answers"]) -> "Answers":
        """Answers of different samples, at least one part, end to end."""
        return Answers(
            np.concatenate([part.predicted for part in parts]),
            sum(part.ties for part in parts),
            sum(part.silent for part in parts),
        )


def output_layer(lowered: Lowered, source: str) -> LoweredLayer:
    """The one layer that answers.

    Raises:
        BadInput: the network has several outputs.
    """
    if len(lowered.outputs) != 1:
        raise BadInput(
            f"{source}: {len(lowered.outputs)} output layers ({', '.join(lowered.outputs)}), "
            "accuracy reads 1; make a .nir file with the one that answers"
        )
    return next(layer for layer in lowered.layers if layer.name == lowered.outputs[0])


def readout_of(layer: LoweredLayer, asked: str | None) -> Readout:
    """The readout that was asked for; count where the layer spikes, else membrane.

    Raises:
        BadInput: an unknown word, or spikes of a layer that sends none.
    """
    if asked is None:
        return "count" if layer.rule.spiking else "membrane"
    known = next((word for word in READOUTS if word == asked), None)
    if known is None:
        raise BadInput(f"readout '{asked}' is unknown; use {', '.join(READOUTS)}")
    if known in ("count", "first") and not layer.rule.spiking:
        raise BadInput(
            f"readout {known}: output layer '{layer.name}' never spikes; use membrane or last"
        )
    return known


def needs_membrane(layer: LoweredLayer, readout: Readout) -> bool:
    """Whether a run has to record the membrane."""
    return readout == "membrane" or (readout == "last" and not layer.rule.spiking)


def answers(trace: Trace, layer: LoweredLayer, readout: Readout) -> Answers:
    """The classes of a trace.

    Raises:
        BadInput: the run kept no membrane of this layer.
    """
    spikes = np.asarray(trace.spikes[layer.name])
    silent = ~spikes.any(axis=(1, 2)) if layer.rule.spiking else np.zeros(len(spikes), np.bool_)
    values: npt.NDArray[Any]
    if needs_membrane(layer, readout):
        if layer.name not in trace.membrane:
            raise BadInput(
                f"readout {readout}: this backend keeps no membrane of layer '{layer.name}'; use "
                "count or first, or the backend floatsim"
            )
        membrane = np.asarray(trace.membrane[layer.name])
        values = membrane.max(axis=1) if readout == "membrane" else membrane[:, -1]
    elif readout == "last":
        values = spikes[:, -1].astype(np.int64)
    else:
        values = spikes.sum(axis=1, dtype=np.int64)  # (sample, neuron)
        if readout == "first":
            spiked = spikes > 0
            step = np.where(spiked.any(axis=1), spiked.argmax(axis=1), spikes.shape[1])
            values = np.where(step == step.min(axis=1, keepdims=True), values, NO_ANSWER)
    tied = np.count_nonzero(values == values.max(axis=1, keepdims=True), axis=1) > 1
    predicted = values.argmax(axis=1).astype(np.int64)
    if readout == "first":
        predicted, tied = np.where(silent, NO_ANSWER, predicted), tied & ~silent
    return Answers(predicted, int(np.count_nonzero(tied)), int(np.count_nonzero(silent)))


def answers_of(
    backend: MotionBackend,
    chip_input: ChipInput,
    lowered: Lowered,
    layer: LoweredLayer,
    readout: Readout,
    progress: Progress | None = None,
) -> Answers:
    """The classes that a backend answers, some samples at a time: no trace of all is held."""
    each = max(1, chip_input.steps * sum(x.size for x in lowered.layers))
    some, parts = max(1, _HELD // each), []
    for start in range(0, chip_input.batch, some):
        part = chip_input.take(slice(start, start + some))
        parts.append(answers(backend(part).to_numpy(), layer, readout))
        if progress is not None:
            progress(min(start + some, chip_input.batch), chip_input.batch)
    return Answers.join(parts)
