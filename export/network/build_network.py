"""Export, verify and write the bundle of a network that came as a file (`foreign`).

It is shipped as it was lowered: `motion.nir` is the flat graph with everything that was said and
assumed in its metadata, so that any reader of the bundle computes the same. There is no model; the
reference of the checks is the float simulation instead of Norse. Where the samples have labels, the
accuracy is measured too (`score_task`).
"""

from pathlib import Path

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.export.bundle.bundle import StageProgress
from neurozsl.export.bundle.bundle_files import describe, publish, staged, write_golden, write_parts
from neurozsl.export.bundle.manifest import Manifest
from neurozsl.export.bundle.task_score import MAX_DROP
from neurozsl.export.bundle.verify import verify
from neurozsl.export.network.nearest_rule import refuse_rules
from neurozsl.export.network.network_run import count_ends
from neurozsl.export.network.score_task import check_limit, scored_export
from neurozsl.export.network.task import Task
from neurozsl.export.nir.foreign import Network
from neurozsl.export.targets import target as find_target
from neurozsl.hardware.arithmetic.base import QuantiserOptions
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.hardware.place.place import place


def build_network_bundle(
    network: Network,
    *,
    target: str,
    out_dir: Path,
    samples: ChipInput,
    calibration: ChipInput | None = None,
    bits: int = 8,
    scale: ScaleRule = "max",
    task: Task | None = None,
    labelled: ChipInput | None = None,
    max_acc_drop: float = MAX_DROP,
    timeout_s: float | None = None,
    progress: StageProgress | None = None,
) -> Manifest:
    """Write one bundle; returns its manifest.

    network: from `foreign.from_graph`, with the codes of `samples` as its input codes.
    calibration: samples for the quantisation report; the golden ones where None. task, labelled:
    labels, and the samples that they are of, on which the accuracy is measured. max_acc_drop: its
    largest loss that passes, in points, float to what is shipped. The others: as of
    `build_branch.build_bundle`.

    Raises:
        VerificationFailed: verdict FAIL, or that of the task; the folder is `<out_dir>.rejected`.
        DoesNotFit: the integers break a limit of the chip; nothing is written.
        BadInput: unknown target, a network that the target cannot run, no sample.
    """
    chosen, out_dir = find_target(target), Path(out_dir)
    if samples.batch < 1:
        raise BadInput(f"export of {network.source}: no sample was given; pass one, better 16")
    check_limit(max_acc_drop)
    refuse_rules(network.lowered, chosen, samples, network.source)
    rounding = QuantiserOptions(samples if calibration is None else calibration, bits, scale, False)
    with staged(out_dir) as part:
        parts = write_parts(part, network.graph, None, chosen, rounding)
        placed = place(parts.program, parts.program.chip) if parts.program else None
        golden = write_golden(part, parts, chosen, samples)
        if ends := count_ends(network.lowered, golden):
            raise BadInput(f"export of {network.source}: {'; '.join(ends)}")
        found = verify(
            parts,
            samples,
            target_name=target,
            golden=golden,
            timeout_s=timeout_s,
            progress=progress,
        )
        score = None
        if task is not None and labelled is not None:
            score = scored_export(
                task, parts, chosen, rounding, labelled, limit=max_acc_drop, progress=progress
            )
        manifest = describe(
            part,
            parts,
            chosen,
            found,
            found.reasons,
            placed,
            source=network.source,
            dialect=network.dialect,
            assumptions=network.assumptions,
            repairs=(*network.repairs, *network.notes),
            task=score,
        )
        return publish(part, out_dir, manifest)
