"""What the frontier study is asked for, and the trainings that follow from it.

Families of one model, trained by one recipe for as many epochs. All have the same layers; they
differ in what stands behind each, in how often it is passed, and in how audio is coded::

    snn          spiking neurons, T steps
    snn-events   the same, audio as events (send on delta, a tenth of the values; mdft and mdst++)
    ann-steps    ReLU in place of the neurons, T passes
    ann-events   the same, audio as events
    ann-pooled   ReLU, one pass over the mean of the coded inputs over the steps
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.studies.trainings import Job
from neurozsl.training.economy import pruned


@dataclass(frozen=True)
class Family:
    """One kind of network.

    spiking: priced by its events; else by multiply-accumulates, in one pass or one per step.
    options: of the model.
    """

    name: str
    said: str
    spiking: bool
    options: Mapping[str, Any]


_EVENTS: Final = {"audio_code": "delta", "audio_rate": 0.1}
FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in (
        Family("snn", "spiking network", True, {}),
        Family("snn-events", "spiking network, audio as events", True, _EVENTS),
        Family("ann-steps", "dense network, T passes", False, {"neuron": "mlp"}),
        Family(
            "ann-events",
            "dense network, T passes, audio as events",
            False,
            {"neuron": "mlp", **_EVENTS},
        ),
        Family(
            "ann-pooled", "dense network, one pass", False, {"neuron": "mlp", "pool_time": True}
        ),
    )
}
EVERY_MODEL: Final = ("snn", "ann-steps", "ann-pooled")  # has these
Widths = tuple[int, ...]


@dataclass(frozen=True)
class Setting:
    """What is trained once per seed. widths: of the layers. density: share of weights kept."""

    family: str
    widths: Widths
    density: float
    steps: int

    @property
    def name(self) -> str:
        """Of its runs, without the seed.

        >>> Setting("snn", (256, 128, 64), 0.05, 10).name
        'snn-256-128-64-d0.05-T10'
        """
        return f"{self.family}-{shown(self.widths)}-d{self.density:g}-T{self.steps}"


def shown(widths: Widths) -> str:
    """Widths as they are written on the command line."""
    return "-".join(map(str, widths))


@dataclass(frozen=True)
class Planned:
    """One training."""

    setting: Setting
    seed: int
    job: Job


@dataclass(frozen=True)
class FrontierSettings:
    """What is trained.

    data: folder; None makes the synthetic set with `scene_bias`, `test_size` and `unbiased_val`,
    one for each seed. steps: empty takes 10, of data with a time axis its own. options: of the
    model, all families; family_options: of one more, over these. sparsity_scope: of `train`.
    deployed: the spikes of the integers for Loihi 2 are counted and scored, not the float ones.
    """

    model: str = "mdft"
    data: Path | None = None
    families: tuple[str, ...] = EVERY_MODEL
    widths: tuple[Widths, ...] = ((256, 128, 64),)
    densities: tuple[float, ...] = (1.0, 0.1, 0.05, 0.03)
    steps: tuple[int, ...] = ()
    seeds: int = 3
    epochs: int | None = None
    scene_bias: float = 0.9
    test_size: int = 2000
    unbiased_val: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    family_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sparsity_scope: str = "layer"
    deployed: bool = False

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise BadInput(f"frontier: {self.seeds} seeds, expected at least 1")
        for what, chosen in (
            ("families", self.families),
            ("widths", tuple(shown(x) for x in self.widths)),
            ("densities", self.densities),
            ("steps", self.steps),
        ):
            if len(set(chosen)) < len(chosen) or (not chosen and what != "steps"):
                found = ", ".join(map(str, chosen)) or "none"
                raise BadInput(f"frontier: {what} {found}; name each once, and at least one")
        named = (*self.families, *self.family_options)
        unknown = [name for name in named if name not in FAMILIES]
        if unknown:
            raise BadInput(
                f"frontier: family {', '.join(unknown)}; choose from {', '.join(FAMILIES)}"
            )
        for widths in self.widths:
            if not widths or min(widths) < 1:
                raise BadInput(
                    f"frontier: widths '{shown(widths)}', expected neurons of every layer, such "
                    "as 256-128-64"
                )
        for density in self.densities:
            if not 0 < density <= 1:
                raise BadInput(
                    f"frontier: a density of {density:g}, expected the share of weights that is "
                    "kept, above 0 and at most 1"
                )
            pruned(1 - density, scope=self.sparsity_scope)  # refuses an unknown scope

    def settings(self, steps: int) -> list[Setting]:
        """Those with so many steps, in the order in which they are trained."""
        return [
            Setting(family, widths, density, steps)
            for family in self.families
            for widths in self.widths
            for density in self.densities
        ]

    def trained_options(self, setting: Setting) -> dict[str, Any]:
        """Options of the model that is trained."""
        return {
            **self.options,
            "motion_widths": list(setting.widths),
            **FAMILIES[setting.family].options,
            **self.family_options.get(setting.family, {}),
        }

    def flags(self, setting: Setting) -> dict[str, Any]:
        """Flags of `neurozsl train` that prune; none where all weights are kept."""
        if setting.density == 1:
            return {}
        scope = None if self.sparsity_scope == "layer" else self.sparsity_scope
        return {"sparsity": f"{1 - setting.density:.12g}", "sparsity_scope": scope}
