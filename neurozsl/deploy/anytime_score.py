"""What stopping samples early did to the scores and the operations of a test."""

from dataclasses import asdict, dataclass
from typing import Any

from neurozsl.scoring.anytime import Validated


@dataclass(frozen=True)
class AnytimeScore:
    """The test with every sample stopped at its margin.

    threshold: None where no margin stops a sample. min_steps: before which none stops. S, U, HM,
    ZSL: in percent. stopped: samples that stopped after 1, 2, ... steps. synops, neuron_updates:
    per inference, as used. full_HM, full_synops: of the same test over all steps. validated: what
    the rule does on the validation data that chose it, None where it was given.
    """

    threshold: float | None
    S: float
    U: float
    HM: float
    ZSL: float
    mean_steps: float
    stopped: tuple[int, ...]
    synops: float
    neuron_updates: float
    full_HM: float
    full_synops: float
    min_steps: int = 1
    validated: Validated | None = None

    @property
    def steps(self) -> int:
        """Of a sample that is not stopped."""
        return len(self.stopped)

    @property
    def loss(self) -> float:
        """Points of HM that stopping costs; below 0 where it gains."""
        return self.full_HM - self.HM

    @property
    def saved(self) -> float:
        """Share of the synaptic operations of all steps that is left undone."""
        return 1 - self.synops / self.full_synops if self.full_synops else 0.0

    def as_json(self) -> dict[str, Any]:
        """Fields and what follows from them."""
        return {**asdict(self), "loss": self.loss, "saved": self.saved}
