"""What frameworks export and send, recorded: `make golden`, `python -m tests.frameworks.record`.

Writes `golden/WRITER.tar.xz`: per case NAME.nir and NAME.npz (`input`, `layer0`, `layer1`, uint8).
All cases of a writer lie in one archive, whose files share most of their bytes. A case whose spikes
are not those of `equations` is refused: float32 and float64 then fall on two sides of a threshold,
and another seed is needed.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.frameworks.cases import CASES, Case, Environment
from tests.frameworks.equations import expected
from tests.frameworks.networks import draw

ROOT: Final = Path(__file__).resolve().parents[2]
GOLDEN: Final = Path(__file__).resolve().parent / "golden"
PEERS: Final = ROOT / ".peers"
WRITERS: Final = tuple(dict.fromkeys(case.writer for case in CASES))
TIMEOUT_S: Final = 300


def has_peers() -> bool:
    """True where `requirements/peers.sh` has come to its end."""
    return any(PEERS.glob(".complete-*"))


def interpreter(environment: Environment) -> Path:
    """The Python in which a case is written."""
    return PEERS / "bin" / "python" if environment == "peers" else Path(sys.executable)


def write_cases(writer: str, folder: Path, environments: tuple[Environment, ...]) -> None:
    """Let a framework build, export and run its cases, in one process per environment.

    Raises:
        RuntimeError: the framework failed; with the end of what it printed.
    """
    for environment in environments:
        line = [interpreter(environment), "-W", "ignore", "-m", "tests.frameworks.write"]
        done = subprocess.run(
            [*map(str, line), writer, environment, str(folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        if done.returncode:
            raise RuntimeError(f"{writer} in {environment}: {done.stderr[-3000:]}")


def environments(writer: str) -> tuple[Environment, ...]:
    """Where the cases of a writer run."""
    return tuple(dict.fromkeys(case.environment for case in CASES if case.writer == writer))


def read_spikes(folder: Path, case: Case) -> Mapping[str, Any]:
    """Arrays of a case: `layer0`, `layer1`, and `input` where it is recorded."""
    with np.load(folder / f"{case.name}.npz") as stored:
        return dict(stored)


def record(writer: str, folder: Path) -> Path:
    """Pack what `write_cases` left in a folder."""
    path = GOLDEN / f"{writer}.tar.xz"
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for case in (x for x in CASES if x.writer == writer):
            drawn, layers = draw(case), read_spikes(folder, case)
            for depth, counts in enumerate(expected(case, drawn)):
                wrong = int((counts != layers[f"layer{depth}"]).sum())
                if wrong:
                    raise RuntimeError(
                        f"{writer}, {case.name}: {wrong} counts differ, layer {depth}"
                    )
            packed = io.BytesIO()
            np.savez(packed, input=drawn.spikes, **layers)
            _add(archive, f"{case.name}.nir", (folder / f"{case.name}.nir").read_bytes())
            _add(archive, f"{case.name}.npz", packed.getvalue())
    return path


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)  # no time and no owner: the same content makes the same archive
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def main() -> None:
    """Record every writer anew."""
    GOLDEN.mkdir(exist_ok=True)
    for writer in WRITERS:
        with tempfile.TemporaryDirectory() as folder:
            write_cases(writer, Path(folder), environments(writer))
            path = record(writer, Path(folder))
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
