"""What was profiled: the data and the model of a run."""

from typing import Any

from pydantic import Field

from neurozsl.report.schema.value import Value


class ClassNames(Value):
    """Names of the classes by role; a training class is usually seen as well."""

    train: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


class DataSummary(Value):
    """What was learned from and tested on; `samples` counts per split, `skipped` files left out."""

    name: str
    synthetic: bool
    classes: ClassNames
    samples: dict[str, int]
    steps: int
    step_s: float
    skipped: int = 0
    notes: tuple[str, ...] = ()


class Parameters(Value):
    """Parameter counts: of the motion branch (the chip holds them), of the host, and of both."""

    total: int
    motion: int
    host: int


class ModelSummary(Value):
    """The trained model; `host_flops` per inference, None where it was not counted."""

    name: str
    preset: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    seed: int
    parameters: Parameters
    host_flops: float | None = None
