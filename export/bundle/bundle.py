"""The folder that is shipped, read: graph, integers, golden spikes, verdict.

    manifest.json    see `manifest`
    motion.nir       float graph; frozen thresholds, the policy in its metadata
    program.npz      integers (targets that have them)
    golden.npz       input samples, the spikes that they must give, and, where the network was
                     trained in integers, the spikes of its training forward
    run_lava.py      target lava: the worker itself, numpy + lava-nc only, runs golden.npz through
                     program.npz

`build_branch` and `build_network` write it, whole or not at all (`bundle_files`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, ChipInput, InputCode, MotionBackend, Trace
from neurozsl.export.backends.registry import Parts, RunOptions, backend
from neurozsl.export.bundle import manifest as manifests
from neurozsl.export.bundle.manifest import Manifest
from neurozsl.export.bundle.verify import Verification, verify
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.graph import from_nir
from neurozsl.export.targets import target as find_target
from neurozsl.hardware.arithmetic.quantize import ARITHMETIC as LOIHI
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.loihi.program import Program
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.speck.program import ARITHMETIC as SPECK
from neurozsl.hardware.speck.program import AnyProgram, SpeckProgram

StageProgress = Callable[[str, int, int], None]  # stage, samples done, samples in all
GRAPH, PROGRAM, GOLDEN, SCRIPT = "motion.nir", "program.npz", "golden.npz", "run_lava.py"
_LOADERS: Mapping[str, Callable[[Path], AnyProgram]] = {
    LOIHI: Program.load,
    SPECK: SpeckProgram.load,
}


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose files match its manifest."""

    path: Path
    manifest: Manifest
    parts: Parts
    golden: ChipInput
    golden_trace: Trace
    trained_trace: Trace | None = None

    @property
    def spec(self) -> BranchSpec:
        """The branch as deployed.

        Raises:
            BadInput: the bundle holds a network of a file.
        """
        if self.parts.spec is None:
            raise BadInput(
                f"{self.path}: holds the network of {self.manifest.source}, not the branch of a "
                "model; simulate, verify and profile take it without a run"
            )
        return self.parts.spec

    @property
    def program(self) -> AnyProgram | None:
        """The integers, None for float targets."""
        return self.parts.program

    def backend(self, name: str | None = None, run: RunOptions | None = None) -> MotionBackend:
        """A motion backend; the first of the target when no name is given."""
        return backend(name or find_target(self.manifest.target).backends[0], self.parts, run)

    def verify(
        self, *, timeout_s: float | None = None, progress: StageProgress | None = None
    ) -> Verification:
        """Run all checks of the target again on the golden samples."""
        return verify(
            self.parts,
            self.golden,
            target_name=self.manifest.target,
            golden=self.golden_trace,
            trained=self.trained_trace,
            policy_loss=self.manifest.policy_loss,
            timeout_s=timeout_s,
            progress=progress,
        )


def open_bundle(path: Path) -> Bundle:
    """Open a bundle after checking every file against the manifest.

    Raises:
        BadInput: no bundle, or a file that is missing, truncated or changed.
    """
    path = Path(path)
    manifest = manifests.read(path)
    for name in (GRAPH, GOLDEN):
        if name not in manifest.files:
            raise BadInput(f"{path}: the manifest does not list {name}; export again")
    graph = nirfile.read(path / GRAPH)
    program = None
    if PROGRAM in manifest.files and manifest.chip is not None:
        program = load_program(path / PROGRAM, manifest.chip)
    spec = None if manifest.source else from_nir(graph)
    parts = Parts(spec, lower(graph), program)
    golden, trace, trained = _read_golden(path / GOLDEN, parts.lowered.inputs)
    return Bundle(path, manifest, parts, golden, trace, trained)


def load_program(path: Path, chip: str) -> AnyProgram:
    """The integers in a file, in the arithmetic of their chip."""
    return _LOADERS[load_chip(chip).arithmetic](path)


def _read_golden(
    path: Path, inputs: Mapping[str, InputCode]
) -> tuple[ChipInput, Trace, Trace | None]:
    """Samples, the spikes of the deployment, and those of an integer training forward."""
    kinds = ("codes", "theta", "spikes", "trained")
    found: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in kinds}
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                kind, _, name = key.partition("/")
                found[kind][name] = file[key]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: not a golden file ({error}); export again") from error
    chip = ChipInput(found["codes"], inputs, found["theta"] or None).to_numpy()
    trained = Trace(found["trained"]) if found["trained"] else None
    return chip, Trace(found["spikes"]), trained
