"""Sets of recordings: what is built, kept, left out and refused, and what torch reads of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.clips.grey_video import open_grey
from neurozsl.data.events.camera import PRESETS
from neurozsl.data.events.files.open import read_events
from neurozsl.data.events.frames import to_frames
from neurozsl.data.events.kind import is_event_set
from neurozsl.data.events.recordings import reading
from neurozsl.data.events.recordings.build import EventGrid, build_event_set, write_event_set
from neurozsl.data.events.recordings.event_set import EventSet
from neurozsl.data.events.recordings.reading import camera_of, read_recording
from neurozsl.data.events.recordings.stored import load_event_set, save_event_set
from neurozsl.data.events.stream import EventStream
from neurozsl.data.events.surfaces import to_codes, to_surfaces
from neurozsl.data.sets.load import load
from tests.cli.conftest import run_command
from tests.factories import event_files as made
from tests.factories.event_sets import ROWS, SIZE, bar, recordings, write_labels
from tests.factories.videos import write_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recordings(tmp_path / "recordings")


def build(folder: Path, **options: Any) -> EventSet:
    return build_event_set(folder, folder / "labels.csv", **{"bins": 8, **options})


@pytest.mark.parametrize("form", ["frames", "surfaces"])
@pytest.mark.parametrize(("size", "seconds"), [(None, None), ((8, 6), 0.1)])
def test_each_recording_becomes_its_frames_in_the_order_of_the_labels(
    folder: Path, form: Any, size: tuple[int, int] | None, seconds: float | None
) -> None:
    data = build(folder, form=form, size=size, seconds=seconds)
    assert data.names == tuple(file for file, _, _ in ROWS)
    assert data.classes == ("left", "right") and data.sensor == SIZE
    assert [data.classes[i] for i in data.labels] == [label for _, label, _ in ROWS]
    for row, name in enumerate(data.names):
        stream = read_events(folder / name)
        if form == "frames":
            expected = to_frames(stream, 8, size=size, seconds=seconds)
            assert int(data.frames[row].sum()) == data.events[row]
        else:
            expected = to_codes(to_surfaces(stream, 8, size=size, seconds=seconds))
        np.testing.assert_array_equal(data.frames[row], expected)
    assert data.rows("train").tolist() == [0, 1, 2, 3] and data.rows("test").tolist() == [6, 7]
    assert data.step_s == (None if seconds is None else seconds / 8)


def test_what_is_stored_is_loaded_with_the_same_numbers_and_stays_in_its_file(
    folder: Path, tmp_path: Path
) -> None:
    built = build(folder, size=(4, 3), clip=2)
    save_event_set(built, tmp_path / "one")
    written = write_event_set(
        folder, folder / "labels.csv", tmp_path / "two", grid=EventGrid(8, (4, 3), clip=2)
    )
    assert built.clipped.sum() > 0
    for data in (load_event_set(tmp_path / "one"), written):
        for part in ("frames", "labels", "split", "events", "clipped"):
            np.testing.assert_array_equal(getattr(data, part), getattr(built, part))
        assert (data.names, data.classes, data.form) == (built.names, built.classes, built.form)
        assert not data.frames.flags.writeable and data.pages is not None
        np.testing.assert_array_equal(data.take(np.array([3, 1])), built.frames[[3, 1]])
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == ["dataset.h5", "dataset.json"]


def test_equal_sets_have_equal_fingerprints_and_copies_keep_theirs(
    folder: Path, tmp_path: Path
) -> None:
    grid = EventGrid(8)
    one = write_event_set(folder, folder / "labels.csv", tmp_path / "one", grid=grid)
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    os.utime(tmp_path / "copy" / "dataset.h5", (1, 1))
    assert load_event_set(tmp_path / "copy").fingerprint == one.fingerprint
    again = write_event_set(folder, folder / "labels.csv", tmp_path / "again", grid=grid)
    assert again.fingerprint == one.fingerprint
    other = write_event_set(folder, folder / "labels.csv", tmp_path / "other", grid=EventGrid(9))
    assert other.fingerprint != one.fingerprint


def test_unreadable_files_are_left_out_and_listed_and_refused_when_strict(folder: Path) -> None:
    (folder / "train0.npz").write_bytes(b"\0" * 90)
    (folder / "val1.raw").unlink()
    broken = made.evt3(bar("left", 3), SIZE)
    (folder / "train2.raw").write_bytes(broken[:-1])
    data = build(folder)
    assert [(each["file"], each["split"]) for each in data.meta["skipped"]] == [
        ("train0.npz", "train"),
        ("train2.raw", "train"),
        ("val1.raw", "val"),
    ]
    reasons = [each["reason"] for each in data.meta["skipped"]]
    assert "not an event file we know" in reasons[0] and "in the middle of a word" in reasons[1]
    assert "does not exist" in reasons[2] and str(folder) not in " ".join(reasons)
    with pytest.raises(BadInput, match=r"3 row\(s\) cannot be used, 0 are allowed with --strict"):
        build(folder, strict=True)
    repaired = build(folder, repair=True)
    assert len(repaired) == len(data) + 1
    assert [each["file"] for each in repaired.meta["repaired"]] == ["train2.raw"]
    assert "no whole word or packet" in repaired.meta["repaired"][0]["repairs"][0]


def test_recordings_of_another_sensor_are_left_out_unless_frames_have_one_size(
    folder: Path,
) -> None:
    (folder / "train3.h5").unlink()
    rows = [*ROWS[:3], ("wide.raw", "right", "train"), *ROWS[4:]]
    (folder / "wide.raw").write_bytes(made.evt3(bar("right", 1), (64, 32)))
    write_labels(folder, rows)
    data = build(folder)
    assert len(data) == 7
    assert "sensor of 64x32 px, the first recording has 16x12" in data.meta["skipped"][0]["reason"]
    both = build(folder, size=(8, 6))
    assert len(both) == 8 and both.sensor is None


def test_the_sensor_of_files_that_do_not_state_it_comes_from_the_caller(folder: Path) -> None:
    (folder / "train1.raw").write_bytes(made.evt3(bar("right", 1), None))
    assert "states no size of its sensor" in build(folder).meta["skipped"][0]["reason"]
    assert not build(folder, sensor=SIZE).meta["skipped"]
    assert not build(folder, sensor=(20, 20), size=(8, 6)).meta["skipped"]  # others keep theirs


REFUSED: dict[str, tuple[list[tuple[str, ...]], str]] = {
    "twice": ([("a.raw", "x", "train"), ("a.raw", "x", "train")], "'a.raw' appears twice; give"),
    "both": (
        [("a.raw", "x", "train"), ("./a.raw", "x", "test")],
        "file './a.raw' appears twice (in train and in test)",
    ),
    "absolute": ([("/etc/passwd", "x", "train")], "line 2: file '/etc/passwd' is an absolute path"),
    "above": ([("../a.raw", "x", "train")], "file '../a.raw' leads out of the folder; name files"),
    "split": ([("a.raw", "x", "trian")], "(a.raw): split 'trian'; choose train, val or test"),
    "no label": ([("a.raw", "", "train")], "line 2: file or label is empty"),
    "none": ([], "0 rows; list at least one recording"),
    "no train": ([("test0.npz", "left", "test")], "0 usable recordings in split train"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_labels_that_cannot_be_are_refused(name: str, folder: Path) -> None:
    rows, told = REFUSED[name]
    write_labels(folder, rows)
    with pytest.raises(BadInput) as refused:
        build(folder)
    assert told in str(refused.value) and "labels.csv" in str(refused.value)


def test_labels_without_split_are_for_training_and_other_words_of_splits_are_known(
    folder: Path,
) -> None:
    write_labels(folder, [row[:2] for row in ROWS], "file,label")
    assert len(build(folder).rows("train")) == len(ROWS)
    words = ("Training", "valid", "dev", "validation", "TEST", "testing", "val", "train")
    rows = [(*row[:2], word) for row, word in zip(ROWS, words, strict=True)]
    write_labels(folder, rows)
    data = build(folder)
    assert [len(data.rows(name)) for name in ("train", "val", "test")] == [2, 4, 2]
    write_labels(folder, ROWS, "name,label,split")
    with pytest.raises(BadInput, match=r"\['file'\] missing; the first line must name file,label"):
        build(folder)


def test_a_recording_under_two_names_is_refused_and_a_copy_in_one_split_left_out(
    folder: Path,
) -> None:
    os.link(folder / "train0.npz", folder / "again.npz")
    write_labels(folder, [*ROWS, ("again.npz", "left", "test")])
    with pytest.raises(BadInput, match=r"'train0\.npz' and 'again\.npz' are one file"):
        build(folder)
    (folder / "again.npz").unlink()
    shutil.copy(folder / "train0.npz", folder / "again.npz")
    with pytest.raises(BadInput, match=r"train\) and|again.npz \(test\) and train0.npz \(train\)"):
        build(folder)
    write_labels(folder, [*ROWS, ("again.npz", "left", "train")])
    assert build(folder).meta["skipped"][0]["reason"] == "holds the same bytes as train0.npz"


def test_links_that_lead_out_of_the_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "train0.npz", tmp_path / "outside.npz")
    (folder / "train0.npz").symlink_to(tmp_path / "outside.npz")
    with pytest.raises(BadInput, match=r"1 link\(s\) lead out of the folder"):
        build(folder)


# ---------------------------------------------------------------- torch


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_loader_gives_the_frames_of_a_split(
    folder: Path, tmp_path: Path, workers: int
) -> None:
    import torch
    from torch.utils.data import DataLoader

    data = write_event_set(folder, folder / "labels.csv", tmp_path / "set", grid=EventGrid(8))
    loader = DataLoader(
        data.dataset("train"),
        batch_size=3,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )
    batches = list(loader)
    assert [tuple(frames.shape) for frames, _ in batches] == [(3, 8, 2, 12, 16), (1, 8, 2, 12, 16)]
    frames = torch.cat([frames for frames, _ in batches])
    assert frames.dtype == torch.float32
    np.testing.assert_array_equal(frames.numpy(), data.frames[:4])
    assert torch.cat([labels for _, labels in batches]).tolist() == data.labels[:4].tolist()


def test_single_items_are_uint8_or_surfaces_of_0_to_1(folder: Path) -> None:
    data = build(folder, form="surfaces")
    frames, label = data.dataset("test", dtype="uint8")[1]
    np.testing.assert_array_equal(frames.numpy(), data.frames[7])
    assert label == data.labels[7]
    real, _ = data.dataset("test")[1]
    np.testing.assert_allclose(real.numpy(), data.frames[7] / 255, rtol=1e-6)
    with pytest.raises(BadInput, match="split 'trial'; choose one of train, val, test"):
        data.dataset("trial")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="frames of float16; choose float32 or uint8"):
        data.dataset("test", dtype="float16")  # type: ignore[arg-type]


def test_building_and_loading_import_no_torch() -> None:
    code = (
        "import sys; import neurozsl.data.events.recordings.build; "
        "import neurozsl.data.events.recordings.check; print('torch' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.split() == ["False"]


# ---------------------------------------------------------------- the command line


def test_the_command_builds_shows_checks_and_names_the_next_command(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    options = ("--events", folder, "--labels", folder / "labels.csv", "--bins", 8, "--out", out)
    ran = run_command("data", "build", *options, "--size", "8x6", "--seconds", "0.2")
    assert ran.code == 0, ran.err
    assert f"neurozsl train --network conv-if --data {out} --out {out}-run" in ran.err
    assert ran.out == ""
    assert "2 classes, 8 step(s) of 2x8x6, 0.2 s" in ran.err
    assert is_event_set(out)
    shown = run_command("data", "inspect", out, "--json").document
    assert [(x["name"], x["recordings"]) for x in shown["splits"]] == [
        ("train", 4),
        ("val", 2),
        ("test", 2),
    ]
    train = shown["splits"][0]
    data = load_event_set(out)
    assert train["events"] == int(data.frames[:4].sum()) == int(data.events[:4].sum())
    assert train["events_per_step"] == pytest.approx(train["events"] / 4 / 8, abs=1e-4)
    assert train["active"] == pytest.approx((data.frames[:4] > 0).mean(), abs=1e-6)
    checked = run_command("data", "check", out, "--json")
    assert checked.code == 0 and checked.document["usable"] and checked.document["kind"] == "events"


def test_the_command_lists_what_was_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "val0.npz").write_bytes(b"")
    options = ("--events", folder, "--labels", folder / "labels.csv", "--out", tmp_path / "set")
    ran = run_command("data", "build", *options)
    assert ran.code == 0
    assert "left out: 1 file(s)" in ran.err and "val0.npz: holds 0 bytes" in ran.err
    assert run_command("data", "build", *options, "--strict").code == 2


WRONG: dict[str, tuple[tuple[object, ...], str]] = {
    "both": (("--clips", "x", "--events", "y"), "--clips and --events given; give either"),
    "neither": ((), "neither given; give either --clips DIR or --events DIR"),
    "an option of clips": (
        ("--events", "y", "--window", "2"),
        "--window: only with --clips DIR, and",
    ),
    "an option of events": (("--clips", "y", "--bins", "2"), "--bins: only with --events DIR, and"),
    "size": (("--events", ".", "--size", "34"), "--size '34': expected WIDTHxHEIGHT, as 34x34"),
    "form": (("--events", ".", "--form", "voxels"), "form 'voxels'; choose frames or surfaces"),
    "no folder": (("--events", "nowhere"), "nowhere: is not a folder; give the folder of the rec"),
    "bins": (("--events", ".", "--bins", "0"), "0 bins of 1x1 px, each must be at least 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_are_refused_by_name(name: str, folder: Path, tmp_path: Path) -> None:
    options, told = WRONG[name]
    ran = run_command(
        "data", "build", *options, "--labels", folder / "labels.csv", "--out", tmp_path / "set"
    )
    assert ran.code == 2 and told in ran.err.replace("\n", " "), ran.err
    assert not (tmp_path / "set").exists()


def test_a_set_of_recordings_is_told_from_one_of_clips_both_ways(
    folder: Path, tmp_path: Path, data_dir: Path
) -> None:
    out = tmp_path / "set"
    write_event_set(folder, folder / "labels.csv", out, grid=EventGrid(8))
    with pytest.raises(BadInput, match="is a set of event recordings, a set of clips is needed"):
        load(out)
    ran = run_command("train", "--data", out, "--out", tmp_path / "run")
    assert ran.code == 2 and f"neurozsl train --network conv-if --data {out}" in ran.err
    with pytest.raises(BadInput, match="is a data set of another kind, a set of event recordings"):
        load_event_set(data_dir)
    with pytest.raises(BadInput, match=r"dataset.json: does not exist; make it again"):
        load_event_set(tmp_path)


def test_an_older_set_is_replaced_and_anything_else_is_not(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    for bins in (8, 9):
        write_event_set(folder, folder / "labels.csv", out, grid=EventGrid(bins))
    assert load_event_set(out).steps == 9
    (out / "notes.txt").write_text("x")
    with pytest.raises(BadInput, match=r"holds 'notes\.txt', which is no part of a data set"):
        write_event_set(folder, folder / "labels.csv", out, grid=EventGrid(8))
    assert load_event_set(out).steps == 9


def test_check_tells_of_classes_that_were_never_trained(folder: Path, tmp_path: Path) -> None:
    rows = [*ROWS[:6], ("test0.npz", "up", "test"), ROWS[7]]
    write_labels(folder, rows)
    out = tmp_path / "set"
    write_event_set(folder, folder / "labels.csv", out, grid=EventGrid(8, clip=1))
    found = run_command("data", "check", out, "--json").document["findings"]
    assert {(each["level"], each["what"]) for each in found} >= {("warning", "untrained")}
    assert next(x for x in found if x["what"] == "untrained")["items"] == ["up"]


# ---------------------------------------------------------------- real recordings


def test_300_real_recordings_become_a_set(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "events" / "nmnist"
    data = write_event_set(
        folder, folder / "selected_labels.csv", tmp_path / "set", grid=EventGrid(20, (34, 34))
    )
    assert (len(data.rows("train")), len(data.rows("test")), len(data.rows("val"))) == (200, 100, 0)
    assert data.classes == tuple("0123456789") and not data.meta["skipped"]
    sizes = [(folder / name).stat().st_size // 5 for name in data.names]
    assert data.events.tolist() == sizes  # every event is counted
    assert data.frames.sum() == sum(sizes) - data.clipped.sum()
    facts = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert facts["counts"] == {"train": 200, "val": 0, "test": 100}


def test_windows_of_a_recording_are_samples_of_its_split(folder: Path, tmp_path: Path) -> None:
    data = build(folder, seconds=0.05, hop=0.03, form="frames")
    whole = {name: read_events(folder / name) for name, _, _ in ROWS}
    for name, split in ((name, split) for name, _, split in ROWS):
        stream = whole[name]
        last = int(stream.events["t"][-1]) - stream.start_us
        expected = [s for s in range(0, last + 1, 30_000) if s + 50_000 <= last + 1]
        rows = [i for i, each in enumerate(data.names) if each == name]
        assert data.since_us[rows].tolist() == expected and len(expected) >= 2
        assert {int(data.split[i]) for i in rows} == {("train", "val", "test").index(split)}
        for row, since in zip(rows, expected, strict=True):
            counts = np.zeros((8, 2, SIZE[1], SIZE[0]), np.int64)
            for t, x, y, p in stream.events.tolist():  # slow and obvious
                at = t - stream.start_us - since
                if 0 <= at < 50_000:
                    counts[at * 8 // 50_000, 1 - p, y, x] += 1
            np.testing.assert_array_equal(data.frames[row], counts)
            assert data.events[row] == counts.sum()
    save_event_set(data, tmp_path / "set")
    np.testing.assert_array_equal(load_event_set(tmp_path / "set").since_us, data.since_us)
    surfaces = build(folder, seconds=0.05, hop=0.03, form="surfaces")
    part = whole[ROWS[0][0]]
    begin = part.start_us + 30_000
    alone = replace(part, events=part.slice(begin, begin + 50_000).events)
    moved = to_surfaces(alone, 8, seconds=0.05, since_us=begin - alone.start_us)
    np.testing.assert_array_equal(surfaces.frames[1], to_codes(moved))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hop": 0.1}, r"windows every 0.1 s of no length; give seconds \(--seconds\)"),
        ({"hop": 0.0, "seconds": 0.1}, r"hop of 0.0 s \(--hop\), at least 1e-06"),
        ({"hop": float("nan"), "seconds": 0.1}, "hop of nan s"),
    ],
)
def test_windows_that_cannot_be_are_refused(
    folder: Path, options: dict[str, float], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        build(folder, **options)


def test_too_many_windows_leave_the_recording_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_WINDOWS", 40)
    with pytest.raises(BadInput, match=r"windows, the limit is 40; choose a longer hop"):
        build(folder, seconds=0.001, hop=0.003, strict=True)


def test_a_video_among_recordings_is_filmed_by_one_camera(folder: Path, tmp_path: Path) -> None:
    write_video(folder / "clip.mkv", 0.4, sound=False, size=SIZE)
    with (folder / "labels.csv").open("a") as file:
        file.write("clip.mkv,left,test\n")
    data = build(folder, camera=PRESETS["noisy"])
    video = open_grey(folder / "clip.mkv")
    shown = list(video.frames())
    expected = EventStream.join(
        PRESETS["noisy"].events([frame for frame, _ in shown], [time for _, time in shown])
    )
    row = data.names.index("clip.mkv")
    assert data.events[row] == len(expected) > 100
    np.testing.assert_array_equal(data.frames[row], to_frames(expected, 8))
    save_event_set(data, tmp_path / "set")
    meta = load_event_set(tmp_path / "set").meta
    assert camera_of(meta) == PRESETS["noisy"]
    assert camera_of(build(recordings(tmp_path / "none")).meta) is None
    with pytest.raises(BadInput, match="is a video, and the set holds none"):
        read_recording(folder / "clip.mkv", sensor=None, repair=False, camera=None)
