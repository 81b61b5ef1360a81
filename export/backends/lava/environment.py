"""The Python 3.10 environment of lava-nc: found, built, checked.

lava-nc 0.10.0 imports on Python 3.10 only and pins numpy < 2; torch needs Python >= 3.11. So Lava
lives in an environment of its own, under

    NEUROZSL_LAVA_HOME, else `.lava` beside the checkout (or in the working directory)

`create` writes a marker last; a folder without it, or with the marker of another lock file, does
not count and is built again. A virtual environment cannot be moved, so it is built in place.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.core.reading import read_object

PYTHON = "3.10"
INSTALL_LINE = "neurozsl setup lava"
_MARKER = ".complete"
_PROBE = "import ensurepip, sys, venv; print('%d.%d.%d' % sys.version_info[:3])"
_IMPORT = "import lava.magma.core.run_configs, lava.proc.lif.process, lava.proc.dense.process"
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Candidate:
    """An interpreter that may build the environment.

    origin: where it was found. version: what it answered, None if it did not run.
    """

    path: str
    origin: str
    version: str | None
    problem: str = ""

    @property
    def usable(self) -> bool:
        """True for a Python 3.10 that ran and can make environments."""
        return self.version is not None and self.version.startswith(PYTHON + ".")


def home() -> Path:
    """Folder that holds the environment (it need not exist)."""
    chosen = os.environ.get("NEUROZSL_LAVA_HOME")
    if chosen:
        return Path(chosen).expanduser()
    # export/backends/lava/environment.py is four levels below the root of a checkout.
    root = Path(__file__).resolve().parents[3]
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / ".lava"


def lock_text() -> str:
    """The pinned packages, one per line."""
    return files("neurozsl.export.backends.lava").joinpath("lava.lock").read_text()


def candidates() -> Iterator[Candidate]:
    """Interpreters in order of preference, each one executed: pyenv has shims that fail."""
    seen: set[str] = set()
    for origin, path in _places():
        if path not in seen:
            seen.add(path)
            yield _probe(path, origin)


def find_interpreter() -> Candidate:
    """The first Python 3.10 that runs.

    Raises:
        MissingPart: none runs; lists what was tried.
    """
    tried = []
    for candidate in candidates():
        if candidate.usable:
            return candidate
        answer = candidate.problem or f"is Python {candidate.version}"
        tried.append(f"{candidate.origin} {candidate.path}: {answer}")
    listed = "; ".join(tried) or "nothing named python3.10, no uv, no pyenv version"
    raise MissingPart(
        f"no Python {PYTHON} that runs was found ({listed}); install one (for example "
        f"`uv python install {PYTHON}`), or set NEUROZSL_LAVA_PYTHON, then: {INSTALL_LINE}"
    )


def locate() -> Path | None:
    """The interpreter of a complete environment, or None.

    Without one, `NEUROZSL_LAVA_PYTHON` counts too if lava-nc imports in it.
    """
    if _is_complete(home() / "env"):
        return _python(home() / "env")
    named = os.environ.get("NEUROZSL_LAVA_PYTHON")
    return Path(named) if named and _imports(named) else None


def require() -> Path:
    """The interpreter of the environment.

    Raises:
        MissingPart: there is none; holds the line that builds it.
    """
    python = locate()
    if python is None:
        raise MissingPart(
            f"the Lava environment is not set up (looked in {home()}); run: {INSTALL_LINE}"
        )
    return python


def import_problem(python: Path) -> str | None:
    """Why lava-nc does not import there, or None if it does."""
    return _run([str(python), "-c", _IMPORT])[1]


@cache
def _imports(python: str) -> bool:
    """Asked once per run: starting an interpreter for it takes about a second."""
    return import_problem(Path(python)) is None


def create(where: Path | None = None, *, report: Callable[[str], None] = lambda line: None) -> Path:
    """The interpreter of the environment in `where`, by default `home()`; built if incomplete.

    `report` is called with one line per stage.

    Raises:
        MissingPart: no interpreter runs, or the packages cannot be installed.
    """
    folder = (where or home()).resolve() / "env"
    if _is_complete(folder):
        report(f"Lava environment is complete: {folder}")
        return _python(folder)
    source = find_interpreter()
    report(f"building {folder} with Python {source.version} ({source.origin})")
    if (folder / "pyvenv.cfg").is_file():
        shutil.rmtree(folder)  # ours and incomplete
    folder.mkdir(parents=True, exist_ok=True)
    _do([source.path, "-m", "venv", str(folder)], "make the environment")
    lock = folder / "lava.lock"
    lock.write_text(lock_text())
    report("installing lava-nc and its pinned packages")
    _do(
        [str(_python(folder)), "-m", "pip", "install", "--quiet", "--no-input", "-r", str(lock)],
        "install the packages of lava.lock",
        timeout_s=1200,
    )
    problem = import_problem(_python(folder))
    if problem is not None:
        raise MissingPart(f"lava-nc does not import in {folder}: {problem}; run: {INSTALL_LINE}")
    (folder / _MARKER).write_text(json.dumps({"lock": _digest(), "python": source.version}))
    report(f"Lava environment ready: {folder}")
    return _python(folder)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _digest() -> str:
    return hashlib.sha256(lock_text().encode()).hexdigest()


def _is_complete(folder: Path) -> bool:
    try:
        marker = read_object(folder / _MARKER, remedy="")
    except BadInput:
        return False
    return bool(marker.get("lock") == _digest()) and _python(folder).exists()


def _places() -> Iterator[tuple[str, str]]:
    named = os.environ.get("NEUROZSL_LAVA_PYTHON")
    if named:
        yield "NEUROZSL_LAVA_PYTHON", named
    uv = shutil.which("uv")
    if uv:
        found, problem = _run([uv, "python", "find", PYTHON])
        if problem is None and found:
            yield "uv", found
    on_path = shutil.which(f"python{PYTHON}")
    if on_path:
        yield "PATH", on_path
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for version in sorted((root / "versions").glob(f"{PYTHON}.*"), reverse=True):
        yield "pyenv", str(version / "bin" / "python")


def _probe(path: str, origin: str) -> Candidate:
    answer, problem = _run([path, "-c", _PROBE])
    return Candidate(path, origin, None if problem else answer, problem or "")


def _run(command: list[str], timeout_s: float = _TIMEOUT_S) -> tuple[str, str | None]:
    """Standard output, and what went wrong (last line of stderr) or None."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
            env=clean_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"does not run ({type(error).__name__})"
    if done.returncode:
        # The last line of a traceback says what happened; of other tools the first line does.
        lines = done.stderr.strip().splitlines() or ["no message"]
        line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
        return "", f"exit code {done.returncode} ({line.strip()})"
    return done.stdout.strip(), None


def clean_environment() -> dict[str, str]:
    """Our environment without what would leak this interpreter's packages into another."""
    dropped = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONWARNINGS"}
    return {k: v for k, v in os.environ.items() if k not in dropped}


def _do(command: list[str], what: str, timeout_s: float = 300) -> None:
    _, problem = _run(command, timeout_s)
    if problem is not None:
        raise MissingPart(f"could not {what}: {problem}; check the network, then: {INSTALL_LINE}")
