"""Encoders of clips: users' own files, the cache by content, and what a set notes of them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.data.clips import encode
from neurozsl.data.clips.build import build, write_clips
from neurozsl.data.clips.cache import ClipCache
from neurozsl.data.clips.encode import ClipEncoders, chosen_encoders, encoders_of
from neurozsl.data.clips.encoder_input import frames_at, sound_of
from neurozsl.data.clips.limits import ClipLimits
from neurozsl.data.clips.video_file import read_clip
from neurozsl.data.clips.windows import WindowSpec, encode_clip
from neurozsl.data.encoders.registry import open_encoder
from neurozsl.data.sets.fingerprint import fingerprint
from neurozsl.data.store import FACTS, load_store
from tests.factories.encoders import CountingAudio, CountingVideo, audio_toml, text_toml, video_toml
from tests.factories.videos import write_video

ROLES = {
    "dog": ("train", "val_seen", "test_seen"),
    "cat": ("train", "test_seen"),
    "cow": ("val_unseen",),
    "owl": ("test_unseen",),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own encoders."""
    monkeypatch.setenv("NEUROZSL_ENCODERS", str(tmp_path / "encoders"))
    return tmp_path / "encoders"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clips of three seconds and their labels; vectors of two sets in two files."""
    rows = []
    for i, (label, roles) in enumerate(ROLES.items()):
        for role in roles:
            name = f"{label}_{role}.mkv"
            write_video(tmp_path / "clips" / name, 3.0, hertz=300.0 * (i + 1))
            rows.append((name, label, role, "ucf" if label == "owl" else "sounds", label))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label", "role", "embedding_set", "embedding_name"))
        writer.writerows(rows)
    rng = np.random.default_rng(0)
    for name, classes in (("sounds", ["dog", "cat", "cow"]), ("ucf", ["owl"])):
        vectors = rng.normal(size=(len(classes), 300)).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", names=np.array(classes), vectors=vectors)
    return tmp_path


def made(folder: Path, encoders: ClipEncoders | None = None, out: str = "set") -> Path:
    vectors = [] if encoders and encoders.words else [folder / "sounds.npz", folder / "ucf.npz"]
    write_clips(folder / "clips", folder / "labels.csv", vectors, folder / out, encoders=encoders)
    return folder / out


# ---------------------------------------------------------------- one file, many steps


def test_frames_are_those_shown_in_the_middle_of_every_step(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", 2.0, fps=25, size=(48, 48))
    encoder = CountingVideo()
    times = np.array([0.0, 0.1, 0.11, 1.0, 1.99])
    [frames] = frames_at(tmp_path / "a.mkv", times, encoder, ClipLimits())
    assert frames.shape == (5, 32, 32, 3)
    # Frame i has grey level 50 + i on its right, and covers [i / 25, (i + 1) / 25).
    np.testing.assert_allclose(frames[:, 16, -1, 2], 50 + np.floor(times * 25 + 1e-9), atol=1)


def test_sound_of_an_encoder_is_that_of_the_clip_at_its_rate(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", 2.0)
    sound = sound_of(tmp_path / "a.mkv", 8000, ClipLimits())
    assert len(sound) == pytest.approx(16_000, abs=64)
    onset = np.argmax(np.abs(sound) > 0.05) / 8000
    assert onset == pytest.approx(1.0, abs=0.01)


def test_windows_that_overlap_share_their_steps(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", 4.0)
    video = CountingVideo()
    described, names = ClipEncoders(video, None).describe(tmp_path / "a.mkv", WindowSpec())
    assert described.video.shape == (3, 10, 3) and len(names) == 3
    assert video.seen == 20  # of 30 steps in three windows of 2 s that start every second
    np.testing.assert_array_equal(described.video[0, 5:], described.video[1, :5])
    hand_made, _ = ClipEncoders().describe(tmp_path / "a.mkv", WindowSpec())
    np.testing.assert_array_equal(described.audio, hand_made.audio)
    np.testing.assert_array_equal(described.events, hand_made.events)


# ---------------------------------------------------------------- the cache


def test_a_second_build_encodes_nothing_and_gives_the_same_bytes(folder: Path) -> None:
    video, audio = CountingVideo(), CountingAudio()
    first = made(folder, ClipEncoders(video, audio))
    seen = video.seen, audio.seen
    assert min(seen) > 0
    again = ClipEncoders(video, audio)
    second = made(folder, again, "again")
    assert (video.seen, audio.seen) == seen
    assert again.cache.made == 0 and again.cache.read == 3 * 7
    for name in ("dataset.h5", FACTS):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_cache_goes_by_content_encoder_and_windows(folder: Path) -> None:
    path, spec = folder / "clips" / "dog_train.mkv", WindowSpec()
    moved = folder / "moved.mkv"
    moved.write_bytes(path.read_bytes())
    video = CountingVideo()
    described, names = ClipEncoders(video).describe(path, spec)
    per_clip = video.seen
    other, other_names = ClipEncoders(video).describe(moved, spec)
    assert video.seen == per_clip and names != other_names
    np.testing.assert_array_equal(described.video, other.video)
    ClipEncoders(video).describe(path, replace(spec, steps=20))
    assert video.seen > per_clip
    newer = CountingVideo("v2")
    ClipEncoders(newer).describe(path, spec)
    assert newer.seen == per_clip


def test_a_damaged_entry_is_made_again_and_a_full_place_is_told_once(
    folder: Path, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, video = folder / "clips" / "dog_train.mkv", CountingVideo()
    first, _ = ClipEncoders(video).describe(path, WindowSpec())
    per_clip = video.seen
    for entry in (home / "clips").rglob("*.npz"):
        entry.write_bytes(entry.read_bytes()[:-40])
    again, _ = ClipEncoders(video).describe(path, WindowSpec())
    assert video.seen == 2 * per_clip
    np.testing.assert_array_equal(first.video, again.video)
    (folder / "file").write_text("no folder")
    nowhere = ClipEncoders(video, cache=ClipCache(folder / "file"))
    third, _ = nowhere.describe(path, WindowSpec())
    np.testing.assert_array_equal(first.video, third.video)
    assert caplog.text.count("encoded clips are not kept") == 1


# ---------------------------------------------------------------- what a set notes


def test_a_set_notes_its_encoders_and_its_fingerprint_covers_them(folder: Path) -> None:
    first = made(folder, ClipEncoders(CountingVideo(), CountingAudio()))
    data = load_store(first)
    assert data.splits["train"].video.shape[2] == 3 and data.splits["train"].audio.shape[2] == 2
    noted = data.meta["encoders"]
    assert isinstance(noted, dict) and noted["video"]["sha256"] == "v1"
    other = made(folder, ClipEncoders(CountingVideo("v2"), CountingAudio()), "other")
    assert (first / "dataset.h5").read_bytes() == (other / "dataset.h5").read_bytes()
    assert fingerprint(first) != fingerprint(other)


def test_hand_made_features_note_no_encoders(folder: Path) -> None:
    data = load_store(made(folder))
    assert "encoders" not in data.meta
    assert "pretrained" not in json.dumps(data.meta["encoder"])
    assert data.splits["train"].video.shape[2] == 256


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"width": 4}, "video is 3 wide, its encoder 'counting' gives 4"),
        ({"part": "audio"}, "encoder of video reads audio"),
        ({"sha256": 7}, "sha256"),
        ({"layers": [3, "2"]}, "layers"),
        ({"labels": -1}, "-1 labels"),
    ],
)
def test_a_set_whose_encoder_does_not_fit_is_refused(
    folder: Path, change: dict[str, object], told: str
) -> None:
    path = made(folder, ClipEncoders(CountingVideo()))
    facts = json.loads((path / FACTS).read_text())
    facts["meta"]["encoders"]["video"] |= change
    (path / FACTS).write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=told):
        load_store(path)


def test_features_of_a_pretrained_encoder_are_divided_by_one_number(folder: Path) -> None:
    data = load_store(made(folder, ClipEncoders(CountingVideo())))
    encoder = data.meta["encoder"]
    assert isinstance(encoder, dict) and encoder["pretrained"] == ["video"]
    assert set(encoder["video_mean"]) == {0.0} and len(set(encoder["video_scale"])) == 1
    raw = data.splits["train"].video * np.float32(encoder["video_scale"][0])
    assert np.sqrt(np.mean(data.splits["train"].video ** 2)) == pytest.approx(1.0, abs=1e-3)
    assert 0 < raw.min() and raw.max() < 255  # mean colours of frames


def test_a_clip_that_comes_later_is_encoded_as_the_set_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = CountingVideo()
    data = load_store(made(folder, ClipEncoders(first)))
    monkeypatch.setattr(encode, "same_encoder", lambda spec, where: first)
    batch = encoders_of(data.meta).encode(folder / "clips" / "owl_test_unseen.mkv")
    np.testing.assert_array_equal(batch.video.numpy(), data.splits["test_unseen"].video)
    np.testing.assert_array_equal(batch.audio.numpy(), data.splits["test_unseen"].audio)
    with pytest.raises(BadInput, match=r"come from files.*--text-encoder"):
        encoders_of(data.meta).text(["a dog barks"])
    clip = read_clip(folder / "clips" / "owl_test_unseen.mkv")
    with pytest.raises(BadInput, match=r"video features come from pretrained.*nz\.predictor"):
        encode_clip(clip, data)  # hand-made features would be taken for the encoder's


# ---------------------------------------------------------------- class vectors, told early


def test_missing_sets_of_vectors_are_named_before_a_clip_is_decoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    monkeypatch.setattr(encode, "read_clip", lambda *_, **__: decoded.append(1))
    with pytest.raises(BadInput, match=r"set 'ucf' \(of which no file is given\).*'owl'") as told:
        build(folder / "clips", folder / "labels.csv", [folder / "sounds.npz"])
    assert "test_unseen" in str(told.value) and "--text-encoder" in str(told.value)
    assert decoded == []


def test_rows_that_lack_a_vector_are_told_first_where_enough_is_left(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_video(folder / "clips" / "more.mkv", 3.0, hertz=99.0)
    with (folder / "labels.csv").open("a") as file:
        file.write("more.mkv,yak,test_unseen,kinetics,yak\n")
    data, report = build(
        folder / "clips", folder / "labels.csv", [folder / "sounds.npz", folder / "ucf.npz"]
    )
    assert "set 'kinetics' (of which no file is given): 1 row(s), as 'yak'" in caplog.text
    assert [skip.file for skip in report.skipped] == ["more.mkv"] and "yak" not in data.classes


def test_class_vectors_come_from_the_names_with_a_text_encoder(folder: Path) -> None:
    encoders = chosen_encoders(text=str(text_toml(folder)))
    data = load_store(made(folder, encoders))
    rows = np.arange(8 * 4, dtype=np.float64).reshape(8, 4)[[2, 3, 1, 4]]  # cat, cow, dog, owl
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert data.classes == ("cat", "cow", "dog", "owl")
    np.testing.assert_allclose(data.vectors, expected, rtol=1e-6)
    with pytest.raises(BadInput, match="either --vectors or --text-encoder"):
        build(folder / "clips", folder / "labels.csv", [folder / "ucf.npz"], encoders=encoders)
    with pytest.raises(BadInput, match="--text-encoder minilm"):
        build(folder / "clips", folder / "labels.csv", [])


# ---------------------------------------------------------------- a file of one's own


def test_an_onnx_file_of_frames_gives_its_tensor(tmp_path: Path) -> None:
    path = video_toml(tmp_path, mean=[10.0, 20.0, 30.0], std=[2.0, 2.0, 4.0])
    encoder = open_encoder(str(path), "video")
    frames = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    expected = (frames.mean((1, 2)) - [10, 20, 30]) / [2, 2, 4]
    np.testing.assert_allclose(encoder.frames(frames), expected, rtol=1e-4)
    assert encoder.spec.width == 3 and encoder.head().labels == ("red", "green", "blue")
    assert encoder.spec.name == str(path)
    again = open_encoder(str(video_toml(tmp_path, mean=[0.0, 0.0, 0.0])), "video")
    assert again.spec.sha256 != encoder.spec.sha256


def test_an_onnx_file_of_sound_reads_around_the_middle_of_a_step(tmp_path: Path) -> None:
    encoder = open_encoder(str(audio_toml(tmp_path)), "audio")
    sound = np.linspace(0, 1, 8000, dtype=np.float32)
    found = encoder.steps(sound, np.array([0.0, 0.4, 0.8]), 0.2)
    # 0.2 s around 0.1, 0.5 and 0.9 s end at 0.2, 0.6 and 1 s.
    np.testing.assert_allclose(found[:, 0], [0.2, 0.6, 1.0], atol=0.001)


def test_log_mel_patches_are_those_of_the_equation(tmp_path: Path) -> None:
    """The tiny network takes the maximum over its second axis, the frames."""
    toml = audio_toml(tmp_path)
    mel = "{ fft = 256, window = 200, hop = 80, bands = 8, low = 100, high = 3500, floor = 0.01 }"
    toml.write_text(f"{toml.read_text()}mel = {mel}\n")
    encoder = open_encoder(str(toml), "audio")
    sound = np.random.default_rng(0).normal(size=8000).astype(np.float32)
    found = encoder.steps(sound, np.array([0.4]), 0.2)[0]  # bands, averaged over the kept axis
    block = sound[4000 - 800 : 4000 + 800]
    window = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200), 28)
    starts = range(0, 1600 - 256 + 1, 80)
    spectrum = [np.abs(np.fft.rfft(block[at : at + 256] * window)) for at in starts]
    edges = 2595 * np.log10(1 + np.array([100, 3500]) / 700)
    hertz = 700 * (10 ** (np.linspace(edges[0], edges[1], 10) / 2595) - 1)
    bins = np.fft.rfftfreq(256, 1 / 8000)
    bands = [
        np.clip(np.minimum((bins - a) / (b - a), (c - bins) / (c - b)), 0, None)
        for a, b, c in zip(hertz, hertz[1:], hertz[2:], strict=False)
    ]
    expected = np.log(np.array(spectrum) @ np.array(bands).T + 0.01).max(0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("part = 'video'", "file"),
        ("part = 'audio'\nfile = 'video.onnx'", "an encoder of video is needed"),
        ("part = 'video'\nfile = '../video.onnx'\nside = 32", "no file beside it"),
        ("part = 'video'\nfile = 'labels.txt'\nside = 32", "neither .onnx nor .safetensors"),
        ("part = 'video'\nfile = 'video.onnx'\nsides = 32", "unknown key sides"),
        ("part = 'video'\nfile = 'video.onnx'\nside = 2", "side is 2, expected 8 to"),
        ("part = 'video'\nfile = 'video.onnx'\nside = 32\ntensor = 'x'", "tensor 'x' is not in"),
        ("part = 'video'\nfile = 'video.onnx'\nside = 32\nstd = [1, 0, 1]", "std is"),
        ("part = 'video'\nfile = 'bad.onnx'\nside = 32", "cannot be opened by onnxruntime"),
        ("part = 'video'\nfile = 'video.onnx'\nside = 32\nlabels = 'two.txt'", "2 labels for a"),
        ("part = 'video'\nfile = 'bad.safetensors'\nnetwork = 'bert'", "network 'bert'"),
        ("part = 'video'\nfile = 'bad.safetensors'\nnetwork = 'efficientnet-lite0'", "no weights"),
        ("part = [", "is no TOML"),
    ],
)
def test_a_description_that_cannot_be_says_why(tmp_path: Path, said: str, told: str) -> None:
    video_toml(tmp_path)
    for name in ("bad.onnx", "bad.safetensors"):
        (tmp_path / name).write_bytes(b"\x00\x01 no network")
    (tmp_path / "two.txt").write_text("a\nb\n")
    (tmp_path / "mine.toml").write_text(said)
    with pytest.raises(BadInput, match=told) as error:
        open_encoder(str(tmp_path / "mine.toml"), "video")
    assert "mine.toml" in str(error.value)


def test_an_encoder_that_is_not_there_says_what_there_is() -> None:
    with pytest.raises(BadInput, match="choose efficientnet-lite0, or give a TOML"):
        open_encoder("resnet", "video")
    with pytest.raises(BadInput, match="is of audio, not of video"):
        open_encoder("aisfx", "video")
    with pytest.raises(MissingPart, match="neurozsl setup encoders") as error:
        open_encoder("efficientnet-lite0", "video")
    assert error.value.exit_code == 5


def test_a_set_made_with_another_version_of_an_encoder_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = video_toml(folder)
    data = load_store(made(folder, chosen_encoders(video=str(toml))))
    clip = folder / "clips" / "dog_train.mkv"
    assert encoders_of(data.meta).encode(clip).video.shape[1:] == (10, 3)
    video_toml(folder, mean=[1.0, 1.0, 1.0])
    with pytest.raises(BadInput, match="build the set again"):
        encoders_of(data.meta, where="the set")


def test_reading_a_clip_for_encoders_leaves_the_hand_made_features_as_they_were(
    folder: Path,
) -> None:
    path = folder / "clips" / "dog_train.mkv"
    plain, names = ClipEncoders().describe(path, WindowSpec(), None, "x")
    assert names[0] == "x#0s" and read_clip(path).name == path.name
    with_encoder, _ = ClipEncoders(CountingVideo()).describe(path, WindowSpec(), None, "x")
    np.testing.assert_array_equal(plain.audio, with_encoder.audio)
