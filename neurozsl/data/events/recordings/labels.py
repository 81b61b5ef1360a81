"""The labels file of a folder of recordings: CSV with `file,label` or `file,label,split`."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neurozsl.core.errors import BadInput
from neurozsl.data.clips.places import name_fault, normal
from neurozsl.data.events.recordings.event_set import SplitName

NEEDED: Final = ("file", "label")
SPLIT_WORDS: Final[Mapping[str, SplitName]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class RecordingRow:
    """One recording: its file below the folder, its class, its split."""

    file: str
    label: str
    split: SplitName


def read_labels(path: Path) -> tuple[RecordingRow, ...]:
    """Reads and checks the labels file; further columns are ignored.

    Without a column `split` all recordings are for training.

    Raises:
        BadInput: no such file, a column is missing, a split is unknown, a file appears twice,
            however its name is written, or is none below the folder.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            missing = [name for name in NEEDED if name not in columns]
            if missing:
                raise BadInput(
                    f"{path}: columns {list(columns)[:12]}, {missing} missing; the first line must "
                    "name file,label or file,label,split"
                )
            rows = tuple(
                _row(path, line, values, "split" in columns)
                for line, values in enumerate(reader, start=2)
            )
    except FileNotFoundError as error:
        raise BadInput(f"{path}: does not exist; give the CSV with file,label,split") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read ({error}); store it as UTF-8 CSV") from error
    if not rows:
        raise BadInput(f"{path}: 0 rows; list at least one recording")
    _refuse_twice(rows, path)
    return rows


def _row(path: Path, line: int, values: dict[str, str | None], has_split: bool) -> RecordingRow:
    text = {name: (values.get(name) or "").strip() for name in (*NEEDED, "split")}
    if not text["file"] or not text["label"]:
        raise BadInput(f"{path}, line {line}: file or label is empty; fill it in")
    if not text["label"].isprintable():
        raise BadInput(f"{path}, line {line}: label {text['label']!r} cannot be printed; rename it")
    if fault := name_fault(text["file"]):
        raise BadInput(
            f"{path}, line {line}: file {text['file']!r} {fault}; name files below the folder of "
            "the recordings"
        )
    split = SPLIT_WORDS.get(text["split"].lower()) if has_split else "train"
    if split is None:
        raise BadInput(
            f"{path}, line {line} ({text['file']}): split {text['split']!r}; choose train, val or "
            "test"
        )
    return RecordingRow(text["file"], text["label"], split)


def _refuse_twice(rows: tuple[RecordingRow, ...], path: Path) -> None:
    known: dict[str, RecordingRow] = {}
    for row in rows:
        first = known.setdefault(normal(row.file), row)
        if first is not row:
            also = f" (in {first.split} and in {row.split})" if first.split != row.split else ""
            raise BadInput(
                f"{path}: file {row.file!r} appears twice{also}; give each recording one row"
            )
