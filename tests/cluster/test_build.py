"""`data build` on workers: the set of one process, and nothing is encoded twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.data.clips import described
from neurozsl.data.clips.build import BuildReport, write_clips
from neurozsl.data.clips.cache import ClipCache
from neurozsl.data.clips.described import ClipFile, describe_all
from neurozsl.data.clips.encode import ClipEncoders
from neurozsl.data.clips.windows import WindowSpec
from tests.data import test_clips as videos
from tests.factories.encoders import audio_toml, video_toml
from tests.factories.videos import write_video


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own encoders."""
    monkeypatch.setenv("NEUROZSL_ENCODERS", str(tmp_path / "encoders"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clips of two seconds, a broken one, a copy and a missing one among them."""
    rows = []
    for i, (label, roles) in enumerate(videos.ROLES.items()):
        for role in roles:
            name = f"{label}/{role}.mkv"
            write_video(tmp_path / "clips" / name, 3.0, fps=10, hertz=200.0 * (i + 1))
            rows.append((name, label, role, label))
    first = rows[0]
    (tmp_path / "clips" / "broken.mkv").write_bytes(b"no video at all")
    (tmp_path / "clips" / "copy.mkv").write_bytes((tmp_path / "clips" / first[0]).read_bytes())
    rows[1:1] = [(name, *first[1:]) for name in ("broken.mkv", "copy.mkv", "missing.mkv")]
    videos.write_labels(tmp_path / "labels.csv", rows)
    videos.write_vectors(tmp_path / "words.npz", list(videos.ROLES))
    return tmp_path


def made(
    folder: Path, out: str, on: Workers, encoders: ClipEncoders | None = None, **more: Any
) -> tuple[str, BuildReport]:
    """Digest of the file, and the report."""
    given = (folder / "clips", folder / "labels.csv", [folder / "words.npz"], folder / out)
    _, report = write_clips(*given, on=on, encoders=encoders, **more)
    return sha256(folder / out / "dataset.h5"), report


@pytest.mark.parametrize("pretrained", [False, True], ids=["hand-made", "own encoders"])
def test_the_file_and_the_report_are_those_of_one_process(
    instead: Any, folder: Path, pretrained: bool
) -> None:
    def chosen() -> ClipEncoders:
        if not pretrained:
            return ClipEncoders()
        from neurozsl.data.clips.encode import chosen_encoders

        return chosen_encoders(str(video_toml(folder)), str(audio_toml(folder)))

    alone = made(folder, "alone", ALONE, chosen())
    told: list[tuple[int, int]] = []
    both = made(folder, "both", Workers(2), chosen(), progress=lambda *x: told.append(x))
    assert both == alone
    assert [x.file for x in both[1].skipped] == ["broken.mkv", "copy.mkv", "missing.mkv"]
    clips = sum(map(len, videos.ROLES.values()))
    assert told[-1] == (clips + 3, clips + 3) and [x[0] for x in told] == [*range(3, clips + 4)]


def test_a_second_start_decodes_nothing(
    instead: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = ClipEncoders(), ClipEncoders()
    digest = made(folder, "first", Workers(2), first)[0]
    clips = sum(map(len, videos.ROLES.values()))
    assert (first.cache.made, first.cache.read) == (clips, 0)
    (folder / "clips" / "broken.mkv").unlink()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a clip was decoded again")

    monkeypatch.setattr("neurozsl.data.clips.encode.read_clip", never)
    assert made(folder, "again", Workers(2), again)[0] != ""
    assert (again.cache.made, again.cache.read) == (0, clips)
    with np.load(next(ClipCache()._folder.rglob("*.npz"))) as kept:
        assert {"start", "events", "audio", "video"} <= set(kept.files)
    assert digest  # the broken row is told in both files, with other words


def test_a_worker_without_the_clips_ends_the_build(
    instead: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = described.ClipFile
    monkeypatch.setattr(Path, "exists", lambda self, **_: False)
    file = real("a.mkv", next((folder / "clips").rglob("*.mkv")))
    with pytest.raises(BadInput, match=r"has no .*under the same path"):
        list(describe_all([ClipFile(*vars(file).values())], WindowSpec(), None, ClipEncoders(),
                          Workers(2)))  # fmt: skip


def test_an_encoder_that_workers_cannot_open_ends_the_build(instead: Any, folder: Path) -> None:
    from tests.factories.encoders import CountingVideo

    with pytest.raises(BadInput):
        made(folder, "out", Workers(2), ClipEncoders(CountingVideo()))
    assert not (folder / "out").exists()
