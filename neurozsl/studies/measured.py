"""What finished runs of one model say, for a row of a table: scores, work, spikes, joules.

Scores are read from the runs, the rest is counted on evenly spread test samples. Work per inference
is in two parts that do not overlap: FLOPs of all that the host computes, by torch's counter (matrix
products, convolutions, attention; element-wise operators are left out), and synaptic operations of
what spikes. A spiking branch that no chip can count (real inputs, a closed loop) is in the FLOPs,
as the dense products that the host makes of it. Energy is an estimate, counts times the published
figures of `ENERGY_CHIP`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from neurozsl.core.errors import NeuroZSLError
from neurozsl.data.batch import AVBatch, ZSLData
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.energy import EnergyRow, estimate_all
from neurozsl.hardware.lower.lower import lower
from neurozsl.models.base import ZSLModel, branch_of, embed, own_trace
from neurozsl.report.sections.host_work import counted_flops
from neurozsl.runs import run as runs
from neurozsl.scoring import road
from neurozsl.scoring.samples import spread as spread_rows
from neurozsl.studies.base import spread

ENERGY_CHIP: Final = "loihi1"  # the chip with published energies for every term that is counted
ENERGY_SAMPLES: Final = 128  # test samples that spikes and operations are counted on
FLOP_SAMPLES: Final = 4  # every sample takes the same products
SCORES: Final = ("S", "U", "HM", "ZSL")


@dataclass(frozen=True)
class MotionActivity:
    """What the motion branch does; None where nothing spikes, with the reason in `note`.

    synops: synaptic operations of one inference.
    """

    spike_rate: float | None
    energy: EnergyRow | None
    note: str = ""
    synops: float | None = None


def measured(own: Sequence[tuple[Path, ZSLData]]) -> dict[str, Any]:
    """One row: spread over the seeds of scores, spikes and joules; weights and work of the last.

    own: finished runs of one model, each with its data, at least one.
    """
    tests, found = [], []
    for path, data in own:
        tests.append(runs.load_result(path)["test"])
        model = runs.load_model(path)
        found.append(activity(model, data))
    energies = [x.energy for x in found if x.energy is not None]
    return {
        **{key: spread([t[key] for t in tests]) for key in SCORES},
        "zsl_below_u": sum(t["ZSL"] < t["U"] for t in tests),  # runs; 0 where one distance scores
        "parameters": sum(p.numel() for p in model.parameters()),
        "host_flops": host_flops(model, data, whole=found[-1].synops is None),
        "synops": _spread([x.synops for x in found]),
        "spike_rate": _spread([x.spike_rate for x in found]),
        "joules": _spread([None if x.energy is None else x.energy.joules for x in found]),
        "energy_name": energies[0].name if energies else None,
        "energy_source": energies[0].source if energies else None,
        "energy_excluded": list(energies[0].excluded) if energies else [],
        "note": found[0].note,
    }


def _spread(values: Sequence[float | None]) -> dict[str, Any] | None:
    known = [x for x in values if x is not None]
    return spread(known) if len(known) == len(values) else None


def activity(model: ZSLModel, data: ZSLData) -> MotionActivity:
    """Spike rate, operations and energy of a model's branch on evenly spread test samples."""
    branch = branch_of(model)
    if branch is None:
        return MotionActivity(None, None, "no spiking branch")
    if not branch.spiking_layers():
        return MotionActivity(None, None, "the branch does not spike (neuron=mlp)")
    stage, passed = data.stage(2), []
    with road.at_rest(model):
        for split in (stage.seen, stage.unseen):
            parts = road.prepare(model, split, spread_rows(len(split), ENERGY_SAMPLES // 2))
            trace = road.trace_of(model, parts)
            assert trace is not None  # there is a branch
            passed.append((parts, trace.to_numpy()))
    values = [x for _, trace in passed for x in trace.spikes.values()]
    rate = sum(float(x.sum()) for x in values) / sum(x.size for x in values)
    try:
        network = lower(to_nir(branch.spec()))
        counts = count(network, *road.joined([road.on_chip(*each) for each in passed]))
        energy = estimate_all(counts, (ENERGY_CHIP,))[0]
        return MotionActivity(rate, energy, synops=counts.total("synops"))
    except NeuroZSLError as error:  # what no chip here can take, or read, still has a spike rate
        return MotionActivity(rate, None, str(error))


def host_flops(model: ZSLModel, data: ZSLData, *, whole: bool = False) -> float:
    """FLOPs of one inference on the host; the branch is left out where it spikes.

    whole: the branch too, where no chip counts its operations: else nothing would.

    Class vectors are embedded once per class set, not per inference, and are left out.
    """
    rows = spread_rows(len(data.stage(2).seen), FLOP_SAMPLES)
    batch = data.stage(2).seen.batch(rows)
    batch = road.cast(batch, road.precision(model))
    was_training = model.training
    model.eval()
    try:
        return _counted(model, batch, whole) / len(batch)
    finally:
        model.train(was_training)


def _counted(model: ZSLModel, batch: AVBatch, whole: bool) -> float:
    branch = branch_of(model)
    if whole or branch is None or not branch.spiking_layers():
        return counted_flops(lambda: embed(model, batch))
    with torch.no_grad():
        trace = own_trace(model, model.prepare(batch))
    return counted_flops(lambda: model.finish(trace, model.prepare(batch).context))
