"""`python examples/03_simulate_chip.py`: test samples through the simulated chip, to class names.

Needs the bundle of `02_export.py`. The branch runs as integers on our emulator and, where Lava is
set up, on lava-nc as well; the rest of the model stays on the host and names the class:

    emulator  8 samples in 0.01 s, spikes per sample: audio.0 123.4, ...
    lava      8 samples in 9.87 s, every spike equal to the emulator's
    swaying, humming        true: swaying, humming        right
    ...
    3 of 8 right
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import neurozsl as nz


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Simulate a bundle and name the classes.")
    parser.add_argument("--run", type=Path, default=Path("runs/examples"), help="run folder")
    parser.add_argument("--limit", type=int, default=8, help="test samples")
    return parser.parse_args()


def main() -> None:
    """Run the emulator, then lava-nc on the same samples, and compare all spikes."""
    given = arguments()
    bundle = nz.open_bundle(given.run / "deploy" / "lava")
    chip = nz.simulate(bundle, backend="emulator", limit=given.limit)
    spikes = ", ".join(f"{name} {n:.1f}" for name, n in chip.spikes_per_sample.items())
    print(f"emulator  {chip.samples} samples in {chip.seconds:.2f} s, spikes per sample: {spikes}")
    try:
        oracle = nz.simulate(bundle, backend="lava", limit=given.limit)
    except nz.MissingPart as missing:
        print(f"lava      {missing}")
    else:
        ours, theirs = chip.trace.spikes, oracle.trace.spikes
        differing = sum(int(np.count_nonzero(ours[name] != theirs[name])) for name in ours)
        verdict = "every spike equal to the emulator's"
        if differing:
            verdict = f"{differing} bits differ from the emulator"
        print(f"lava      {oracle.samples} samples in {oracle.seconds:.2f} s, {verdict}")
    for line in chip.predictions:
        mark = "right" if line.predicted == line.true else "wrong"
        print(f"{line.predicted:<24}true: {line.true:<24}{mark}")
    right = sum(line.predicted == line.true for line in chip.predictions)
    print(f"{right} of {chip.samples} right")
    if chip.warning:
        print(chip.warning)


if __name__ == "__main__":
    main()
