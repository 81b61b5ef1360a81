"""Files of a report: complete or not there, and one refusal where they cannot be written."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import read_object
from neurozsl.report.schema.report import MAX_REPORT_BYTES


def check_place(page: Path) -> None:
    """Refuse a place that is seen to take no file, before minutes of work.

    Raises:
        BadInput: it is a folder, or the nearest folder above it that exists is none or read-only.
    """
    above = next(folder for folder in page.absolute().parents if folder.exists())
    if page.is_dir():
        reason = "it is a folder"
    elif not above.is_dir():
        reason = f"'{above}' is no folder"
    elif not os.access(above, os.W_OK):
        reason = f"folder '{above}' is read-only"
    else:
        return
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
    """Write all of them beside their places, then rename all: a full disk leaves none of them."""
    for path in texts:
        if path.is_dir():  # known late otherwise, when others have their new text
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    partial = {path: path.with_name(path.name + ".partial") for path in texts}
    try:
        for path, text in texts.items():
            partial[path].write_text(text, encoding="utf-8")
        for path, written in partial.items():
            os.replace(written, path)
    finally:
        for written in partial.values():
            if written.is_file():
                written.unlink()


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
