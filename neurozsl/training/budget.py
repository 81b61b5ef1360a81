"""What an inference of the branch costs, counted from execution, and which density costs so much.

A budget is a number of synaptic operations, or joules by the published figures of a chip.
`CostMeter` runs the branch on training samples and counts; `density_for` looks for the density at
which what is counted meets the budget. The figure is that of `neurozsl profile`: the same counts,
and for joules the same messages and methods, so that a budget is kept where a run is profiled (up
to what test samples differ from training samples).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from neurozsl.core.signals import ChipInput, Trace
from neurozsl.data.batch import Split
from neurozsl.export.nir.graph import to_nir
from neurozsl.hardware.arithmetic.fit import fit
from neurozsl.hardware.chips import CHIPS as REGISTERED
from neurozsl.hardware.chips.chip import Chip, find_chip, load_chip
from neurozsl.hardware.count.counts import count
from neurozsl.hardware.count.traffic import Traffic, traffic_on
from neurozsl.hardware.energy import estimate
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.hardware.network.program import ChipProgram
from neurozsl.models.base import ZSLModel, own_trace
from neurozsl.scoring import road
from neurozsl.training import penalties
from neurozsl.training.economy import Budget, Sparsity
from neurozsl.training.sparsity import density_of, prunable

TOLERANCE: Final = 0.05  # a run ends within this share of its budget
_ROWS: Final = 512  # training samples that are counted on
_CLOSE: Final = 0.002  # a density is good enough when the cost is this close
_TRIES: Final = 24


class CostMeter:
    """Counts what an inference costs, the mean over training samples."""

    def __init__(self, budget: Budget, train: Split) -> None:
        self.budget = budget
        self._rows = np.unique(np.linspace(0, len(train) - 1, _ROWS).astype(np.int64))
        self._train = train

    def cost(self, model: ZSLModel) -> float:
        """SynOps or joules of the model as it is now, its masks included."""
        branch = prunable(model)
        first = next(iter(branch.parameters()))
        with road.at_rest(model):
            made = road.prepare(model, self._train, self._rows, device=first.device).made
            trace = own_trace(model, made)
            assert made.chip_input is not None and trace is not None
            program = branch.integers()
            if program is None and self.budget.joules is None:
                found = penalties.synops(branch, made.chip_input, trace)
                return float(torch.stack(list(found.values())).sum(0).mean())
        # What is lowered has the wiring; a closed loop's thresholds are not asked for.
        lowered = lower(to_nir(replace(branch.spec(), policy="fixed")))
        return _priced(
            self.budget, program or lowered, lowered, made.chip_input.to_numpy(), trace.to_numpy()
        )


def left_over(model: ZSLModel, budget: Budget, sparsity: Sparsity, train: Split) -> tuple[str, ...]:
    """What is to be said of a trained model that costs far less than its budget; () if it does not.

    train: the training samples that are counted on.
    """
    cost = CostMeter(budget, train).cost(model)
    if cost >= budget.limit * (1 - TOLERANCE):
        return ()
    if density_of(prunable(model)) > 1 - 1e-3:
        why = "no weight had to be pruned, the budget is more than this network needs"
    else:
        why = f"costs go in jumps where whole {sparsity.structure} are pruned"
        if sparsity.structure == "weights":
            why = "the last weights changed what it costs; train longer"
    said = f"budget of {budget.said(budget.limit)}: an inference costs {budget.said(cost)}"
    return (f"{said} on training samples; {why}",)


def _priced(
    budget: Budget,
    network: ChipProgram | Lowered,
    lowered: Lowered,
    chip_input: ChipInput,
    trace: Trace,
) -> float:
    counts = count(network, chip_input, trace)
    if budget.joules is None:
        return counts.total("synops")
    chip = find_chip(budget.device)
    return estimate(counts, chip, traffic=_sent(chip, network, lowered, chip_input, trace)).joules


def _sent(
    chip: Chip,
    network: ChipProgram | Lowered,
    lowered: Lowered,
    chip_input: ChipInput,
    trace: Trace,
) -> Traffic | None:
    """Messages and hops on the cores of the chip's family; None where it has none there."""
    family = chip.family if chip.family in REGISTERED else chip.key
    if family not in REGISTERED or not load_chip(family).arithmetic:
        return None
    mapping = fit(lowered, family).mapping
    return traffic_on(load_chip(family), network, chip_input, trace, mapping)


def density_for(
    limit: float, cost_at: Callable[[float], float], low: float, start: float
) -> tuple[float, float]:
    """The density whose cost is the limit, and its cost; the nearest where none is.

    The cost grows with the density, nearly in proportion where events make it: a false position in
    logarithms, held between the bounds that are known. It may grow in jumps (whole neurons, whole
    inputs): where the nearest lies above the limit by more than `TOLERANCE`, it is the nearest
    below it, if there is one. A network that costs less without pruning is not pruned.

    limit: the cost that is wanted. cost_at: density -> cost. low: the smallest density. start:
    where to begin.

    >>> density, cost = density_for(500.0, lambda d: 100 + 8000 * d, 0.001, 0.5)
    >>> round(density, 3), abs(cost - 500) < 1
    (0.05, True)
    """
    below, above = low, 1.0
    density = min(max(start, low), 1.0)
    tried: list[tuple[float, float]] = []
    for _ in range(_TRIES):
        cost = cost_at(density)
        tried.append((density, cost))
        if density == 1 and cost <= limit:
            return density, cost
        if abs(cost / limit - 1) <= _CLOSE or above / below < 1.0005:
            break
        below, above = (density, above) if cost < limit else (below, density)
        guess = density * limit / cost if cost > 0 else above
        if guess >= 1 and all(x < 1 for x, _ in tried):
            guess = 1.0
        elif not below < guess < above:
            guess = (below * above) ** 0.5
        density = min(max(guess, low), 1.0)
    best = min(tried, key=lambda found: abs(found[1] - limit))
    if best[1] > limit * (1 + TOLERANCE):
        best = max((x for x in tried if x[1] <= limit), key=lambda x: x[1], default=best)
    return best
