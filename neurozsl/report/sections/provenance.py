"""All that is needed to get the same numbers: command, seed, digests of what was read, machine."""

import platform
from pathlib import Path

from neurozsl.core.digest import sha256
from neurozsl.data import store
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.export.bundle.manifest import NAME
from neurozsl.report.show.compare import DATA
from neurozsl.runs.run import INTEGERS, WEIGHTS, Run

_CPUINFO = Path("/proc/cpuinfo")


def digests(run: Run, opened: Bundle | None) -> dict[str, str]:
    """SHA-256 by file: weights (and integers) of the run, its data, the files of the bundle.

    A data set is named by the fingerprint of its folder, which `open_run` has checked; its own
    file, where it is one, has its SHA-256 beside it.
    """
    files = {f"run/{name}": run.path / name for name in (WEIGHTS, INTEGERS, "run.json")}
    if run.data_path is not None:
        files[f"data/{store.ARRAYS}"] = run.data_path / store.ARRAYS
    found = {name: sha256(path) for name, path in files.items() if path.is_file()}
    found[DATA] = run.settings.data_fingerprint
    if opened is not None:
        where = f"bundle/{opened.manifest.target}"
        found[f"{where}/{NAME}"] = sha256(opened.path / NAME)
        found |= {f"{where}/{name}": digest for name, digest in opened.manifest.files.items()}
    return found


def machine() -> str:
    """Processor, threads that torch uses, system, and the GPU where torch sees one."""
    import torch

    threads = torch.get_num_threads()
    parts = [processor(), f"{threads} thread{'s' if threads > 1 else ''}", platform.system()]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def processor() -> str:
    """The processor by the name that the system has for it, else by its architecture."""
    named = platform.processor() or platform.machine() or "unknown processor"
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return named
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(filter(None, models), named)
