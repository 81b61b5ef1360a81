"""`simulate --event-driven`: files, a classifier's run with its recordings, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.classifier import run as classifiers
from neurozsl.classifier.recipe import Recipe
from neurozsl.classifier.source import source_of
from neurozsl.data.events.files.open import read_events
from neurozsl.data.events.recordings.build import EventGrid, write_event_set
from tests.factories import event_sets, labelled
from tests.factories import network_files as files

Command = Callable[..., Any]
SAID = ("--reset", "zero", "--dt", 1e-3)


@pytest.fixture(name="tie", scope="module")
def _tie(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """One event a step, weights below the threshold: both readings agree."""
    net, given, classes = labelled.write(tmp_path_factory.mktemp("tie"))
    return net, "--input", given, "--labels", classes, *SAID, "--event-driven"


@pytest.fixture(name="trained", scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of one epoch, and the recordings of its data: two for its test."""
    folder = tmp_path_factory.mktemp("order")
    recordings = event_sets.recordings(folder / "recordings")
    grid = EventGrid(bins=4, size=(8, 8), seconds=0.2)
    write_event_set(recordings, recordings / "labels.csv", folder / "set", grid=grid)
    recipe = Recipe(epochs=1, batch=4)
    classifiers.create(
        folder / "run", data=folder / "set", network=source_of("conv-if"), recipe=recipe
    )
    classifiers.train(folder / "run")
    return folder / "run", recordings


def test_one_event_a_step_is_the_same_in_both(neurozsl: Command, tie: tuple[Any, ...]) -> None:
    ran = neurozsl("simulate", *tie, "--json")
    assert ran.code == 0, ran.err
    [layer] = ran.document["layers"]
    assert layer["clocked"] == layer["event_driven"] > 100
    assert (layer["equal"], layer["differing"], layer["ratio"]) == (1.0, 0, 1.0)
    assert ran.document["clocked"]["right"] == ran.document["event_driven"]["right"] == 20
    assert ran.document["drop"]["points"] == 0
    assert ran.document["events"] == 20 * labelled.STEPS
    assert layer["events_per_s"] == pytest.approx(1000)  # one a step of 1 ms
    told = neurozsl("simulate", *tie).err
    for text in (
        "step by step and event by event",
        "published limit",
        "drop: 0.0 points",
        "seed 0",
    ):
        assert text in told


def test_the_seed_draws_the_order(neurozsl: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    net = files.write(tmp_path / "net.nir", labelled.near_tie())
    np.save(tmp_path / "x.npy", (rng.random((6, 30, 3)) < 0.7).astype(np.uint8))
    given = (net, "--input", tmp_path / "x.npy", *SAID, "--event-driven", "--json")
    runs = [neurozsl("simulate", *given, "--seed", seed).document for seed in (1, 1, 2)]
    spikes = [run["layers"][0]["event_driven"] for run in runs]
    assert spikes[0] == spikes[1] and spikes[0] != runs[0]["layers"][0]["clocked"]
    assert "seed 2" in runs[2]["order"]
    assert "is read with" not in runs[2]["order"]
    drawn = neurozsl("simulate", net, "--poisson", 0.3, *SAID[:2], "--event-driven", "--json")
    assert "the network is read with steps of 0.0001 s" in drawn.document["order"]
    assert drawn.code == 0 and drawn.document["clocked"] is None


def test_recordings_say_the_order_and_all_events(
    neurozsl: Command, trained: tuple[Path, Path]
) -> None:
    run, recordings = trained
    ran = neurozsl("simulate", run, "--event-driven", "--events", recordings, "--json")
    assert ran.code == 0, ran.err
    found, every = ran.document, ran.document["every_event"]
    frames = np.load(run / "test.npz")
    assert found["events"] == frames[next(iter(frames))].sum()
    sent = sum(
        len(read_events(recordings / name, fallback=event_sets.SIZE))
        for name, _, split in event_sets.ROWS
        if split == "test"
    )
    assert every["events"] == sent == found["events"] + found["left_out"]
    assert found["step_s"] == pytest.approx(0.05)
    assert found["clocked"]["samples"] == every["event_driven"]["samples"] == 2
    random = neurozsl("simulate", run, "--event-driven", "--seed", 3, "--json").document
    assert random["events"] == found["events"] and random["step_s"] == pytest.approx(0.05)
    limited = neurozsl(
        "simulate", run, "--event-driven", "--events", recordings, "--limit", 1, "--json"
    )
    assert limited.document["samples"] == 1


def test_other_recordings_are_refused(
    neurozsl: Command, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    run, _ = trained
    rows = [(name, "left", split) for name, _, split in reversed(event_sets.ROWS)]
    other = event_sets.recordings(tmp_path / "other", rows)
    ran = neurozsl("simulate", run, "--event-driven", "--events", other)
    assert ran.code == 2 and "its events are not those of" in ran.err
    ran = neurozsl("simulate", run, "--event-driven", "--events", tmp_path / "none")
    assert ran.code == 2 and "is not a folder" in ran.err
    (tmp_path / "empty").mkdir()
    ran = neurozsl("simulate", run, "--event-driven", "--events", tmp_path / "empty")
    assert ran.code == 2 and "does not exist" in ran.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--chip", "loihi2"), "computes in steps, speck2f alone has no clock"),
        (("--backend", "emulator"), "--backend: belongs to a run in steps"),
        (("--raster",), "--raster: belongs to a run in steps"),
        (("--max-acc-drop", 1), "--max-acc-drop: belongs to a run in steps"),
        (("--events", "."), "belongs to none; give the run"),
        (("--events", ".", "--seed", 1), "--seed 1: recordings say the order"),
        (("--out", "t.npz"), "--event-driven is given"),
        (("--readout", "membrane"), "no membrane is kept"),
    ],
)
def test_what_belongs_to_steps_is_refused(
    options: tuple[Any, ...], told: str, neurozsl: Command, tie: tuple[Any, ...]
) -> None:
    ran = neurozsl("simulate", *tie, *options)
    assert ran.code == 2 and told in ran.err, ran.err


def test_a_network_that_speck_cannot_run_is_refused(neurozsl: Command, tmp_path: Path) -> None:
    net = files.write(tmp_path / "net.nir", files.dense())
    ran = neurozsl("simulate", net, "--poisson", 0.1, "--event-driven")
    assert ran.code == 2 and "speck2f has integrate-and-fire neurons only" in ran.err


def test_event_driven_alone_takes_recordings(neurozsl: Command, tie: tuple[Any, ...]) -> None:
    ran = neurozsl("simulate", *tie[:-1], "--events", ".")
    assert ran.code == 2 and "--events: only with --event-driven of a .nir file" in ran.err
    ran = neurozsl("simulate", tie[0].parent, "--event-driven")
    assert ran.code == 2 and "--event-driven: only with --event-driven of a .nir file" in ran.err
