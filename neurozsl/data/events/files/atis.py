"""N-MNIST and its like: words of 40 bits, big-endian, as the ATIS camera's tools wrote them.

    byte 0 x, byte 1 y, then bit 23 polarity, bits 22-0 time, us

A word with y = 240 is no event but says that the time counter, 2**13 us long, began again
(Orchard et al. 2015, `Read_Ndataset.m`). `.bin` and `.bs2` hold the same words; the files have no
header, so nothing in them says what they are nor how large the sensor is: 34x34 px of N-MNIST,
unless another is given (N-Caltech101: 240x180).

Source: G. Orchard et al., Converting static image datasets to spiking neuromorphic datasets using
saccades, Front. Neurosci. 9:437, 2015.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from neurozsl.data.events.arrays import WIDE
from neurozsl.data.events.files.base import Array, Decoded, Format, Problems, words
from neurozsl.data.events.stream import taken

OVERFLOW_ROW: Final = 240
OVERFLOW_US: Final = 2**13
NMNIST_SIZE: Final = (34, 34)


def source(path: Path, problems: Problems) -> Decoded:
    """Opens a recording."""
    return Decoded(None, _blocks(path, problems))


def _blocks(path: Path, problems: Problems) -> Iterator[Array]:
    added_us = 0
    for block in words(path, 0, "V5", problems):
        byte = np.frombuffer(block.tobytes(), dtype=np.uint8).reshape(-1, 5).astype(np.int64)
        overflow = byte[:, 1] == OVERFLOW_ROW
        more_us = added_us + np.cumsum(overflow) * OVERFLOW_US
        wide = np.empty(len(byte), dtype=WIDE)
        wide["x"], wide["y"], wide["p"] = byte[:, 0], byte[:, 1], byte[:, 2] >> 7
        wide["t"] = ((byte[:, 2] & 0x7F) << 16 | byte[:, 3] << 8 | byte[:, 4]) + more_us
        added_us = int(more_us[-1])
        problems.events += len(wide) - int(overflow.sum())
        yield taken(wide, ~overflow)


ATIS: Final = Format("N-MNIST (ATIS, 40 bits)", (".bin", ".bs2"), None, source, NMNIST_SIZE)
