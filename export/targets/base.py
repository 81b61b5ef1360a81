"""What an export target is: plain data, checks and the oracle; one file, one registry line.

Nothing here imports torch, sinabs or lava, so `neurozsl targets` and `--help` stay fast; what needs
them is a function that imports when it is called.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neurozsl.hardware.network.neuron import NeuronRule, Reset

if TYPE_CHECKING:
    from neurozsl.export.backends.registry import Backend, Parts
    from neurozsl.hardware.network.lowered import Lowered
    from neurozsl.hardware.network.program import ChipProgram

_AT_ONCE: Mapping[Reset, Reset] = {
    "zero-late": "zero",
    "subtract-late": "subtract",
    "subtract-nodelay": "subtract",
}
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


def with_reset(rule: NeuronRule, known: tuple[Reset, ...]) -> NeuronRule:
    """The rule, with the nearest of some resets: its own, else the same at once, else the first."""
    at_once = _AT_ONCE.get(rule.reset, rule.reset)
    found = next((reset for reset in (rule.reset, at_once) if reset in known), known[0])
    return replace(rule, reset=found)


@dataclass(frozen=True)
class Check:
    """One comparison of a verification: two backends that run the same samples.

    exact: every bit must agree. Otherwise the difference is a loss that is stated.
    """

    name: str
    first: str
    second: str
    exact: bool = True


@dataclass(frozen=True)
class Oracle:
    """Foreign code that a target is compared with, as manifests name it.

    version: what runs. backends: which of the target's backends ask it. left_out: what of the
    chip's own tools it stands without, "" where it is whole. installed: whether this machine has
    it; checks that ask an absent one are skipped, and the verdict is UNVERIFIED. install: the
    command that brings it.
    """

    version: str
    backends: tuple[str, ...]
    left_out: str = ""
    installed: Callable[[], bool] = lambda: True
    install: str = ""

    def __str__(self) -> str:
        """Version and what is left out."""
        return f"{self.version}, {self.left_out}" if self.left_out else self.version

    def here(self) -> str:
        """Its name on this machine, "none" where it is absent."""
        return str(self) if self.installed() else "none"


@dataclass(frozen=True)
class Device:
    """A connected chip.

    require: refuses a device (its name, the chip's key) before anything is exported for it.
    configure: puts a deployment on it.
    """

    require: Callable[[str, str], None]
    configure: "Callable[[Parts, str], None]"


@dataclass(frozen=True)
class Target:
    """Where a branch can be carried.

    name: the word after `--target`. chip: key of the chip, None where no chip is meant. fidelity:
    how the branch is run. backends: names of those that run it, the first is the one scored by
    default. checks: the comparisons that verify it; oracle: the foreign side of some. features:
    per key of FEATURES "yes", "no" or a short condition. own_backends: those that
    `export.backends` does not have. ships: files that a bundle holds beside its own. device: where
    chips can be connected. runs: whether it takes a network, float or integers, as it is.
    nearest: the rule at a threshold that it runs for one that a network has, the same where it can.
    """

    name: str
    chip: str | None
    fidelity: tuple[Literal["float", "fixed"], ...]
    backends: tuple[str, ...]
    checks: tuple[Check, ...]
    features: Mapping[str, str]
    oracle: Oracle | None = None
    own_backends: "Mapping[str, Backend]" = field(default_factory=dict)
    ships: Callable[[], tuple[Path, ...]] = tuple
    device: Device | None = None
    runs: "Callable[[Lowered | ChipProgram], bool]" = lambda network: True
    nearest: Callable[[NeuronRule], NeuronRule] = lambda rule: rule

    def asks_oracle(self, check: Check) -> bool:
        """True where one side of a check is the oracle."""
        sides = {check.first, check.second}
        return self.oracle is not None and not sides.isdisjoint(self.oracle.backends)
