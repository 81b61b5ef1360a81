"""Sets of recordings: a damaged file is found by its hash or its words, with exit code 2."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.events.recordings.build import EventGrid, write_event_set
from neurozsl.data.events.recordings.stored import load_event_set
from tests.factories.event_sets import recordings
from tests.faults.test_hdf5 import as_array, external_link, group, replaced, seal, virtual

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    home = tmp_path_factory.mktemp("sound")
    folder = recordings(home / "recordings")
    write_event_set(folder, folder / "labels.csv", home / "set", grid=EventGrid(4, (8, 6)))
    return {path.name: path.read_bytes() for path in (home / "set").iterdir()}


@pytest.fixture
def stored(sound: dict[str, bytes], tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for name, content in sound.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_changed_byte_of_the_arrays_is_found(stored: Path, neurozsl: Command) -> None:
    path = stored / "dataset.h5"
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        at = file["frames"].id.get_offset() + 100
    content[at] ^= 1
    path.write_bytes(content)
    for command in ("inspect", "check"):
        ran = neurozsl("data", command, stored)
        assert ran.code == 2
        assert f"{path}: cut short, or changed since it was written" in ran.err.replace("\n", "")


def test_check_finds_a_change_that_keeps_size_and_time(stored: Path, neurozsl: Command) -> None:
    import os

    path = stored / "dataset.h5"
    os.utime(path)
    seal(stored)
    state = path.stat()
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        content[file["frames"].id.get_offset()] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert neurozsl("data", "inspect", stored).code == 0
    ran = neurozsl("data", "check", stored)
    assert ran.code == 2 and "changed since it was written" in ran.err


@pytest.mark.parametrize("name", ["dataset.h5", "dataset.json"])
@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_file_that_was_cut_or_is_missing_is_named(
    name: str, kept: int, stored: Path, neurozsl: Command
) -> None:
    path = stored / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadInput, match=name.replace(".", r"\.")):
        load_event_set(stored)
    path.unlink()
    with pytest.raises(BadInput, match="does not exist"):
        load_event_set(stored)
    assert neurozsl("data", "inspect", stored).code == 2


FACTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "form": (lambda f: f.update(form="voxels"), "form 'voxels', frames or surfaces is known"),
    "seconds": (lambda f: f.update(seconds=-1), "seconds -1, above 0 is needed"),
    "seconds text": (lambda f: f.update(seconds="1"), "'seconds' is"),
    "sensor": (lambda f: f.update(sensor=[3]), "sensor [3], two sides are needed"),
    "sensor text": (lambda f: f.update(sensor=["a", 3]), "sensor is"),
    "counts": (lambda f: f["counts"].update(test=3), "the two files do not belong together"),
    "no arrays": (lambda f: f.pop("arrays"), "'arrays' missing"),
    "no hash": (lambda f: f["arrays"].pop("sha256"), "'sha256' missing"),
    "skipped": (lambda f: f["meta"].update(skipped=[1]), "meta 'skipped'"),
    "repaired": (lambda f: f["meta"].update(repaired={}), "meta 'repaired' is"),
    "hash": (lambda f: f["arrays"].update(sha256="0", mtime_ns=0), "changed since it was written"),
    "schema": (lambda f: f.update(schema=9), "is a data set of another kind"),
}


@pytest.mark.parametrize("name", FACTS)
def test_facts_that_cannot_be_are_refused(name: str, stored: Path) -> None:
    change, told = FACTS[name]
    path = stored / "dataset.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))
    with pytest.raises(BadInput) as refused:
        load_event_set(stored)
    assert told in str(refused.value) and str(stored) in str(refused.value)


def wide(file: Any, name: str) -> None:
    file[name] = np.zeros((8, 4, 2, 6, 8), np.uint16)


ARRAYS: dict[str, tuple[Callable[[Any], object], str]] = {
    "external link": (replaced("frames", external_link), "'frames' is a ExternalLink"),
    "virtual": (replaced("frames", virtual), "keeps its values in other files"),
    "a group": (replaced("frames", group), "'frames' is no dataset"),
    "wide": (replaced("frames", wide), "'frames' is uint16 of shape"),
    "three channels": (
        replaced("frames", as_array(np.zeros((8, 4, 3, 6, 8), np.uint8))),
        "expected type |u1 of shape (8, any, 2, any, any)",
    ),
    "fewer": (replaced("frames", as_array(np.zeros((7, 4, 2, 6, 8), np.uint8))), "of shape (8, "),
    "huge": (
        replaced("frames", lambda f, n: f.create_dataset(n, (8, 2**12, 2, 2**12, 2**12), "u1")),
        "'frames' declares",
    ),
    "label": (replaced("label", as_array(np.full(8, 7))), "label 7 of train0.npz, 0 to 1 exist"),
    "split": (replaced("split", as_array(np.full(8, 3))), "split 3 of train0.npz, 0 to 2 exist"),
    "real labels": (replaced("label", as_array(np.zeros(8))), "'label' is float64"),
    "events": (replaced("events", as_array(np.full(8, -1))), "impossible numbers of events"),
    "clipped": (replaced("clipped", as_array(np.full(8, 2**40))), "impossible numbers of events"),
    "no names": (replaced("names", lambda f, n: None), "'names' is missing"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_each_damage_of_the_arrays_has_its_words_and_takes_no_memory(
    name: str, stored: Path
) -> None:
    damage, told = ARRAYS[name]
    with h5py.File(stored / "dataset.h5", "r+") as file:
        damage(file)
    seal(stored)  # or the hash would tell it first
    tracemalloc.start()
    with pytest.raises(BadInput) as refused:
        load_event_set(stored)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told in str(refused.value) and str(stored) in str(refused.value)
    assert peak < 30_000_000
