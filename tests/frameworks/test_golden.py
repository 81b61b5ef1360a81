"""neurozsl gives every spike of every layer of the networks that other frameworks wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import NeuroZSLError
from neurozsl.export.network.network_input import encode
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import from_graph
from neurozsl.export.nir.said import Said
from neurozsl.hardware.floatsim.floatsim import simulate
from tests.frameworks import record
from tests.frameworks.cases import CASES, Case
from tests.frameworks.conftest import Folder

REACHED = [case for case in CASES if case.lost is None]
LOST = [case for case in CASES if case.lost is not None]


def _simulated(path: Path, case: Case, spikes: Any) -> list[Any]:
    """Spike counts of the spiking layers, in the order in which signals pass them."""
    options: dict[str, Any] = dict(case.said)
    graph, steps = nirfile.read(path), spikes.shape[1]
    [name] = from_graph(graph, case.name, Said(steps=steps, **options)).lowered.inputs
    given = encode({name: spikes}, {name: spikes.shape[2:]})
    said = Said(steps=steps, inputs=given.chip_input.code, **options)
    lowered = from_graph(graph, case.name, said).lowered
    trace = simulate(lowered, given.chip_input)
    return [trace.spikes[layer.name] for layer in lowered.layers if layer.rule.spiking]


def _id(case: Case) -> str:
    return f"{case.writer}-{case.name}"


@pytest.mark.parametrize("case", REACHED, ids=_id)
def test_every_spike_is_the_frameworks(recorded: Folder, case: Case) -> None:
    folder = recorded(case.writer)
    stored = record.read_spikes(folder, case)
    layers = _simulated(folder / f"{case.name}.nir", case, stored["input"])
    assert len(layers) == 2
    for depth, counts in enumerate(layers):
        wrong = counts != stored[f"layer{depth}"]
        first = np.argwhere(wrong.any(axis=(0, 2)))[:1].ravel().tolist()
        assert not wrong.any(), f"layer {depth}: {wrong.mean():.2%} differ, from step {first}"


def test_what_a_file_has_lost_is_refused(recorded: Folder) -> None:
    for case in LOST:
        folder = recorded(case.writer)
        spikes = record.read_spikes(folder, case)["input"]
        with pytest.raises(NeuroZSLError):
            _simulated(folder / f"{case.name}.nir", case, spikes)
