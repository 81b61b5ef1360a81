"""Every archive of arrays is read by `core/npz.py`: claims are checked before memory is asked."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.core.npz import is_npz, read_npy, read_npz

RNG = np.random.default_rng(7)
ARRAYS: dict[str, Any] = {
    "codes/audio": RNG.integers(0, 2, (3, 5, 7)).astype(np.int16),
    "weight": np.asfortranarray(RNG.normal(size=(6, 4))),
    "dead": np.array([True, False]),
    "names": np.array(["walk", "läuft"]),
    "json": np.array('{"schema": 1}'),
    "none": np.zeros((0, 4), np.float32),
    "old": np.arange(3, dtype=">i4"),
    "bytes": np.array([b"a", b"bcd"]),
}
LIMIT = 1_000_000


def read(path: Path) -> dict[str, Any]:
    return read_npz(path, remedy="export again", needed=("weight",), max_bytes=LIMIT)


def npy(array: npt.NDArray[Any], **header: object) -> bytes:
    """A `.npy`, with parts of its header replaced."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    if not header:
        return stream.getvalue()
    said: dict[str, Any] = {
        "descr": array.dtype.str,
        "fortran_order": False,
        "shape": array.shape,
    } | header
    text = repr(said).encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + array.tobytes()


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)


def patched(path: Path, place: str, offset: int, value: bytes) -> None:
    """Bytes of the first local header ("local"), or of the first entry of the directory."""
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\3\4" if place == "local" else b"PK\1\2") + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)


WEIGHT = npy(np.ones((4, 4)))


def plain(content: bytes, name: str = "weight.npy") -> Callable[[Path], None]:
    return lambda path: archive(path, {name: content})


def both(offset: int, value: bytes, gap: int = 2) -> Callable[[Path], None]:
    """The same field in both headers; the entry's lies `gap` bytes later."""

    def damage(path: Path) -> None:
        archive(path, {"weight.npy": WEIGHT})
        patched(path, "local", offset, value)
        patched(path, "entry", offset + gap, value)

    return damage


def claim_of_directory(size: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        archive(path, {"weight.npy": WEIGHT}, zipfile.ZIP_DEFLATED)
        patched(path, "entry", 24, struct.pack("<I", size))

    return damage


def cut(path: Path) -> None:
    np.savez(path, **ARRAYS)
    path.write_bytes(path.read_bytes()[:-30])


def broken_zlib(path: Path) -> None:
    archive(path, {"weight.npy": WEIGHT}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[40:48] = b"\xff" * 8
    path.write_bytes(data)


def other_name(path: Path) -> None:
    archive(path, {"weight.npy": WEIGHT})
    patched(path, "local", 30, b"heavie")


def real_bomb(path: Path) -> None:
    archive(path, {"weight.npy": npy(np.zeros(40_000_000, np.uint8))}, zipfile.ZIP_DEFLATED)


def doubled(path: Path) -> None:
    archive(path, {"weight.npy": WEIGHT, "weighs.npy": WEIGHT})
    path.write_bytes(path.read_bytes().replace(b"weighs", b"weight"))


def overlapping(path: Path) -> None:
    """Two entries of the directory that give the same bytes of the file out."""
    content = npy(np.zeros(3_000, np.uint8))
    archive(path, {f"{i:06d}.npy": b"" if i else content for i in range(3)})
    data = path.read_bytes()
    at = data.index(b"PK\1\2")
    first, rest = data[at : at + 56], data[at + 56 :]
    same = b"".join(first.replace(b"000000", f"{i:06d}".encode()) for i in range(3))
    path.write_bytes(data[:at] + same + rest[112:])


ONES = np.ones((4, 4))
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: None, "does not exist"),
    "folder": (lambda path: path.mkdir(), "is no file"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "plain npy": (lambda path: path.write_bytes(WEIGHT), "is a single .npy array"),
    "text": (lambda path: path.write_text("names,vectors"), "is no .npz archive, it begins with"),
    "two letters": (lambda path: path.write_bytes(b"PK"), "cannot be read (BadZipFile"),
    "cut short": (cut, "cannot be read (BadZipFile"),
    "no member": (lambda path: archive(path, {}), "no array 'weight', it holds nothing"),
    "another array": (plain(WEIGHT, "bias.npy"), "no array 'weight', it holds bias"),
    "no array": (plain(b"hello", "weight.txt"), "member 'weight.txt' is no array (NAME.npy)"),
    "a name with a bell": (plain(WEIGHT, "a\ab.npy"), "is no array (NAME.npy)"),
    "a name without end": (plain(WEIGHT, "a" * 2_000 + ".npy"), "is no array (NAME.npy)"),
    "a name twice": (doubled, "member 'weight.npy' is there twice"),
    "members that overlap": (overlapping, "bytes of a file of"),
    "encrypted": (both(6, b"\1\0"), "is encrypted"),
    "method 99": (both(8, b"\x63\0"), "is packed by method 99, expected 0 (stored) or 8"),
    "bzip2": (
        lambda path: archive(path, {"weight.npy": WEIGHT}, zipfile.ZIP_BZIP2),
        "is packed by method 12",
    ),
    "damaged zlib": (broken_zlib, "array 'weight' cannot be read (error"),
    "wrong checksum": (both(14, b"\0\0\0\0"), "Bad CRC-32"),
    "another local name": (other_name, "differ"),
    "the directory claims 4 GB": (claim_of_directory(2**32 - 2), "unpacked, limit 1000000"),
    "the directory claims 900 kB": (claim_of_directory(900_000), "claims 900000 bytes, of which"),
    "the directory claims less": (claim_of_directory(150), "Bad CRC-32"),
    "40 MB of zeros": (real_bomb, "unpacked, limit 1000000"),
    "a header claims 4 TB": (plain(npy(ONES, shape=(2**39,))), "claims 549755813888 values"),
    "a header claims too much": (plain(npy(ONES, shape=(4, 5))), "claims 160 bytes (shape (4, 5)"),
    "a header claims too little": (plain(npy(ONES, shape=(4,))), "claims 32 bytes (shape (4,)"),
    "values of no byte": (plain(npy(ONES, descr="<U0", shape=(10**9,))), "claims 1000000000 val"),
    "a negative side": (plain(npy(ONES, shape=(-4, -4))), "has shape (-4, -4)"),
    "64 sides": (plain(npy(ONES, shape=(1,) * 64)), "has shape (1, 1, 1"),
    "a shape of text": (plain(npy(ONES, shape="16")), "array 'weight' cannot be read"),
    "an unknown type": (plain(npy(ONES, descr="<q9")), "array 'weight' cannot be read"),
    "objects": (plain(npy(np.array([{}, None]))), "has type object, expected numbers or text"),
    "records": (plain(npy(np.zeros(2, [("a", "<f8")]))), "expected numbers or text"),
    "dates": (plain(npy(np.zeros(2, "<M8[s]"))), "expected numbers or text"),
    "a header of 60 kB": (plain(b"\x93NUMPY\1\0\x60\xea" + b" " * 60_000), "a header of 60000"),
    "a header of 4 GB": (plain(b"\x93NUMPY\2\0\xff\xff\xff\xff{}"), "a header of 4294967295 bytes"),
    "a header of brackets": (
        plain(b"\x93NUMPY\1\0" + struct.pack("<H", 9_000) + b"(" * 9_000),
        "array 'weight' cannot be read",
    ),
    "no header": (plain(b"\x93NUM"), "is no array in numpy's format"),
    "format 9": (plain(b"\x93NUMPY\x09\0\0\0"), "has format (9, 0)"),
    "truth of 2": (plain(npy(np.array([2, 1], np.uint8), descr="|b1")), "other than 0 and 1"),
    "text above Unicode": (
        plain(npy(np.array([0x110000], np.uint32), descr="<U1")),
        "text that is no Unicode",
    ),
    "half a letter": (
        plain(npy(np.array([0xD800], ">u4"), descr=">U1")),
        "text that is no Unicode",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_of_an_archive_has_its_words_and_takes_no_memory(
    damage: str, tmp_path: Path
) -> None:
    path = tmp_path / "program.npz"
    make, said = DAMAGES[damage]
    make(path)
    tracemalloc.start()
    with pytest.raises(BadInput) as caught:
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(caught.value)
    assert str(path) in message and said in message and message.endswith("; export again")
    assert "\n" not in message and len(message) < 500 + len(str(path))
    assert peak < 10_000_000


def test_a_sound_archive_is_read_as_numpy_reads_it(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        path = tmp_path / f"{save.__name__}.npz"
        save(path, **ARRAYS)
        found = read(path)
        assert list(found) == list(ARRAYS) and is_npz(path)
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype and found[name].flags.writeable
            np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_single_array_is_read_as_numpy_reads_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "one.npy"
    np.save(path, ARRAYS[name])
    np.testing.assert_array_equal(read_npy(path, remedy="-"), ARRAYS[name], strict=True)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BadInput, match=r"one\.npy claims .* and holds"):
        read_npy(path, remedy="-")
    assert not is_npz(path) and not is_npz(tmp_path)


def test_too_many_members_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "many.npz"
    path.write_bytes(b"PK\3\4" + (b"PK\1\2" + bytes(42)) * 20_001)
    with pytest.raises(BadInput, match="more than 20000 members"):
        read(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bits_are_refused_or_change_nothing(method: int, tmp_path: Path) -> None:
    path = tmp_path / "program.npz"
    archive(path, {f"{name}.npy": npy(array) for name, array in ARRAYS.items()}, method)
    sound, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for i in range(400):
        content = bytearray(sound)
        if i % 6:
            content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        else:
            del content[rng.integers(len(content)) :]
        path.write_bytes(content)
        try:
            found = read(path)
        except BadInput as error:
            refused += 1
            assert str(path) in str(error)
        else:
            for name, array in found.items():  # a flipped name is another name
                if name in ARRAYS:
                    np.testing.assert_array_equal(array, ARRAYS[name], strict=True)
    assert 200 < refused < 400
