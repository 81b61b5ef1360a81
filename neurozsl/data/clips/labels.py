"""The labels file of a folder of clips: CSV with `file,label,role,embedding_name`."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_bytes
from neurozsl.data.batch import SPLITS
from neurozsl.data.clips.places import name_fault, normal

NEEDED = ("file", "label", "role", "embedding_name")
UNLABELLED = "unlabelled"
ROLES = (*SPLITS, UNLABELLED)
SEEN_ROLES = ("train", "val_seen")
MAX_LABEL_BYTES = 2**26  # 64 MiB, half a million clips


@dataclass(frozen=True)
class LabelRow:
    """One clip: its file below the clips folder, class, role and the name of its class vector."""

    file: str
    label: str
    role: str
    embedding_name: str
    embedding_set: str = ""


def read_labels(path: Path) -> tuple[LabelRow, ...]:
    """Reads and checks the labels file; further columns are ignored.

    Raises:
        BadInput: no such file, a column is missing, a role is unknown, a file appears twice or is
            none below the clips folder, a label has two vector names, or a class has conflicting
            roles.
    """
    remedy = f"give the CSV with {','.join(NEEDED)}"
    data = read_bytes(path, remedy=remedy, max_bytes=MAX_LABEL_BYTES)
    try:
        reader = csv.DictReader(StringIO(data.decode("utf-8-sig"), newline=""))
        columns = reader.fieldnames or []
        missing = [name for name in NEEDED if name not in columns]
        if missing:
            raise BadInput(
                f"{path}: columns {list(columns)}, {missing} missing; the first line must name "
                f"{','.join(NEEDED)}"
            )
        rows = tuple(_row(path, line, values) for line, values in enumerate(reader, start=2))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read ({error}); store it as UTF-8 CSV") from error
    if not rows:
        raise BadInput(f"{path}: 0 rows; list at least one clip")
    check_roles(rows, str(path))
    return rows


def check_roles(rows: Sequence[LabelRow], where: str) -> None:
    """Refuses rows that a zero-shot protocol cannot use together."""
    roles: dict[str, set[str]] = defaultdict(set)
    vectors: dict[str, set[tuple[str, str]]] = defaultdict(set)
    seen_files: set[str] = set()
    for row in rows:
        if normal(row.file) in seen_files:
            raise BadInput(f"{where}: file {row.file!r} appears twice; give each clip one row")
        seen_files.add(normal(row.file))
        if row.role != UNLABELLED:
            roles[row.label].add(row.role)
            vectors[row.label].add((row.embedding_set, row.embedding_name))
    for label, named in sorted(vectors.items()):
        if len(named) > 1:
            raise BadInput(
                f"{where}: class {label!r} has {len(named)} vector names {sorted(named)}; use one"
            )
    for label, has in sorted(roles.items()):
        problem = _conflict(has)
        if problem:
            raise BadInput(f"{where}: class {label!r} has roles {sorted(has)}; {problem}")


def _conflict(roles: set[str]) -> str:
    """Why these roles of one class exclude each other, or an empty string."""
    if "test_unseen" in roles and len(roles) > 1:
        return "a test_unseen class may have no other role"
    if "val_unseen" in roles and roles & set(SEEN_ROLES):
        return "a val_unseen class may not be in train or val_seen"
    if "val_seen" in roles and "train" not in roles:
        return "a val_seen class needs train clips"
    if "test_seen" in roles and not roles & {"train", "val_unseen"}:
        return "a test_seen class needs train (or val_unseen) clips"
    return ""


def _row(path: Path, line: int, values: dict[str, str | None]) -> LabelRow:
    text = {name: (values.get(name) or "").strip() for name in (*NEEDED, "embedding_set")}
    if text["role"] not in ROLES:
        raise BadInput(
            f"{path}, line {line} ({text['file']}): role {text['role']!r}; choose one of {ROLES}"
        )
    if not text["file"] or (text["role"] != UNLABELLED and not text["label"]):
        raise BadInput(f"{path}, line {line}: file or label is empty; fill it in")
    if fault := name_fault(text["file"]):
        raise BadInput(
            f"{path}, line {line}: file {text['file']!r} {fault}; name files below the folder of "
            "the clips"
        )
    return LabelRow(**text)
