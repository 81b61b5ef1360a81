"""What one clip cost the branch: spikes of every layer, and joules per device.

Counts are of all windows of the clip, which overlap: what is seen twice is computed twice. Joules
are counts times published figures, by the code of `profile`; an estimate of the branch alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.deploy.motion import Motion
from neurozsl.export.bundle.operations import MESH_CHIP
from neurozsl.hardware.arithmetic.fit import ChipFit
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.energy import EnergyRow
from neurozsl.report.sections.costs import Devices, energies
from neurozsl.report.show import reading


@dataclass(frozen=True)
class ClipEnergy:
    """Joules of a clip on one device, all windows together.

    dynamic_j: of counted events. static_j: static power x time, None where unpublished. kind: how
    sure it is, in the words of `profile`.
    """

    device: str
    name: str
    dynamic_j: float
    static_j: float | None
    kind: str
    source: str

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return dict(vars(self))


@dataclass(frozen=True)
class ClipCost:
    """spikes: per layer, of all windows. synops: synaptic operations. energy: a row per device.

    shown: device whose row stands for them where there is room for one.
    """

    spikes: Mapping[str, int]
    synops: float
    energy: tuple[ClipEnergy, ...]
    shown: str

    def as_json(self) -> dict[str, Any]:
        """Plain values; counts and joules are sums over the clip's windows."""
        return {
            "spikes": dict(self.spikes),
            "spikes_total": sum(self.spikes.values()),
            "synops": self.synops,
            "energy": [row.as_json() for row in self.energy],
            "energy_shown": self.shown,
        }


def clip_cost(
    branch: Motion,
    fits: Mapping[str, ChipFit],
    chip_input: ChipInput,
    trace: Trace,
    *,
    step_s: float,
    chip: str | None,
) -> ClipCost:
    """Count what ran and price it; step_s: of the data. chip: of the bundle, if there is one."""
    counts = count(branch.network, chip_input, trace)
    devices = Devices(window_s=step_s * float(chip_input.ran.mean()))
    rows, _ = energies(branch.network, chip_input, trace, counts, fits, devices)
    windows = chip_input.batch
    priced = {row.key for row in rows}
    return ClipCost(
        spikes={layer: int(x.sum()) for layer, x in trace.spikes.items()},
        synops=windows * sum(layer.synops for layer in counts.layers),
        energy=tuple(_row(row, windows) for row in rows if row.method != "dense_pass"),
        shown=chip if chip is not None and chip in priced else MESH_CHIP,
    )


def _row(row: EnergyRow, windows: int) -> ClipEnergy:
    static = None if row.static_joules is None else row.static_joules * windows
    return ClipEnergy(
        row.key, row.name, row.joules * windows, static, reading.kind(row), row.source
    )
