"""Runs from the outside: train, export, evaluate, profile, simulate; `opened` loads them.

Each verb takes an opened value or the folder of one, and returns a frozen value. The rooms behind
them do the work; what they need besides has a default here. `neurozsl/__init__.py` shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neurozsl.core.progress import Progress
from neurozsl.core.shell import command, words
from neurozsl.deploy import deploy as deployment
from neurozsl.deploy.anytime import Margin, evaluate_anytime
from neurozsl.deploy.score import RunScores
from neurozsl.export.bundle import bundle as bundles
from neurozsl.export.bundle.bundle import Bundle, StageProgress
from neurozsl.export.bundle.policy import Wanted
from neurozsl.export.targets.names import target_called
from neurozsl.face.opened import Folder, bundle_folder, opened_run
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.portable.measured import profile as profiled
from neurozsl.report.schema import RunReport
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.simulation import simulate as simulation
from neurozsl.simulation.simulate import Simulation
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.stage_loop import EpochProgress


def open_bundle(bundle: Folder) -> Bundle:
    """Open a bundle; every file is checked against its manifest.

    Args:
        bundle: folder that `export` or `neurozsl export` wrote.

    Raises:
        BadInput: no bundle, or a file of it is missing, cut or changed.

    Example::

        bundle = nz.open_bundle("runs/demo/deploy/lava")
        bundle.manifest.verdict, bundle.program.layers, bundle.verify().verdict
    """
    return bundles.open_bundle(Path(bundle))


def train(
    data: Folder,
    out: Folder,
    *,
    model: str = "mdft",
    options: Mapping[str, Any] | None = None,
    config: TrainConfig | None = None,
    progress: EpochProgress | None = None,
) -> Run:
    """Train a model in two stages and score it on the test splits.

    Args:
        data: folder of a data set (`nz.load_data` opens it).
        out: run folder to make; `resume` goes on with one that was interrupted.
        model: one of `neurozsl.models.names()`: avca, mdft, mdst++, stft, a baseline such as
            avmst, or one that a package registers.
        options: of the model, as `neurozsl train --set`; None takes the preset `deploy` of mdft.
        config: epochs, batch, learning rate, seed, device; None takes the defaults.
        progress: called with (epochs done, epochs in all, a line of text).

    Raises:
        BadInput: the data cannot be read, an unknown model or option, or `out` holds a run.

    Example::

        run = nz.train("runs/demo-data", "runs/mine", config=nz.TrainConfig(epochs=20, seed=1))
    """
    if options is None:
        options = {"preset": "deploy"} if model == "mdft" else {}
    runs.create(
        Path(out), data_dir=Path(data), model=model, options=options, train=config or TrainConfig()
    )
    return resume(out, progress=progress)


def resume(run: Folder, *, progress: EpochProgress | None = None) -> Run:
    """Go on with a run that was interrupted, to the same numbers; a finished one is opened.

    Args:
        run: its folder.
        progress: as in `train`.

    Raises:
        BadInput: no run, or a checkpoint is damaged.
    """
    return runs.train(Path(run), progress=progress)


def export(
    run: Run | Folder,
    *,
    target: str = "lava",
    out: Folder | None = None,
    threshold: Wanted | None = None,
    bits: int | None = None,
    scale: ScaleRule | None = None,
    correct_bias: bool = False,
    keep_dead_neurons: bool = False,
    samples: int = 16,
    max_hm_drop: float = 2.0,
    progress: StageProgress | None = None,
) -> Bundle:
    """Carry the spiking branch of a run to a target: written, verified bit for bit, scored.

    Args:
        run: a trained run.
        target: nir, lava, sinabs, speck or another of `neurozsl targets`, or its chip (loihi2).
        out: folder of the bundle; None: `RUN/deploy/TARGET`.
        threshold: dynamic, table or frozen; None: as trained where the target can.
        bits: of the weights, 4 to 8; None: those of a run that was fine-tuned in integers, else 8.
        scale: how the largest weight of a layer is chosen: max, percentile or mse.
        correct_bias: fold the mean change of each neuron's drive into its bias.
        keep_dead_neurons: ship neurons too that never spike or that nobody reads; without them
            the others give the same spikes.
        samples: golden samples that every backend must reproduce.
        max_hm_drop: loss of HM, in points, that is still accepted.
        progress: called with (stage, samples done, samples in all).

    Raises:
        BadInput: no spiking branch, an unknown target, or options that it does not take.
        DoesNotFit: the network does not fit the chip; the message says what would.
        VerificationFailed: a bit differs, a layer is silent or full, or HM fell too far; the
            bundle is kept as `*.rejected`.

    Example::

        bundle = nz.export("runs/demo", target="lava")
        bundle.manifest.verdict
    """
    opened, name = opened_run(run), target_called(target).name
    folder = opened.path / "deploy" / name if out is None else Path(out)
    deployment.deploy(
        opened,
        target=name,
        out=folder,
        threshold=threshold,
        bits=bits,
        scale=scale,
        correct_bias=correct_bias,
        keep_dead_neurons=keep_dead_neurons,
        samples=samples,
        max_hm_drop=max_hm_drop,
        progress=progress,
    )
    return open_bundle(folder)


def evaluate(
    run: Run | Folder,
    bundle: Bundle | Folder | None = None,
    *,
    backend: str = "",
    margin: Margin | Sequence[Margin] | None = None,
    progress: Progress | None = None,
) -> RunScores:
    """Score a run on its test splits, as trained or as deployed.

    Args:
        run: a trained run.
        bundle: of this run: its branch takes the place of the trained one.
        backend: what runs the bundle; empty: the first of its target.
        margin: also stop every sample once the margin of its class is reached: a number in 0..1
            (inf never stops), "auto" for the one that validation data choose, or several.
        progress: called with (samples done, samples in all).

    Returns:
        S, U, HM and ZSL in percent, beta, what chance would give, and where the branch ran; with
        margins also `anytime`, per margin scores, mean steps and synaptic operations as used.

    Raises:
        BadInput: the bundle belongs to another run, its target has no such backend, or what the
            chip reads follows later steps, so that no sample can stop (dynamic thresholds).

    Example::

        trained, deployed = nz.evaluate(run), nz.evaluate(run, "runs/demo/deploy/lava")
        trained.HM - deployed.HM
        [(row.HM, row.mean_steps, row.saved) for row in nz.evaluate(run, margin="auto").anytime]
    """
    where: dict[str, Any] = {"bundle": bundle_folder(bundle), "backend": backend}
    if margin is not None:
        return evaluate_anytime(opened_run(run), _margins(margin), **where, progress=progress)
    return deployment.evaluate_run(opened_run(run), **where, progress=progress)


def profile(
    run: Run | Folder,
    bundle: Bundle | Folder | None = None,
    *,
    devices: Sequence[Chip] = (),
    step_s: float | None = None,
    margin: Margin | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Accuracy, spikes, operations and estimated joules of a run, as one document.

    Args:
        run: a trained run.
        bundle: what is profiled as deployed; None: the float branch.
        devices: further chips with energy rows of their own (`nz.load_chip`).
        step_s: seconds of a time step, for static power; None: each chip's own.
        margin: stop every sample once the margin of its class is reached, as in `evaluate`; scores
            and counts are then as used.
        progress: called with (test samples done, in all).

    Returns:
        The report; `nz.write_report(report, Path("r.html"))` makes a page of it, `.md` a card.
        Where the data set of the run is not here, what `pack` measured.

    Raises:
        BadInput: the bundle is damaged or belongs to another run.

    Example::

        report = nz.profile(run, bundle)
        [(row.name, row.joules) for row in report.energy]
    """
    opened, folder = opened_run(run), bundle_folder(bundle)
    return profiled(
        opened,
        bundle=folder,
        command=command("profile", opened.path, words({"bundle": folder, "margin": margin})),
        asked={"devices": devices, "step_s": step_s, "margin": margin},
        progress=progress,
    )


def simulate(
    bundle: Bundle | Folder,
    *,
    backend: str = "",
    limit: int | None = None,
    margin: Margin | None = None,
    progress: Progress | None = None,
) -> Simulation:
    """Run samples through a bundle: the spikes, and the classes that they lead to.

    Args:
        bundle: in its run folder it is fed test samples, elsewhere its golden ones.
        backend: emulator, lava, sinabs, ...; empty: the first of the bundle's target.
        limit: samples, half of seen and half of unseen classes; None: 16.
        margin: stop every sample once the margin of its class is reached, as in `evaluate`.
        progress: called with (samples done, samples in all).

    Returns:
        The trace (spikes `(sample, time, neuron)` per layer), seconds, and per sample the name of
        the predicted and the true class.

    Raises:
        BadInput: the target has no such backend.
        MissingPart: the backend is not installed; the message holds the line that does it.

    Example::

        for line in nz.simulate(bundle, backend="lava", limit=4).predictions:
            print(line.sample, line.predicted, line.true)
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    name = backend or deployment.default_backend(opened)
    return simulation.simulate(opened, backend=name, limit=limit, margin=margin, progress=progress)


def _margins(margin: Margin | Sequence[Margin]) -> tuple[Margin, ...]:
    return (margin,) if isinstance(margin, str | float | int) else tuple(margin)
