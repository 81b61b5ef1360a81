"""A classifier's run folder: made, trained to its end, opened.

    run.json       settings, sealed           stage1/last.safetensors   the training so far
    log.jsonl      a line an epoch            start.nir                 where a .nir file was given
    network.nir    what was learned, flat     test.npz                  test samples and labels
    result.json    accuracies of network.nir, sealed with the digests of what they come from

`network.nir` is all that other commands need: nothing in a run folder is executed. The accuracies
are those of the stored file, in the float simulation and, where integers were trained, in them.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from neurozsl.classifier.learner import Learner
from neurozsl.classifier.loop import EpochProgress, Examples, Ints, as_input, fit, logits
from neurozsl.classifier.recipe import Recipe
from neurozsl.classifier.settings import ClassifierSettings, read_settings, write_settings
from neurozsl.classifier.source import EventTask, NetworkSource, learner_of
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file, write_json
from neurozsl.core.lock import Lock
from neurozsl.core.reading import read_object
from neurozsl.core.shell import words
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.data.events.recordings.event_set import EventSet, SplitName
from neurozsl.data.events.recordings.stored import load_event_set
from neurozsl.data.sets.fingerprint import fingerprint
from neurozsl.export.bundle.accuracy import TaskAccuracy, accuracy
from neurozsl.export.network.readout import answers_of, output_layer, readout_of
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.said import Said
from neurozsl.hardware.arithmetic.emulate import emulate
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.floatsim.floatsim import simulate
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.runs.kind import NETWORK, TEST
from neurozsl.runs.run import refuse_existing
from neurozsl.runs.seal import RESTORE, check_digest, check_file, file_digests, own_digest
from neurozsl.runs.settings import data_folder, versions
from neurozsl.training.log import NAME as LOG
from neurozsl.training.qat import Rounding

RESULT: Final = "result.json"
START: Final = "start.nir"
_SPLITS: Final[tuple[SplitName, ...]] = ("train", "val", "test")


@dataclass(frozen=True)
class Classifier:
    """A finished run.

    Attributes:
        path: its folder.
        settings: how it was trained.
        classes: names, in the order of the output neurons.
        result: what `result.json` holds.
    """

    path: Path
    settings: ClassifierSettings
    classes: tuple[str, ...]
    result: Mapping[str, Any]

    @property
    def network(self) -> Path:
        """The trained network."""
        return self.path / NETWORK


def create(
    path: Path, *, data: Path, network: NetworkSource, recipe: Recipe, said: Said | None = None
) -> ClassifierSettings:
    """Make the folder of a new run.

    Raises:
        BadInput: it exists, the data cannot be used, or the network does not fit them.
    """
    refuse_existing(path)
    events = load_event_set(data)
    if not len(events.rows("train")):
        raise BadInput(f"{data}: no recording is for training; name some in the split `train`")
    spoken = said or Said()
    task = _task(events, recipe, spoken)
    learner = learner_of(  # refused before it is made
        network, task, recipe.rounding, without_clock=recipe.without_clock
    )
    learner.module.eval()
    with torch.no_grad():
        logits(learner.see(torch.zeros(1, 1, *task.shape)), recipe.readout)
    with Lock(path):
        refuse_existing(path)
        if network.kind == "nir":
            copied = path / START
            with whole_file(copied) as part:
                part.write_bytes(Path(network.path).read_bytes())
            network = replace(network, path=START)
        held = {key: value for key, value in asdict(spoken).items() if value is not None}
        return write_settings(
            path,
            ClassifierSettings(
                network,
                recipe,
                os.path.relpath(data.resolve(), path.resolve()),
                fingerprint(data),
                versions(),
                held,
            ),
        )


def train(
    path: Path, *, network: NetworkSource | None = None, progress: EpochProgress | None = None
) -> Classifier:
    """Train a run that was made, or go on with it, to its end; a finished one is opened.

    network: where the run's network comes from. A Python file is executed because the caller names
    it, never because the folder does.

    Raises:
        BadInput: the run, its data or its network cannot be used, or the training fails.
    """
    if (path / RESULT).exists():
        return open_classifier(path)
    with Lock(path, then="go on with `neurozsl train --resume`"):
        settings = read_settings(path)
        events = load_event_set(data_folder(path, settings))
        recipe = settings.recipe
        threads = torch.get_num_threads()
        torch.set_num_threads(recipe.threads)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(recipe.seed)
                learner = _learner(path, settings, events, network)
                rows = events.rows("train")
                examples = Examples(events.take, rows, events.labels[rows])
                history = fit(
                    learner, examples, recipe, path, run=settings.digest, progress=progress
                )
        finally:
            torch.set_num_threads(threads)
        nirfile.write(path / NETWORK, learner.graph())
        _write_test(
            path / TEST, next(iter(lower(nirfile.read(path / NETWORK)).inputs)), events, recipe
        )
        return _finish(path, settings, events, history)


def begun_with(path: Path) -> tuple[tuple[str, ...], Recipe, str]:
    """What a run begins with: network as `identity` says it, recipe, fingerprint of the data."""
    settings = read_settings(path)
    return identity(settings.network), settings.recipe, settings.data_fingerprint


def identity(network: NetworkSource) -> tuple[str, ...]:
    """By what two sources are the same network: a `.nir` file by its content alone."""
    if network.kind == "nir":
        return (network.kind, network.digest)
    return (network.kind, network.name, network.digest)


def open_classifier(path: Path) -> Classifier:
    """Open a finished run.

    Raises:
        BadInput: there is none, it is not finished, or a file of it was changed.
    """
    settings = read_settings(path)
    file = path / RESULT
    if not file.is_file():
        raise BadInput(
            f"run '{path}': is not finished; go on with `neurozsl train{words({'resume': path})}`"
        )
    keys = {"classes": list, "accuracy": dict, "files": dict, "digest": str, "settings": str}
    raw = read_object(file, remedy=RESTORE, keys=keys)
    check_digest(file, own_digest(raw), raw["digest"], "it")
    check_digest(path / "run.json", settings.digest, raw["settings"], RESULT)
    for name in (NETWORK, TEST):
        check_file(path, name, raw["files"], RESULT)
    return Classifier(path, settings, tuple(raw["classes"]), raw)


def _learner(
    path: Path, settings: ClassifierSettings, events: EventSet, named: NetworkSource | None
) -> Learner:
    network = settings.network
    if named is not None and identity(named) != identity(network):
        raise BadInput(
            f"run '{path}': began with network '{network.name}' (sha256 {network.digest[:12]}), "
            f"'{named.name}' (sha256 {named.digest[:12]}) is another or was changed; restore it, "
            "or train a new run"
        )
    if network.kind == "file":
        if named is None:
            source = f"FILE.py:{network.name}"
            raise BadInput(
                f"run '{path}': its network comes from the Python file '{network.path}', which is "
                "run only where you name it: "
                f"`neurozsl train{words({'resume': path, 'network': source})}`"
            )
        network = named
    elif network.kind == "nir":
        network = replace(network, path=str(path / START))
    task = _task(events, settings.recipe, settings.spoken)
    recipe = settings.recipe
    return learner_of(network, task, recipe.rounding, without_clock=recipe.without_clock)


def _task(events: EventSet, recipe: Recipe, said: Said) -> EventTask:
    """What a network is for; the code of its input is that of the training frames."""
    wide, high = events.size
    shape = (2, high, wide)
    most = 1
    if recipe.without_clock and events.form != "frames":
        raise BadInput(
            f"{events.folder}: holds time surfaces, whose codes are no events; leave "
            "--without-clock out, or build the set with --form frames"
        )
    if recipe.values == "counts":
        most = max(int(events.take(rows).max()) for rows in _blocks(events.rows("train")))
    bits = max(1, most.bit_length())
    size = 2 * high * wide
    code = InputCode(size, "binary" if bits == 1 else "graded", bits, False, 1.0)
    return EventTask(events.steps, shape, len(events.classes), code, said, events.mean_step_s)


def _blocks(rows: Ints, size: int = 64) -> list[Ints]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _write_test(path: Path, name: str, events: EventSet, recipe: Recipe) -> None:
    """Test frames (n, T, 2, H, W) uint8 by the name of the input, and their `labels` (n,)."""
    rows = events.rows("test")
    frames = events.take(rows)
    if recipe.values == "binary":
        frames = np.minimum(frames, 1)
    with whole_file(path) as part, part.open("wb") as stream:
        arrays: dict[str, Any] = {name: frames, "labels": events.labels[rows]}
        np.savez_compressed(stream, **arrays)


def _finish(
    path: Path, settings: ClassifierSettings, events: EventSet, history: list[dict[str, Any]]
) -> Classifier:
    """Score what was stored, and write the result."""
    lowered = lower(nirfile.read(path / NETWORK))
    rounding = settings.recipe.rounding
    scored = {"float": _scores(lowered, events, settings.recipe, None)}
    if rounding is not None:
        scored[f"{rounding.chip}, {rounding.bits} bits"] = _scores(
            lowered, events, settings.recipe, rounding
        )
    content = {
        "classes": list(events.classes),
        "accuracy": {name: found for name, (found, _) in scored.items()},
        "silent": {name: silent for name, (_, silent) in scored.items()},
        "epochs": len(history),
        "density": history[-1]["density"],
        "settings": settings.digest,
        "files": file_digests(path, (NETWORK, TEST, START, LOG)),
    }
    digest = own_digest(content)
    write_json(path / RESULT, {**content, "digest": digest}, sort_keys=True)
    return open_classifier(path)


def _scores(
    lowered: Lowered, events: EventSet, recipe: Recipe, rounding: Rounding | None
) -> tuple[dict[str, Any], dict[str, int]]:
    """Per split `asdict` of `TaskAccuracy`, and the number of samples without a spike to read."""
    run: Callable[[ChipInput], Any]
    layer = output_layer(lowered, NETWORK)
    readout = readout_of(layer, recipe.readout)
    record = ("spikes", "membrane")
    if rounding is None:
        network: Any = lowered

        def run(part: ChipInput) -> Any:
            return simulate(lowered, part, record=record)  # type: ignore[arg-type]
    else:
        network = quantize(lowered, rounding.chip, bits=rounding.bits, scale=rounding.scale)

        def run(part: ChipInput) -> Any:
            return emulate(network, part, record=record)  # type: ignore[arg-type]

    [(name, code)] = lowered.inputs.items()
    scores, silent = dict[str, Any](), dict[str, int]()
    for split in _SPLITS:
        rows = events.rows(split)
        right = quiet = 0
        for block in _blocks(rows):
            frames = as_input(events.take(block), recipe).numpy().astype(np.int16)
            held = ChipInput({name: frames.reshape(*frames.shape[:2], -1)}, {name: code})
            said = answers_of(run, held, lowered, layer, readout)
            right += int((said.predicted == events.labels[block]).sum())
            quiet += said.silent
        if len(rows):
            scores[split], silent[split] = asdict(accuracy(right, len(rows))), quiet
    return scores, silent


def accuracies(result: Mapping[str, Any]) -> dict[str, dict[str, TaskAccuracy]]:
    """What `result.json` says, per arithmetic and split."""
    return {
        name: {split: TaskAccuracy(**row) for split, row in splits.items()}
        for name, splits in result["accuracy"].items()
    }
