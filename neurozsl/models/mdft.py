"""MDFT: motion-decoupled spiking transformer for audio-visual zero-shot learning.

Li et al., MM '23, doi 10.1145/3581783.3611759 (the journal calls it MDST). In: an `AVBatch`; out:
an embedding in the 64-d space of the projected class vectors. Two streams: scene context (encoders,
RJLU) on the host, motion (events -> DAB -> spiking branch) on the chip; the CRM joins them.

    host   a, v = E_aud, E_vis(features);  S, h = RJLU(a, v)              section 3.1
    host   E_v = ternary events of v;  E_a = DAB(a, E_v)                  section 3.2, `prepare`
           of the encoded features, as printed, or of the raw ones: option `events_of`
    chip   j = LIF stack(E), three blocks per modality                    section 3.2, the branch
           with events=pixel, motion_encoder=conv: convolutions on the events of pixels (ours)
    host   CRM(a, v, j, h) -> AV_proj, motion head                        section 3.3, `finish`

Four presets (`mdft_presets`): `paper` (the printed equations where they can be computed, one fused
head, 300 wide; its branch reads real numbers, so it is trained and scored, not exported; thresholds
`dynamic`, features in time where the data are), `paper-wide` (512 wide, on codes), `deploy`
(compact; BatchNorm before each LIF, and a second head on the spikes alone with its own loss: with
one fused head the scene shortcut drowns the motion branch) and `sparse` (the same with audio as
events). The head is ours, not the paper's. Every equation: `EQUATIONS.md`.

The ablations of the paper's Tables 2 to 4 and Fig. 5 are options with names, `mdft_ablations`::

    Table 2  egm=false (the branch reads the features, not events), neuron=mlp (no spikes)
    Table 3  motion=false (w/o MIM), rjlu=false, crm=false
    Table 4  weight_n, weight_p, weight_r (0 leaves L_n, L_p, L_r out)
    Fig. 5   threshold=fixed with theta=VALUE, inputs=["video"] or ["audio"]
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.data.events.feature_events import FEATURE_LOG_EPS, First, events_of, feature_changes
from neurozsl.models.base import Embedding, LossTerms, Prepared
from neurozsl.models.blocks import Encoder, last_map, masked_mean
from neurozsl.models.crm import CRM, MeanFusion
from neurozsl.models.dab import DAB
from neurozsl.models.event_codes import EVENT_ENCODERS, threshold_gradient, threshold_of
from neurozsl.models.event_threshold import EventThreshold
from neurozsl.models.losses import projection, reconstruction, triplet
from neurozsl.models.mdft_config import MDFTConfig, configure
from neurozsl.models.mdft_inputs import fitted, input_codes
from neurozsl.models.motion import SpikingBranch
from neurozsl.models.pixel_input import pixel_motion
from neurozsl.models.rjlu import RJLU
from neurozsl.models.threshold import degenerated, saturated_share, thresholds
from neurozsl.models.with_branch import WithBranch


@dataclass(frozen=True)
class MDFTContext:
    """What `prepare` leaves on the host for `finish`."""

    audio: Tensor  # (batch, time, E)
    video: Tensor  # (batch, time, E)
    knowledge: Tensor | None  # (batch, time, E)
    mask: Tensor  # (batch, time)


class MDFT(WithBranch[SpikingBranch]):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    name = "mdft"
    configure = staticmethod(configure)
    deployed: ClassVar[Mapping[str, Any]] = {
        "norm": False,
        "threshold": "fixed",
        "learn_thresholds": False,
    }
    config: MDFTConfig

    def __init__(self, config: MDFTConfig) -> None:
        super().__init__(config)
        c = config
        attention = {"heads": c.heads, "head_width": c.head_width}
        sizes = (c.hidden, c.embed, c.drop_enc)
        self.encode_audio = Encoder(c.audio_dim, *sizes) if "audio" in c.inputs else None
        self.encode_video = Encoder(c.video_dim, *sizes) if "video" in c.inputs else None
        self.rjlu = (
            RJLU(
                c.embed,
                **attention,
                slots=c.slots,
                hidden=c.feed_hidden or None,
                dropout=c.drop_enc,
                literal=c.literal,
            )
            if c.rjlu
            else None
        )
        motion: dict[str, int] = {}  # modality -> width of its last spiking layer
        if c.motion:
            motion = {name: c.motion_widths[-1] for name in c.motion_inputs}
        self.dab = (
            DAB(c.motion_dims["audio"], reduce=c.dab)
            if c.motion and c.egm and "audio" in c.motion_inputs
            else None
        )
        if c.learn_thresholds and c.sees_changes:
            self.event_thresholds["video"] = EventThreshold(c.event_threshold)
        self.branch = self._make_branch(norm=c.norm) if c.motion else None
        if c.learn_thresholds and self.branch is not None and c.audio_code in EVENT_ENCODERS:
            self.event_thresholds["audio"] = EventThreshold(c.audio_threshold or 1.0)
        self.fuse: CRM | MeanFusion = (
            CRM(
                c.embed,
                motion,
                **attention,
                gate=c.gate,
                dropout=c.drop_enc,
                keys=c.crm_keys,
                depth=c.crm_depth,
                hidden=c.feed_hidden or None,
            )
            if c.crm
            else MeanFusion(c.embed, motion)
        )
        self.make_heads(c.embed, sum(motion.values()))
        self.reconstruct = last_map(c.proj, c.word_dim, c.drop_dec, c.output)

    def _make_branch(self, *, norm: bool) -> SpikingBranch:
        return self._branch_of(self.config.motion_widths, norm=norm)

    def _branch_of(
        self, widths: Sequence[int], *, norm: bool, taps: Sequence[str] = ()
    ) -> SpikingBranch:
        c = self.config
        return SpikingBranch(
            input_codes(self.config),
            widths,
            steps=c.steps,
            dt_s=c.dt_s,
            neuron=c.neurons,
            norm=norm,
            dynamic=c.threshold != "fixed",
            taps=taps,
            pool_time=c.pool_time,
            maps=c.map_encoders,
        )

    def _visual_events(self, batch: AVBatch, audio: Tensor, video: Tensor) -> Tensor:
        """Visual motion features E_v (Eq. 4, 5): ternary changes, or pixel events as 0 and 1."""
        if "video" not in self.config.inputs:  # nothing is seen, so nothing moves
            return torch.zeros_like(audio)
        if self.config.events == "pixel":
            return pixel_motion(batch, self.name)
        learnt = self.learnt_steps().get("video")
        step = self.config.event_threshold if learnt is None else float(learnt.detach())
        changes = self._visual_changes(video, step)
        events = events_of(changes, step)
        return events if learnt is None else events + threshold_gradient(changes, learnt)

    def _visual_changes(self, video: Tensor, step: float) -> Tensor:
        """What is compared with the threshold `step` of the visual feature events."""
        # Repeated features never change: the first step is compared with zero instead, so that
        # the branch sees at least where the feature is large.
        first: First = "zero" if self.config.encode == "repeat" else "self"
        return feature_changes(video, step, log=self.config.event_log, first=first)

    def _made_from(
        self, batch: AVBatch, encoded: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Audio and video that the motion is made from; encoded: by `_encoded`, None: not yet."""
        if self.config.events_of == "raw":
            return batch.audio, batch.video
        return self._encoded(batch) if encoded is None else encoded

    def _motion_features(
        self, batch: AVBatch, encoded: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """What the motion pathways read before it is coded, `(batch, time, any)`; padding is 0."""
        real = batch.mask.unsqueeze(-1)
        audio, video = self._made_from(batch, encoded)
        if not self.config.egm:
            return {"audio": audio * real, "video": video * real}
        visual = self._visual_events(batch, audio, video) * real
        if self.dab is None:
            return {"video": visual}
        return {"audio": self.dab(audio, visual) * real, "video": visual}

    def calibrate(self, batch: AVBatch) -> None:
        """Choose scales and thresholds of the codes from training data (as much as is cheap)."""
        if self.branch is None:
            return
        batch = self.sequence(batch)
        if self.config.event_rate:
            step = self._visual_threshold(batch)
            self.config = replace(self.config, event_threshold=step)
            self.start_threshold("video", step)
        with torch.no_grad():
            features = self._motion_features(batch)
        for name, code in tuple(self.branch.codes.items()):
            self.branch.set_code(name, fitted(self.config, code, features[name], batch.mask))
        if "audio" in self.branch.codes:
            self.start_threshold("audio", self.branch.codes["audio"].step)

    def _visual_threshold(self, batch: AVBatch) -> float:
        """Where as many visual features change as `event_rate` says."""
        with torch.no_grad():
            video = self._made_from(batch, None)[1]

        def rate_of(step: float) -> float:
            events = events_of(self._visual_changes(video, step), step)
            return int(events[batch.mask].count_nonzero()) / events[batch.mask].numel()

        # log(x + 0.1) is below x, but may be as low as log(0.1).
        top = 2 * max(float(video.abs().max()), -math.log(FEATURE_LOG_EPS))
        return threshold_of(self.config.event_rate, rate_of, top)

    def options(self) -> dict[str, Any]:
        """As every model with a branch; a learnt visual threshold with its value of the moment."""
        learnt = self.learnt_steps()
        found = super().options()
        if "video" in learnt:
            found["event_threshold"] = float(learnt["video"].detach())
        return found

    def warnings(self, batch: AVBatch) -> list[str]:
        """What a user should know of this trained model; so far, degenerate thresholds."""
        if self.config.threshold in ("fixed", "dynamic"):
            return []
        with torch.no_grad():
            chip_input = self.prepare(batch).chip_input
        assert chip_input is not None and chip_input.theta is not None
        share = max(saturated_share(t, self.config.theta) for t in chip_input.theta.values())
        return degenerated(self.config.threshold, share, "the steps", "Eq. 7")

    def prepare(self, batch: AVBatch) -> Prepared:
        """Do all that comes before the chip: encoders, RJLU, events, audio motion, thresholds."""
        batch = self.sequence(batch)
        audio, video = self._encoded(batch)
        joint, knowledge = self.rjlu(audio, video) if self.rjlu is not None else (None, None)
        context = MDFTContext(audio, video, knowledge, batch.mask)
        if self.branch is None:
            return Prepared(None, context)
        steps, features = self.learnt_steps(), self._motion_features(batch, (audio, video))
        theta = None
        if joint is not None and self.config.threshold != "fixed":
            theta = self._thresholds(joint, {name: features[name] for name in self.branch.codes})
        chip_input = self.branch.coded(features, theta, batch.mask, steps)
        return Prepared(chip_input, context, batch.mask)

    def _encoded(self, batch: AVBatch) -> tuple[Tensor, Tensor]:
        """Encoded audio and video; of one modality alone, that one twice."""
        audio = None if self.encode_audio is None else self.encode_audio(batch.audio, batch.mask)
        video = None if self.encode_video is None else self.encode_video(batch.video, batch.mask)
        audio = video if audio is None else audio
        video = audio if video is None else video
        assert audio is not None and video is not None
        return audio, video

    def _thresholds(self, joint: Tensor, motion: dict[str, Tensor]) -> dict[str, Tensor]:
        assert self.branch is not None
        joint = joint.detach() if self.config.detach_threshold else joint
        table: dict[str, Tensor] = {}
        for name, features in motion.items():
            theta = thresholds(
                joint, features, theta_0=self.config.theta, mode=self.config.threshold
            )
            table |= dict.fromkeys(self.branch.layer_names(name), theta)
        return table

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Fuse scene and spikes: CRM, projection, and the head on the spikes alone."""
        assert isinstance(context, MDFTContext)
        motion: dict[str, Tensor] = {}
        if trace is not None and self.branch is not None:
            motion = self.branch.read(trace, context.audio)
        return self._embed(motion, context)

    def _embed(self, motion: Mapping[str, Tensor], context: MDFTContext) -> Embedding:
        """Heads of the fused vector and of the spikes `(batch, time, neuron)` of each modality."""
        joint = self.fuse(context.audio, context.video, motion, context.knowledge, context.mask)
        heads = [self.project_joint(joint)]
        if self.project_motion is not None and motion:
            pooled = masked_mean(torch.cat(list(motion.values()), -1), context.mask)
            heads.append(self.project_motion(pooled))
        return Embedding(tuple(heads), {})

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """L_n + L_p + L_r (Eq. 13-15) of every head, weighted; `parts` are without weights.

        `vectors` are all classes' `(C, 300)`.
        """
        c = self.config
        raw = vectors[label]
        word = self.embed_words(raw)
        from_word = self.reconstruct(word)
        parts: dict[str, Tensor] = {}
        weights: list[float] = []
        for name, (head, weight) in self._weighted(output).items():
            parts[f"{name}/triplet"] = triplet(head, word, negative, margin=c.margin)
            parts[f"{name}/projection"] = projection(head, word)
            parts[f"{name}/reconstruction"] = reconstruction(self.reconstruct(head), from_word, raw)
            weights += [weight * w for w in (c.weight_n, c.weight_p, c.weight_r)]
        weighted = [w * part for w, part in zip(weights, parts.values(), strict=True)]
        return LossTerms(torch.stack(weighted).sum(), parts)

    def _weighted(self, output: Embedding) -> dict[str, tuple[Tensor, float]]:
        """Embeddings that the loss sees, each with the weight of its three terms."""
        return {
            name: (head, 1.0) for name, head in zip(("joint", "motion"), output.heads, strict=False)
        }


build = MDFT.build
