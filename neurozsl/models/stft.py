"""STFT: spiking Tucker fusion transformer for audio-visual zero-shot learning.

Li et al., "Spiking Tucker Fusion Transformer for Audio-Visual Zero-Shot Learning". In: an
`AVBatch`; out: an embedding in the 64-d space of the projected class vectors.

    host   a, v = E_aud, E_vis(features);  R_a, R_v = LKC(a, v)           section III-A, `prepare`
    host   input of the branch: GLP where it acts there, then the code    Eq. 7
    chip   o = three Conv - BN - LIF blocks per modality                  section III-B, the branch
    host   S = TSF(o);  Y = Tucker(R, S) per modality                     Eq. 8, section III-C
    host   cross-modal transformer (Y_a, Y_v) -> projections              section III-D, `finish`

Readings of single equations stand in the parts: `lkc`, `glp`, `closed_loop`, `tsf`, `tucker` and
`stft_cross`; every equation: `EQUATIONS.md`. Eq. 15-18 are read as MDFT's 12-15 (`losses`):
distances in the hinge, squares in the means, F_tex the projected class vector in Eq. 17 and the raw
one in Eq. 18. The projections have the sizes of AVCA's: W_tex one map, not two, as does the
reconstruction.

Four presets (`stft_presets`): `paper` (its branch reads real numbers: trained and scored, not
exported; thresholds `clipped`, averaged features repeated over 8 steps), `paper-wide` (on codes),
`deploy` (compact; a second head on the spikes alone, as MDFT's and for its reason: with one fused
head the scene drowns the motion) and `sparse`. Options in `stft_config`, ablations by name in
`stft_ablations`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from neurozsl.core.signals import InputCode, Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import Embedding, LossTerms, Prepared
from neurozsl.models.blocks import Encoder, last_map, masked_mean
from neurozsl.models.coding import graded_code, level_code, real_code, spread
from neurozsl.models.conv_motion import ConvSpikingBranch
from neurozsl.models.event_codes import EVENT_ENCODERS, event_code, with_rate
from neurozsl.models.event_threshold import EventThreshold
from neurozsl.models.glp import ShapedInput
from neurozsl.models.lkc import LatentKnowledge
from neurozsl.models.losses import projection, reconstruction, triplet
from neurozsl.models.stft_config import STFTConfig, configure
from neurozsl.models.stft_cross import CrossModalTransformer, SpikingCross
from neurozsl.models.threshold import degenerated, saturated_share
from neurozsl.models.tsf import synthesise, time_step_factors
from neurozsl.models.tucker import TuckerFusion
from neurozsl.models.with_branch import WithBranch


@dataclass(frozen=True)
class STFTContext:
    """What `prepare` leaves on the host for `finish`."""

    semantic: Mapping[str, Tensor]  # modality -> R `(batch, time, E)`; {} without transformer
    mask: Tensor  # (batch, time)


class STFT(WithBranch[ConvSpikingBranch]):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    name = "stft"
    configure = staticmethod(configure)
    deployed: ClassVar[Mapping[str, Any]] = {
        "norm": False,
        "threshold": "fixed",
        "learn_thresholds": False,
    }
    config: STFTConfig

    def __init__(self, config: STFTConfig) -> None:
        super().__init__(config)
        c = config
        self.encoders = nn.ModuleDict()
        for name, width in self._encoded_inputs().items():
            self.encoders[name] = Encoder(width, c.hidden, c.embed, c.drop_enc)
        self.lkc: LatentKnowledge | None = None
        if c.transformer and c.lkc:
            self.lkc = LatentKnowledge(
                c.embed,
                slots=c.slots,
                heads=c.lkc_heads,
                head_width=c.head_width,
                hidden=c.feed_hidden,
                dropout=c.drop_enc,
                tokens=c.lkc_tokens,
                state=c.lkc_state,
                pool=c.lkc_pool,
            )
        self.shape_input = nn.ModuleDict()
        if c.motion and c.glp == "input":
            for name in c.motion_inputs:
                self.shape_input[name] = ShapedInput(self._snn_width(name))
        if c.learn_thresholds:
            for name in c.motion_inputs:
                self.event_thresholds[name] = EventThreshold(c.input_threshold or 1.0)
        self.branch = self._make_branch() if c.motion else None
        sizes = {}  # modality -> width of S
        if self.branch is not None:
            sizes = {name: self.branch.output_size(name) for name in c.motion_inputs}
        self.fuse = nn.ModuleDict()
        self.cross: CrossModalTransformer | SpikingCross | None = None
        if c.transformer:
            for name, size in sizes.items():
                self.fuse[name] = TuckerFusion(
                    c.embed, size, c.embed, width=c.tucker_width, rank=c.rank, literal=c.literal
                )
            self.cross = self._make_cross()
        spiking = sum(sizes.values())
        self.make_heads(c.embed if c.transformer else spiking, spiking)
        self.reconstruct = (
            last_map(c.proj, c.word_dim, c.drop_dec, c.output)
            if "reconstruction" in c.loss_parts
            else None
        )

    def _make_cross(self) -> CrossModalTransformer | SpikingCross:
        c = self.config
        if c.cross == "spikformer":
            ratio = max(1, round(c.feed_hidden / c.embed))
            return SpikingCross(c.embed, heads=c.heads, ratio=ratio, neuron=c.neurons)
        return CrossModalTransformer(
            c.embed,
            heads=c.heads,
            head_width=c.head_width,
            hidden=c.feed_hidden,
            dropout=c.drop_enc,
            depth=c.cross_depth,
        )

    def _encoded_inputs(self) -> dict[str, int]:
        """Modalities whose encoder somebody reads, and the width of their features."""
        c = self.config
        if c.transformer:
            return {name: c.widths[name] for name in c.inputs}
        return {name: c.widths[name] for name in c.motion_inputs if c.snn_input == "encoded"}

    def _snn_width(self, name: str) -> int:
        c = self.config
        return c.embed if c.snn_input == "encoded" else c.widths[name]

    def _make_branch(self) -> ConvSpikingBranch:
        c = self.config
        return ConvSpikingBranch(
            {name: self._code(self._snn_width(name)) for name in c.motion_inputs},
            c.channels,
            c.strides,
            c.neurons,
            steps=c.steps,
            dt_s=c.dt_s,
            axis=c.conv_axis,
            kernel=c.kernel,
            norm=c.norm,
            shaped=c.glp == "blocks",
            loop=c.threshold,
            detach=c.detach_threshold,
        )

    def _code(
        self, width: int, values: Tensor | None = None, mask: Tensor | None = None
    ) -> InputCode:
        """The code of an input; its scale comes from `values`, or from (0, 1) where GLP maps it."""
        c = self.config
        match c.input_code:
            case "graded":
                if c.input_bits is None:
                    return real_code(width)
                if values is None:
                    return InputCode(width, "graded", c.input_bits, False, 2.0**-c.input_bits)
                return graded_code(values, bits=c.input_bits)
            case "level" | "rate" as encoder:
                top = 1.0 if values is None else spread(values, 0.9)
                step = top / c.input_levels
                return level_code(width, levels=c.input_levels, step=step, encoder=encoder)
            case "change" | "delta" as events:
                kind, step = c.input_events, c.input_threshold or 1.0
                code = event_code(
                    width, encoder=events, kind=kind, bits=c.input_bits or 1, step=step
                )
                if values is None or c.input_threshold:
                    return code
                return with_rate(code, values, c.input_rate, mask)

    def calibrate(self, batch: AVBatch) -> None:
        """Choose the scales of the input codes from training data (any amount that is cheap)."""
        c = self.config
        if self.branch is None or (c.glp == "input" and c.input_code not in EVENT_ENCODERS):
            return
        batch = self.sequence(batch)
        with torch.no_grad():
            read = self._read(batch, self._encode(batch))
        for name, values in read.items():
            code = self._code(values.shape[-1], values, batch.mask)
            self.branch.set_code(name, code)
            self.start_threshold(name, code.step)

    def warnings(self, batch: AVBatch) -> list[str]:
        """What a user should know of this trained model; so far, degenerate thresholds."""
        if self.branch is None or self.config.threshold == "fixed":
            return []
        with torch.no_grad():
            prepared = self.prepare(batch)
            assert prepared.chip_input is not None
            thetas = self.branch.thresholds(prepared.chip_input)
        share, name = max((saturated_share(t, self.config.theta), n) for n, t in thetas.items())
        return degenerated(self.config.threshold, share, f"the steps of layer '{name}'", "Eq. 9")

    def _encode(self, batch: AVBatch) -> dict[str, Tensor]:
        features = {"audio": batch.audio, "video": batch.video}
        return {name: net(features[name], batch.mask) for name, net in self.encoders.items()}

    def _both(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Encoded audio and video; of one modality alone, that one twice."""
        one = next(iter(encoded.values()))
        return {name: encoded.get(name, one) for name in ("audio", "video")}

    def _read(self, batch: AVBatch, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the branch reads, before its code, `(batch, time, width)`; padded steps are 0."""
        c = self.config
        raw = {"audio": batch.audio, "video": batch.video}
        found: dict[str, Tensor] = {}
        for name in c.motion_inputs:
            x = encoded[name] if c.snn_input == "encoded" else raw[name]
            if c.snn_input == "change":
                # Repeated features never change: their first step is compared with zero instead.
                before = torch.zeros_like(x[:, :1]) if c.encode == "repeat" else x[:, :1]
                x = torch.diff(x, dim=1, prepend=before)
            if name in self.shape_input:
                x = self.shape_input[name](x, batch.mask)
            found[name] = x * batch.mask.unsqueeze(-1)
        return found

    def prepare(self, batch: AVBatch) -> Prepared:
        """Do all that comes before the chip: encoders, LKC, and the coded input of the branch."""
        batch = self.sequence(batch)
        encoded = self._encode(batch)
        semantic = self._both(encoded) if self.config.transformer else {}
        if self.lkc is not None:
            audio, video = self.lkc(semantic["audio"], semantic["video"], batch.mask)
            semantic = {"audio": audio, "video": video}
        context = STFTContext(semantic, batch.mask)
        if self.branch is None:
            return Prepared(None, context)
        steps, read = self.learnt_steps(), self._read(batch, encoded)
        chip_input = self.branch.coded(read, mask=batch.mask, steps=steps)
        return Prepared(chip_input, context, batch.mask)

    def host_parts(self) -> tuple[str, ...]:
        """The Spikformer, where there is one."""
        if not isinstance(self.cross, SpikingCross):
            return ()
        return (
            "the Spikformer in place of the cross-modal transformer: it multiplies spikes with "
            "spikes, for which the chips have no synapse, and reads what the host fused",
        )

    def _synthesised(self, trace: Trace | None, context: STFTContext) -> dict[str, Tensor]:
        """S of Eq. 8 per modality; the plain mean over time where TSF is ablated."""
        if trace is None or self.branch is None:
            return {}
        like, found = next(self.project_joint.parameters()), {}
        for name, spikes in self.branch.read(trace, like).items():
            if self.config.tsf:
                factors = time_step_factors(spikes, context.mask, literal=self.config.literal)
                found[name] = synthesise(spikes, factors)
            else:
                found[name] = masked_mean(spikes, context.mask)
        return found

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Fuse scene and spikes: TSF, Tucker, cross-modal transformer, projections."""
        assert isinstance(context, STFTContext)
        spiking = self._synthesised(trace, context)
        if self.cross is None:
            joint = torch.cat(list(spiking.values()), -1)
        else:
            fused = {
                name: self.fuse[name](r, spiking[name]) if name in spiking else r
                for name, r in context.semantic.items()
            }
            joint = self.cross(fused["audio"], fused["video"], context.mask)
        heads = [self.project_joint(joint)]
        if self.project_motion is not None and spiking:
            heads.append(self.project_motion(torch.cat(list(spiking.values()), -1)))
        return Embedding(tuple(heads), {})

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """0.5 L_t + 0.5 (L_p + L_r) (Eq. 16-18) of every head; `vectors` all classes' `(C, 300)`.

        `parts` are unweighted.
        """
        c = self.config
        raw = vectors[label]
        word = self.embed_words(raw)
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), dtype=word.dtype, device=word.device)
        for name, head in zip(("joint", "motion"), output.heads, strict=False):
            terms = {}
            if "triplet" in c.loss_parts:
                terms["triplet"] = triplet(head, word, negative, margin=c.margin)
            if "projection" in c.loss_parts:
                terms["projection"] = projection(head, word)
            if self.reconstruct is not None:
                back = self.reconstruct(head), self.reconstruct(word)
                terms["reconstruction"] = reconstruction(*back, raw)
            for part, value in terms.items():
                weight = c.weight_triplet if part == "triplet" else c.weight_rest
                total = total + weight * value
                parts[f"{name}/{part}"] = value
        return LossTerms(total, parts)


build = STFT.build
