"""neurozsl gives every spike of every layer of the networks that other frameworks wrote."""

import re

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.export.backends.sinabs_layers import run_sinabs
from tests.frameworks import record
from tests.frameworks.cases import CASES, Case
from tests.frameworks.conftest import Folder
from tests.frameworks.run import simulated


def _id(case: Case) -> str:
    return f"{case.writer}-{case.name}"


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_every_spike_is_the_frameworks(recorded: Folder, case: Case) -> None:
    folder = recorded(case.writer)
    stored = record.read_spikes(folder, case)
    layers = simulated(folder / f"{case.name}.nir", case.said, stored["input"])
    assert len(layers) == 2
    for depth, counts in enumerate(layers):
        wrong = counts != stored[f"layer{depth}"]
        first = np.argwhere(wrong.any(axis=(0, 2)))[:1].ravel().tolist()
        assert not wrong.any(), f"layer {depth}: {wrong.mean():.2%} differ, from step {first}"


@pytest.mark.parametrize("writer", record.WRITERS)
def test_sinabs_layers_give_the_same_spikes_or_refuse_the_reset(
    recorded: Folder, writer: str
) -> None:
    folder, refused = recorded(writer), set()
    cases = [case for case in CASES if case.writer == writer]
    assert cases
    for case in cases:
        stored, path = record.read_spikes(folder, case), folder / f"{case.name}.nir"
        try:
            layers = simulated(path, case.said, stored["input"], run_sinabs)
        except BadInput as error:
            refused |= set(re.findall(r"reset ([a-z-]+), Sinabs' layers have", str(error)))
            continue
        for depth, counts in enumerate(layers):
            np.testing.assert_array_equal(counts, stored[f"layer{depth}"], case.name)
    assert refused == ({"zero-late", "subtract-nodelay"} if writer == "snntorch" else set())
