"""One Markdown row per `.nir` file: the network, whether it fits, what it spikes, what that costs.

Input is synthetic, so spike rates and energies compare networks and say nothing about a task.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from neurozsl.core import quantities as q
from neurozsl.core.markdown import code, table
from neurozsl.export.network.inspection import inspect_file
from neurozsl.export.network.network_run import Source, feed, run_network
from neurozsl.export.nir.foreign import Network
from neurozsl.export.nir.said import Said
from neurozsl.hardware.arithmetic.fit import ChipFit
from neurozsl.hardware.energy import EnergyRow, estimate
from neurozsl.report.show.reading import mean_rate

RATE: Final = 0.05  # of the synthetic input
CHIPS: Final = ("loihi2", "speck2f")
DEVICE: Final = "loihi1_sanafe"  # publishes the error of its model, so the row has an interval
_TITLES: Final = (
    "file", "said", "assumed", "nodes", "layers", "neurons", "connections", "repairs",
    "spike rate", "Loihi 2 cores", "Speck cores", "energy on Loihi 1, estimate",
)  # fmt: skip


def markdown_table(
    files: Sequence[Path], said: Said, *, asked: str, rate: float = RATE, seed: int = 0
) -> str:
    """The table of `.nir` files.

    said: what holds for all of them; asked: the same as options, for the column "said". rate: of
    synthetic input, per channel and step. seed: of the draw.

    Raises:
        BadInput: a file cannot be read at all.
    """
    return "\n".join(table(_TITLES, [_row(file, said, asked, rate, seed) for file in files]))


def _row(file: Path, said: Said, asked: str, rate: float, seed: int) -> tuple[str, ...]:
    found = inspect_file(file, said, chips=CHIPS)
    if found.network is None:
        empty = ("-",) * (len(_TITLES) - 4)
        return (file.name, _said(asked), "no network, see inspect", str(len(found.nodes)), *empty)
    loihi, speck = found.fits
    fed = feed(file, said, Source(rate=rate, seed=seed))
    done = run_network(fed)
    counts = done.counts()
    return (
        file.name,
        _said(asked),
        _assumed(found.network),
        str(len(found.nodes)),
        str(len(found.layers)),
        q.count(sum(row.neurons for row in found.layers)),
        q.count(sum(row.connections for row in found.layers)),
        str(len(found.network.repairs)),
        q.share(mean_rate(x for x in counts.layers if x.name in done.spiking)),
        _cores(loihi),
        _cores(speck),
        _energy(estimate(counts, DEVICE)),
    )


def _assumed(network: Network) -> str:
    words = [text.partition(":")[0] for text in network.assumptions]
    return ", ".join(f"dialect {network.dialect}" if x == "dialect" else x for x in words) or "-"


def _energy(row: EnergyRow) -> str:
    return f"{q.si(row.joules, 'J')} ({q.interval(row.joules_low, row.joules_high)})"


def _said(asked: str) -> str:
    return code(asked) if asked else "-"


def _cores(fit: ChipFit) -> str:
    """How many, or which of the two reasons; `inspect` has the sentence."""
    if fit.cores_used is None:
        return "too large" if fit.limited else "cannot run it"
    return f"{fit.cores_used} of {fit.cores}"
