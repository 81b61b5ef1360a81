"""Reports, studies, lists of classes and other small texts: one refusal that names the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from neurozsl.cli.option_values import parse_options
from neurozsl.core.errors import BadInput
from neurozsl.data.benchmark.avca import read_marker
from neurozsl.data.benchmark.avca_layout import MARKER, read_lines, read_rows
from neurozsl.report.schema.frontier import read_frontier
from neurozsl.report.schema.report import read_report
from neurozsl.report.schema.version_2 import read_for_comparison
from neurozsl.report.show.files import is_replaceable

HEAD = {"kind": "run", "schema_version": 2, "layers": [], "energy": []}
TEXTS: dict[str, bytes] = {
    "empty": b"",
    "cut short": b'{"kind": "run", ',
    "lists in lists": b"[" * 100_000,
    "objects in objects": b'{"a":' * 100_000,
    "UTF-16": '{"kind": "run"}'.encode("utf-16"),
    "binary": bytes(range(256)),
    "null": b"null",
    "a list": b"[1]",
    "half a letter": b'{"a": "\\ud800"}',
    "5000 digits": b'{"schema_version": ' + b"9" * 5_000 + b"}",
    "a kind of lists": b'{"kind": [], "schema_version": 2}',
    "a version above float64": b'{"kind": "run", "schema_version": 1e999}',
    "no figures": json.dumps(HEAD).encode(),
    "layers are a number": json.dumps({**HEAD, "layers": 5}).encode(),
    "a layer is a number": json.dumps({**HEAD, "layers": [5]}).encode(),
    "a device is a number": json.dumps({**HEAD, "energy": [{"device": 5}]}).encode(),
    "a host is a number": json.dumps({**HEAD, "host": 5}).encode(),
    "a verdict is a list": json.dumps({**HEAD, "verification": []}).encode(),
}
READERS: dict[str, Callable[[Path], object]] = {
    "report": read_report,
    "comparison": read_for_comparison,
    "frontier": read_frontier,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_report_is_one_refusal(text: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(TEXTS[text])
    with pytest.raises(BadInput) as caught:
        READERS[reader](path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 700 + len(str(path))


@pytest.mark.parametrize("reader", READERS)
def test_a_report_of_gigabytes_is_not_read(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BadInput, match=r"report\.json: 1099511627776 bytes, limit 67108864"):
        READERS[reader](path)
    assert not is_replaceable(path)


def test_a_text_that_is_no_report_is_not_replaced_by_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    replaced = set()
    for name, text in TEXTS.items():
        path.write_bytes(text)
        if is_replaceable(path):
            replaced.add(name)
    versioned = {name for name, text in TEXTS.items() if b'"schema_version": ' in text}
    assert replaced == versioned - {"5000 digits"} | {"empty"}


@pytest.mark.parametrize("text", TEXTS)
def test_the_mark_of_a_generated_set_is_read_or_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / MARKER
    path.write_bytes(TEXTS[text])
    try:
        found = read_marker(tmp_path)
    except BadInput as error:
        assert str(path) in str(error)
    else:
        assert found == json.loads(TEXTS[text])


def test_lists_of_classes_are_text_of_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "all_class.txt"
    for read in (read_lines, lambda path: read_rows(path, ("original",))):
        path.write_bytes(b"Archery\n\xff\n")
        with pytest.raises(BadInput, match=r"all_class\.txt: cannot be read .*copy the class"):
            read(path)
        with path.open("wb") as file:
            file.truncate(2**40)
        with pytest.raises(BadInput, match=r"all_class\.txt: 1099511627776 bytes, limit"):
            read(path)
        path.unlink()
        with pytest.raises(BadInput, match=r"all_class\.txt: does not exist; copy the class"):
            read(path)


def test_lists_in_lists_as_an_option_are_refused() -> None:
    with pytest.raises(BadInput, match="--set 'a': lists nest too deep"):
        parse_options(["a=" + "[" * 100_000])
    assert parse_options(["a=" + "9" * 5_000]) == {"a": "9" * 5_000}
