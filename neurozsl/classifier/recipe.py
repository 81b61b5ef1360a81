"""How a classifier is trained: values alone, written to `run.json` and read back from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from neurozsl.classifier.augment import Augment
from neurozsl.core.errors import BadInput
from neurozsl.training.economy import Sparsity
from neurozsl.training.qat import Rounding

Readout = Literal["count", "membrane", "last"]
Values = Literal["binary", "counts"]
READOUTS: Final[tuple[str, ...]] = get_args(Readout)
EPOCHS: Final = 60
# Of a finished network that is trained on, in integers or pruned. A larger rate than the first lost
# what was learned (N-MNIST, three seeds, 100 test recordings: 87.7 % at 1e-3, 90.0 % at 2e-4).
ON_EPOCHS, ON_LR = 12, 2e-4
PRUNING_EPOCHS, PRUNING_LR = 40, 1e-3


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Attributes:
        epochs: passes over the training split.
        batch: samples of a step.
        lr: peak learning rate of AdamW; it rises over `warmup` (a share of the steps), then falls
            along a cosine to 0.
        weight_decay: of all parameters, decoupled (AdamW).
        clip: bound of the gradient's norm.
        smoothing: of the labels in the cross-entropy.
        readout: what the classes are read from: spike counts, the largest membrane of a read-out,
            or what the last step holds. None: counts of spikes, the membrane of a read-out.
        values: `binary` makes 1 of every count, as chips without payload read it.
        without_clock: trained for events in whatever order they come (`crossings`).
        augment: random changes of the training frames.
        sparsity: how it is pruned; None: not at all (zeros that are there stay).
        rounding: the chip's integers; None: float.
        seed: of weights, order and augmentation.
        threads: of torch.
        device: of torch.
    """

    epochs: int = EPOCHS
    batch: int = 10
    lr: float = 4e-3
    warmup: float = 0.05
    weight_decay: float = 0.02
    clip: float = 5.0
    smoothing: float = 0.0
    readout: Readout | None = None
    values: Values = "binary"
    without_clock: bool = False
    augment: Augment = field(default_factory=Augment)
    sparsity: Sparsity | None = None
    rounding: Rounding | None = None
    seed: int = 0
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        whole = {"epochs": self.epochs, "batch": self.batch, "threads": self.threads}
        for name, value in whole.items():
            if value < 1:
                raise BadInput(f"{name} {value}: expected 1 or more")
        if not 0 <= self.seed < 2**32:
            raise BadInput(f"seed {self.seed}: expected 0 to {2**32 - 1}")
        if not 0 < self.lr < 10:
            raise BadInput(f"learning rate {self.lr:g}: expected above 0 and below 10")
        if not 0 <= self.weight_decay < 1:
            raise BadInput(f"weight decay {self.weight_decay:g}: expected 0 or more, below 1")
        if not 0 <= self.warmup < 1 or not 0 <= self.smoothing < 1 or not 0 <= self.clip < 1e9:
            raise BadInput(
                f"warmup {self.warmup:g}, smoothing {self.smoothing:g}, clip {self.clip:g}: shares "
                "from 0 and below 1, and a bound of 0 (none) or more"
            )
        if self.readout is not None and self.readout not in READOUTS:
            raise BadInput(
                f"readout '{self.readout}': training follows one of {', '.join(READOUTS)}"
            )
        if self.without_clock and (self.values, self.readout or "count") != ("binary", "count"):
            raise BadInput(
                f"without a clock: values {self.values}, readout {self.readout}; events come one "
                "by one, and spikes are counted: leave both options out"
            )
        if self.values not in get_args(Values):
            raise BadInput(f"values '{self.values}': expected {' or '.join(get_args(Values))}")


def recipe_from(raw: Mapping[str, Any]) -> Recipe:
    """Read what `dataclasses.asdict` wrote.

    Raises:
        TypeError, BadInput: keys are missing or unknown, or a value is not allowed.
    """
    made = dict(raw)
    made["augment"] = Augment(**raw["augment"])
    for key, kind in (("sparsity", Sparsity), ("rounding", Rounding)):
        if raw[key] is not None:
            made[key] = kind(**raw[key])
    return Recipe(**made)
