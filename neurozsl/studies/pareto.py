"""HM against energy over weight bits, time steps T and threshold policy.

One training per T and seed; every (bits, policy, target) is that run's spiking branch with its
thresholds made so, rounded to the chip's integers as `export` rounds them, and run on the emulator
over the whole test split while the rest of the model stays in float. Energies are counts of that
pass times the published figures of each cost table, per inference; no fine-tuning, no measurement.
What a target refuses is a result with its reason, not an error.

T steps come from the data, `Steps`:

    synthetic        the same clips, described in T steps
    repeated         features without time: shown T times
    joined           T_0 steps in the data: neighbours are averaged, T divides T_0

`out` holds the data sets and runs, `definition.json` (what the runs depend on; bits, policies,
targets, steps and seeds may be added later without training again) and `pareto.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.studies import base
from neurozsl.studies.base import StudyProgress
from neurozsl.studies.pareto_points import measure
from neurozsl.studies.pareto_settings import ParetoSettings as ParetoSettings
from neurozsl.studies.pareto_settings import PlannedPoint

if TYPE_CHECKING:
    from neurozsl.data.batch import ZSLData

Steps = Literal["synthetic", "repeated", "joined"]
STEPS: Final[Mapping[Steps, str]] = {
    "synthetic": "T: the same clips, described in T steps",
    "repeated": "T: the features have no time axis and are shown T times; motion is nearly absent",
    "joined": "T: steps of the data, neighbours averaged where T is smaller",
}


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
    settings: ParetoSettings, *, out: Path, jobs: int = 1, progress: StudyProgress | None = None
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
    base.claim(definition, out)
    kind, counts = _steps(settings, data)
    planned: list[PlannedPoint] = []
    refused: dict[int, str] = {}
    for steps in counts:
        try:
            planned += [
                _plan(settings, out, steps, seed, kind, data, progress)
                for seed in range(settings.seeds)
            ]
        except BadInput as error:
            refused[steps] = str(error)
    if not planned:
        raise BadInput(f"pareto: no T can be made: {'; '.join(refused.values())}")
    base.train_all([one.job for one in planned], at_once=jobs, progress=progress)
    result = measure(settings, planned, refused, STEPS[kind], progress=progress)
    write_json(out / "pareto.json", result)
    return result


def _steps(settings: ParetoSettings, data: ZSLData | None) -> tuple[Steps, tuple[int, ...]]:
    """How T steps come about, and which T are asked for."""
    if data is None:
        return "synthetic", settings.steps or (5, 10)
    found = int(data.splits["train"].audio.shape[1])
    if found == 1:
        return "repeated", settings.steps or (5, 10)
    return "joined", settings.steps or ((found // 2, found) if found % 2 == 0 else (found,))


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
    out: Path,
    steps: int,
    seed: int,
    kind: Steps,
    data: ZSLData | None,
    progress: StudyProgress | None,
) -> PlannedPoint:
    """The training for one T and seed, its data set made where it is missing."""
    folder = _data(settings, out, steps, seed, data, progress)
    options = settings.trained_options | ({"steps": steps} if kind == "repeated" else {})
    path = out / f"run-T{steps}-seed{seed}"
    job = base.new_run(
        f"T={steps}, seed {seed}",
        out=path,
        data=folder,
        model=settings.model,
        seed=seed,
        epochs=settings.epochs,
        options=options,
    )
    return PlannedPoint(steps, seed, job)


def _data(
    settings: ParetoSettings,
    out: Path,
    steps: int,
    seed: int,
    data: ZSLData | None,
    progress: StudyProgress | None,
) -> Path:
    from neurozsl.data import store
    from neurozsl.data.resample import in_steps
    from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic

    if data is None:
        folder = out / f"data-T{steps}-seed{seed}"
        # Without bias in validation: beta and epochs are chosen there, and where a biased one
        # chooses them the test HM may lie below chance, where rounding cannot be judged.
        config = SyntheticConfig(
            scene_bias=settings.scene_bias,
            seed=seed,
            test_size=settings.test_size,
            unbiased_val=True,
            steps=steps,
        )
        if not folder.exists():
            write_synthetic(config, folder, progress=base.named(progress, folder.name))
        return folder
    assert settings.data is not None
    found = int(data.splits["train"].audio.shape[1])
    if found in (1, steps):
        return settings.data
    folder = out / f"data-T{steps}"
    if not folder.exists():
        store.save(in_steps(data, steps), folder)
    return folder
