"""The two stages of a model that trains itself (`models.own_stages`): seeds, log, choice.

Stage 1 is scored on the validation splits at every epoch; its best HM fixes the number of epochs,
beta and nothing else. Stage 2 is a new model on training and validation data for so many epochs.
There are no checkpoints: optimisers, generators and what the model does between two epochs are its
own, so a run that is continued begins its training again, from the same seeds. Of the
configuration, epochs, batch, lr, seed, precision and the rules of the protocol but its schedule
count; the model says itself what it makes of lr.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch, Split, Stage, ZSLData
from neurozsl.models.base import ZSLModel
from neurozsl.models.own_stages import OwnStages, OwnTraining, has_own_stages
from neurozsl.scoring.evaluation import collect
from neurozsl.scoring.further import choose_all
from neurozsl.scoring.road import cast
from neurozsl.training import log
from neurozsl.training.crew import Crew
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.sampling import batches
from neurozsl.training.stage_loop import EpochProgress, Selected, selection

Rows = npt.NDArray[np.int64]


def fit_own_stages(
    data: ZSLData,
    fresh: Callable[[Stage], ZSLModel],
    config: TrainConfig,
    out: Path,
    progress: EpochProgress | None,
    crew: Crew,
) -> tuple[ZSLModel, Selected]:
    """Both stages, from their beginning; the log holds the epochs of both.

    Raises:
        BadInput: several processes, or economy that the model's own training does not know.
    """
    _check(config, crew)
    lines: list[dict[str, Any]] = []
    _, best = _fit(1, data, fresh, config, config.epochs, crew, lines, out, progress)
    assert best is not None
    epochs = best.epochs if config.protocol.stage2_epochs == "best" else config.epochs
    final, _ = _fit(2, data, fresh, config, epochs, crew, lines, out, progress)
    return final, best


def _fit(
    number: int,
    data: ZSLData,
    fresh: Callable[[Stage], ZSLModel],
    config: TrainConfig,
    epochs: int,
    crew: Crew,
    lines: list[dict[str, Any]],
    out: Path,
    progress: EpochProgress | None,
) -> tuple[OwnStages, Selected | None]:
    """One stage; its lines are added to the log."""
    stage, device = data.stage(1 if number == 1 else 2), crew.fabric.device
    torch.manual_seed(1000 * config.seed + number)
    made = fresh(stage)
    assert has_own_stages(made)
    model = made.to(crew.dtype).to(device)
    validated = stage if number == 1 else None

    def rows(epoch: int) -> Iterator[Rows]:
        place = {"seed": config.seed, "stage": number, "epoch": epoch}
        for drawn, _negative in batches(
            stage.train.label, protocol=config.protocol, batch=config.batch, **place
        ):
            yield drawn

    def read(split: Split, which: Rows) -> AVBatch:
        return cast(split.batch(which).to(device), crew.dtype)

    asked = OwnTraining(
        stage,
        torch.as_tensor(data.vectors, dtype=crew.dtype, device=device),
        epochs,
        config.lr,
        validated is not None,
        rows,
        read,
    )
    best: Selected | None = None
    for epoch, told in enumerate(model.train().own_epochs(asked), 1):
        line: dict[str, Any] = {"stage": number, "epoch": epoch, **told}
        for name, value in told.items():
            if not np.isfinite(value):
                raise BadInput(
                    f"training stage {number}, epoch {epoch}: {name} is not finite; lower --lr "
                    f"(now {config.lr}) or check the features"
                )
        if validated is not None:
            again = partial(collect, model, validated, data.vectors, device=device)
            chosen = choose_all(model, again, config.protocol.betas())
            line |= {**asdict(chosen.scores), "head_weight": chosen.head_weight}
            if best is None or chosen.scores.HM > best.val_hm:
                best = selection(epoch, chosen)
        lines.append(line)
        log.write(out, lines)
        if progress is not None:
            scored = f", val HM {line['HM']:.1f}" if "HM" in line else ""
            progress(epoch, epochs, f"stage {number}{scored}")
    return model, best


def _check(config: TrainConfig, crew: Crew) -> None:
    """Refuse what the house's loop does for a model and its own training does not."""
    if crew.team.size > 1:
        raise BadInput(
            f"training: a model with stages of its own runs in one process, not in {crew.team.size}"
            "; leave --devices out"
        )
    if config.distillation is not None:
        raise BadInput("training: a model with stages of its own learns from no teacher")
    if config.precision == "bf16-mixed":
        raise BadInput(
            "training: a model with stages of its own trains in precision 32 or 64, not bf16-mixed"
        )
