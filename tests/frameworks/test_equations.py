"""The recorded spikes are those of the frameworks' equations, and say something."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.frameworks import record
from tests.frameworks.cases import CASES, Case
from tests.frameworks.conftest import Folder
from tests.frameworks.equations import expected
from tests.frameworks.networks import draw


def _by_writer(writer: str) -> list[Case]:
    return [case for case in CASES if case.writer == writer]


def _of(recorded: Folder, case: Case) -> Mapping[str, Any]:
    return record.read_spikes(recorded(case.writer), case)


@pytest.mark.parametrize("writer", record.WRITERS)
def test_every_recorded_spike_is_what_the_equation_gives(recorded: Folder, writer: str) -> None:
    cases = _by_writer(writer)
    assert len(cases) > 20
    for case in cases:
        drawn, stored = draw(case), _of(recorded, case)
        np.testing.assert_array_equal(stored["input"], drawn.spikes, case.name)
        for depth, counts in enumerate(expected(case, drawn)):
            np.testing.assert_array_equal(stored[f"layer{depth}"], counts, case.name)


@pytest.mark.parametrize("writer", record.WRITERS)
def test_no_layer_is_silent_or_always_firing(recorded: Folder, writer: str) -> None:
    """A layer whose neurons all fire always, or never, would agree with any rule."""
    for case in _by_writer(writer):
        stored = _of(recorded, case)
        for depth in (0, 1):
            fired = (stored[f"layer{depth}"] > 0).mean(axis=(0, 1))
            assert ((fired > 0.02) & (fired < 0.98)).mean() > 0.25, (case.name, depth, fired)


def test_high_drive_crosses_several_thresholds_in_a_step(recorded: Folder) -> None:
    high = [case for case in _by_writer("sinabs") if case.drive == "high" and "multi" in case.name]
    assert high
    for case in high:
        assert (_of(recorded, case)["layer0"] > 2).mean() > 0.1, case.name


def _other_rules() -> list[tuple[str, str, str]]:
    """Pairs of cases of one network that differ in one word of the options."""
    return [
        ("snntorch", "Leaky-subtract-delay-high-0", "Leaky-subtract-nodelay-high-0"),
        ("snntorch", "Synaptic-zero-delay-low-0", "Synaptic-zero-nodelay-low-0"),
        ("snntorch", "RLeaky-subtract-delay-low-0", "RLeaky-zero-delay-low-0"),
        ("sinabs", "LIF-norm-each-multi-low", "LIF-norm-each-single-low"),
        ("sinabs", "IAF-multi-low-0", "IAF-low-low-0"),
        ("norse", "LIFBoxCell-subtract-low", "LIFBoxCell-leak-low"),
    ]


@pytest.mark.parametrize(("writer", "one", "other"), _other_rules())
def test_two_rules_differ_on_one_network(
    recorded: Folder, writer: str, one: str, other: str
) -> None:
    first, second = (
        _of(recorded, next(x for x in _by_writer(writer) if x.name == name))
        for name in (one, other)
    )
    assert (first["input"] == second["input"]).all()
    assert (first["layer0"] != second["layer0"]).mean() > 0.01


def test_a_reset_of_leaky_to_zero_does_not_depend_on_its_delay(recorded: Folder) -> None:
    """The delayed one empties the membrane before it decays: nothing has happened in between."""
    folder = recorded("snntorch")
    pairs = [x for x in _by_writer("snntorch") if x.name.startswith("Leaky-zero-nodelay")]
    assert pairs
    for case in pairs:
        [late] = [x for x in CASES if x.name == case.name.replace("nodelay", "delay")]
        one, other = record.read_spikes(folder, case), record.read_spikes(folder, late)
        np.testing.assert_array_equal(one["layer1"], other["layer1"])


def test_membranes_meet_the_threshold_exactly_where_ties_are_asked_for() -> None:
    """A bias moved by 1e-9 gives other spikes, upwards and downwards as the comparison has it."""
    ties = [case for case in CASES if case.ties]
    assert {case.writer for case in ties} == {"spikingjelly", "sinabs", "norse"}
    for case in ties:
        drawn = draw(case)
        moved = 1e-9 if case.writer in ("spikingjelly", "sinabs") else -1e-9
        first = drawn.layers[0]
        bias = (first.bias.astype(np.float64) - moved).astype(np.float64)
        shifted = type(first)(**{**vars(first), "bias": bias})
        other = expected(case, type(drawn)(drawn.spikes, (shifted, drawn.layers[1]), drawn.pool))
        assert (other[0] != expected(case, drawn)[0]).any(), case.name
