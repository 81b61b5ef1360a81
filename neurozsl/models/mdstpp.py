"""MDST++-style reading: MDFT whose spiking part attends, in stages of ever fewer time steps.

Li et al., "Multi-Timescale Motion-Decoupled Spiking Transformer for Audio-Visual Zero-Shot
Learning". Its 19 equations are not public; what follows reads its abstract and the caption of
Fig. 4, and is no reproduction: "self-attention and Transformers are integrated", "divides the SNN
into m stages with progressively compressed time steps (T_1 > T_2 > ... > T_m)", "the outputs at
different time steps are used to calculate losses". The rest of the model is MDFT's.

    host   a, v, S, h = encoders, RJLU;  E_v = events;  E_a = DAB             as `models.mdft`
    chip   x = LIF stack(E);  Q, K, V = LIF(BN(W x)) of the first attention   the branch
    host   s Q K^T V and all that follows it: stages T_1 > ... > T_m          `models.timescales`
    host   CRM(a, v, x_m, h) -> AV_proj;  a head on every stage's spikes      `finish`

Loss: L(joint) + 1/m sum_i L(head_i(mean_t x_i)), L the three losses of MDFT. The head of the last
stage is scored at test beside the fused one; those before it only train (as the early classifiers
of Ding et al., AAAI 2024).

The product of two spike trains is no node of NIR and no synapse of a chip here, so the chip ends in
front of it (`host_parts` says so). Without attention (`ssa=false`) the first stage is a plain stack
and lies on the chip as a whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import Embedding, Prepared
from neurozsl.models.blocks import masked_mean, projection_map
from neurozsl.models.coding import graded_code
from neurozsl.models.mdft import MDFT, MDFTContext
from neurozsl.models.mdft_config import MDFTConfig, resolve
from neurozsl.models.mdft_presets import PAPER_WIDE, SPARSE
from neurozsl.models.motion import SpikingBranch
from neurozsl.models.options import check_known, check_rules, one_of
from neurozsl.models.pathways import read_spikes
from neurozsl.models.shrinkage import stage_lengths, stretch
from neurozsl.models.spiking_attention import AttentionConfig, Projections, SpikingProduct, Tokens
from neurozsl.models.timescales import Timescales

TAPS = ("q", "k", "v")


@dataclass(frozen=True)
class MDSTPPConfig(MDFTConfig):
    """Options beside MDFT's; the defaults are the preset `deploy`.

    motion_widths: the embedding layers; the last width is that of every stage. Ablations:
    `stages=1`, `shrink="none"`, `ssa=false`, `threshold="fixed"`, `egm=false` (the visual features
    themselves in place of their events), `stage_losses=false`.
    """

    motion_widths: tuple[int, ...] = (256, 128)
    ssa: bool = True
    tokens: Tokens = "slots"
    motion_slots: int = 8
    motion_heads: int = 1
    # Spikformer's 1/8 is for 196 tokens: it never fired with 8 (measured).
    attention_scale: float = 1.0
    attention_theta: float = 0.5  # Spikformer's, where every other threshold is 1
    mlp_ratio: int = 2
    depth: int = 1
    # Synthetic set, three seeds: HM of the motion head 64 with two stages, 50 with three.
    stages: int = 2
    stage_steps: tuple[int, ...] = ()  # T_1, ..., T_m; empty: halve `stages` - 1 times
    shrink: Literal["mean", "learnt", "none"] = "mean"
    stage_losses: bool = True
    on_chip: Literal["qkv", "embedding"] = "qkv"

    @property
    def lengths(self) -> tuple[int, ...]:
        """Steps of every stage."""
        if self.shrink == "none":
            return (self.steps,) * self.stages
        return self.stage_steps or stage_lengths(self.steps, self.stages)

    @property
    def attention(self) -> AttentionConfig | None:
        """Attention of every block; None where it is ablated."""
        if not self.ssa:
            return None
        return AttentionConfig(
            width=self.motion_widths[-1],
            slots=self.motion_slots,
            heads=self.motion_heads,
            scale=self.attention_scale,
            theta=self.attention_theta,
            tokens=self.tokens,
        )


# MDFT's `paper-wide` (no parameter count of MDST++ is known that would say more), and Spikformer's
# normalisation, without which deep spiking stacks are silent.
_PAPER: dict[str, Any] = {
    **PAPER_WIDE,
    "motion_widths": (512,),
    "norm": True,
    "attention_scale": 0.125,  # 1 / sqrt(64 channels), as Spikformer
    "mlp_ratio": 4,
    "stages": 3,
}
_PRESETS: Mapping[str, Mapping[str, Any]] = {"paper": _PAPER, "deploy": {}, "sparse": SPARSE}


def configure(*, audio_dim: int, video_dim: int, **options: Any) -> MDSTPPConfig:
    """Resolve a preset and the options on top of it.

    Raises:
        BadInput: an option does not exist, has a value that is not allowed, or contradicts another.
    """
    name = MDSTPP.name
    if options.get("on_chip") == "attention":
        raise BadInput(
            f"model '{name}': on_chip=attention cannot be exported: Q K^T V multiplies spikes with "
            "spikes, while a synapse of NIR, Loihi 2 or Speck multiplies spikes with stored "
            "weights, and NIR has no node for the product; use on_chip=qkv (Q, K and V on the "
            "chip, their product on the host) or ssa=false (a stack without attention)"
        )
    check_known(name, MDSTPPConfig, options)
    if options.get("motion_encoder", "dense") != "dense":
        raise BadInput(
            f"model '{name}': motion_encoder={options['motion_encoder']} is not one of its "
            "encoders, its stages read dense layers; use --model mdft"
        )
    if options.get("motion_profile"):  # few cores and destinations: no room for Q, K and V
        options = {"on_chip": "embedding", **options}
    config = resolve(name, MDSTPPConfig, _PRESETS, audio_dim, video_dim, options)
    if "stage_steps" in options:
        lengths = tuple(int(t) for t in options["stage_steps"])
        config = replace(config, stage_steps=lengths, stages=len(lengths) or config.stages)
    one_of(name, "neuron", config.neuron, ("lif", "if"))
    for option in ("stages", "depth", "mlp_ratio", "motion_slots", "motion_heads"):
        value = getattr(config, option)
        check_rules(name, {f"{option}={value}, expected 1 or more": value >= 1})
    lengths = config.lengths
    falling = all(later < earlier for earlier, later in pairwise((*lengths, 0)))
    if config.shrink != "none" and not (lengths[0] == config.steps and falling):
        raise BadInput(
            f"model '{name}': stage_steps={list(lengths)} with steps={config.steps}, expected to "
            "start there and to fall from stage to stage, to 1 or more"
        )
    _ = config.attention  # checks its sizes
    return config


@dataclass(frozen=True)
class StageContext(MDFTContext):
    """`MDFTContext` and the dynamic thresholds of the host's stages, per modality."""

    theta: Mapping[str, Tensor] | None  # (batch, time)


class MDSTPP(MDFT):
    """The model; see the module's docstring. Keeps the contract of `models.base.ZSLModel`."""

    name = "mdst++"
    configure = staticmethod(configure)
    # Thresholds and norm of the host's stages stay.
    deployed: ClassVar[Mapping[str, Any]] = {"learn_thresholds": False}
    config: MDSTPPConfig

    def __init__(self, config: MDSTPPConfig) -> None:
        super().__init__(config)
        c = config
        self.timescales = nn.ModuleDict()
        self.project_stages = nn.ModuleList()
        if self.branch is None:
            return
        width = c.motion_widths[-1]
        for modality in c.motion_inputs:
            self.timescales[modality] = Timescales(
                c.attention,
                width=width,
                lengths=c.lengths,
                depth=c.depth,
                ratio=c.mlp_ratio,
                learnt=c.shrink == "learnt",
                projected=c.on_chip == "qkv",
                neuron=c.neurons,
                norm=c.norm,
            )
        if c.stage_losses:
            joined = width * len(c.motion_inputs)
            # The motion head is that of the last stage.
            self.project_stages.extend(
                projection_map(joined, c.hidden, c.proj, c.drop_dec, c.output)
                for _ in c.lengths[int(c.motion_head) :]
            )

    def _make_branch(self, *, norm: bool) -> SpikingBranch:
        """The embedding layers, and of the first stage what has no product of spikes in it."""
        c = self.config
        width = c.motion_widths[-1]
        if not c.ssa:
            plain = (c.mlp_ratio * width, width) * c.depth
            return self._branch_of((*c.motion_widths, *plain), norm=norm)
        taps = TAPS if c.on_chip == "qkv" else ()
        return self._branch_of(c.motion_widths, norm=norm, taps=taps)

    def calibrate(self, batch: AVBatch) -> None:
        """Choose the scales of the graded codes from training data."""
        super().calibrate(batch)
        c = self.config
        if self.branch is None or "video" not in self.branch.codes or c.egm:
            return
        if c.audio_bits is not None and c.events_of == "raw":
            video = self.sequence(batch).video
            self.branch.set_code("video", graded_code(video, bits=c.audio_bits))

    def prepare(self, batch: AVBatch) -> Prepared:
        """As MDFT's; the host's stages keep the thresholds that follow the sample."""
        chip_input, host, mask = super().prepare(batch)
        theta = None
        if self.branch is not None and chip_input is not None and chip_input.theta is not None:
            theta = {m: chip_input.theta[self.branch.chain_end(m)] for m in self.branch.codes}
            if self.branch.policy != "dynamic":  # frozen: the chip has constants
                chip_input = ChipInput(chip_input.codes, chip_input.code)
        return Prepared(chip_input, StageContext(**vars(host), theta=theta), mask)

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """The stages from the chip's spikes on, then CRM and heads on the last one."""
        assert isinstance(context, StageContext)
        if trace is None or self.branch is None:
            return self._embed({}, context)
        stages = {name: self._stages(name, trace, context) for name in self.branch.codes}
        steps = context.mask.shape[1]
        output = self._embed(
            {name: stretch(s[-1][0], steps) for name, s in stages.items()}, context
        )
        aux = {}
        for number, project in enumerate(self.project_stages):
            pooled = [masked_mean(*s[number]) for s in stages.values()]
            aux[f"stage{number + 1}"] = project(torch.cat(pooled, -1))
        return Embedding(output.heads, aux)

    def _stages(self, name: str, trace: Trace, context: StageContext) -> list[Any]:
        """Spikes and mask of every stage of one modality."""
        assert self.branch is not None
        x = read_spikes(trace, self.branch.chain_end(name), context.audio)
        qkv = None
        if self.branch.taps:
            taps = (read_spikes(trace, f"{name}.{tap}", context.audio) for tap in TAPS)
            qkv = Projections(*taps)
        theta = None if context.theta is None else context.theta[name]
        stages: list[Any] = self.timescales[name](x, qkv, context.mask, theta)
        return stages

    def _weighted(self, output: Embedding) -> dict[str, tuple[Tensor, float]]:
        """The fused head, and 1/m for the head of every stage."""
        terms = super()._weighted(output)
        if not self.config.stage_losses:
            return terms
        share = 1.0 / len(self.config.lengths)
        terms |= {name: (head, share) for name, head in output.aux.items()}
        if "motion" in terms:
            terms["motion"] = (terms["motion"][0], share)
        return terms

    def warnings(self, batch: AVBatch) -> list[str]:
        """Degenerate thresholds, and attention that never fires."""
        moving = self.branch is None or self.branch.policy == "dynamic"
        found = super().warnings(batch) if moving else []
        rates = self.attention_rates(batch)
        return found + [
            f"attention {name}: its neurons never fire on {len(batch)} training samples, its "
            "layers only pass the residual on; raise attention_scale or lower attention_theta"
            for name, rate in rates.items()
            if rate == 0
        ]

    @torch.no_grad()
    def attention_rates(self, batch: AVBatch) -> dict[str, float]:
        """Spike rate of the neurons that read each product, by modality and stage."""
        rates: dict[str, float] = {}
        hooks = [
            module.register_forward_hook(
                lambda _module, _given, spikes, key=name: rates.update({key: float(spikes.mean())})
            )
            for name, module in self.named_modules()
            if isinstance(module, SpikingProduct)
        ]
        try:
            self(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return {name.removeprefix("timescales."): rate for name, rate in rates.items()}

    def restore(self, codes: Mapping[str, Any], thetas: Mapping[str, float]) -> None:
        """As every branch; one with frozen thresholds is the deployed one, its BatchNorm folded."""
        if thetas and self.branch is not None:
            self.branch = self._make_branch(norm=False)
        super().restore(codes, thetas)

    def host_parts(self) -> tuple[str, ...]:
        """Spiking parts that stay on the host, each with the reason."""
        if self.branch is None:
            return ()
        lengths = ", ".join(str(t) for t in self.config.lengths)
        first = "Q, K and V are on the chip" if self.branch.taps else "as are Q, K and V"
        parts = []
        if self.config.ssa:
            parts.append(
                f"the product s Q K^T V of every attention ({first}): it multiplies spikes with "
                "spikes, for which NIR has no node and the chips have no synapse"
            )
            parts.append(
                "the rest of the first stage: it reads that product, and the chip would have to "
                "wait for the host within a step"
            )
        if len(self.config.lengths) > 1:
            why = "each averages the steps of the one before, and a chip's layers share one clock"
            if self.config.shrink == "none":
                why = "as with shrinkage, so that the ablation changes one thing"
            parts.append(f"the stages after the first (steps per stage {lengths}): {why}")
        return tuple(parts)


build = MDSTPP.build
