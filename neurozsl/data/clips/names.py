"""Which files are videos, by their names; imports nothing, so that commands may ask."""

from pathlib import Path
from typing import Final

VIDEOS: Final = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm")


def is_video(file: Path) -> bool:
    """Whether a file is named as a video.

    >>> is_video(Path("a/clip.MP4")), is_video(Path("a/recording.npz"))
    (True, False)
    """
    return file.suffix.lower() in VIDEOS
