"""What is installed is what lies on disk, and imports what it may."""

import email
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.source_tree import ROOT, TOPS, files, imports

LOCKS = (ROOT / "requirements" / "lock.txt", ROOT / "requirements" / "test.txt")
TORCH = ROOT / "requirements" / "torch.txt"  # with GPU libraries that it pins itself
PEERS = ROOT / "requirements" / "peers.txt"  # for tests, in an environment of their own
# GPL or AGPL, a stub that runs pip when imported, and a package of gigabytes that nothing needs.
FORBIDDEN = {"tonic", "expelliarmus", "rockpool", "samna", "torchvision"}
PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[0-9][\w.]*)"
    r"(; python_version (?:<|>=) \"3\.\d+\")?"
    r"(?P<digests>( --hash=sha256:[0-9a-f]{64})*)"
)
# Wheels whose bundled libraries have another licence than their metadata say: package -> libraries.
BUNDLED_GPL = {"av": {"libx264", "libx265"}}


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


# ---------------------------------------------------------------- packages and wheel


def test_every_package_is_declared() -> None:
    on_disk = {
        name.removesuffix("/__init__.py").replace("/", ".")
        for name, path in files(".py")
        if path.name == "__init__.py"
    }
    assert {"neurozsl", "neurozsl.export", "neurozsl.hardware"} < on_disk
    assert sorted(_project()["tool"]["setuptools"]["packages"]) == sorted(on_disk)


@pytest.mark.parametrize("name", ["export", "hardware"])
def test_top_level_folders_are_linked_into_the_package(name: str) -> None:
    link = ROOT / "neurozsl" / name
    if not link.is_symlink() and link.is_file():
        pytest.skip("git made no links here (core.symlinks is off)")
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name
    assert not (ROOT / name).is_symlink()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the tree, built by the setuptools that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for top in TOPS:
        shutil.copytree(ROOT / top, folder / top, symlinks=True, ignore=ignore)
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    code = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
    (folder / "dist").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return next((folder / "dist").glob("*.whl"))


def test_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    suffixes = (".py", ".toml", ".json", ".j2", ".css", ".lock", ".txt", ".typed")
    wanted = {name for name, _ in files(*suffixes)}
    assert {"neurozsl/report/page/page.html.j2", "neurozsl/hardware/chips/loihi2.toml"} <= wanted
    assert sorted(wanted - set(names)) == []
    assert sorted(set(names)) == sorted(names)
    roots = {name.split("/")[0] for name in names}
    assert {x for x in roots if not x.endswith(".dist-info")} == {"neurozsl"}


def test_wheel_states_licence_python_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [meta_name] = [x for x in archive.namelist() if x.endswith(".dist-info/METADATA")]
        meta = email.message_from_bytes(archive.read(meta_name))
        folder = meta_name.rpartition("/")[0]
        scripts = archive.read(f"{folder}/entry_points.txt").decode()
    assert meta["License-Expression"] == "Apache-2.0"
    assert set(meta["Requires-Python"].split(",")) == {">=3.11", "<3.14"}
    assert "neurozsl = neurozsl.cli:main" in scripts


def test_help_is_quick_and_imports_no_torch(record_property: Any) -> None:
    code = (
        "import json, sys, time\n"
        "sys.argv = ['neurozsl', '--help']\n"
        "from neurozsl.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code or 0\n"
        "heavy = sorted({'torch', 'norse', 'matplotlib', 'numba'} & set(sys.modules))\n"
        "print(json.dumps([code, heavy, time.process_time()]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    exit_code, heavy, seconds = json.loads(done.stderr.splitlines()[-1])
    print(f"neurozsl --help: {seconds:.2f} s of CPU time")
    record_property("help_cpu_seconds", round(seconds, 3))
    assert exit_code == 0
    assert "train" in done.stdout + done.stderr
    assert heavy == []
    assert seconds < 2.0  # about 0.3 s on a quiet machine; the margin is for busy ones


# ---------------------------------------------------------------- locked versions


def _pins(path: Path) -> list[re.Match[str]]:
    """The lines of a file, each with its digests behind it."""
    text = re.sub(r" \\\n\s+", " ", path.read_text())
    lines = [x for x in text.splitlines() if x and not x.startswith("#")]
    assert len(lines) >= (1 if path == TORCH else 5)
    wrong = [x for x in lines if PIN.fullmatch(x) is None]
    assert wrong == []
    return [match for x in lines if (match := PIN.fullmatch(x))]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("path", (*LOCKS, TORCH, PEERS), ids=lambda x: x.name)
def test_lock_pins_every_line_with_digests_and_names_no_host(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.M)  # no options such as an index
    assert [x["name"] for x in _pins(path) if not x["digests"]] == []
    names = [_normal(x["name"]) for x in _pins(path)]
    assert sorted(set(names)) == sorted(names)
    assert not FORBIDDEN & set(names)


def test_locks_hold_every_direct_dependency_in_its_range() -> None:
    from packaging.requirements import Requirement

    project = _project()["project"]
    for path, wanted in zip(
        LOCKS, (project["dependencies"], project["optional-dependencies"]["test"]), strict=True
    ):
        pinned = {_normal(x["name"]): x["version"] for x in (*_pins(path), *_pins(TORCH))}
        for requirement in map(Requirement, wanted):
            assert pinned[_normal(requirement.name)] in requirement.specifier, requirement.name


def test_runtime_and_test_locks_do_not_overlap() -> None:
    runtime, tools, torch = ({_normal(x["name"]) for x in _pins(path)} for path in (*LOCKS, TORCH))
    assert not runtime & tools and torch == {"torch"} and not torch & (runtime | tools)


def test_every_install_of_a_requirements_file_asks_for_its_digests() -> None:
    places = [ROOT / "Makefile", ROOT / "requirements" / "peers.sh"]
    calls = [x for path in places for x in path.read_text().splitlines() if "--requirement" in x]
    assert len(calls) == 3
    assert all("--no-deps --require-hashes --requirement" in x for x in calls)


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
def test_torch_is_installed_where_its_digest_is_listed_alone(listed: bool, tmp_path: Path) -> None:
    """A stand-in for pip downloads a file and writes down what it is asked to install."""
    wheel = b"a wheel"
    digest = hashlib.sha256(wheel if listed else b"another").hexdigest()
    (tmp_path / "torch.txt").write_text(f"torch==9.9 \\\n    --hash=sha256:{digest}\n")
    script = shutil.copy(TORCH.with_suffix(".sh"), tmp_path)
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    python = tmp_path / "venv" / "bin" / "python"
    python.write_text(
        f"""#!/bin/sh
[ "$1" = -m ] || exec {sys.executable} "$@"
for last; do :; done
case "$*" in
    *" download "*)
        while [ "$1" != --dest ]; do shift; done
        printf 'a wheel' > "$2/torch-9.9.whl" ;;
    *" install "*) basename "$last" >> {tmp_path}/installed ;;
esac
"""
    )
    python.chmod(0o755)
    command = ["sh", str(script), str(tmp_path / "venv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) is listed, done.stderr
    assert (tmp_path / "installed").exists() is listed
    assert listed or f"torch-9.9.whl: sha256 {hashlib.sha256(wheel).hexdigest()}" in done.stderr
    again = subprocess.run(command, env={**os.environ, "TORCH_CHECK": "no"}, timeout=60)
    assert again.returncode == 0 and "torch-9.9.whl" in (tmp_path / "installed").read_text()


def test_libraries_under_the_gpl_in_installed_wheels_are_those_that_are_named() -> None:
    """`av` says BSD-3-Clause and holds x264 and x265: one module imports it, and no other wheel has
    their like.
    """
    import importlib.metadata

    known = re.compile(r"lib(x264|x265|xvidcore|rubberband|vidstab|fftw3\w*|gsl|cdio)\b")
    found: dict[str, set[str]] = {}
    for path in (*LOCKS, TORCH):
        for pin in _pins(path):
            try:
                files_of = importlib.metadata.files(pin["name"]) or ()
            except importlib.metadata.PackageNotFoundError:
                continue  # of another Python
            libraries = {match[0] for file in files_of if (match := known.match(file.name))}
            if libraries:
                found[_normal(pin["name"])] = libraries
    assert {name: libraries for name, libraries in found.items() if name != "av"} == {}
    assert found.get("av", set()) <= BUNDLED_GPL["av"]  # a build of its own may have neither
    readers = [m for m, names in imports().items() if any(_inside(x, "av") for x in names)]
    assert readers == ["neurozsl.data.clips.video_file"]
    page = (ROOT / "examples" / "README.md").read_text()
    assert all(name.removeprefix("lib") in page for name in BUNDLED_GPL["av"])


# ---------------------------------------------------------------- what is imported

# Of neurozsl's own modules, all that `hardware` may read.
HARDWARE_READS = ("neurozsl.core", "neurozsl.hardware")


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def test_no_modules_import_each_other_in_a_circle() -> None:
    """What imports none that is left, or is imported by none, is taken away until none is."""
    left = {}
    for module, names in imports().items():
        # `from package import part` reads the part; the package's own file is no part of it.
        faces = {x.rpartition(".")[0] for x in names if x in imports()}
        left[module] = {x for x in names if x in imports() and x not in (module, *faces)}
    while ends := [
        module
        for module, names in left.items()
        if not names & left.keys() or not any(module in other for other in left.values())
    ]:
        for module in ends:
            del left[module]
    assert sorted(left) == []


def test_hardware_needs_numpy_and_nir_alone() -> None:
    allowed = {"numpy", "nir", "neurozsl", *sys.stdlib_module_names}
    modules = {m: names for m, names in imports().items() if _inside(m, "neurozsl.hardware")}
    tops: set[str] = set()
    for module, names in modules.items():
        heavy = {"torch", "numba"} if re.search(r"emulator|kernels", module) else set()
        tops |= {name.split(".")[0] for name in names}
        foreign = sorted(x for x in names if x.split(".")[0] not in allowed | heavy)
        assert foreign == [], module
        own = [x for x in names if _inside(x, "neurozsl") and x != "neurozsl"]
        assert [x for x in own if not any(_inside(x, y) for y in HARDWARE_READS)] == [], module
    assert {"numpy", "nir"} <= tops


def test_nothing_imports_the_top_level_folders_or_a_forbidden_package() -> None:
    bad = {"export", "hardware", *FORBIDDEN}
    # A script of its own, run as a process; it puts a stand-in in samna's place first.
    worker = "neurozsl.export.backends.speck.worker.run_dynapcnn"
    assert worker in imports()
    for module, names in imports().items():
        assert not {x.split(".")[0] for x in names} & bad, module
        assert not any(_inside(x, worker) for x in names), module
        backend = [x for x in names if _inside(x, "sinabs.backend.dynapcnn")]
        assert bool(backend) is (module == worker), module


def test_the_root_package_imports_nothing_heavy() -> None:
    tops = {x.split(".")[0] for x in imports()["neurozsl"]}
    assert tops == {"lazy_loader", "neurozsl"}
