"""A recorded network through neurozsl: its file read with some options, its spikes compared."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.export.network.network_input import encode
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import from_graph
from neurozsl.export.nir.said import Said
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered
from tests.frameworks import record
from tests.frameworks.cases import Case

Backend = Callable[[Lowered, ChipInput], Trace]


def fed(path: Path, options: Mapping[str, Any], spikes: Any) -> tuple[Lowered, ChipInput]:
    """The network of a file and its input.

    options: fields of `Said`. spikes: input, (samples, steps, ...).
    """
    graph, steps = nirfile.read(path), spikes.shape[1]
    [name] = from_graph(graph, path.stem, Said(steps=steps, **options)).lowered.inputs
    given = encode({name: spikes}, {name: spikes.shape[2:]}).chip_input
    said = Said(steps=steps, inputs=given.code, **options)
    return from_graph(graph, path.stem, said).lowered, given


def simulated(
    path: Path, options: Mapping[str, Any], spikes: Any, run: Backend = simulate
) -> list[Any]:
    """Spike counts of the spiking layers, in the order in which signals pass them."""
    lowered, given = fed(path, options, spikes)
    trace = run(lowered, given)
    return [trace.spikes[layer.name] for layer in lowered.layers if layer.rule.spiking]


def gives_every_spike(folder: Path, case: Case, options: Mapping[str, Any]) -> bool:
    """True where both layers send in every step what the framework sends."""
    stored = record.read_spikes(folder, case)
    layers = simulated(folder / f"{case.name}.nir", options, stored["input"])
    return len(layers) == 2 and all(
        np.array_equal(counts, stored[f"layer{depth}"]) for depth, counts in enumerate(layers)
    )
