"""The registry of targets: complete, quick to import, helpful when asked for another."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.export.backends.registry import BACKENDS
from neurozsl.export.targets import FEATURES, TARGETS, Check, target, target_table
from neurozsl.export.targets.base import Oracle
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
    speck = target("speck")
    first, *others = speck.checks
    assert (first.name, first.exact) == ("emulator_vs_sinabs_discretised", True)
    assert [check.name for check in others] == ["norse_vs_sinabs", "emulator_vs_norse"]
    assert speck.oracle is not None and "stand-in" in speck.oracle.here()  # no Lava needed
    assert [speck.asks_oracle(check) for check in speck.checks] == [True, False, False]


def test_an_oracle_is_named_with_what_it_leaves_out_and_absent_it_is_none() -> None:
    here = Oracle("tool 1.0", ("tool",), left_out="no chip")
    assert here.here() == str(here) == "tool 1.0, no chip"
    assert Oracle("tool 1.0", ("tool",), installed=lambda: False).here() == "none"
    checks = (Check("a", "emulator", "tool"), Check("b", "emulator", "norse"))
    mine = replace(target("nir"), oracle=here)
    assert [mine.asks_oracle(check) for check in checks] == [True, False]
    assert not any(target("nir").asks_oracle(check) for check in checks)


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
