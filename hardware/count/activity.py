"""Operations per layer, time step and group of samples, with the counts of the run.

In: what `counts.count` takes, and groups of samples by name ("seen", "unseen"). Out: a
`LayerActivity` per layer and group, "all" first. The sums are integers of the same pass as the
`LayerCounts` (`tally`): over the steps those of "all" are the counts to the last digit, and sums
over groups that make up all samples are those of "all".

>>> import numpy as np
>>> [rows.tolist() for rows in blocks_of({"seen": np.array([0, 2])}, 3)[0]]
[[1], [0, 2]]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.count.counts import Counts, counts_of
from neurozsl.hardware.count.host_link import host_link
from neurozsl.hardware.count.tally import Network, tally
from neurozsl.hardware.network.connections import Ints

ALL: Final = "all"
Groups = Mapping[str, npt.ArrayLike]


@dataclass(frozen=True)
class LayerActivity:
    """One layer in one group of samples; each tuple of sums has one value per step.

    spike_sums, synop_sums, active_sums: over the `samples` of the group. The other figures are
    their means per sample (one inference): spikes; effective synaptic operations; neurons that an
    event reaches through a nonzero weight. running: samples that the step still ran for; () where
    all ran through.
    """

    layer: str
    group: str
    samples: int
    neurons: int
    spike_sums: tuple[int, ...]
    synop_sums: tuple[int, ...]
    active_sums: tuple[int, ...]
    running: tuple[int, ...] = ()

    @property
    def spikes(self) -> tuple[float, ...]:
        """Per step, mean over samples."""
        return tuple(x / self.samples for x in self.spike_sums)

    @property
    def synops(self) -> tuple[float, ...]:
        """Effective_ACs + Effective_MACs per step, mean over samples."""
        return tuple(x / self.samples for x in self.synop_sums)

    @property
    def active_updates(self) -> tuple[float, ...]:
        """Neurons that receive an event, per step, mean over samples."""
        return tuple(x / self.samples for x in self.active_sums)

    @property
    def spike_rate(self) -> float:
        """Spikes / (samples x neurons x steps that ran)."""
        ran = sum(self.running) if self.running else self.samples * len(self.spike_sums)
        places = ran * self.neurons
        return sum(self.spike_sums) / places if places else 0.0


def count_with_activity(
    network: Network, chip_input: ChipInput, trace: Trace, groups: Groups | None = None
) -> tuple[Counts, tuple[LayerActivity, ...]]:
    """`counts.count`, and what every layer did in every step per group of samples, in one pass.

    groups: per name a mask `(samples,)` or the numbers of its samples; they may overlap. The group
    "all" is added; a group without samples gives no rows. Rows: all groups of the first layer, then
    of the next.

    Raises:
        BadInput: trace and input do not belong together, or a group that is not of these samples.
    """
    samples = chip_input.batch
    blocks, members = blocks_of(groups or {}, samples)
    found = tally(network, chip_input, trace, blocks)
    rows = tuple(
        LayerActivity(
            layer=layer.layer.name,
            group=name,
            samples=sum(len(blocks[i]) for i in inside),
            neurons=int(layer.layer.size),
            spike_sums=_sums(layer.spikes, inside),
            synop_sums=_sums(layer.synops, inside),
            active_sums=_sums(layer.active, inside),
            running=() if chip_input.lengths is None else _sums(layer.running, inside),
        )
        for layer in found
        for name, inside in members.items()
        if any(len(blocks[i]) for i in inside)
    )
    link = host_link(network, chip_input, trace)
    return counts_of(found, link, chip_input), rows


def blocks_of(groups: Groups, samples: int) -> tuple[tuple[Ints, ...], dict[str, tuple[int, ...]]]:
    """Samples in blocks that do not overlap, and the blocks of every group, "all" first.

    Samples that are in the same groups make a block, so each is counted once whatever the groups.
    """
    if ALL in groups:
        raise BadInput("activity: a group is called 'all', the name of all samples; rename it")
    inside = np.array([_mask(name, x, samples) for name, x in groups.items()], np.bool_)
    kinds, kind_of = np.unique(inside.reshape(len(groups), samples), axis=1, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    # Without samples there is one block of none of them.
    blocks = tuple(np.flatnonzero(kind_of == i) for i in range(max(1, kinds.shape[1])))
    members = {
        name: tuple(int(i) for i in np.flatnonzero(row))
        for name, row in zip(groups, kinds, strict=True)
    }
    return blocks, {ALL: tuple(range(len(blocks))), **members}


def _mask(name: str, group: npt.ArrayLike, samples: int) -> npt.NDArray[np.bool_]:
    """True for the samples of a group."""
    found: npt.NDArray[Any] = np.asarray(group)
    if found.dtype == np.bool_ and found.shape == (samples,):
        return found
    mask = np.zeros(samples, np.bool_)
    if not found.size:
        return mask
    numbers = found.ndim == 1 and found.dtype.kind in "iu"
    if not numbers or found.min() < 0 or found.max() >= samples:
        raise BadInput(
            f"activity: group '{name}' has shape {found.shape} and type {found.dtype}, expected a "
            f"mask of {samples} samples or numbers 0..{samples - 1}"
        )
    mask[found] = True
    if np.count_nonzero(mask) < found.size:
        raise BadInput(f"activity: group '{name}' names a sample twice; give each once")
    return mask


def _sums(found: Ints, blocks: tuple[int, ...]) -> tuple[int, ...]:
    """Per step, over some blocks."""
    return tuple(int(x) for x in found[list(blocks)].sum(axis=0))
