"""Many clips: each is done once, what cannot be read is listed, and a file of results goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.prediction.predict import Predictor, digest_of
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


def predict_all(
    ready: Predictor,
    clips: Sequence[Path],
    out: Path | None = None,
    progress: Progress | None = None,
) -> tuple[ClipLine, ...]:
    """Every clip in order. out: file that takes a line of each as soon as it is done.

    Raises:
        BadInput: the file is of other settings, or cannot be written.
    """
    results = None if out is None else ResultsFile(out, ready.settings_digest)
    with nullcontext() if results is None else results:
        found = []
        for done, line in enumerate(_each(ready, clips, results), 1):
            found.append(line)
            if progress is not None:
                progress(done, len(clips))
        return tuple(found)


def _each(
    ready: Predictor, clips: Sequence[Path], results: ResultsFile | None
) -> Iterator[ClipLine]:
    known: dict[str, dict[str, Any]] = {}
    for clip in clips:
        try:
            content = digest_of(clip)
            line = known.get(content)
            if line is None and results is not None:
                line = results.known(clip, content)
            again = line is not None
            if line is None:
                line = ready.predict(clip, content).as_json()
        except BadInput as error:
            yield ClipLine(clip, None, str(error).removeprefix(f"{clip}: "))
            continue
        except MemoryError:
            yield ClipLine(clip, None, "needs more memory than there is; use a shorter clip")
            continue
        known[content] = line = {**line, "clip": str(clip)}
        if results is not None:
            results.add(line)
        yield ClipLine(clip, line, again=again)
