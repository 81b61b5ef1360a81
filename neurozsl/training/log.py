"""`log.jsonl` of a run: one JSON object per epoch, of all stages, in order.

It repeats what the checkpoints hold, and is written from them: after an epoch, and when a run goes
on, so that it lacks no epoch after a kill between the two. Nothing is trained or scored by it.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from neurozsl.core.folders import whole_file
from neurozsl.core.reading import MAX_JSON_BYTES, checked_object, parse_json, read_bytes
from neurozsl.training import checkpoint

NAME: Final = "log.jsonl"


def write(run: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write the whole log at once."""
    with whole_file(run / NAME) as part:
        part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def repair(run: Path, stage: int, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write what a run that goes on with this stage has logged; a later one with a checkpoint does.

    Until that is read the log stays as it is, so that a refused checkpoint changes nothing.
    """
    if not (run / f"stage{stage + 1}" / checkpoint.LAST).exists():
        write(run, lines)


def read(run: Path) -> list[dict[str, Any]]:
    """The lines of a run, none where it has logged nothing yet.

    Raises:
        BadInput: the file is damaged.
    """
    file = run / NAME
    if not file.exists():
        return []
    remedy = "remove the file; a run that is continued writes it again from its checkpoints"
    found = []
    data = read_bytes(file, remedy=remedy, max_bytes=4 * MAX_JSON_BYTES)
    for number, line in enumerate(data.splitlines(), 1):
        if line:
            where = f"{file}: line {number}"
            value = parse_json(line, where, remedy=remedy, allow_nan=True)
            checked_object(value, where, remedy=remedy, keys={"stage": int, "epoch": int})
            found.append(value)
    return found


def of_stages(run: Path, below: int) -> list[dict[str, Any]]:
    """The lines of the stages below this number, from their last checkpoints."""
    files = [run / f"stage{number}" / checkpoint.LAST for number in range(1, below)]
    return [line for x in files if x.is_file() for line in checkpoint.read(x)[1]["history"]]
