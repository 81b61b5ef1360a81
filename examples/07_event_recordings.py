"""`python examples/07_event_recordings.py [DIR LABELS.csv]`: an event camera -> a network on Speck.

DIR holds recordings (N-MNIST, AEDAT 4, EVT 2 or 3, .npz, .h5), LABELS.csv `file,label,split`.
Without them bars that move are filmed by the model of an event camera (synthetic). A network of
convolutions and integrate-and-fire neurons learns them and is fine-tuned in the chip's integers; a
checked bundle and a report are left. Videos in DIR are filmed; further options are for `data build`
(long videos: `--size 32x32 --seconds 1 --hop 0.5`). It prints each command before what that says:

    $ neurozsl data build --events runs/examples/bars ...
    $ neurozsl train --network conv-if --data runs/examples/bars-set ...
    $ neurozsl train --resume runs/examples/bars-if --qat speck2f ...
    $ neurozsl export runs/examples/bars-if-qat8 --target speck
    $ neurozsl profile runs/examples/bars-if-qat8 --chip speck2f --report runs/examples/bars.html
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np

import neurozsl as nz

PIXELS, FRAMES, RATE = 32, 40, 200
DIRECTIONS = {"left": (1, -1), "right": (1, 1), "up": (0, -1), "down": (0, 1)}


def film(folder: Path) -> Path:
    """Bars of different width and grey that cross the picture; returns the labels file."""
    rng, rows = np.random.default_rng(0), ["file,label,split"]
    for label, (axis, sign) in DIRECTIONS.items():
        for number in range(6):
            wide, grey = rng.integers(3, 7), rng.integers(120, 230)
            frames = np.full((FRAMES, PIXELS, PIXELS), 40, np.uint8)
            for i, frame in enumerate(frames):
                start = (i if sign > 0 else FRAMES - 1 - i) * PIXELS // FRAMES
                (frame.T if axis else frame)[start : start + wide] = grey
            file = folder / label / f"{number}.npz"
            file.parent.mkdir(parents=True, exist_ok=True)
            camera = nz.Camera(seed=len(rows))
            nz.write_events(camera.events(list(frames), list(np.arange(FRAMES) / RATE)), file)
            rows.append(f"{label}/{number}.npz,{label},{'test' if number > 3 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "labels.csv"


def run(*words: object) -> None:
    """One command, as it would be typed."""
    print("$ neurozsl", shlex.join(map(str, words)), flush=True)
    subprocess.run([sys.executable, "-m", "neurozsl", *map(str, words)], check=True)


def main() -> None:
    """Film or take the recordings, build a set, train, fine-tune, export, report."""
    parser = argparse.ArgumentParser(description="Event recordings to a network on Speck.")
    parser.add_argument("recordings", type=Path, nargs="?", help="folder; default: synthetic bars")
    parser.add_argument("labels", type=Path, nargs="?", help="CSV of file,label,split")
    parser.add_argument("--epochs", type=int, default=25)
    given, cut = parser.parse_known_args()  # the rest is for `data build`: --size, --seconds, --hop
    place = Path("runs/examples")
    folder = given.recordings or place / "bars"
    labels = given.labels or film(folder)
    data, net = place / f"{folder.name}-set", place / f"{folder.name}-if"
    tuned, page = net.with_name(f"{net.name}-qat8"), place / f"{folder.name}.html"
    run("data", "build", "--events", folder, "--labels", labels, "--bins", 10, *cut, "--out", data)
    run("train", "--network", "conv-if", "--data", data, "--out", net, "--batch", 10,
        "--epochs", given.epochs, "--augment", "shift=2")  # fmt: skip
    run("train", "--resume", net, "--qat", "speck2f", "--epochs", 5)
    run("export", tuned, "--target", "speck", "--max-acc-drop", 15)  # one of 8 test recordings
    run("profile", tuned, "--chip", "speck2f", "--report", page)


if __name__ == "__main__":
    main()
