"""HM against energy over weight bits, time steps T and threshold policy.

One training per T and seed; every (bits, policy, target) is that run's spiking branch with its
thresholds made so, rounded to the chip's integers as `export` rounds them, and run on the emulator
over the whole test split while the rest of the model stays in float. Energies are counts of that
pass times the published figures of each cost table, per inference; no fine-tuning, no measurement.
What a target refuses is a result with its reason, not an error.

T steps come from the data, see `stepped_data`.

`out` holds the data sets and runs, `definition.json` (what the runs depend on; bits, policies,
targets, steps and seeds may be added later without training again) and `pareto.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.studies import base
from neurozsl.studies.base import StudyProgress
from neurozsl.studies.pareto_points import measure
from neurozsl.studies.pareto_settings import ParetoSettings as ParetoSettings
from neurozsl.studies.pareto_settings import PlannedPoint
from neurozsl.studies.stepped_data import STEPS, SteppedData
from neurozsl.studies.trainings import new_run, train_all

if TYPE_CHECKING:
    from neurozsl.data.batch import ZSLData


@dataclass(frozen=True)
class Definition:
    """What the runs in the folder depend on, beside T and seed."""

    model: str
    data: str
    epochs: int | None
    scene_bias: float | None
    test_size: int | None
    options: Mapping[str, Any]
    study: str = "pareto"


def run(
    settings: ParetoSettings,
    *,
    out: Path,
    on: Workers = ALONE,
    progress: StudyProgress | None = None,
) -> dict[str, Any]:
    """Train what is missing in `out`, measure every point; writes `out/pareto.json`.

    Raises:
        BadInput: the data cannot be read, the model never spikes, or `out` holds another study.
        NeuroZSLError: a training failed; its message is in the error.
    """
    from neurozsl.data.sets.load import load

    data = None if settings.data is None else load(settings.data)
    _check_spikes(settings, data)
    given = settings.data is not None
    definition = Definition(
        model=settings.model,
        data=str(settings.data.resolve()) if settings.data is not None else "synthetic",
        epochs=settings.epochs,
        scene_bias=None if given else settings.scene_bias,
        test_size=None if given else settings.test_size,
        options=settings.trained_options,
    )
    with base.sole_writer(out):
        base.claim(definition, out)
        # Without bias in validation: beta and epochs are chosen there, and where a biased one
        # chooses them the test HM may lie below chance, where rounding cannot be judged.
        sets = SteppedData(
            out, settings.data, data, settings.scene_bias, settings.test_size, unbiased_val=True
        )
        planned: list[PlannedPoint] = []
        refused: dict[int, str] = {}
        for steps in settings.steps or sets.halved:
            try:
                planned += [
                    _plan(settings, sets, steps, seed, progress) for seed in range(settings.seeds)
                ]
            except BadInput as error:
                refused[steps] = str(error)
        if not planned:
            raise BadInput(f"pareto: no T can be made: {'; '.join(refused.values())}")
        train_all([one.job for one in planned], on=on, progress=progress)
        result = measure(settings, planned, refused, STEPS[sets.kind], progress=progress)
        write_json(out / "pareto.json", result)
        return result


def _check_spikes(settings: ParetoSettings, data: ZSLData | None) -> None:
    """A model without spikes, or with an option it does not know, is refused before training."""
    from neurozsl import models
    from neurozsl.data.encoders.features import FEATURE_DIM
    from neurozsl.models.base import branch_of
    from neurozsl.training.train import make_model

    if data is not None:
        model = make_model(settings.model, data, settings.trained_options)
    else:
        wide = {"audio_dim": FEATURE_DIM, "video_dim": FEATURE_DIM}
        model = models.build(settings.model, **wide, **settings.trained_options)
    branch = branch_of(model)
    if branch is None or not branch.spiking_layers():
        raise BadInput(
            f"pareto: model '{settings.model}' has no spiking branch with these options, so "
            "nothing can be rounded or counted; choose mdft, mdst, mdst++ or stft with spikes"
        )


def _plan(
    settings: ParetoSettings,
    sets: SteppedData,
    steps: int,
    seed: int,
    progress: StudyProgress | None,
) -> PlannedPoint:
    """The training for one T and seed, its data set made where it is missing."""
    job = new_run(
        f"T={steps}, seed {seed}",
        out=sets.folder / f"run-T{steps}-seed{seed}",
        data=sets.at(steps, seed, progress),
        model=settings.model,
        seed=seed,
        epochs=settings.epochs,
        options=settings.trained_options | sets.options(steps),
    )
    return PlannedPoint(steps, seed, job)
