"""The base of models with a spiking branch: options, the copy that is deployed, the forward pass.

A model is described by plain values (`options`), from which `build` makes it again; the input codes
and the frozen thresholds of the branch are among them. The deployed model is a second one, made
from changed values, with the same weights on the host and the folded ones in the branch.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.core.stored_codes import read_codes
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import Embedding, Prepared
from neurozsl.models.blocks import last_map, projection_map
from neurozsl.models.branch_config import BranchConfig
from neurozsl.models.event_threshold import EventThreshold
from neurozsl.models.pathways import PathwayBranch
from neurozsl.models.sequence import as_steps

B = TypeVar("B", bound=PathwayBranch[Any])


class WithBranch(nn.Module, Generic[B]):
    """Half of a `BranchModel`; a subclass sets what follows and writes the rest of the contract.

    name: for messages. configure: options -> `config`. deployed: options that the deployed copy
    changes. branch: None where the option `motion` leaves it out. event_thresholds: modality ->
    `EventThreshold` of its events, those that are trained.
    """

    name: ClassVar[str]
    configure: ClassVar[Callable[..., BranchConfig]]
    deployed: ClassVar[Mapping[str, Any]] = {"learn_thresholds": False}
    config: BranchConfig
    branch: B | None
    project_motion: nn.Sequential | None
    project_word: nn.Module

    def __init__(self, config: BranchConfig) -> None:
        super().__init__()
        self.config = config
        self.event_thresholds = nn.ModuleDict()

    @classmethod
    def build(
        cls,
        *,
        codes: Mapping[str, Any] | None = None,
        thetas: Mapping[str, float] | None = None,
        **options: Any,
    ) -> Self:
        """Make the model; `codes` and `thetas` restore the input codes and frozen thresholds.

        Raises:
            BadInput: an option does not exist or has a value that is not allowed.
        """
        model = cls(cls.configure(**options))
        model.restore(codes or {}, thetas or {})
        return model

    def restore(self, codes: Mapping[str, Any], thetas: Mapping[str, float]) -> None:
        """Give the branch the input codes and frozen thresholds that `options` wrote."""
        if self.branch is None:
            return
        made_by = read_codes(dict(codes), "model", remedy="restore it from a copy of the run")
        for name, made in made_by.items():
            self.branch.set_code(name, made)
            self.start_threshold(name, made.step)
        if thetas:
            self.branch.freeze(thetas)

    def make_heads(self, joint: int, motion: int) -> None:
        """Projections of the fused vector, of the spikes where they have a head, and of the words.

        Args:
            joint: width of the fused vector.
            motion: neurons that the branch's last layers have together.
        """
        c = self.config
        sizes = (c.hidden, c.proj, c.drop_dec, c.output)
        self.project_joint = projection_map(joint, *sizes)
        self.project_motion = projection_map(motion, *sizes) if c.motion and c.motion_head else None
        self.project_word = last_map(c.word_dim, c.proj, c.drop_word, c.output)

    def start_threshold(self, name: str, step: float) -> None:
        """Let the threshold of this modality's events train from `step` on, if it is trained."""
        if name in self.event_thresholds:
            cast(EventThreshold, self.event_thresholds[name]).set(step)

    def learnt_steps(self) -> dict[str, Tensor]:
        """Thresholds of events that are trained, by modality; their values go into the codes.

        What describes the branch (`options`, `motion_branch`) asks for them first, so that the
        codes hold the thresholds of the moment, as does what is encoded (`prepare`).
        """
        steps = {name: threshold() for name, threshold in self.event_thresholds.items()}
        if self.branch is not None:
            for name in steps.keys() & self.branch.codes.keys():
                code = replace(self.branch.codes[name], step=float(steps[name].detach()))
                self.branch.set_code(name, code)
        return steps

    def options(self) -> dict[str, Any]:
        """The resolved configuration and the codes fixed by `calibrate`, as JSON values."""
        self.learnt_steps()
        codes, thetas = {}, {}
        if self.branch is not None:
            codes = {name: asdict(code) for name, code in self.branch.codes.items()}
            thetas = dict(self.branch.frozen_theta)
        return {**asdict(self.config), "codes": codes, "thetas": thetas}

    def motion_branch(self) -> B | None:
        """The spiking branch; None with motion=false."""
        self.learnt_steps()
        return self.branch

    def host_parts(self) -> tuple[str, ...]:
        """Nothing that spikes is left to the host."""
        return ()

    def frozen(self, theta: Mapping[str, float]) -> Self:
        """A copy that is ready to be deployed: BatchNorm folded, one constant threshold per layer.

        Raises:
            BadInput: the model has no spiking branch.
        """
        if self.branch is None:
            raise BadInput(f"model '{self.name}': motion=false, there is no branch to freeze")
        made = self.build(**{**self.options(), **self.deployed, "thetas": dict(theta)})
        rest = {k: v for k, v in self.state_dict().items() if not k.startswith("branch.")}
        made.load_state_dict(rest, strict=False)  # the branch follows
        assert made.branch is not None
        made.branch.load_folded(self.branch)
        return made

    def sequence(self, batch: AVBatch) -> AVBatch:
        """The batch with T steps: benchmark features without time are repeated T times."""
        return as_steps(batch, steps=self.config.steps, encode=self.config.encode, model=self.name)

    def prepare(self, batch: AVBatch) -> Prepared:
        """The subclass's."""
        raise NotImplementedError

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """The subclass's."""
        raise NotImplementedError

    def forward(self, batch: AVBatch) -> Embedding:
        """The whole model with Norse's neurons in the middle."""
        prepared, trace = self.prepare(batch), None
        if self.branch is not None and prepared.chip_input is not None:
            trace = self.branch(prepared.chip_input, prepared.mask)
        return self.finish(trace, prepared.context)

    def embed_words(self, vectors: Tensor) -> Tensor:
        """W_proj of MDFT's Eq. 12, STFT's W_tex: `(classes, 300)` -> `(classes, proj)`."""
        words: Tensor = self.project_word(vectors)
        return words
