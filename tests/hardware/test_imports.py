import subprocess
import sys

import pytest

LIGHT = ["", ".chips.chip", ".lower.lower", ".loihi.program", ".arithmetic.quantize"]
LIGHT += [".floatsim.floatsim", ".count.activity", ".energy", ".count.diagnose"]


@pytest.mark.parametrize("module", [*LIGHT, ".loihi.fixedpoint", ".count.traffic", ".neurobench"])
def test_hardware_without_the_emulator_imports_neither_torch_nor_numba(module: str) -> None:
    code = (
        f"import neurozsl.hardware{module}, sys;"
        "print([m for m in ('torch', 'numba', 'norse', 'sinabs') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
