"""`camera.*`: frames a second of the camera over those of the loop that v2e publishes, rewritten.

Same frames (346 x 260, uint8), same settings, same run, one thread. The synthetic scene is a
texture under a moving camera with a disc that crosses it, at about 3 events a pixel and second;
clips of ../shared, one busy and one calm, are measured where they are.
The statistics of both stand beside those of a recording, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurozsl.data.clips.grey_video import open_grey
from neurozsl.data.events.camera import PRESETS, Camera
from neurozsl.data.events.files.open import open_events
from neurozsl.data.events.statistics import event_statistics
from neurozsl.data.events.stream import EVENT, EventStream
from tests.bench.measure import Ratio, side_by_side
from tests.bench.published_loop import PublishedLoop

SIZE = (346, 260)
FRAMES = 20
LEAST = 10.0
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
CLIPS = {
    "dog": (SHARED / "clips" / "dog_barking" / "vas_dog_02754.mp4", 100),
    "cello": (SHARED / "clips" / "playing_cello" / "avsync15_playing_cello.mp4", 0),
}
RECORDING = SHARED / "events" / "dvxplorer_sample.aedat4"

Timed = list[tuple[npt.NDArray[np.uint8], float]]


def measure() -> dict[str, Ratio]:
    """Every scene with every preset; `camera.synthetic_default` carries the table of statistics."""
    scenes = {"synthetic": moving_scene()} | {
        name: list(islice(open_grey(path, size=SIZE).frames(), first, first + FRAMES))
        for name, (path, first) in CLIPS.items()
        if path.is_file()
    }
    found: dict[str, Ratio] = {}
    for scene, frames in scenes.items():
        for preset, camera in PRESETS.items():
            cases: dict[str, Callable[[], object]] = {
                "camera": lambda c=camera, f=frames: sum(map(len, ours(c, f))),  # type: ignore[misc]
                "loop": lambda c=camera, f=frames: sum(map(len, published(c, f))),  # type: ignore[misc]
            }
            seconds = side_by_side(cases, rounds=2, repeats=2)
            details: dict[str, Any] = {
                "frames_per_s": {k: round((len(frames) - 1) / s) for k, s in seconds.items()},
                "camera": asdict(camera),
                "statistics": {
                    "camera": numbers(ours(camera, frames)),
                    "loop": numbers(published(camera, frames)),
                },
            }
            if RECORDING.is_file():
                with open_events(RECORDING) as recording:
                    details["statistics"]["recording"] = numbers(recording)
            found[f"camera.{scene}_{preset}"] = Ratio(
                seconds["loop"] / seconds["camera"], "more", LEAST, "", details
            )
    return found


def moving_scene(frames: int = FRAMES, fps: float = 30.0) -> Timed:
    """A smooth texture that moves by 1.3 px a frame, and a bright disc that crosses it."""
    width, height = SIZE
    rng = np.random.default_rng(0)
    texture = np.zeros((height, width + 4 * frames))
    for cell in (4, 12, 40):
        coarse = rng.normal(size=(height // cell + 2, texture.shape[1] // cell + 2))
        texture += np.kron(coarse, np.ones((cell, cell)))[:height, : texture.shape[1]]
    for axis in (0, 1):
        texture = np.mean([np.roll(texture, k, axis) for k in range(-2, 3)], axis=0)
    y, x = np.mgrid[:height, :width]
    made = []
    for i in range(frames):
        shift = 1.3 * i
        low = int(shift)
        view = texture[:, low : low + width] * (1 - shift + low)
        view = view + texture[:, low + 1 : low + 1 + width] * (shift - low)
        disc = np.clip(24 - np.hypot(x - 40 - 9.0 * i, y - 130 - 2.0 * i), 0, 1)
        grey = np.clip(110 + 14 * view, 0, 255) * (1 - disc) + 235 * disc
        made.append((np.rint(grey).astype(np.uint8), i / fps))
    return made


def ours(camera: Camera, frames: Timed) -> Iterator[EventStream]:
    """The blocks of the camera."""
    return camera.events([frame for frame, _ in frames], [time for _, time in frames])


def published(camera: Camera, frames: Timed) -> Iterator[npt.NDArray[np.float32]]:
    """The rows of the rewritten loop."""
    loop = PublishedLoop(camera)
    return (loop.events(frame, time) for frame, time in frames)


def numbers(blocks: Iterator[EventStream] | Iterator[npt.NDArray[np.float32]] | Any) -> Any:
    """Statistics of blocks or of rows."""
    return event_statistics(
        block if isinstance(block, EventStream) else _stream(block) for block in blocks
    ).to_json()


def _stream(rows: Sequence[Any] | npt.NDArray[np.float32]) -> EventStream:
    table = np.asarray(rows)
    table = table[np.argsort(table[:, 0], kind="stable")]
    events = np.empty(len(table), dtype=EVENT)
    events["t"] = np.rint(table[:, 0].astype(np.float64) * 1e6)
    events["x"], events["y"], events["p"] = table[:, 1], table[:, 2], table[:, 3] > 0
    return EventStream(events, *SIZE)
