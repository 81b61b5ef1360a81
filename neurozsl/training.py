"""Two-stage training of the AVCA protocol: one visible loop.

Stage 1 trains on `train` and is evaluated every epoch on the validation splits; its best HM fixes
beta, the weight of the motion head and the number of epochs. Stage 2 trains a new model on
training and validation data for that many epochs of the same schedule. A run folder holds

    run.json             resolved configuration, seed, versions, data set and its fingerprint
    log.jsonl            one line per epoch
    stage1/, stage2/     last.safetensors (to resume), best.safetensors (stage 1)
    model.safetensors    the trained model
    result.json          beta, head weight, epochs, and the scores on the test splits

`fine_tune` is a third stage: it goes on from a finished model, on the data of stage 2, for a
given number of epochs. Beta and head weight stay as stage 1 chose them; no validation data is left.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from neurozsl import checkpoint, models
from neurozsl.data.batch import Stage, ZSLData
from neurozsl.errors import BadInput
from neurozsl.evaluation import choose, collect, evaluate
from neurozsl.sampling import balanced_batches

FINE_TUNING = 3  # number of the stage that `fine_tune` runs
# (done, total, text): epochs of both stages, and a line about the last one.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class TrainConfig:
    """How to train; what is trained is in the model's own options."""

    epochs: int = 20
    batch: int = 64
    lr: float = 3e-3  # 1e-3 leaves the spiking branch far from trained in 20 epochs
    weight_decay: float = 1e-5
    clip: float = 5.0
    warmup: float = 0.1  # share of all steps in which the learning rate rises
    seed: int = 0
    device: str = "cpu"
    threads: int = 1  # of torch: sums depend on it, and more do not pay for a model this small

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "threads"):
            if getattr(self, name) < 1:
                raise BadInput(f"training: {name}={getattr(self, name)}, expected at least 1")
        if not 0 < self.lr < 1:
            raise BadInput(f"training: lr={self.lr}, expected a number between 0 and 1")


@dataclass(frozen=True)
class Selected:
    """What stage 1 chose on validation data."""

    epochs: int
    beta: float
    head_weight: float
    val_hm: float


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """Rise linearly over the warm-up, then fall along a cosine to 0; a pure function of the step.

    >>> learning_rate(10, 100, TrainConfig(lr=0.001))
    0.001
    """
    rise = max(1, int(config.warmup * total))
    if step < rise:
        return config.lr * (step + 1) / (rise + 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def resolve_device(name: str) -> str:
    """`cpu`, `cuda[:n]` as given, `auto` to whichever exists.

    Raises:
        BadInput: a CUDA device is asked for where there is none, or the name is unknown.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise BadInput("device 'cuda': torch finds no CUDA device here; use --device cpu")
    elif name != "cpu":
        raise BadInput(f"device '{name}': expected cpu, cuda, cuda:N or auto")
    return name


def make_model(name: str, data: ZSLData, options: Mapping[str, Any]) -> Any:
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
    progress: Progress | None = None,
) -> tuple[Any, Selected]:
    """Run both stages, continuing from the checkpoints in `out` where there are any.

    Returns the stage-2 model and what stage 1 chose. The caller's random state and number of
    threads are untouched.
    """
    devices = [] if config.device == "cpu" else [torch.device(config.device)]

    def fresh(stage: Stage) -> Any:
        model = make_model(name, data, options)
        model.calibrate(_calibration_batch(stage))
        return model

    with torch.random.fork_rng(devices=devices), torch_threads(config.threads):
        trained, best = _fit_stage(1, data, fresh, config, out, config.epochs, progress)
        assert best is not None
        del trained
        final, _ = _fit_stage(2, data, fresh, config, out, best.epochs, progress)
    _save_model(out, final, name)
    return final, best


def fine_tune(
    data: ZSLData,
    *,
    name: str,
    start: Callable[[], Any],
    config: TrainConfig,
    out: Path,
    progress: Progress | None = None,
) -> Any:
    """Train a finished model for `config.epochs` more epochs, continuing from the checkpoint.

    Args:
        data: what it was trained on.
        name: of the model, for the file.
        start: makes the model to begin with, with its weights.
        config: epochs, learning rate and seed of the fine-tuning.
        out: run folder.
        progress: called after every epoch.
    """
    devices = [] if config.device == "cpu" else [torch.device(config.device)]
    with torch.random.fork_rng(devices=devices), torch_threads(config.threads):
        final, _ = _fit_stage(
            FINE_TUNING, data, lambda stage: start(), config, out, config.epochs, progress
        )
    _save_model(out, final, name)
    return final


def _save_model(out: Path, model: Any, name: str) -> None:
    weights = {f"model/{k}": v for k, v in model.state_dict().items()}
    checkpoint.write(out / "model.safetensors", weights, {"model": name})


def _fit_stage(
    number: int,
    data: ZSLData,
    start: Callable[[Stage], Any],
    config: TrainConfig,
    out: Path,
    epochs: int,
    progress: Progress | None,
) -> tuple[Any, Selected | None]:
    """Train one stage for `epochs` of the schedule's `config.epochs` epochs."""
    fabric = Fabric(accelerator="cuda" if config.device.startswith("cuda") else "cpu", devices=1)
    stage = data.stage(1 if number == 1 else 2)
    folder = out / f"stage{number}"

    # 1. the model, from a seed of its own so that stages do not depend on each other
    torch.manual_seed(1000 * config.seed + number)
    model = start(stage)
    model.to(fabric.device)
    optimiser = fabric.setup_optimizers(
        torch.optim.Adam(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    )
    vectors = torch.as_tensor(data.vectors, device=fabric.device)
    per_epoch = -(-len(stage.train) // config.batch)
    total = per_epoch * config.epochs

    # 2. continue where an earlier run stopped
    history: list[dict[str, Any]] = []
    best: Selected | None = None
    if (folder / "last.safetensors").exists():
        meta = checkpoint.load_training(folder / "last.safetensors", model, optimiser)
        history = meta["history"]
        best = Selected(**meta["best"]) if meta["best"] else None

    for epoch in range(len(history), epochs):
        # 3. one pass over class-balanced batches
        model.train()
        sums: dict[str, float] = {}
        batches = balanced_batches(
            stage.train.label, batch=config.batch, seed=config.seed, stage=number, epoch=epoch
        )
        for index, (rows, negative) in enumerate(batches):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(epoch * per_epoch + index, total, config)
            batch = stage.train.batch(rows).to(fabric.device)
            output = model(batch)
            terms = model.loss(output, batch.label, negative.to(fabric.device), vectors)
            if not bool(torch.isfinite(terms.total)):
                raise BadInput(_diverged("loss", number, epoch, config))
            optimiser.zero_grad()
            fabric.backward(terms.total)
            norm = fabric.clip_gradients(
                model, optimiser, max_norm=config.clip, error_if_nonfinite=False
            )
            if norm is not None and not bool(torch.isfinite(norm)):
                raise BadInput(_diverged("gradient", number, epoch, config))
            optimiser.step()
            for key, value in {"loss": terms.total, **terms.parts}.items():
                sums[key] = sums.get(key, 0.0) + float(value.detach()) / per_epoch

        # 4. stage 1: score the validation splits, keep the best
        line: dict[str, Any] = {"stage": number, "epoch": epoch + 1, **sums}
        if number == 1:
            collected = collect(model, stage, data.vectors, device=fabric.device)
            scores, weight = choose(collected)
            line |= {**asdict(scores), "head_weight": weight}
            if best is None or scores.HM > best.val_hm:
                best = Selected(epoch + 1, scores.beta, weight, scores.HM)
                checkpoint.save_training(folder / "best.safetensors", model, optimiser, {})
        history.append(line)

        # 5. everything the next epoch depends on, then the log
        meta = {"history": history, "best": asdict(best) if best else None}
        checkpoint.save_training(folder / "last.safetensors", model, optimiser, meta)
        _write_log(out, number, history)
        if progress is not None:
            progress(epoch + 1, epochs, _describe(line))
    return model, best


def _diverged(what: str, stage: int, epoch: int, config: TrainConfig) -> str:
    return (
        f"training stage {stage}, epoch {epoch + 1}: the {what} is not finite; lower --lr (now "
        f"{config.lr}) or check the features"
    )


def _calibration_batch(stage: Stage) -> Any:
    """Up to 512 training samples, evenly spread."""
    rows = np.unique(np.linspace(0, len(stage.train) - 1, 512).astype(np.int64))
    return stage.train.batch(rows)


def _describe(line: Mapping[str, Any]) -> str:
    scored = f", val HM {line['HM']:.1f}" if "HM" in line else ""
    return f"stage {line['stage']}, loss {line['loss']:.3f}{scored}"


def _write_log(out: Path, stage: int, history: list[dict[str, Any]]) -> None:
    """Rewrite the log from what is known, so that a resumed run leaves no line twice."""
    path = out / "log.jsonl"
    kept = []
    if path.exists():
        old = [json.loads(text) for text in path.read_text().splitlines() if text]
        kept = [line for line in old if line["stage"] < stage]
    temporary = path.with_name("log.jsonl.partial")
    temporary.write_text("".join(json.dumps(line) + "\n" for line in kept + history))
    os.replace(temporary, path)


def final_result(
    model: Any, data: ZSLData, selected: Selected, *, device: str = "cpu"
) -> dict[str, Any]:
    """Scores of the trained model on the test splits, as `result.json` keeps them."""
    collected = collect(model, data.stage(2), data.vectors, device=device)
    result = evaluate(collected, beta=selected.beta, head_weight=selected.head_weight)
    warnings = model.eval().warnings(_calibration_batch(data.stage(2)))
    return {"selected": asdict(selected), "test": result.as_json(), "warnings": warnings}
