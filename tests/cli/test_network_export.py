"""`neurozsl export FILE.nir`: what reaches the builder, and the bundle that comes out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.factories import network_files as files

Command = Callable[..., Any]


class Stopped(Exception):
    """Raised by the stand-in for the builder."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of the builder, which is replaced."""
    found: dict[str, Any] = {}

    def build_network_bundle(network: Any, **options: Any) -> Any:
        found.update(network=network, **options)
        raise Stopped

    stand_in = ModuleType("neurozsl.export.network.build_network")
    stand_in.build_network_bundle = build_network_bundle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "neurozsl.export.network.build_network", stand_in)
    return found


def test_a_file_of_samples_is_golden_first_and_calibrates_with_the_rest(
    neurozsl: Command, network: Path, asked: dict[str, Any], tmp_path: Path
) -> None:
    x = files.spikes(5)
    np.savez(tmp_path / "x.npz", **{"in": x})
    options = ("--input", tmp_path / "x.npz", "--samples", 2, "--reset", "subtract", "--bits", 6)
    with pytest.raises(Stopped):
        neurozsl("export", network, "--target", "lava", *options, "--scale-rule", "mse")
    assert (asked["target"], asked["bits"], asked["scale"]) == ("lava", 6, "mse")
    assert asked["out_dir"] == network.parent / "net.deploy" / "lava"
    assert np.array_equal(asked["samples"].codes["in"], x[:2])
    assert np.array_equal(asked["calibration"].codes["in"], x[2:])
    assert asked["network"].lowered.layers[0].rule.reset == "subtract"
    assert asked["network"].lowered.steps == 20


def test_without_input_the_golden_samples_are_synthetic_and_this_is_said(
    neurozsl: Command, network: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stopped):
        neurozsl("export", network, "--target", "nir", "--out", network.parent / "b")
    codes = asked["samples"].codes["in"]
    assert codes.shape == (16, 100, 6) and codes.mean() == pytest.approx(0.05, abs=0.01)
    assert asked["calibration"] is None and asked["out_dir"] == network.parent / "b"
    assert (asked["bits"], asked["scale"]) == (8, "max")


@pytest.mark.parametrize("target", ["nir", "sinabs", "lava"])
def test_the_bundle_is_verified_simulated_and_says_what_was_assumed(
    target: str, neurozsl: Command, network: Path
) -> None:
    pytest.importorskip("neurozsl.export.network.build_network")
    options = ("--target", target, "--poisson", 0.3, "--samples", 2, "--steps", 12)
    ran = neurozsl("export", network, *options)
    bundle = network.parent / "net.deploy" / target
    assert ran.code == 0 and ran.out == ""
    assert "assumed: dt" in ran.err and "synthetic" in ran.err
    assert f"neurozsl verify {bundle}" in ran.err
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["source"] == "net.nir" and len(manifest["assumptions"]) == 5
    assert f"verdict {manifest['verdict']}; bundle in {bundle}" in ran.err
    assert neurozsl("verify", bundle, "--json").document["verdict"] == manifest["verdict"]
    document = neurozsl("simulate", bundle, "--limit", 2, "--json").document
    assert [layer["name"] for layer in document["layers"]] == ["b", "d"]
    again = neurozsl("inspect", bundle / "motion.nir", "--json").document
    assert again["assumptions"] == manifest["assumptions"]


def test_a_chip_that_cannot_run_it_ends_the_export_and_writes_nothing(
    neurozsl: Command, network: Path
) -> None:
    pytest.importorskip("neurozsl.export.network.build_network")
    ran = neurozsl("export", network, "--target", "speck", "--poisson", 0.3)
    assert ran.code == 2 and "leak" in ran.err
    assert [path.name for path in network.parent.iterdir()] == ["net.nir"]
