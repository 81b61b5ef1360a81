"""Stderr as JSON lines: one object a line, for clusters and for programs that watch a command.

    {"event": "progress", ..., "label", "stage", "done", "total", "eta_s", "elapsed_s"}
    {"event": "epoch", ...}      a line of the run's log.jsonl: stage, epoch, loss, scores
    {"event": "table", "title", "columns", "rows"}
    {"event": "next", "commands"}
    {"event": "message", "message"}     any other line of text, such as notes, trees and warnings
    {"event": "error", "message", "exit_code"}; "traceback" only where the error was not foreseen

Each has "time" (ISO 8601, UTC) and "command" too. `Lines` is a text stream that makes a message of
every line that is written to it, so that text of any origin in this process keeps the form.
"""

import io
import json
import math
import re
from datetime import UTC, datetime
from typing import Any, TextIO

_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def write(stream: TextIO, command: str, event: str, **fields: Any) -> None:
    """Write one object; a number that JSON has no word for becomes null."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": now, "command": command, "event": event, **_plain(fields)}
    stream.write(json.dumps(line, allow_nan=False) + "\n")
    stream.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Lines(io.TextIOBase):
    """A stream that writes each line of text as a message to another stream."""

    def __init__(self, stream: TextIO, command: str) -> None:
        super().__init__()
        self._stream, self._command, self._begun = stream, command, ""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a slot of the base class
        """Json escapes what is not ASCII, so any text goes through."""
        return "utf-8"

    def writable(self) -> bool:
        """Text can be written."""
        return True

    def write(self, text: str) -> int:
        """Take text; whole lines go out, the rest waits."""
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._message(line)
        return len(text)

    def finish(self) -> None:
        """Let a line that was begun out."""
        line, self._begun = self._begun, ""
        self._message(line)

    def _message(self, line: str) -> None:
        line = _ESCAPE.sub("", line).rstrip()
        if line:
            write(self._stream, self._command, "message", message=line)


class Nothing(io.TextIOBase):
    """A stream that drops what is written to it."""

    def writable(self) -> bool:
        """Text can be written."""
        return True

    def write(self, text: str) -> int:
        """Drop the text."""
        return len(text)
