"""The set "scenes and motions": the answer lies in time, the shortcut is the scene.

A class is a motion with a sound, named in words ("circling, chirping"); its vector is the
normalised sum of the two words' vectors. In training a class prefers one of eight shared scenes
with probability `scene_bias`; at test the scene says nothing. Of 5 x 5 combinations 24 are used:
14 for training, 5 unseen in validation, 5 unseen at test. Every motion and every sound appears in
at least two training classes, and the unseen classes share sounds, so sound alone cannot solve it.

The clips are rendered pictures and waveforms and pass the same encoders as real clips.
"""

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.data import store
from neurozsl.data.batch import F32, I64, SPLITS, ZSLData
from neurozsl.data.clip import Clip
from neurozsl.data.encoders.audio_features import RATE_HZ
from neurozsl.data.encoders.features import Described, FeatureEncoder, describe
from neurozsl.data.synthetic.motions import MOTIONS, SCENES, render_frames
from neurozsl.data.synthetic.sounds import SOUNDS, render_sounds

STEPS = 10
WINDOW_S = 2.0
FPS = 10.0
VECTOR_DIM = 300
CHUNK = 50  # clips rendered and encoded together; bounds memory to about 30 MB
TEST_UNSEEN = ((0, 0), (1, 0), (2, 1), (3, 1), (4, 1))  # (motion, sound)
VAL_UNSEEN = ((0, 2), (1, 2), (2, 3), (3, 3), (4, 3))
DROPPED = ((4, 4),)


@dataclass(frozen=True)
class SyntheticConfig:
    """Settings of the set; the same settings give the same numbers.

    Attributes:
        scene_bias: probability in training that a clip shows its class's scene, 0..1.
        unbiased_val: draw the validation splits without scene bias. Off by default: validation
            joins the training set in stage 2, and unbiased clips would weaken the shortcut there.
        camera_shake: largest shift of the picture per frame, px.
        seed: of clips; classes, word vectors, scenes and projections are fixed.
        train_per_class, val_seen_per_class, val_unseen_per_class: clips per class.
        test_size: clips in both test splits together, half seen and half unseen.
        noise: pixel noise, of full scale.
        blob: brightness of the moving blob, of full scale.
        background: contrast of the scene, of full scale.
        sound_noise: noise floor over the sound's own level.
        steps: T; the same clips, described in so many steps.
    """

    scene_bias: float = 0.9
    unbiased_val: bool = False
    camera_shake: float = 0.0
    seed: int = 0
    train_per_class: int = 40
    val_seen_per_class: int = 8
    val_unseen_per_class: int = 40
    test_size: int = 500
    noise: float = 0.03
    blob: float = 0.9
    background: float = 0.15
    sound_noise: float = 0.3
    steps: int = STEPS

    def __post_init__(self) -> None:
        if not 0.0 <= self.scene_bias <= 1.0:
            raise BadInput(f"scene_bias: {self.scene_bias}; choose 0 (none) to 1 (always)")
        if not 0.0 <= self.camera_shake <= 8.0:
            raise BadInput(f"camera_shake: {self.camera_shake} px; choose 0 to 8")
        if min(self.train_per_class, self.val_seen_per_class, self.val_unseen_per_class) < 1:
            raise BadInput("synthetic set: a class with 0 clips; give every split at least 1")
        if self.train_per_class < 2:
            raise BadInput(f"train_per_class: {self.train_per_class}; at least 2 are needed")
        if not 2 <= self.steps <= round(WINDOW_S * FPS):
            raise BadInput(
                f"steps: {self.steps}; choose 2 to {round(WINDOW_S * FPS)}, the frames of a clip"
            )
        if self.test_size < 48:
            raise BadInput(f"test_size: {self.test_size}; at least 48 (two clips per class)")


@dataclass(frozen=True, eq=False)
class Plan:
    """What the clips of one split show: labels and scenes, (n,) each."""

    label: I64
    scene: I64


def pairs() -> tuple[tuple[int, int], ...]:
    """Returns (motion, sound) of the 24 classes in the order of their ids."""
    every = itertools.product(range(len(MOTIONS)), range(len(SOUNDS)))
    return tuple(pair for pair in every if pair not in DROPPED)


def class_names() -> tuple[str, ...]:
    """Returns the 24 class names.

    >>> class_names()[0]
    'swaying, humming'
    """
    return tuple(f"{MOTIONS[m]}, {SOUNDS[s]}" for m, s in pairs())


def word_vector(word: str) -> F32:
    """Returns the unit 300-d vector of a word: random, but always the same for the same word."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).standard_normal(VECTOR_DIM)
    unit: F32 = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return unit


def class_vectors() -> F32:
    """Returns (24, 300): per class the normalised sum of its two words' vectors."""
    sums = np.stack([word_vector(MOTIONS[m]) + word_vector(SOUNDS[s]) for m, s in pairs()])
    unit: F32 = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    return unit


def class_ids(split: str) -> I64:
    """Returns the ids of the classes that a split holds."""
    order = pairs()
    val = [order.index(pair) for pair in VAL_UNSEEN]
    test = [order.index(pair) for pair in TEST_UNSEEN]
    train = [i for i in range(len(order)) if i not in val and i not in test]
    seen = {"train": train, "val_seen": train, "test_seen": sorted(train + val)}
    return np.array({**seen, "val_unseen": val, "test_unseen": test}[split], dtype=np.int64)


def plan(config: SyntheticConfig, split: str) -> Plan:
    """Returns labels and scenes of one split; equal class counts up to one clip."""
    ids = class_ids(split)
    half = config.test_size // 2
    sizes = {
        "train": config.train_per_class * len(ids),
        "val_seen": config.val_seen_per_class * len(ids),
        "val_unseen": config.val_unseen_per_class * len(ids),
        "test_seen": half,
        "test_unseen": config.test_size - half,
    }
    rng = _rng(config, split, 0)
    label = np.sort(np.resize(ids, sizes[split]))
    biased = split == "train" or (split.startswith("val") and not config.unbiased_val)
    prefers = rng.uniform(size=len(label)) < (config.scene_bias if biased else 0.0)
    anywhere = rng.integers(0, SCENES, len(label))
    return Plan(label, np.where(prefers, label % SCENES, anywhere))


def render(config: SyntheticConfig, split: str, chunk: int = 0) -> list[Clip]:
    """Returns the clips of one chunk of `CHUNK` clips of a split."""
    planned = plan(config, split)
    rows = np.arange(len(planned.label))[chunk * CHUNK : (chunk + 1) * CHUNK]
    pair = np.array(pairs())[planned.label[rows]]
    rng = _rng(config, split, 1 + chunk)
    frames = render_frames(
        rng,
        pair[:, 0],
        planned.scene[rows],
        frames=round(WINDOW_S * FPS),
        fps=FPS,
        blob=config.blob,
        background=config.background,
        noise=config.noise,
        camera_shake=config.camera_shake,
    )
    samples = round(WINDOW_S * RATE_HZ)
    waves = render_sounds(rng, pair[:, 1], samples=samples, noise=config.sound_noise)
    return [
        Clip(shown, FPS, heard, RATE_HZ, name)
        for shown, heard, name in zip(frames, waves, _names(split, rows), strict=True)
    ]


def generate(config: SyntheticConfig, *, progress: Progress | None = None) -> ZSLData:
    """Renders and encodes the whole set; progress counts clips, after each chunk."""
    plans = {split: plan(config, split) for split in SPLITS}
    total = sum(len(p.label) for p in plans.values())
    done = 0
    described: dict[str, Described] = {}
    for split, planned in plans.items():
        parts = []
        for chunk in range(-(-len(planned.label) // CHUNK)):
            clips = render(config, split, chunk)
            parts.append(describe(clips, steps=config.steps))
            done += len(clips)
            if progress is not None:
                progress(done, total)
        described[split] = Described.join(parts)
    encoder = FeatureEncoder.fit(described["train"], window_s=WINDOW_S)
    return ZSLData(
        name="scenes and motions",
        classes=class_names(),
        vectors=class_vectors(),
        splits={
            s: encoder.split(s, described[s], plans[s].label, _names(s, range(len(plans[s].label))))
            for s in SPLITS
        },
        synthetic=True,
        step_s=WINDOW_S / config.steps,
        meta={
            "source": "neurozsl.data.synthetic",
            "config": asdict(config),
            "encoder": encoder.to_meta(),
            "scenes": {split: planned.scene.tolist() for split, planned in plans.items()},
            "words": [*MOTIONS, *SOUNDS],
        },
    )


def write_synthetic(
    config: SyntheticConfig, out_dir: Path | str, *, progress: Progress | None = None
) -> ZSLData:
    """Generates the set, stores it in `out_dir` and returns it."""
    out_dir = Path(out_dir)
    store.check_target(out_dir)
    data = generate(config, progress=progress)
    store.save(data, out_dir)
    return data


def _names(split: str, rows: Iterable[int]) -> list[str]:
    return [f"{split}/{row:05d}" for row in rows]


def _rng(config: SyntheticConfig, split: str, stream: int) -> np.random.Generator:
    return np.random.default_rng((config.seed, SPLITS.index(split), stream))
