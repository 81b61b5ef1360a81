"""Fixtures of the whole suite: the given data, the Lava interpreter, one thread and one seed."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _one_thread_one_seed() -> None:
    """Same numbers on every machine: one torch thread, and torch's default generator seeded.

    torch is not imported for tests that do without it.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of given data beside the checkout (clips, class vectors, NIR traces)."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data beside the checkout is absent")
    return folder


@pytest.fixture(scope="session")
def lava_python() -> Path:
    """Interpreter of the Lava environment; without one the test skips, or fails where required."""
    from neurozsl.export.lava.environment import locate

    python = locate()
    if python is not None:
        return python
    reason = "the Lava environment is not set up; run: neurozsl setup lava"
    if os.environ.get("NEUROZSL_REQUIRE_LAVA") == "1":
        pytest.fail(f"NEUROZSL_REQUIRE_LAVA=1, but {reason}")
    pytest.skip(reason)
