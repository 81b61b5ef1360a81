"""The training of a classifier: the visible loop, its checkpoint and its log.

In: a learner, frames and labels, a recipe. Out: the learner, trained in place. After every epoch
`stage1/last.safetensors` holds all that the next one depends on, so that a run which was stopped
goes on to the same numbers; `log.jsonl` has a line an epoch.

The loss is the cross-entropy of what is read from the output layer: counts of spikes over all
steps, the largest membrane, or what the last step holds.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl.classifier.learner import Learner, Seen
from neurozsl.classifier.recipe import Readout, Recipe
from neurozsl.core.errors import BadInput
from neurozsl.core.reading import brief
from neurozsl.training import checkpoint, log
from neurozsl.training.own_network import Pruning
from neurozsl.training.schedule import learning_rate

STAGE: Final = 1
# (done, total, text): epochs, and a line about the last one
EpochProgress = Callable[[int, int, str], None]
Ints = npt.NDArray[np.int64]


class FrameReader(Protocol):
    """Frames by row, `(k, time, channel, height, width)` uint8."""

    def __call__(self, rows: Ints, /) -> npt.NDArray[np.uint8]: ...


@dataclass(frozen=True)
class Examples:
    """What is learned from: rows of a set and their classes."""

    take: FrameReader
    rows: Ints
    labels: Ints


def fit(
    learner: Learner,
    examples: Examples,
    recipe: Recipe,
    out: Path,
    *,
    run: str,
    progress: EpochProgress | None = None,
) -> list[dict[str, Any]]:
    """Train for `recipe.epochs`, from the checkpoint where there is one; returns the log.

    run: digest of the settings, by which its checkpoints are known.

    Raises:
        BadInput: loss or gradient are not finite, or the checkpoint belongs to another run.
    """
    network = learner.module.to(recipe.device)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    pruning = Pruning(network, recipe.sparsity, output=(learner.output,))
    last, history = out / f"stage{STAGE}" / checkpoint.LAST, list[dict[str, Any]]()
    if last.exists():
        meta = checkpoint.load_training(last, network, optimiser, run=run, stage=STAGE)
        try:
            history = list(meta["history"])
        except (KeyError, TypeError) as error:
            raise BadInput(
                f"checkpoint '{last}': its position cannot be read ({brief(error)}); remove "
                f"{last.parent} to train again"
            ) from error
        log.write(out, history)  # after a kill between checkpoint and log
        if progress is not None:
            progress(len(history), recipe.epochs, "continued")
    per_epoch = -(-len(examples.rows) // recipe.batch)
    total = per_epoch * recipe.epochs
    for epoch in range(len(history), recipe.epochs):
        network.train()
        late = epoch >= learner.draws_from * recipe.epochs
        drawn = learner.draws = recipe.without_clock and late
        rng = np.random.default_rng((recipe.seed, epoch))
        order, began = rng.permutation(len(examples.rows)), time.perf_counter()
        sums = {"loss": 0.0, "right": 0.0}
        for index in range(per_epoch):
            step = epoch * per_epoch + index
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, total, recipe)
            pruning.before_step(step / total)
            rows = np.sort(order[index * recipe.batch : (index + 1) * recipe.batch])
            frames = torch.from_numpy(np.ascontiguousarray(examples.take(examples.rows[rows])))
            frames = _augmented(frames.float(), recipe, rng, drawn).to(recipe.device)
            label = torch.as_tensor(examples.labels[rows], device=recipe.device)
            answer = logits(learner.see(frames), recipe.readout)
            loss = functional.cross_entropy(answer, label, label_smoothing=recipe.smoothing)
            _step(network, optimiser, loss, recipe, epoch)
            sums["loss"] += float(loss.detach()) * len(rows)
            sums["right"] += float((answer.argmax(1) == label).sum())
        done = {key: value / len(examples.rows) for key, value in sums.items()}
        speed = len(examples.rows) / (time.perf_counter() - began)
        history.append(
            {
                "stage": STAGE,
                "epoch": epoch + 1,
                "loss": done["loss"],
                "accuracy": 100 * done["right"],
                "density": round(pruning.density(), 6),
                "samples_per_s": round(speed, 1),
            }
        )
        meta = {"run": run, "stage": STAGE, "history": history, "best": None}
        checkpoint.save_training(last, network, optimiser, meta)
        log.write(out, history)
        if progress is not None:
            text = f"loss {done['loss']:.3f}, training accuracy {100 * done['right']:.1f}"
            progress(epoch + 1, recipe.epochs, text)
    pruning.finish()
    learner.draws = False
    network.eval()
    return history


def _augmented(
    frames: Tensor, recipe: Recipe, rng: np.random.Generator, all_events: bool
) -> Tensor:
    """Frames of training; all_events: half of the samples keep every event of the sensor."""
    if all_events:
        whole = torch.from_numpy(rng.random((len(frames), *(1,) * (frames.dim() - 1))) < 0.5)
        return recipe.augment(torch.where(whole, frames, frames.clamp(max=1)), rng)
    return recipe.augment(as_binary(frames, recipe), rng)


def as_input(frames: npt.NDArray[np.uint8], recipe: Recipe) -> Tensor:
    """Frames as the network reads them, float32."""
    return as_binary(torch.from_numpy(np.ascontiguousarray(frames)).float(), recipe)


def as_binary(frames: Tensor, recipe: Recipe) -> Tensor:
    """The same of counts in a tensor: 1 for every count where the recipe says so."""
    return frames.clamp(max=1) if recipe.values == "binary" else frames


def logits(seen: Seen, readout: Readout | None) -> Tensor:
    """What the classes are read from, `(batch, class)`.

    Raises:
        BadInput: counts of a layer that sends no spikes.
    """
    readout = readout or ("count" if seen.spiking else "membrane")
    if readout == "count":
        if not seen.spiking:
            raise BadInput(
                "readout count: the output layer sends no spikes; use --readout membrane or last"
            )
        return seen.read.sum(1)
    if readout == "last":
        return seen.read[:, -1]
    if seen.spiking:
        raise BadInput(
            "readout membrane: the output layer spikes, and what a spike resets says little; use "
            "--readout count, or end the network with a read-out (Norse's LICell)"
        )
    return seen.read.amax(1)


def _step(
    network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, recipe: Recipe, epoch: int
) -> None:
    """One step of the optimiser.

    Raises:
        BadInput: loss or gradient are not finite.
    """
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    most = recipe.clip or float("inf")
    norm = nn.utils.clip_grad_norm_(network.parameters(), most)
    if not bool(torch.isfinite(loss)) or not bool(torch.isfinite(norm)):
        raise BadInput(
            f"training, epoch {epoch + 1}: loss {float(loss):g}, norm of the gradient "
            f"{float(norm):g}, expected finite numbers; lower --lr (now {recipe.lr:g})"
        )
    optimiser.step()
