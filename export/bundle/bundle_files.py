"""What every bundle is made of, written: parts, golden samples, manifest, and the folder itself.

A bundle is built in a temporary folder beside its destination and renamed when complete. On FAIL it
is kept as `<out_dir>.rejected`, an older bundle stays as it was, and the call raises. Integers that
do not fit the cores of the chip leave nothing.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nir

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput, VerificationFailed
from neurozsl.core.folders import folder_beside, move_into_place
from neurozsl.core.signals import BranchSpec, ChipInput, Trace
from neurozsl.export.backends.registry import Parts, backend
from neurozsl.export.bundle import manifest as manifests
from neurozsl.export.bundle.belongs import losses_of
from neurozsl.export.bundle.manifest import Manifest
from neurozsl.export.bundle.sealed_files import GOLDEN, GRAPH, PROGRAM
from neurozsl.export.bundle.verify import Verification
from neurozsl.export.nir import nirfile
from neurozsl.export.targets import Target
from neurozsl.hardware.arithmetic.base import QuantiserOptions
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.arithmetic.registry import load_program
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.golden import save_input
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.hardware.place.mapping import Mapping as Placement
from neurozsl.hardware.place.placement import placement


@contextmanager
def staged(out_dir: Path) -> Iterator[Path]:
    """A temporary folder beside the destination; what is left of it at the end is removed.

    Raises:
        BadInput: the destination is something else than a bundle.
    """
    _check_destination(out_dir)
    made = [folder for folder in (out_dir.parent, *out_dir.parent.parents) if not folder.exists()]
    try:
        with folder_beside(out_dir) as part:
            yield part
    finally:
        for folder in made:  # nearest first; kept where a bundle, even a rejected one, is in it
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def publish(part: Path, out_dir: Path, manifest: Manifest) -> Manifest:
    """Write the manifest and put the folder in its place.

    Raises:
        VerificationFailed: the manifest has reasons to reject it; kept as `<out_dir>.rejected`.
    """
    manifests.write(part, manifest)
    rejected = out_dir.with_name(out_dir.name + ".rejected")
    if manifest.rejections:
        move_into_place(part, rejected)
        raise VerificationFailed(
            f"export to '{manifest.target}' failed its verification, kept as {rejected}: "
            + "; ".join(manifest.rejections)
        )
    move_into_place(part, out_dir)
    shutil.rmtree(rejected, ignore_errors=True)
    return manifests.read(out_dir)


def write_parts(
    folder: Path,
    graph: nir.NIRGraph,
    spec: BranchSpec | None,
    chosen: Target,
    rounding: QuantiserOptions,
    program: ChipProgram | None = None,
) -> Parts:
    """Files of the network; the parts are read back from them, except the branch itself.

    The graph has our metadata. `spec` is that of a branch, None for other networks; `program` holds
    integers that exist already, else `rounding` makes them.
    """
    lowered = lower(nirfile.read(nirfile.write(folder / GRAPH, graph)))
    if "fixed" not in chosen.fidelity:
        return Parts(spec, lowered)
    assert chosen.chip is not None
    (program or quantize(lowered, chosen.chip, **vars(rounding))).save(folder / PROGRAM)
    for file in chosen.ships():
        shutil.copyfile(file, folder / file.name)
    return Parts(spec, lowered, load_program(folder / PROGRAM, chosen.chip))


def write_golden(
    folder: Path, parts: Parts, chosen: Target, samples: ChipInput, trained: Trace | None = None
) -> Trace:
    """Samples and the spikes that the first backend of the target gives for them."""
    trace = backend(chosen.backends[0], parts, own=chosen.own_backends)(samples)
    # Thresholds of the host are golden only where the deployment reads them.
    theta = samples.theta if parts.lowered.policy == "dynamic" else None
    save_input(folder / GOLDEN, ChipInput(samples.codes, samples.code, theta), trace, trained)
    return trace


def describe(
    folder: Path,
    parts: Parts,
    chosen: Target,
    found: Verification,
    reasons: tuple[str, ...],
    placed: Placement | None,
    **more: Any,
) -> Manifest:
    """The manifest of a folder; `more` are fields that differ between branches and networks."""
    program, lowered = parts.program, parts.lowered
    losses = losses_of(program) if program else ()
    rule = lowered.layers[0].rule
    values: dict[str, Any] = {
        "trained_policy": lowered.policy,
        "policy_loss": "",
        "calibration": losses[0].get("scale_rule") if losses else None,
        "steps": (),
        **more,
    }
    return Manifest(
        target=chosen.name,
        chip=chosen.chip,
        fidelity=chosen.fidelity,
        T=lowered.steps,
        dt_s=lowered.dt_s,
        reset=rule.reset,
        compare=rule.compare,
        policy=lowered.policy,
        weight_bits=losses[0]["weight_bits"] if losses else None,
        versions=manifests.versions(found.oracle),
        oracle=found.oracle,
        verdict="FAIL" if reasons else found.verdict,
        reasons=reasons,
        losses=found.losses,
        verification=found.as_json() | ({"verdict": "FAIL"} if reasons else {}),
        quantisation=losses,
        mapping=None if placed is None else placement(placed).as_json(),
        files={p.name: sha256(p) for p in sorted(folder.iterdir())},
        **values,
    )


def _check_destination(out_dir: Path) -> None:
    """Only a bundle, or nothing, is ever replaced."""
    for folder in (out_dir, out_dir.with_name(out_dir.name + ".rejected")):
        is_bundle = (folder / manifests.NAME).is_file()
        if folder.exists() and not is_bundle and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(f"{folder}: exists and is not a bundle; choose another folder")
