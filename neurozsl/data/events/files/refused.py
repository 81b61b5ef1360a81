"""Files of event cameras that are known and not read: each by name, with the way out."""

import re
from typing import Final

from neurozsl.data.events.files.prophesee import evt_version, is_header

_AEDAT: Final = re.compile(rb"#!AER-D[Aa][Tt](\d\.\d)")
CONVERT_AEDAT: Final = "convert it to AEDAT 4 with iniVation's DV software"
CONVERT_RAW: Final = "convert it to EVT 3.0 or HDF5 with the tools of OpenEB"


def named(head: bytes) -> str | None:
    """What a file is whose first bytes are these, and the remedy; None where it is none of them.

    >>> print(named(b"#!AER-DAT2.0 "))
    is AEDAT 2.0, of which version 4 is read; convert it to AEDAT 4 with iniVation's DV software
    """
    if found := _AEDAT.match(head):
        version = found[1].decode()
        return (
            None
            if version == "4.0"
            else f"is AEDAT {version}, of which version 4 is read; {CONVERT_AEDAT}"
        )
    if head.startswith(b"#!"):
        return f"begins as AEDAT 1 or another text-headed file does; {CONVERT_AEDAT}"
    if is_header(head):
        if b"Data file containing" in head[:400]:
            return f"is a Prophesee DAT file, which is not read; {CONVERT_RAW}"
        version = evt_version(head) or ""
        if version not in ("2", "2.0", "3", "3.0"):
            plain = re.fullmatch(r"[0-9.]{1,8}", version)
            said = version if plain else repr(version[:12])
            shown = f"EVT {said}" if version else "a recording that states no EVT version"
            return f"is {shown}, of which 2.0 and 3.0 are read; {CONVERT_RAW}"
    if head.startswith(b"#ROSBAG"):
        return "is a ROS bag, which is not read; extract its events to .npz or .h5"
    return None
