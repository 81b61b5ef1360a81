"""f-VAEGAN-D2: features of unseen classes are generated, then classified (Xian et al., CVPR 2019).

In: an `AVBatch`, averaged over its real steps; x = [audio; video] of unit length. Out: the
log-probabilities of a softmax classifier, the one head of the score; a class embedding picks its
column. Nothing spikes: the whole model runs on the host. Networks and losses: `fvaegan_nets`. ::

    every batch        D and D2 minimise their cost on x and x~ = G(noise, w)
    every 5th          E and G minimise  1e5 G_cost + VAE,
                       G_cost = - mean D(x^, w) - mean D(x~, w) - mean D2(x~)
    before scoring     G makes `synthetic` features of every unseen class; a softmax classifier is
                       trained on them and on the features that are trained on

Each network has an Adam of its own, of the training's learning rate (1e-3 in the public scripts)
and betas 0.5 and 0.999; weight decay, schedule and clipping are not used. S, U and HM are those of
the house, beta 0 being the public code's. One classifier gives ZSL too, by its unseen columns.

Readings. The public code of AVCA's table does what its authors would hardly have wanted, each an
option here:

    batches=first      the loop over batches breaks off after the first one: one step of the
                       critics and one of the generator per epoch, 50 of each in all
    d2=idle            D2 is trained but does not enter G_cost; by default it does, as in the
                       paper's L_n. In the paper D2 sees features of unseen classes without labels
                       (transductive); here as there it sees those that are trained on
    selection=test     after every epoch the classifier keeps the best of its epochs on the very
                       split that is reported, and of all epochs the best is kept: twice. `ZSL`
                       has a classifier of its own, on unseen classes alone, again the best of its
                       epochs. What it reports is in the log as `public_HM`, ... of every epoch.
                       By default the classifier of its last epoch counts, and stage 1 chooses the
                       number of epochs on validation classes

and all three as `--protocol published` trains them (`recipes.toml`) are the public run. Its sigmoid
leaves generated features between 0 and 1 although real ones may be negative; that is kept.

Parameters at 512/512: E 578,100, G 833,024, D 678,913, D2 525,313, and the classifier.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import Embedding, LossTerms, Prepared
from neurozsl.models.baselines.fvaegan_config import FVAEGANConfig, configure
from neurozsl.models.baselines.fvaegan_features import Judged, features, judged_by, whole
from neurozsl.models.baselines.fvaegan_nets import (
    Critic,
    Generator,
    LatentEncoder,
    critic_terms,
    latent_sample,
    vae_terms,
)
from neurozsl.models.baselines.softmax_classifier import Recalls, SoftmaxClassifier, fit_classifier
from neurozsl.models.own_stages import OwnTraining

_ABSENT = -1e4  # log-probability of a class that the classifier has no output for


class FVAEGAN(nn.Module):
    """The model; see the module's docstring. Keeps `ZSLModel` and `models.own_stages.OwnStages`.

    class_vectors `(classes, words)` are those that the classifier's columns stand for, has_output
    `(classes,)` says which of them it has; both are set by the training.
    """

    class_vectors: Tensor
    has_output: Tensor

    def __init__(self, config: FVAEGANConfig) -> None:
        super().__init__()
        self.config = c = config
        width = c.audio_dim + c.video_dim
        self.encoder = LatentEncoder(width, c.word_dim, c.latent)
        self.generator = Generator(c.latent, c.word_dim, c.hidden, width)
        self.critic = Critic(width, c.word_dim, c.hidden)
        self.critic2 = Critic(width, 0, c.hidden)
        self.classifier = SoftmaxClassifier(width, c.classes)
        self.register_buffer("class_vectors", torch.zeros(c.classes, c.word_dim))
        self.register_buffer("has_output", torch.zeros(c.classes, dtype=torch.bool))

    def calibrate(self, batch: AVBatch) -> None:
        """Nothing here depends on the training data but the weights."""

    def prepare(self, batch: AVBatch) -> Prepared:
        """X `(batch, audio + video)`; nothing goes to a chip."""
        return Prepared(None, features(batch))

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        """Log-probabilities of all classes, -10,000 for those that have no output."""
        scores = functional.linear(context, self.classifier.weight, self.classifier.bias)
        scores = scores.masked_fill(~self.has_output, -torch.inf).log_softmax(1)
        return Embedding((scores.masked_fill(~self.has_output, _ABSENT),), {}, "product")

    def forward(self, batch: AVBatch) -> Embedding:
        """The whole model."""
        return self.finish(None, self.prepare(batch).context)

    def embed_words(self, vectors: Tensor) -> Tensor:
        """A 1 in the column of each class vector: `(n, words)` -> `(n, classes)`.

        Raises:
            BadInput: a vector that the classifier has no output for.
        """
        if vectors.shape == self.class_vectors.shape and torch.equal(vectors, self.class_vectors):
            return torch.eye(len(vectors), dtype=vectors.dtype, device=vectors.device)
        same = (vectors[:, None] == self.class_vectors[None]).all(-1)
        new = int((~(same & self.has_output).any(1)).sum())
        if new:
            raise BadInput(
                f"model 'fvaegan-d2': its classifier has no output for {new} of {len(vectors)} "
                "class vectors; it knows the classes that it was trained with alone"
            )
        return functional.one_hot(same.int().argmax(1), len(self.class_vectors)).to(vectors.dtype)

    def loss(
        self, output: Embedding, label: Tensor, negative: Tensor, vectors: Tensor
    ) -> LossTerms:
        """Nothing is minimised by the house's loop: see `own_epochs`."""
        return LossTerms(output.heads[0].new_zeros(()), {})

    def warnings(self, batch: AVBatch) -> list[str]:
        """Say what was chosen on the test, and where generated features outweigh the real ones."""
        found = []
        if self.config.selection == "test":
            found.append(
                "selection=test: the epochs of the classifier and of the training were chosen on "
                "the test set, as in the public code; the scores are too high"
            )
        with torch.no_grad():
            named = self(batch).heads[0].argmax(1)
        if not bool(torch.isin(named, batch.label).any()):
            found.append(
                f"not one of {len(named)} training samples is named as a class of the training: "
                f"{self.config.synthetic} generated features per unseen class outweigh the real "
                "ones; lower synthetic"
            )
        return found

    def options(self) -> dict[str, Any]:
        """The resolved configuration, as JSON values."""
        return asdict(self.config)

    def own_epochs(self, asked: OwnTraining) -> Iterator[Mapping[str, float]]:
        """Train the four networks; a classifier before every yield at which the model is scored."""
        c = self.config
        self.class_vectors.copy_(asked.vectors)
        optimisers = [
            torch.optim.Adam(net.parameters(), lr=asked.lr, betas=(0.5, 0.999))
            for net in (self.encoder, self.generator, self.critic, self.critic2)
        ]
        real = whole(asked, asked.stage.train)
        judged = None if c.selection == "validation" else judged_by(asked)
        best, kept = -1.0, dict[str, Tensor]()
        for epoch in range(asked.epochs):
            sums: dict[str, list[float]] = {}
            for index, rows in enumerate(asked.rows(epoch)):
                batch = asked.read(asked.stage.train, rows)
                words = asked.vectors[batch.label]
                told = self._step(features(batch), words, optimisers, index % c.every == 0)
                for name, value in told.items():
                    sums.setdefault(name, []).append(value)
                if c.batches == "first":
                    break
            line = {name: float(np.mean(values)) for name, values in sums.items()}
            last = epoch + 1 == asked.epochs
            if asked.scored or judged is not None or last:
                found, zsl = self._classify(asked, real, judged)
                if judged is not None:
                    scores = {"S": found.seen, "U": found.unseen, "HM": found.hm, "ZSL": zsl}
                    line |= {f"public_{name}": 100 * x for name, x in scores.items()}
                    if found.hm > best:
                        best = found.hm
                        kept = {key: x.clone() for key, x in self.state_dict().items()}
            if last and kept:
                self.load_state_dict(kept)
            yield line

    def _step(
        self, x: Tensor, words: Tensor, optimisers: list[torch.optim.Adam], generates: bool
    ) -> dict[str, float]:
        """One step of the critics and, where asked, one of encoder and generator."""
        c = self.config
        noise = x.new_empty(len(x), c.latent).normal_()
        fake = self.generator(noise, words)
        costs = [
            critic_terms(
                critic, x, fake, given, torch.rand_like(x[:, :1]), penalty=c.weight_penalty
            ).cost
            for critic, given in ((self.critic, words), (self.critic2, None))
        ]
        _minimise(costs[0] + costs[1], optimisers[2:])
        told = {"critic": costs[0], "critic2": costs[1]}
        if generates:
            mean, log_var = self.encoder(x, words)
            z = latent_sample(mean, log_var, torch.randn_like(mean))
            rebuilt, fake = self.generator(z, words), self.generator(noise, words)
            vae = vae_terms(rebuilt, x, mean, log_var)
            cost = -self.critic(rebuilt, words).mean() - self.critic(fake, words).mean()
            if c.d2 == "loss":
                cost = cost - self.critic2(fake).mean()
            total = c.weight_gan * cost + c.weight_vae * (vae.bce + vae.kld)
            _minimise(total, optimisers[:2])
            told |= {"loss": total, "generator": cost, "bce": vae.bce, "kld": vae.kld}
        return {name: float(value.detach()) for name, value in told.items()}

    def _classify(
        self, asked: OwnTraining, real: tuple[Tensor, Tensor], judged: Judged | None
    ) -> tuple[Recalls, float]:
        """Train the classifier on real and generated features; with `judged` a second one for ZSL.

        Returns the recalls and the ZSL recall of the public code; zeros without `judged`.
        """
        c, device = self.config, asked.vectors.device
        unseen = torch.from_numpy(asked.stage.unseen_ids).to(device)
        label = unseen.repeat_interleave(c.synthetic)
        with torch.no_grad():
            noise = asked.vectors.new_empty(len(label), c.latent).normal_()
            made = self.generator(noise, asked.vectors[label])
        ids = torch.unique(torch.cat([torch.from_numpy(asked.stage.train_ids).to(device), unseen]))
        x, y = torch.cat([real[0], made]), torch.cat([real[1], label])
        how: dict[str, Any] = {"epochs": c.clf_epochs, "batch": c.synthetic, "lr": c.clf_lr}
        fitted = SoftmaxClassifier(x.shape[1], len(ids)).to(x)
        found, zsl = Recalls(0.0, 0.0, 0.0), 0.0
        if judged is None:
            fit_classifier(fitted, x, torch.searchsorted(ids, y), **how)
        else:
            place = torch.searchsorted(ids, y)
            fit_classifier(
                fitted, x, place, judge=lambda f: judged.recalls(f, ids).hm, ties="last", **how
            )
            with torch.no_grad():
                found = judged.recalls(fitted, ids)
            only = SoftmaxClassifier(x.shape[1], len(unseen)).to(x)
            place = torch.searchsorted(unseen, label)
            zsl = fit_classifier(only, made, place, judge=judged.zsl, **how)
        self._take(fitted, ids)
        return found, zsl

    def _take(self, fitted: SoftmaxClassifier, ids: Tensor) -> None:
        """Put the outputs of a classifier of the classes `ids` into their columns."""
        with torch.no_grad():
            self.has_output.zero_()
            self.has_output[ids] = True
            self.classifier.weight.zero_()
            self.classifier.bias.zero_()
            self.classifier.weight[ids] = fitted.weight
            self.classifier.bias[ids] = fitted.bias


def _minimise(cost: Tensor, optimisers: list[torch.optim.Adam]) -> None:
    for optimiser in optimisers:
        optimiser.zero_grad()
    torch.autograd.backward(cost)
    for optimiser in optimisers:
        optimiser.step()


def build(
    *,
    audio_dim: int,
    video_dim: int,
    encode: str = "",
    steps: int = 0,
    classes: int = 2,
    **options: Any,
) -> FVAEGAN:
    """Make an f-VAEGAN-D2, which averages over time: `encode` and `steps` do not change it.

    Raises:
        BadInput: an option does not exist or has a value that is not allowed.
    """
    return FVAEGAN(configure(audio_dim=audio_dim, video_dim=video_dim, classes=classes, **options))
