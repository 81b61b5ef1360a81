"""Clips: a written video comes back frame for frame; what cannot be used is listed by name."""

import csv
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import SPLITS
from neurozsl.data.clip import Clip
from neurozsl.data.clips.build import build, write_clips
from neurozsl.data.clips.labels import LabelRow, check_roles, read_labels
from neurozsl.data.clips.video_file import read_clip
from neurozsl.data.clips.windows import WindowSpec, encode_clip
from neurozsl.data.store import load_store
from neurozsl.data.vectors import find_vector, read_vectors

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
RATE = 16_000
ROLES = {
    "dog": ("train", "val_seen", "test_seen"),
    "cat": ("train", "test_seen"),
    "cow": ("val_unseen",),
    "owl": ("test_unseen",),
}


def write_video(
    path: Path, seconds: float = 4.0, *, hertz: float = 440.0, fps: int = 25, sound: bool = True
) -> None:
    """Frames whose grey level rises by 1 per frame, and a tone that starts after 1 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        video = out.add_stream("ffv1", rate=fps)
        video.width, video.height, video.pix_fmt = 64, 48, "bgr0"
        audio = out.add_stream("pcm_s16le", rate=RATE, layout="mono") if sound else None
        for i in range(round(seconds * fps)):
            picture = np.full((48, 64, 3), 50 + i, dtype=np.uint8)
            picture[:, : 8 + i % 40] = (200, 30, 30)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            time = np.arange(round(seconds * RATE)) / RATE
            wave = 0.3 * np.sin(2 * np.pi * hertz * time) * (time >= 1.0)
            block = av.AudioFrame.from_ndarray(
                (wave * 32767).astype(np.int16)[None], format="s16", layout="mono"
            )
            block.sample_rate, block.pts = RATE, 0
            out.mux(audio.encode(block))
            out.mux(audio.encode(None))


def write_vectors(path: Path, names: Sequence[str], seed: int = 0) -> Path:
    vectors = np.random.default_rng(seed).normal(size=(len(names), 300)).astype(np.float32)
    np.savez(path, names=np.array(names), vectors=vectors)
    return path


def write_labels(path: Path, rows: Sequence[tuple[str, str, str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label", "role", "embedding_name", "origin"))
        writer.writerows((*row, "made here") for row in rows)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = []
    for i, (label, roles) in enumerate(ROLES.items()):
        for role in roles:
            name = f"{label}/{role}.mkv"
            write_video(tmp_path / "clips" / name, hertz=300.0 * (i + 1))
            rows.append((name, label, role, label))
    write_labels(tmp_path / "labels.csv", rows)
    write_vectors(tmp_path / "words.npz", list(ROLES))
    return tmp_path


def add_row(folder: Path, row: tuple[str, str, str, str]) -> None:
    with (folder / "labels.csv").open("a", newline="") as file:
        csv.writer(file).writerow((*row, ""))


def test_a_video_comes_back_on_a_constant_grid_with_its_sound_in_place(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv")
    clip = read_clip(tmp_path / "a.mkv", fps=12.5)
    assert clip.frames.shape == (50, 64, 64, 3) and clip.rate == RATE
    level = clip.frames[:, 32, 60, 2].astype(int)
    np.testing.assert_array_equal(level, 50 + 2 * np.arange(50))  # every second of 25 frames
    assert clip.seconds == pytest.approx(4.0, abs=0.01)
    onset = int(np.argmax(np.abs(clip.waveform) > 0.05)) / RATE
    assert onset == pytest.approx(1.0, abs=0.005)


def test_a_grid_faster_than_the_video_holds_the_frame_shown(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", fps=10)
    level = read_clip(tmp_path / "a.mkv", fps=20.0).frames[:, 32, 60, 2].astype(int)
    np.testing.assert_array_equal(level, 50 + np.arange(80) // 2)


def test_windows_start_every_hop_and_may_lack_a_tenth_of_a_second() -> None:
    def clip(seconds: float) -> Clip:
        frames = np.zeros((round(seconds * 20), 8, 8, 3), dtype=np.uint8)
        return Clip(frames, 20.0, np.ones(round(seconds * RATE), dtype=np.float32), RATE, "c")

    assert clip(4.0).window_starts(2.0, 1.0) == (0.0, 1.0, 2.0)
    assert clip(3.95).window_starts(2.0, 1.0) == (0.0, 1.0, 2.0)
    assert clip(3.85).window_starts(2.0, 1.0) == (0.0, 1.0)
    assert clip(1.8).window_starts(2.0, 1.0) == ()
    last = clip(3.95).window(2.0, 2.0)
    assert len(last.frames) == 40 and len(last.waveform) == 2 * RATE
    assert last.waveform[-1] == 0.0


def test_a_folder_becomes_a_set_with_all_splits(folder: Path) -> None:
    data, report = write_clips(
        folder / "clips", folder / "labels.csv", [folder / "words.npz"], folder / "out"
    )
    assert report.windows == {
        "train": 6,
        "val_seen": 3,
        "val_unseen": 3,
        "test_seen": 6,
        "test_unseen": 3,
    }
    assert report.skipped == () and report.files == 7
    assert data.classes == ("cat", "cow", "dog", "owl") and not data.synthetic
    table = read_vectors(folder / "words.npz").table
    for label, vector in zip(data.classes, data.vectors, strict=True):
        np.testing.assert_array_equal(vector, table[label])
    assert data.splits["train"].names[0] == "dog/train.mkv#0s"
    assert data.splits["train"].audio.shape == (6, 10, 256)
    assert data.splits["train"].events is not None
    again = load_store(folder / "out")
    np.testing.assert_array_equal(again.splits["train"].video, data.splits["train"].video)
    for number in (1, 2):
        assert len(again.stage(number).unseen_ids) == 1


def test_a_clip_that_arrives_later_is_encoded_as_the_set_was(folder: Path) -> None:
    data, _ = build(folder / "clips", folder / "labels.csv", [folder / "words.npz"])
    batch = encode_clip(read_clip(folder / "clips" / "owl" / "test_unseen.mkv"), data)
    split = data.splits["test_unseen"]
    np.testing.assert_array_equal(batch.audio.numpy(), split.audio)
    np.testing.assert_array_equal(batch.video.numpy(), split.video)
    assert split.events is not None and batch.events is not None
    np.testing.assert_array_equal(batch.events.numpy(), split.events)
    assert batch.label.tolist() == [-1, -1, -1]


def spoil(folder: Path) -> dict[str, str]:
    """Adds one row of every unusable kind; returns file -> part of the reason."""
    clips = folder / "clips"
    (clips / "broken.mkv").write_bytes((clips / "dog/train.mkv").read_bytes()[:900])
    (clips / "text.mkv").write_text("not a video")
    write_video(clips / "short.mkv", seconds=1.5)
    write_video(clips / "mute.mkv", sound=False)
    write_video(clips / "silent.mkv", seconds=3.0, hertz=0.0)
    for name in ("broken", "text", "short", "mute", "silent", "absent"):
        add_row(folder, (f"{name}.mkv", "dog", "train", "dog"))
    add_row(folder, ("dog/vector.mkv", "fox", "train", "fox"))
    add_row(folder, ("dog/free.mkv", "", "unlabelled", ""))
    return {
        "broken.mkv": "decoded",
        "text.mkv": "cannot be decoded",
        "short.mkv": "too short (1.50 s",
        "mute.mkv": "no sound stream",
        "silent.mkv": "silent",
        "absent.mkv": "does not exist",
        "dog/vector.mkv": "no vector named 'fox'",
        "dog/free.mkv": "unlabelled",
    }


def test_unusable_files_are_listed_with_their_reason(folder: Path) -> None:
    expected = spoil(folder)
    data, report = build(folder / "clips", folder / "labels.csv", [folder / "words.npz"])
    assert {skip.file for skip in report.skipped} == set(expected)
    for skip in report.skipped:
        assert expected[skip.file] in skip.reason, skip
    assert len(data.splits["train"]) == 6
    assert [skip["file"] for skip in data.meta["skipped"]] == [  # type: ignore[attr-defined]
        skip.file for skip in report.skipped
    ]


def test_strict_refuses_all_of_them_at_once_and_writes_nothing(folder: Path) -> None:
    expected = spoil(folder)
    with pytest.raises(BadInput, match=r"7 row\(s\) cannot be used") as caught:
        write_clips(
            folder / "clips",
            folder / "labels.csv",
            [folder / "words.npz"],
            folder / "out",
            strict=True,
        )
    for file in expected:
        assert (file in str(caught.value)) == (file != "dog/free.mkv")
    assert not (folder / "out").exists()


def test_a_training_class_with_one_window_is_dropped_with_its_test_clips(folder: Path) -> None:
    write_video(folder / "clips" / "cat" / "train.mkv", seconds=2.5)
    data, report = build(folder / "clips", folder / "labels.csv", [folder / "words.npz"])
    reasons = {skip.file: skip.reason for skip in report.skipped}
    assert reasons == {
        "cat/train.mkv": "its class has 1 training window, 2 are needed",
        "cat/test_seen.mkv": "its class has 1 training window(s)",
    }
    assert data.classes == ("cow", "dog", "owl")


def test_a_role_without_any_usable_clip_is_an_error(folder: Path) -> None:
    write_vectors(folder / "few.npz", ["dog", "cat", "cow"])
    with pytest.raises(BadInput, match=r"no usable clip for role.s. test_unseen"):
        build(folder / "clips", folder / "labels.csv", [folder / "few.npz"])


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (("test_unseen", "train"), "may have no other role"),
        (("val_unseen", "train"), "may not be in train"),
        (("test_unseen", "test_seen"), "may have no other role"),
        (("val_seen",), "needs train clips"),
        (("test_seen",), "needs train"),
    ],
)
def test_conflicting_roles_of_a_class_are_refused(roles: tuple[str, ...], message: str) -> None:
    rows = [LabelRow(f"{i}.mp4", "dog", role, "dog") for i, role in enumerate(roles)]
    with pytest.raises(BadInput, match=f"class 'dog' has roles .*{message}"):
        check_roles(rows, "labels.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing"),
        ("file,label,role\n", "'embedding_name'"),
        ("file,label,role,embedding_name\n", "0 rows"),
        ("file,label,role,embedding_name\na,b,teach,b\n", "line 2 .a.: role 'teach'"),
        ("file,label,role,embedding_name\na,,train,b\n", "line 2: file or label is empty"),
        ("file,label,role,embedding_name\na,b,train,b\na,b,train,b\n", "appears twice"),
        ("file,label,role,embedding_name\na,b,train,b\nc,b,train,x\n", "2 vector names"),
    ],
)
def test_a_bad_labels_file_is_one_clear_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_labels(path)


def test_the_vector_set_named_in_the_labels_wins_only_where_it_is_given(tmp_path: Path) -> None:
    first = read_vectors(write_vectors(tmp_path / "words_ucf.npz", ["dog"], seed=1))
    second = read_vectors(write_vectors(tmp_path / "words_vgg.npz", ["dog", "cat"], seed=2))
    both = (first, second)
    assert find_vector(both, "dog", "vgg") is second.table["dog"]
    assert find_vector(both, "dog", "activity") is first.table["dog"]
    assert find_vector(both, "dog") is first.table["dog"]
    assert find_vector(both, "cat", "ucf") is None
    assert find_vector((second,), "cat", "ucf") is second.table["cat"]


def test_vector_files_without_names_or_with_zero_vectors_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", vectors=np.ones((2, 300)))
    with pytest.raises(BadInput, match="no array 'names', it holds vectors"):
        read_vectors(tmp_path / "bare.npz")
    np.savez(tmp_path / "zero.npz", names=np.array(["a"]), vectors=np.zeros((1, 300)))
    with pytest.raises(BadInput, match="vector of 'a' has length 0"):
        read_vectors(tmp_path / "zero.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(BadInput, match=r"is no \.npz archive"):
        read_vectors(tmp_path / "text.npz")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 5}, "at least 10 steps"),
        ({"window_s": 0.0}, "window: 0"),
        ({"hop_s": 0.0}, "hop: 0"),
    ],
)
def test_impossible_windows_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        WindowSpec(**settings)  # type: ignore[arg-type]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real clips are not on this machine")
def test_real_clips_give_live_features_of_unit_scale() -> None:
    clip = read_clip(SHARED / "clips" / "playing_cello" / "avsync15_playing_cello.mp4")
    other = read_clip(SHARED / "clips" / "dog_barking" / "avsync15_dog_barking.mp4")
    assert clip.seconds == pytest.approx(3.0, abs=0.1)
    for found in (clip, other):
        assert found.frames.std() > 10 and 1e-3 < np.abs(found.waveform).max() <= 1.5


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real clips are not on this machine")
def test_the_real_folder_builds_and_lists_what_it_left_out() -> None:
    words = SHARED / "class_vectors" / "word2vec_vggsound_safe.npz"
    data, report = build(SHARED / "clips", SHARED / "clips" / "labels.csv", [words])
    assert report.files == 75 and len(report.skipped) == 10
    assert sum(report.windows.values()) > 500
    assert all(len(data.splits[name].classes()) >= 6 for name in SPLITS)
