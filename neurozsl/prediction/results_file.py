"""Predictions of many clips in one file, a JSON object a line, that goes on where it was ended.

    {"settings": DIGEST, "clip": "a.mp4", "sha256": ..., "windows": ..., "names": [...], ...}

A line is added in one piece when its clip is done, in the order of the clips. What a kill leaves of
a line is taken away by the next start. A clip is done when a line of the same settings holds its
content (SHA-256 of the bytes); under another name its line is copied, not computed. Nothing in a
line depends on time or on what ran before, so the file of two starts is that of one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from neurozsl.core.errors import BadInput
from neurozsl.core.lock import Lock
from neurozsl.core.reading import Kind, brief, checked_object, parse_json, read_bytes

MAX_BYTES: Final = 2**32
_KEYS: Final[Mapping[str, Kind]] = {"settings": str, "clip": str, "sha256": str, "names": list}
_REMEDY: Final = "give another --out, or remove the file"


class ResultsFile:
    """The file, held by one process inside a `with`."""

    def __init__(self, path: Path, settings: str) -> None:
        """settings: digest of all but the clip that a line depends on."""
        self._path, self._settings = path, settings
        self._lock = Lock(path.parent, "folder of results", then="start again")
        self._lines: dict[str, dict[str, Any]] = {}  # by content
        self._clips: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        self._lock.take()
        try:
            self._read()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def known(self, clip: Path, content: str) -> dict[str, Any] | None:
        """The line of this content, under the name of this clip; None where it is not done."""
        line = self._lines.get(content)
        return None if line is None else {**line, "clip": str(clip)}

    def add(self, line: Mapping[str, Any]) -> None:
        """Write the line of a clip, unless it is there.

        Raises:
            BadInput: the file cannot be written.
        """
        place = (str(line["clip"]), str(line["sha256"]))
        if place in self._clips:
            return
        whole = {"settings": self._settings, **line}
        data = (json.dumps(whole, allow_nan=False) + "\n").encode()
        try:
            with self._path.open("ab", buffering=0) as file:
                size = file.tell()
                if file.write(data) != len(data):
                    file.truncate(size)
                    raise OSError(0, "only a part was written")
                os.fsync(file.fileno())
        except OSError as error:
            raise BadInput(
                f"{self._path}: cannot be written ({brief(error)}); free the place, then start "
                "again: what is done stays"
            ) from error
        self._clips.add(place)
        self._lines[place[1]] = dict(line)

    def _read(self) -> None:
        if not self._path.exists():
            return
        data = read_bytes(self._path, remedy=_REMEDY, max_bytes=MAX_BYTES)
        whole = data.rfind(b"\n") + 1
        for number, text in enumerate(data[:whole].splitlines(), 1):
            where = f"{self._path}: line {number}"
            line = checked_object(
                parse_json(text, where, remedy=_REMEDY), where, remedy=_REMEDY, keys=_KEYS
            )
            settings = line.pop("settings")
            if settings != self._settings:
                raise BadInput(
                    f"{where}: was made with other settings ({settings[:12]}, now "
                    f"{self._settings[:12]}: another run, bundle, --classes, --vectors or --top); "
                    f"{_REMEDY}"
                )
            self._lines[line["sha256"]] = line
            self._clips.add((line["clip"], line["sha256"]))
        if whole < len(data):
            self._cut(data[whole:], whole)

    def _cut(self, rest: bytes, size: int) -> None:
        """Take away the part of a line that a kill left; of a foreign file nothing."""
        if size == 0 and not rest.startswith(b'{"settings"'[: len(rest)]):
            raise BadInput(f"{self._path}: is not a file of predictions; {_REMEDY}")
        os.truncate(self._path, size)
