"""The folder that is shipped, read: graph, integers, golden spikes, verdict.

    manifest.json    see `manifest`
    motion.nir       float graph; frozen thresholds, the policy in its metadata
    program.npz      integers (targets that have them)
    golden.npz       input samples, the spikes that they must give, and, where the network was
                     trained in integers, the spikes of its training forward
    ...              what the target ships beside them, as a script that runs golden.npz through
                     program.npz where the chip's own tools are

`build_branch` and `build_network` write it, whole or not at all (`bundle_files`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neurozsl.core.errors import BadInput
from neurozsl.core.leftovers import recover
from neurozsl.core.signals import BranchSpec, ChipInput, MotionBackend, Trace
from neurozsl.export.backends.registry import Parts, RunOptions, backend
from neurozsl.export.bundle import manifest as manifests
from neurozsl.export.bundle.belongs import check_golden, check_parts, check_scripts, check_target
from neurozsl.export.bundle.manifest import Manifest
from neurozsl.export.bundle.sealed_files import GOLDEN, GRAPH, PROGRAM, other_files
from neurozsl.export.bundle.verify import Verification, verify
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.graph_reading import from_nir
from neurozsl.export.targets import Target
from neurozsl.export.targets import target as find_target
from neurozsl.hardware.arithmetic.registry import load_program
from neurozsl.hardware.lower.lower import lower
from neurozsl.hardware.network.golden import read_golden
from neurozsl.hardware.network.program import ChipProgram

StageProgress = Callable[[str, int, int], None]  # stage, samples done, samples in all


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose files match its manifest.

    notes: what people should know of its other files, a sentence each.
    """

    path: Path
    manifest: Manifest
    parts: Parts
    golden: ChipInput
    golden_trace: Trace
    trained_trace: Trace | None = None
    notes: tuple[str, ...] = ()

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
    def program(self) -> ChipProgram | None:
        """The integers, None for float targets."""
        return self.parts.program

    def backend(self, name: str | None = None, run: RunOptions | None = None) -> MotionBackend:
        """A motion backend; the first of the target when no name is given."""
        chosen = find_target(self.manifest.target)
        return backend(name or chosen.backends[0], self.parts, run, own=chosen.own_backends)

    def verify(
        self, *, timeout_s: float | None = None, progress: StageProgress | None = None
    ) -> Verification:
        """Run all checks of the target again on the golden samples."""
        dead = self.manifest.dead_neurons
        return verify(
            self.parts,
            self.golden,
            target_name=self.manifest.target,
            golden=self.golden_trace,
            trained=self.trained_trace,
            policy_loss=self.manifest.policy_loss,
            timeout_s=timeout_s,
            progress=progress,
            neurons={row.layer: row.neurons for row in dead.layers} if dead else None,
        )


def open_bundle(path: Path) -> Bundle:
    """Open a bundle after checking every file against the manifest, and the manifest against them.

    Raises:
        BadInput: no bundle, a file that is missing, truncated or changed, or a manifest that is not
            that of these files.
    """
    path = Path(path)
    recover(path)
    manifest = manifests.read(path)
    for name in (GRAPH, GOLDEN):
        if name not in manifest.files:
            raise BadInput(f"{path}: the manifest does not list {name}; export again")
    chosen = _target(path, manifest)
    check_target(path, manifest, chosen)
    graph = nirfile.read(path / GRAPH)
    program = None
    if PROGRAM in manifest.files and manifest.chip is not None:
        program = load_program(path / PROGRAM, manifest.chip)
    spec = None if manifest.source else from_nir(graph)
    parts = Parts(spec, lower(graph), program)
    check_parts(path, manifest, parts)
    golden, trace, trained = read_golden(path / GOLDEN, parts.lowered.inputs)
    check_golden(path / GOLDEN, manifest, parts, golden, {"spikes": trace, "trained": trained})
    notes = other_files(path, manifest.files) + check_scripts(path, manifest, chosen)
    return Bundle(path, manifest, parts, golden, trace, trained, notes)


def _target(path: Path, manifest: Manifest) -> Target:
    try:
        return find_target(manifest.target)
    except BadInput as error:
        raise BadInput(f"{path / manifests.NAME}: {error}") from None
