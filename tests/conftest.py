"""Fixtures of the whole suite: given data, Lava, one thread and one seed, a tiny trained run."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: a red test must be red again when it is run again.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

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
    from neurozsl.export.backends.lava.environment import locate

    python = locate()
    if python is not None:
        return python
    reason = "the Lava environment is not set up; run: neurozsl setup lava"
    if os.environ.get("NEUROZSL_REQUIRE_LAVA") == "1":
        pytest.fail(f"NEUROZSL_REQUIRE_LAVA=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic set small enough to train on in seconds; a test that changes it takes a copy."""
    from tests.factories.datasets import small_set

    return small_set(tmp_path_factory.mktemp("small") / "data")


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, a run trained on it in seconds, and its bundles `sinabs` and `lava`."""
    import torch

    from neurozsl.deploy import deploy
    from neurozsl.runs import run as runs
    from neurozsl.training.protocol import TrainConfig
    from tests.factories.datasets import small_set

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("workspace")
    small_set(folder / "data")
    runs.create(
        folder / "run",
        data_dir=folder / "data",
        model="mdft",
        options={"motion_widths": [64, 32, 32], "embed": 32, "hidden": 64, "theta": 0.5},
        train=TrainConfig(epochs=5, batch=16),
    )
    run = runs.train(folder / "run")
    for target in ("sinabs", "lava"):
        # Five epochs on eight clips per class: the score is noise, so its drop is no verdict.
        deploy.deploy(run, target=target, max_hm_drop=100)
    return folder


@pytest.fixture(scope="session")
def run_dir(workspace: Path) -> Path:
    """The tiny run."""
    return workspace / "run"


@pytest.fixture(scope="session")
def lava_bundle(run_dir: Path) -> Path:
    """Its bundle for the target lava."""
    return run_dir / "deploy" / "lava"
