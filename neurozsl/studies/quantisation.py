"""What integers cost, and what fine-tuning with them gives back.

Per seed one run is trained with dynamic thresholds, then fine-tuned three times for as long: in
8-bit integers, in 4-bit integers, and in float (the control). Compared on the same test samples:

    dynamic float               as trained
    frozen float                one constant threshold per layer
    N-bit                       frozen, rounded without training
    N-bit after QAT             fine-tuned in N-bit integers
    frozen float, fine-tuned    the control: fine-tuned without rounding
    control, N-bit              the control, then rounded: what QAT has to beat

Validation has no scene bias: with a biased one stage 1 may choose an epoch, beta and head weight
at which the test HM is below chance (one of three seeds did), where rounding cannot be judged.

Differences in HM have paired 95 % bootstrap intervals over test samples, stratified by class: per
seed, and for the mean over seeds (`pooled`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.cluster.tasks import Workers
from neurozsl.studies import base, bootstrap
from neurozsl.studies.base import StudyProgress, StudySettings, Table
from neurozsl.studies.kept import check_tuned
from neurozsl.studies.trainings import Job, new_run, train_all

if TYPE_CHECKING:
    from neurozsl.core.signals import MotionBackend
    from neurozsl.runs.run import Run
    from neurozsl.scoring.evaluation import Collected

BITS: Final = (8, 4)
RESAMPLES: Final = 2000
REFERENCE: Final = "frozen float"
CONTROL: Final = "frozen float, fine-tuned"
CONDITIONS: Final = (
    "dynamic float",
    REFERENCE,
    *(f"{bits}-bit{after}" for bits in BITS for after in ("", " after QAT")),
    CONTROL,
    *(f"control, {bits}-bit" for bits in BITS),
)


@dataclass(frozen=True)
class QuantisationStudy:
    """Dynamic, frozen, rounded, fine-tuned."""

    scene_biases: tuple[float, ...] = (0.9,)

    def run(
        self, settings: StudySettings, *, out: Path, on: Workers, progress: StudyProgress | None
    ) -> dict[str, Any]:
        """Train, fine-tune and compare; see `base.Study`."""
        base.make_data(settings, out, unbiased_val=True, progress=progress)
        pairs = list(product(settings.scene_biases, range(settings.seeds)))
        trained = [_first(settings, out, bias, seed) for bias, seed in pairs]
        tuned = [job for bias, seed in pairs for job in _tuned(out, bias, seed)]
        total = len(trained) + len(tuned)
        train_all(trained, on=on, progress=_shifted(progress, 0, total))
        train_all(tuned, on=on, progress=_shifted(progress, len(trained), total))
        rows = []
        for bias in settings.scene_biases:
            outcomes = []
            for seed in range(settings.seeds):
                outcomes.append(outcome(out, bias, seed))
                if progress is not None:
                    progress(seed + 1, settings.seeds, f"scoring, bias {bias}, seed {seed}")
            rows += [{"scene_bias": bias, **row} for row in compare(outcomes)]
        return {"study": asdict(settings), "resamples": RESAMPLES, "rows": rows}

    def tables(self, result: Mapping[str, Any]) -> list[Table]:
        """One table per scene bias."""
        return base.tables_by_bias(
            result,
            "; HM in percent, mean (smallest to largest seed); difference of the means in points "
            "[95 % interval over test samples]",
            ("condition", "HM", f"against {REFERENCE}", "against the control at these bits"),
            lambda row: (
                row["condition"],
                base.show_spread(row["HM"]),
                _cell(row["against"].get(REFERENCE)),
                _cell(next((v for k, v in row["against"].items() if k != REFERENCE), None)),
            ),
        )


def _shifted(progress: StudyProgress | None, start: int, total: int) -> StudyProgress | None:
    return None if progress is None else lambda done, _, text: progress(start + done, total, text)


# --- the runs --------------------------------------------------------------------------------


def _folder(out: Path, bias: float, seed: int) -> Path:
    return out / f"dynamic-bias{bias}-seed{seed}"


def _first(settings: StudySettings, out: Path, bias: float, seed: int) -> Job:
    return new_run(
        f"dynamic thresholds, bias {bias}, seed {seed}",
        data=base.data_folder(out, bias, seed),
        out=_folder(out, bias, seed),
        seed=seed,
        epochs=settings.epochs,
        options={"threshold": "dynamic"},
    )


def _tuned(out: Path, bias: float, seed: int) -> list[Job]:
    """The fine-tunings of one run: per number of bits, and the control."""
    parent = _folder(out, bias, seed)
    jobs = []
    for bits in (*BITS, None):
        name, qat = ("control", ["none"]) if bits is None else (f"{bits}-bit", ["loihi2"])
        qat += [] if bits is None else ["--bits", str(bits)]
        path = tuned_folder(parent, bits)
        begin = ("--resume", str(parent), "--out", str(path), "--threshold", "frozen", "--qat")
        label = f"fine-tuning, {name}, bias {bias}, seed {seed}"
        jobs.append(Job(label, path, (*begin, *qat), partial(check_tuned, parent=parent)))
    return jobs


def tuned_folder(parent: Path, bits: int | None) -> Path:
    """Where the fine-tuning of a run lies; None is the control."""
    from neurozsl.training.qat import Rounding, default_folder

    return default_folder(parent, None if bits is None else Rounding(bits=bits))


# --- the comparison --------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What every condition got right on the test set of one seed.

    correct: `(condition, sample)`, conditions in the order of `names`.
    """

    names: tuple[str, ...]
    correct: npt.NDArray[np.bool_]
    label: npt.NDArray[np.int64]
    seen: npt.NDArray[np.int64]
    unseen: npt.NDArray[np.int64]


def outcome(out: Path, bias: float, seed: int) -> Outcome:
    """Score the test set of one seed under every condition, with beta as stage 1 chose it."""
    from neurozsl.deploy.finetune import frozen_model
    from neurozsl.runs import run as runs
    from neurozsl.scoring.metrics import predict

    parent = _folder(out, bias, seed)
    first = runs.open_run(parent)
    frozen = replace(first, model=frozen_model(first))
    control = runs.open_run(tuned_folder(parent, None))
    found = _collected(first, {"dynamic float": None})
    found |= _collected(frozen, {REFERENCE: None, **{f"{bits}-bit": bits for bits in BITS}})
    for bits in BITS:
        tuned = runs.open_run(tuned_folder(parent, bits))
        found |= _collected(tuned, {f"{bits}-bit after QAT": None})
    found |= _collected(control, {CONTROL: None, **{f"control, {bits}-bit": bits for bits in BITS}})
    found = {name: found[name] for name in CONDITIONS}
    chosen = first.selected
    problem = found[REFERENCE].problem
    predicted = [
        predict(x.combined(chosen.head_weight), problem, chosen.beta) for x in found.values()
    ]
    correct = np.stack(predicted) == problem.label
    return Outcome(tuple(found), correct, problem.label, problem.seen_ids, problem.unseen_ids)


def _collected(run: Run, conditions: Mapping[str, int | None]) -> dict[str, Collected]:
    """Distances with the run's own forward (None), and with its branch rounded to these bits."""
    from neurozsl.scoring.evaluation import nothing, walk

    backends = {
        name: None if bits is None else _rounded(run, bits) for name, bits in conditions.items()
    }
    found = walk(run.model, run.data.stage(2), run.data.vectors, backends, keep=nothing)
    return {name: walked.collected for name, walked in found.items()}


def _rounded(run: Run, bits: int) -> MotionBackend:
    from neurozsl.deploy.branch import branch_spec
    from neurozsl.hardware.loihi.emulator import emulate
    from neurozsl.training.qat import Rounding, program_of

    return partial(emulate, program_of(branch_spec(run), Rounding(bits=bits)))


def compare(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Per condition HM over the seeds, and its paired differences to what it is judged against."""
    generator = np.random.default_rng(0)
    names = outcomes[0].names
    exact, drawn = [], []
    for x in outcomes:
        sets = (x.correct, x.label, x.seen, x.unseen)
        exact.append(bootstrap.harmonic_means(*sets))
        drawn.append(
            bootstrap.resampled_harmonic_means(*sets, resamples=RESAMPLES, generator=generator)
        )
    hm, resampled = np.stack(exact), np.stack(drawn)  # (seed, condition), (seed, condition, draw)
    rows = []
    for index, name in enumerate(names):
        against = {}
        for reference in _judged_against(name):
            other = names.index(reference)
            gaps = hm[:, index] - hm[:, other]
            spans = resampled[:, index] - resampled[:, other]  # (seed, draw)
            against[reference] = {
                "seeds": [_difference(g, s) for g, s in zip(gaps, spans, strict=True)],
                "pooled": _difference(gaps.mean(), spans.mean(0)),
            }
        row: dict[str, Any] = {"condition": name, "HM": base.spread(hm[:, index].tolist())}
        rows.append({**row, "against": against})
    return rows


def _judged_against(name: str) -> list[str]:
    """Every condition against frozen float; QAT also against the control rounded as far."""
    found = [] if name == REFERENCE else [REFERENCE]
    if name.endswith("after QAT"):
        found.append(f"control, {name.split()[0]}")
    return found


def _difference(points: float, draws: npt.NDArray[np.float64]) -> dict[str, float]:
    low, high = bootstrap.interval(draws)
    return {"points": float(points), "low": low, "high": high}


def _cell(difference: Mapping[str, Any] | None) -> str:
    if difference is None:
        return ""
    pooled = difference["pooled"]
    return f"{pooled['points']:+.2f} [{pooled['low']:+.2f}, {pooled['high']:+.2f}]"
