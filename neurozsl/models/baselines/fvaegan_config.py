"""Options of f-VAEGAN-D2, its sizes and the rules in which its public code is not followed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from neurozsl.models.options import check_known, check_rules


@dataclass(frozen=True)
class FVAEGANConfig:
    """Everything that defines an f-VAEGAN-D2; the defaults are the public sizes.

    classes: of the data set, which says it itself. latent: width of z. hidden: inside the generator
    and the critics. synthetic: features generated per unseen class, and batch of the classifiers.
    clf_epochs, clf_lr: of the classifiers. every: batches per step of the generator.
    weight_gan, weight_vae, weight_penalty: of G_cost, the VAE, the gradient penalty.
    """

    audio_dim: int
    video_dim: int
    classes: int = 2
    word_dim: int = 300
    preset: Literal["ucf", "activitynet", "vggsound"] = "ucf"
    latent: int = 300
    hidden: int = 512
    synthetic: int = 1000
    clf_epochs: int = 30
    clf_lr: float = 1e-3
    every: int = 5
    weight_gan: float = 1e5
    weight_vae: float = 1.0
    weight_penalty: float = 10.0
    batches: Literal["all", "first"] = "all"
    d2: Literal["loss", "idle"] = "loss"
    selection: Literal["validation", "test"] = "validation"


PRESETS: Mapping[str, int] = {"ucf": 1000, "activitynet": 1000, "vggsound": 10_000}  # synthetic


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> FVAEGANConfig:
    """Resolve a preset and the options on top of it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    name = "fvaegan-d2"
    check_known(name, FVAEGANConfig, options)
    preset: dict[str, Any] = {"synthetic": PRESETS[options.get("preset", "ucf")]}
    config = FVAEGANConfig(audio_dim, video_dim, **{**preset, **options})
    rules = {
        f"{key}={getattr(config, key)}, expected at least 1": getattr(config, key) >= 1
        for key in ("classes", "latent", "hidden", "synthetic", "clf_epochs", "every")
    }
    for key in ("weight_gan", "weight_vae", "weight_penalty"):
        rules[f"{key}={getattr(config, key)}, expected at least 0"] = getattr(config, key) >= 0
    rules[f"clf_lr={config.clf_lr}, expected above 0"] = config.clf_lr > 0
    check_rules(name, rules)
    return config
