"""Averaged features of one class: `<Class>.h5` with data (n, D) and video_urls (n,) bytes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32
from neurozsl.data.benchmark.pair import Pair, join_names
from neurozsl.data.hdf5 import PlainFile, opened
from neurozsl.data.index import Rows

MARK = "synthetic"  # attribute of generated files
REMEDY: Final = "copy the file again"


@dataclass(frozen=True)
class Header:
    """What a class file holds, its features left unread: n urls, width D, whether generated."""

    urls: tuple[str, ...]
    width: int
    synthetic: bool


def read_urls(file: PlainFile) -> tuple[str, ...]:
    """Returns the videos of an open class file."""
    return file.texts("video_urls")


def read_header(path: Path) -> Header:
    """Returns urls and width of a class file.

    Raises:
        BadInput: it cannot be read, or urls and rows do not belong together.
    """
    with opened(path, remedy=REMEDY) as file:
        shape, urls = file.shape("data"), read_urls(file)
        synthetic = file.flag(MARK)
    if len(shape) != 2 or len(urls) != shape[0] or len(set(urls)) != len(urls):
        raise BadInput(
            f"{path}: data {shape} with {len(urls)} urls, {len(set(urls))} of them different; "
            "one url per row is needed"
        )
    return Header(urls, int(shape[1]), synthetic)


def read_data(path: Path) -> F32:
    """Returns the features of a class file, (n, D) float32.

    Raises:
        BadInput: it cannot be read.
    """
    with opened(path, remedy=REMEDY) as file:
        return np.asarray(file.numbers("data", "fiu", (None, None)), dtype=np.float32)


def open_pair(audio: Path, video: Path, _kind: str) -> Pair:
    """Opens the two files of a class.

    Raises:
        BadInput: one is damaged, or they list other videos.
    """
    heard, shown = read_header(audio), read_header(video)
    names, audio_rows, video_rows = join_names(heard.urls, shown.urls, video)

    def read(_steps: int) -> Rows:  # one
        return Rows(
            read_data(audio)[audio_rows][:, None],
            read_data(video)[video_rows][:, None],
            np.ones((len(names), 1), dtype=np.bool_),
        )

    return Pair(names, 1, heard.width, shown.width, heard.synthetic or shown.synthetic, read)
