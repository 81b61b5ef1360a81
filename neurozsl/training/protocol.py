"""How a model is trained and scored, by name: `ours`, `avca` (the public code) and `published`.

A `Protocol` holds the rules, one field per choice in which published results differ; `TrainConfig`
adds the sizes. What the public code of AVCA does (Mercea et al. 2022; ExplainableML/AVCA-GZSL,
commit 2711aeb) is the preset `avca`:

    sampler weighted         batches drawn with replacement, uniform over classes, 500 an epoch
    negatives drawn          a sample of a uniformly drawn other class for every sample
    schedule plateau         lr x 0.1 after more than 3 epochs without a better validation HM
    beta_count, beta_max     16 betas, 0 to 3; the first of the best
    zero_beta 1e-10          stands for beta 0, because of a truthiness test
    stage2_epochs best       stage 2 follows the full schedule; the model is that of the epoch in
                             which stage 1 had its best HM
    stage2_validation        stage 2 is "validated" on the validation splits, which it trains on;
                             that HM drives its schedule and nothing else

`published` is the recipe of each model (`models.baselines.recipes`): the rules and sizes of `avca`
but for what the recipe says, and options of the model.

Which distance is scored (AVCA: the visual one) is an option of the model, which vector belongs to
which class (`label_alignment`) one of the data reader.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, get_args

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.models.baselines.recipes import PublishedRecipe
from neurozsl.training.economy import Budget, Distillation, Penalties, Sparsity

Sampler = Literal["balanced", "weighted"]
Negatives = Literal["in_batch", "drawn"]
Schedule = Literal["cosine", "plateau"]
Stage2Epochs = Literal["best", "all"]
Precision = Literal["32", "64", "bf16-mixed"]
Dropout = Literal["torch", "counter"]


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadInput(f"{name}={value!r}, expected one of {', '.join(allowed)}")


@dataclass(frozen=True)
class Protocol:
    """The rules; the defaults are the preset `ours`.

    Attributes:
        name: of the preset they come from.
        sampler: `balanced` draws a class, then a sample of it, and never a batch of one class;
            `weighted` draws samples with replacement, each class as likely as every other.
        epoch_batches: batches per epoch; 0 means one pass over the data.
        negatives: `in_batch` takes, per sample, another sample of the batch with another class;
            `drawn` draws one more sample for each, so that a batch has twice the rows. Both of
            such a pair are trained on, each as the negative of the other; the public code takes
            the loss of the first alone, which has the same expectation.
        schedule: of the learning rate: `cosine` after a linear rise, or `plateau`.
        patience, factor: of `plateau`, as torch's ReduceLROnPlateau counts them.
        beta_max, beta_count: the grid of calibrated stacking.
        zero_beta: what is used in place of beta 0.
        stage2_epochs: `best`: the epoch of stage 1's best HM, of a schedule of full length; `all`:
            the whole schedule.
        stage2_validation: score the validation splits in stage 2 too, although it trains on them.
    """

    name: str = "ours"
    sampler: Sampler = "balanced"
    epoch_batches: int = 0
    negatives: Negatives = "in_batch"
    schedule: Schedule = "cosine"
    patience: int = 3
    factor: float = 0.1
    beta_max: float = 3.0
    beta_count: int = 16
    zero_beta: float = 0.0
    stage2_epochs: Stage2Epochs = "best"
    stage2_validation: bool = False

    def __post_init__(self) -> None:
        _one_of("protocol: sampler", self.sampler, get_args(Sampler))
        _one_of("protocol: negatives", self.negatives, get_args(Negatives))
        _one_of("protocol: schedule", self.schedule, get_args(Schedule))
        _one_of("protocol: stage2_epochs", self.stage2_epochs, get_args(Stage2Epochs))
        if not isinstance(self.stage2_validation, bool):
            raise BadInput(
                f"protocol: stage2_validation={self.stage2_validation!r}, expected true or false"
            )
        for name in ("epoch_batches", "patience", "beta_max", "beta_count", "zero_beta", "factor"):
            value = getattr(self, name)
            whole = name in ("epoch_batches", "patience", "beta_count")
            low = 1 if name == "beta_count" else 0
            bad = isinstance(value, bool) or not isinstance(value, int if whole else int | float)
            if bad or value < low or (name == "factor" and value >= 1):
                below = " and below 1" if name == "factor" else ""
                raise BadInput(
                    f"protocol: {name}={value!r}, expected a{' whole' if whole else ''} number of "
                    f"at least {low}{below}"
                )
        if self.schedule == "plateau" and not self.stage2_validation:
            raise BadInput(
                "protocol: schedule=plateau follows the validation HM in both stages; set "
                "stage2_validation=true or use schedule=cosine"
            )

    def betas(self) -> tuple[float, ...]:
        """The grid of calibrated stacking, ascending; the first of the best is taken.

        >>> PROTOCOLS["avca"].betas()[:2]
        (1e-10, 0.2)
        """
        grid = np.linspace(0.0, self.beta_max, self.beta_count)
        return tuple(float(b) if b else self.zero_beta for b in grid)


PROTOCOLS: Mapping[str, Protocol] = {
    "ours": Protocol(),
    "avca": Protocol(
        name="avca",
        sampler="weighted",
        epoch_batches=500,
        negatives="drawn",
        schedule="plateau",
        zero_beta=1e-10,
        stage2_validation=True,
    ),
}


PUBLISHED: Final = "published"  # a recipe on top of `avca`


@dataclass(frozen=True)
class TrainConfig:
    """How to train; what is trained is in the model's own options.

    precision: `32`, `64`, or `bf16-mixed` (products in bfloat16; weights and scores stay float32).
    dropout: `torch` takes torch's generator; `counter` a mask that depends on seed, epoch, step,
        row and layer alone, the same for any number of processes.
    sparsity: how the spiking branch is pruned; None: not at all.
    budget: what an inference may cost; its density is found, that of `sparsity` is not used.
    penalties: what the loss says of spikes. distillation: the run that teaches this one.
    """

    epochs: int = 20
    batch: int = 64  # of all processes together
    lr: float = 3e-3  # 1e-3 leaves the spiking branch far from trained in 20 epochs
    weight_decay: float = 1e-5
    clip: float = 5.0  # 0: gradients are not clipped
    warmup: float = 0.1  # share of all steps in which the learning rate rises (cosine)
    seed: int = 0
    device: str = "cpu"
    threads: int = 1  # of torch: sums depend on it, and more do not pay for a model this small
    precision: Precision = "32"
    dropout: Dropout = "torch"
    protocol: Protocol = field(default_factory=Protocol)
    sparsity: Sparsity | None = None
    budget: Budget | None = None
    penalties: Penalties | None = None
    distillation: Distillation | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "threads"):
            if getattr(self, name) < 1:
                raise BadInput(f"training: {name}={getattr(self, name)}, expected at least 1")
        if not 0 < self.lr < 1:
            raise BadInput(f"training: lr={self.lr}, expected a number between 0 and 1")
        if self.clip < 0:
            raise BadInput(f"training: clip={self.clip}, expected at least 0 (0: no clipping)")
        _one_of("training: precision", self.precision, get_args(Precision))
        _one_of("training: dropout", self.dropout, get_args(Dropout))


# What a protocol asks of the sizes; the rest is as in `TrainConfig`. 64 is AVCA's batch for
# VGGSound's main split.
SIZES: Mapping[str, Mapping[str, Any]] = {
    "ours": {},
    "avca": {"epochs": 50, "batch": 256, "lr": 1e-3, "clip": 0.0, "warmup": 0.0},
}


def train_config(
    protocol: str = "ours",
    *,
    rules: Mapping[str, Any] | None = None,
    recipe: PublishedRecipe | None = None,
    **sizes: Any,
) -> TrainConfig:
    """The configuration of a protocol of `PROTOCOLS`, or of the recipe that is `published`.

    rules, sizes: fields of `Protocol` and of `TrainConfig` to change; a size of None stays as the
    protocol says. recipe: of `published` alone, as in `training.published`.

    Raises:
        BadInput: unknown protocol or rule, a value that is not allowed, or `published` without a
            recipe.
    """
    _one_of("protocol", protocol, (*PROTOCOLS, PUBLISHED))
    known = {f.name for f in fields(Protocol)} - {"name"}
    unknown = sorted(set(rules or {}) - known)
    if unknown:
        raise BadInput(
            f"protocol: unknown rule {', '.join(unknown)}; rules are {', '.join(sorted(known))}"
        )
    chosen = {k: v for k, v in sizes.items() if v is not None}
    if protocol != PUBLISHED:
        rule_set = replace(PROTOCOLS[protocol], **(rules or {}))
        return TrainConfig(**{**SIZES[protocol], **chosen, "protocol": rule_set})
    if recipe is None:
        raise BadInput(
            "protocol 'published': is the recipe of a model, so say which model "
            "(training.published), or take ours or avca"
        )
    changed = {"name": PUBLISHED, **recipe.rules, **(rules or {})}
    rule_set = replace(PROTOCOLS["avca"], **changed)
    return TrainConfig(**{**SIZES["avca"], **recipe.training, **chosen, "protocol": rule_set})


def train_config_from(raw: Mapping[str, Any]) -> TrainConfig:
    """Read what `asdict` wrote; files from before there were protocols have none."""
    nested = {
        key: None if raw.get(key) is None else kind(**raw[key]) for key, kind in _NESTED.items()
    }
    return TrainConfig(**{**raw, **nested, "protocol": Protocol(**raw.get("protocol", {}))})


_NESTED: Mapping[str, Callable[..., Any]] = {
    "sparsity": Sparsity, "budget": Budget, "penalties": Penalties, "distillation": Distillation
}  # fmt: skip
