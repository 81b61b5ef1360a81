"""Whether something can be written at a place: asked before the work, not after it."""

import os
import stat
import tempfile
from pathlib import Path

from neurozsl.core.errors import BadInput


def check_place(place: Path, what: str, *, remedy: str = "choose another --out") -> None:
    """Refuses a place that takes no file or folder; what will be missing of space is not seen.

    Tried for real in the nearest folder above that exists, with a file that has no name.

    what: the word for it in the message, as "report". remedy: ends the message.

    Raises:
        BadInput: a folder above is none or takes no file, or a name is too long.
    """
    reason = problem(place)
    if reason is not None:
        raise BadInput(f"{what} '{place}': cannot be written ({reason}); {remedy}")


def problem(place: Path) -> str | None:
    """Why nothing can be written at a place; None where it can."""
    absolute = place.absolute()
    above, missing = absolute.parent, [absolute.name]
    try:
        if os.path.lexists(place):
            place.stat()  # raises where links lead nowhere, or in a circle
        while not os.path.lexists(above):
            missing.append(above.name)
            above = above.parent
        if not stat.S_ISDIR(above.stat().st_mode):
            return f"'{above}' is no folder"
        longest = os.pathconf(above, "PC_NAME_MAX")
        for name in missing:
            if len(os.fsencode(name)) > longest:
                return f"a name of {len(os.fsencode(name))} bytes, at most {longest} there"
        if len(os.fsencode(absolute)) >= os.pathconf(above, "PC_PATH_MAX"):
            return "the path is too long for the system"
        with tempfile.TemporaryFile(dir=above):
            return None
    except FileNotFoundError:
        return "it is a link to what is not there"
    except OSError as error:
        return f"{error.filename or above}: {os.strerror(error.errno or 0)}"
