"""What the layers did: counts from execution, per inference (one sample, all its steps)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Array
from neurozsl.hardware.count.activity import LayerActivity
from neurozsl.hardware.count.counts import LayerCounts
from neurozsl.report.schema.value import Also, Value


@dataclass(frozen=True)
class Layer(LayerCounts):
    """The counts of one layer, and what the whole run and the cores add.

    messages: spikes times the cores that read them; hops: steps of those messages from tile to
    tile; both None without a placement. dead_neurons: without a spike in the whole run. overflow,
    saturation: integer backends, whole run.
    """

    messages: float | None = None
    hops: float | None = None
    dead_neurons: int = 0
    overflow: int = 0
    saturation: int = 0


Layers = tuple[Annotated[Layer, Also(("synops", "neuron_updates"))], ...]
Activity = tuple[
    Annotated[LayerActivity, Also(("spike_rate", "spikes", "synops", "active_updates"))], ...
]


class Frame(Value):
    """One picture of the clip at one step, as a PNG in base64; small, for people to look at."""

    step: int
    png: str


class RasterInput(Value):
    """The codes of one input that are not 0 in one sample, as (step, channel, code)."""

    name: str
    channels: int
    events: tuple[tuple[int, int, int], ...]


class RasterLayer(Value):
    """Spikes of one layer in one sample, as (step, neuron) pairs."""

    name: str
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


def modality(layer: Layer | RasterLayer) -> str:
    """The part of the network that a layer belongs to: "audio" of "audio.0"."""
    return layer.name.rpartition(".")[0]


def raster(
    spikes: Mapping[str, Array], *, sample: str, true_class: str, predicted_class: str, **more: Any
) -> Raster:
    """The raster of one sample (file, window); spikes: per layer `(time, neuron)`, 0 or 1.

    more: other fields of `Raster`.

    >>> spikes = {"audio.0": [[0, 1], [1, 0]]}
    >>> raster(spikes, sample="a", true_class="x", predicted_class="y").layers
    (RasterLayer(name='audio.0', neurons=2, spikes=((0, 1), (1, 0))),)
    """
    arrays = {name: np.asarray(value) for name, value in spikes.items()}
    for name, array in arrays.items():
        if array.ndim != 2:
            raise BadInput(f"raster of '{name}': shape {array.shape}, expected (time, neuron)")
    spiked: dict[str, Any] = {name: np.argwhere(array).tolist() for name, array in arrays.items()}
    return Raster(
        sample=sample,
        true_class=true_class,
        predicted_class=predicted_class,
        steps=max((len(x) for x in arrays.values()), default=0),
        layers=tuple(
            RasterLayer(name=name, neurons=array.shape[1], spikes=tuple(map(tuple, spiked[name])))
            for name, array in arrays.items()
        ),
        **more,
    )
