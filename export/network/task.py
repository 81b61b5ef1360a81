"""What the samples of an input are: labels, and how the network's output answers; a `Task`.

Labels are a `.npy` array, or a `.npz` with one array or one called `labels`: a whole number a
sample, 0 to the neurons of the output layer - 1.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.npz import is_npz, read_npy, read_npz
from neurozsl.core.reading import file_size
from neurozsl.export.bundle.task_score import Readout
from neurozsl.export.network.network_run import Fed
from neurozsl.export.network.readout import needs_membrane, output_layer, readout_of
from neurozsl.hardware.lower.lower import Lowered

_REMEDY: Final = "give a .npy of one whole number a sample (numpy.save), or a .npz of `labels`"
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Task:
    """What the samples of an input are.

    labels: classes `(sample,)`. readout: how the output answers. output: the layer that does.
    classes: its neurons. membrane: whether a run has to be asked to keep it. labels_sha256,
    input_sha256: of the files, "" where there were none.
    """

    labels: Ints
    readout: Readout
    output: str
    classes: int
    membrane: bool = False
    labels_sha256: str = ""
    input_sha256: str = ""


def read_labels(path: Path, samples: int) -> Ints:
    """The labels of a file, one for each of `samples`.

    Raises:
        BadInput: no such file, not whole numbers, or another number of them.
    """
    path = Path(path)
    file_size(path, remedy=_REMEDY)
    if not is_npz(path):
        return check_labels(read_npy(path, remedy=_REMEDY), samples, str(path))
    arrays = read_npz(path, remedy=_REMEDY)
    name = "labels" if "labels" in arrays else next(iter(arrays), "")
    if not arrays or ("labels" not in arrays and len(arrays) > 1):
        raise BadInput(
            f"{path}: holds {', '.join(arrays) or 'no array'}, none of them called labels; "
            f"{_REMEDY}"
        )
    return check_labels(arrays[name], samples, f"{path}: '{name}'")


def check_labels(values: Any, samples: int, where: str) -> Ints:
    """Labels as `(sample,)` int64.

    Raises:
        BadInput: another shape, type or number.
    """
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise BadInput(
            f"{where}: shape {array.shape} of {array.dtype}, expected whole numbers of shape "
            f"({samples},), a class for each sample of the input; {_REMEDY}"
        )
    if len(array) != samples:
        raise BadInput(
            f"{where}: {len(array):,} labels, the input has {samples:,} samples; give one for each"
        )
    return array.astype(np.int64)


def task_of(
    lowered: Lowered,
    labels: Ints,
    *,
    readout: str | None = None,
    source: str = "network",
    where: str = "labels",
    labels_sha256: str = "",
    input_sha256: str = "",
) -> Task:
    """Labels as a task of a network; readout: None chooses by the output (`readout_of`).

    Raises:
        BadInput: several outputs, a readout that they do not have, a label beyond them.
    """
    layer = output_layer(lowered, source)
    outside = np.flatnonzero((labels < 0) | (labels >= layer.size))
    if outside.size:
        row = int(outside[0])
        raise BadInput(
            f"{where}: label {labels[row]} in row {row}, output layer '{layer.name}' of {source} "
            f"has {layer.size} neurons, so labels are 0 to {layer.size - 1}; count classes from 0"
        )
    chosen = readout_of(layer, readout)
    kept = layer.rule.spiking and needs_membrane(layer, chosen)  # that of others is kept always
    digests = (labels_sha256, input_sha256)
    return Task(labels, chosen, layer.name, layer.size, kept, *digests)


def read_task(
    labels: Path, fed: Fed, *, readout: str | None = None, given: Path | None = None
) -> Task:
    """The task that a file of labels says of the input that is fed; given: the file of that.

    Raises:
        BadInput: as `read_labels` and `task_of`.
    """
    found = read_labels(labels, fed.in_file)[: fed.given.chip_input.batch]
    return task_of(
        fed.network.lowered,
        found,
        readout=readout,
        source=fed.network.source,
        where=str(labels),
        labels_sha256=sha256(Path(labels)),
        input_sha256="" if given is None else sha256(given),
    )
