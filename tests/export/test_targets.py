"""The registry of targets: complete, quick to import, helpful when asked for another."""

from __future__ import annotations

import subprocess
import sys

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.export.backends.registry import BACKENDS
from neurozsl.export.targets import FEATURES, TARGETS, target, target_table
from neurozsl.hardware.chips.chip import load_chip


def test_every_target_answers_every_feature_and_names_real_parts() -> None:
    assert {"nir", "lava", "sinabs", "speck"} <= set(TARGETS)
    for name, one in TARGETS.items():
        assert one.name == name
        assert set(one.features) == set(FEATURES)
        assert set(one.backends) <= set(BACKENDS)
        assert {b for check in one.checks for b in (check.first, check.second)} <= set(BACKENDS)
        if one.chip is not None:
            assert load_chip(one.chip).key == one.chip


def test_lava_is_verified_under_the_four_published_names() -> None:
    assert [check.name for check in target("lava").checks] == [
        "emulator_vs_lava_fixed",
        "norse_vs_lava_float",
        "norse_vs_sinabs",
        "emulator_vs_norse",
    ]


def test_speck_is_verified_against_sinabs_discretisation_and_says_what_stands_in() -> None:
    first, *others = target("speck").checks
    assert (first.name, first.exact) == ("emulator_vs_sinabs_discretised", True)
    assert "stand-in" in first.reference
    assert [check.name for check in others] == ["norse_vs_sinabs", "emulator_vs_norse"]
    assert not any(check.oracle for check in target("speck").checks)  # no Lava needed


def test_the_table_has_one_row_per_target() -> None:
    rows = target_table()
    assert [row["target"] for row in rows] == list(TARGETS)
    assert all(len(row) == 3 + len(FEATURES) for row in rows)


def test_an_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="'loihi3' is unknown; use one of nir, lava, sinabs, speck"):
        target("loihi3")


def test_importing_the_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys, neurozsl.export.targets as t; t.target_table();"
        "print([m for m in ('torch', 'sinabs', 'norse', 'nir', 'lava') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
