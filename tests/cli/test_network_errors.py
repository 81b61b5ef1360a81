"""Wrong options and inputs for a `.nir` file: one clear error, exit code 2, nothing written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.factories import network_files as files

Command = Callable[..., Any]
Listing = Callable[[Path], dict[str, int]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """net.nir, and good and bad inputs for it."""
    files.write(tmp_path / "net.nir", files.dense())
    np.savez(tmp_path / "x.npz", **{"in": files.spikes()})
    np.savez(tmp_path / "wide.npz", **{"in": files.spikes(size=7)})
    np.savez(tmp_path / "real.npz", **{"in": files.spikes() * 0.3})
    np.savez(tmp_path / "other.npz", one=files.spikes(), two=files.spikes())
    (tmp_path / "text.npz").write_text("no archive")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("simulate NET", "--poisson RATE"),
        ("profile NET", "--input X.npz"),
        ("simulate NET --input X --poisson 0.1", "two inputs"),
        ("simulate NET --poisson 1.5", "expected 0..1"),
        ("simulate NET --poisson nan", "expected 0..1"),
        ("simulate NET --input X --samples 4", "--limit"),
        ("simulate NET --poisson 0.1 --limit 4", "--samples"),
        ("simulate NET --input X --seed 4", "belongs to --poisson"),
        ("simulate NET --input DIR/other.npz", "after the inputs: in"),
        ("inspect NET --json --markdown", "give one of them"),
        ("simulate NET --input X --steps 7", "the input has 20 steps"),
        ("simulate NET --input DIR/none.npz", "does not exist"),
        ("simulate NET --input DIR/text.npz", "numpy.savez"),
        ("simulate NET --input DIR/wide.npz", "(batch, time, 6)"),
        ("simulate NET --poisson 0.1 --backend gpu", "floatsim, sinabs, lava_float"),
        ("simulate NET --poisson 0.1 --backend norse", "floatsim, sinabs, lava_float"),
        ("simulate NET --poisson 0.1 --chip loihi2", "emulator, lava"),
        ("simulate NET --poisson 0.1 --backend emulator --chip gpu", "'gpu' is unknown"),
        ("simulate NET --poisson 0.1 --backend emulator --chip speck2f", "leak"),
        ("simulate NET --poisson 0.1 --backend lava --chip speck2f", "speck2f"),
        ("simulate NET --poisson 0.1 --out DIR/no/t.npz", "make it first"),
        ("simulate NET --poisson 0.1 --dt 0", "dt"),
        ("simulate NET --poisson 0.1 --dt 1", "node 'b'"),
        ("simulate NET --poisson 0.1 --max-spikes 0", "1..255"),
        ("simulate NET --poisson 0.1 --lower-bound 2", "0 or less"),
        ("simulate DIR/none.nir --poisson 0.1", "no such file"),
        ("simulate DIR/text.npz --poisson 0.1", "text.npz"),
        ("profile NET --poisson 0.1 --report DIR/r.pdf", ".md"),
        ("profile NET --poisson 0.1 --bundle DIR", "--bundle: only with a run"),
        ("export NET --target lava --threshold frozen", "--threshold: only with a run"),
        ("export NET --target lava --max-hm-drop 2 --bias-correction", "--max-hm-drop"),
        ("export NET --target truenorth", "'truenorth'"),
        ("verify NET", "neurozsl export"),
        ("inspect NET --seed 3", "simulate"),
    ],
)
def test_a_wrong_option_of_a_file(
    command: str, said: str, neurozsl: Command, folder: Path, listing: Listing
) -> None:
    before = listing(folder)
    places = {"NET": str(folder / "net.nir"), "X": str(folder / "x.npz")}
    words = [places.get(w, w.replace("DIR", str(folder))) for w in command.split()]
    ran = neurozsl(*words)
    assert (ran.code, ran.out) == (2, ""), ran.err
    [line] = ran.err.splitlines()
    assert line.startswith("error: ") and said in line
    assert listing(folder) == before


@pytest.mark.parametrize(
    "command",
    [
        "simulate BUNDLE --dt 0.1",
        "simulate BUNDLE --poisson 0.1 --seed 2",
        "simulate BUNDLE --chip loihi2",
        "simulate BUNDLE --out t.npz",
        "profile RUN --reset zero",
        "profile RUN --input x.npz",
        "export RUN --target nir --tau-unit ms",
        "export RUN --target nir --poisson 0.1",
    ],
)
def test_an_option_of_a_file_with_a_folder(
    command: str, neurozsl: Command, own_run: Path, lava_bundle: Path, listing: Listing
) -> None:
    before = listing(own_run)
    places = {"RUN": own_run, "BUNDLE": lava_bundle}
    words = command.split()
    ran = neurozsl(*(places.get(word, word) for word in words))
    assert (ran.code, ran.out) == (2, "")
    [line] = ran.err.splitlines()
    for option in (word for word in words[2:] if word.startswith("--") and word != "--target"):
        assert option in line
    assert "only with a .nir file" in line
    assert listing(own_run) == before


def test_real_numbers_are_coded_and_the_rounding_is_said(neurozsl: Command, folder: Path) -> None:
    ran = neurozsl("simulate", folder / "net.nir", "--input", folder / "real.npz", "--json")
    assert ran.code == 0
    [note] = ran.document["input"]
    assert note.startswith("input 'in': real values") and "largest rounding" in note


def test_all_unsupported_nodes_are_named_in_one_error(neurozsl: Command, folder: Path) -> None:
    path = folder / "net.nir"
    with h5py.File(path, "r+") as file:
        for name in ("b", "d"):
            file["node/nodes"][name]["type"][...] = "Izhikevich"
    for command in ("inspect", "profile"):
        ran = neurozsl(command, path, *(("--poisson", 0.1) if command == "profile" else ()))
        assert (ran.code, ran.out) == (2, "")
        [line] = ran.err.splitlines()
        assert "b (Izhikevich), d (Izhikevich)" in line


def test_a_file_of_ours_is_not_overruled_and_wants_its_own_codes(
    neurozsl: Command, lava_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "own.nir"
    shutil.copy(lava_bundle / "motion.nir", path)
    assert neurozsl("inspect", path, "--json").document["assumptions"] == []
    ran = neurozsl("inspect", path, "--dt", 0.5)
    assert ran.code == 2 and "leave the option out" in ran.err
    with np.load(lava_bundle / "golden.npz") as golden:
        codes = {key[6:]: golden[key] for key in golden.files if key.startswith("codes/")}
    np.savez(tmp_path / "codes.npz", **codes)
    np.savez(tmp_path / "far.npz", **{name: 2000 * x + 2000 for name, x in codes.items()})
    document = neurozsl("simulate", path, "--input", tmp_path / "codes.npz", "--json").document
    assert document["samples"] == len(codes["audio"])
    assert all(0 < layer["rate"] < 0.9 for layer in document["layers"])
    ran = neurozsl("simulate", path, "--input", tmp_path / "far.npz")
    assert ran.code == 2 and "give the integer codes" in ran.err
