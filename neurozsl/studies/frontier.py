"""HM against energy of spiking and dense networks: which family is cheaper at equal HM.

One training per family, widths, density, T and seed (`frontier_settings`), all by one recipe, for
as many epochs; seed s reads data set s in every family, so differences are paired. The operations
of each are counted where it runs, on the whole test split (`frontier_points`), and priced by the
cost tables of the reports (`frontier_prices`); `frontier_statement` says which family is cheaper.

`out` holds the data sets, the runs, `definition.json` (what the runs depend on; families, widths,
densities, steps and seeds may be added later without training again) and `frontier.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import write_json
from neurozsl.report.schema.frontier import DOCUMENT as DOCUMENT
from neurozsl.report.schema.frontier import STUDY
from neurozsl.studies import base
from neurozsl.studies.base import StudyProgress
from neurozsl.studies.frontier_points import measure
from neurozsl.studies.frontier_settings import FAMILIES, FrontierSettings, Planned, Setting
from neurozsl.studies.stepped_data import STEPS, SteppedData
from neurozsl.studies.trainings import new_run, train_all

if TYPE_CHECKING:
    from neurozsl.data.batch import ZSLData


@dataclass(frozen=True)
class FrontierDefinition:
    """What the runs in the folder depend on, beside setting and seed."""

    model: str
    data: str
    epochs: int | None
    scene_bias: float | None
    test_size: int | None
    unbiased_val: bool | None
    options: Mapping[str, Any]
    family_options: Mapping[str, Mapping[str, Any]]
    sparsity_scope: str
    study: str = STUDY


def run(
    settings: FrontierSettings,
    *,
    out: Path,
    on: Workers = ALONE,
    progress: StudyProgress | None = None,
) -> dict[str, Any]:
    """Train what is missing in `out`, measure every run; writes `out/frontier.json`.

    Raises:
        BadInput: the data cannot be read, a family cannot be made of the model, or `out` holds
            another study.
        NeuroZSLError: a training failed; its message is in the error.
    """
    from neurozsl.data.sets.load import load

    data = None if settings.data is None else load(settings.data)
    sets = SteppedData(
        out, settings.data, data, settings.scene_bias, settings.test_size, settings.unbiased_val
    )
    counts = settings.steps or sets.halved[-1:]
    for setting in settings.settings(counts[0]):
        _check(settings, setting, data)
    with base.sole_writer(out):
        base.claim(_definition(settings), out)
        planned = [
            _plan(settings, sets, setting, seed, progress)
            for seed in range(settings.seeds)
            for steps in counts
            for setting in settings.settings(steps)
        ]
        train_all([one.job for one in planned], on=on, progress=progress)
        result = measure(settings, planned, STEPS[sets.kind], progress=progress)
        write_json(out / DOCUMENT, result)
        return result


def _definition(settings: FrontierSettings) -> FrontierDefinition:
    given = settings.data is not None
    return FrontierDefinition(
        model=settings.model,
        data=str(settings.data.resolve()) if settings.data is not None else "synthetic",
        epochs=settings.epochs,
        scene_bias=None if given else settings.scene_bias,
        test_size=None if given else settings.test_size,
        unbiased_val=None if given else settings.unbiased_val,
        options=settings.options,
        family_options=settings.family_options,
        sparsity_scope=settings.sparsity_scope,
    )


def _check(settings: FrontierSettings, setting: Setting, data: ZSLData | None) -> None:
    """Refuse before hours of training what cannot be built, pruned or counted."""
    from neurozsl import models
    from neurozsl.data.encoders.features import FEATURE_DIM
    from neurozsl.training.sparsity import prunable
    from neurozsl.training.train import make_model

    options = settings.trained_options(setting)
    if data is not None:
        model = make_model(settings.model, data, options)
    else:
        wide = {"audio_dim": FEATURE_DIM, "video_dim": FEATURE_DIM}
        model = models.build(settings.model, **wide, **options)
    branch = prunable(model)
    family = FAMILIES[setting.family]
    if bool(branch.spiking_layers()) != family.spiking:
        found = "spikes" if branch.spiking_layers() else "does not spike"
        raise BadInput(
            f"frontier: family '{family.name}' of model '{settings.model}' {found} with these "
            "options; leave neuron= and motion= out of --set"
        )


def _plan(
    settings: FrontierSettings,
    sets: SteppedData,
    setting: Setting,
    seed: int,
    progress: StudyProgress | None,
) -> Planned:
    """The training of one setting and seed, its data set made where it is missing."""
    job = new_run(
        f"{setting.name}, seed {seed}",
        out=sets.folder / f"{setting.name}-seed{seed}",
        options=settings.trained_options(setting) | sets.options(setting.steps),
        data=sets.at(setting.steps, seed, progress),
        model=settings.model,
        seed=seed,
        epochs=settings.epochs,
        **settings.flags(setting),
    )
    return Planned(setting, seed, job)
