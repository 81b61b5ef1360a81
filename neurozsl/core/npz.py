"""Arrays of `.npz` and `.npy` files that anybody may have written, in bounded time and memory.

In: a path and the remedy to tell. Out: arrays by name. A file's own figures are claims; memory is
asked for only after they agree with each other, with the bytes of the file and with the limit.
Refused, always as one `BadInput` that names file, member, actual value, limit and remedy, are

    an archive with too many members, doubled or unprintable names, or anything but arrays
    members that are encrypted, or packed otherwise than numpy packs them
    more bytes unpacked than the limit, or than packed bytes can ever unpack to (1032 : 1)
    a header whose shape and type claim more or fewer bytes than its member holds
    objects (pickles), records, dates          numbers, truth values and text are read, and flat
                                               records of numbers where the caller asks for them
    text that is no Unicode, truth values other than 0 and 1       numpy believes them unseen
    a wrong checksum, damaged or missing bytes

Format: `numpy.lib.format`, versions 1.0 and 2.0; ZIP by APPNOTE 6.3.10.
"""

import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import brief, file_size, unreadable
from neurozsl.core.records import is_plain_record

Array = npt.NDArray[Any]

MAX_ARRAY_BYTES: Final = 2**31  # all arrays of a file together
MAX_MEMBERS: Final = 20_000
MAX_NAME: Final = 1_000  # characters of a name
MAX_HEADER: Final = 10_000  # bytes; numpy's own limit
MAX_RATIO: Final = 1_032  # of deflate: 258 bytes for 2 bits
KINDS: Final = "biufcSU"

_MAGIC: Final = b"\x93NUMPY"
_PACKED: Final = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_READERS: Final = {
    (1, 0): (2, np.lib.format.read_array_header_1_0),
    (2, 0): (4, np.lib.format.read_array_header_2_0),
}
_BLOCK: Final = 2**20
# Whatever a damaged archive makes zipfile, zlib or numpy's header reader raise.
DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    tokenize.TokenError,
    RuntimeError,  # NotImplementedError and RecursionError are two
    MemoryError,
)


@dataclass(frozen=True)
class NpyHead:
    """What the head of a `.npy` claims; `start`: where its values begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int


def read_npz(
    path: Path,
    *,
    remedy: str,
    needed: Sequence[str] = (),
    max_bytes: int = MAX_ARRAY_BYTES,
    records: bool = False,
) -> dict[str, Array]:
    """The arrays of an archive by name, among them those of `needed`.

    records: read flat records of numbers too (`core/records.py`).

    Raises:
        BadInput: one of the refusals of the module docstring, or a needed array is missing.
    """
    size = file_size(path, remedy=remedy)
    try:
        with path.open("rb") as stream:
            _check_archive(stream, size, f"{path}", remedy)
            with zipfile.ZipFile(stream) as archive:
                members = _members(archive, path, size, max_bytes, remedy)
                missing = [name for name in needed if name not in members]
                if missing:
                    raise BadInput(
                        f"{path}: no array {', '.join(map(repr, missing))}, it holds "
                        f"{_listed(list(members))}; {remedy}"
                    )
                return {
                    name: _member(
                        archive, info, f"{path}: array '{name}'", max_bytes, remedy, records
                    )
                    for name, info in members.items()
                }
    except DAMAGE as error:
        raise unreadable(path, error, remedy) from error


def read_npy(path: Path, *, remedy: str, max_bytes: int = MAX_ARRAY_BYTES) -> Array:
    """The array of a `.npy` file.

    Raises:
        BadInput: one of the refusals of the module docstring.
    """
    size = file_size(path, remedy=remedy)
    try:
        with path.open("rb") as stream:
            return _array(stream, size, str(path), max_bytes, remedy)
    except DAMAGE as error:
        raise unreadable(path, error, remedy) from error


def is_npz(path: Path) -> bool:
    """Whether a file begins as an archive does; False where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) in (b"PK\3\4", b"PK\5\6")
    except (OSError, ValueError):
        return False


def _check_archive(stream: IO[bytes], size: int, where: str, remedy: str) -> None:
    """Refuse what is no archive, and one of so many members that listing them takes the memory."""
    head = stream.read(8)
    if not head:
        raise BadInput(f"{where}: is empty; {remedy}")
    if head.startswith(_MAGIC):
        raise BadInput(f"{where}: is a single .npy array, an .npz archive is needed; {remedy}")
    if not head.startswith(b"PK"):
        raise BadInput(f"{where}: is no .npz archive, it begins with {head!r}; {remedy}")
    if more_entries(stream, size, MAX_MEMBERS):
        raise BadInput(f"{where}: more than {MAX_MEMBERS} members, the limit; {remedy}")


def more_entries(stream: IO[bytes], size: int, limit: int) -> bool:
    """Whether a zip of `size` bytes may list more members than `limit`; nothing is listed for it.

    The mark of an entry is counted, which contents may hold as well.
    """
    with closing(mmap(stream.fileno(), size, access=ACCESS_READ)) as data:
        at, entries = data.find(b"PK\1\2"), 0
        while at >= 0 and entries <= limit:
            entries += 1
            at = data.find(b"PK\1\2", at + 46)  # the least that an entry takes
    return entries > limit


def _members(
    archive: zipfile.ZipFile, path: Path, size: int, max_bytes: int, remedy: str
) -> dict[str, zipfile.ZipInfo]:
    """Members by the name of their array, after every claim of the directory was checked."""
    found: dict[str, zipfile.ZipInfo] = {}
    unpacked = packed = 0
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        where = f"{path}: member {info.filename[:80]!r}"
        if name == info.filename or len(name) > MAX_NAME or not name.isprintable():
            raise BadInput(f"{where} is no array (NAME.npy); {remedy}")
        if name in found:
            raise BadInput(f"{where} is there twice; {remedy}")
        if info.flag_bits & 0x2041:  # encrypted, strongly, or with a masked directory
            raise BadInput(f"{where} is encrypted, plain arrays are read; {remedy}")
        if info.compress_type not in _PACKED:
            known = " or ".join(f"{number} ({text})" for number, text in _PACKED.items())
            raise BadInput(
                f"{where} is packed by method {info.compress_type}, expected {known}; {remedy}"
            )
        unpacked += info.file_size
        packed += info.compress_size
        if packed > size:
            raise BadInput(
                f"{where}: it and those before it claim {packed} bytes of a file of {size}; "
                f"{remedy}"
            )
        if unpacked > max_bytes:
            raise BadInput(
                f"{where}: it and those before it claim {unpacked} bytes unpacked, limit "
                f"{max_bytes}; {remedy}"
            )
        ratio = MAX_RATIO if info.compress_type == zipfile.ZIP_DEFLATED else 1
        if info.file_size > ratio * info.compress_size:
            raise BadInput(
                f"{where} claims {info.file_size} bytes, of which the file stores "
                f"{info.compress_size}; {remedy}"
            )
        found[name] = info
    return found


def _member(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    where: str,
    max_bytes: int,
    remedy: str,
    records: bool,
) -> Array:
    try:
        with archive.open(info) as stream:
            array = _array(stream, info.file_size, where, max_bytes, remedy, records)
            if stream.read(1):  # the checksum is compared at the end
                raise BadInput(f"{where} goes on after its values; {remedy}")
            return array
    except DAMAGE as error:
        raise BadInput(f"{where} cannot be read ({brief(error)}); {remedy}") from error


def _array(
    stream: IO[bytes], size: int, where: str, max_bytes: int, remedy: str, records: bool = False
) -> Array:
    """One `.npy` of `size` bytes."""
    header = read_header(stream, where, remedy=remedy)
    dtype, values = header.dtype, prod(header.shape)
    plain = dtype.kind in KINDS and not dtype.hasobject and dtype.subdtype is None
    if not plain and not (records and is_plain_record(dtype)):
        raise BadInput(f"{where} has type {dtype}, expected numbers or text; {remedy}")
    if any(side < 0 for side in header.shape) or len(header.shape) > 32:
        raise BadInput(f"{where} has shape {header.shape}; {remedy}")
    claimed, held = values * dtype.itemsize, size - header.start
    if max(claimed, values) > max_bytes:
        raise BadInput(
            f"{where} claims {values} values of {dtype} ({claimed} bytes), limit {max_bytes} "
            f"bytes; {remedy}"
        )
    if claimed != held:
        raise BadInput(
            f"{where} claims {claimed} bytes (shape {header.shape} of {dtype}) and holds {held}; "
            f"{remedy}"
        )
    content = np.empty(claimed, dtype=np.uint8)
    at = 0
    while at < claimed:
        part = stream.read(min(_BLOCK, claimed - at))
        if not part:
            raise BadInput(f"{where} ends after {at} of {claimed} bytes; {remedy}")
        content[at : at + len(part)] = np.frombuffer(part, dtype=np.uint8)
        at += len(part)
    if not dtype.itemsize:
        return np.zeros(header.shape, dtype=dtype)
    array: Array = content.view(dtype).reshape(header.shape, order="F" if header.fortran else "C")
    check_content(content, dtype, where, remedy=remedy)
    return array


def read_header(stream: IO[bytes] | mmap, where: str, *, remedy: str) -> NpyHead:
    """What stands before the values of a `.npy`; nothing of it is checked yet.

    Raises:
        BadInput: no such head, or another version; numpy raises the rest.
    """
    head = stream.read(8)
    if head[:6] != _MAGIC:
        raise BadInput(f"{where} is no array in numpy's format (begins {head[:6]!r}); {remedy}")
    version = (head[6], head[7]) if len(head) == 8 else (0, 0)
    if version not in _READERS:
        raise BadInput(f"{where} has format {version}, expected (1, 0) or (2, 0); {remedy}")
    width, read = _READERS[version]
    length = stream.read(width)
    size = int.from_bytes(length, "little")
    if len(length) < width or size > MAX_HEADER:
        raise BadInput(f"{where} has a header of {size} bytes, limit {MAX_HEADER}; {remedy}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a damaged header; what counts is what it gives
        shape, fortran, dtype = read(BytesIO(length + stream.read(size)))
    return NpyHead(shape, fortran, dtype, 8 + width + size)


def check_content(
    content: npt.NDArray[np.uint8], dtype: np.dtype[Any], where: str, *, remedy: str
) -> None:
    """Bytes that are no value of their type: numpy gives them out as they are.

    Raises:
        BadInput: text that is no Unicode, or truth values other than 0 and 1.
    """
    if dtype.kind == "b" and content.max(initial=0) > 1:
        raise BadInput(f"{where} holds truth values other than 0 and 1; {remedy}")
    if dtype.kind == "U":
        letters = content.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if np.any((letters > 0x10FFFF) | ((letters >= 0xD800) & (letters < 0xE000))):
            raise BadInput(f"{where} holds text that is no Unicode; {remedy}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:8], "..."] if len(names) > 8 else names) or "nothing"
