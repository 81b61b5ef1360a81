"""What the bundle says: scores and spikes of every step, the verification, the cores.

A step's operations were counted when it was scored, at export; bundles of earlier versions do not
hold them, and then only the step that this report ran itself has spikes.
"""

from __future__ import annotations

from neurozsl.export.bundle.bundle import Bundle
from neurozsl.export.bundle.manifest import Operations, Step
from neurozsl.report import schema
from neurozsl.report.sections.costs import STEP_DEVICE, step_energy


def deployment(
    opened: Bundle | None,
    ran: Operations | None,
    step_s: float | None,
    *,
    as_if: bool = False,
) -> tuple[schema.DeploymentStep, ...]:
    """One row per step, from the trained model to the deployment.

    Args:
        opened: the bundle, or None.
        ran: of the deployed branch, from this report's own pass: those of the last step.
        step_s: length of a step on the chip; None: its own.
        as_if: the chip whose figures price a step cannot run the network.
    """
    if opened is None:
        return ()
    trained_so = opened.manifest.trained_forward == "integers"
    # Of a float run the bundle also lists the run fine-tuned from it, which is another model.
    steps = [s for s in opened.manifest.steps if trained_so or s.step != "after QAT"]
    found = (_step(s, ran if s is steps[-1] else s.operations, opened, step_s) for s in steps)
    return tuple(x.model_copy(update={"as_if": as_if and x.device is not None}) for x in found)


def _step(
    step: Step, operations: Operations | None, opened: Bundle, step_s: float | None
) -> schema.DeploymentStep:
    row = None if operations is None else step_energy(operations, opened.manifest.T, step_s)
    return schema.DeploymentStep(
        step=step.step,
        backend=step.backend,
        policy=step.policy or opened.spec.policy,
        S=step.S,
        U=step.U,
        HM=step.HM,
        ZSL=step.ZSL,
        spikes=None if operations is None else operations.spikes,
        synops=None if operations is None else operations.synops,
        joules=None if row is None else row.joules,
        latency_s=None if row is None else row.latency_s,
        device=None if row is None else STEP_DEVICE,
    )


def verification(opened: Bundle | None) -> schema.Verification | None:
    """The verdict and what it rests on, as the export found it."""
    if opened is None:
        return None
    stored = opened.manifest.verification
    keys = schema.LayerAgreement.model_fields
    backends = {
        name: schema.BackendAgreement(
            layers=tuple(
                schema.LayerAgreement(**{k: v for k, v in layer.items() if k in keys})
                for layer in found["layers"]
            )
        )
        for name, found in stored["backends"].items()
    }
    return schema.Verification(
        verdict=opened.manifest.verdict,  # type: ignore[arg-type]  # one of the schema's words
        samples=stored["samples"],
        backends=backends,
        oracle=None if opened.manifest.oracle == "none" else opened.manifest.oracle,
        notes=(*opened.manifest.reasons, *opened.manifest.losses),
    )


def placement(opened: Bundle | None) -> schema.Placement | None:
    """The branch on the cores of its chip; None where the bundle holds no integers."""
    if opened is None or opened.manifest.mapping is None:
        return None
    return schema.Placement.model_validate(opened.manifest.mapping)
