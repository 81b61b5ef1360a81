"""What a pickle must not do to its reader."""

from pathlib import Path


class Trap:
    """Makes a folder when it is unpickled the ordinary way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.path,)
