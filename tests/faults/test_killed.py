"""A command that is killed at any call loses nothing, and after it runs again nothing tells of it.

What takes long and writes nothing (rendering, decoding, profiling, drawing) is computed once and
handed to the commands, so that all that they write is written by the real code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from neurozsl.core import leftovers
from neurozsl.data.clips import build as clips
from neurozsl.data.events.recordings.build import EventGrid, write_event_set
from neurozsl.data.events.recordings.stored import load_event_set
from neurozsl.data.sets.load import load
from neurozsl.data.store import save
from neurozsl.data.synthetic import scenes
from neurozsl.deploy.deploy import deploy
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.portable.pack import pack
from neurozsl.report import plots, read_report, write_report
from neurozsl.report.sections import build as report_build
from neurozsl.report.show import write as report_write
from neurozsl.runs.run import open_run
from tests.data import test_clips as videos
from tests.factories import event_sets
from tests.factories.videos import write_video
from tests.faults import killer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
SMALL = {"motion_widths": [64, 32, 32], "embed": 16, "hidden": 32, "theta": 0.5}
FAST, ALL = 2, 20
Words = tuple[object, ...]


@dataclass(frozen=True)
class Case:
    """before: what lies there. first, again: the command, and the one that goes on after a kill.

    content: what must be the same in the end; complete: asserts after the kill that what was there
    is whole, the old or the new.
    """

    before: Path
    first: Callable[[Path], Words]
    again: Callable[[Path], Words]
    content: Callable[[Path], Any]
    complete: Callable[[Path, Any], None] = lambda folder, new: None


def options(prefix: str = "") -> list[object]:
    return [x for k, v in SMALL.items() for x in ("--set", f"{prefix}{k}={json.dumps(v)}")]


def arrays(file: Path) -> dict[str, str]:
    """Digests of all that an HDF5 or npz file holds."""
    found: dict[str, str] = {}

    def add(name: str, value: Any) -> None:
        text = value.tolist() if value.dtype == object else value.tobytes()
        found[name] = hashlib.sha256(str(text).encode()).hexdigest()

    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as opened:
            for name in opened.files:
                add(name, opened[name])
        return found
    with h5py.File(file) as opened:

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                add(name, np.asarray(item[()]))

        opened.visititems(visit)
    return found


def trained(*names: str) -> Callable[[Path], Any]:
    """Scores and weights of a run, and further files of the folder, as bytes."""
    every = ("model.safetensors", "result.json")
    return lambda folder: {
        name: (folder / name).read_bytes()
        for run in names
        for name in ((run,) if run.endswith(".json") else tuple(f"{run}/{x}" for x in every))
    }


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    """Every command with what it needs."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("killed")
    sizes: dict[str, Any] = {
        "train_per_class": 2,
        "val_seen_per_class": 1,
        "val_unseen_per_class": 2,
    }
    old, new = (
        scenes.generate(scenes.SyntheticConfig(**sizes, test_size=48, seed=seed)) for seed in (0, 1)
    )
    rows = []
    for label, roles in videos.ROLES.items():
        for role in roles:
            write_video(home / "clips" / label / f"{role}.mkv", 3.0, fps=10)
            rows.append((f"{label}/{role}.mkv", label, role, label))
    labels = videos.write_labels(home / "labels.csv", rows)
    vectors = videos.write_vectors(home / "words.npz", list(videos.ROLES))
    built = clips.build(home / "clips", labels, [vectors])
    for name in ("nothing", "set", "started", "bundle", "page"):
        (home / name).mkdir()
    save(old, home / "set" / "set")
    save(new, home / "new")
    data = home / "new"

    def begin(folder: Path, epochs: int = 1, batch: int = 32) -> Words:
        train = ("train", "--data", data, "--out", folder / "run", "--epochs", epochs)
        return (*train, "--batch", batch, *options())

    def go_on(folder: Path) -> Words:
        begun = (folder / "run" / "run.json").exists()
        return ("train", "--resume", folder / "run") if begun else begin(folder)

    # One epoch is enough to be killed in; after three of them every layer spikes.
    made = killer.run(*begin(home / "bundle", 3, 4), folder=home / "bundle", log=home / "log")
    assert made.code == 0, made.text
    killed = killer.run(
        *begin(home / "started"), folder=home, log=home / "log", kill_at=made.calls // 5
    )
    assert killed.code == -9 and (home / "started" / "run" / "run.json").exists(), killed.text
    run = open_run(home / "bundle" / "run")
    deploy(run, target="nir", samples=15, max_hm_drop=100)
    reports = [report_build.build(run, command=command) for command in ("old", "new")]
    drawn = plots(reports[1])
    write_report(reports[0], home / "page" / "r.html")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "generate", lambda config, progress=None: new)
        patch.setattr(clips, "build", lambda *_, **__: built)
        patch.setattr(report_build, "build", lambda *_, **__: reports[1])
        patch.setattr(report_write, "plots", lambda *_: drawn)
        yield {
            "data synth": set_case(home, "data", "synth"),
            "data convert": set_case(home, "data", "convert", data),
            "data build": set_case(
                home, "data", "build", "--clips", home / "clips", "--labels", labels,
                "--vectors", vectors,
            ),
            "train": Case(home / "nothing", begin, go_on, trained("run")),
            "train --resume": Case(home / "started", go_on, go_on, trained("run")),
            "export": export_case(home),
            "profile": profile_case(home),
            "benchmark": benchmark_case(home, data),
            **event_cases(home),
            "pack": pack_case(home),
            "unpack": unpack_case(home),
        }  # fmt: skip


def set_case(home: Path, *words: object) -> Case:
    def command(folder: Path) -> Words:
        return (*words, "--out", folder / "set")

    def content(folder: Path) -> Any:
        return arrays(folder / "set" / "dataset.h5")

    old = content(home / "set")

    def complete(folder: Path, new: Any) -> None:
        load(folder / "set")
        assert content(folder) in (old, new)

    return Case(home / "set", command, command, content, complete)


def export_case(home: Path) -> Case:
    def command(folder: Path) -> Words:
        run = folder / "run"
        return ("export", run, "--target", "nir", "--samples", 16, "--max-hm-drop", 100)

    def content(folder: Path) -> Any:
        bundle = folder / "run" / "deploy" / "nir"
        opened = open_bundle(bundle)
        return (
            opened.manifest.verdict,
            arrays(bundle / "golden.npz"),
            arrays(bundle / "motion.nir"),
            sorted(x.name for x in bundle.iterdir()),
        )

    def complete(folder: Path, new: Any) -> None:
        assert open_bundle(folder / "run" / "deploy" / "nir").golden.batch in (15, 16)
        assert open_run(folder / "run").result

    return Case(home / "bundle", command, command, content, complete)


def profile_case(home: Path) -> Case:
    def command(folder: Path) -> Words:
        return ("profile", home / "bundle" / "run", "--report", folder / "r.html")

    def content(folder: Path) -> Any:
        return [(folder / name).read_bytes() for name in ("r.json", "r.html")]

    old = content(home / "page")

    def complete(folder: Path, new: Any) -> None:
        told = read_report(folder / "r.json").provenance.command
        page = folder / "r.html"
        if page.exists():  # never an old page beside new numbers
            assert (page.read_bytes() == old[1]) == (told == "old")

    return Case(home / "page", command, command, content, complete)


def benchmark_case(home: Path, data: Path) -> Case:
    def command(folder: Path) -> Words:
        study = ("benchmark", "--data", data, "--models", "mdft", "--out", folder / "o")
        return (*study, "--seeds", 1, "--epochs", 1, *options("mdft."))

    names = ("o/mdft-by_name-seed0", "o/benchmark.json")
    return Case(home / "nothing", command, command, trained(*names))


def event_cases(home: Path) -> dict[str, Case]:
    """A recording converted, a set of recordings, a network trained on it."""
    recordings = event_sets.recordings(home / "recordings")
    labels, grid = recordings / "labels.csv", EventGrid(6, size=(10, 10))
    write_event_set(recordings, labels, home / "events" / "set", grid=EventGrid(8, size=(8, 8)))
    write_event_set(recordings, labels, home / "bars", grid=grid)
    shutil.copy(recordings / "train0.npz", home / "events" / "one.npz")

    def convert(folder: Path) -> Words:
        return ("data", "events", recordings / "train1.raw", "--out", folder / "one.npz")

    def build(folder: Path) -> Words:
        given = ("--events", recordings, "--labels", labels, "--bins", 6, "--size", "10x10")
        return ("data", "build", *given, "--out", folder / "set")

    def begin(folder: Path) -> Words:
        given = ("--network", "conv-if", "--data", home / "bars", "--epochs", 2, "--batch", 2)
        return ("train", *given, "--out", folder / "run")

    def go_on(folder: Path) -> Words:
        begun = (folder / "run" / "run.json").exists()
        return ("train", "--resume", folder / "run") if begun else begin(folder)

    def events(folder: Path) -> Any:
        return arrays(folder / "one.npz")

    def frames(folder: Path) -> Any:
        return arrays(folder / "set" / "dataset.h5")

    def network(folder: Path) -> Any:
        return arrays(folder / "run" / "network.nir"), arrays(folder / "run" / "test.npz")

    old_events, old_frames = events(home / "events"), frames(home / "events")

    def whole_events(folder: Path, new: Any) -> None:
        assert events(folder) in (old_events, new)

    def whole_set(folder: Path, new: Any) -> None:
        load_event_set(folder / "set")
        assert frames(folder) in (old_frames, new)

    return {
        "data events": Case(home / "events", convert, convert, events, whole_events),
        "data build --events": Case(home / "events", build, build, frames, whole_set),
        "train --network": Case(home / "nothing", begin, go_on, network),
    }


def pack_case(home: Path) -> Case:
    def command(folder: Path) -> Words:
        return ("pack", folder / "run", "--out", folder / "run.zip")

    def content(folder: Path) -> Any:
        return (folder / "run.zip").read_bytes(), trained("run")(folder)

    def complete(folder: Path, new: Any) -> None:
        assert not (folder / "run.zip").exists() or content(folder) == new
        assert open_run(folder / "run").result

    return Case(home / "bundle", command, command, content, complete)


def unpack_case(home: Path) -> Case:
    packed = pack(home / "bundle" / "run", home / "packed.zip")

    def command(folder: Path) -> Words:
        return ("unpack", home / "packed.zip", "--out", folder / "opened")

    def content(folder: Path) -> Any:
        opened = folder / "opened"
        return {str(x.relative_to(opened)): x.read_bytes()
                for x in opened.rglob("*") if x.is_file()}  # fmt: skip

    def complete(folder: Path, new: Any) -> None:
        assert not (folder / "opened").exists() or content(folder) == new
        assert set(new) == set(packed.files)

    return Case(home / "nothing", command, command, content, complete)


def left(folder: Path) -> list[str]:
    """What no command should leave."""
    return [str(path) for path in folder.rglob("*") if leftovers._OURS.fullmatch(path.name)]


def survives(case: Case, wanted: int) -> int:
    """Kill the command at so many calls, each in a fresh copy; the number of calls tried."""
    work = case.before.with_name("work")  # beside it: runs hold the relative path of their data
    log = work.with_suffix(".log")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(case.before, work)
    whole = killer.run(*case.first(work), folder=work, log=log)
    assert whole.code == 0, whole.text
    reference = case.content(work)
    assert left(work) == []
    tried = killer.points(whole.calls, wanted)
    for call in tried:
        shutil.rmtree(work)
        shutil.copytree(case.before, work)
        killed = killer.run(*case.first(work), folder=work, log=log, kill_at=call)
        assert (killed.code, killed.orphans) == (-9, ()), (call, killed.text)
        case.complete(work, reference)
        again = killer.run(*case.again(work), folder=work, log=log)
        assert again.code == 0, (call, again.text)
        assert case.content(work) == reference, call
        assert left(work) == [], call
    return len(tried)


COMMANDS = ("data synth", "data convert", "data build", "train", "train --resume", "export",
            "profile", "benchmark", "data events", "data build --events", "train --network",
            "pack", "unpack")  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_was_killed_gives_the_same_when_it_runs_again(
    name: str, cases: dict[str, Case]
) -> None:
    assert survives(cases[name], FAST) == FAST


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_wherever_a_command_was_killed_it_gives_the_same_when_it_runs_again(
    name: str, cases: dict[str, Case]
) -> None:
    assert survives(cases[name], ALL) >= ALL
