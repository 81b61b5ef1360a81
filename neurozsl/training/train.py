"""Two-stage training of the AVCA protocol, and what it leaves.

Stage 1 trains on `train` and is evaluated every epoch on the validation splits; its best HM fixes
beta, the weight of the motion head and the number of epochs. Stage 2 trains a new model on
training and validation data for that many epochs of the same schedule. The loop itself is in
`stage_loop`, rules that published codes differ in are in `protocol`. A run folder holds

    run.json             resolved configuration, seed, versions, data set and its fingerprint
    log.jsonl            one line per epoch
    stage1/, stage2/     last.safetensors (to resume), best.safetensors (stage 1)
    model.safetensors    the trained model
    result.json          beta, head weight, epochs, and the scores on the test splits

A model without parameters (`untrained`) and one that trains itself (`own_stages`) have no
checkpoints and begin again.

`fine_tune` is a third stage: it goes on from a finished model, on the data of stage 2, for a
given number of epochs. Beta and head weight stay as stage 1 chose them; no validation data is left.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch, Stage, ZSLData
from neurozsl.data.encoder_spec import scaled_specs
from neurozsl.models.base import ComparesClasses, ZSLModel
from neurozsl.models.own_stages import has_own_stages
from neurozsl.parallel.team import Team
from neurozsl.scoring.evaluation import collect, evaluate
from neurozsl.scoring.further import has_further
from neurozsl.training import checkpoint
from neurozsl.training.crew import Crew, alone
from neurozsl.training.own_stages import fit_own_stages
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.stage_loop import EpochProgress, Selected, fit_stage
from neurozsl.training.teacher import Teachers
from neurozsl.training.untrained import choose_options, is_untrained

FINE_TUNING = 3  # number of the stage that `fine_tune` runs


def make_model(name: str, data: ZSLData, options: Mapping[str, Any]) -> ZSLModel:
    """Build a model for the widths and steps of a data set.

    Features without time (one step, as the benchmark's files) are repeated, and class vectors are
    read as wide as they are, unless the options say otherwise.

    Raises:
        BadInput: no such model, options that it does not take, or vectors of another width.
    """
    split = data.splits["train"]
    steps, (audio_dim, video_dim) = split.steps, split.widths
    fitting: dict[str, Any] = (
        {"encode": "repeat"} if steps == 1 else {"encode": "sequence", "steps": steps}
    )
    if models.asks_for(name, "step_s"):
        fitting["step_s"] = data.step_s
    if models.asks_for(name, "classes"):
        fitting["classes"] = len(data.classes)
    if models.asks_for(name, "encoders") or options.get("conse") is True:
        fitting["encoders"] = scaled_specs(data.meta, f"data set '{data.name}'")
    wide = {"audio_dim": audio_dim, "video_dim": video_dim}
    model = models.build(name, **wide, **{**fitting, **options})
    width, taken = data.vectors.shape[1], model.options().get("word_dim")
    if taken not in (None, width) and "word_dim" not in options:  # 300 is word2vec's
        model = models.build(name, **wide, **{**fitting, **options, "word_dim": width})
        taken = width
    if taken not in (None, width):
        raise BadInput(
            f"data set '{data.name}': class vectors are {width} wide, model '{name}' takes "
            f"{taken} (word_dim); leave the option out, or give other vectors"
        )
    return model


def fit(
    data: ZSLData,
    *,
    name: str,
    options: Mapping[str, Any],
    config: TrainConfig,
    out: Path,
    run: str,
    teachers: Teachers | None = None,
    progress: EpochProgress | None = None,
    crew: Crew | None = None,
) -> tuple[ZSLModel, Selected]:
    """Run both stages, continuing from the checkpoints in `out` where there are any.

    run: digest of the settings, by which its checkpoints are known. teachers: of the stages, where
    the configuration names a run that teaches this one.

    Returns the stage-2 model and what stage 1 chose. The caller's random state and number of
    threads are untouched.
    """

    def fresh(stage: Stage) -> ZSLModel:
        model = make_model(name, data, options)
        model.calibrate(_calibration_batch(stage))
        if isinstance(model, ComparesClasses):
            model.train_on(torch.from_numpy(stage.train_ids))
        return model

    with _undisturbed(config):
        crew = crew or alone(config)
        made = make_model(name, data, options)
        if is_untrained(made):
            made.calibrate(_calibration_batch(data.stage(1)))
            chosen, selected = choose_options(made, data, config, progress)
            if crew.team.rank == 0:
                checkpoint.save_model(out / "model.safetensors", chosen, name)
            return chosen, selected
        if has_own_stages(made):
            del made
            own, selected = fit_own_stages(data, fresh, config, out, progress, crew)
            checkpoint.save_model(out / "model.safetensors", own, name)
            return own, selected
        del made
        trained, best = fit_stage(
            1, data, fresh, config, out, config.epochs, progress, crew, teachers, run=run
        )
        assert best is not None
        del trained
        epochs = best.epochs if config.protocol.stage2_epochs == "best" else config.epochs
        final, _ = fit_stage(2, data, fresh, config, out, epochs, progress, crew, teachers, run=run)
        if has_further(final):
            final.weigh_further(best.further)
    if crew.team.rank == 0:
        checkpoint.save_model(out / "model.safetensors", final, name)
    return final, best


def fine_tune(
    data: ZSLData,
    *,
    name: str,
    start: Callable[[], ZSLModel],
    config: TrainConfig,
    out: Path,
    run: str,
    teachers: Teachers | None = None,
    progress: EpochProgress | None = None,
) -> ZSLModel:
    """Train a finished model for `config.epochs` more epochs, continuing from the checkpoint.

    start: makes the model to begin with, with its weights. run, teachers: as in `fit`.
    """

    def begin(_stage: Stage) -> ZSLModel:
        return start()

    with _undisturbed(config):
        crew = alone(config)
        final, _ = fit_stage(
            FINE_TUNING, data, begin, config, out, config.epochs, progress, crew, teachers, run=run
        )
    checkpoint.save_model(out / "model.safetensors", final, name)
    return final


@contextmanager
def _undisturbed(config: TrainConfig) -> Iterator[None]:
    """Random state and threads are as before afterwards."""
    devices = [] if config.device == "cpu" else [torch.device(config.device)]
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.set_num_threads(threads)


def _calibration_batch(stage: Stage) -> AVBatch:
    """Up to 512 training samples, evenly spread."""
    rows = np.unique(np.linspace(0, len(stage.train) - 1, 512).astype(np.int64))
    return stage.train.batch(rows)


def final_result(
    model: ZSLModel,
    data: ZSLData,
    selected: Selected,
    *,
    device: str = "cpu",
    team: Team | None = None,
    progress: EpochProgress | None = None,
) -> dict[str, Any]:
    """Scores of the trained model on the test splits, as `result.json` keeps them.

    progress: called with samples done, samples in all and what is done.
    """
    stage, first = data.stage(2), next(model.parameters(), None)
    home = device if first is None else first.device  # several processes have a device each
    told = None if progress is None else lambda done, of: progress(done, of, "test set")
    collected = collect(model, stage, data.vectors, device=home, team=team, progress=told)
    result = evaluate(collected, beta=selected.beta, head_weight=selected.head_weight)
    warnings = model.eval().warnings(_calibration_batch(stage).to(home))
    return {"selected": asdict(selected), "test": result.as_json(), "warnings": warnings}
