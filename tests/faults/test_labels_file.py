"""A labels file that is none, or has no end: refused at once, in bounded time and memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.clips.labels import MAX_LABEL_BYTES, read_labels
from tests.cli.conftest import run_command

HEAD = b"file,label,role,embedding_name\n"


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(HEAD)
        file.truncate(200 * 2**30)


def linked(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "is no file"),
    "a folder": (Path.mkdir, "is no file"),
    "/dev/zero": (linked("/dev/zero"), "is no file"),
    "/dev/full": (linked("/dev/full"), "is no file"),
    "/dev/stdin": (linked("/dev/tty"), "is no file"),
    "a link to nothing": (linked("nothing"), "does not exist"),
    "a circle": (linked("labels.csv"), "labels.csv"),
    "200 GB": (sparse, f"limit {MAX_LABEL_BYTES}"),
    "no UTF-8": (lambda path: path.write_bytes(HEAD + b"\xff,a,train,a\n"), "UTF-8"),
    "a field without end": (
        lambda path: path.write_bytes(HEAD + b'"' + b"x" * 2**18), "field larger than"
    ),
    "no row": (lambda path: path.write_bytes(HEAD), "0 rows"),
    "no column": (lambda path: path.write_bytes(b""), "missing"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_table_of_labels_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    make, said = KINDS[kind]
    make(path)
    with pytest.raises(BadInput, match=r"labels\.csv") as caught:
        read_labels(path)
    assert said in str(caught.value)


def test_a_pipe_ends_the_command_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.csv")
    (tmp_path / "clips").mkdir()
    given = ("--clips", tmp_path / "clips", "--labels", tmp_path / "labels.csv")
    ended = run_command("data", "build", *given, "--vectors", "v.npz", "--out", tmp_path / "set")
    assert ended.code == 2 and "is no file" in ended.err, ended.err


def test_a_table_with_a_mark_of_its_encoding_and_commas_in_quotes_is_read(tmp_path: Path) -> None:
    text = '\ufefffile,label,role,embedding_name\r\n"a,b.mp4",x,train,x\r\n'
    (tmp_path / "labels.csv").write_bytes(text.encode())
    [row] = read_labels(tmp_path / "labels.csv")
    assert (row.file, row.label) == ("a,b.mp4", "x")
