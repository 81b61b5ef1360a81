"""Many clips: each is done once, what cannot be read is listed, and a file of results goes on.

Clips are done here one after another, or by workers (`neurozsl.cluster`) that open the run from the
same paths. A worker whose run, bundle, names or scale differ is told by the digest of the settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from neurozsl.cluster.run import run
from neurozsl.cluster.tasks import ALONE, Call, Workers, key_of, one_thread, see_here, worker
from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.prediction.predict import Asked, Predictor, digest_of
from neurozsl.prediction.results_file import ResultsFile


@dataclass(frozen=True)
class ClipLine:
    """One clip of many: `line` as `ClipPrediction.as_json` says it, or why there is none.

    again: it was done before, or its content was.
    """

    clip: Path
    line: dict[str, Any] | None
    reason: str = ""
    again: bool = False


@dataclass(frozen=True)
class _Content:
    """A clip by its bytes; reason: why they cannot be read."""

    clip: Path
    sha256: str = ""
    reason: str = ""


def predict_all(
    ready: Predictor,
    clips: Sequence[Path],
    out: Path | None = None,
    progress: Progress | None = None,
    *,
    on: Workers = ALONE,
) -> tuple[ClipLine, ...]:
    """Every clip in order. out: file that takes a line of each as soon as those before are done.

    Raises:
        BadInput: the file is of other settings, or cannot be written; or a worker has another run.
        MissingPart: `distributed` is needed and not installed.
    """
    results = None if out is None else ResultsFile(out, ready.settings_digest)
    with nullcontext() if results is None else results:
        found = []
        for done, line in enumerate(_each(ready, clips, results, on), 1):
            found.append(line)
            if progress is not None:
                progress(done, len(clips))
        return tuple(found)


def _each(
    ready: Predictor, clips: Sequence[Path], results: ResultsFile | None, on: Workers
) -> Iterator[ClipLine]:
    known: dict[str, dict[str, Any] | str] = {}  # by content: its line, or why there is none
    told: set[str] = set()
    read: Iterable[_Content] = map(_content, clips)
    made: Iterator[tuple[str, dict[str, Any] | str]] | None = None
    if not on.alone:
        read = list(read)
        made = _made(ready, _left(read, results), on)
    for each in read:
        if each.reason:
            yield ClipLine(each.clip, None, each.reason)
            continue
        line = results.known(each.clip, each.sha256) if results is not None else None
        again = line is not None or each.sha256 in told
        while line is None and each.sha256 not in known:
            if made is None:
                known[each.sha256] = _line(ready, each.clip, each.sha256)
            else:
                content, outcome = next(made)
                known[content] = outcome
        found = known[each.sha256] if line is None else line
        if isinstance(found, str):
            yield ClipLine(each.clip, None, found)
            continue
        line = {**found, "clip": str(each.clip)}
        if results is not None:
            results.add(line)
        told.add(each.sha256)
        yield ClipLine(each.clip, line, again=again)


def _left(read: Iterable[_Content], results: ResultsFile | None) -> dict[str, Path]:
    """Contents that are to be done, each with the first clip that has it."""
    left: dict[str, Path] = {}
    for each in read:
        done = results is not None and results.known(each.clip, each.sha256) is not None
        if each.sha256 and not done:
            left.setdefault(each.sha256, each.clip)
    return left


def _content(clip: Path) -> _Content:
    try:
        return _Content(clip, digest_of(clip))
    except BadInput as error:
        return _Content(clip, reason=_short(error, clip))


def _made(
    ready: Predictor, clips: dict[str, Path], on: Workers
) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Workers' (content, its line or why there is none), as they are ready."""
    contents, digest = list(clips), ready.settings_digest
    tasks = [
        Call(
            str(clip),
            key_of("predict", digest, x),
            _on_worker,
            (ready.asked, digest, clip.resolve(), x),
        )
        for x, clip in clips.items()
    ]
    for index, outcome in run(tasks, on):
        yield contents[index], outcome


def _on_worker(asked: Asked, digest: str, clip: Path, content: str) -> dict[str, Any] | str:
    see_here(clip, asked.run, what="run and clips")
    ready = _opened(asked)
    if ready.settings_digest != digest:
        raise BadInput(
            f"{worker()}: '{asked.run}' is another run there, or its bundle, names or encoders "
            f"differ (settings {ready.settings_digest[:12]}, not {digest[:12]}); give it the same "
            "files"
        )
    return _line(ready, clip, content)


@cache
def _opened(asked: Asked) -> Predictor:
    """A worker's own, opened once."""
    with one_thread():
        return asked.ready()


def _line(ready: Predictor, clip: Path, content: str) -> dict[str, Any] | str:
    try:
        with one_thread():
            return ready.predict(clip, content).as_json()
    except BadInput as error:
        return _short(error, clip)
    except MemoryError:
        return "needs more memory than there is; use a shorter clip"


def _short(error: BadInput, clip: Path) -> str:
    return str(error).removeprefix(f"{clip}: ").removeprefix(f"{clip.resolve()}: ")
