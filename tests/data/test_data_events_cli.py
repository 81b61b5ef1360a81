"""`neurozsl data events`: a video or a recording in, events, numbers and a preview out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from neurozsl.cli import app
from neurozsl.core.errors import BadInput
from neurozsl.data.clips.grey_video import open_grey
from neurozsl.data.clips.limits import ClipLimits
from neurozsl.data.events.camera import DEFAULT
from neurozsl.data.events.files.open import read_events, write_events
from neurozsl.data.events.stream import EVENT, EventStream
from tests.factories.videos import write_video


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["data", "events", *map(str, words)])


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "a.mkv", seconds=1.0, sound=False)
    return tmp_path / "a.mkv"


def test_a_video_is_read_as_grey_frames_with_their_times(video: Path) -> None:
    grey = open_grey(video)
    assert (grey.width, grey.height) == (64, 48) and grey.seconds == pytest.approx(1.0, abs=0.1)
    frames = list(grey.frames())
    assert len(frames) == 25
    np.testing.assert_allclose([time for _, time in frames], np.arange(25) / 25, atol=1e-3)
    levels = [int(frame[10, 60]) for frame, _ in frames]
    np.testing.assert_allclose(levels, 50 + np.arange(25), atol=1)  # full range
    assert frames[0][0].shape == (48, 64)
    small = open_grey(video, size=(16, 12))
    assert next(small.frames())[0].shape == (12, 16)


def test_frames_that_do_not_rise_in_time_are_left_out(tmp_path: Path) -> None:
    write_video(tmp_path / "b.mkv", seconds=1.0, sound=False, times=lambda i: i - i % 2)
    times = [time for _, time in open_grey(tmp_path / "b.mkv").frames()]
    assert len(times) >= 12 and (np.diff(times) > 0).all()


def test_a_video_becomes_a_file_of_the_cameras_events(video: Path, tmp_path: Path) -> None:
    out, gif = tmp_path / "a.npz", tmp_path / "a.gif"
    result = call(video, "--out", out, "--preview", gif, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    frames = list(open_grey(video).frames())
    expected = [
        block.events for block in DEFAULT.events([f for f, _ in frames], [t for _, t in frames])
    ]
    written = read_events(out)
    np.testing.assert_array_equal(written.events, np.concatenate(expected))
    assert told["events"] == len(written.events) > 100
    assert (written.width, written.height) == (64, 48) == (told["width"], told["height"])
    assert gif.read_bytes()[:6] == b"GIF89a"


def test_options_change_the_camera(video: Path, tmp_path: Path) -> None:
    base = ("--camera", "clean", "--sigma", "0", "--json")
    few = json.loads(call(video, "--out", tmp_path / "f.h5", *base, "--threshold", "0.4").stdout)
    many = json.loads(call(video, "--out", tmp_path / "m.h5", *base, "--threshold", "0.1").stdout)
    noisy = json.loads(call(video, "--out", tmp_path / "n.h5", *base, "--shot", "50").stdout)
    assert few["events"] < many["events"]
    assert noisy["active_pixels"] > 0.9 > few["active_pixels"]
    small = json.loads(call(video, "--out", tmp_path / "s.h5", "--size", "16x12", "--json").stdout)
    assert (small["width"], small["height"]) == (16, 12)


def test_a_recording_is_converted_event_for_event(tmp_path: Path) -> None:
    events = np.array([(5, 1, 0, 1), (7, 0, 2, 0), (99_000, 3, 1, 1)], dtype=EVENT)
    write_events(EventStream(events, 4, 3), tmp_path / "a.npz")
    result = call(tmp_path / "a.npz", "--out", tmp_path / "b.h5")
    assert result.exit_code == 0 and "neurozsl data events" in result.output
    np.testing.assert_array_equal(read_events(tmp_path / "b.h5").events, events)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--out", "a.txt"), "extension .txt"),
        (("--out", "a.npz", "--size", "64"), "--size '64'"),
        (("--out", "a.npz", "--threshold", "0"), "threshold_on 0"),
        (("--out", "a.npz", "--max-seconds", "0.5"), "at most 0.5 s"),
        (("--out", "a.npz", "--preview", "a.png"), "written as .gif"),
        (("--out", "a.npz", "--repair"), "--repair: only with a recording"),
        (("--out", "video/a.npz"), "is no folder"),
    ],
)
def test_what_cannot_be_done_is_told_and_leaves_no_file(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "video").write_bytes(b"")
    before = sorted(tmp_path.iterdir())
    result = call(video, *words)
    assert isinstance(result.exception, BadInput) and told in str(result.exception)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_is_neither_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("not a video")
    for source, told in (("a.mp4", "cannot be decoded"), ("absent.mp4", "does not exist")):
        result = call(tmp_path / source, "--out", tmp_path / "a.npz")
        assert isinstance(result.exception, BadInput) and told in str(result.exception)


def test_a_video_beyond_the_limits_is_refused_while_it_is_read(video: Path) -> None:
    grey = open_grey(video, limits=ClipLimits(60.0))
    short = type(grey)(grey.path, 8, 8, 0.0, ClipLimits(0.5))
    with pytest.raises(BadInput, match="are read"):
        list(short.frames())
