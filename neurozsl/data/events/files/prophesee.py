"""The text before the words of a Prophesee recording: lines that begin with `%`.

    % evt 3.0                      or  % format EVT3;height=720;width=1280
    % geometry 1280x720            where there; else the sensor is known by name
    % end                          where there; else the words begin at the first other byte

Source: OpenEB, RAW file format and encoding formats (docs.prophesee.ai), version 4.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neurozsl.core.errors import BadInput

MAX_HEADER: Final = 2**16  # bytes
SENSORS: Final = (  # name in the header -> width, height, px (OpenEB, sensors and their modules)
    (re.compile(r"gen_?4\.?[12]?|imx636", re.I), (1280, 720)),
    (re.compile(r"gen_?3\.?1?|imx637", re.I), (640, 480)),
    (re.compile(r"genx320", re.I), (320, 320)),
)
_NAMED_BY: Final = ("plugin_name", "sensor_name", "sensor_generation", "generation")


@dataclass(frozen=True)
class RawHeader:
    """What the lines say.

    evt: "2.0", "3.0", ..., "" where not said. size: of the sensor, px. start: first byte of words.
    """

    evt: str
    size: tuple[int, int] | None
    start: int


def is_header(head: bytes) -> bool:
    """Whether a file begins with such lines."""
    return head[:2] == b"% "


def read_header(path: Path) -> RawHeader:
    """The header of a recording.

    Raises:
        BadInput: it does not end, or states an impossible size.
    """
    with path.open("rb") as file:
        head = file.read(MAX_HEADER + 1)
    fields, start = _fields(head)
    if start > MAX_HEADER:
        raise BadInput(f"{path}: header of more than {MAX_HEADER} bytes, the limit; check the file")
    stated = dict(part.partition("=")[::2] for part in fields.get("format", "").split(";"))
    evt = fields.get("evt", "")
    if not evt and (found := re.search(r"EVT(\d)(\d?)", fields.get("format", ""), re.I)):
        evt = f"{found[1]}.{found[2] or 0}"
    text = fields.get("geometry") or f"{stated.get('width', '')}x{stated.get('height', '')}"
    size = None
    if found := re.fullmatch(r"(\d{1,5})x(\d{1,5})", text):
        size = int(found[1]), int(found[2])
    elif "geometry" in fields:
        raise BadInput(f"{path}: header has geometry {text[:40]!r}; WIDTHxHEIGHT is needed")
    return RawHeader(evt, size or _by_name(fields), start)


def evt_version(head: bytes) -> str | None:
    """The EVT version that the begin of a file states; None where it is no such file."""
    if not is_header(head):
        return None
    fields, _ = _fields(head)
    found = re.search(r"EVT(\d)(\d?)", fields.get("format", ""), re.I)
    return fields.get("evt") or (f"{found[1]}.{found[2] or 0}" if found else "")


def _fields(head: bytes) -> tuple[dict[str, str], int]:
    """What the lines say, and where they end."""
    fields: dict[str, str] = {}
    at = 0
    while head[at : at + 1] == b"%":
        stop = head.find(b"\n", at)
        if stop < 0:
            return fields, len(head)
        line = head[at:stop].decode("ascii", "replace").lstrip("% ").rstrip()
        at = stop + 1
        key, _, value = line.partition(" ")
        if key == "end":
            break
        fields.setdefault(key, value.strip())
    return fields, at


def _by_name(fields: dict[str, str]) -> tuple[int, int] | None:
    for key in _NAMED_BY:
        value = fields.get(key, "")
        value = f"gen{value}" if key.endswith("generation") else value
        for pattern, size in SENSORS:
            if pattern.search(value):
                return size
    return None
