"""Packed runs, damaged, foreign or hostile: one error that names the file, nothing is left."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.portable.members import is_member
from neurozsl.portable.pack import pack
from neurozsl.portable.unpack import unpack
from neurozsl.runs.kept import KEPT
from neurozsl.runs.seal import own_digest
from tests.cli.conftest import run_command


@pytest.fixture(scope="module")
def source(run_dir: Path, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(workspace / "data", folder / "data")
    return Path(shutil.copytree(run_dir, folder / "run", ignore=shutil.ignore_patterns("deploy")))


@pytest.fixture(scope="module")
def packed(source: Path) -> Path:
    return pack(source, source.with_name("run.zip")).path


Members = dict[str, bytes]


def members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {x.filename: archive.read(x) for x in archive.infolist()}


def written(files: Members, method: int = zipfile.ZIP_STORED, **fields: int) -> bytes:
    """A zip of these; fields: of every member's head."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, content)
    return stream.getvalue()


def noted(files: Members) -> Members:
    """The members with a `pack.json` that says just these."""
    said = json.loads(files["pack.json"])
    said["files"] = {
        k: {"bytes": len(v), "sha256": hashlib.sha256(v).hexdigest()}
        for k, v in files.items()
        if k != "pack.json"
    }
    return {**files, "pack.json": json.dumps(said).encode()}


def with_member(name: str) -> Callable[[Members], bytes]:
    return lambda files: written(noted({**files, name: b"x"}))


def said(change: Callable[[dict[str, Any]], object]) -> Callable[[Members], bytes]:
    def damage(files: Members) -> bytes:
        content = json.loads(files["pack.json"])
        change(content)
        return written({**files, "pack.json": json.dumps(content).encode()})

    return damage


def patched(place: bytes, offset: int, value: bytes) -> Callable[[Members], bytes]:
    def damage(files: Members) -> bytes:
        content = bytearray(written(files))
        at = content.rindex(place) + offset
        content[at : at + len(value)] = value
        return bytes(content)

    return damage


def with_nul(files: Members) -> bytes:
    """A name that ends for some readers where it does not for others."""
    return written(noted({**files, "start.json!png": b"x"})).replace(
        b"start.json!png", b"start.json\0png"
    )


def linked(files: Members) -> bytes:
    return written(noted({**files, "model.json": b"/etc/passwd"}),
                   external_attr=(stat.S_IFLNK | 0o777) << 16)  # fmt: skip


def twice(files: Members) -> bytes:
    stream = io.BytesIO(written(files))
    with zipfile.ZipFile(stream, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("run.json", files["run.json"])
    return stream.getvalue()


def bomb(files: Members) -> bytes:
    return written(noted({**files, "log.jsonl": bytes(5_000_000)}), zipfile.ZIP_DEFLATED)


def of_another_run(files: Members) -> bytes:
    result = json.loads(files["result.json"])
    result["test"]["HM"] = 99.0
    result["digest"] = own_digest(result)
    return written(noted({**files, "result.json": json.dumps(result).encode()}))


def changed_settings(files: Members) -> bytes:
    settings = json.loads(files["run.json"])
    settings["train"]["epochs"] = 99
    return written(noted({**files, "run.json": json.dumps(settings).encode()}))


def many(files: Members) -> bytes:
    return written(noted({**files, **{f"measured/{i}.json": b"" for i in range(2_100)}}))


DAMAGES: Final[dict[str, tuple[Callable[[Members], bytes], str]]] = {
    "empty": (lambda _: b"", "is no zip archive, it is empty"),
    "text": (lambda _: b"run,data\n" * 99, "is no zip archive, it begins with"),
    "a head alone": (lambda _: b"PK\3\4", "cannot be read"),
    "cut in the middle": (lambda x: written(x)[: 400_000], "cannot be read"),
    "cut at the end": (lambda x: written(x)[:-30], "cannot be read"),
    "no member": (lambda _: written({}), "pack.json is missing"),
    "no pack.json": (
        lambda x: written({k: v for k, v in x.items() if k != "pack.json"}),
        "pack.json is missing, it was not written by `neurozsl pack`",
    ),
    "pack.json is text": (lambda x: written({**x, "pack.json": b"hello"}), "not readable JSON"),
    "pack.json nests": (
        lambda x: written({**x, "pack.json": b'{"a":' * 5_000 + b"1" + b"}" * 5_000}),
        "nest deeper",
    ),
    "pack.json of 5 MB": (
        lambda x: written({**x, "pack.json": x["pack.json"] + b" " * 5_000_000}), "bytes, limit",
    ),
    "another schema": (said(lambda x: x.update(schema=2)), "schema 2, this version reads 1"),
    "a file less": (said(lambda x: x["files"].pop("run.json")), "differ in 'run.json'"),
    "a file more": (
        said(lambda x: x["files"].update({"start.json": {"bytes": 1, "sha256": ""}})),
        "differ in 'start.json'",
    ),
    "another SHA-256": (
        said(lambda x: x["files"]["model.json"].update(sha256="0" * 64)),
        "member 'model.json' was changed",
    ),
    "another length": (
        said(lambda x: x["files"]["model.json"].update(bytes=7)), "notes 7 and",
    ),
    "bytes of text": (
        said(lambda x: x["files"]["model.json"].update(bytes="many")), "expected a whole number",
    ),
    "another result": (said(lambda x: x.update(result="0" * 64)), "is that of another run"),
    "no result": (said(lambda x: x.pop("result")), "'result' missing"),
    "a changed byte": (
        patched(b"motion_widths", 3, b"\0"), "Bad CRC-32",
    ),
    "a name above": (with_member("../evil.txt"), "'../evil.txt' is no file of a run"),
    "a name above a bundle": (with_member("deploy/../evil"), "is no file of a run"),
    "an absolute name": (with_member("/etc/evil"), "'/etc/evil' is no file of a run"),
    "a name of Windows": (with_member("C:\\evil"), "is no file of a run"),
    "a backslash": (with_member("deploy\\x\\manifest.json"), "is no file of a run"),
    "a name with a bell": (with_member("deploy/x/a\ab"), "'deploy/x/a\\x07b' is no file of a run"),
    "a name that turns": (with_member("deploy/x/\u202egnp.exe"), "is no file of a run"),
    "a name with a NUL": (with_nul, "'start.json' is no file of a run"),
    "an empty part": (with_member("deploy//x"), "is no file of a run"),
    "a hidden file": (with_member(".bashrc"), "is no file of a run"),
    "a script": (with_member("run.sh"), "is no file of a run"),
    "a long name": (with_member("deploy/x/" + "n" * 300), "is no file of a run"),
    "a folder": (with_member("deploy/x/"), "is no file of a run"),
    "other letter case": (
        lambda x: written(noted({**x, "measured/Trained.json": b"{}"})), "is there twice",
    ),
    "a name twice": (twice, "'run.json' is there twice"),
    "links": (linked, "is a link, a folder or a device"),
    "a device": (
        lambda x: written(x, external_attr=(stat.S_IFCHR | 0o666) << 16), "or a device",
    ),
    "compressed": (lambda x: written(x, zipfile.ZIP_DEFLATED), "is compressed (method 8"),
    "a bomb": (bomb, "is compressed (method 8"),
    "encrypted": (patched(b"PK\1\2", 8, b"\1\0"), "is encrypted"),
    "the directory claims 4 GB": (
        patched(b"PK\1\2", 20, b"\xf0\xff\xff\xff" * 2), "bytes of a file of",
    ),
    "2,100 members": (many, "members, at most 2000 are read"),
    "of another run": (of_another_run, "is that of another run"),
    "settings of another run": (changed_settings, "holds no run that opens"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_of_a_packed_run_has_its_words_and_leaves_nothing(
    damage: str, packed: Path, tmp_path: Path
) -> None:
    make, words = DAMAGES[damage]
    file = tmp_path / "sent.zip"
    file.write_bytes(make(members(packed)))
    before = file.read_bytes()
    ran = run_command("unpack", file, "--out", tmp_path / "deeper" / "run")
    assert (ran.code, ran.out) == (2, ""), ran.err
    [line] = ran.err.splitlines()
    assert line.startswith(f"error: {file}") and words in line and len(line) < 1000, line
    left = [x for x in tmp_path.rglob("*") if x.is_file()]
    assert left == [file] and file.read_bytes() == before
    assert not (tmp_path / "deeper" / "run").exists()


def test_a_sound_one_is_opened_and_no_file_is_another(
    packed: Path, source: Path, tmp_path: Path
) -> None:
    made = unpack(packed, tmp_path / "run")
    files = {str(x.relative_to(made.path)): x for x in made.path.rglob("*") if x.is_file()}
    assert made.files == len(files) >= 6
    for name, file in files.items():
        assert file.read_bytes() == (source / name).read_bytes(), name


@pytest.mark.parametrize("instead", ["absent", "a folder", "a link to itself"])
def test_what_is_no_file_is_named(instead: str, tmp_path: Path) -> None:
    file = tmp_path / "run.zip"
    if instead == "a folder":
        file.mkdir()
    elif instead == "a link to itself":
        file.symlink_to(file)
    ran = run_command("unpack", file, "--out", tmp_path / "run")
    assert ran.code == 2 and str(file) in ran.err and "Traceback" not in ran.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", range(8))
def test_one_flipped_bit_is_refused_or_changes_no_file(
    seed: int, packed: Path, tmp_path: Path
) -> None:
    content = np.frombuffer(packed.read_bytes(), np.uint8).copy()
    draw = np.random.default_rng(seed)
    content[draw.integers(len(content))] ^= 1 << draw.integers(8)
    file = tmp_path / "run.zip"
    file.write_bytes(content.tobytes())
    try:
        made = unpack(file, tmp_path / "run")
    except BadInput as error:
        assert str(file) in str(error)
        assert list(tmp_path.iterdir()) == [file]
        return
    # In what no content depends on: the time of a member, say.
    assert (
        members(packed).items()
        >= {
            str(x.relative_to(made.path)): x.read_bytes()
            for x in made.path.rglob("*")
            if x.is_file()
        }.items()
    )


def test_names_of_members() -> None:
    good = ("run.json", "deploy/lava/run_lava.py", "stage1/best.safetensors", "measured/a.json")
    bad = ("", ".", "deploy", "deploy/lava", "deploy/lava/x/y", "stage0/best.safetensors", "x.py",
           "measured/..", "measured/.x", "deploy/lava/\n", "deploy/lava/ü", "run.json/x",
           "run.json\n", "stage1/best.safetensors\n")  # fmt: skip
    assert all(map(is_member, good)) and not any(map(is_member, bad))


# ---------------------------------------------------------------- packing


def test_a_damaged_run_is_not_packed(source: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(source, tmp_path / "run"))
    (own / KEPT).write_bytes((own / KEPT).read_bytes()[:-1])
    ran = run_command("pack", own, "--out", tmp_path / "r.zip", "--data", source.parent / "data")
    assert ran.code == 2 and KEPT in ran.err
    assert not (tmp_path / "r.zip").exists()


def test_a_damaged_bundle_is_not_packed_and_can_be_left_out(
    source: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(source, tmp_path / "run"))
    shutil.copytree(lava_bundle, own / "deploy" / "lava")
    (own / "deploy" / "lava" / "golden.npz").write_bytes(b"")
    where = ("--out", tmp_path / "r.zip", "--data", source.parent / "data")
    ran = run_command("pack", own, *where)
    assert ran.code == 2 and "golden.npz" in ran.err and not (tmp_path / "r.zip").exists()
    assert run_command("pack", own, "--without-bundles", *where).code == 0
    (own / "deploy" / "lava").rename(own / "deploy" / "of mine")
    ran = run_command("pack", own, *where)
    assert ran.code == 2 and "--without-bundles" in ran.err
