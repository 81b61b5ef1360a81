"""`quantize` and `emulate` for any chip; what a chip lacks is refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import Conv2d, Flatten, Linear

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.nir import nirfile
from neurozsl.export.norse.graph import from_norse
from neurozsl.hardware.arithmetic.emulate import emulate
from neurozsl.hardware.arithmetic.quantize import dequantize, quantize
from neurozsl.hardware.arithmetic.registry import ARITHMETICS, load_program, notes, of_chip
from neurozsl.hardware.chips import CHIPS, MEANT
from neurozsl.hardware.chips.arithmetics import ASKED
from neurozsl.hardware.chips.chip import find_chip, load_chip
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.loihi import emulator
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.speck.emulator import emulate_speck
from neurozsl.norse.cells import IAFCell, SequentialState


@pytest.fixture(name="network", scope="module")
def _network(tmp_path_factory: pytest.TempPathFactory) -> Lowered:
    """The stack of the README, of integrate-and-fire cells alone, out of its file."""
    torch.manual_seed(0)
    stack = SequentialState(
        Conv2d(2, 4, 3, stride=2), IAFCell(), Flatten(), Linear(4 * 7 * 7, 10), IAFCell()
    )
    path = tmp_path_factory.mktemp("own") / "own.nir"
    nirfile.write(path, from_norse(stack, torch.zeros(1, 40, 2, 16, 16)))
    return lower(nirfile.read(path))


def given(network: Lowered) -> ChipInput:
    codes = np.random.default_rng(0).integers(0, 2, (16, 40, 2 * 16 * 16))
    return ChipInput({"input": codes}, network.inputs)


def test_the_emulate_line_of_the_readme_works_for_both_chips(network: Lowered) -> None:
    loihi, speck = quantize(network, "loihi2"), quantize(network, "speck2f")
    rates = emulate(speck, given(network)).rates()
    assert set(rates) == {layer.name for layer in network.layers}
    assert all(0.01 < rate < 0.9 for rate in rates.values())
    for program, own in ((loihi, emulator.emulate), (speck, emulate_speck)):
        run: Any = own
        found, wanted = emulate(program, given(network)), run(program, given(network))
        for name, spikes in wanted.spikes.items():
            np.testing.assert_array_equal(found.spikes[name], spikes)
        twin = simulate(dequantize(program), given(network))
        assert all(np.mean(twin.spikes[k] == found.spikes[k]) > 0.99 for k in twin.spikes)


def test_options_reach_the_emulator_and_change_no_bit(network: Lowered) -> None:
    done: list[tuple[int, int]] = []
    for chip in ("loihi2", "speck2f"):
        program, plain = quantize(network, chip), emulate(quantize(network, chip), given(network))
        done.clear()
        found = emulate(
            program,
            given(network),
            record=("spikes", "membrane"),
            batch=5,
            progress=lambda n, every: done.append((n, every)),
        )
        assert done == [(5, 16), (10, 16), (15, 16), (16, 16)]
        assert set(found.membrane) == set(plain.spikes) and not plain.membrane
        for name, spikes in plain.spikes.items():
            np.testing.assert_array_equal(found.spikes[name], spikes)


def test_an_option_that_an_emulator_lacks_is_refused_with_the_chip(network: Lowered) -> None:
    program = quantize(network, "speck2f")
    message = "emulate on chip 'speck2f': kernel='torch'; its emulator knows no kernel"
    with pytest.raises(BadInput, match=message):
        emulate(program, given(network), kernel="torch")


@pytest.mark.parametrize(("said", "meant"), MEANT.items())
def test_the_name_of_a_target_is_answered_with_its_chip(
    network: Lowered, said: str, meant: str
) -> None:
    assert meant in CHIPS
    message = f"chip '{said}' is unknown: it is the name of a target, the chip is {meant}; choose"
    with pytest.raises(BadInput, match=message):
        quantize(network, said)
    with pytest.raises(BadInput, match=message):
        find_chip(said)
    with pytest.raises(BadInput, match="chip 'loihi3' is unknown; choose one of loihi1"):
        quantize(network, "loihi3")


def test_every_arithmetic_of_a_chip_has_its_entry_and_suggests_chips_that_have_it() -> None:
    assert set(ASKED) == set(ARITHMETICS)
    for key, entry in ARITHMETICS.items():
        assert entry.key == key
        assert entry.chips and all(load_chip(chip).arithmetic == key for chip in entry.chips)
    assert {load_chip(key).arithmetic for key in CHIPS} == {"", *ARITHMETICS}
    last = [chip for one in ARITHMETICS.values() for chip in one.chips][-1]
    with pytest.raises(BadInput, match=f"'gpu_v100': has figures of energy only, .*or {last}"):
        of_chip(load_chip("gpu_v100"))


def test_a_program_comes_back_from_its_file_in_its_own_arithmetic(
    network: Lowered, tmp_path: Path
) -> None:
    for chip in ("loihi2", "speck2f"):
        program = quantize(network, chip)
        program.save(tmp_path / f"{chip}.npz")
        again = load_program(tmp_path / f"{chip}.npz", chip)
        assert type(again) is type(program) and again.arithmetic == load_chip(chip).arithmetic
        for name, spikes in emulate(program, given(network)).spikes.items():
            np.testing.assert_array_equal(emulate(again, given(network)).spikes[name], spikes)
    assert notes(quantize(network, "loihi2")) == ()
    assert any("slow clock" in note for note in notes(quantize(network, "speck2f")))


@pytest.mark.parametrize("chip", ["loihi2", "speck2f"])
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"batch": 0}, "batch=0"),
        ({"batch": -1}, "batch=-1"),
        ({"record": ("foo",)}, "'foo' is not"),
    ],
)
def test_emulate_refuses_options_that_would_run_nothing(
    network: Lowered, chip: str, option: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        emulate(quantize(network, chip), given(network), **option)
