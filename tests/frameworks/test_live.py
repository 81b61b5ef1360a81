"""The frameworks themselves, run now, send what is recorded of them and write the same files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.export.nir import nirfile
from tests.frameworks import record
from tests.frameworks.cases import CASES
from tests.frameworks.conftest import Folder


def _nodes(path: Path) -> dict[str, dict[str, Any]]:
    """Values of every node of a file; edges, which exporters write in no order, are a set."""
    graph = nirfile.read(path)
    nodes = {
        name: {"type": type(node).__name__, **{k: repr(v) for k, v in vars(node).items()}}
        for name, node in graph.nodes.items()
    }
    return nodes | {"edges": dict.fromkeys(map(str, sorted(graph.edges)))}


@pytest.mark.peers
@pytest.mark.parametrize(
    "writer",
    [
        x if x == "norse" else pytest.param(x, marks=pytest.mark.slow)  # 20 to 50 s each
        for x in record.WRITERS
    ],
)
def test_a_framework_still_sends_and_writes_what_is_recorded(
    recorded: Folder, live: Folder, writer: str
) -> None:
    then, now = recorded(writer), live(writer)
    cases = [case for case in CASES if case.writer == writer]
    assert cases
    with np.printoptions(threshold=100_000, floatmode="unique"):
        for case in cases:
            before, after = (record.read_spikes(folder, case) for folder in (then, now))
            for layer in ("layer0", "layer1"):
                np.testing.assert_array_equal(before[layer], after[layer], case.name)
            one, other = (_nodes(folder / f"{case.name}.nir") for folder in (then, now))
            assert one == other, case.name
