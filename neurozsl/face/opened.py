"""Finished runs from the outside: loaded, packed into one file, asked to name clips."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from neurozsl.core.archive import is_archive
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.portable.pack import Packed
from neurozsl.portable.pack import pack as pack_run
from neurozsl.portable.unpack import unpacked
from neurozsl.prediction.predict import TOP, ClipPrediction, Predictor
from neurozsl.prediction.predict import predictor as make_predictor
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run

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
        opened_run(run), classes=classes, vectors=table, bundle=bundle_folder(bundle), top=top
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


def opened_run(run: Run | Folder) -> Run:
    """A run, which may be given by its folder."""
    return run if isinstance(run, Run) else load(run)


def bundle_folder(bundle: Bundle | Folder | None) -> Path | None:
    """The folder of a bundle, which may be given as such."""
    if bundle is None:
        return None
    return bundle.path if isinstance(bundle, Bundle) else Path(bundle)
