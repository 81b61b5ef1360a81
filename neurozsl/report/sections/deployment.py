"""What deployment costs: scores and spikes of every step, from the trained model to the chip.

A step's operations were counted when it was scored, at export; bundles of earlier versions do not
hold them, and then only the step that this report ran itself has spikes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from neurozsl.core import quantities as q
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.export.bundle.manifest import Operations, Step
from neurozsl.report import figures
from neurozsl.report.schema import DeploymentStep, RunReport
from neurozsl.report.sections.context import Context
from neurozsl.report.sections.costs import STEP_DEVICE, step_energy
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Section

SCORES = ("S", "U", "HM", "ZSL")


def _fill(context: Context) -> Mapping[str, Any]:
    if context.test is None:
        return {}
    found = context.test.result
    costs = context.costs
    fits = costs.fits if costs else ()
    return {
        "accuracy": {**vars(found.scores), "chance": found.chance, "samples": found.samples},
        "deployment": deployment(
            context.test.opened,
            costs.operations if costs else None,
            costs.devices.step_s if costs else None,
            as_if=any(x.chip == STEP_DEVICE and x.placement is None for x in fits),
        ),
    }


def deployment(
    opened: Bundle | None, ran: Operations | None, step_s: float | None, *, as_if: bool = False
) -> tuple[DeploymentStep, ...]:
    """One row per step, from the trained model to the deployment.

    ran: of the deployed branch, from this report's own pass: those of the last step. step_s: length
    of a step on the chip; None: its own. as_if: the chip that prices a step cannot run the network.
    """
    if opened is None:
        return ()
    trained_so = opened.manifest.trained_forward == "integers"
    # Of a float run the bundle also lists the run fine-tuned from it, which is another model.
    steps = [s for s in opened.manifest.steps if trained_so or s.step != "after QAT"]
    if ran is not None and steps:
        steps[-1] = steps[-1].model_copy(update={"operations": ran})
    return tuple(_priced(x, opened, step_s, as_if) for x in steps)


def _priced(step: Step, opened: Bundle, step_s: float | None, as_if: bool) -> DeploymentStep:
    price: dict[str, Any] = {"policy": step.policy or opened.spec.policy}
    if step.operations is not None:
        found = step_energy(step.operations, opened.manifest.T, step_s)
        price |= {"joules": found.joules, "latency_s": found.latency_s}
        price |= {"device": STEP_DEVICE, "as_if": as_if}
    return DeploymentStep(**{**step.model_dump(), **price})


def _operation(title: str, field: str, **more: Any) -> t.Column:
    def cell(step: DeploymentStep, key: str) -> t.Cell:
        found = None if step.operations is None else getattr(step.operations, field)
        return t.figure(found, f"{key}.operations.{field}")

    return t.Column(title, cell, numeric=True, **more)


STEPS = (
    t.words("step", "step"),
    t.words("motion backend", "backend"),
    t.words("thresholds", "policy", on=t.PAPER),
    *(t.number(name, name, "percent", strong=name == "HM") for name in SCORES),
    _operation("spikes", "spikes", on=t.PAPER),
    _operation("SynOps", "synops", on=t.PAPER),
    t.number("energy", "joules", "joules", on=t.PAPER),
    t.number("latency", "latency_s", "seconds", on=t.PAPER),
    t.Column("priced on", lambda x, _: t.say(x.device, aside="as-if" * x.as_if), on=t.PAPER),
)


def _tables(report: RunReport) -> Iterator[t.Table]:
    found, further = report.accuracy, []
    if not report.deployment:
        scores = {x: t.figure(getattr(found, x), f"accuracy.{x}", "percent") for x in SCORES}
        backend = t.say(report.host.motion_backend)
        further.append(
            t.row(STEPS, {"step": t.say("deployed"), "motion backend": backend, **scores})
        )
    if found.chance is not None:
        chance = t.figure(found.chance, "accuracy.chance", "percent")
        further.append(
            t.row(STEPS, {"step": t.say("chance (95th percentile)"), "HM": chance}, "dim")
        )
    notes = (
        "Mean class recall on seen (S) and unseen (U) classes, their harmonic mean (HM), and ZSL, "
        f"with beta = {found.beta:g} on {q.count(found.samples)} samples.",
        "Chance: shuffled class vectors stay below it 19 times out of 20.",
        "Spikes, energy (dynamic, estimated) and latency are those of the motion branch.",
    )
    steps = report.deployment
    yield t.table(
        "accuracy", "Accuracy", STEPS, steps, key="deployment", further=further, notes=notes
    )


SECTION = Section(
    "deployment", "What deployment costs", ("accuracy",), fill=_fill, tables=_tables,
    figures={
        "deployment": lambda x: figures.deployment(x.deployment) if x.deployment else None
    },
)  # fmt: skip
