"""What was profiled: the data and the model of a run."""

from typing import Any

from neurozsl import models
from neurozsl.models.base import branch_of
from neurozsl.report import schema
from neurozsl.runs.run import Run


def data_summary(run: Run) -> schema.DataSummary:
    """Classes by role, samples per split, steps, and what kind of data it is."""
    data = run.data
    stage = data.stage(2)

    def names(ids: Any) -> tuple[str, ...]:
        return tuple(data.classes[i] for i in ids)

    skipped = data.meta.get("skipped", ())
    notes = []
    if data.synthetic:
        notes.append(
            "synthetic: stand-in features drawn around the class vectors, no video was seen"
            if "stand_in" in data.meta
            else "synthetic: rendered pictures and sounds, no recording"
        )
    if run.settings.options.get("encode") == "repeat":
        notes.append(
            "the features have no time axis and are repeated: motion is nearly absent in them"
        )
    return schema.DataSummary(
        name=data.name,
        synthetic=data.synthetic,
        classes=schema.ClassNames(
            train=names(stage.train_ids), seen=names(stage.seen_ids), unseen=names(stage.unseen_ids)
        ),
        samples={name: len(split) for name, split in data.splits.items()},
        steps=int(run.settings.options.get("steps", stage.train.steps)),
        step_s=data.step_s,
        skipped=len(skipped) if isinstance(skipped, list | tuple) else 0,
        notes=tuple(notes),
    )


def model_summary(run: Run, host_flops: float | None) -> schema.ModelSummary:
    """Options and parameter counts, the chip's and the host's apart."""
    total = sum(p.numel() for p in run.model.parameters())
    branch = branch_of(run.model)
    motion = sum(p.numel() for p in branch.parameters()) if branch is not None else 0
    return schema.ModelSummary(
        name=models.title(run.settings.model),
        preset=run.settings.options.get("preset"),
        options=dict(run.settings.options),
        seed=run.settings.train.seed,
        parameters=schema.Parameters(total=total, motion=motion, host=total - motion),
        host_flops=host_flops,
    )
