"""How the bench measures: side by side in one process, one thread, CPU time, medians, ratios.

Absolute times of a shared machine say little; a ratio of two cases that took turns in the same run
says more. Case after case is run a few times in a row, and the rounds repeat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Ratio:
    """One line of the bench; value is None, with the reason in `note`, where it was not measured.

    limit: what it should be at `better` "more" (at least) or "less" (at most); None: only reported.
    details: the times behind it and what was run.
    """

    value: float | None
    better: Literal["more", "less"]
    limit: float | None = None
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def within_limit(self) -> bool | None:
        """Whether the limit is kept; None where there is none or nothing was measured."""
        if self.value is None or self.limit is None:
            return None
        return self.value >= self.limit if self.better == "more" else self.value <= self.limit


Bench = Callable[[], dict[str, Ratio]]


def side_by_side(
    cases: Mapping[str, Callable[[], object]], *, rounds: int = 7, repeats: int = 5
) -> dict[str, float]:
    """Median CPU seconds of one call per case, all threads of this process together."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            run()  # compiles, and puts the caches in the state of this case
            for _ in range(repeats):
                start = time.process_time()
                run()
                times[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in times.items()}
