"""Networks that other frameworks exported and ran, elsewhere: `simulate` gives every spike.

Beside each file lie its input and what the framework sent, of every layer (`layer1`, `layer2`) or
of the last (`y`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# What a file of snnTorch cannot say, for the files that do not hold its default.
WORDS = {
    "snntorch_leaky_subtract_nodelay": "snntorch:subtract-nodelay",
    "snntorch_leaky_zero_delay": "snntorch:zero",
    "snntorch_synaptic_zero_nodelay": "snntorch:zero-nodelay",
}
NAMES = (
    "B_si_lif_equaltau",
    "no_lif",
    "sinabs_iaf",
    "sj_conv",
    "sj_cuba_hardneg",
    "sj_if__hardneg",
    "snntorch_leaky_subtract_delay",
    "snntorch_leaky_subtract_nodelay",
    "snntorch_leaky_zero_delay",
    "snntorch_rleaky_subtract",
    "snntorch_synaptic_subtract_delay",
    "snntorch_synaptic_zero_nodelay",
    "spikingjelly_if_hard",
    "spikingjelly_lif_hard",
    "spikingjelly_lif_nodecayinput",
    "spikingjelly_lif_vreset-0.2",
)
Command = Callable[..., Any]


@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data / "nir_cases"
    if not folder.is_dir():
        pytest.skip("../shared/data/nir_cases is not on this machine")
    return folder


def _recorded(folder: Path, name: str) -> tuple[Any, list[Any]]:
    """Input, and the spikes of the layers that were recorded, the last one last."""
    arrays: dict[str, Any] = {}
    for path in (folder / f"{name}{end}.npz" for end in ("", ".x", ".y")):
        if path.is_file():
            with np.load(path) as stored:
                arrays |= dict(stored)
    return arrays.pop("input"), [arrays[key] for key in sorted(arrays)]


def test_every_file_of_the_folder_is_tried(cases: Path) -> None:
    assert {path.stem for path in cases.glob("*.nir")} == set(NAMES)
    assert set(WORDS) < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_spike_is_the_frameworks(
    name: str, neurozsl: Command, cases: Path, tmp_path: Path
) -> None:
    given, wanted = _recorded(cases, name)
    np.savez(tmp_path / "x.npz", input=given)
    said = ("--dialect", WORDS[name]) if name in WORDS else ()
    ran = neurozsl(
        "simulate", cases / f"{name}.nir", "--input", tmp_path / "x.npz", *said,
        "--out", tmp_path / "trace.npz", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    with np.load(tmp_path / "trace.npz") as trace:
        layers = [trace[f"spikes/{x['name']}"] for x in ran.document["layers"]]
    assert wanted and wanted[-1].any()
    for mine, theirs in zip(layers[-len(wanted) :], wanted, strict=True):
        np.testing.assert_array_equal(mine, theirs.reshape(mine.shape))
