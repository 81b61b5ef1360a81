"""Text files of a report: complete or not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write beside, then rename."""
    replace_texts({path: text})


def replace_texts(texts: Mapping[Path, str]) -> None:
    """Write all of them beside their places, then rename all: a full disk leaves none of them."""
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
