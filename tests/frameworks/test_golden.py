"""neurozsl gives every spike of every layer of the networks that other frameworks wrote."""

import numpy as np
import pytest

from neurozsl.core.errors import NeuroZSLError
from tests.frameworks import record
from tests.frameworks.cases import CASES, Case
from tests.frameworks.conftest import Folder
from tests.frameworks.run import simulated

REACHED = [case for case in CASES if case.lost is None]
LOST = [case for case in CASES if case.lost is not None]


def _id(case: Case) -> str:
    return f"{case.writer}-{case.name}"


@pytest.mark.parametrize("case", REACHED, ids=_id)
def test_every_spike_is_the_frameworks(recorded: Folder, case: Case) -> None:
    folder = recorded(case.writer)
    stored = record.read_spikes(folder, case)
    layers = simulated(folder / f"{case.name}.nir", case.said, stored["input"])
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
            simulated(folder / f"{case.name}.nir", case.said, spikes)
