"""Targets and chips by each other's names."""

from __future__ import annotations

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.export.targets import TARGETS
from neurozsl.export.targets.names import chip_called, target_called


def test_every_target_is_called_by_its_name_and_by_its_chip() -> None:
    assert {name: target_called(name).name for name in TARGETS} == {x: x for x in TARGETS}
    chips = {target.chip: name for name, target in TARGETS.items() if target.chip}
    assert len(chips) > 1
    assert {chip: target_called(chip).name for chip in chips} == chips
    assert {name: chip_called(name) for name in chips.values()} == {x: c for c, x in chips.items()}


def test_an_unknown_name_lists_all_that_mean_something() -> None:
    with pytest.raises(BadInput, match=r"'loihi1'.* nir, lava, sinabs, speck, .*loihi2, speck2f"):
        target_called("loihi1")  # a chip that no target carries to
    with pytest.raises(BadInput, match=r"'nir'.*loihi1,.*truenorth.* lava, speck, or a file"):
        chip_called("nir", ", or a file")
