"""`neurozsl export FILE.nir`: the network of a file as a checked bundle for one target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurozsl.cli.console import progress_bar, say, stages

if TYPE_CHECKING:
    from neurozsl.export.bundle.manifest import Manifest
    from neurozsl.export.network.network_run import Source
    from neurozsl.export.nir.foreign import Said
    from neurozsl.hardware.loihi.scales import ScaleRule


def default_folder(file: Path, target: str) -> Path:
    """Beside the file: `net.nir` goes to `net.deploy/TARGET`."""
    return file.with_suffix(".deploy") / target


def export(
    file: Path,
    said: Said,
    source: Source,
    *,
    target: str,
    out: Path,
    samples: int,
    bits: int,
    scale: ScaleRule,
) -> Manifest:
    """Write the bundle; the first `samples` of the input are golden, the others calibrate.

    Args:
        file: a `.nir` file.
        said: what the file may not say.
        source: of the input.
        target: name of the target.
        out: folder of the bundle.
        samples: how many are golden, all where the input has fewer.
        bits: weight bits of integers.
        scale: rule of the weight scales.
    """
    from neurozsl.export.network.build_network import build_network_bundle
    from neurozsl.export.network.network_run import feed

    fed = feed(file, said, source)
    every = fed.given.chip_input
    for note in fed.given.notes:
        say(f"note: golden samples: {note}")
    rest = every.take(slice(samples, None)) if every.batch > samples else None
    with progress_bar(f"exporting to {target}") as update:
        return build_network_bundle(
            fed.network,
            target=target,
            out_dir=out,
            samples=every.take(slice(0, samples)),
            calibration=rest,
            bits=bits,
            scale=scale,
            progress=stages(update),
        )
