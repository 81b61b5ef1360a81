"""Every kind of file that the product writes has a test that damages it; a new kind asks for one.

`WRITES` names files by pattern, below the folder of a command's output, and the module that damages
them. A file of no pattern fails here, and so does a pattern that no file has any more.
"""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.factories.event_sets import recordings

Command = Callable[..., Any]

# What is only ever read by people, or by nobody, changes no result: its row says so.
READ_BY_PEOPLE: Final = "read by people alone"
WRITES: Final[dict[str, str]] = {
    "run/run.json": "test_runs",
    "run/model.json": "test_runs",
    "run/result.json": "test_runs",
    "run/log.jsonl": "test_runs",
    "run/kept.npz": "test_portable",
    "archive/run.zip": "test_packed",
    "opened/measured/*.json": "test_portable",
    "run/model.safetensors": "test_runs",
    "run/stage?/best.safetensors": "test_runs",
    "run/stage?/last.safetensors": "test_runs",
    "bundle/manifest.json": "test_bundles",
    "bundle/motion.nir": "test_bundles",
    "bundle/program.npz": "test_program_files",
    "bundle/golden.npz": "test_program_files",
    "bundle/run_lava.py": "test_bundles",
    "set/dataset.h5": "test_hdf5",
    "set/dataset.json": "test_hdf5",
    "packed/dataset.h5": "test_hdf5",
    "packed/dataset.json": "test_hdf5",
    "recordings/dataset.h5": "test_event_sets",
    "recordings/dataset.json": "test_event_sets",
    "made/report.json": "test_reports",
    "made/report.html": READ_BY_PEOPLE,
    "made/card.json": "test_reports",
    "made/card.md": READ_BY_PEOPLE,
    "made/trace.npz": "test_npz",
    "made/*.svg": READ_BY_PEOPLE,
    "made/net.nir": "test_hdf5",
    "network/run.json": "test_classifiers",
    "network/result.json": "test_classifiers",
    "network/network.nir": "test_classifiers",
    "network/test.npz": "test_classifiers",
    "network/log.jsonl": "test_classifiers",
    "network/stage1/last.safetensors": "test_classifiers",
}


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, workspace: Path, run_dir: Path, lava_bundle: Path
) -> dict[str, str]:
    """Files by the name of their row's folder: what the commands below leave."""
    from tests.cli.conftest import run_command

    made = tmp_path_factory.mktemp("made")
    packed = tmp_path_factory.mktemp("packed") / "set"
    events = recordings(tmp_path_factory.mktemp("events") / "recordings")
    event_set = events.with_name("set")
    data = (run_dir / json.loads((run_dir / "run.json").read_text())["data"]).resolve()
    copy = run_dir.with_name("copy")  # beside its data; what it measures stays there
    shutil.copytree(run_dir, copy)
    archive = tmp_path_factory.mktemp("archive")
    labels, trained = events / "labels.csv", events.with_name("run")
    commands: tuple[tuple[object, ...], ...] = (
        ("data", "convert", data, "--out", packed),
        ("data", "build", "--events", events, "--labels", labels, "--out", event_set),
        ("train", "--network", "conv-if", "--data", event_set, "--out", trained, "--epochs", 1),
        ("pack", copy, "--without-bundles", "--out", archive / "run.zip"),
        ("profile", run_dir, "--bundle", lava_bundle, "--report", made / "report.html"),
        ("profile", run_dir, "--bundle", lava_bundle, "--report", made / "card.md"),
    )
    for command in commands:
        ran = run_command(*command)
        assert ran.code == 0, ran.err[-2000:]
    (made / "net.nir").write_bytes((lava_bundle / "motion.nir").read_bytes())
    np.savez(made / "x.npz", **_codes(lava_bundle))
    ran = run_command(
        "simulate", made / "net.nir", "--input", made / "x.npz", "--out", made / "trace.npz",
        "--raster",
    )  # fmt: skip
    assert ran.code == 0, ran.err[-2000:]
    (made / "x.npz").unlink()  # the user's
    folders = {"run": run_dir, "bundle": lava_bundle, "set": data, "packed": packed, "made": made}
    folders |= {"recordings": event_set, "network": trained, "archive": archive}
    folders |= {"opened": copy}
    found: dict[str, str] = {}
    for name, folder in folders.items():
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            again = name == "opened" and inside.parts[0] != "measured"  # rows of `run`
            if path.is_file() and not again and not (name == "run" and inside.parts[0] == "deploy"):
                found[f"{name}/{inside}"] = str(path)
    shutil.rmtree(copy)
    return found


def _codes(bundle: Path) -> dict[str, Any]:
    with np.load(bundle / "golden.npz") as golden:
        return {key.removeprefix("codes/"): golden[key] for key in golden.files if "codes/" in key}


def test_every_kind_of_file_has_a_row(written: dict[str, str]) -> None:
    assert len(written) >= 15
    without = [name for name in written if not any(fnmatch(name, row) for row in WRITES)]
    assert without == [], "say in WRITES which module of tests/faults damages them"


def test_every_row_is_a_kind_that_is_written(written: dict[str, str]) -> None:
    unused = [row for row in WRITES if not any(fnmatch(name, row) for name in written)]
    assert unused == []


def test_every_row_names_a_module_with_tests() -> None:
    for module in set(WRITES.values()) - {READ_BY_PEOPLE}:
        found = importlib.import_module(f"tests.faults.{module}")
        assert sum(name.startswith("test_") for name in vars(found)) >= 3, module
