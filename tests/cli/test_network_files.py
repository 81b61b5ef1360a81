"""The `.nir` files of other frameworks through every command, and the README's table of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

README = (Path(__file__).resolve().parents[2] / "export" / "README.md").read_text()
Command = Callable[..., Any]
FILES = {
    "lif_norse.nir": (),
    "two_lif_neurons.nir": (),
    "braille_noDelay_bias_zero.nir": ("--reset", "zero"),
    "braille_noDelay_noBias_subtract.nir": ("--reset", "subtract"),
    "cnn_sinabs.nir": ("--dialect", "sinabs"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_inspected_simulated_and_profiled(
    name: str, neurozsl: Command, shared_data: Path, tmp_path: Path
) -> None:
    path, said = shared_data / "nir" / name, FILES[name]
    seen = neurozsl("inspect", path, *said, "--json").document
    assert seen["error"] is None and seen["layers"] and len(seen["chips"]) == 3
    assert all(chip["fits"] or chip["reason"] for chip in seen["chips"])
    fed = ("--poisson", 0.3, "--samples", 2, "--steps", 30)
    ran = neurozsl("simulate", path, *fed, *said, "--out", tmp_path / "t.npz", "--json").document
    assert [x["name"] for x in ran["layers"]] == [x["name"] for x in seen["layers"]]
    with np.load(tmp_path / "t.npz") as trace:
        for layer, row in zip(ran["layers"], seen["layers"], strict=True):
            spikes = trace[f"spikes/{layer['name']}"]
            assert spikes.shape == (2, 30, row["neurons"])
            assert layer["rate"] == pytest.approx(spikes.mean())
    profiled = neurozsl("profile", path, *fed, *said, "--json").document
    for counted, simulated in zip(profiled["layers"], ran["layers"], strict=True):
        assert counted["spike_rate"] == pytest.approx(simulated["rate"])
    assert all(row["joules"] >= 0 and row["source"] for row in profiled["energy"])


def test_the_convolutional_file_lies_on_five_cores_of_speck(
    neurozsl: Command, shared_data: Path
) -> None:
    path = shared_data / "nir" / "cnn_sinabs.nir"
    document = neurozsl("inspect", path, *FILES[path.name], "--json").document
    kinds = [layer["kind"] for layer in document["layers"]]
    assert kinds == [["conv"], ["conv"], ["pool", "conv"], ["pool", "dense"], ["dense"]]
    chips = {chip["chip"]: chip for chip in document["chips"]}
    assert (chips["speck2f"]["cores_used"], chips["speck2f"]["cores"]) == (5, 9)
    assert chips["loihi2"]["fits"]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("braille")])
def test_the_recurrent_files_run_with_the_reset_they_mean(
    name: str, neurozsl: Command, shared_data: Path
) -> None:
    path = shared_data / "nir" / name
    document = neurozsl("inspect", path, *FILES[name], "--json").document
    assert document["layers"][0]["kind"] == ["dense", "recurrent"]
    assert document["layers"][0]["rule"]["reset"] == FILES[name][1]
    rates = [
        neurozsl("simulate", path, "--poisson", 0.3, "--reset", reset, "--json").document["layers"]
        for reset in ("zero", "subtract")
    ]
    assert rates[0] != rates[1]  # the choice changes what it computes


def test_the_table_of_networks_is_the_one_that_its_commands_print(
    neurozsl: Command, shared_data: Path
) -> None:
    [block] = re.findall(r"<!-- networks -->\n(.*?)<!-- /networks -->", README, re.S)
    [console, table] = re.findall(r"```console\n(.*?)```\n\n(.*)", block, re.S)[0]
    printed: list[str] = []
    for command in re.findall(r"^\$ neurozsl (.*)$", console, re.M):
        words = [
            str(shared_data / word) if word.endswith(".nir") else word
            for word in shlex.split(command)
        ]
        ran = neurozsl(*words)
        assert ran.code == 0, ran.err
        lines = ran.out.splitlines()
        printed += lines[2:] if printed else lines
    assert table.splitlines() == printed
    assert {line.split("|")[1].strip() for line in printed[2:]} == set(FILES)
