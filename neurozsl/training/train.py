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
from neurozsl.data.batch import AVBatch, Stage, ZSLData
from neurozsl.models.base import ZSLModel
from neurozsl.parallel.team import Team
from neurozsl.scoring.evaluation import collect, evaluate
from neurozsl.training import checkpoint
from neurozsl.training.crew import Crew, alone, resolve_device
from neurozsl.training.protocol import Protocol, TrainConfig, train_config
from neurozsl.training.schedule import learning_rate
from neurozsl.training.stage_loop import EpochProgress, Selected, fit_stage

__all__ = [
    "EpochProgress",
    "Protocol",
    "Selected",
    "TrainConfig",
    "final_result",
    "fine_tune",
    "fit",
    "learning_rate",
    "make_model",
    "resolve_device",
    "train_config",
]

FINE_TUNING = 3  # number of the stage that `fine_tune` runs


def make_model(name: str, data: ZSLData, options: Mapping[str, Any]) -> ZSLModel:
    """Build a model for the widths and steps of a data set.

    Features without time (one step, as the benchmark's files) are repeated unless the options say
    otherwise.
    """
    split = data.splits["train"]
    steps = split.audio.shape[1]
    fitting = {"encode": "repeat"} if steps == 1 else {"encode": "sequence", "steps": steps}
    return models.build(
        name,
        audio_dim=split.audio.shape[2],
        video_dim=split.video.shape[2],
        **{**fitting, **options},
    )


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads inside, and what it used before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit(
    data: ZSLData,
    *,
    name: str,
    options: Mapping[str, Any],
    config: TrainConfig,
    out: Path,
    progress: EpochProgress | None = None,
    crew: Crew | None = None,
) -> tuple[ZSLModel, Selected]:
    """Run both stages, continuing from the checkpoints in `out` where there are any.

    Returns the stage-2 model and what stage 1 chose. The caller's random state and number of
    threads are untouched.
    """

    def fresh(stage: Stage) -> ZSLModel:
        model = make_model(name, data, options)
        model.calibrate(_calibration_batch(stage))
        return model

    with _undisturbed(config):
        crew = crew or alone(config)
        trained, best = fit_stage(1, data, fresh, config, out, config.epochs, progress, crew)
        assert best is not None
        del trained
        epochs = best.epochs if config.protocol.stage2_epochs == "best" else config.epochs
        final, _ = fit_stage(2, data, fresh, config, out, epochs, progress, crew)
    if crew.team.rank == 0:
        _save_model(out, final, name)
    return final, best


def fine_tune(
    data: ZSLData,
    *,
    name: str,
    start: Callable[[], ZSLModel],
    config: TrainConfig,
    out: Path,
    progress: EpochProgress | None = None,
) -> ZSLModel:
    """Train a finished model for `config.epochs` more epochs, continuing from the checkpoint.

    Args:
        data: what it was trained on.
        name: of the model, for the file.
        start: makes the model to begin with, with its weights.
        config: epochs, learning rate and seed of the fine-tuning.
        out: run folder.
        progress: called after every epoch.
    """
    with _undisturbed(config):
        final, _ = fit_stage(
            FINE_TUNING,
            data,
            lambda stage: start(),
            config,
            out,
            config.epochs,
            progress,
            alone(config),
        )
    _save_model(out, final, name)
    return final


@contextmanager
def _undisturbed(config: TrainConfig) -> Iterator[None]:
    """Random state and threads are as before afterwards."""
    devices = [] if config.device == "cpu" else [torch.device(config.device)]
    with torch.random.fork_rng(devices=devices), torch_threads(config.threads):
        yield


def _save_model(out: Path, model: ZSLModel, name: str) -> None:
    weights = {f"model/{k}": v for k, v in model.state_dict().items()}
    checkpoint.write(out / "model.safetensors", weights, {"model": name})


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
    collected = collect(
        model,
        data.stage(2),
        data.vectors,
        device=_home(model, device),
        team=team,
        progress=None if progress is None else lambda done, of: progress(done, of, "test set"),
    )
    result = evaluate(collected, beta=selected.beta, head_weight=selected.head_weight)
    warnings = model.eval().warnings(_calibration_batch(data.stage(2)).to(_home(model, device)))
    return {"selected": asdict(selected), "test": result.as_json(), "warnings": warnings}


def _home(model: ZSLModel, device: str) -> torch.device | str:
    """Where the weights are; several processes have a device each."""
    first = next(model.parameters(), None)
    return device if first is None else first.device
