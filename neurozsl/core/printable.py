r"""Text of foreign origin as people may see it: nothing in it moves a cursor or names a window.

Names of files and values of options hold any bytes. Control characters, which a terminal obeys, and
bytes that are no UTF-8, which no file of ours can hold, are written out as shells read them.
"""

import re
from typing import Final

_TURNS: Final = r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # the order of what follows, lines
UNSEEN: Final = re.compile(rf"[^ -~\u00a0-\ud7ff\ue000-\U0010ffff]|[{_TURNS}]")
"""Control characters, marks that turn the order of letters, and lone surrogates."""
_UNSEEN_IN_TEXT: Final = re.compile(rf"[^\n\t -~\u00a0-\ud7ff\ue000-\U0010ffff]|[{_TURNS}]")
_LONE: Final = re.compile(r"[\ud800-\udfff]")
_NAMED: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def written_out(found: re.Match[str]) -> str:
    """The bytes of one unseen character."""
    character = found[0]
    if character in _NAMED:
        return _NAMED[character]
    if not "\udc80" <= character <= "\udcff" and _LONE.match(character):
        return f"\\u{ord(character):04x}"  # half of a pair, which is no byte of a name
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def printable(text: str) -> str:
    r"""Text of several lines with all else that is unseen written out.

    >>> print(printable("a\x1b]0;title\x07.nir\nb\udcff"))
    a\x1b]0;title\x07.nir
    b\xff
    """
    return _UNSEEN_IN_TEXT.sub(written_out, text)


def printable_json(text: str) -> str:
    r"""JSON text whose unseen characters are escaped, and bytes that are none written out.

    >>> print(printable_json('["a\udcff\x9b"]'))
    ["a\\xff\u009b"]
    """
    return UNSEEN.sub(_in_json, text)


def _in_json(found: re.Match[str]) -> str:
    character = found[0]
    if character in "\n\t\r":  # between values; inside of them they are escaped already
        return character
    if _LONE.match(character):
        return written_out(found).replace("\\", "\\\\")
    return f"\\u{ord(character):04x}"
