"""`neurozsl setup` gets optional parts; `neurozsl doctor` says what is there."""

import importlib.metadata
import platform
import time
from dataclasses import asdict, dataclass
from typing import Any

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say, show_table
from neurozsl.core.shell import words

app = typer.Typer(help="Set up optional parts.", no_args_is_help=True)

PYTHON_RANGE = ">=3.11,<3.14"
_PACKAGES = (
    "torch",
    "norse",
    "nir",
    "sinabs",
    "numpy",
    "numba",
    "h5py",
    "av",
    "librosa",
    "lightning-fabric",
)
_MISSING_PART = 5
_LAVA_STAGES = 2  # of `lava.environment.create`: the environment, its packages


@dataclass(frozen=True)
class Check:
    """One line of the doctor. status: ok, note (optional and absent) or problem."""

    name: str
    status: str
    detail: str
    remedy: str = ""


@app.command("lava")
def setup_lava() -> None:
    """Build the Python 3.10 environment in which lava-nc runs (once; about a minute)."""
    from neurozsl.export.backends.lava.environment import create

    with progress_bar("setting up Lava") as update:
        done = 0

        def report(line: str) -> None:  # after the first line a stage is done with each
            nonlocal done
            say(line)
            update(min(done, _LAVA_STAGES), _LAVA_STAGES, line)
            done += 1

        create(report=report)
    next_commands("neurozsl doctor", "neurozsl export RUN --target lava")


@app.command("encoders")
def setup_encoders() -> None:
    """Download the weights of pretrained encoders (once; about 125 MB), for `data build`."""
    from neurozsl.data.encoders.folder import home
    from neurozsl.data.encoders.registry import packaged
    from neurozsl.data.encoders.setup import create, missing

    every = packaged()
    wanted = missing(every)
    show_table(
        f"encoders, kept in {home()}",
        ("encoder", "part", "package", "holds", "licence", "MB"),
        [
            (
                each.name,
                each.part,
                pin.key,
                pin.holds,
                pin.licence,
                f"{pin.size / 1e6:.1f}" if each in wanted else "there",
            )
            for each in every
            for pin in each.pins
        ],
    )
    size = sum(each.size for each in wanted)
    if not wanted:
        say("all are there; nothing is downloaded")
    else:
        say(
            f"to download: {size / 1e6:.0f} MB from pip's index; the wheels are unpacked, not "
            "installed or run"
        )
        with progress_bar("setting up encoders") as update:
            done, stages = 0, sum(len(each.pins) + 2 for each in wanted)

            def report(line: str) -> None:
                nonlocal done
                say(line)
                update(min(done, stages), stages, line)
                done += 1

            create(wanted, report=report)
    for check in _encoders():
        if check.remedy:
            say(f"{check.name}: {check.remedy}")
    options = {"clips": "DIR", "labels": "CSV", "video-encoder": "efficientnet-lite0"}
    more = {"audio-encoder": "aisfx", "text-encoder": "minilm", "out": "SET"}
    next_commands("neurozsl doctor", "neurozsl data build" + words({**options, **more}))


def doctor(
    json: bool = typer.Option(False, "--json", help="Print one JSON document to stdout."),
) -> None:
    """Check Python, packages, Lava, CUDA, energy meters; says how to repair what is missing."""
    findings = [*_versions(), *_lava(), *_encoders(), _cluster(), _cuda(), _emulator(), _meter()]
    if json:
        healthy = all(one.status != "problem" for one in findings)
        emit_json({"healthy": healthy, "checks": [asdict(one) for one in findings]})
    else:
        rows = [(one.name, one.status, one.detail) for one in findings]
        show_table("neurozsl doctor", ("part", "status", "found"), rows)
        for one in findings:
            if one.remedy:
                say(f"{one.name}: {one.remedy}")
    if any(one.status == "problem" for one in findings):
        raise typer.Exit(_MISSING_PART)


def in_range(version: str, specifier: str) -> bool:
    """Whether a release lies in a range; local, pre- and post-release parts are left out.

    >>> in_range("2.15.0+cpu", ">=2.10,<3"), in_range("1.0.8", "==1.0.4")
    (True, False)
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    return Version(version).base_version in SpecifierSet(specifier)


def _declared() -> dict[str, str]:
    """Range of every package that neurozsl depends on."""
    from packaging.requirements import Requirement

    every = map(Requirement, importlib.metadata.requires("neurozsl") or ())
    return {each.name.lower(): str(each.specifier) for each in every if each.marker is None}


def _versions() -> list[Check]:
    python = platform.python_version()
    fits = in_range(python, PYTHON_RANGE)
    remedy = "" if fits else f"make the environment with Python {PYTHON_RANGE}"
    findings = [Check("python", "ok" if fits else "problem", python, remedy)]
    ranges = _declared()
    for name in _PACKAGES:
        wanted = ranges.get(name, "")
        try:
            version = importlib.metadata.version(name)
            fits, detail = in_range(version, wanted), version
            detail += f" (needs {wanted})" if wanted else ""
        except importlib.metadata.PackageNotFoundError:
            fits, detail = False, "not installed"
        remedy = "" if fits else f"pip install '{name}{wanted}'"
        findings.append(Check(name, "ok" if fits else "problem", detail, remedy))
    return findings


def _lava() -> list[Check]:
    from neurozsl.export.backends.lava import environment as lava

    found = []
    for one in lava.candidates():
        detail = f"{one.path}: {one.version or one.problem}"
        status = "ok" if one.usable else "note"
        found.append(Check(f"python {lava.PYTHON} ({one.origin})", status, detail))
    python = lava.locate()
    if python is not None:
        problem = lava.import_problem(python)
        status = "problem" if problem else "ok"
        return [*found, Check("lava-nc", status, problem or str(python))]
    remedy = f"run: {lava.INSTALL_LINE}"
    if all(one.status == "note" for one in found):
        remedy = f"install Python {lava.PYTHON} or set NEUROZSL_LAVA_PYTHON, then {remedy}"
    return [*found, Check("lava-nc", "note", f"not set up in {lava.home()}", remedy)]


def _encoders() -> list[Check]:
    """Weights of encoders, and the packages that run them."""
    try:
        from neurozsl.data.encoders.folder import INSTALL_LINE, home
        from neurozsl.data.encoders.packages import EXTRA_LINE
        from neurozsl.data.encoders.registry import packaged
        from neurozsl.data.encoders.setup import missing
    except ImportError as error:
        return [Check("encoders", "note", f"torch does not import ({error})")]
    every = packaged()
    absent = [each.name for each in missing(every)]
    there = [each.name for each in every if each.name not in absent]
    detail = f"{', '.join(there) or 'none'} in {home()}"
    if absent:
        detail += f"; not set up: {', '.join(absent)}"
    found = [
        Check(
            "encoders", "note" if absent else "ok", detail, f"run: {INSTALL_LINE}" if absent else ""
        )
    ]
    for name in ("onnxruntime", "tokenizers"):
        try:
            found.append(Check(name, "ok", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            remedy = f"for encoders run: {EXTRA_LINE}"
            found.append(Check(name, "note", "not installed", remedy))
    return found


def _cluster() -> Check:
    """What --jobs and --scheduler need."""
    from neurozsl.cluster.client import EXTRA_LINE

    try:
        return Check("distributed", "ok", importlib.metadata.version("distributed"))
    except importlib.metadata.PackageNotFoundError:
        return Check("distributed", "note", "not installed", f"for --jobs run: {EXTRA_LINE}")


def _emulator() -> Check:
    """What an operation of the emulator's kernels costs here, by which it chooses among them."""
    try:
        from neurozsl.hardware.loihi.emulator import HAS_NUMBA
        from neurozsl.hardware.loihi.emulator.costs import sum_costs
    except ImportError as error:
        return Check("emulator", "note", f"torch does not import ({error})")
    if not HAS_NUMBA:
        return Check("emulator", "note", "numba does not import: every value is multiplied")
    told = ", ".join(
        f"{name.replace('_', ' ')} {cost}" for name, cost in sum_costs().told().items()
    )
    return Check("emulator", "ok", told)


def _cuda() -> Check:
    try:
        import torch
    except ImportError as error:
        return Check("cuda", "problem", f"torch does not import ({error})")
    if not torch.cuda.is_available():
        return Check("cuda", "note", "no device; the CPU is used")
    names: list[Any] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Check("cuda", "ok", ", ".join(names))


def _meter() -> Check:
    """Which meter would read the host part, tried out for a moment."""
    try:
        from neurozsl.meters import nvml, rapl
        from neurozsl.meters.reading import Measured
    except ImportError as error:
        return Check("energy meter", "note", f"torch does not import ({error})")
    refused = []
    for name, meter in (("NVML", nvml.measure), ("RAPL", rapl.measure)):
        found = meter(lambda: time.sleep(0.05), seconds=0.2, idle_s=0.0)
        if isinstance(found, Measured):
            return Check("energy meter", "ok", f"{name} on {found.device}")
        refused.append(found.reason)
    detail = "none: energy of the host part is estimated from FLOPs"
    return Check("energy meter", "note", detail, "; ".join(refused))
