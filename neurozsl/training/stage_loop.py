"""One stage of training: the visible loop, its checkpoints and its log.

In: a data set, how to make the model, a `TrainConfig`, the processes at work. Out: the trained
model; in stage 1 also what its best epoch chose on validation data. In the stage's folder lie
`last.safetensors`, from which the stage goes on after a stop, and in stage 1 `best.safetensors`;
`log.jsonl` beside it has a line per epoch, with the speed in samples per second.

Several processes each embed their rows of the same global batch; the loss is that of the whole
batch in all of them (`team`), so their number changes nothing but rounding. The first one writes.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import brief
from neurozsl.data.batch import Stage, ZSLData
from neurozsl.models.base import ZSLModel, own_trace
from neurozsl.parallel.shared_layers import Scope, convert
from neurozsl.parallel.team import assembled_output, average_gradients, share
from neurozsl.scoring.evaluation import collect
from neurozsl.scoring.further import Chosen, choose_all
from neurozsl.scoring.road import cast
from neurozsl.scoring.scale import chosen_scale
from neurozsl.training import checkpoint, log
from neurozsl.training.crew import Crew
from neurozsl.training.penalties import of_spikes
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.pruner import pruner, settled
from neurozsl.training.sampling import batch_count, batches
from neurozsl.training.schedule import learning_rate, plateau_rate
from neurozsl.training.teacher import Teachers, taught

# (done, total, text): epochs of the stage, and a line about the last one.
EpochProgress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Selected:
    """What stage 1 chose on validation data.

    temperature, val_samples, val_right: of `scoring.scale`; 0 in runs of earlier versions.
    further: share of a further place (`scoring.further`), 0 without one.
    """

    epochs: int
    beta: float
    head_weight: float
    val_hm: float
    temperature: float = 0.0
    val_samples: int = 0
    val_right: int = 0
    further: float = 0.0


def selection(epochs: int, chosen: Chosen) -> Selected:
    """What is kept of a choice."""
    scores, weight = chosen.scores, chosen.head_weight
    scale = chosen_scale(chosen.collected, scores.beta, weight)
    found = scale.temperature, scale.samples, scale.right
    return Selected(epochs, scores.beta, weight, scores.HM, *found, chosen.further)


def fit_stage(
    number: int,
    data: ZSLData,
    start: Callable[[Stage], ZSLModel],
    config: TrainConfig,
    out: Path,
    epochs: int,
    progress: EpochProgress | None,
    crew: Crew,
    teachers: Teachers | None = None,
    *,
    run: str,
) -> tuple[ZSLModel, Selected | None]:
    """Train one stage for `epochs` of the schedule's `config.epochs` epochs.

    number: 1 trains on `train`, 2 and 3 (fine-tuning) on training and validation data. start: makes
    the model to begin with. out: run folder; every process sees the same one. progress: called in
    the first process. teachers: of the stages, where the configuration names a run that teaches.
    run: digest of the settings, by which its checkpoints are known.

    Raises:
        BadInput: loss or gradient are not finite, or the checkpoint to go on from is not of this
            run and stage, or damaged.
    """
    fabric, team, rules = crew.fabric, crew.team, config.protocol
    stage = data.stage(1 if number == 1 else 2)
    # Whose evaluation splits are scored after every epoch: those of validation, or none.
    scored = number == 1 or (number == 2 and rules.stage2_validation)
    validated = data.stage(1) if scored else None
    folder = out / f"stage{number}"

    # 1. the model, from a seed of its own so that stages do not depend on each other
    torch.manual_seed(1000 * config.seed + number)
    model = start(stage).to(crew.dtype)
    scope = Scope(team)
    convert(model, scope, dropout=config.dropout == "counter")
    model.to(fabric.device)
    optimiser = fabric.setup_optimizers(
        torch.optim.Adam(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    )
    vectors = torch.as_tensor(data.vectors, dtype=crew.dtype, device=fabric.device)
    zeros = pruner(model, config, stage.train)
    lesson = None
    if config.distillation is not None and teachers is not None:
        lesson = taught(config.distillation, teachers(number), stage, data.vectors, crew.dtype)
    per_epoch = batch_count(len(stage.train), config.batch, rules)
    total = per_epoch * config.epochs

    # 2. continue where an earlier run stopped
    history: list[dict[str, Any]] = []
    best: Selected | None = None
    team.wait()  # all read the checkpoint, if any, before the first one writes the next
    last, owner = folder / checkpoint.LAST, {"run": run, "stage": number}
    if last.exists():
        meta = checkpoint.load_training(last, model, optimiser, run=run, stage=number)
        try:
            history = meta["history"]
            zeros.restore(history[-1])
            best = Selected(**meta["best"]) if meta["best"] else None
        except (KeyError, IndexError, TypeError) as error:
            raise BadInput(
                f"checkpoint '{last}': its position cannot be read ({brief(error)}); restore it, "
                f"or remove {folder} to train the stage again"
            ) from error
    earlier = log.of_stages(out, number) if team.rank == 0 else []
    if history and team.rank == 0:
        log.repair(out, number, earlier + history)  # after a kill between checkpoint and log
        if progress is not None:
            progress(len(history), epochs, f"stage {number}, continued")

    for epoch in range(len(history), epochs):
        # 3. one pass over class-balanced batches
        model.train()
        sums: dict[str, float] = {}
        plateau = plateau_rate([line.get("HM", 0.0) for line in history], config)
        place = {"seed": config.seed, "stage": number, "epoch": epoch}
        drawn = batches(stage.train.label, protocol=rules, batch=config.batch, **place)
        seen, began = 0, time.perf_counter()
        for index, (rows, negative) in enumerate(drawn):
            step = epoch * per_epoch + index
            rate = plateau if rules.schedule == "plateau" else learning_rate(step, total, config)
            for group in optimiser.param_groups:
                group["lr"] = rate
            scope.begin(config.seed, number, epoch, index)
            zeros.before_step(step / total)
            penalties = zeros.penalties(config.penalties)
            mine = share(len(rows), team)  # this process's part of the global batch
            batch = cast(stage.train.batch(rows[mine], of=rows).to(fabric.device), crew.dtype)
            label = torch.as_tensor(stage.train.label[rows], device=fabric.device)
            with fabric.autocast():
                with scope.sliced(mine):
                    prepared = model.prepare(batch)
                    trace = own_trace(model, prepared)
                    output = model.finish(trace, prepared.context)
                    spoken = of_spikes(model, prepared, trace, penalties, scope.mean)
                output = assembled_output(team, output, mine, len(rows))
                terms = model.loss(output, label, negative.to(fabric.device), vectors)
                if lesson is not None:
                    words = model.embed_words(vectors)
                    spoken["teacher"] = lesson.loss(output, words, rows)
                terms = terms.plus(spoken)
            if not bool(torch.isfinite(terms.total)):
                raise BadInput(_diverged("loss", number, epoch, config))
            optimiser.zero_grad()
            fabric.backward(terms.total)
            average_gradients(team, model.parameters())
            _clip(fabric, model, optimiser, number, epoch, config)
            optimiser.step()
            seen += len(rows)
            for key, value in {"loss": terms.total, **terms.parts}.items():
                sums[key] = sums.get(key, 0.0) + float(value.detach()) / per_epoch
        speed = seen / (time.perf_counter() - began)

        # 4. score the validation splits, keep the best (stage 1)
        done = (epoch + 1) / config.epochs
        line: dict[str, Any] = {"stage": number, "epoch": epoch + 1, **sums}
        line |= zeros.after_epoch(done)
        if validated is not None:
            how = {"device": fabric.device, "team": team}
            again = partial(collect, model, validated, data.vectors, **how)
            chosen = choose_all(model, again, rules.betas())
            line |= {**asdict(chosen.scores), "head_weight": chosen.head_weight}
            better = best is None or chosen.scores.HM > best.val_hm
            if number == 1 and better and zeros.selectable(done):
                best = selection(epoch + 1, chosen)
                if team.rank == 0:
                    kept = settled(model)
                    meta = {**owner, "options": kept.options()}
                    checkpoint.save_training(folder / checkpoint.BEST, kept, optimiser, meta)
        history.append(line | {"samples_per_s": round(speed, 1)})

        # 5. everything the next epoch depends on, then the log
        if team.rank == 0:
            meta = {**owner, "history": history, "best": asdict(best) if best else None}
            checkpoint.save_training(last, model, optimiser, meta)
            log.write(out, earlier + history)
            if progress is not None:
                progress(epoch + 1, epochs, _describe(line))
    zeros.settle()
    return model, best


def _clip(
    fabric: Any, model: ZSLModel, optimiser: Any, number: int, epoch: int, config: TrainConfig
) -> None:
    """Bound the gradient's norm, and refuse one that is not finite."""
    if config.clip == 0:
        return
    norm = fabric.clip_gradients(model, optimiser, max_norm=config.clip, error_if_nonfinite=False)
    if norm is not None and not bool(torch.isfinite(norm)):
        raise BadInput(_diverged("gradient", number, epoch, config))


def _diverged(what: str, stage: int, epoch: int, config: TrainConfig) -> str:
    return (
        f"training stage {stage}, epoch {epoch + 1}: the {what} is not finite; lower --lr (now "
        f"{config.lr}) or check the features"
    )


def _describe(line: Mapping[str, Any]) -> str:
    scored = f", val HM {line['HM']:.1f}" if "HM" in line else ""
    return f"stage {line['stage']}, loss {line['loss']:.3f}{scored}"
