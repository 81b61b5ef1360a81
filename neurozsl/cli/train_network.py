"""`neurozsl train --network NETWORK --data EVENTS`: a classifier of event recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurozsl.cli.console import epochs as every_epoch
from neurozsl.cli.console import next_commands, progress_bar, say, show_table
from neurozsl.cli.network_options import FileOptions
from neurozsl.cli.train_options import IntegerOptions, LengthOptions, PruningOptions, torch_and_chip
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place
from neurozsl.core.shell import command, words

if TYPE_CHECKING:
    from neurozsl.classifier.run import Classifier
    from neurozsl.classifier.source import NetworkSource

Changes = Annotated[
    str | None,
    typer.Option(
        help="Random changes of training frames: shift=2 (px), rotate=15, zoom=0.1, shear=0.1, "
        "drop=0.1 (of the events), flip; commas between. Of --resume: default those of the run."
    ),
]
Network = Annotated[
    str | None,
    typer.Option(
        help="Own network: conv-if, conv-lif, FILE.py:make or FILE.nir; with --data. Of --resume: "
        "the Python file that the run began with."
    ),
]
Resume = Annotated[Path | None, typer.Option(help="Run to go on with, or to train on.")]


def train_network(
    *,
    network: Network = None,
    data: Annotated[Path | None, typer.Option(help="Data folder (`neurozsl data`).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and dropout.")] = 0,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Samples per batch, of all processes together; default 64; avca 256; network 10."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    augment: Changes = None,
    readout: Annotated[
        str | None,
        typer.Option(help="What a network's class is read from: count, membrane or last."),
    ] = None,
    values: Annotated[
        str, typer.Option(help="Of event frames: binary (1 of every count), or counts.")
    ] = "binary",
    without_clock: Annotated[
        bool,
        typer.Option(
            "--without-clock",
            help="For chips without a clock (Speck): spikes alike in whatever order events come.",
        ),
    ] = False,
    smoothing: Annotated[float, typer.Option(help="Of a network's labels in the loss.")] = 0.0,
    length: LengthOptions,
    pruning: PruningOptions,
    integers: IntegerOptions,
    about: FileOptions,
) -> None:
    """Make the folder, train the network, score what was stored.

    Raises:
        BadInput: an option is not allowed, the data or the network cannot be used, or the folder
            holds a run.
    """
    from neurozsl.classifier import run as classifiers
    from neurozsl.classifier.augment import Augment
    from neurozsl.classifier.recipe import EPOCHS, Recipe
    from neurozsl.classifier.source import source_of

    assert network is not None  # what makes it this command
    if data is None or length.out is None:
        raise BadInput(f"train --network {network}: give --data EVENTS and --out RUN")
    check_place(length.out / "run.json", "run")
    base = Recipe()
    recipe = Recipe(
        epochs=EPOCHS if length.epochs is None else length.epochs,
        batch=base.batch if batch is None else batch,
        lr=base.lr if length.lr is None else length.lr,
        smoothing=smoothing,
        readout=readout,  # type: ignore[arg-type]  # checked there
        values=values,  # type: ignore[arg-type]
        without_clock=without_clock,
        augment=Augment.read(augment or ""),
        sparsity=pruning.pruning(),
        rounding=integers.rounding(),
        seed=seed,
        threads=threads,
        device=_device(length),
    )
    source, said = source_of(network), about.said()
    if source.kind != "nir" and about.words():
        raise BadInput(f"{about.words().strip()}: say how a .nir file is read; leave it out")
    classifiers.create(length.out, data=data, network=source, recipe=recipe, said=said)
    _train(length.out, source)


def network_on(
    *,
    resume: Resume = None,
    augment: Changes = None,
    length: LengthOptions,
    pruning: PruningOptions,
    integers: IntegerOptions,
) -> None:
    """Train a finished network on in a new run beside it: in a chip's integers, or pruned.

    Raises:
        BadInput: the run is not finished, or an option is not allowed.
    """
    from neurozsl.classifier import run as classifiers
    from neurozsl.classifier.augment import Augment
    from neurozsl.classifier.recipe import ON_EPOCHS, ON_LR, PRUNING_EPOCHS, PRUNING_LR
    from neurozsl.classifier.source import source_of
    from neurozsl.runs.settings import data_folder
    from neurozsl.training.protocol import TrainConfig
    from neurozsl.training.qat import FineTuning, tuned_folder

    assert resume is not None  # what makes it this command
    parent = classifiers.open_classifier(resume)
    old = parent.settings.recipe
    rounding, sparsity = integers.rounding(), pruning.pruning()
    epochs, rate = (ON_EPOCHS, ON_LR) if sparsity is None else (PRUNING_EPOCHS, PRUNING_LR)
    recipe = replace(
        old,
        epochs=epochs if length.epochs is None else length.epochs,
        lr=rate if length.lr is None else length.lr,
        augment=old.augment if augment is None else Augment.read(augment),
        sparsity=sparsity,
        rounding=rounding or (old.rounding if integers.qat is None else None),
        device=_device(length),
    )
    named = FineTuning(rounding, "", "trained" if integers.qat is None else "frozen")
    out = length.out or tuned_folder(resume, named, TrainConfig(sparsity=sparsity))
    check_place(out / "run.json", "run")
    source = source_of(str(parent.network))
    begun = out / "run.json"
    same = (classifiers.identity(source), recipe, parent.settings.data_fingerprint)
    if not begun.exists():
        data = data_folder(resume, parent.settings)
        classifiers.create(out, data=data, network=source, recipe=recipe)
    elif classifiers.begun_with(out) != same:
        raise BadInput(
            f"run '{out}': exists with other settings; continue it with "
            f"`neurozsl train{words({'resume': out})}` or choose another --out"
        )
    _train(out)


def network_resumed(*, resume: Resume = None, network: Network = None) -> None:
    """Train the rest of a run; a finished one is shown.

    Raises:
        BadInput: a file of the run was changed or is damaged, or its network comes from a Python
            file that is not named.
    """
    from neurozsl.classifier.source import source_of

    assert resume is not None  # what makes it this command
    _train(resume, None if network is None else source_of(network))


def _device(length: LengthOptions) -> str:
    from neurozsl.training import crew

    torch_device, chip = torch_and_chip(length.device)
    if chip:
        raise BadInput(f"--device {chip}: a network has no budget of energy; leave it out")
    return crew.resolve_device(torch_device)


def _train(path: Path, network: NetworkSource | None = None) -> None:
    from neurozsl.classifier import run as classifiers

    with progress_bar("training") as update:
        done = classifiers.train(path, network=network, progress=every_epoch(update, path))
    show(done)


def show(done: Classifier) -> None:
    """Accuracies of the stored network with their intervals."""
    from neurozsl.classifier.run import accuracies
    from neurozsl.export.targets.names import target_called
    from neurozsl.runs.kind import TEST
    from neurozsl.training.qat import Rounding

    rows: list[tuple[str, ...]] = []
    for arithmetic, splits in accuracies(done.result).items():
        for split, found in splits.items():
            low_high = f"{found.low:.1f} to {found.high:.1f} %"
            rows.append((arithmetic, split, f"{found.percent:.1f} %", low_high, str(found.samples)))
    show_table(
        f"{done.path}: {len(done.classes)} classes, accuracy of network.nir",
        ("arithmetic", "split", "accuracy", "95 % interval", "samples"),
        rows,
    )
    for arithmetic, splits in done.result.get("silent", {}).items():
        silent = [f"{n} of {split}" for split, n in splits.items() if n]
        if silent:
            say(
                f"{arithmetic}: no spike of the output in {', '.join(silent)}; they count as "
                f"class '{done.classes[0]}'; train for longer, or with another --lr"
            )
    recipe = done.settings.recipe
    if recipe.sparsity is not None or done.result["density"] < 0.9995:
        say(f"{100 * done.result['density']:.1f} % of the weights are left")
    if recipe.rounding is None:
        chip = "speck2f" if _speck(done) else "loihi2"
        given: dict[str, Any] = {"target": target_called(chip).name}
        again = f"neurozsl train{words({'resume': done.path, 'qat': chip})}"
    else:
        target = target_called(recipe.rounding.chip)
        given = {"target": target.name, "bits": recipe.rounding.bits}
        if recipe.rounding.bits == Rounding().bits:
            again = command("profile", done.path, words({"chip": recipe.rounding.chip}))
        else:  # a network is profiled in the usual bits, a bundle in its own
            bundle, test = done.path / "deploy" / target.name, done.path / TEST
            again = command("profile", bundle, words({"input": test, "labels": test}))
    next_commands(command("export", done.path, words(given)), again)


def _speck(done: Classifier) -> bool:
    """Whether the network is one that Speck computes."""
    from neurozsl.core.errors import NeuroZSLError
    from neurozsl.export.nir import nirfile
    from neurozsl.hardware.arithmetic.quantize import quantize
    from neurozsl.hardware.lower.lower import lower

    try:
        quantize(lower(nirfile.read(done.network)), "speck2f")
    except NeuroZSLError:
        return False
    return True
