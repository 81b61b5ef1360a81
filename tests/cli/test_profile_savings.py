"""`profile` of `.nir` files says what costs most, and what would cut it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.factories import network_files as files

Command = Callable[..., Any]


def test_profile_of_a_file_holds_the_ranking(neurozsl: Command, tmp_path: Path) -> None:
    path = files.write(tmp_path / "net.nir", files.dense("IF"))
    ran = neurozsl("profile", path, "--poisson", 0.3, "--steps", 12, "--dt", 1e-3, "--json")
    assert ran.code == 0, ran.err
    found = ran.document["sections"]["savings"]
    layers = {x["name"]: x for x in ran.document["layers"]}
    assert [x["layer"] for x in found["layers"]] == sorted(
        layers, key=lambda x: -layers[x]["synops"]
    )
    for layer in found["layers"]:
        assert layer["synops"] == pytest.approx(layers[layer["layer"]]["synops"])
    measures = {x["key"]: x for x in found["measures"]}
    assert {"prune/b", "prune/d", "prune/all layers", "half_steps/all layers"} <= set(measures)
    assert measures["half_steps/all layers"]["updates"] == 6 * (8 + 4)
    sums = [x["synops"] for x in found["measures"]]
    assert sums == sorted(sums, reverse=True) and sums[0] > 0


def test_profile_of_a_file_of_another_tool_names_its_dearest_layer(
    neurozsl: Command, shared_data: Path
) -> None:
    ran = neurozsl("profile", shared_data / "nir" / "cnn_sinabs.nir", "--poisson", 0.05)
    assert ran.code == 0, ran.err
    [line] = [x for x in ran.err.splitlines() if x.startswith("Most of it: ")]
    pattern = (
        r"Most of it: layer '10', [\d.]+ % of [\d,]+ SynOps: [\d,]+ events x 256 weights each\. "
        r"Largest saving: all layers, keep the 10 % largest weights of each: [\d,]+ SynOps, "
    )
    assert re.match(pattern, line), line
    assert "Largest at that layer: 10, keep the 3,277 largest of 32,768 weights" in line
