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

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from neurozsl.errors import BadInput
from neurozsl.export.policy import Wanted
from neurozsl.export.targets import target as find_target
from neurozsl.studies import base
from neurozsl.studies.base import Job, Progress

if TYPE_CHECKING:
    from neurozsl.data.batch import ZSLData

SCHEMA: Final = 1
Policy = Literal["dynamic", "table", "frozen"]
Steps = Literal["synthetic", "repeated", "joined"]
STEPS: Final[Mapping[Steps, str]] = {
    "synthetic": "T: the same clips, described in T steps",
    "repeated": "T: the features have no time axis and are shown T times; motion is nearly absent",
    "joined": "T: steps of the data, neighbours averaged where T is smaller",
}
# Models whose thresholds can follow the sample are trained so, or no policy could be chosen.
_FOLLOWING: Final = ("mdft", "mdst", "mdst++")


@dataclass(frozen=True)
class Settings:
    """What is trained and what is made of it.

    data: folder; None makes the synthetic set with `scene_bias` and `test_size`, one for each seed.
    steps: empty takes 5 and 10, of data with a time axis its own steps and half of them.
    options: of the model, as in `train --set`.
    """

    model: str = "mdft"
    data: Path | None = None
    steps: tuple[int, ...] = ()
    bits: tuple[int, ...] = (4, 6, 8)
    policies: tuple[Wanted, ...] = get_args(Policy)
    targets: tuple[str, ...] = ("lava",)
    seeds: int = 3
    epochs: int | None = None
    scene_bias: float = 0.9
    test_size: int = 2000
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise BadInput(f"pareto: {self.seeds} seeds, expected at least 1")
        for what, chosen in (
            ("bits", self.bits),
            ("policies", self.policies),
            ("targets", self.targets),
            ("steps", self.steps),
        ):
            if len(set(chosen)) < len(chosen) or (not chosen and what != "steps"):
                found = ", ".join(map(str, chosen)) or "none"
                raise BadInput(f"pareto: {what} {found}; name each once, and at least one")
        unknown = [x for x in self.policies if x not in get_args(Policy)]
        if unknown:
            raise BadInput(
                f"pareto: policy {', '.join(unknown)}; choose from {', '.join(get_args(Policy))}"
            )
        for name in self.targets:
            if "fixed" not in find_target(name).fidelity:
                raise BadInput(f"pareto: target '{name}' has no integers; choose lava or speck")

    @property
    def trained_options(self) -> dict[str, Any]:
        """Options of the trained model."""
        following = {"threshold": "dynamic"} if self.model in _FOLLOWING else {}
        return {**following, **self.options}


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


@dataclass(frozen=True)
class Planned:
    """One training."""

    steps: int
    seed: int
    job: Job


def run(
    settings: Settings, *, out: Path, jobs: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Train what is missing in `out`, measure every point; writes `out/pareto.json`.

    Raises:
        BadInput: the data cannot be read, the model never spikes, or `out` holds another study.
        NeuroZSLError: a training failed; its message is in the error.
    """
    from neurozsl.studies.pareto_points import measure

    data = _given(settings)
    _check_spikes(settings, data)
    base.claim(_definition(settings), out)
    kind, counts = _steps(settings, data)
    planned: list[Planned] = []
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
    base.write(out / "pareto.json", result)
    return result


def _given(settings: Settings) -> ZSLData | None:
    from neurozsl import runs

    return None if settings.data is None else runs.load_as(settings.data, "by_name", None)


def _definition(settings: Settings) -> Definition:
    given = settings.data is not None
    return Definition(
        model=settings.model,
        data=str(settings.data.resolve()) if settings.data is not None else "synthetic",
        epochs=settings.epochs,
        scene_bias=None if given else settings.scene_bias,
        test_size=None if given else settings.test_size,
        options=settings.trained_options,
    )


def _steps(settings: Settings, data: ZSLData | None) -> tuple[Steps, tuple[int, ...]]:
    """How T steps come about, and which T are asked for."""
    if data is None:
        return "synthetic", settings.steps or (5, 10)
    found = int(data.splits["train"].audio.shape[1])
    if found == 1:
        return "repeated", settings.steps or (5, 10)
    return "joined", settings.steps or ((found // 2, found) if found % 2 == 0 else (found,))


def _check_spikes(settings: Settings, data: ZSLData | None) -> None:
    """A model without spikes, or with an option it does not know, is refused before training."""
    from neurozsl import models
    from neurozsl.data.features import FEATURE_DIM
    from neurozsl.training import make_model

    if data is not None:
        model = make_model(settings.model, data, settings.trained_options)
    else:
        wide = {"audio_dim": FEATURE_DIM, "video_dim": FEATURE_DIM}
        model = models.build(settings.model, **wide, **settings.trained_options)
    if model.branch is None or getattr(model.branch, "neuron", "") == "mlp":
        raise BadInput(
            f"pareto: model '{settings.model}' has no spiking branch with these options, so "
            "nothing can be rounded or counted; choose mdft, mdst, mdst++ or stft with spikes"
        )


def _plan(
    settings: Settings,
    out: Path,
    steps: int,
    seed: int,
    kind: Steps,
    data: ZSLData | None,
    progress: Progress | None,
) -> Planned:
    """The training for one T and seed, its data set made where it is missing."""
    folder = _data(settings, out, steps, seed, data, progress)
    options = settings.trained_options | ({"steps": steps} if kind == "repeated" else {})
    path = out / f"run-T{steps}-seed{seed}"
    begin = ["--data", str(folder), "--out", str(path), "--model", settings.model]
    begin += ["--seed", str(seed)]
    begin += [] if settings.epochs is None else ["--epochs", str(settings.epochs)]
    for key, value in options.items():
        begin += ["--set", f"{key}={json.dumps(value)}"]
    return Planned(steps, seed, Job(f"T={steps}, seed {seed}", path, tuple(begin)))


def _data(
    settings: Settings,
    out: Path,
    steps: int,
    seed: int,
    data: ZSLData | None,
    progress: Progress | None,
) -> Path:
    from neurozsl.data import store
    from neurozsl.data.resample import in_steps
    from neurozsl.data.synthetic import SyntheticConfig, write_synthetic

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
    joined = in_steps(data, steps)
    if not folder.exists():
        store.save(joined, folder)
    return folder


def settings_of(settings: Settings) -> Iterator[tuple[str, str, int]]:
    """(target, policy, bits) of every point of one run, in the order of the table."""
    for target in settings.targets:
        for policy in settings.policies:
            for bits in settings.bits:
                yield target, policy, bits
