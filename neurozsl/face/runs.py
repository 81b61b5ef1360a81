"""Runs from the outside: train, load, export, evaluate, profile, simulate.

Each verb takes an opened value or the folder of one, and returns a frozen value. The rooms behind
them do the work; what they need besides has a default here. `neurozsl/__init__.py` shows them.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from neurozsl.core.archive import is_archive
from neurozsl.core.progress import Progress
from neurozsl.core.shell import command, words
from neurozsl.deploy import deploy as deployment
from neurozsl.deploy.anytime import Margin, evaluate_anytime
from neurozsl.deploy.score import RunScores
from neurozsl.export.bundle import bundle as bundles
from neurozsl.export.bundle.bundle import Bundle, StageProgress
from neurozsl.export.bundle.policy import Wanted
from neurozsl.export.targets.names import target_called
from neurozsl.hardware.chips.chip import Chip
from neurozsl.hardware.loihi.scales import ScaleRule
from neurozsl.portable.measured import profile as profiled
from neurozsl.portable.pack import Packed
from neurozsl.portable.pack import pack as pack_run
from neurozsl.portable.unpack import unpacked
from neurozsl.prediction.predict import TOP, ClipPrediction, Predictor
from neurozsl.prediction.predict import predictor as make_predictor
from neurozsl.report.schema import RunReport
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.simulation import simulate as simulation
from neurozsl.simulation.simulate import Simulation
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.stage_loop import EpochProgress

Folder = str | Path


_unpacked = ExitStack()  # folders of packed runs that were loaded, until the process ends
atexit.register(_unpacked.close)


class LoadedRun(Run):
    """A run that `load` opened; it names clips."""

    def predict(
        self,
        clip: Folder,
        classes: Sequence[str] | None = None,
        *,
        vectors: Folder | None = None,
        bundle: Bundle | Folder | None = None,
        top: int = TOP,
    ) -> ClipPrediction:
        """Names for one clip; `nz.predictor` keeps what many clips share.

        Args:
            clip: a video with sound, at least one window long.
            classes: names to rank; None: those of `vectors`, else those of the data set.
            vectors: NPZ of `names` and `vectors`, for names that the run does not have.
            bundle: whose integers run; None: the trained branch.
            top: names to return.

        Raises:
            BadInput: the clip cannot be read, or a name has no vector.
            MissingPart: an encoder of the data set is not set up here.

        Example::

            found = nz.load("runs/mine").predict("clip.mp4", classes=["a dog barks", "archery"])
            found.names[0].name, found.names[0].score, found.cost
        """
        ready = predictor(self, classes=classes, vectors=vectors, bundle=bundle, top=top)
        return ready.predict(Path(clip))


def predictor(
    run: Run | Folder,
    *,
    classes: Sequence[str] | None = None,
    vectors: Folder | None = None,
    bundle: Bundle | Folder | None = None,
    top: int = TOP,
) -> Predictor:
    """Make a run ready to name clips, one after the other.

    Args:
        run: a trained run.
        classes: names to rank; None: those of `vectors`, else those of the data set.
        vectors: NPZ of `names` and `vectors`, for names that the run does not have.
        bundle: whose integers run; None: the trained branch.
        top: names of a clip.

    Raises:
        BadInput: a name has no vector, or the bundle is another run's.
        MissingPart: an encoder of the data set is not set up here.

    Example::

        ready = nz.predictor("runs/mine", bundle="lava")
        [ready.predict(clip).names[0].name for clip in Path("clips").glob("*.mp4")]
    """
    table = None if vectors is None else Path(vectors)
    return make_predictor(
        _run(run), classes=classes, vectors=table, bundle=_bundle_folder(bundle), top=top
    )


def load(run: Folder, *, data: Folder | None = None) -> LoadedRun:
    """Open a finished run: its model (on the CPU, for evaluation), data, settings and scores.

    Args:
        run: folder that `train` or `neurozsl train` wrote, or the zip of `pack`, which is unpacked
            into a temporary folder until this process ends.
        data: its data set, where it moved. Where it is not on this machine, `run.data` has the
            classes and their vectors, and whoever asks for samples is told which set is needed.

    Raises:
        BadInput: no run, unfinished, or a file of it damaged.

    Example::

        run = nz.load("runs/demo")
        run.result["test"]["HM"], run.data.classes, run.model
    """
    path = Path(run)
    if is_archive(path):
        path = _unpacked.enter_context(unpacked(path))
    return LoadedRun(**vars(runs.open_run(path, data=None if data is None else Path(data))))


def pack(
    run: Run | Folder, out: Folder | None = None, *, bundles: bool = True, checkpoints: bool = False
) -> Packed:
    """Write a run as one file, with what it needs where its data set is not.

    Args:
        run: a finished run, of a classifier by its folder.
        out: the zip; None: beside the folder, under its name.
        bundles: with those in `deploy`.
        checkpoints: with those of the training.

    Returns:
        Path and bytes of the zip, what is in it, what was left out, and what it cannot do.

    Raises:
        BadInput: a file of the run or of a bundle is damaged.

    Example::

        nz.pack("runs/demo", "demo.zip").bytes
        nz.load("demo.zip").data.classes
    """
    path = run.path if isinstance(run, Run) else Path(run)
    place = None if out is None else Path(out)
    return pack_run(path, place, bundles=bundles, checkpoints=checkpoints)


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
        model: avca, mdft, mdst++, stft, or one that a package registers.
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
    opened, name = _run(run), target_called(target).name
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
    where: dict[str, Any] = {"bundle": _bundle_folder(bundle), "backend": backend}
    if margin is not None:
        return evaluate_anytime(_run(run), _margins(margin), **where, progress=progress)
    return deployment.evaluate_run(_run(run), **where, progress=progress)


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
    opened, folder = _run(run), _bundle_folder(bundle)
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


def _run(run: Run | Folder) -> Run:
    return run if isinstance(run, Run) else load(run)


def _margins(margin: Margin | Sequence[Margin]) -> tuple[Margin, ...]:
    return (margin,) if isinstance(margin, str | float | int) else tuple(margin)


def _bundle_folder(bundle: Bundle | Folder | None) -> Path | None:
    if bundle is None:
        return None
    return bundle.path if isinstance(bundle, Bundle) else Path(bundle)
