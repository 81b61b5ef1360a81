"""HDF5 under a small limit of file sizes: one message with the final place, nothing left.

Every writer of HDF5 is run in a process of its own, since libhdf5 ended it with SIGSEGV; the limits
go from the first bytes of a file to its last ones, so that each kind of write fails once.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from neurozsl.cli import edge
from neurozsl.core.folders import whole_folder
from neurozsl.core.hdf5_output import Output, hdf5_output
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.graph import to_nir
from tests.export.conftest import branch
from tests.source_tree import ROOT

LIMITS = (0, 1, 100, 600, 1_000, 2_048, 4_096, 5_000, 8_000, 10_240, 20_480, 40_960)
_RUN = """
import resource, sys
from pathlib import Path
import numpy as np
import neurozsl.cli as cli
import typer
{work}
def broken(out: Path) -> None:
    made = prepared()
    for size in {limits}:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            write(made, out)
        except Exception as error:
            told = cli.edge.foreseen(error) or error
            print(size, type(told).__name__, told, file=sys.stderr)
        else:
            print(size, "written", file=sys.stderr)
cli.app.command("break")(broken)
cli.main()
"""
WORKS = {
    "a graph": """
def prepared():
    from tests.export.conftest import branch
    from neurozsl.export.nir.graph import to_nir
    return to_nir(branch((64, 48, 32)))
def write(made, out):
    from neurozsl.export.nir import nirfile
    nirfile.write(out, made)
""",
    "a data set": """
def prepared():
    from neurozsl.data.synthetic.scenes import SyntheticConfig, generate
    return generate(SyntheticConfig(train_per_class=2, val_seen_per_class=1,
                                    val_unseen_per_class=1, test_size=48))
def write(made, out):
    from neurozsl.data import store
    store.save(made, out)
""",
    "a packed data set": """
def prepared():
    from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic
    import tempfile
    folder = Path(tempfile.mkdtemp()) / "data"
    write_synthetic(SyntheticConfig(train_per_class=2, val_seen_per_class=1,
                                    val_unseen_per_class=1, test_size=48), folder)
    return folder
def write(made, out):
    from neurozsl.data.sets.load import convert
    convert(made, out)
""",
}


@pytest.mark.parametrize("what", WORKS)
@pytest.mark.slow
def test_a_file_that_may_not_grow_is_one_message_and_no_signal(what: str, tmp_path: Path) -> None:
    out = tmp_path / "place" / "made"
    out.parent.mkdir()
    script = _RUN.format(work=WORKS[what], limits=LIMITS)
    ended = subprocess.run(
        [sys.executable, "-c", script, "break", str(out)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        text=True,
    )
    assert ended.returncode == 0, (ended.returncode, ended.stderr[-2000:])
    lines = ended.stderr.splitlines()
    assert len(lines) == len(LIMITS), ended.stderr[-3000:]  # no traceback of a destructor beside
    for size, line in zip(LIMITS, lines, strict=True):
        message = f"{size} BadInput '{out}': File too large; raise the limit of file sizes"
        assert line.startswith(message) or line == f"{size} written", line
    assert lines[0] != "0 written" and {x.name for x in out.parent.iterdir()} <= {"made"}


def content(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(keep)
    return found


def test_the_file_holds_what_the_library_writes_itself(tmp_path: Path) -> None:
    graph = to_nir(branch((8, 6, 4)))
    nirfile.write(tmp_path / "ours.nir", graph)
    nir.write(tmp_path / "theirs.nir", graph)
    ours, theirs = content(tmp_path / "ours.nir"), content(tmp_path / "theirs.nir")
    assert ours.keys() == theirs.keys() and len(ours) > 10
    for name, values in ours.items():
        assert type(values) is type(theirs[name]), name
        assert np.array_equal(values, theirs[name]), name


@pytest.mark.parametrize("size", [10, 10_000, 3_000_000])
def test_blocks_chunks_and_text_read_back_while_and_after_they_are_written(
    tmp_path: Path, size: int
) -> None:
    values = np.random.default_rng(0).integers(0, 255, size).astype(np.int32)
    names = [f"name {x}" for x in range(min(size, 5_000))]
    with hdf5_output(tmp_path / "a.h5") as (file, stream):
        file["plain"] = values
        file.create_dataset("chunks", data=values, compression="gzip", chunks=True)
        file.create_dataset("text", data=names, dtype=h5py.string_dtype())
        assert np.array_equal(file["plain"][...], values)
        stream.check()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert np.array_equal(file["plain"][...], values)
        assert np.array_equal(file["chunks"][...], values)
        assert [x.decode() for x in file["text"][...]] == names


def test_an_error_inside_stays_itself_where_the_disk_took_all(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"), hdf5_output(tmp_path / "a.h5") as (file, _):
        file["a"] = np.zeros(10)
        raise KeyError("mine")


def test_long_work_learns_of_a_full_disk_before_its_end(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    written: list[int] = []

    def work(check: Callable[[Output], None]) -> None:
        with hdf5_output(tmp_path / "a.h5") as (file, stream):
            rows = file.create_dataset("rows", (1_000, 1_000), dtype="<f4")
            for row in range(1_000):
                rows[row] = np.ones(1_000)
                check(stream)
                written.append(row)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            work(Output.check)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(written) < 50


@pytest.mark.parametrize("size", [0, 500, 3_000])
def test_the_message_names_the_place_and_not_the_folder_that_was_being_made(
    tmp_path: Path, size: int
) -> None:
    graph = to_nir(branch((8, 6, 4)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    caught: Exception | None = None
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with whole_folder(tmp_path / "lava") as part:
            nirfile.write(part / "motion.nir", graph)
    except OSError as error:
        caught = error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught is not None
    assert str(edge.foreseen(caught)).startswith(f"'{tmp_path / 'lava'}': File too large; raise")
    assert list(tmp_path.iterdir()) == []
