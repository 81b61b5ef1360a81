"""Where the right name stands among all names: top-1 and top-5 of whole clips, with intervals.

S, U and HM are of windows, of two groups of classes, at the beta that validation chose. Here the
distances of a clip's windows are averaged, and *all* class names of the set are ranked alike (no
beta), as someone would read a prediction. Windows of one clip are no independent samples, clips
are; so the interval (Wilson, 95 %) is over clips. Chance is k / names.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.data.batch import SPLITS, ZSLData
from neurozsl.export.bundle.accuracy import TaskAccuracy, accuracy
from neurozsl.models.base import ZSLModel, distances
from neurozsl.scoring import road
from neurozsl.scoring.evaluation import weighed

BATCH: Final = 256
TESTS: Final = ("test_seen", "test_unseen")
TOP: Final = (1, 5)


@dataclass(frozen=True)
class ClipRanking:
    """How often the right name of a clip was among the first k of all names.

    Attributes:
        of: which splits, for people.
        clips, names: how many.
        top: by k.
        chance: in percent, by k.
    """

    of: str
    clips: int
    names: int
    top: Mapping[int, TaskAccuracy]
    chance: Mapping[int, float]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def rankings(
    model: ZSLModel,
    data: ZSLData,
    *,
    head_weight: float,
    untrained: bool,
    progress: Progress | None = None,
) -> tuple[ClipRanking, ...]:
    """Rankings of the test clips: all, of seen and of unseen classes.

    untrained: the model learnt from no split, so that a first row takes the clips of all of them
    (a top k and the like that validation chose is not counted as learning).

    Raises:
        BadInput: there is no clip.
    """
    groups: dict[str, tuple[str, ...]] = {"all clips": SPLITS} if untrained else {}
    groups |= {"test clips": TESTS, "of seen classes": TESTS[:1], "of unseen classes": TESTS[1:]}
    wanted = tuple(name for name in SPLITS if any(name in splits for splits in groups.values()))
    place = _places(model, data, wanted, head_weight, progress)
    return tuple(
        ranking(of, [rank for name in splits for rank in place[name]], len(data.classes))
        for of, splits in groups.items()
    )


def ranking(of: str, places: Sequence[int], names: int) -> ClipRanking:
    """The ranking of clips whose right name stands at these places, from 0.

    Raises:
        BadInput: there is no clip.
    """
    if not places:
        raise BadInput(f"ranking {of}: 0 clips; the set needs samples in its test splits")
    top = {k: accuracy(sum(place < k for place in places), len(places)) for k in TOP}
    chance = {k: 100 * min(k, names) / names for k in TOP}
    return ClipRanking(of, len(places), names, top, chance)


def _places(
    model: ZSLModel,
    data: ZSLData,
    splits: Sequence[str],
    head_weight: float,
    progress: Progress | None,
) -> dict[str, list[int]]:
    """Place of the right name of every clip, by split."""
    found: dict[str, list[int]] = {}
    done, total = 0, sum(len(data.splits[name]) for name in splits)
    first = next(model.parameters(), None)
    device = "cpu" if first is None else first.device
    with road.at_rest(model):
        words = road.words(model, data.vectors, device)
        for name in splits:
            split = data.splits[name]
            sums: dict[str, Any] = defaultdict(float)
            label: dict[str, int] = {}
            for start in range(0, len(split), BATCH):
                rows = np.arange(start, min(start + BATCH, len(split)))
                parts = road.prepare(model, split, rows, device=device)
                output = road.finish(model, parts, road.trace_of(model, parts))
                each = distances(output, words).double().cpu().numpy()
                for row, distance in zip(rows, weighed(each, head_weight), strict=True):
                    clip = clip_of(split.names[row])
                    sums[clip] = sums[clip] + distance
                    label[clip] = int(split.label[row])
                done += len(rows)
                if progress is not None:
                    progress(done, total)
            found[name] = [place_of(sums[clip], label[clip]) for clip in sums]
    return found


def clip_of(sample: str) -> str:
    """The clip that a sample is a window of.

    >>> clip_of("dog/a.mp4#12.5s"), clip_of("v_Archery_g01")
    ('dog/a.mp4', 'v_Archery_g01')
    """
    clip, mark, _ = sample.rpartition("#")
    return clip if mark else sample


def place_of(distance: Any, label: int) -> int:
    """How many names are nearer than the right one, or as near and before it."""
    nearer = distance < distance[label]
    alike = (distance == distance[label]) & (np.arange(len(distance)) < label)
    return int(np.count_nonzero(nearer | alike))
