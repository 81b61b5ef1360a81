"""The generated set: what a frame may tell, what time must tell, and what the bias does."""

import functools

import numpy as np
import numpy.typing as npt
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import SPLITS, ZSLData
from neurozsl.data.encoders.features import FeatureEncoder, describe
from neurozsl.data.synthetic.motions import SCENES
from neurozsl.data.synthetic.scenes import (
    SyntheticConfig,
    class_ids,
    class_names,
    class_vectors,
    generate,
    pairs,
    plan,
    render,
    word_vector,
)

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
PAIRS = np.array(pairs())
SMALL = SyntheticConfig(
    scene_bias=0.0, train_per_class=3, val_seen_per_class=2, val_unseen_per_class=2, test_size=60
)


@functools.lru_cache(maxsize=1)
def unbiased() -> ZSLData:
    """Training set of the default size and enough held-out clips for tight rates."""
    return generate(
        SyntheticConfig(scene_bias=0.0, val_seen_per_class=20, val_unseen_per_class=8, test_size=48)
    )


@functools.lru_cache(maxsize=1)
def small() -> ZSLData:
    return generate(SMALL)


def linear_probe(x: F64, y: I64, held_x: F64, held_y: I64) -> float:
    """Held-out accuracy of ridge regression on one-hot targets."""
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, held_x = (x - mean) / scale, (held_x - mean) / scale
    x, held_x = (np.pad(part, ((0, 0), (0, 1)), constant_values=1.0) for part in (x, held_x))
    gram = x.T @ x + 0.1 * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ np.eye(int(y.max()) + 1)[y])
    return float(((held_x @ weights).argmax(axis=1) == held_y).mean())


@pytest.mark.slow
def test_a_single_frame_without_sound_stays_below_one_and_a_half_times_chance() -> None:
    train, held = unbiased().splits["train"], unbiased().splits["val_seen"]
    steps = train.video.shape[1]
    order = class_ids("train")
    accuracy = linear_probe(
        train.video.reshape(-1, train.video.shape[2]).astype(np.float64),
        np.searchsorted(order, np.repeat(train.label, steps)),
        held.video.reshape(-1, held.video.shape[2]).astype(np.float64),
        np.searchsorted(order, np.repeat(held.label, steps)),
    )
    assert len(held) == 280
    assert accuracy < 1.5 / len(order)


@pytest.mark.slow
def test_time_tells_the_motion_and_sound_tells_the_sound() -> None:
    train, held = unbiased().splits["train"], unbiased().splits["val_seen"]

    def changes(video: npt.NDArray[np.float32]) -> F64:
        found: F64 = np.abs(np.diff(video, axis=1)).mean(axis=1).astype(np.float64)
        return found

    motion = linear_probe(
        changes(train.video), PAIRS[train.label, 0], changes(held.video), PAIRS[held.label, 0]
    )
    sound = linear_probe(
        train.audio.mean(axis=1).astype(np.float64),
        PAIRS[train.label, 1],
        held.audio.mean(axis=1).astype(np.float64),
        PAIRS[held.label, 1],
    )
    # A linear read-out of unsigned changes is a lower bound; a recurrent net reaches about 0.9.
    assert motion > 0.55  # chance 0.2
    assert sound > 0.9


def test_the_combinations_are_those_of_the_recipe() -> None:
    names = class_names()
    assert len(names) == 24 and len(set(names)) == 24
    sizes = {split: len(class_ids(split)) for split in SPLITS}
    assert sizes == {
        "train": 14,
        "val_seen": 14,
        "val_unseen": 5,
        "test_seen": 19,
        "test_unseen": 5,
    }
    train = PAIRS[class_ids("train")]
    for axis in (0, 1):
        assert (np.bincount(train[:, axis], minlength=5) >= 2).all()
    for split in ("val_unseen", "test_unseen"):
        assert len(np.unique(PAIRS[class_ids(split), 1])) == 2  # unseen classes share sounds


def test_class_vectors_are_normalised_sums_of_their_words() -> None:
    vectors, names = class_vectors(), class_names()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    motion, sound = names[7].split(", ")
    expected = word_vector(motion) + word_vector(sound)
    np.testing.assert_allclose(vectors[7], expected / np.linalg.norm(expected), atol=1e-6)
    assert abs(float(word_vector("circling") @ word_vector("chirping"))) < 0.25


@pytest.mark.parametrize(
    ("unbiased_val", "split", "share"),
    [
        (False, "train", 0.9 + 0.1 / SCENES),
        (False, "val_seen", 0.9 + 0.1 / SCENES),
        (True, "val_seen", 1 / SCENES),
        (True, "val_unseen", 1 / SCENES),
        (False, "test_seen", 1 / SCENES),
        (False, "test_unseen", 1 / SCENES),
    ],
)
def test_the_scene_follows_the_class_only_where_it_should(
    unbiased_val: bool, split: str, share: float
) -> None:
    config = SyntheticConfig(
        scene_bias=0.9, unbiased_val=unbiased_val, test_size=4000, val_seen_per_class=100
    )
    planned = plan(config, split)
    own = np.mean(planned.scene == planned.label % SCENES)
    assert own == pytest.approx(share, abs=0.06)


def test_the_test_size_is_exact_and_spread_evenly() -> None:
    data = small()
    seen, unseen = data.splits["test_seen"], data.splits["test_unseen"]
    assert len(seen) + len(unseen) == 60
    for split in (seen, unseen):
        counts = np.bincount(split.label)
        counts = counts[counts > 0]
        assert counts.max() - counts.min() <= 1


def test_both_stages_of_the_protocol_can_be_read() -> None:
    first, second = small().stage(1), small().stage(2)
    assert (len(first.train), len(first.seen), len(first.unseen)) == (42, 28, 10)
    assert (len(second.train), len(second.seen), len(second.unseen)) == (80, 30, 30)
    assert len(second.seen_ids) == 19 and len(second.unseen_ids) == 5


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    again, other = generate(SMALL), render(SyntheticConfig(seed=1), "train")
    for split in SPLITS:
        np.testing.assert_array_equal(again.splits[split].video, small().splits[split].video)
        np.testing.assert_array_equal(again.splits[split].audio, small().splits[split].audio)
    assert not np.array_equal(other[0].frames, render(SyntheticConfig(), "train")[0].frames)


def test_a_rendered_clip_encodes_to_what_the_set_holds() -> None:
    data = small()
    clips = render(SMALL, "test_unseen")
    audio, video = FeatureEncoder.from_meta(data.meta).apply(describe(clips, steps=10))
    np.testing.assert_allclose(audio, data.splits["test_unseen"].audio, atol=1e-4)
    np.testing.assert_allclose(video, data.splits["test_unseen"].video, atol=1e-4)


def test_camera_shake_moves_the_background() -> None:
    def flicker(shake: float) -> float:
        config = SyntheticConfig(camera_shake=shake, noise=0.0, blob=0.0)
        frames = render(config, "train")[0].frames.astype(float)
        return float(np.abs(np.diff(frames, axis=0)).mean())

    assert flicker(0.0) == 0.0
    assert flicker(2.0) > 1.0


def test_progress_counts_up_to_all_clips() -> None:
    calls: list[tuple[int, int]] = []
    config = SyntheticConfig(
        train_per_class=2, val_seen_per_class=1, val_unseen_per_class=1, test_size=48
    )
    generate(config, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (95, 95)
    assert calls == sorted(calls)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scene_bias": 1.5}, "scene_bias: 1.5"),
        ({"camera_shake": -1.0}, "camera_shake"),
        ({"train_per_class": 1}, "at least 2"),
        ({"test_size": 10}, "at least 48"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        SyntheticConfig(**settings)  # type: ignore[arg-type]
