"""After how many steps samples stopped."""

from collections.abc import Sequence

from neurozsl.core.quantities import share
from neurozsl.report.figures import drawing as d


def stopped(samples: Sequence[int]) -> d.Drawn:
    """One bar per number of steps, 1 first: the share of the samples that stopped after it."""
    made, axes = d.figure(2.4)
    steps, total = range(1, len(samples) + 1), max(sum(samples), 1)
    shares = [100 * n / total for n in samples]
    axes.bar(steps, shares, 0.72, color=d.BLUE, alpha=0.6)
    axes.set_xticks(steps)
    axes.set_xlabel("steps used")
    axes.set_ylabel("samples (percent)")
    axes.set_ylim(0, max(*shares, 1e-6) * 1.15)
    axes.grid(axis="y")
    told = "; ".join(f"{step}: {share(n / total)}" for step, n in zip(steps, samples, strict=True))
    return made, "Steps after which samples stopped", told
