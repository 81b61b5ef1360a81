"""Run the network of a bundle on new data, or on its golden samples: `feed_bundle`, `run_bundle`.

In: an opened bundle of a `.nir` file, and input as of `network_run`. Out: the same `NetworkRun`, of
the very integers that the bundle ships.
"""

import time
from dataclasses import replace

from neurozsl.core.errors import BadInput
from neurozsl.core.progress import Progress
from neurozsl.core.shell import command
from neurozsl.export.backends.registry import BACKENDS, RunOptions
from neurozsl.export.bundle.bundle import Bundle
from neurozsl.export.bundle.sealed_files import GRAPH
from neurozsl.export.network.network_input import Given
from neurozsl.export.network.network_run import Fed, NetworkRun, Source, feed, records
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import from_graph
from neurozsl.export.nir.said import Said
from neurozsl.export.targets import target as find_target

GOLDEN_NOTE = "input: the golden samples of the bundle"


def check_is_of_a_file(bundle: Bundle, option: str) -> None:
    """Refuse the bundle of a run, whose samples need the host part of its model.

    Raises:
        BadInput: with the command that scores it.
    """
    if bundle.parts.spec is not None:
        evaluate = command("evaluate", "RUN", f" --bundle {bundle.path}")
        raise BadInput(
            f"{option}: {bundle.path} is the bundle of a run, whose data and classes come from its "
            f"data set; `{evaluate}` scores it, and {option} belongs to the bundle of a .nir file"
        )


def feed_bundle(bundle: Bundle, source: Source) -> Fed:
    """Open new input of a bundle; its golden samples where the source names none.

    Raises:
        BadInput: the bundle of a run, or an input that does not belong to the network.
    """
    check_is_of_a_file(bundle, "--input")
    if source.path is not None or source.rate is not None:
        fed = feed(bundle.path / GRAPH, Said(), source)
        return replace(fed, network=replace(fed.network, lowered=bundle.parts.lowered))
    found = from_graph(nirfile.read(bundle.path / GRAPH), str(bundle.manifest.source))
    golden = bundle.golden.take(slice(0, source.limit))
    network = replace(found, lowered=bundle.parts.lowered)
    return Fed(bundle.path / GRAPH, network, Given(golden, (GOLDEN_NOTE,)), bundle.golden.batch)


def run_bundle(
    bundle: Bundle,
    fed: Fed,
    *,
    backend_name: str = "",
    membrane: bool = False,
    progress: Progress | None = None,
) -> NetworkRun:
    """Run the input of `feed_bundle` on a backend; "" takes the first of the bundle's target.

    Raises:
        BadInput: no such backend, or one that needs integers, which the bundle has not.
    """
    chosen = find_target(bundle.manifest.target)
    name = backend_name or chosen.backends[0]
    known = {**BACKENDS, **chosen.own_backends}
    record = records(name, fed, membrane)
    runner = bundle.backend(name, RunOptions(progress=progress, record=record))
    program = bundle.program if name in known and known[name].chip is not None else None
    start = time.perf_counter()
    trace = runner(fed.given.chip_input).to_numpy()
    seconds = time.perf_counter() - start
    chip = None if program is None else program.chip
    return NetworkRun(fed, name, chip, program, trace, seconds)
