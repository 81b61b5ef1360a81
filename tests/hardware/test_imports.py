import subprocess
import sys

import pytest

LIGHT = [
    "",
    ".chips.chip",
    ".lower.lower",
    ".loihi.program",
    ".place.place",
    ".arithmetic.registry",
    ".arithmetic.quantize",
    ".arithmetic.emulate",
    ".floatsim.floatsim",
    ".count.activity",
    ".count.diagnose",
    ".count.traffic",
    ".energy",
    ".neurobench",
]


@pytest.mark.parametrize("module", LIGHT)
def test_hardware_without_the_emulator_imports_neither_torch_nor_numba(module: str) -> None:
    code = (
        f"import neurozsl.hardware{module}, sys;"
        "print([m for m in ('torch', 'numba', 'norse', 'sinabs') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
