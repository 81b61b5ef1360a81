"""AVMST: AVCA whose encodings are gated by the spike rates of integrate-and-fire neurons.

Li et al., "Modality-Fusion Spiking Transformer Network for Audio-Visual Zero-Shot Learning" (ICME
2023, doi 10.1109/ICME55011.2023.00080), written from what its public code computes. Of the paper we
know the abstract alone: it adjusts thresholds by semantic cues, the code has the constant 1. In: an
`AVBatch`, averaged over its real steps; out: as AVCA. Per modality m with position vector p_m::

    host   phi_m = encoder(x)                                             AVCA's
    chip   r_m = spikes / T of Linear - IF - Linear - IF, shown x T times      the branch
    host   phi_m <- X([phi_m + p_m; phi_m softmax(r_m) + p_m])[token]     X: AVCA's attention
    host   AVCA's fusion by the same X, projections and losses, all with the new phi_m

    IF     u = v + drive;  spike if u >= 1;  v = 0 on a spike, else u          no leak

The token is the plain one (0) for audio and the gated one (1) for video, as in the public code.
The softmax is over the 300 channels, so every gate is about 1/300 and the spikes hardly matter: on
the synthetic set (20 epochs, one seed) distances of 2 to 7 moved by 0.002 at most when all
spikes were taken away. A bundle's unchanged HM says no more than that.

Where the public code runs one modality through the other's neurons and leaves the branch out of its
optimiser, the default is the clean reading that a chip can take over: own neurons for each
modality, at rest when a sample begins, trained. `avmst_config` says how to have the public code.

With the defaults the model has 2,526,220 parameters at 512/512 features and 5,803,020 at 128/4096,
position vectors and branch included, whatever `order` and `train_branch` are.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode, Trace
from neurozsl.core.stored_codes import read_codes
from neurozsl.data.batch import AVBatch
from neurozsl.models.avca import AVCA, Encoded
from neurozsl.models.base import Embedding, Prepared
from neurozsl.models.baselines.avmst_config import NAME, AVMSTConfig, configure
from neurozsl.models.baselines.carried import CarriedBranch
from neurozsl.models.blocks import masked_mean
from neurozsl.models.coding import graded_code, level_code, spread
from neurozsl.models.motion import SpikingBranch
from neurozsl.models.sequence import as_steps

# Tokens that a modality goes on with: 0 is the plain one, 1 the gated one.
_TOKENS: Mapping[str, Mapping[str, int]] = {
    "gated": {"audio": 0, "video": 1},
    "plain": {"audio": 0, "video": 0},
}


@dataclass(frozen=True)
class ShownContext(Encoded):
    """`Encoded`, and which of the branch's steps are run."""

    mask: Tensor  # (batch, T)


class AVMST(AVCA):
    """The model; see the module's docstring. Keeps the contract of `models.base.BranchModel`."""

    name: ClassVar[str] = NAME
    config: AVMSTConfig

    def __init__(self, config: AVMSTConfig) -> None:
        super().__init__(config)
        self.branch = self._make_branch()
        self.branch.requires_grad_(config.train_branch)

    @classmethod
    def build(
        cls,
        *,
        audio_dim: int,
        video_dim: int,
        encode: str = "repeat",
        codes: Mapping[str, Any] | None = None,
        thetas: Mapping[str, float] | None = None,
        **options: Any,
    ) -> Self:
        """Make the model; `codes` and `thetas` restore the input codes and frozen thresholds.

        encode: averages are shown T times whatever the data are.

        Raises:
            BadInput: an option does not exist or has a value that is not allowed.
        """
        model = cls(configure(audio_dim=audio_dim, video_dim=video_dim, **options))
        remedy = "restore it from a copy of the run"
        for name, code in read_codes(dict(codes or {}), "model", remedy=remedy).items():
            model.branch.set_code(name, code)
        if thetas:
            model.branch.freeze(thetas)
        return model

    def _make_branch(self) -> SpikingBranch:
        c = self.config
        widths = (c.spiking_hidden, c.embed)
        how: dict[str, Any] = {"steps": c.steps, "dt_s": c.dt_s, "neuron": c.neurons}
        if c.order == "public":
            raw = {name: InputCode(n, "graded", 16, True, 1.0) for name, n in c.widths.items()}
            return CarriedBranch(raw, widths, apart=c.passes == "apart", **how)
        codes = {name: self._code(width) for name, width in c.widths.items()}
        return SpikingBranch(codes, widths, norm=c.norm, **how)

    def _code(self, width: int, values: Tensor | None = None) -> InputCode:
        """The code of an input; its scale comes from `values`, where they are known."""
        c = self.config
        if c.input_code == "graded":
            if values is None:
                return InputCode(width, "graded", c.input_bits, True, 1.0)
            return graded_code(values, bits=c.input_bits)
        top = 1.0 if values is None else spread(values, 0.9)
        levels = c.input_levels
        return level_code(width, levels=levels, step=top / levels, encoder=c.input_code)

    def calibrate(self, batch: AVBatch) -> None:
        """Choose the scales of the input codes from training data (any amount that is cheap)."""
        if self.config.order == "public":
            return
        for name, values in {"audio": batch.audio, "video": batch.video}.items():
            shown = masked_mean(values, batch.mask)
            self.branch.set_code(name, self._code(shown.shape[-1], shown))

    def prepare(self, batch: AVBatch) -> Prepared:
        """Encode the averaged features, and code them T times for the branch."""
        encoded = super().prepare(batch).context
        shown = as_steps(batch, steps=self.config.steps, encode="repeat", model=self.name)
        features = {"audio": shown.audio, "video": shown.video}
        if self.config.order == "public":
            chip_input = ChipInput(features, dict(self.branch.codes))
        else:
            chip_input = self.branch.coded(features, mask=shown.mask)
        return Prepared(chip_input, ShownContext(**vars(encoded), mask=shown.mask), shown.mask)

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Gate by the spike rates, then as AVCA; `aux` has the new phi, and the rates."""
        assert isinstance(context, ShownContext) and trace is not None
        spikes = self.branch.read(trace, context.phi_a)
        rates = {f"rate_{k[0]}": masked_mean(x, context.mask) for k, x in spikes.items()}
        phi_a, phi_v = self._gated(context.phi_a, context.phi_v, rates)
        output = super().finish(None, Encoded(context.audio, context.video, phi_a, phi_v))
        return replace(output, aux={**output.aux, **rates})

    def _gated(
        self, phi_a: Tensor, phi_v: Tensor, rates: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The new phi of audio and video; rates `(batch, embed)` are `rate_a`, `rate_v`."""
        token = _TOKENS[self.config.video_token]
        place_a, place_v = self.cross_attention.position
        return (
            self._mixed(phi_a, rates["rate_a"], place_a)[:, token["audio"]],
            self._mixed(phi_v, rates["rate_v"], place_v)[:, token["video"]],
        )

    def _mixed(self, phi: Tensor, rate: Tensor, place: Tensor) -> Tensor:
        """Both tokens of a modality after attention, `(batch, 2, embed)`."""
        gated = phi * torch.softmax(rate, -1)
        return self.cross_attention.mix(torch.stack([phi, gated], 1) + place)

    def _encoded_again(self, aux: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """As AVCA's, and gated: the same features give the same rates."""
        return self._gated(*super()._encoded_again(aux), aux)

    def warnings(self, batch: AVBatch) -> list[str]:
        """AVCA's, and layers that are silent, whose gate is the same for every channel."""
        found = super().warnings(batch)
        with torch.no_grad():
            prepared = self.prepare(batch)
            assert prepared.chip_input is not None
            rates = self.branch(prepared.chip_input, prepared.mask).rates()
        return found + [
            f"layer '{name}' never spikes on {len(batch)} training samples; train longer, lower "
            "theta, or use norm=true"
            for name, rate in rates.items()
            if rate == 0
        ]

    def options(self) -> dict[str, Any]:
        """The resolved configuration and the codes fixed by `calibrate`, as JSON values."""
        return {
            **asdict(self.config),
            "encode": "repeat",
            "codes": {name: asdict(code) for name, code in self.branch.codes.items()},
            "thetas": dict(self.branch.frozen_theta),
        }

    def motion_branch(self) -> SpikingBranch:
        """The spiking branch."""
        return self.branch

    def host_parts(self) -> tuple[str, ...]:
        """Nothing that spikes is left to the host."""
        return ()

    def frozen(self, theta: Mapping[str, float]) -> Self:
        """A copy that is ready to be deployed: BatchNorm folded, one constant threshold per layer.

        Raises:
            BadInput: order=public, which no chip takes over.
        """
        if refused := self.branch.refusals():
            raise BadInput(f"model '{self.name}': cannot be deployed: " + "; ".join(refused))
        made = self.build(**{**self.options(), "norm": False, "thetas": dict(theta)})
        rest = {k: v for k, v in self.state_dict().items() if not k.startswith("branch.")}
        made.load_state_dict(rest, strict=False)  # the branch follows
        made.branch.load_folded(self.branch)
        return made


build = AVMST.build
