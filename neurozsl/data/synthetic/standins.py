"""Stand-in features for a benchmark whose real ones are not at hand: class-conditioned, synthetic.

In: class vectors. Out: audio and video features (n, D) per class. Every class has one latent point,
its true vector made comparable (mean over the classes taken away, unit length); every video moves
around it, passes one fixed random nonlinear map per modality, and picks up what says nothing about
the class:

    z_i = z_c + spread e_i            e_i of about unit length, shared by sound and picture
    h_i = tanh(gain A z_i)            A fixed, (hidden, words)
    x_i = (B h_i + nuisance N s_i) / scale + noise n_i

s_i: eight factors per video, as scene or microphone would be, half of them shared by the two
modalities. Since similar classes have similar vectors, a model that learns the map on seen classes
can name unseen ones; how well is set by `spread` and `nuisance`, not by the real benchmark. `cls`
features take the ranges of the real ones: VGGish 0 to 255, C3D fc7 after its ReLU.

These are no features of any video. Scores on them compare code with code, never with a paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32
from neurozsl.data.benchmark.avca_layout import FEATURES, feature_name

LIKE = {"ucf": "ucf", "activitynet": "activity", "vggsound": "vggsound"}
MAP_SEED = 20_220_614  # of the maps A, B, N: the same for every data set and every seed
HIDDEN = 256
GAIN = 1.5
FACTORS = 8
SHARED = 4  # factors that sound and picture have in common


@dataclass(frozen=True)
class StandInConfig:
    """Settings; the same settings give the same features.

    Attributes:
        like: "ucf", "activitynet" or "vggsound".
        features: "main" (512/512) or "cls" (128/4096).
        seed: of the videos; the maps are fixed.
        videos_per_class: at most so many videos per class and split; None keeps all.
        spread: distance of a video from its class, of the class's own length.
        nuisance: size of what says nothing about the class, of the signal's size.
        noise: independent noise per feature, of the signal's size.
    """

    like: str
    features: str = "main"
    seed: int = 0
    videos_per_class: int | None = None
    spread: float = 2.0  # ridge regression onto the vectors then names about half of UCF's unseen
    nuisance: float = 2.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        if self.like not in LIKE:
            raise BadInput(f"--like {self.like}: choose one of {', '.join(LIKE)}")
        if self.features not in ("main", "cls"):
            raise BadInput(f"--features {self.features}: choose main or cls")
        if self.videos_per_class is not None and self.videos_per_class < 2:
            raise BadInput(
                f"--videos-per-class {self.videos_per_class}: training needs at least 2 per class"
            )
        if self.seed < 0:
            raise BadInput(f"--seed {self.seed}: choose 0 or more")
        if min(self.spread, self.nuisance, self.noise) < 0:
            raise BadInput("stand-in features: spread, nuisance and noise are 0 or more")


@dataclass(frozen=True, eq=False)
class _Map:
    first: F32  # (words, hidden)
    second: F32  # (hidden, D)
    factors: F32  # (FACTORS, D)


@dataclass(frozen=True, eq=False)
class FeatureMaker:
    """The fixed maps of both modalities, ready for one set of classes.

    Attributes:
        config: settings.
        latent: (C, words) class points z_c.
        maps: of audio and of video.
    """

    config: StandInConfig
    latent: F32
    maps: tuple[_Map, _Map]

    @classmethod
    def make(cls, config: StandInConfig, vectors: F32) -> FeatureMaker:
        """Prepares the maps for `vectors` (C, words), one row per class in the order of the ids."""
        centred = vectors - vectors.mean(axis=0, keepdims=True)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        words = vectors.shape[1]
        rng = np.random.default_rng(MAP_SEED)
        drawn = []
        for width in FEATURES[feature_name(config.features)].widths:
            first = rng.standard_normal((words, HIDDEN), dtype=np.float32) * np.float32(GAIN)
            second = rng.standard_normal((HIDDEN, width), dtype=np.float32)
            factors = rng.standard_normal((FACTORS, width), dtype=np.float32)
            drawn.append(
                _Map(first, second / np.sqrt(np.float32(HIDDEN)), factors / np.sqrt(FACTORS))
            )
        latent = (centred / np.maximum(length, 1e-6)).astype(np.float32)
        return cls(config, latent, (drawn[0], drawn[1]))

    def features(self, label: int, subsplit: int, count: int) -> tuple[F32, F32]:
        """Returns audio (n, Da) and video (n, Dv), float32, of `count` videos of a class and split.

        Seeds are per class and number of the split, so each can be made alone and in any order.
        """
        config = self.config
        rng = np.random.default_rng((config.seed, subsplit, label))
        words = self.latent.shape[1]
        move = rng.standard_normal((count, words), dtype=np.float32) / np.sqrt(np.float32(words))
        latent = self.latent[label] + np.float32(config.spread) * move
        shared = rng.standard_normal((count, SHARED), dtype=np.float32)
        found = []
        for each in self.maps:
            own = rng.standard_normal((count, FACTORS - SHARED), dtype=np.float32)
            factors = np.concatenate((shared, own), axis=1)
            signal = np.tanh(latent @ each.first) @ each.second
            signal += np.float32(config.nuisance) * (factors @ each.factors)
            noise = rng.standard_normal(signal.shape, dtype=np.float32)
            signal += np.float32(config.noise) * noise
            found.append(signal)
        audio, video = found
        if config.features == "cls":
            audio = np.clip(np.float32(128.0) + np.float32(48.0) * audio, 0.0, 255.0)
            video = np.maximum(video, np.float32(0.0))
        return audio, video
