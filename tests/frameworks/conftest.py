"""Recorded files and spikes of the other frameworks, and those frameworks live."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.frameworks import record

Folder = Callable[[str], Path]


def require_peers() -> None:
    """Skip where the other frameworks are not installed, or fail where they are required."""
    if record.has_peers():
        return
    reason = "no environment of the other frameworks (run: make peers)"
    if os.environ.get("NEUROZSL_REQUIRE_PEERS") == "1":
        pytest.fail(f"NEUROZSL_REQUIRE_PEERS=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session", name="recorded")
def _recorded(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Folder with what is recorded of a writer: NAME.nir and NAME.npz."""
    unpacked: dict[str, Path] = {}

    def folder(writer: str) -> Path:
        if writer not in unpacked:
            unpacked[writer] = tmp_path_factory.mktemp(f"recorded-{writer}")
            with tarfile.open(record.GOLDEN / f"{writer}.tar.xz") as archive:
                archive.extractall(unpacked[writer], filter="data")
        return unpacked[writer]

    return folder


@pytest.fixture(scope="session", name="live")
def _live(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Folder with what a writer exports and sends now.

    Cases that need the other frameworks' environment are skipped where there is none.
    """
    made: dict[str, Path] = {}

    def folder(writer: str) -> Path:
        if writer not in made:
            if "peers" in record.environments(writer):
                require_peers()
            target = tmp_path_factory.mktemp(f"live-{writer}")
            record.write_cases(writer, target, record.environments(writer))
            made[writer] = target
        return made[writer]

    return folder
