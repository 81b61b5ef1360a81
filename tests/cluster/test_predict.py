"""`predict` on workers: the lines of one process, in its order, and nothing is done twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import neurozsl as nz
from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.prediction import many
from neurozsl.prediction.files import clips_of
from neurozsl.prediction.many import predict_all
from neurozsl.prediction.predict import Predictor, predictor
from tests.factories.videos import write_video


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos, a copy of one and a broken one."""
    folder = tmp_path_factory.mktemp("clips")
    for name, hertz in (("a", 440.0), ("b", 900.0), ("c", 200.0), ("d", 300.0)):
        write_video(folder / f"{name}.mkv", 3.0, hertz=hertz)
    shutil.copy(folder / "a.mkv", folder / "copy.mkv")
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def ready(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Predictor:
    many._opened.cache_clear()
    return predictor(nz.load(run_dir))


def test_lines_and_file_are_those_of_one_process(
    instead: Any, ready: Predictor, clips: Path, tmp_path: Path
) -> None:
    files = clips_of([clips])
    alone = predict_all(ready, files, tmp_path / "alone.jsonl", on=ALONE)
    told: list[tuple[int, int]] = []
    both = predict_all(
        ready, files, tmp_path / "both.jsonl", lambda *x: told.append(x), on=Workers(2)
    )
    assert both == alone
    assert [(x.clip.name, x.line is None, x.again) for x in both] == [
        ("a.mkv", False, False),
        ("b.mkv", False, False),
        ("broken.mp4", True, False),
        ("c.mkv", False, False),
        ("copy.mkv", False, True),
        ("d.mkv", False, False),
    ]
    assert (tmp_path / "both.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert told == [(n, 6) for n in range(1, 7)]


def test_a_second_start_asks_the_workers_for_what_is_left_alone(
    instead: Any, ready: Predictor, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "lines.jsonl"
    predict_all(ready, [clips / "a.mkv", clips / "b.mkv"], out, on=Workers(2))
    asked: list[str] = []
    real = many._line

    def counted(ready: Predictor, clip: Path, content: str) -> Any:
        asked.append(clip.name)
        return real(ready, clip, content)

    monkeypatch.setattr(many, "_line", counted)
    found = predict_all(ready, [clips / x for x in ("a.mkv", "c.mkv")], out, on=Workers(2))
    assert asked == ["c.mkv"] and [x.again for x in found] == [True, False]


@pytest.mark.parametrize("what", ["another run", "no clip"])
def test_a_worker_that_has_something_else_ends_the_work(
    instead: Any, ready: Predictor, clips: Path, tmp_path: Path, what: str
) -> None:
    if what == "no clip":
        with pytest.raises(BadInput, match=r"has no .*under the same path"):
            many._on_worker(ready.asked, ready.settings_digest, tmp_path / "none.mkv", "x")
        return
    other = replace(ready, asked=replace(ready.asked, top=2))
    with pytest.raises(BadInput, match=r"is another run there, or its bundle"):
        predict_all(other, [clips / "a.mkv"], on=Workers(2))
