"""A bundle on one backend: spikes, and the classes they lead to.

A bundle that lies in its run folder (`RUN/deploy/TARGET`) is fed test samples of the run, or those
that the run kept where its data set is not on this machine, and the host part of the model names a
class for each. A bundle on its own is fed its golden samples, and so is one in a run that kept
fewer test samples than are asked for, or none.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import Trace
from neurozsl.deploy.anytime import Margin, finisher_of, rules
from neurozsl.deploy.belonging import check_belongs
from neurozsl.deploy.samples import asked_problem, shown_samples
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.models.base import distances
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.runs.settings import DataElsewhere
from neurozsl.scoring import road
from neurozsl.scoring.evaluation import weighed
from neurozsl.scoring.metrics import predict

DEFAULT_SAMPLES = 16


@dataclass(frozen=True)
class Prediction:
    """One sample: its name, the class the deployed model chose, and the true one.

    steps: after which it was stopped; None where all ran.
    """

    sample: str
    predicted: str
    true: str
    steps: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Its fields; steps where it was stopped."""
        return {k: v for k, v in vars(self).items() if v is not None}


@dataclass(frozen=True)
class Simulation:
    """What `simulate` saw.

    margin: at which samples were stopped, inf for never; None where all steps ran. source: why
    the golden samples of the bundle ran, where its run is there and its data are not. note: what is
    not known of the bundle.
    """

    backend: str
    trace: Trace
    seconds: float
    predictions: tuple[Prediction, ...]
    warning: str = ""
    margin: float | None = None
    source: str = ""
    note: str = ""

    @property
    def samples(self) -> int:
        """Number of samples that ran."""
        return int(next(iter(self.trace.spikes.values())).shape[0])

    @property
    def steps(self) -> int:
        """Time steps that a sample has where it is not stopped."""
        return int(next(iter(self.trace.spikes.values())).shape[1])

    @property
    def rates(self) -> dict[str, float]:
        """Spike rate per layer: spikes / (neurons x steps that ran)."""
        ran = sum(self.steps if p.steps is None else p.steps for p in self.predictions)
        part = ran / (self.samples * self.steps) if ran else 1.0
        return {k: r / part for k, r in self.trace.rates().items()}

    @property
    def spikes_per_sample(self) -> dict[str, float]:
        """Mean number of spikes of every layer in one sample."""
        return {k: float(v.sum()) / len(v) for k, v in self.trace.spikes.items()}

    def as_json(self) -> dict[str, Any]:
        """What `neurozsl simulate --json` prints."""
        return {
            "backend": self.backend,
            "samples": self.samples,
            "seconds": self.seconds,
            "layers": [
                {"name": k, "rate": r, "spikes_per_sample": self.spikes_per_sample[k]}
                for k, r in self.rates.items()
            ],
            "predictions": [p.as_json() for p in self.predictions],
            # JSON has no infinity: null stops nothing.
            **({"source": self.source} if self.source else {}),
            **({"note": self.note} if self.note else {}),
            **(
                {}
                if self.margin is None
                else {"margin": self.margin if self.margin < inf else None}
            ),
        }


def run_of(bundle: Bundle, data: Path | None = None) -> Run | None:
    """The run whose folder holds this bundle, or None; data: as in `open_run`.

    Raises:
        DataElsewhere: it does, and neither its data set nor anything of it is on this machine.
    """
    folder = bundle.path.resolve().parent.parent
    return runs.open_run(folder, data=data) if (folder / "run.json").is_file() else None


def simulate(
    bundle: Bundle,
    *,
    backend: str,
    limit: int | None = None,
    margin: Margin | None = None,
    data: Path | None = None,
    progress: Progress | None = None,
) -> Simulation:
    """Run `limit` samples (default 16) on a backend of the bundle.

    margin: every sample is stopped once the margin of its class is reached, its spikes end there.
    data: the data set of the run, where it moved.

    Raises:
        BadInput: a limit below 1, or a margin where no run is around the bundle to name classes.
    """
    count = DEFAULT_SAMPLES if limit is None else limit
    if count < 1:
        raise BadInput(f"simulate: limit {limit}, expected 1 or more samples, or None for 16")
    motion = bundle.backend(backend)
    source, taken = "", []
    try:
        run = run_of(bundle, data)
        taken = [] if run is None else shown_samples(run, count)
    except DataElsewhere as error:
        if margin is not None or data is not None:
            raise
        run, source = None, f"golden samples of the bundle ran, and no classes are named: {error}"
    if run is None:
        if margin is not None:
            raise BadInput(
                f"bundle '{bundle.path}': lies in no run, so no host finishes its samples and no "
                "margin can stop them; leave --margin out"
            )
        chip = bundle.golden.take(slice(0, count))
        start = time.perf_counter()
        trace = motion(chip).to_numpy()
        seconds = time.perf_counter() - start
        return Simulation(backend, trace, seconds, (), _warning(trace), source=source)
    note = check_belongs(run, bundle)
    problem = asked_problem(run)
    rule = None if margin is None else rules(run, (margin,), bundle.spec.policy)[0]
    finish = finisher_of(run, bundle.spec.policy)
    traces, predictions, seconds, done = [], list[Prediction](), 0.0, 0
    with road.at_rest(run.model):
        words = road.words(run.model, run.data.vectors)
        for split, rows in taken:
            parts = road.prepare(run.model, split, rows)
            assert parts.chip_input is not None  # the bundle belongs to the run
            start = time.perf_counter()
            trace = motion(parts.chip_input).to_numpy()
            seconds += time.perf_counter() - start
            steps: Sequence[int | None] = [None] * len(parts.rows)
            if rule is None:
                heads = distances(road.finish(run.model, parts, trace), words).double().numpy()
                distance = weighed(heads, run.selected.head_weight)
            else:
                every = finish.every_step(split, parts.rows, parts, trace)
                ran = every.stopped(rule.stopping, problem, run.selected.beta)
                distance, trace, steps = every.distance_at(ran), trace.stopped(ran), ran.tolist()
            chosen = predict(distance, problem, run.selected.beta)
            names = run.data.classes
            predictions += [
                Prediction(split.names[row], names[c], names[split.label[row]], ran_for)
                for row, c, ran_for in zip(parts.rows, chosen, steps, strict=True)
            ]
            traces.append(trace)
            done += len(parts.rows)
            if progress is not None:
                progress(done, count)
    whole = Trace.join(traces)
    stopped_at = None if rule is None else rule.stopping.threshold
    named, warning = tuple(predictions), _warning(whole)
    return Simulation(backend, whole, seconds, named, warning, stopped_at, note=note)


def _warning(trace: Trace) -> str:
    odd = {
        "no spike in": [k for k, r in trace.rates().items() if r == 0],
        "more than 90 % spikes in": [k for k, r in trace.rates().items() if r > 0.9],
    }
    parts = "; ".join(f"{what} {', '.join(names)}" for what, names in odd.items() if names)
    return f"warning: {parts}" if parts else ""


def draw_raster(simulation: Simulation, bundle: Path) -> Path:
    """Write the spikes of the first sample as a picture into the bundle's parent folder."""
    from neurozsl.report.schema import raster
    from neurozsl.report.show import plots

    name = simulation.predictions[0] if simulation.predictions else Prediction("golden 0", "-", "-")
    value = raster(
        {k: v[0] for k, v in simulation.trace.spikes.items()},
        sample=name.sample,
        true_class=name.true,
        predicted_class=name.predicted,
    )
    out = bundle.parent / f"raster_{bundle.name}_{simulation.backend}.svg"
    return plots.write_raster(value, out)
