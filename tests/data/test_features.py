"""Feature encoders: known pictures and sounds, librosa as the second opinion, exact statistics."""

import json

import librosa
import numpy as np
import numpy.typing as npt
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.clip import Clip
from neurozsl.data.encoders.audio_features import AUDIO_DESCRIPTOR_DIM, RATE_HZ, audio_descriptors
from neurozsl.data.encoders.features import (
    FEATURE_DIM,
    FeatureEncoder,
    audio_projection,
    describe,
    visual_projection,
)
from neurozsl.data.encoders.visual_features import CHANNELS, DIRECTIONS, shrink, visual_descriptors

F32 = npt.NDArray[np.float32]


def tone(hertz: float, seconds: float = 2.0) -> F32:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.1 * np.sin(2.0 * np.pi * hertz * time)).astype(np.float32)


def noise(seed: int) -> F32:
    return (0.1 * np.random.default_rng(seed).standard_normal(2 * RATE_HZ)).astype(np.float32)


def clip(seed: int, fps: float = 10.0, side: int = 32) -> Clip:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (round(2 * fps), side, side, 3), dtype=np.uint8)
    return Clip(frames, fps, noise(seed), RATE_HZ, f"clip{seed}")


def test_area_shrinking_equals_block_means_and_keeps_the_mean() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    small = shrink(frames, 32)
    blocks = frames.reshape(2, 32, 2, 32, 3, 3).mean(axis=(2, 4)) / 255.0
    np.testing.assert_allclose(small, blocks, atol=1e-5)
    odd = shrink(np.full((1, 37, 41, 3), 77, dtype=np.uint8), 32)
    np.testing.assert_allclose(odd, 77 / 255.0, atol=1e-5)


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_a_ramp_votes_for_its_own_direction(direction: int) -> None:
    angle = direction * np.pi / DIRECTIONS
    y, x = np.mgrid[:32, :32]
    ramp = 128 + 3.0 * ((x - 16) * np.cos(angle) + (y - 16) * np.sin(angle))
    frames = np.repeat(ramp.clip(0, 255).astype(np.uint8)[None, ..., None], 3, axis=-1)
    cells = visual_descriptors(frames)[0, 2:6, 2:6, :DIRECTIONS]
    assert int(cells.sum(axis=(0, 1)).argmax()) == direction


def test_gradient_cells_equal_a_slow_walk() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    grey = (frames[0] / 255.0) @ np.array([0.299, 0.587, 0.114])
    votes = np.zeros((8, 8, DIRECTIONS))
    for y in range(32):
        for x in range(32):
            gx = grey[y, min(x + 1, 31)] - grey[y, max(x - 1, 0)]
            gy = grey[min(y + 1, 31), x] - grey[max(y - 1, 0), x]
            place = (np.arctan2(gy, gx) % np.pi) / np.pi * DIRECTIONS
            low = int(place) % DIRECTIONS
            share = place - int(place)
            votes[y // 4, x // 4, low] += np.hypot(gx, gy) * (1 - share)
            votes[y // 4, x // 4, (low + 1) % DIRECTIONS] += np.hypot(gx, gy) * share
    energy = np.pad(votes.sum(axis=-1), 1, mode="edge")
    local = np.array([[energy[y : y + 3, x : x + 3].mean() for x in range(8)] for y in range(8)])
    expected = votes / (local + 16 * 0.5)[..., None]
    got = visual_descriptors(frames)[0, ..., :DIRECTIONS]
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_colour_cells_are_the_means_of_their_pixels() -> None:
    frames = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    frames[0, 4:8, 8:12] = (255, 128, 0)
    cells = visual_descriptors(frames)[0, ..., DIRECTIONS:]
    np.testing.assert_allclose(cells[1, 2], [1.0, 128 / 255, 0.0], atol=1e-6)
    assert np.count_nonzero(cells.sum(axis=-1)) == 1


def test_each_visual_output_reads_at_most_nine_neighbouring_cells() -> None:
    weights = visual_projection().reshape(8, 8, CHANNELS, FEATURE_DIM)
    used = np.abs(weights).sum(axis=2) > 0
    for out in range(FEATURE_DIM):
        y, x = np.nonzero(used[..., out])
        assert 1 <= len(y) <= 6 and np.ptp(y) <= 2 and np.ptp(x) <= 2
    assert (np.abs(audio_projection()) > 0).any(axis=0).all()


def test_log_mel_part_equals_librosa_frame_by_frame() -> None:
    wave = noise(2)[None]
    scaled = wave[0] / np.sqrt(np.mean(wave**2))
    mel = librosa.feature.melspectrogram(
        y=scaled, sr=RATE_HZ, n_fft=512, hop_length=160, n_mels=64, power=2.0
    )
    decibel = librosa.power_to_db(mel, ref=1.0, amin=1e-4, top_db=None)
    expected = decibel[:, :200].reshape(64, 10, 20).mean(axis=-1).T / 20.0
    np.testing.assert_allclose(audio_descriptors(wave, steps=10)[0, :, :64], expected, atol=1e-4)


def test_centroid_bandwidth_and_rolloff_follow_librosa() -> None:
    wave = noise(3)[None]
    scaled = wave[0] / np.sqrt(np.mean(wave**2))
    spectrum = np.abs(librosa.stft(scaled, n_fft=512, hop_length=160))
    references = (
        librosa.feature.spectral_centroid(S=spectrum, sr=RATE_HZ) / 2000.0,
        librosa.feature.spectral_bandwidth(S=spectrum, sr=RATE_HZ) / 1000.0,
        librosa.feature.spectral_rolloff(S=spectrum, sr=RATE_HZ) / 3000.0,
        np.log(librosa.feature.spectral_flatness(S=spectrum)) / 4.0,
    )
    got = audio_descriptors(wave, steps=10)[0, :, 192:199]
    for column, reference in zip(range(1, 5), references, strict=True):
        expected = reference[0, :200].reshape(10, 20).mean(axis=1)
        np.testing.assert_allclose(got[:, column], expected, rtol=2e-3)


def test_loudness_changes_only_the_level_and_its_deviation() -> None:
    quiet = audio_descriptors(tone(440.0)[None], steps=10)[0]
    loud = audio_descriptors(4.0 * tone(440.0)[None], steps=10)[0]
    changed = np.abs(loud - quiet).max(axis=0) > 1e-3
    assert np.flatnonzero(changed).tolist() == [192 + 6]


def test_silence_gives_finite_descriptors() -> None:
    silent = np.zeros((2, 2 * RATE_HZ), dtype=np.float32)
    found = audio_descriptors(silent, steps=10)
    assert found.shape == (2, 10, AUDIO_DESCRIPTOR_DIM)
    assert np.isfinite(found).all()


def test_a_batch_gives_what_its_clips_give_alone() -> None:
    clips = [clip(seed) for seed in range(3)]
    together = describe(clips, steps=10)
    for i, single in enumerate(clips):
        alone = describe([single], steps=10)
        np.testing.assert_allclose(together.audio[i], alone.audio[0], atol=1e-5)
        np.testing.assert_allclose(together.video[i], alone.video[0], atol=1e-5)
        np.testing.assert_array_equal(together.events[i], alone.events[0])


def test_a_change_in_one_corner_reaches_only_outputs_of_that_corner() -> None:
    base = clip(0)
    frames = base.frames.copy()
    frames[:, :4, :4] = 255
    changed = Clip(frames, base.fps, base.waveform, base.rate, "changed")
    gap = describe([changed], steps=10).video - describe([base], steps=10).video
    moved = np.abs(gap).max(axis=(0, 1)) > 1e-6
    assert 5 < moved.sum() < 0.2 * FEATURE_DIM


def test_the_encoder_standardises_before_the_shifted_relu() -> None:
    described = describe([clip(seed) for seed in range(8)], steps=10)
    encoder = FeatureEncoder.fit(described, window_s=2.0)
    audio, video = encoder.apply(described)
    assert audio.dtype == video.dtype == np.float32
    for raw, mean, scale, encoded in (
        (described.audio, encoder.audio_mean, encoder.audio_scale, audio),
        (described.video, encoder.video_mean, encoder.video_scale, video),
    ):
        z = (raw - mean) / scale
        np.testing.assert_allclose(z.mean(axis=(0, 1)), 0.0, atol=1e-3)
        np.testing.assert_allclose(z.std(axis=(0, 1)), 1.0, atol=1e-3)
        np.testing.assert_array_equal(encoded, np.maximum(z + 0.5, 0.0))


def test_the_encoder_survives_json_bit_for_bit() -> None:
    described = describe([clip(seed) for seed in range(4)], steps=10)
    encoder = FeatureEncoder.fit(described, window_s=2.0)
    again = FeatureEncoder.from_meta(json.loads(json.dumps({"encoder": encoder.to_meta()})))
    for before, after in zip(encoder.apply(described), again.apply(described), strict=True):
        np.testing.assert_array_equal(before, after)


def test_meta_without_an_encoder_is_refused() -> None:
    with pytest.raises(BadInput, match="no feature encoder"):
        FeatureEncoder.from_meta({})


def test_sound_of_another_rate_is_refused() -> None:
    wrong = Clip(clip(0).frames, 10.0, noise(0), 8000, "slow.wav")
    with pytest.raises(BadInput, match=r"slow\.wav: 8000 Hz"):
        describe([wrong], steps=10)
