"""What commands print: human text on stderr, one JSON document on stdout.

`printing` sets the mode of `--progress` for one command:

    bar     text; a bar with an ETA where stderr is a terminal, else no progress
    lines   text; progress as plain lines
    json    every line of stderr is one JSON object (`json_lines`)
    off     errors alone
"""

import codecs
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from neurozsl.cli import json_lines
from neurozsl.cli.progress import EVERY_S, Meter, Mode, Pace, Reading
from neurozsl.core.errors import BadInput
from neurozsl.core.printable import printable
from neurozsl.core.terminal import PlainConsole

if sys.stderr is None:  # closed by whoever started the command: text for people has no reader
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
# Rich would assume 80 columns of a pipe or a log and cut the tables.
err = PlainConsole(stderr=True, width=None if sys.stderr.isatty() else 100)


@dataclass(frozen=True)
class _Printing:
    """How this command prints; stream: stderr as it was found."""

    mode: Mode = "bar"
    command: str = ""
    stream: TextIO | None = None

    def event(self, event: str, **fields: Any) -> None:
        """One JSON line."""
        assert self.stream is not None
        json_lines.write(self.stream, self.command, event, **fields)


_now = _Printing()


@contextmanager
def printing(mode: Mode, command: str) -> Iterator[None]:
    """Print in this mode inside; stderr is as before afterwards."""
    global _now
    before, stream = _now, sys.stderr
    own: dict[Mode, Callable[[], TextIO]] = {
        "json": lambda: json_lines.Lines(stream, command),  # type: ignore[dict-item, return-value]  # keeps TextIO's methods
        "off": json_lines.Nothing,  # type: ignore[dict-item]
    }
    _now = _Printing(mode, command, stream)
    replaced = own[mode]() if mode in own else stream
    sys.stderr = replaced
    try:
        yield
    finally:
        if isinstance(replaced, json_lines.Lines):
            replaced.finish()
        sys.stderr, _now = stream, before


def mode() -> Mode:
    """The mode of the command that runs."""
    return _now.mode


def say(text: str) -> None:
    """One line for people; paths in it are never broken."""
    if _now.mode == "json":
        _now.event("message", message=text)
        return
    err.print(escape(printable(text)), soft_wrap=True)


def say_each(**texts: Iterable[str]) -> None:
    """A line for each text, its word before it: `assumed: ...`."""
    for word, lines in texts.items():
        for line in lines:
            say(f"{word}: {line}")


def fail(text: str, *, exit_code: int = 1) -> None:
    """An error for people, printed in every mode."""
    if _now.mode == "json":
        _now.event("error", message=text, exit_code=exit_code)
    else:
        to = PlainConsole(file=_now.stream) if _now.mode == "off" else err
        to.print(f"[bold red]error:[/] {escape(printable(text))}", soft_wrap=True)


def fail_unforeseen(error: Exception) -> None:
    """An error of the program itself, with what is needed to mend it; of the mode json alone."""
    lines = traceback.format_exception(error)
    message = f"{type(error).__name__}: {error}"
    _now.event("error", message=message, exit_code=1, traceback="".join(lines))


def escape_what_cannot_be_printed() -> None:
    """Streams of another encoding than UTF-8 take what they cannot show as JSON escapes.

    A document of JSON stays one; any other text stays readable. It holds for the whole process.
    """
    codecs.register_error("neurozsl-escape", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "neurozsl-escape":
            stream.reconfigure(errors="neurozsl-escape")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def emit(text: str) -> None:
    """A document on stdout.

    Raises:
        BadInput: stdout is closed, or cannot take all of it (a full disk). A reader that closed
            the pipe had what it wanted.
    """
    if sys.stdout is None:
        raise BadInput("stdout: closed, the document cannot be written; send it to a file")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Python flushes again when it ends; what is left must have somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return
        raise BadInput(
            f"stdout: the document cannot be written ({error.strerror}); send it to a file on a "
            "disk with space"
        ) from None


def emit_json(value: Any) -> None:
    """One JSON document on stdout."""
    emit(json.dumps(value, indent=2, allow_nan=False) + "\n")


def next_commands(*commands: str) -> None:
    """Close a command with what can be pasted next."""
    if _now.mode == "json":
        _now.event("next", commands=commands)
        return
    err.print("[dim]next:[/]")
    for command in commands:
        err.print(f"  {escape(command)}", soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one table; the first column is left-aligned, the others right."""
    if _now.mode == "json":
        _now.event("table", title=title, columns=list(columns), rows=[list(row) for row in rows])
        return
    # Rich would wrap its own titles at the table's width, in the middle of a path.
    err.print(Text(printable(title), style="italic"), soft_wrap=True)
    table = Table(header_style="bold")
    for index, column in enumerate(columns):
        first = index == 0
        table.add_column(column, justify="left" if first else "right", no_wrap=first)
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    err.print(table)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[..., None]]:
    """Progress with an ETA, as the mode prints it; yields `update(done, total, text="")`."""
    if _now.mode in EVERY_S:
        tell = _tell_event if _now.mode == "json" else _tell_line
        meter = Meter(label, tell, every_s=EVERY_S[_now.mode])
        try:
            yield meter.update
        finally:
            meter.flush()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _Left(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    silent = _now.mode == "off" or not err.is_terminal
    with Progress(*columns, console=err, transient=True, disable=silent) as progress:
        task = progress.add_task(label, total=None, text="", ends=None)
        pace = Pace(time.monotonic)

        def update(done: float, total: int, text: str = "") -> None:
            eta = pace.eta_s(done, total)
            ends = None if eta is None else time.monotonic() + eta
            progress.update(task, completed=done, total=total, text=text, ends=ends)

        yield update


class _Left(ProgressColumn):
    """Time that is left; Rich's own column forgets what is older than 30 s, as an epoch may be."""

    def render(self, task: Task) -> Text:
        """Hours, minutes and seconds to the end."""
        ends = task.fields["ends"]
        text = "-:--:--" if ends is None else clock(max(0.0, ends - time.monotonic()))
        return Text(text, style="progress.remaining")


def _tell_event(reading: Reading) -> None:
    eta = None if reading.eta_s is None else round(reading.eta_s, 3)
    known = {"total": reading.total or None, "elapsed_s": round(reading.elapsed_s, 3), "eta_s": eta}
    _now.event("progress", **{**asdict(reading), **known})


def _tell_line(reading: Reading) -> None:
    if not reading.total:
        say(f"{reading.label}: begun")
        return
    parts = [
        f"{reading.label}: {reading.done:.10g}/{reading.total}",
        f"{clock(reading.elapsed_s)} gone",
    ]
    if reading.eta_s is not None:
        parts.append(f"{clock(reading.eta_s)} left")
    say(", ".join([*parts, *filter(None, (reading.stage,))]))


def clock(seconds: float) -> str:
    """A duration as h:mm:ss.

    >>> clock(7384.6)
    '2:03:05'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def stages(update: Callable[..., None]) -> Callable[[str, int, int], None]:
    """The bar as export and verification report to it: stage, done, total."""
    return lambda stage, done, total: update(done, total, stage)


def epochs(update: Callable[..., None], run: Path) -> Callable[[int, int, str], None]:
    """The bar as training reports to it; in the mode json every epoch's line of the log beside it.

    run: folder with `log.jsonl`, which is complete when an epoch is reported.
    """
    from neurozsl.training import log

    logged = log.read(run) if _now.mode == "json" else []
    told = {(x["stage"], x["epoch"]) for x in logged}

    def report(done: int, total: int, text: str = "") -> None:
        if _now.mode == "json":
            for line in log.read(run):
                if (line["stage"], line["epoch"]) not in told:
                    told.add((line["stage"], line["epoch"]))
                    _now.event("epoch", **line)
        update(done, total, text)

    return report
