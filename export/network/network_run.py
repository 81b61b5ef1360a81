"""Run the network of a `.nir` file: `feed(path, said, source)`, then `run_network(fed)`.

In: a file, what the caller says of it, and input as an array file or synthetic spikes. Out: a
`NetworkRun`, the trace of one backend with what was assumed, repaired and coded on the way.

The codes of the input are part of the network (a first layer carries their scale), so the graph is
lowered once for the shapes of its inputs and, after the input is read, again with its codes.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.core.progress import Progress
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.export.backends.registry import BACKENDS as BY_NAME
from neurozsl.export.backends.registry import RUNS_INTEGERS, Parts, RunOptions, backend
from neurozsl.export.network.network_input import Given, poisson, read_input
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import Network, from_graph
from neurozsl.export.nir.graph_reading import graph_inputs
from neurozsl.export.nir.said import Said
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.count.counts import Counts, count
from neurozsl.hardware.count.diagnose import Diagnosis, diagnose, membrane_thresholds
from neurozsl.hardware.floatsim.floatsim import Record
from neurozsl.hardware.lower import metadata as graph_metadata
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.network.neuron import MAX_SPIKES
from neurozsl.hardware.network.program import ChipProgram

SAMPLES: Final = 16
BACKENDS: Final = tuple(name for name in BY_NAME if name != "norse")  # runs a model's branch alone
_RECORDS: Final = ("floatsim", "emulator")
# Membranes of this many neuron-steps (128 MB) are kept without being asked for.
_KEPT: Final = 1 << 24


@dataclass(frozen=True)
class Source:
    """Where input comes from: exactly one of `path` and `rate`.

    path: `.npz` or `.npy`, see `network_input`. rate: of synthetic spikes, per channel and step.
    samples: how many are drawn, default 16; of a file the first `limit` are taken, default all.
    """

    path: Path | None = None
    rate: float | None = None
    samples: int | None = None
    seed: int = 0
    limit: int | None = None


@dataclass(frozen=True)
class Fed:
    """The network of a file and its input, in the codes that the network declares.

    in_file: samples of the input file, of which `given` may hold the first; of synthetic input all.
    """

    file: Path
    network: Network
    given: Given
    in_file: int


@dataclass(frozen=True)
class NetworkRun:
    """What one backend made of the input; program and chip are None in float."""

    fed: Fed
    backend: str
    chip: str | None
    program: ChipProgram | None
    trace: Trace
    seconds: float

    @property
    def network(self) -> ChipProgram | Lowered:
        """What ran: the integers, or the float layers."""
        return self.program or self.fed.network.lowered

    @property
    def spiking(self) -> tuple[str, ...]:
        """Layers that send spikes; the others are read-outs."""
        return tuple(x.name for x in self.fed.network.lowered.layers if x.rule.spiking)

    def counts(self) -> Counts:
        """Operations of this run."""
        return count(self.network, self.fed.given.chip_input, self.trace)

    def warnings(self) -> tuple[str, ...]:
        """Where more spikes may have been meant than a trace holds."""
        return count_ends(self.fed.network.lowered, self.trace)

    def diagnoses(self) -> dict[str, Diagnosis]:
        """State of every layer that spikes."""
        spikes = {name: self.trace.spikes[name] for name in self.spiking}
        seen = Trace(spikes, membrane=self.trace.membrane)
        found = diagnose(seen, thresholds=membrane_thresholds(self.network))
        if self.fed.network.dt_assumed and found and all(x.state == "dead" for x in found):
            found = tuple(replace(x, advice=self._about_the_step()) for x in found)
        return {x.layer: x for x in found}

    def _about_the_step(self) -> str:
        """Where nothing spikes at a step that nobody said, the threshold is not what is wrong."""
        lowered = self.fed.network.lowered
        slowest = min(float(x.leak[x.leak > 0].min(initial=1.0)) for x in lowered.layers)
        return (
            f"all layers are silent at a step of {lowered.dt_s:g} s that nobody said: a membrane "
            f"decays over {1 / slowest:,.0f} steps, so that little of its input arrives in each; "
            "say --dt, --tau-unit or --dialect before touching a threshold"
        )


def count_ends(lowered: Lowered, trace: Trace) -> tuple[str, ...]:
    """Layers that reach the most spikes a step that are counted, where several are sent."""
    told = []
    for layer in lowered.layers:
        at_end = int(np.count_nonzero(trace.spikes[layer.name] == MAX_SPIKES))
        if layer.rule.max_spikes == MAX_SPIKES and at_end:
            told.append(
                f"layer '{layer.name}': {MAX_SPIKES} spikes in {at_end:,} neuron-steps, the most "
                "that are counted; the framework may send more there, so spikes may differ: use "
                "smaller weights or a larger threshold"
            )
    return tuple(told)


def feed(path: Path, said: Said, source: Source) -> Fed:
    """Open a file and its input.

    Raises:
        BadInput: no input or two, an input that does not belong to the network; see also
            `from_graph` and `read_input`.
    """
    graph = nirfile.read(path)  # first, so that a wrong file is called so
    _check_source(path, source)
    network = from_graph(graph, path.name, said)
    declared = network.lowered.inputs if graph_metadata.read(graph) else None
    given = _given(network, source, declared)
    in_file = given.chip_input.batch
    if source.limit is not None:
        given = replace(given, chip_input=given.chip_input.take(slice(0, source.limit)))
    if declared is not None:  # the file says its codes itself
        return Fed(path, network, _as_declared(given, declared, path.name), in_file)
    codes, steps = given.chip_input.code, given.chip_input.steps
    if said.steps not in (None, steps):
        raise BadInput(f"--steps {said.steps}: the input has {steps} steps; leave the option out")
    said = replace(said, inputs=codes, steps=steps)
    return Fed(path, from_graph(graph, path.name, said), given, in_file)


def run_network(
    fed: Fed,
    *,
    backend_name: str = "floatsim",
    chip: str | None = None,
    membrane: bool = False,
    progress: Progress | None = None,
) -> NetworkRun:
    """Run the input of `feed` on a backend, one of BACKENDS.

    `chip`: whose integers an integer backend runs, default its own. `membrane`: keep it whatever
    its size, where the backend records it.

    Raises:
        BadInput: an unknown backend, a chip with a float backend, a network that the chip cannot
            compute.
    """
    if backend_name not in BACKENDS:
        raise BadInput(f"backend '{backend_name}' is unknown; use one of {', '.join(BACKENDS)}")
    integers = RUNS_INTEGERS.get(backend_name)
    if chip is not None and integers is None:
        raise BadInput(
            f"--chip {chip}: backend '{backend_name}' runs the float network; use "
            f"{', '.join(RUNS_INTEGERS)}"
        )
    lowered, chip_input = fed.network.lowered, fed.given.chip_input
    chip = integers if chip is None else chip
    program = None if chip is None else quantize(lowered, chip)
    options = RunOptions(progress=progress, record=records(backend_name, fed, membrane))
    runner = backend(backend_name, Parts(None, lowered, program), options)
    start = time.perf_counter()
    trace = runner(chip_input).to_numpy()
    return NetworkRun(fed, backend_name, chip, program, trace, time.perf_counter() - start)


def records(backend_name: str, fed: Fed, membrane: bool) -> tuple[Record, ...]:
    """What a backend is asked to record: membranes where it can, and they are asked for or few."""
    chip_input, layers = fed.given.chip_input, fed.network.lowered.layers
    size = chip_input.batch * chip_input.steps * sum(layer.size for layer in layers)
    kept = backend_name in _RECORDS and (membrane or size <= _KEPT)
    return ("spikes", "membrane") if kept else ("spikes",)


def _check_source(path: Path, source: Source) -> None:
    if (source.path is None) == (source.rate is None):
        both = source.path is not None
        raise BadInput(
            f"{path}: {'two inputs are' if both else 'no input is'} given; use --input X.npz "
            "(arrays named after the inputs, (batch, time, ...)) or --poisson RATE, e.g. 0.05"
        )
    if source.path is not None and source.samples is not None:
        raise BadInput(
            f"--samples {source.samples}: belongs to --poisson; --limit takes the first samples of "
            f"{source.path}"
        )
    if source.rate is not None and source.limit is not None:
        raise BadInput(f"--limit {source.limit}: belongs to --input; use --samples with --poisson")


def _given(
    network: Network, source: Source, declared: Mapping[str, InputCode] | None = None
) -> Given:
    shapes = graph_inputs(network.graph)
    if source.path is not None:
        return read_input(source.path, shapes, declared)
    return poisson(
        shapes,
        rate=source.rate or 0.0,
        samples=SAMPLES if source.samples is None else source.samples,
        steps=network.lowered.steps,
        seed=source.seed,
    )


def _as_declared(given: Given, declared: Mapping[str, InputCode], where: str) -> Given:
    """Integers as the codes that the file declares for them.

    Raises:
        BadInput: real numbers, or integers outside the declared range.
    """
    codes, notes = given.chip_input.codes, list(given.notes)
    for name, code in declared.items():
        found = given.chip_input.code[name]
        low, high = int(np.min(codes[name])), int(np.max(codes[name]))
        coded = found.scale in (1.0, code.scale)
        if not coded or low < code.low or high > code.high:
            held = "real numbers" if found.scale != 1.0 else f"integers {low}..{high}"
            raise BadInput(
                f"input '{name}': holds {held}; {where} declares {code.kind} codes "
                f"{code.low}..{code.high} of {code.scale:g} each: give the integer codes"
            )
        if code.kind != "binary" and found is not code:
            notes.append(f"input '{name}': integers are {code.kind} codes of {code.scale:g} each")
    return Given(ChipInput(codes, dict(declared)), tuple(notes))


def write_trace(path: Path, trace: Trace) -> None:
    """Write `spikes/<layer>` and `membrane/<layer>`, `(batch, time, neuron)`, whole or not at all.

    Raises:
        BadInput: the file cannot be written.
    """
    arrays = {f"spikes/{name}": value for name, value in trace.spikes.items()}
    arrays |= {f"membrane/{name}": value for name, value in trace.membrane.items()}
    try:
        with whole_file(path) as part, part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error}); choose another --out") from None
