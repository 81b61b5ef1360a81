"""Sparse rows on cores: what a list of nonzeros takes, counted slowly, and where it saves cores."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurozsl.core.signals import InputCode
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.place.changes import Change
from neurozsl.hardware.place.core_use import list_bits
from neurozsl.hardware.place.mapping import Mapping
from neurozsl.hardware.place.place import place
from neurozsl.hardware.place.placement import placement
from neurozsl.hardware.place.shapes import shapes
from tests.factories.programs import program_layer


def sparse_weight(seed: int, shape: tuple[int, int], density: float) -> Any:
    rng = np.random.default_rng(seed)
    weight = 2 * rng.integers(1, 128, shape)
    return (weight * (rng.random(shape) < density)).astype(np.int16)


def program(*weights: Any) -> Program:
    """Layers l0, l1, ... of these matrices, one after the other, on a binary input."""
    inputs = {"in": InputCode(weights[0].shape[1], "binary", 1, False, 1.0)}
    layers = tuple(
        program_layer(f"l{i}", f"l{i - 1}" if i else "in", weight, vth=100)
        for i, weight in enumerate(weights)
    )
    return Program("loihi2", inputs, layers, (layers[-1].name,), 5, 1e-3, "fixed")


def slow_bits(weight: Any, chip: str, bits: int, lists: bool) -> int:
    """Synapse bits of a part, one weight after the other."""
    dense = sparse = 0
    memory = load_chip(chip).memory
    index = (len(weight) - 1).bit_length()
    for column in weight.T:
        nonzeros = sum(1 for value in column if value)
        if chip == "loihi1":
            stored = min(x for x in (0, 6, 7, 8, 9, 10, 11, 12) if x >= index)
            dense += list_bits(len(column), bits, memory)
            sparse += list_bits(nonzeros, bits + stored, memory) if nonzeros else 0
        else:
            dense += len(column) * bits
            sparse += nonzeros * (bits + index)
    return min(dense, sparse) if lists else dense


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 260), min_size=2, max_size=3),
    density=st.sampled_from([0.0, 0.03, 0.1, 0.5, 0.9]),
    chip=st.sampled_from(["loihi1", "loihi2"]),
    seed=st.integers(0, 99),
)
def test_each_core_takes_the_smaller_form_of_its_neurons(
    sizes: list[int], density: float, chip: str, seed: int
) -> None:
    weights = [sparse_weight(seed, (b, a), density) for a, b in pairwise(sizes)]
    mapping = place(program(*weights), chip)
    for part in mapping.parts:
        weight = weights[int(part.layer[1:])]
        own = slow_bits(weight[part.first : part.last + 1], chip, 8, (weight != 0).mean() <= 0.9)
        assert part.used["synapse_bits"] == own
        assert own <= (part.limit["synapse_bits"] or 0)


def test_five_percent_of_the_weights_free_cores_of_loihi_1() -> None:
    weights = [sparse_weight(i, shape, 0.05) for i, shape in enumerate([(512, 512), (512, 512)])]
    found = place(program(*weights), "loihi1")
    assert (len(found.parts), found.cores_if_dense, found.sparse) == (2, 6, ("l0", "l1"))
    assert any(
        note.startswith("2 cores; 6 cores if every weight were stored") for note in found.notes
    )
    shown = placement(found)
    assert (shown.cores_used, shown.cores_if_dense) == (2, 6)
    assert not any("assumption" in note for note in found.notes)


def test_what_loihi_2_saves_is_called_an_assumption() -> None:
    found = place(program(sparse_weight(0, (500, 512), 0.05)), "loihi2")
    (note,) = (note for note in found.notes if "every weight were stored" in note)
    assert "1 core; 2 cores" in note and "an assumption" in note


def test_full_matrices_are_stored_whole_and_nothing_is_said() -> None:
    found = place(program(sparse_weight(0, (100, 100), 1.0)), "loihi1")
    assert (found.sparse, found.cores_if_dense, found.notes) == ((), None, ())


def test_one_dense_half_of_a_layer_takes_more_cores_than_the_sparse_one() -> None:
    weight = sparse_weight(1, (512, 512), 0.02)
    weight[:256] = sparse_weight(2, (256, 512), 1.0)
    found = place(program(weight), "loihi1")
    full, light = found.parts[0], found.parts[-1]
    assert light.used["synapse_bits"] < full.used["synapse_bits"] <= 1048576
    assert 1 < len(found.parts) <= (found.cores_if_dense or 0)


def test_speck_says_that_zeros_free_nothing() -> None:
    layers = shapes(program(sparse_weight(0, (60, 64), 0.05)))
    dense = shapes(program(sparse_weight(0, (60, 64), 1.0)))
    found = place(layers, "speck2f")
    assert found.totals == place(dense, "speck2f").totals
    assert "free nothing" in found.notes[0]
    assert place(dense, "speck2f").notes == ()


@pytest.mark.parametrize("change", [Change(width=30), Change(inputs=20), Change(weight_bits=4)])
def test_a_change_keeps_the_zeros_of_what_is_left(change: Change) -> None:
    layers = shapes(program(sparse_weight(0, (50, 60), 0.1), sparse_weight(1, (40, 50), 0.1)))
    for layer in change.apply(layers):
        (pattern,) = layer.patterns
        assert pattern is not None
        assert pattern.nonzero.shape == (layer.kernel.channels_out, layer.kernel.fan_in)
    assert isinstance(place(change.apply(layers), "loihi1"), Mapping)
