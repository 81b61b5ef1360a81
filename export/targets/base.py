"""What an export target is: plain data plus two questions; one file per target, one registry line.

Nothing here imports torch, sinabs or lava, so `neurozsl targets` and `--help` stay fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

# Columns of the README table and of `neurozsl targets`.
FEATURES: Mapping[str, str] = {
    "lif": "LIF",
    "cuba": "LIF with synaptic current",
    "if": "IF",
    "graded": "graded input",
    "ternary": "ternary input",
    "frozen": "frozen threshold",
    "table": "threshold table",
    "dynamic": "dynamic threshold",
    "integers": "integers",
    "oracle": "foreign oracle",
}
Fidelity = Literal["float", "fixed"]


@dataclass(frozen=True)
class Check:
    """One comparison of a verification: two backends that run the same samples.

    exact: every bit must agree. Otherwise the difference is a loss that is stated.
    oracle: needs the Lava environment.
    reference: foreign code that one side runs wherever this package runs, with what it leaves out.
    """

    name: str
    first: str
    second: str
    exact: bool = True
    oracle: bool = False
    reference: str = ""


class Target(Protocol):
    """Where a branch can be carried."""

    @property
    def name(self) -> str:
        """The word after `--target`."""

    @property
    def chip(self) -> str | None:
        """Key of the chip under `hardware/chips`, None where no chip is meant."""

    @property
    def fidelity(self) -> tuple[Fidelity, ...]:
        """How the branch is run."""

    @property
    def features(self) -> Mapping[str, str]:
        """Per key of FEATURES "yes", "no" or a short condition."""

    @property
    def backends(self) -> tuple[str, ...]:
        """Names of `export.backends` that run it; the first is scored by default."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """The comparisons that verify it."""
