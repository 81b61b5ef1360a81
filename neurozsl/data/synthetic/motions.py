"""Rendered frames of one bright blob that moves over a scene.

A blob has three phases: left-right, up-down and size, each uniformly random at the start. A
motion only says which phases advance, so that the distribution of place and size in any single
frame is nearly the same for all motions, and only time tells them apart:

    swaying    x phase advances                bobbing   y phase advances
    circling   both, a quarter turn apart      zooming   size phase advances
    jumping    x and y phases are drawn anew every two or three steps
"""

import functools

import numpy as np
import numpy.typing as npt

from neurozsl.data.batch import F32, I64, U8

MOTIONS = ("swaying", "bobbing", "circling", "zooming", "jumping")
SIDE = 32
SCENES = 8
GREY = 0.35
SCENE_SEED = 77
SWING_PX = (5.0, 8.5)
CENTRE_PX = (13.0, 19.0)
PERIOD_S = (0.8, 1.4)
RADIUS_PX = (2.2, 3.0)
ZOOM = 0.45  # size swings by exp(+-0.45)
F64 = npt.NDArray[np.float64]


def render_frames(
    rng: np.random.Generator,
    motion: I64,
    scene: I64,
    *,
    frames: int,
    fps: float,
    blob: float,
    background: float,
    noise: float,
    camera_shake: float,
) -> U8:
    """Returns (n, frames, 32, 32, 3) uint8; `rng` draws everything but motion and scene.

    motion: (n,) index into `MOTIONS`. scene: (n,) index of the background, below `SCENES`.
    blob: its brightness; background, noise: deviations of the scene's texture and of the pixel
    noise; all of full scale. camera_shake: largest shift of the picture per frame in px, each way.
    """
    n = len(motion)
    place_x, place_y, radius = _trajectory(rng, motion, frames, fps)  # (n, F) each
    shake = np.rint(rng.uniform(-camera_shake, camera_shake, (2, n, frames))).astype(np.int64)
    pan = rng.integers(-2, 3, (2, n))
    picture = _background(scene, pan[..., None] + shake) * np.float32(background)
    picture += np.float32(GREY)
    axis = np.arange(SIDE, dtype=np.float32)
    narrow = (-0.5 / radius**2).astype(np.float32)[..., None]
    along_x = np.exp(narrow * (axis - (place_x + shake[0]).astype(np.float32)[..., None]) ** 2)
    along_y = np.exp(narrow * (axis - (place_y + shake[1]).astype(np.float32)[..., None]) ** 2)
    tint = rng.uniform(0.6, 1.0, (n, 3)) * (blob * rng.uniform(0.8, 1.2, (n, 1)))
    coloured = along_x[..., None] * tint.astype(np.float32)[:, None, None, :]
    picture += along_y[..., :, None, None] * coloured[..., None, :, :]
    picture += np.float32(noise) * rng.standard_normal(picture.shape, dtype=np.float32)
    picture *= np.float32(255.0)
    return np.clip(picture, 0.0, 255.0, out=picture).astype(np.uint8)


def _trajectory(
    rng: np.random.Generator, motion: I64, frames: int, fps: float
) -> tuple[F64, F64, F64]:
    """Place (px) and radius (px) of the blob, (n, F) each."""
    n = len(motion)
    time = np.arange(frames) / fps
    start = rng.uniform(0.0, 2.0 * np.pi, (3, n, 1))
    sense = rng.choice([-1.0, 1.0], (n, 1))
    turn = 2.0 * np.pi * time * sense / rng.uniform(*PERIOD_S, (n, 1))
    name = np.array(MOTIONS)[motion][:, None]
    phase_x = start[0] + turn * np.isin(name, ("swaying", "circling"))
    phase_y = start[1] + turn * np.isin(name, ("bobbing", "circling"))
    phase_y = np.where(name == "circling", phase_x - np.pi / 2.0, phase_y)
    phase_r = start[2] + turn * (name == "zooming")
    jump_x, jump_y = _jump_phases(rng, n, frames, fps)
    phase_x = np.where(name == "jumping", jump_x, phase_x)
    phase_y = np.where(name == "jumping", jump_y, phase_y)
    swing = rng.uniform(*SWING_PX, (n, 1))
    centre = rng.uniform(*CENTRE_PX, (2, n, 1))
    radius = rng.uniform(*RADIUS_PX, (n, 1)) * np.exp(ZOOM * np.sin(phase_r))
    return centre[0] + swing * np.sin(phase_x), centre[1] + swing * np.sin(phase_y), radius


def _jump_phases(rng: np.random.Generator, n: int, frames: int, fps: float) -> tuple[F64, F64]:
    """Phases that hold for 0.4 or 0.6 s, then change at random: two (n, F)."""
    hold = rng.choice([0.4, 0.6], (n, 1)) * fps
    place = ((np.arange(frames) + rng.uniform(0.0, 1.0, (n, 1)) * hold) / hold).astype(np.int64)
    drawn = rng.uniform(0.0, 2.0 * np.pi, (2, n, int(place.max()) + 1))
    return np.take_along_axis(drawn[0], place, 1), np.take_along_axis(drawn[1], place, 1)


def _background(scene: I64, shift: I64) -> F32:
    """(n, F, 32, 32, 3): each clip's periodic texture, moved by shift (2, n, F) px."""
    axis = np.arange(SIDE)
    x = (axis - shift[0][..., None]) % SIDE  # (n, F, 32)
    y = (axis - shift[1][..., None]) % SIDE
    picture: F32 = scenes()[scene[:, None, None, None], y[..., :, None], x[..., None, :]]
    return picture


@functools.lru_cache(maxsize=1)
def scenes() -> F32:
    """(8, 32, 32, 3) smooth periodic colour textures of zero mean and unit deviation."""
    rng = np.random.default_rng(SCENE_SEED)
    white = rng.standard_normal((SCENES, SIDE, SIDE, 3))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    low_pass = np.exp(-((frequency / 0.08) ** 2))[None, :, :, None]
    smooth = np.fft.ifft2(np.fft.fft2(white, axes=(1, 2)) * low_pass, axes=(1, 2)).real
    smooth -= smooth.mean(axis=(1, 2), keepdims=True)
    unit: F32 = (smooth / smooth.std(axis=(1, 2, 3), keepdims=True)).astype(np.float32)
    return unit
