"""The `Report`: everything one run has to say, as one value whose JSON is the single source.

HTML, terminal tables and plots read a `Report` and nothing else, so a number cannot differ between
them. Accuracies, recalls and `chance` are in percent; rates are fractions 0..1; energies are
joules, times seconds; operations, spikes and updates are counts *per inference* (one sample, all
steps). NaN and infinity are refused: a figure that is unknown is None, and reads as such.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neurozsl.errors import BadInput
from neurozsl.signals import Array

Verdict = Literal["PASS", "PASS-WITH-LOSS", "FAIL", "UNVERIFIED"]


def _plain(value: Any) -> Any:
    """`value` with numpy scalars and arrays, at any depth, as Python numbers and lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value
    return value


class Value(BaseModel):
    """Frozen, closed (an unknown key is an error) and finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _accept_numpy(cls, data: Any) -> Any:
        return _plain(data) if isinstance(data, Mapping) else data


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
    """Scores after one step of the deployment (dynamic -> frozen -> fixed point -> chip)."""

    step: str
    backend: str
    policy: str


class LayerAgreement(Value):
    """One layer on two backends: `agree` share of equal bits, `matched` F1 of the spikes."""

    name: str
    agree: float = Field(ge=0, le=1)
    matched: float = Field(ge=0, le=1)
    spikes: int
    rate: float = Field(ge=0, le=1)


class BackendAgreement(Value):
    """All layers of one pair of backends."""

    layers: tuple[LayerAgreement, ...]


class Verification(Value):
    """The verdict and what it rests on; `oracle` is the reference simulator, None without one."""

    verdict: Verdict
    samples: int
    backends: dict[str, BackendAgreement] = Field(default_factory=dict)
    oracle: str | None = None
    notes: tuple[str, ...] = ()


class CoreUse(Value):
    """How much of one resource is used; `limit` None: unpublished."""

    used: int
    limit: int | None


class CorePart(Value):
    """Neurons `first..last` of one layer on one core.

    tile: the channels, rows and columns of a map that are here; None: all of `first..last` are.
    """

    core: int
    layer: str
    first: int
    last: int
    use: dict[str, CoreUse]
    tile: tuple[tuple[int, int], ...] | None = None


class LayerCores(Value):
    """One layer on `cores` cores; `nonzero` of its weights are not zero."""

    name: str
    cores: int
    neurons: int
    weights: int
    nonzero: int | None
    weight_bits: int


class Placement(Value):
    """The branch on the cores of a chip; `left_out`: what the accounting does not count."""

    chip: str
    name: str
    cores: int
    cores_used: int
    layers: tuple[LayerCores, ...]
    parts: tuple[CorePart, ...]
    totals: dict[str, CoreUse]
    left_out: str = ""
    notes: tuple[str, ...] = ()


class Layer(Value):
    """Activity of one spiking layer, per inference (names as in NeuroBench where it has them).

    synops: arriving spikes x fan-out. effective_macs / effective_acs: operations with a non-zero
    weight and input, graded and 0/1 inputs apart. dense: the same layer without any sparsity.
    neuron_updates: neurons x steps. overflow, saturation: integer backends, whole run.
    spike_rate: spikes / (neurons x steps), above 1 only where neurons send several in a step.
    """

    name: str
    modality: str = ""
    inputs: int
    neurons: int
    parameters: int
    spike_rate: float = Field(ge=0)
    spikes: float
    synops: float
    effective_macs: float
    effective_acs: float
    dense: float
    neuron_updates: float
    dead_neurons: int = 0
    overflow: int = 0
    saturation: int = 0


class Energy(Value):
    """Joules of one inference on one device, and where the figure comes from.

    joules None: the device has no published figure to compute it from. joules_low, joules_high:
    only bounds that the source publishes; `interval` says "published" when both are, and none is
    invented. inherited: the per-operation figures belong to another chip. scope: `per_term` (terms
    add up) or `all_in` (static and routing inside). terms: joules by cause. estimate False: it was
    measured.
    """

    device: str
    name: str
    joules_low: float | None = None
    joules: float | None
    joules_high: float | None = None
    interval: Literal["published", "unpublished"] = "unpublished"
    latency_s: float | None = None
    source: str
    inherited: bool = False
    scope: str = "per_term"
    terms: dict[str, float] = Field(default_factory=dict)
    included: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    note: str = ""
    estimate: bool = True

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        both = self.joules_low is not None and self.joules_high is not None
        if both != (self.interval == "published"):
            raise ValueError(
                f"energy row '{self.device}': interval is called {self.interval}, but the bounds "
                f"are {self.joules_low} and {self.joules_high}; 'published' goes with two bounds"
            )
        known = [x for x in (self.joules_low, self.joules, self.joules_high) if x is not None]
        if known != sorted(known) or any(x < 0 for x in known):
            raise ValueError(
                f"energy row '{self.device}': {known} is not 0 <= low <= value <= high"
            )
        return self


class Host(Value):
    """The part that stays on the host: every weight but those of the motion branch."""

    device: str
    motion_backend: str
    flops: float | None = None
    energy: tuple[Energy, ...] = ()
    seconds_per_inference: float | None = None


class Baseline(Value):
    """The same job without spikes (an MLP, or the same layers run dense), for comparison."""

    name: str
    description: str
    macs: float
    energy: tuple[Energy, ...] = ()
    accuracy: Scores | None = None


class RasterLayer(Value):
    """Spikes of one layer in one sample, as (step, neuron) pairs."""

    name: str
    modality: str = ""
    neurons: int
    spikes: tuple[tuple[int, int], ...]


class Raster(Value):
    """Every spike of one sample."""

    sample: str
    true_class: str
    predicted_class: str
    steps: int
    layers: tuple[RasterLayer, ...]


class ClassRecall(Value):
    """Recall of one class in the test, in percent, among all classes."""

    name: str
    role: Literal["seen", "unseen"]
    recall: float
    samples: int


class Report(Value):
    """One run, from the data to the joules."""

    schema_version: Literal[1] = 1
    created: str
    versions: dict[str, str]
    data: DataSummary
    model: ModelSummary
    accuracy: Accuracy
    deployment: tuple[DeploymentStep, ...] = ()
    verification: Verification | None = None
    mapping: Placement | None = None
    layers: tuple[Layer, ...]
    energy: tuple[Energy, ...]
    host: Host
    baseline: Baseline | None = None
    raster: Raster | None = None
    classes: tuple[ClassRecall, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Verdict of the verification; UNVERIFIED without one."""
        return self.verification.verdict if self.verification else "UNVERIFIED"


def raster(
    spikes: Mapping[str, Array], *, sample: str, true_class: str, predicted_class: str
) -> Raster:
    """The raster of one sample.

    Args:
        spikes: per layer `(time, neuron)`, 0 or 1; a layer "audio.0" has the modality "audio".
        sample: identifies the sample (file, window).
        true_class: name of its class.
        predicted_class: name of the class that the deployed model chose.

    >>> spikes = {"audio.0": [[0, 1], [1, 0]]}
    >>> raster(spikes, sample="a", true_class="x", predicted_class="y").layers
    (RasterLayer(name='audio.0', modality='audio', neurons=2, spikes=((0, 1), (1, 0))),)
    """
    layers = []
    steps = 0
    for name, value in spikes.items():
        array = np.asarray(value)
        if array.ndim != 2:
            raise BadInput(f"raster of '{name}': shape {array.shape}, expected (time, neuron)")
        steps = max(steps, array.shape[0])
        layers.append(
            RasterLayer(
                name=name,
                modality=name.rpartition(".")[0],
                neurons=array.shape[1],
                spikes=tuple((int(t), int(n)) for t, n in np.argwhere(array)),
            )
        )
    return Raster(
        sample=sample,
        true_class=true_class,
        predicted_class=predicted_class,
        steps=steps,
        layers=tuple(layers),
    )


def to_json(report: Value) -> str:
    """The report as JSON text: indented, but the raster on one line (thousands of pairs)."""
    document = report.model_dump(mode="json")
    lines = []
    for key, value in document.items():
        text = json.dumps(
            value,
            indent=None if key == "raster" else 2,
            separators=(",", ":") if key == "raster" else None,
            ensure_ascii=False,
            allow_nan=False,
        )
        indented = text.replace("\n", "\n  ")
        lines.append(f'  "{key}": {indented}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_report(path: Path) -> Report:
    """Read a `report.json`.

    Raises:
        BadInput: the file is missing, not JSON, or not a report of this version.
    """
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as err:
        raise BadInput(
            f"report '{path}': {err.strerror}; run `neurozsl profile RUN` first"
        ) from err
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise BadInput(
            f"report '{path}': {where}: {first['msg']} ({err.error_count()} problems); "
            "write it again with `neurozsl profile RUN --report FILE.html`"
        ) from err
