"""What a folder of clips and its labels file may hold, and what becomes of it.

A text that leads outside, or two rows of one clip, end the build before anything is decoded. A clip
that cannot be used is left out and listed with the reason, whatever it is, and the rest goes on.
"""

from __future__ import annotations

import csv
import os
import re
import resource
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.clips import encode
from neurozsl.data.clips.build import build, write_clips
from neurozsl.data.clips.limits import ClipLimits
from neurozsl.data.clips.places import copies, find_file
from neurozsl.data.clips.video_file import read_clip
from neurozsl.report.sections.pictures import _recorded
from tests.factories.videos import write_video
from tests.source_tree import imports

FAULTS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "faults"
ROLES = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
LABEL = {"val_unseen": "cow", "test_unseen": "owl"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One short clip of every role, `ROLE.mkv`; never written to."""
    folder = tmp_path_factory.mktemp("videos")
    for role in ROLES:
        write_video(folder / f"{role}.mkv", seconds=3.0, fps=10)
    return folder


@pytest.fixture
def folder(clips: Path, tmp_path: Path) -> Path:
    """`clips` of its own, `labels.csv` and `words.npz`."""
    own = tmp_path / "clips"
    own.mkdir()
    for file in clips.iterdir():
        (own / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "label", "role", "embedding_name"))
        for role in ROLES:
            label = LABEL.get(role, "dog")
            writer.writerow((f"{role}.mkv", label, role, label))
    names = np.array(["dog", "cow", "owl"])
    vectors = np.random.default_rng(0).normal(size=(3, 300))
    np.savez(tmp_path / "words.npz", names=names, vectors=vectors)
    return tmp_path


def _add(folder: Path, *rows: Sequence[str]) -> None:
    with (folder / "labels.csv").open("a", newline="") as stream:
        csv.writer(stream).writerows(rows)


def _build(folder: Path, **more: object) -> dict[str, str]:
    """File -> why it was left out."""
    words = [folder / "words.npz"]
    _, report = build(folder / "clips", folder / "labels.csv", words, **more)  # type: ignore[arg-type]
    return {skip.file: skip.reason for skip in report.skipped}


# ---------------------------------------------------------------- names that lead elsewhere


def _link_out(folder: Path) -> str:
    (folder / "outside.mkv").write_bytes((folder / "clips" / "train.mkv").read_bytes())
    (folder / "clips" / "linked.mkv").symlink_to(folder / "outside.mkv")
    return "linked.mkv"


def _folder_out(folder: Path) -> str:
    (folder / "more").mkdir()
    (folder / "more" / "a.mkv").write_bytes((folder / "clips" / "train.mkv").read_bytes())
    (folder / "clips" / "far").symlink_to("../more", target_is_directory=True)
    return "far/a.mkv"


def _etc(folder: Path) -> str:
    (folder / "clips" / "hosts.mkv").symlink_to("/etc/hosts")
    return "hosts.mkv"


def _absolute(folder: Path) -> str:
    return str(folder / "clips" / "train.mkv")


def _hard_link(folder: Path) -> str:
    os.link(folder / "clips" / "train.mkv", folder / "clips" / "again.mkv")
    return "again.mkv"


def _link_inside(folder: Path) -> str:
    (folder / "clips" / "again.mkv").symlink_to("train.mkv")
    return "again.mkv"


REFUSED: dict[str, tuple[Callable[[Path], str], str]] = {
    "an absolute path": (_absolute, "line 7: file '/.*' is an absolute path"),
    "a path upwards": (lambda _: "../outside.mkv", "line 7: .* leads out of the folder"),
    "up and down again": (lambda _: "x/../train.mkv", "line 7: .* leads out of the folder"),
    "an escape code": (lambda _: "a\x1b[2J.mkv", "line 7: .* cannot be printed"),
    "a link to a file": (_link_out, r"1 link\(s\) lead out of the folder.*linked.mkv -> /"),
    "a link to a folder": (_folder_out, r"1 link\(s\) lead out of the folder.*far/a.mkv -> /"),
    "a link to the system": (_etc, r"hosts.mkv -> /etc/hosts"),
    "another way to write it": (lambda _: "./train.mkv", "'./train.mkv' appears twice"),
    "two slashes": (lambda _: ".//train.mkv", "appears twice"),
    "a hard link": (_hard_link, "'train.mkv' and 'again.mkv' are one file"),
    "a link inside": (_link_inside, "'train.mkv' and 'again.mkv' are one file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_row_that_leads_elsewhere_ends_the_build_before_anything_is_decoded(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    damage, message = REFUSED[name]
    monkeypatch.setattr(encode, "read_clip", decode)
    _add(folder, (damage(folder), "dog", "test_seen", "dog"))
    with pytest.raises(BadInput, match=message):
        write_clips(folder / "clips", folder / "labels.csv", [folder / "words.npz"], folder / "out")
    assert not (folder / "out").exists()


def test_a_folder_that_is_itself_a_link_and_links_within_it_are_followed(folder: Path) -> None:
    (folder / "clips" / "train.mkv").rename(folder / "clips" / "real.mkv")
    (folder / "clips" / "train.mkv").symlink_to("real.mkv")
    (folder / "clips").rename(folder / "disk")
    (folder / "clips").symlink_to("disk", target_is_directory=True)
    assert _build(folder) == {}


def test_a_sample_of_a_set_names_no_picture_outside_the_folder_of_the_clips(folder: Path) -> None:
    meta = {"windows": {"window_s": 2.0}}
    (folder / "outside.mkv").write_bytes((folder / "clips" / "train.mkv").read_bytes())
    _link_out(folder)
    for name in ("../outside.mkv", str(folder / "outside.mkv"), "linked.mkv"):
        with pytest.raises(BadInput, match=r"out of the folder|absolute"):
            _recorded(meta, f"{name}#0s", folder / "clips")
    assert _recorded(meta, "train.mkv#0s", folder / "clips").seconds == pytest.approx(2.0)


# ---------------------------------------------------------------- clips that cannot be used


def _playlist(path: Path) -> None:
    other = path.with_name("train.mkv").resolve()
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{other}\n#EXT-X-ENDLIST\n")


def _list(path: Path) -> None:
    path.write_text("ffconcat version 1.0\nfile train.mkv\n")


def _session(path: Path) -> None:
    path.write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )


def _cut(path: Path) -> None:
    path.write_bytes(path.with_name("train.mkv").read_bytes()[:900])


def _late(path: Path) -> None:
    write_video(path, 3.0, fps=10, times=lambda i: i if i < 29 else 10 * 200_000)


def _crowd(path: Path) -> None:
    write_video(path, 4.0, fps=1000, size=(16, 16), times=lambda i: i // 1000)


def _slow_sound(path: Path) -> None:
    write_video(path, 3.0, fps=10)
    _patch_rate(path, 16_000.0, 2.0)


def _fast_sound(path: Path) -> None:
    write_video(path, 3.0, fps=10)
    _patch_rate(path, 16_000.0, 2.0e9)


def _patch_rate(path: Path, old: float, new: float) -> None:
    """Another sampling rate in the header of a Matroska file."""
    element = b"\xb5\x88"  # SamplingFrequency, eight bytes
    content = path.read_bytes()
    assert content.count(element + struct.pack(">d", old)) == 1
    path.write_bytes(
        content.replace(element + struct.pack(">d", old), element + struct.pack(">d", new))
    )


LEFT_OUT: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a playlist": (_playlist, "x.m3u8", "a playlist, a list of files, or a container that"),
    "a list of files": (_list, "x.mkv", "a playlist, a list of files, or a container that"),
    "a session": (_session, "x.sdp", "a playlist, a list of files, or a container that"),
    "an empty file": (lambda x: x.write_bytes(b""), "x.mkv", "cannot be decoded"),
    "a text": (lambda x: x.write_text("hello"), "x.txt", "cannot be decoded"),
    "a folder": (Path.mkdir, "x.mkv", "does not exist"),
    "a pipe": (os.mkfifo, "x.mkv", "does not exist"),
    "nothing": (lambda x: None, "x.mkv", "does not exist"),
    "a long name": (lambda x: None, "x" * 300, "cannot be opened"),
    "a link to itself": (lambda x: x.symlink_to(x.name), "x.mkv", "does not exist"),
    "a cut file": (_cut, "x.mkv", "decoded"),
    "one late frame": (_late, "x.mkv", "lasts 200,000 s by its time stamps, at most 1800 s"),
    "many frames at once": (_crowd, "x.mkv", "frames in .* at most 1,000 a second are read"),
    "sound of 2 Hz": (_slow_sound, "x.mkv", "sound of 2 samples a second, 1,000 to 768,000"),
    "sound of 2 GHz": (_fast_sound, "x.mkv", "sound of 2,000,000,000 samples|cannot be decoded"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_clip_that_cannot_be_used_is_left_out_and_listed(name: str, folder: Path) -> None:
    damage, file, message = LEFT_OUT[name]
    damage(folder / "clips" / file)
    _add(folder, (file, "dog", "train", "dog"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    skipped = _build(folder)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert list(skipped) == [file]
    assert re.search(message, skipped[file]), skipped[file]
    assert str(folder) not in skipped[file]
    assert grown < 400_000  # kB


def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurozsl.data.clips.limits.MAX_PIXELS", 64 * 48)
    assert _build(folder) == {}
    write_video(folder / "clips" / "wide.mkv", 3.0, fps=10, size=(66, 48))
    _add(folder, ("wide.mkv", "dog", "train", "dog"))
    assert "frames of 66 x 48 px, at most 0 megapixels" in _build(folder)["wide.mkv"]


@pytest.mark.parametrize("error", [MemoryError("no"), ValueError("bad"), ZeroDivisionError("0")])
def test_an_error_inside_the_decoder_leaves_the_clip_out(
    error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(container: object, av: object, path: Path, *_: object) -> object:
        if path.name == "train2.mkv":
            raise error
        return whole(container, av, path, *_)  # type: ignore[arg-type]

    from neurozsl.data.clips import video_file

    whole = video_file._decode_frames
    monkeypatch.setattr(video_file, "_decode_frames", fails)
    write_video(folder / "clips" / "train2.mkv", 3.0, fps=10)
    _add(folder, ("train2.mkv", "dog", "train", "dog"))
    reason = _build(folder)["train2.mkv"]
    assert reason.startswith(("cannot be decoded (", "needs more memory than there is"))


def test_the_longest_clip_is_an_option_and_a_limit_that_is_none_is_refused(folder: Path) -> None:
    write_video(folder / "clips" / "long.mkv", 4.5, fps=10)
    _add(folder, ("long.mkv", "dog", "train", "dog"))
    assert _build(folder) == {}
    found = _build(folder, limits=ClipLimits(seconds=4.0))
    assert found == {
        "long.mkv": "lasts 4 s by its time stamps, at most 4 s are read; cut or repair it, or give "
        "a larger --max-seconds"
    }
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="longest clip"):
            ClipLimits(seconds)


def test_a_copy_of_a_clip_is_left_out_so_that_it_stands_in_one_split(folder: Path) -> None:
    (folder / "clips" / "copy.mkv").write_bytes((folder / "clips" / "train.mkv").read_bytes())
    _add(folder, ("copy.mkv", "dog", "test_seen", "dog"))
    assert _build(folder) == {"copy.mkv": "holds the same bytes as train.mkv"}
    with pytest.raises(BadInput, match=r"1 row\(s\) cannot be used"):
        _build(folder, strict=True)


def test_the_clip_with_one_late_frame_is_left_out_and_the_others_are_built(folder: Path) -> None:
    late = FAULTS / "clip-pts-gap-200000s.mkv"
    if not late.is_file():
        pytest.skip("../shared/data/faults is not on this machine")
    (folder / "clips" / "late.mkv").write_bytes(late.read_bytes())
    _add(folder, ("late.mkv", "dog", "train", "dog"))
    assert "lasts 200,000 s" in _build(folder)["late.mkv"]


# ---------------------------------------------------------------- what decodes


def test_one_module_alone_imports_the_decoder() -> None:
    read = imports().items()
    readers = {name for name, parts in read if any(x.split(".")[0] == "av" for x in parts)}
    assert readers == {"neurozsl.data.clips.video_file"}


def test_a_file_is_found_below_its_folder_and_no_copy_where_none_is(folder: Path) -> None:
    clips = folder / "clips"
    assert find_file(clips, "train.mkv") == (clips / "train.mkv").resolve()
    assert copies(clips, ["train.mkv", "test_seen.mkv", "absent.mkv"]) == {}
    assert read_clip(find_file(clips, "train.mkv")).name == "train.mkv"
