"""A video file through the encoders of a data set: windows of features, and their pixel events.

`ClipEncoders` is what `data build` chose, or what `encoders_of` makes of a finished set's meta, for
clips that come later::

    encoders = encoders_of(data.meta)
    batch = encoders.encode(Path("clip.mp4"))       # AVBatch of all windows
    vectors = encoders.text(["a dog barks"])        # (1, width) class vectors

Where a part has no pretrained encoder, the hand-made features stand for it. Every step of a window
gets one vector: of the frame that is shown in its middle, and of its sound. Windows overlap, and
what they share is encoded once. Entries of a `ClipCache` take the place of decoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from neurozsl.cluster.tasks import key_of, one_thread
from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32, AVBatch
from neurozsl.data.clip import Clip
from neurozsl.data.clips.cache import Arrays, ClipCache
from neurozsl.data.clips.encoder_input import frames_at, sound_of, unique_times
from neurozsl.data.clips.limits import ClipLimits
from neurozsl.data.clips.video_file import read_clip
from neurozsl.data.clips.windows import WindowSpec, batch_of, describe_windows
from neurozsl.data.encoder_spec import META, EncoderSpec, Part, specs_of
from neurozsl.data.encoders.base import AudioEncoder, TextEncoder, VideoEncoder
from neurozsl.data.encoders.features import Described, FeatureEncoder
from neurozsl.data.encoders.registry import open_encoder, same_encoder

REVISION: Final = 1  # of how clips are cut for encoders; counts in keys of the cache


@dataclass(frozen=True, eq=False)
class ClipEncoders:
    """The encoders of a set; None where hand-made features, or a file of class vectors, serve.

    Attributes:
        video, audio, text: the encoders.
        features: statistics and windows of a finished set; None while it is built.
        cache: of clips.
    """

    video: VideoEncoder | None = None
    audio: AudioEncoder | None = None
    words: TextEncoder | None = None
    features: FeatureEncoder | None = None
    cache: ClipCache = field(default_factory=ClipCache)

    @property
    def pretrained(self) -> tuple[str, ...]:
        """Which of audio and video a pretrained encoder makes."""
        return tuple(part for part in ("audio", "video") if getattr(self, part) is not None)

    @property
    def specs(self) -> dict[str, EncoderSpec]:
        """The spec of each by its part."""
        every = (self.video, self.audio, self.words)
        return {each.spec.part: each.spec for each in every if each is not None}

    def to_meta(self) -> dict[str, Any]:
        """What a set notes: nothing where all is hand-made."""
        noted = {part: spec.to_meta() for part, spec in self.specs.items()}
        return {META: noted} if noted else {}

    def text(self, names: Sequence[str]) -> F32:
        """Returns class vectors of names, (n, width), rows of length 1.

        Raises:
            BadInput: the set's class vectors come from files.
        """
        if self.words is None:
            raise BadInput(
                f"class names {', '.join(map(repr, list(names)[:3]))}: this set's class vectors "
                "come from files, not from a text encoder; give a file of vectors that has these "
                "names, or build the set with --text-encoder"
            )
        return self.words.text(names)

    def encode(
        self, path: Path, *, hop_s: float = 1.0, limits: ClipLimits | None = None, label: int = -1
    ) -> AVBatch:
        """Returns all windows of a clip, encoded as the finished set's own clips were.

        Raises:
            BadInput: the clip cannot be read or is shorter than a window, or no set is finished.
        """
        if self.features is None:
            raise BadInput("encoders: no statistics of a set; make them with `encoders_of`")
        kind = self.features
        with one_thread():  # as the set's own were
            described, _ = self.describe(path, WindowSpec(kind.window_s, hop_s, kind.steps), limits)
        return batch_of(described, kind, label)

    def describe(
        self,
        path: Path,
        spec: WindowSpec,
        limits: ClipLimits | None = None,
        name: str = "",
        *,
        keep: bool = False,
    ) -> tuple[Described, tuple[str, ...]]:
        """Returns descriptors and names of all windows of a clip; `name` stands in those names.

        keep: hand-made features go into the cache too, where no pretrained encoder stands.

        Raises:
            BadInput: it cannot be read, or is shorter than a window.
        """
        name = name or path.name
        if not self.pretrained and not keep:
            clip = replace(read_clip(path, limits=limits), name=name)
            return describe_windows(clip, spec)
        limits = limits or ClipLimits()
        try:
            content = sha256(path)
        except OSError as error:
            raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from error
        place = (content, spec, limits.seconds, REVISION)
        base = self._base(path, name, spec, limits, place)
        starts = base["start"].tolist()
        parts: dict[str, F32] = {}
        for part in ("audio", "video"):
            if part in self.pretrained:
                parts[part] = self._encoded(part, path, starts, spec, limits, place)
            else:
                parts[part] = np.asarray(base[part], np.float32)
        described = Described(parts["audio"], parts["video"], np.asarray(base["events"], np.uint8))
        return described, tuple(f"{name}#{start:g}s" for start in starts)

    def _base(
        self, path: Path, name: str, spec: WindowSpec, limits: ClipLimits, place: tuple[Any, ...]
    ) -> Arrays:
        """Starts, events and hand-made features of the windows."""
        key = key_of("hand-made", *place)
        found = self.cache.get(key, "start", "events", "audio", "video")
        if found is None:
            clip: Clip = replace(read_clip(path, limits=limits), name=name)
            described, _ = describe_windows(clip, spec)
            starts = np.asarray(clip.window_starts(spec.window_s, spec.hop_s))
            found = {"start": starts, **vars(described)}
            self.cache.put(key, found)
        return found

    def _encoded(
        self,
        part: str,
        path: Path,
        starts: Sequence[float],
        spec: WindowSpec,
        limits: ClipLimits,
        place: tuple[Any, ...],
    ) -> F32:
        """(n, T, width) of a pretrained encoder."""
        times, places = unique_times(starts, spec.window_s, spec.steps)
        key = key_of(part, self.specs[part].sha256, *place)
        found = self.cache.get(key, "vectors")
        if found is None:
            vectors = self._vectors(part, path, times, spec, limits)
            self.cache.put(key, {"vectors": vectors})
        else:
            vectors = np.asarray(found["vectors"], np.float32)
        if vectors.shape != (len(times), self.specs[part].width) or not np.isfinite(vectors).all():
            raise BadInput(
                f"{path}: {part} encoder '{self.specs[part].name}' gave {vectors.shape}, finite "
                f"numbers ({len(times)}, {self.specs[part].width}) are needed; check the encoder"
            )
        windows: F32 = vectors[places]
        return windows

    def _vectors(
        self, part: str, path: Path, times: Any, spec: WindowSpec, limits: ClipLimits
    ) -> F32:
        if part == "video":
            assert self.video is not None
            shown = frames_at(path, times, self.video, limits)
            return np.concatenate([self.video.frames(frames) for frames in shown])
        assert self.audio is not None
        step_s = spec.window_s / spec.steps
        sound = sound_of(path, self.audio.rate_hz, limits)
        return self.audio.steps(sound, times - step_s / 2, step_s)


def chosen_encoders(
    video: str | None = None, audio: str | None = None, text: str | None = None
) -> ClipEncoders:
    """The encoders of these names or TOML files, to build a set with.

    Raises:
        BadInput, MissingPart: as `open_encoder`.
    """
    made: dict[Part, Any] = {}
    asked: tuple[tuple[Part, str | None], ...] = (
        ("video", video), ("audio", audio), ("text", text)
    )  # fmt: skip
    for part, given in asked:
        made[part] = None if given is None else open_encoder(given, part)
    return ClipEncoders(made["video"], made["audio"], made["text"])


def encoders_of(meta: Mapping[str, Any], *, where: str = "data set") -> ClipEncoders:
    """The encoders of a finished set, checked to be the very ones that made it.

    meta: of the set. where: the set, for messages.

    Raises:
        BadInput: the set is no set of clips, or this machine has other versions.
        MissingPart: an encoder is not set up here.
    """
    features = FeatureEncoder.from_meta(meta)
    specs = specs_of(meta, where)
    made = {part: same_encoder(spec, where=where) for part, spec in specs.items()}
    return ClipEncoders(made.get("video"), made.get("audio"), made.get("text"), features)
