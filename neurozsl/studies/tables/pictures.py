"""What the figures of the papers show of a trained row, as numbers: embeddings, thresholds, spikes.

    sweep       thresholds and spike rate over time, of every layer      `over_time`
    embedding   features before, the joint space after the model         `embedded`

Both are means or samples of the test splits, of the first seed's run. The papers flatten by t-SNE;
here it is principal components, which have no options and no random start.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.data.batch import Split, ZSLData
from neurozsl.models.base import ClosedLoopBranch, ZSLModel, branch_of
from neurozsl.scoring import road
from neurozsl.scoring.samples import spread as spread_rows

F64 = npt.NDArray[np.float64]
STEP_SAMPLES: Final = 64  # test samples that thresholds and rates are averaged over
CLASSES: Final = {"seen": 3, "unseen": 2}  # as in the figures of AVCA and STFT
CLASS_SAMPLES: Final = 40  # of each class, at most
_DIGITS: Final = 4


def over_time(model: ZSLModel, data: ZSLData) -> dict[str, Any] | None:
    """Mean threshold and spike rate of every layer in every step; None where nothing spikes.

    `theta` has no layers where the host gives no thresholds and no loop makes them.
    """
    branch = branch_of(model)
    if branch is None or not branch.spiking_layers():
        return None
    split = data.stage(2).unseen
    with road.at_rest(model):
        parts = road.prepare(model, split, spread_rows(len(split), STEP_SAMPLES))
        read, trace = parts.made.chip_input, road.trace_of(model, parts)
        assert read is not None and trace is not None  # there is a branch
        theta = read.theta
        if theta is None and isinstance(branch, ClosedLoopBranch):
            theta = branch.thresholds(read)
    means = {name: torch.as_tensor(x).mean(0).numpy() for name, x in (theta or {}).items()}
    return {
        "theta": {name: _steps(x) for name, x in means.items()},
        "spike_rate": {
            name: _steps(x.mean(axis=(0, 2))) for name, x in trace.to_numpy().spikes.items()
        },
    }


def _steps(values: npt.NDArray[Any]) -> list[float]:
    return [round(float(x), _DIGITS) for x in values]


def embedded(model: ZSLModel, data: ZSLData) -> dict[str, Any]:
    """Test samples of five classes before and after the model, each flattened to a plane.

    `before` are the features averaged over time, audio and video end to end, `after` the first head
    in the joint space with the class vectors in `vectors`; `class` is the place in `classes`.
    """
    stage, names = data.stage(2), list[dict[str, Any]]()
    before, after, places = list[F64](), list[F64](), list[int]()
    with road.at_rest(model):
        for role, split in (("seen", stage.seen), ("unseen", stage.unseen)):
            for label in largest_classes(split.label, CLASSES[role]):
                rows = np.flatnonzero(split.label == label)[:CLASS_SAMPLES]
                before.append(averages(split, rows))
                parts = road.prepare(model, split, rows)
                output = road.finish(model, parts, road.trace_of(model, parts))
                after.append(output.heads[0].double().numpy())
                places += [len(names)] * len(rows)
                names.append({"name": data.classes[label], "role": role, "id": int(label)})
        ids = np.array([x["id"] for x in names])
        vectors = road.words(model, data.vectors[ids]).double().numpy()
    joined = np.concatenate(after)
    vectors = vectors[:, : joined.shape[1]]  # columns of a further place lie behind
    flat = principal(np.concatenate([joined, vectors]) - joined.mean(axis=0), fit=len(joined))
    return {
        "classes": names,
        "class": places,
        "before": _points(principal(_centred(np.concatenate(before)), fit=len(joined))),
        "after": _points(flat[: len(joined)]),
        "vectors": _points(flat[len(joined) :]),
    }


def largest_classes(label: npt.NDArray[np.int64], count: int) -> list[int]:
    """The classes with the most samples, the lower number first among equals.

    >>> largest_classes(np.array([3, 1, 1, 2, 2, 5]), 2)
    [1, 2]
    """
    ids, sizes = np.unique(label, return_counts=True)
    return [int(ids[place]) for place in np.argsort(-sizes, kind="stable")[:count]]


def averages(split: Split, rows: npt.NDArray[np.int64]) -> F64:
    """Audio and video of samples, each averaged over its real steps: `(sample, Da + Dv)`."""
    batch = split.batch(rows)
    real = batch.mask[..., None].double()
    each = [(x.double() * real).sum(1) / real.sum(1) for x in (batch.audio, batch.video)]
    return np.concatenate([x.numpy() for x in each], axis=1)


def principal(rows: F64, *, fit: int) -> F64:
    """Centred rows on the two directions in which the first `fit` of them vary most.

    A direction's sign is arbitrary; here its largest component is positive.

    >>> principal(np.array([[-1.0, 0.0], [1.0, 0.0]]), fit=2)[:, 0].tolist()
    [-1.0, 1.0]
    """
    _, _, axes = np.linalg.svd(rows[:fit], full_matrices=False)
    axes = axes[:2]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.asarray(rows @ (axes * np.where(largest < 0, -1.0, 1.0)).T)


def _centred(rows: F64) -> F64:
    return np.asarray(rows - rows.mean(axis=0))


def _points(rows: F64) -> list[list[float]]:
    return [[round(float(x), _DIGITS) for x in row] for row in rows]
