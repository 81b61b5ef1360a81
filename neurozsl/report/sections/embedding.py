"""A flat view of the joint space: test samples among the embedded class vectors.

In: embeddings of samples `(sample, proj)` and of classes `(class, proj)`. The plane is spanned by
the two directions in which the class vectors vary most (principal components of the class vectors,
by singular value decomposition); samples are projected onto it:

    C - mean(C) = U S V';   (x, y) = (e - mean(C)) V[:, :2]

A direction's sign is arbitrary; here its largest component is positive.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.report import figures, schema
from neurozsl.report.sections.context import Tested, of_test
from neurozsl.report.show.section import Section
from neurozsl.scoring.metrics import Ints, Problem

SHOWN = 600
METHOD = "principal components of the class vectors in the joint space; samples projected onto them"
_DIGITS = 5  # a thousandth of a pixel
F64 = npt.NDArray[np.float64]


@of_test
def _fill(test: Tested) -> Mapping[str, Any]:
    names = test.run.data.classes
    shown = embedding(test.samples, test.classes, test.problem, test.predicted, names)
    return {"embedding": shown}


def plane(classes: F64) -> tuple[F64, F64, tuple[float, float]]:
    """Centre `(proj,)`, two directions `(proj, 2)`, and the share of variance along each.

    >>> centre, axes, explained = plane(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]))
    >>> centre.tolist(), axes[:, 0].tolist(), explained
    ([2.0, 0.0], [1.0, 0.0], (1.0, 0.0))
    """
    centre = classes.mean(axis=0)
    _, size, rows = np.linalg.svd(classes - centre, full_matrices=False)
    axes, variance = np.zeros((2, classes.shape[1])), np.zeros(2)
    kept = min(2, len(size))
    axes[:kept], variance[:kept] = rows[:kept], size[:kept] ** 2
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes *= np.where(largest < 0, -1.0, 1.0)
    total = float(np.sum(size**2))
    shares = variance / total if total > 0 else variance
    return centre, axes.T, (float(shares[0]), float(shares[1]))


def chosen_rows(label: Ints, limit: int = SHOWN) -> Ints:
    """At most `limit` rows, the same number of every class where it has so many, evenly spread.

    >>> chosen_rows(np.array([0, 0, 0, 0, 1]), 3).tolist()
    [0, 3, 4]
    """
    ids, sizes = np.unique(label, return_counts=True)
    quota = int(sizes.max())
    while np.minimum(sizes, quota).sum() > limit and quota > 1:
        quota -= 1
    rows = []
    for c, size in zip(ids, sizes, strict=True):
        place = np.linspace(0, size - 1, min(quota, int(size))).round().astype(np.int64)
        rows.append(np.flatnonzero(label == c)[place])
    return np.sort(np.concatenate(rows))[:limit]


def embedding(
    samples: F64, classes: F64, problem: Problem, predicted: Ints, names: Sequence[str]
) -> schema.Embedding | None:
    """The view; None where an embedding is not finite. Classes of no set of `problem` are left out.

    samples: `(sample, proj)`, one row per label of the problem. classes: `(class, proj)`, one row
    per class of the data set, and names of all. predicted: class id per sample.
    """
    if not (np.isfinite(samples).all() and np.isfinite(classes).all()):
        return None
    ids = np.sort(np.concatenate([problem.seen_ids, problem.unseen_ids]))
    centre, axes, explained = plane(classes[ids])
    unseen = set(problem.unseen_ids.tolist())
    rows = chosen_rows(problem.label)
    at_class = ((classes[ids] - centre) @ axes).round(_DIGITS)
    at_sample = ((samples[rows] - centre) @ axes).round(_DIGITS)
    true, called = (np.searchsorted(ids, x[rows]) for x in (problem.label, predicted))
    return schema.Embedding(
        method=METHOD,
        explained=explained,
        classes=tuple(
            schema.EmbeddedClass(name=names[c], role="unseen" if c in unseen else "seen", x=x, y=y)
            for c, (x, y) in zip(ids.tolist(), at_class.tolist(), strict=True)
        ),
        samples=tuple(
            schema.EmbeddedSample(x=x, y=y, true=t, predicted=p)
            for (x, y), t, p in zip(at_sample.tolist(), true.tolist(), called.tolist(), strict=True)
        ),
        total=len(samples),
    )


SECTION = Section(
    "embedding", "The joint space", ("embedding",), fill=_fill,
    figures={
        "embedding": lambda x: figures.embedding(x.embedding) if x.embedding.classes else None
    },
)  # fmt: skip
