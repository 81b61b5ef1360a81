"""`manifest.json` of a bundle: what it is, how it was checked, and the digest of every file."""

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neurozsl.core.errors import BadInput
from neurozsl.export.bundle.sealed_files import MANIFEST, check_files, read_text
from neurozsl.export.bundle.task_score import TaskScore
from neurozsl.hardware.network.neuron import Compare, Reset

SCHEMA = 1
NAME = MANIFEST
_PACKAGES = ("neurozsl", "torch", "norse", "nir", "sinabs", "numpy")


class Operations(BaseModel):
    """What the branch did in one inference (mean over the test), summed over its layers.

    messages, hops_ew, hops_ns: on the cores of Loihi 1; None where the network does not fit it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spikes: float
    synops: float
    conv_synops: float = 0.0
    active_updates: float
    inactive_updates: float
    messages: float | None = None
    hops_ew: float | None = None
    hops_ns: float | None = None


class Step(BaseModel):
    """Accuracy in percent after one step from the trained model to the deployment.

    operations: None where the step was not run with its counts (bundles of earlier versions).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    backend: str
    policy: str = ""
    S: float
    U: float
    HM: float
    ZSL: float
    operations: Operations | None = None


class DeadLayer(BaseModel):
    """Neurons that one layer lost, by their numbers in the model; `neurons`: it had before.

    silent: never spike, whatever the inputs. unread: nobody reads their spikes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str
    neurons: int
    silent: tuple[int, ...]
    unread: tuple[int, ...]


class DeadNeurons(BaseModel):
    """What left the branch without changing a spike of the rest.

    neurons: in all layers. updates: of neurons that an inference saves. cores: that they free; None
    without integers, or where the whole branch does not fit the chip.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    neurons: int
    updates: int
    cores: int | None
    layers: tuple[DeadLayer, ...]

    def __str__(self) -> str:
        """One sentence."""
        rows = (f"{x.layer} {len(x.silent) + len(x.unread)} of {x.neurons}" for x in self.layers)
        freed = "" if self.cores is None else f", {self.cores} cores freed"
        return (
            f"dead neurons left out, the other spikes stay as they are: {self.neurons} "
            f"({', '.join(rows)}); {self.updates:,} neuron updates an inference saved{freed}"
        )


class MadeFrom(BaseModel):
    """The run that a branch comes from.

    result: digest of its result, by which it is known. files: SHA-256 of the files that hold it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    result: str
    files: dict[str, str]


class Manifest(BaseModel):
    """One bundle. `digest` covers the manifest itself, `files` everything else."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    target: str
    chip: str | None
    fidelity: tuple[str, ...]
    T: int
    dt_s: float
    reset: Reset = "zero"
    compare: Compare = ">"
    policy: str
    trained_policy: str
    policy_loss: str
    trained_forward: Literal["float", "integers"] = "float"
    weight_bits: int | None
    calibration: str | None = None
    bias_correction: bool = False
    versions: dict[str, str]
    oracle: str
    verdict: str
    reasons: tuple[str, ...]
    losses: tuple[str, ...]
    verification: dict[str, Any]
    quantisation: tuple[dict[str, Any], ...]
    dead_neurons: DeadNeurons | None = None
    mapping: dict[str, Any] | None = None  # `hardware.place.placement.Placement.as_json()`
    steps: tuple[Step, ...]
    run: MadeFrom | None = None  # None of a network of a file, and of earlier versions
    files: dict[str, str]
    # Of a network that came as a file: its name, the dialect that it was read in, what was assumed,
    # repaired and rewritten.
    source: str | None = None
    dialect: str | None = None
    assumptions: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    task: TaskScore | None = None  # of labelled samples, where the export was given some
    digest: str = ""

    @property
    def rejections(self) -> tuple[str, ...]:
        """Why the bundle is not to be used: what the checks found, and the verdict of its task."""
        failed = self.task is not None and self.task.verdict == "FAIL"
        return (*self.reasons, *((f"task: {self.task.reason}",) if failed and self.task else ()))

    def as_json(self) -> dict[str, Any]:
        """The content of `manifest.json`; keys that say nothing here are absent."""
        optional = ("mapping", "dead_neurons", "task")
        absent = {key for key in optional if getattr(self, key) is None}
        if self.source is None:
            absent |= {"source", "dialect", "assumptions", "repairs"}
        absent |= {"run"} if self.run is None else set()
        content = self.model_dump(mode="json", by_alias=True, exclude=absent)
        for step in content["steps"]:
            if step["operations"] is None:
                del step["operations"]
        return content

    def own_digest(self) -> str:
        """Of all fields but `digest`, which keeps it."""
        content = self.as_json()
        del content["digest"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def versions(oracle: str) -> dict[str, str]:
    """Python and the packages whose version may change a number."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    name, _, number = oracle.partition(" ")
    return found | ({name: number.split()[0]} if number[:1].isdigit() else {})


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with its digest."""
    sealed = manifest.model_copy(update={"digest": manifest.own_digest()})
    text = json.dumps(sealed.as_json(), indent=2, allow_nan=False)
    (folder / NAME).write_text(text + "\n", encoding="utf8")


def read(folder: Path) -> Manifest:
    """Read the manifest of a bundle and check every file against it.

    Raises:
        BadInput: no bundle, another schema, or a file that is missing or was changed.
    """
    path = folder / NAME
    if not path.is_symlink() and not path.is_file():
        raise BadInput(
            f"{folder}: no bundle here ({NAME} is missing); make one with "
            "`neurozsl export WHAT --target lava`, WHAT a run or a .nir file"
        )
    text = read_text(path)
    try:
        manifest = Manifest.model_validate(json.loads(text))
        digest = manifest.own_digest()
    except (ValueError, ValidationError, RecursionError) as error:
        raise BadInput(
            f"{path}: not a manifest of schema {SCHEMA} ({_first_fault(error)}); export again"
        ) from None
    if manifest.digest != digest:
        raise BadInput(f"{path}: was changed after the export (its digest differs); export again")
    check_files(folder, manifest.files)
    return manifest


def _first_fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
