"""A run on clips that no data set holds: windows, encoders, branch, ranked names, spikes, joules.

A clip is cut into the windows of the run's data set and passes that set's encoders. The spiking
branch runs as trained, or with the integers of a bundle. The distances of evaluation (beta and head
weight as validation chose them) are averaged over the windows, as the ranking of whole clips does;
`score` makes scores of them. Works without the data set: the run keeps all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command, words
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.data.batch import AVBatch
from neurozsl.data.clips.encode import ClipEncoders, encoders_of
from neurozsl.deploy.deploy import own_branch
from neurozsl.deploy.motion import Motion, motion
from neurozsl.export.bundle.bundle import Bundle, open_bundle
from neurozsl.export.bundle.manifest import NAME as MANIFEST
from neurozsl.export.targets import TARGETS
from neurozsl.hardware.arithmetic.fit import ChipFit
from neurozsl.models.base import distances
from neurozsl.prediction.candidates import Candidates, candidates_of
from neurozsl.prediction.clip_cost import ClipCost, clip_cost
from neurozsl.prediction.score import ranked_distance, score_scale
from neurozsl.report.sections.costs import fits_of
from neurozsl.runs.run import Run, open_run
from neurozsl.runs.stored import WEIGHTS
from neurozsl.scoring import road
from neurozsl.scoring.scale import ScoreScale

REVISION: Final = 1  # of what a prediction is; counts in the digest of the settings
BATCH: Final = 256  # windows at once
TOP: Final = 5


@dataclass(frozen=True)
class RankedName:
    """score: see `score`. distance: mean over windows, beta in it. unseen: not trained on."""

    name: str
    score: float
    distance: float
    unseen: bool

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return dict(vars(self))


@dataclass(frozen=True)
class ClipPrediction:
    """What a run says of one clip.

    clip: as it was named. sha256: of its bytes. windows: how many were averaged. names: the first
    of the ranking. candidates: names in all. cost: None where nothing spikes.
    """

    clip: str
    sha256: str
    windows: int
    names: tuple[RankedName, ...]
    candidates: int
    cost: ClipCost | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values; `cost` is left out where nothing spikes."""
        found = {
            "clip": self.clip,
            "sha256": self.sha256,
            "windows": self.windows,
            "candidates": self.candidates,
            "names": [x.as_json() for x in self.names],
        }
        return found if self.cost is None else {**found, **self.cost.as_json()}


def bundle_folder(run: Path, given: Path) -> Path:
    """The bundle that `--bundle` names: a folder, or a target in `RUN/deploy`.

    Raises:
        BadInput: there is neither.
    """
    if given.is_dir():
        return given
    beside = run / "deploy" / given
    if (beside / MANIFEST).is_file() and len(given.parts) == 1:
        return beside
    there = [x.parent.name for x in sorted((run / "deploy").glob(f"*/{MANIFEST}"))]
    raise BadInput(
        f"--bundle {given}: no such folder, and '{run}' has no bundle of this name (it has "
        f"{', '.join(there) or 'none'}); make one with "
        f"`{command('export', run, words({'target': 'lava'}))}`"
    )


@dataclass(frozen=True)
class Asked:
    """Arguments of `predictor`, with a run's folder and that of its data in place of the run."""

    run: Path
    data: Path | None
    classes: tuple[str, ...] | None
    vectors: Path | None
    bundle: Path | None
    top: int

    def ready(self) -> Predictor:
        """The same predictor once more, on another machine perhaps."""
        return predictor(
            open_run(self.run, data=self.data),
            classes=self.classes,
            vectors=self.vectors,
            bundle=self.bundle,
            top=self.top,
        )


@dataclass(frozen=True, eq=False)
class Predictor:
    """A run that is ready for clips; made by `predictor`.

    branch: None where nothing spikes. opened: the bundle that it is of, if any. asked: how it was
    made, for whoever makes it again.
    """

    run: Run
    encoders: ClipEncoders
    candidates: Candidates
    scale: ScoreScale
    branch: Motion | None
    asked: Asked
    opened: Bundle | None = None
    top: int = TOP

    @property
    def chip(self) -> str | None:
        """Of the bundle's target."""
        return None if self.opened is None else TARGETS[self.opened.manifest.target].chip

    @property
    def hop_s(self) -> float:
        """Distance of windows: that of the data set."""
        windows = self.run.data.meta.get("windows")
        hop = windows.get("hop_s") if isinstance(windows, Mapping) else None
        return float(hop) if isinstance(hop, int | float) and hop > 0 else 1.0

    @cached_property
    def digest(self) -> str:
        """Of the run."""
        return self.run.digest or sha256(self.run.path / WEIGHTS)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All but the clip that a prediction depends on."""
        backend, policy = own_branch(self.run)
        if self.branch is not None:
            backend, policy = self.branch.backend, str(self.branch.policy)
        bundle = None if self.opened is None else sha256(self.opened.path / MANIFEST)
        return {
            "revision": REVISION,
            "run": self.digest,
            "bundle": bundle,
            "backend": backend,
            "policy": policy,
            "candidates": self.candidates.digest(),
            "beta": self.run.selected.beta,
            "head_weight": self.run.selected.head_weight,
            "temperature": self.scale.temperature,
            "hop_s": self.hop_s,
            "top": self.top,
        }

    @cached_property
    def settings_digest(self) -> str:
        """Of `settings`."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """What holds for all clips: run, branch, scale of scores, encoders and hashes."""
        note = "" if self.branch is None else self.branch.note
        return {
            "run": str(self.run.path),
            "settings": self.settings,
            "settings_digest": self.settings_digest,
            "bundle": None if self.opened is None else str(self.opened.path),
            "score_scale": self.scale.as_json(),
            "encoders": {
                part: {"name": spec.name, "sha256": spec.sha256}
                for part, spec in self.encoders.specs.items()
            },
            "encoder_statistics": self._statistics,
            "data": {"name": self.run.data.name, "synthetic": self.run.data.synthetic},
            **({"note": note} if note else {}),
        }

    @cached_property
    def _fits(self) -> Mapping[str, ChipFit]:
        """Where the branch fits; placed once for all clips."""
        assert self.branch is not None
        return fits_of(self.branch.lowered)

    @property
    def _statistics(self) -> str:
        """Digest of what standardises features, which is the encoder where all is hand-made."""
        kept = json.dumps(self.run.data.meta.get("encoder"), sort_keys=True, default=str)
        return hashlib.sha256(kept.encode()).hexdigest()

    def predict(self, clip: Path, content: str = "") -> ClipPrediction:
        """Rank the names for one clip; content: its SHA-256, where that is known.

        Raises:
            BadInput: it cannot be read, or is shorter than a window.
        """
        content = content or digest_of(clip)
        batch = self.encoders.encode(clip, hop_s=self.hop_s)
        distance, passed = self._passed(batch)
        mean = distance.mean(0)
        scores = self.scale.scores(mean)
        order = np.argsort(mean, kind="stable")[: self.top]
        names = tuple(
            RankedName(
                self.candidates.names[i],
                float(scores[i]),
                float(mean[i]),
                not bool(self.candidates.seen[i]),
            )
            for i in order
        )
        return ClipPrediction(str(clip), content, len(batch), names, len(mean), self._cost(passed))

    def _passed(
        self, batch: AVBatch
    ) -> tuple[npt.NDArray[np.float64], list[tuple[ChipInput, Trace]]]:
        """Distances `(window, name)`, and what was read and spiked, part by part."""
        model, found, passed = self.run.model, [], []
        with road.at_rest(model):
            known = road.words(model, self.candidates.vectors)
            for rows in _parts(len(batch)):
                parts = road.prepare_batch(model, batch.take(rows), rows)
                run = None if self.branch is None else self.branch.run
                trace = road.trace_of(model, parts, run)
                if self.branch is not None:
                    passed.append(road.on_chip(parts, trace))
                output = road.finish(model, parts, trace)
                heads = distances(output, known).double().cpu().numpy()
                found.append(ranked_distance(self.run, heads, self.candidates.seen))
        return np.concatenate(found), passed

    def _cost(self, passed: Sequence[tuple[ChipInput, Trace]]) -> ClipCost | None:
        if self.branch is None:
            return None
        read, spiked = road.joined(passed)
        return clip_cost(
            self.branch, self._fits, read, spiked, step_s=self.run.data.step_s, chip=self.chip
        )


def predictor(
    run: Run,
    *,
    classes: Sequence[str] | None = None,
    vectors: Path | None = None,
    bundle: Path | None = None,
    top: int = TOP,
) -> Predictor:
    """Make a run ready for clips.

    classes: names to rank; None: those of `vectors`, else those of the run. vectors: file of class
    vectors. bundle: whose integers run; a folder, or a target in the run's `deploy`. top: names of
    a clip.

    Raises:
        BadInput: names without a vector, a bundle of another run, a set that was not made of clips.
        MissingPart: an encoder of the set is not set up here.
    """
    if top < 1:
        raise BadInput(f"--top {top}: 1 or more names are needed")
    opened = None if bundle is None else open_bundle(bundle_folder(run.path, bundle))
    branch = motion(run, opened)
    encoders = encoders_of(run.data.meta, where=f"run '{run.path}'")
    text = None if encoders.words is None else encoders.text
    names = candidates_of(run, classes, vectors, text)
    asked = Asked(
        run.path.resolve(),
        None if run.data_path is None else run.data_path.resolve(),
        None if classes is None else tuple(classes),
        None if vectors is None else vectors.resolve(),
        None if opened is None else opened.path.resolve(),
        top,
    )
    return Predictor(run, encoders, names, score_scale(run, branch), branch, asked, opened, top)


def digest_of(clip: Path) -> str:
    """SHA-256 of a clip's bytes.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return sha256(clip)
    except OSError as error:
        raise BadInput(f"{clip}: cannot be read ({error.strerror}); check the path") from error


def _parts(size: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, size, BATCH):
        yield np.arange(start, min(start + BATCH, size))
