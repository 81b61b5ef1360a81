"""What the layers did: counts from execution, per inference (one sample, all its steps)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Array
from neurozsl.report.schema.value import Value


class Layer(Value):
    """Activity of one spiking layer, per inference.

    synops: effective synaptic operations, `effective_acs` + `effective_macs`: operations with a
    nonzero weight and input, 0/1 inputs and graded ones apart. synops_weighted: input value x
    fan-out, zero weights included (the definition of sinabs). dense: the same layer without any
    sparsity. input_events: nonzero codes or spikes that arrive. active_updates: neuron-steps in
    which an event arrives; the other neuron-steps are inactive_updates. messages: spikes times the
    cores that read them; hops: steps of those messages from tile to tile; both None without a
    placement. overflow, saturation: integer backends, whole run.
    spike_rate: spikes / (neurons x steps), above 1 only where neurons send several in a step.
    """

    name: str
    modality: str = ""
    inputs: int
    neurons: int
    parameters: int
    spike_rate: float = Field(ge=0)
    spikes: float
    synops: float
    effective_macs: float
    effective_acs: float
    synops_weighted: float | None = None
    dense: float
    input_events: float | None = None
    neuron_updates: float
    active_updates: float | None = None
    inactive_updates: float | None = None
    messages: float | None = None
    hops: float | None = None
    dead_neurons: int = 0
    overflow: int = 0
    saturation: int = 0


class Activity(Value):
    """One layer over the time steps, as the mean over the samples of one group of classes.

    group: "all", or by the role of the sample's class in the test. Each list has one value per
    step; `spike_rate` is their mean per neuron and step.
    """

    layer: str
    modality: str = ""
    group: Literal["all", "seen", "unseen"]
    samples: int
    spike_rate: float = Field(ge=0)
    spikes: tuple[float, ...]
    synops: tuple[float, ...]
    active_updates: tuple[float, ...]

    @model_validator(mode="after")
    def _same_steps(self) -> Self:
        if len({len(self.spikes), len(self.synops), len(self.active_updates)}) != 1:
            raise ValueError(f"activity of '{self.layer}', {self.group}: lists of several lengths")
        return self


class Difference(Value):
    """A metric for which NeuroBench and the exact count disagree, and why."""

    metric: str
    neurobench: float
    exact: float
    why: str


class NeuroBench(Value):
    """Metrics under the names and definitions of NeuroBench 2.3 (Yik et al. 2025).

    Footprint in bytes; sparsities are fractions 0..1; operations and MembraneUpdates are means per
    sample. differences: where these are not the counts that this report uses elsewhere.
    """

    Footprint: int
    ConnectionSparsity: float = Field(ge=0, le=1)
    ActivationSparsity: float = Field(ge=0, le=1)
    Effective_MACs: float
    Effective_ACs: float
    Dense: float
    MembraneUpdates: float
    differences: tuple[Difference, ...] = ()


class Frame(Value):
    """One picture of the clip at one step, as a PNG in base64; small, for people to look at."""

    step: int
    png: str


class RasterInput(Value):
    """The codes of one input that are not 0 in one sample, as (step, channel, code)."""

    name: str
    modality: str = ""
    channels: int
    events: tuple[tuple[int, int, int], ...]


class RasterLayer(Value):
    """Spikes of one layer in one sample, as (step, neuron) pairs."""

    name: str
    modality: str = ""
    neurons: int
    spikes: tuple[tuple[int, int], ...]


class Raster(Value):
    """Every spike of one sample, and what came in: the codes, and pictures where there are any.

    frames_note: what the pictures are, or why there are none.
    """

    sample: str
    true_class: str
    predicted_class: str
    steps: int
    layers: tuple[RasterLayer, ...]
    inputs: tuple[RasterInput, ...] = ()
    frames: tuple[Frame, ...] = ()
    frames_note: str = ""


def raster(
    spikes: Mapping[str, Array], *, sample: str, true_class: str, predicted_class: str
) -> Raster:
    """The raster of one sample.

    Args:
        spikes: per layer `(time, neuron)`, 0 or 1; a layer "audio.0" has the modality "audio".
        sample: identifies the sample (file, window).
        true_class: name of its class.
        predicted_class: name of the class that the deployed model chose.

    >>> spikes = {"audio.0": [[0, 1], [1, 0]]}
    >>> raster(spikes, sample="a", true_class="x", predicted_class="y").layers
    (RasterLayer(name='audio.0', modality='audio', neurons=2, spikes=((0, 1), (1, 0))),)
    """
    layers = []
    steps = 0
    for name, value in spikes.items():
        array = np.asarray(value)
        if array.ndim != 2:
            raise BadInput(f"raster of '{name}': shape {array.shape}, expected (time, neuron)")
        steps = max(steps, array.shape[0])
        layers.append(
            RasterLayer(
                name=name,
                modality=name.rpartition(".")[0],
                neurons=array.shape[1],
                spikes=tuple((int(t), int(n)) for t, n in np.argwhere(array)),
            )
        )
    return Raster(
        sample=sample,
        true_class=true_class,
        predicted_class=predicted_class,
        steps=steps,
        layers=tuple(layers),
    )
