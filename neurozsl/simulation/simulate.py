"""A bundle on one backend: spikes, and the classes they lead to.

A bundle that lies in its run folder (`RUN/deploy/TARGET`) is fed test samples of the run, or those
that the run kept where its data set is not on this machine, and the host part of the model names a
class for each. A bundle on its own is fed its golden samples, and so is one in a run that kept
fewer test samples than are asked for, or none.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from neurozsl.cluster.tasks import ALONE, Workers
from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.signals import MotionBackend, Trace
from neurozsl.deploy.anytime import Margin
from neurozsl.deploy.belonging import check_belongs
from neurozsl.deploy.samples import shown_samples
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.runs import run as runs
from neurozsl.runs.run import Run
from neurozsl.runs.settings import DataElsewhere
from neurozsl.simulation.blocks import BlockResult, BlockRunner, blocks_of, blocks_on
from neurozsl.simulation.blocks import Prediction as Prediction

DEFAULT_SAMPLES = 16


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
    on: Workers = ALONE,
    progress: Progress | None = None,
) -> Simulation:
    """Run `limit` samples (default 16) on a backend of the bundle.

    margin: every sample is stopped once the margin of its class is reached, its spikes end there.
    data: the data set of the run, where it moved. on: where blocks of samples run; `seconds` is the
    sum of theirs.

    Raises:
        BadInput: a limit below 1, a margin or workers where no run is around the bundle to name
            classes, or a worker has other files.
        MissingPart: `distributed` is needed and not installed.
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
        if not on.alone:
            raise BadInput(
                f"bundle '{bundle.path}': its {bundle.golden.batch} golden samples run in one "
                "process; leave --jobs and --scheduler out"
            )
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
    blocks = blocks_of(taken)
    parts: list[BlockResult | None] = [None] * len(blocks)
    for index, part in _each(bundle, run, motion, backend, margin, count, on):
        parts[index] = part
        if progress is not None:
            progress(sum(len(x.predictions) for x in parts if x is not None), count)
    found = [x for x in parts if x is not None]
    whole, seconds = Trace.join([x.trace for x in found]), sum(x.seconds for x in found)
    named = tuple(one for x in found for one in x.predictions)
    stopped_at = found[0].stopped_at
    return Simulation(backend, whole, seconds, named, _warning(whole), stopped_at, note=note)


def _each(
    bundle: Bundle,
    run: Run,
    motion: MotionBackend,
    backend: str,
    margin: Margin | None,
    count: int,
    on: Workers,
) -> Iterator[tuple[int, BlockResult]]:
    """Yields (index of a block of samples, what it gave) as they are ready."""
    if on.alone:
        yield from enumerate(BlockRunner(run, bundle, motion, margin).blocks(count))
        return
    yield from blocks_on(run, bundle, backend, margin, count, on)


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
