"""Delays against the limit of a chip: at it, one beyond it, and where no limit is published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest

from neurozsl.core.errors import BadInput, DoesNotFit
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.export.network.inspection import inspect_file
from neurozsl.export.nir import nirfile
from neurozsl.hardware.arithmetic.fit import fit
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.synapse import Link, Synapse
from neurozsl.hardware.place.delays import check_delays
from neurozsl.hardware.place.mapping import Kernel, LayerShape
from neurozsl.hardware.place.place import place
from tests.factories.networks import lowered, lowered_layer

CODE = InputCode(3, "binary", 1, False, 1.0)
LOIHI = ("loihi1", "loihi2")


def network(delay: int, *, loop: int = 1) -> Lowered:
    """in -> a -> b with this delay between the layers; a reads itself, too."""
    weight = np.array([[1.0, 0.5, 0.25], [0.5, 1.0, 0.5]])
    back = (Synapse("a", np.full((2, 2), 0.25), Link(delay=loop)),)
    first = lowered_layer("a", "in", weight, also=back)
    second = lowered_layer("b", "a", np.full((2, 2), 0.75), link=Link(delay=delay))
    return lowered(first, second, code=CODE)


def shape(delay: int) -> LayerShape:
    return LayerShape("a", ("in",), Kernel(4, 4, link=Link(delay=delay)))


@pytest.mark.parametrize("chip", LOIHI)
def test_the_longest_delay_is_the_one_in_the_file_of_the_chip(chip: str) -> None:
    limit = load_chip(chip).limit["delay_steps"]
    assert limit.value == 62 and limit.source and limit.note
    most = int(limit.value)
    assert place(quantize(network(most, loop=most), chip), chip).parts
    assert place((shape(most),), chip).parts


@pytest.mark.parametrize("chip", LOIHI)
def test_one_step_more_is_refused_before_anything_is_rounded_or_placed(chip: str) -> None:
    name = load_chip(chip).name
    message = (
        rf"^does not fit chip '{chip}' \({name}\): layer 'b' reads 'a' 63 steps late, a synapse "
        r"takes 62; put 1 relay neuron in a row between them, use a dt that is 2 times longer, or "
    )
    with pytest.raises(DoesNotFit, match=message):
        quantize(network(63), chip)
    with pytest.raises(DoesNotFit, match="layer 'a' reads 'in' 63 steps late"):
        place((shape(63),), chip)


def test_the_remedies_say_how_many_relays_and_how_long_a_step() -> None:
    with pytest.raises(DoesNotFit, match=r"1,000 steps late.* 16 relay neurons in a row .* 17 tim"):
        place((shape(1000),), "loihi2")


def test_the_relays_of_the_message_give_the_spikes_of_the_long_delay() -> None:
    """125 steps in one synapse, or 62 + 62 + 1 with two relay neurons a neuron."""
    with pytest.raises(DoesNotFit, match=r"put 2 relay neurons in a row"):
        quantize(network(125), "loihi2")
    one = replace(network(125), steps=160)
    first, second = one.layers
    relays = [
        lowered_layer(name, source, 2 * np.eye(2), link=Link(delay=62))
        for name, source in (("r", "a"), ("s", "r"))
    ]
    near = replace(second, source="s", link=Link(delay=1))
    chained = replace(one, layers=(first, *relays, near))
    codes = np.random.default_rng(3).integers(0, 2, (2, 160, 3)).astype(np.int16)
    chip = ChipInput({"in": codes}, one.inputs)
    wanted = simulate(one, chip).spikes["b"]
    assert wanted.any()
    assert np.array_equal(simulate(chained, chip).spikes["b"], wanted)
    assert quantize(chained, "loihi2")


def test_the_first_three_of_many_are_named() -> None:
    late = [(f"l{i}", "in", 70 + i) for i in range(5)]
    with pytest.raises(DoesNotFit, match=r"'l0' .* 70 .*'l2' .* 72 steps late \(and 2 more\), a"):
        check_delays(late, load_chip("loihi2"))


def test_a_chip_without_a_published_limit_refuses_no_delay() -> None:
    chip = load_chip("loihi2")
    unknown = replace(chip, limit={k: v for k, v in chip.limit.items() if k != "delay_steps"})
    assert unknown.most("delay_steps") is None
    assert place((shape(100_000),), unknown).parts
    assert place(quantize(network(1000), unknown), unknown).parts


def test_speck_has_no_delay_at_all_and_says_so() -> None:
    one = replace(network(5), layers=network(5).layers[1:])
    one = replace(one, layers=(replace(one.layers[0], source="in", weight=np.full((2, 3), 0.75)),))
    with pytest.raises(BadInput, match="layer 'b' sees spikes 5 steps late, a core sees them at"):
        quantize(one, "speck2f")


def test_the_reason_stands_on_the_line_of_the_chip(tmp_path: Path) -> None:
    delay = fit(network(63), "loihi2")
    assert delay.limited and delay.cores_used is None
    assert delay.cores_text.startswith("no: does not fit chip 'loihi2'")
    nodes = {
        "input": nir.Input(input_type={"input": np.array([2])}),
        "delay": nir.Delay(delay=np.full(2, 0.1)),
        "linear": nir.Linear(np.eye(2)),
        "neuron": nir.IF(r=np.ones(2), v_threshold=np.ones(2)),
        "output": nir.Output(output_type={"output": np.array([2])}),
    }
    edges = list(zip(list(nodes)[:-1], list(nodes)[1:], strict=True))
    file = nirfile.write(tmp_path / "late.nir", nir.NIRGraph(nodes, edges))
    found = inspect_file(file, chips=("loihi2",))
    assert found.error is None, found.error
    [row] = found.fits
    assert "layer 'neuron' reads 'input' 1,000 steps late, a synapse takes 62" in row.reason
