"""Files of a report: complete or not there, and one refusal where they cannot be written."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_files
from neurozsl.core.places import problem
from neurozsl.core.printable import printable
from neurozsl.core.reading import read_object
from neurozsl.report.schema.report import MAX_REPORT_BYTES


def check_file(page: Path) -> None:
    """Refuse a place that is seen to take no file, before minutes of work.

    Raises:
        BadInput: it is a folder, or the folder above it takes no file.
    """
    reason = problem(page) or ("it is a folder" if page.is_dir() else None)
    if reason is not None:
        raise _refusal(page, reason)


def _refusal(page: Path, reason: str | None) -> BadInput:
    return BadInput(
        f"report '{page}': cannot be written ({reason}); give a file in a folder that can be "
        "written and has space"
    )


@contextmanager
def writing(page: Path) -> Iterator[None]:
    """Make the folder of `page`; what cannot be written inside is a `BadInput` that names it."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise _refusal(page, error.strerror) from None


def replace_texts(texts: Mapping[Path, str]) -> None:
    """Write all of them beside their places, then rename all: a full disk leaves none of them.

    The first is what the others show: none of them ever lies beside another first.
    """
    for path in texts:
        if path.is_dir():  # known late otherwise, when others have their new text
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    with whole_files(tuple(texts)) as parts:
        for path, text in texts.items():
            made = text if path.suffix == ".json" else printable(text)  # `to_json` sees to its own
            parts[path].write_text(made, encoding="utf-8")


def is_replaceable(path: Path) -> bool:
    """Whether a report may take the place of this JSON file: none, an empty one, or a report."""
    try:
        if not path.stat().st_size:  # a shell made it: `--json > r.json`
            return True
    except OSError:  # not there; what else is wrong with it shows when it is written
        return True
    try:
        document = read_object(path, remedy="", max_bytes=MAX_REPORT_BYTES, allow_nan=True)
    except BadInput:
        return False
    return "schema_version" in document
