"""How well it recognises: scores, recalls, confusion, calibrated stacking, the embedding.

Accuracies and recalls are in percent.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from neurozsl.report.schema.value import Value

Role = Literal["seen", "unseen"]
"""Of a class in the test: learned from, or never seen in training."""


class Scores(Value):
    """Mean class recall on seen and unseen classes, their harmonic mean, and ZSL, in percent."""

    S: float
    U: float
    HM: float
    ZSL: float


class Accuracy(Scores):
    """Scores of the model that is deployed.

    beta: calibrated stacking constant as used. chance: 95th percentile of HM over permutations of
    the class vectors, in percent. samples: test samples behind the scores.
    """

    beta: float
    chance: float | None = None
    samples: int


class DeploymentStep(Scores):
    """Scores after one step of the deployment (dynamic -> frozen -> fixed point -> chip).

    spikes, joules, latency_s: of the motion branch per inference at this step, on `device`; None
    where the step was not counted. joules: dynamic energy, an estimate. as_if: the device cannot
    run the network, and is priced as if it did.
    """

    step: str
    backend: str
    policy: str
    spikes: float | None = None
    synops: float | None = None
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


class BetaPoint(Value):
    """Scores in percent at one constant of the calibrated stacking."""

    beta: float
    S: float
    U: float
    HM: float


class BetaCurve(Value):
    """S, U and HM of the test over beta; `chosen` was selected on validation data."""

    points: tuple[BetaPoint, ...]
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
