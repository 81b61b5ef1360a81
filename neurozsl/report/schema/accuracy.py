"""How well it recognises: scores, recalls, confusion, calibrated stacking, the embedding.

Accuracies and recalls are in percent.
"""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from neurozsl.export.bundle.manifest import Step
from neurozsl.report.schema.value import Value
from neurozsl.scoring.metrics import Scores

Role = Literal["seen", "unseen"]
"""Of a class in the test: learned from, or never seen in training."""


@dataclass(frozen=True)
class Accuracy(Scores):
    """Scores of the model that is deployed.

    chance: 95th percentile of HM over permutations of the class vectors, in percent. samples: test
    samples behind the scores.
    """

    samples: int
    chance: float | None = None


class DeploymentStep(Step, Value):
    """A step of the bundle's manifest (dynamic -> frozen -> fixed point -> chip), and its price.

    operations: None where the step was not counted. joules, latency_s: of the motion branch per
    inference at this step, on `device`; dynamic energy, an estimate. as_if: the device cannot run
    the network, and is priced as if it did.
    """

    joules: float | None = None
    latency_s: float | None = None
    device: str | None = None
    as_if: bool = False


class ClassRecall(Value):
    """Recall of one class in the test, in percent, among all classes."""

    name: str
    role: Role
    recall: float
    samples: int


class Confusion(Value):
    """Predictions among some classes: `counts[true][predicted]` samples; those to others in none.

    elsewhere: samples of each true class that were called a class outside of `classes`.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    elsewhere: tuple[int, ...]

    @model_validator(mode="after")
    def _square(self) -> Self:
        sizes = {len(self.counts), len(self.elsewhere), *map(len, self.counts)}
        if sizes != {len(self.classes)}:
            raise ValueError(f"confusion of {len(self.classes)} classes: sizes {sorted(sizes)}")
        return self


class BetaCurve(Value):
    """Scores of the test over beta; `chosen` was selected on validation data."""

    points: tuple[Scores, ...]
    chosen: float


class EmbeddedSample(Value):
    """A test sample in the plane; `true` and `predicted` are places in `Embedding.classes`."""

    x: float
    y: float
    true: int
    predicted: int


class EmbeddedClass(Value):
    """The embedded class vector in the same plane."""

    name: str
    role: Role
    x: float
    y: float


class Embedding(Value):
    """A flat view of the joint space: the two directions in which the class vectors differ most.

    explained: share of the variance (of the class vectors) along x and y. shown, total: samples
    that are drawn, evenly chosen, and that there are.
    """

    method: str
    explained: tuple[float, float]
    classes: tuple[EmbeddedClass, ...]
    samples: tuple[EmbeddedSample, ...]
    total: int = Field(ge=0)
