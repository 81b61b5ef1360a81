"""One class of one split: its audio file and its video file, joined on the video's name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import I64
from neurozsl.data.index import Block, Rows
from neurozsl.data.ragged import RaggedRows


@dataclass(frozen=True, eq=False)
class Pair:
    """What is known before the features are read.

    Attributes:
        names: n video names, sorted.
        steps: of the longest video; 1 for averaged features.
        audio_dim, video_dim: widths.
        synthetic: the file says of itself that it was generated.
        read: features of all videos, at most so many steps of each.
        lengths: (n,) steps of each video, which `read` gives end to end; None: one step each.
    """

    names: tuple[str, ...]
    steps: int
    audio_dim: int
    video_dim: int
    synthetic: bool
    read: Callable[[int], Rows | RaggedRows]
    lengths: I64 | None = None

    def block(self, label: int, steps: int) -> Block:
        """Returns all videos as samples of class `label`, `steps` long at most."""
        labels = np.full(len(self.names), label, dtype=np.int64)
        lengths = None if self.lengths is None else np.minimum(self.lengths, steps)
        return Block(labels, self.names, partial(self.read, steps), lengths)


def join_names(
    heard: Sequence[str], shown: Sequence[str], path: Path
) -> tuple[tuple[str, ...], list[int], list[int]]:
    """Returns the sorted names, and their rows in the audio and in the video file.

    Raises:
        BadInput: the two list other videos, or none.
    """
    if set(heard) != set(shown) or not heard:
        odd = sorted(set(heard) ^ set(shown))
        raise BadInput(
            f"{path}: {len(heard)} videos with audio, {len(shown)} with picture"
            f"{', only one side has ' + odd[0] if odd else ''}; both need the same (>= 1) urls"
        )
    audio = {name: row for row, name in enumerate(heard)}
    video = {name: row for row, name in enumerate(shown)}
    names = tuple(sorted(audio))
    return names, [audio[name] for name in names], [video[name] for name in names]
