"""What a worker process says when it ends: one line for people, and the limit of the machine."""

from __future__ import annotations

import errno
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from neurozsl.cli import edge
from neurozsl.core.signals import BranchSpec
from neurozsl.export.backends.lava import run as lava
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.neuron import NeuronRule
from tests.export.conftest import branch, chip_input

FAILS = "raise KeyError('/psm_1') from ValueError('the first')"


def ended(line: str, folder: Path) -> BaseException:
    """What is raised for a worker that runs one line of Python."""
    with pytest.raises((lava.LavaRunFailed, OSError)) as caught:
        lava._watch([sys.executable, "-c", line], folder / "stderr", 60.0, lambda _: None)
    return caught.value


def test_a_traceback_of_the_worker_is_its_first_error_alone(tmp_path: Path) -> None:
    message = str(ended(FAILS, tmp_path))
    assert "Traceback" not in message and "ValueError: the first" in message
    assert len(message.splitlines()) == 2


def test_other_text_of_the_worker_stays(tmp_path: Path) -> None:
    line = "import sys; print('one\\ntwo', file=sys.stderr); sys.exit(4)"
    message = str(ended(line, tmp_path))
    assert "exit code 4" in message and "one" in message and "two" in message


def test_a_worker_at_its_limit_of_open_files_says_so(tmp_path: Path) -> None:
    error = ended(f"raise OSError({errno.EMFILE}, 'Too many open files')", tmp_path)
    message = edge.foreseen(error)
    assert message is not None and message.exit_code == 2
    assert "Too many open files; raise the limit of open files (ulimit -n)" in str(message)


@pytest.mark.parametrize("low", [-1e308, -1e300, -1e30, -1e6])
def test_a_lower_bound_beyond_the_state_is_its_limit(low: float) -> None:
    spec: BranchSpec = branch((8, 6, 4))
    network = lower(to_nir(spec))
    rule: NeuronRule = network.layers[0].rule
    layers = tuple(replace(x, rule=replace(rule, low=low)) for x in network.layers)
    program = quantize(replace(network, layers=layers), "loihi2", calibration=chip_input(spec, 4))
    assert all(x.rule.low == -(2**23) for x in program.layers)
