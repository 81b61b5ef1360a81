"""`python examples/06_real_clip.py MY_CLIP.mp4`: one recording through the simulated chip.

Needs the bundle of `02_export.py`, or of a run that was trained on your own clips (`--run`).
Windows of two seconds pass the feature encoder of the run, the branch runs on the emulator, and
the nearest classes are printed:

    MY_CLIP.mp4: 9.8 s, 8 windows
    audio.0     1234 spikes    12.3 %
    ...
    nearest: circling, chirping 1.23 | ...
    note: this run was trained on synthetic clips and cannot name what a real clip shows
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import neurozsl as nz


def main() -> None:
    """Decode, encode, simulate, name."""
    parser = argparse.ArgumentParser(description="One video with sound through the chip.")
    parser.add_argument("clip", type=Path, help="a video file with sound, two seconds or more")
    parser.add_argument("--run", type=Path, default=Path("runs/examples"), help="run folder")
    parser.add_argument("--nearest", type=int, default=3, help="classes to list")
    given = parser.parse_args()

    run = nz.load(given.run)
    bundle = nz.open_bundle(given.run / "deploy" / "lava")
    clip = nz.read_clip(given.clip)
    batch = nz.encode_clip(clip, run.data)  # with the encoder that the run's own data passed
    print(f"{clip.name}: {clip.seconds:.1f} s, {len(batch)} windows")

    with torch.no_grad():
        # 1. host: features, events and audio motion, as integer codes
        prepared = run.model.prepare(batch)
        assert prepared.chip_input is not None
        # 2. chip: the spiking branch, integers of the bundle; no motion weight is on the host
        trace = bundle.backend("emulator")(prepared.chip_input.to_numpy())
        # 3. host: fuse with the scene context, compare with the class vectors
        output = run.model.finish(trace, prepared.context)
        words = run.model.embed_words(torch.as_tensor(run.data.vectors))
        heads = nz.distances(output, words).mean(dim=1)  # over the windows: (head, class)
    weight = run.selected.head_weight
    distance = heads[0] if len(heads) == 1 else (1 - weight) * heads[0] + weight * heads[1]

    for layer, rate in trace.rates().items():
        print(f"{layer:<9}{int(trace.spikes[layer].sum()):8} spikes {100 * rate:7.2f} %")
    order = torch.argsort(distance)[: given.nearest].tolist()
    print("nearest: " + " | ".join(f"{run.data.classes[i]} {distance[i]:.2f}" for i in order))
    if run.data.synthetic:
        print(
            "note: this run was trained on synthetic clips and cannot name what a real clip shows"
        )
    else:
        print(f"note: the classes are those of {run.data.name}; distances are not probabilities")


if __name__ == "__main__":
    main()
