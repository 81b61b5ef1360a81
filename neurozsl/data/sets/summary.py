"""What a data set holds, in numbers: splits, classes, feature statistics, event density."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from neurozsl.data.batch import SPLITS, Split, ZSLData
from neurozsl.data.events.feature_events import feature_events

BLOCK = 1024  # samples looked at together, fewer of many steps; bounds memory
EVENT_THRESHOLD = 0.2  # of the motion branch's default input


@dataclass(frozen=True)
class SplitSummary:
    """Counts and statistics of one split; densities are shares of non-zero entries."""

    name: str
    samples: int
    classes: int
    class_names: tuple[str, ...]
    fewest: int
    most: int
    audio_mean: float
    audio_std: float
    video_mean: float
    video_std: float
    event_density: float
    pixel_event_density: float | None


@dataclass(frozen=True)
class Summary:
    """Facts of one data set."""

    name: str
    synthetic: bool
    classes: int
    steps: int
    step_s: float
    audio_dim: int
    video_dim: int
    splits: tuple[SplitSummary, ...]
    skipped: tuple[dict[str, str], ...]

    @property
    def caption(self) -> str:
        """Explains the columns of the table."""
        return (
            f"audio, video: mean feature; events: changes >= {EVENT_THRESHOLD} in the video; "
            "pixel: event cells in use"
        )

    def to_json(self) -> dict[str, object]:
        """Returns the summary as plain values."""
        return asdict(self)


def summarise(data: ZSLData) -> Summary:
    """Returns counts, statistics and left-out files of a data set."""
    train = data.splits["train"]
    return Summary(
        name=data.name,
        synthetic=data.synthetic,
        classes=len(data.classes),
        steps=train.steps,
        step_s=data.step_s,
        audio_dim=train.widths[0],
        video_dim=train.widths[1],
        splits=tuple(_summarise_split(data, data.splits[name]) for name in SPLITS),
        skipped=_skipped(data.meta),
    )


def _summarise_split(data: ZSLData, split: Split) -> SplitSummary:
    counts = np.bincount(split.label, minlength=len(data.classes))
    counts = counts[counts > 0]
    audio, video, events, pixel = _Moments(), _Moments(), _Moments(), _Moments()
    size = max(1, BLOCK // max(1, split.steps // 16))
    for start in range(0, len(split), size):
        # A block at once: the features may be mapped from a file that is larger than memory.
        block = split.batch(np.arange(start, min(start + size, len(split))))
        real = block.mask.numpy()
        audio.add(block.audio.numpy()[real])
        video.add(block.video.numpy()[real])
        events.add(feature_events(block.video, EVENT_THRESHOLD).numpy()[real] != 0)
        if block.events is not None:
            pixel.add(block.events.numpy()[real] > 0)
    return SplitSummary(
        name=split.name,
        samples=len(split),
        classes=len(counts),
        class_names=tuple(data.classes[i] for i in split.classes()),
        fewest=int(counts.min()) if counts.size else 0,
        most=int(counts.max(initial=0)),
        audio_mean=round(audio.mean, 4),
        audio_std=round(audio.std, 4),
        video_mean=round(video.mean, 4),
        video_std=round(video.std, 4),
        event_density=round(events.mean, 4),
        pixel_event_density=None if not pixel.count else round(pixel.mean, 4),
    )


@dataclass
class _Moments:
    """Mean and deviation of values that come in parts; 0 of none."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: npt.NDArray[np.generic]) -> None:
        wide = values.astype(np.float64)
        self.count += wide.size
        self.total += float(wide.sum())
        self.squares += float(np.vdot(wide, wide))

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    @property
    def std(self) -> float:
        return max(self.squares / self.count - self.mean**2, 0.0) ** 0.5 if self.count else 0.0


def _skipped(meta: Mapping[str, object]) -> tuple[dict[str, str], ...]:
    listed = meta.get("skipped", [])
    if not isinstance(listed, list):
        return ()
    return tuple({str(k): str(v) for k, v in skip.items()} for skip in listed)
