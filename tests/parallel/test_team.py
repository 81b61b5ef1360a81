"""Whole-batch layers, gathered embeddings and shared evaluation against one process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import Trace
from neurozsl.data.batch import AVBatch
from neurozsl.models.base import Embedding, Prepared
from neurozsl.models.lkc import LatentKnowledge
from neurozsl.parallel.shared_layers import (
    CounterDropout,
    Scope,
    SharedBatchNorm,
    convert,
    keep_mask,
)
from neurozsl.parallel.team import (
    Alone,
    assembled,
    assembled_output,
    average_gradients,
    first_does,
    share,
)
from tests.parallel.thread_team import together
from tests.toys.model import Averaged

SIZES = [1, 2, 3, 5]
ROWS = 11  # not a multiple of any of them


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(4,), (4, 6), (4, 3, 2)], ids=str)
def test_batch_norm_over_processes_is_torchs_over_the_whole_batch(
    size: int, shape: tuple[int, ...]
) -> None:
    x = torch.randn(ROWS, *shape, dtype=torch.float64) * 3 + 1
    weight = torch.randn(ROWS, *shape, dtype=torch.float64)
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}[len(shape)]
    whole = kind(4, momentum=0.3).double()
    with torch.no_grad():
        whole.weight.uniform_(0.5, 2.0)
        whole.bias.uniform_(-1.0, 1.0)
    start = {k: v.clone() for k, v in whole.state_dict().items()}
    given = x.clone().requires_grad_()
    wanted = whole(given)
    (wanted * weight).sum().backward()

    def work(team: Any) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        source = kind(4, momentum=0.3).double()
        source.load_state_dict(start)
        scope = Scope(team)
        shared = SharedBatchNorm(source, scope)
        mine = share(ROWS, team)
        part = x[mine].clone().requires_grad_()
        with scope.sliced(mine):
            y = shared(part)
        # The loss of the whole batch counts once per process; averaging takes that out again.
        (assembled(team, y, mine, ROWS) * weight).sum().backward()  # type: ignore[no-untyped-call]
        average_gradients(team, shared.parameters())
        assert part.grad is not None and shared.weight.grad is not None
        return y.detach(), part.grad / team.size, shared.weight.grad, shared.state_dict()

    parts = together(size, work)
    assert torch.allclose(torch.cat([p[0] for p in parts]), wanted, rtol=0, atol=1e-12)
    assert given.grad is not None and whole.weight.grad is not None
    assert torch.allclose(torch.cat([p[1] for p in parts]), given.grad, rtol=0, atol=1e-11)
    for _, _, gradient, state in parts:
        assert torch.allclose(gradient, whole.weight.grad, rtol=0, atol=1e-11)
        for key, value in whole.state_dict().items():
            assert torch.allclose(state[key], value, rtol=0, atol=1e-13), key


def test_batch_norm_sees_rows_that_processes_have_in_different_numbers() -> None:
    """A mask leaves other numbers of real rows in each process; statistics are over all rows."""
    x = torch.randn(9, 3, dtype=torch.float64)
    cuts = [slice(0, 2), slice(2, 9)]
    wanted = nn.BatchNorm1d(3).double()(x)

    def work(team: Any) -> Tensor:
        scope = Scope(team)
        norm = SharedBatchNorm(nn.BatchNorm1d(3).double(), scope)
        with scope.sliced(np.arange(4)):
            y: Tensor = norm(x[cuts[team.rank]])
        return y.detach()

    assert torch.allclose(torch.cat(together(2, work)), wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_knowledge_slots_move_by_the_mean_of_the_whole_batch(size: int) -> None:
    audio, video = torch.randn(2, ROWS, 3, 6, dtype=torch.float64)
    mask = torch.rand(ROWS, 3) < 0.7

    def made() -> LatentKnowledge:
        return LatentKnowledge(
            6, slots=2, heads=1, head_width=4, hidden=8, dropout=0.0, tokens="pair", state="buffer"
        ).double()

    start = made().state_dict()

    def work(team: Any) -> Tensor:
        knowledge = made()
        knowledge.load_state_dict(start)
        scope, mine = Scope(team), share(ROWS, team)
        convert(knowledge, scope, dropout=False)
        with scope.sliced(mine):
            knowledge(audio[mine], video[mine], mask[mine])
        return knowledge.slots

    [whole] = together(1, work)
    assert not torch.allclose(whole, start["slots"])
    for slots in together(size, work):
        assert torch.allclose(slots, whole, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_dropout_gives_a_sample_the_same_mask_in_any_process(size: int) -> None:
    x = torch.ones(ROWS, 7, 5)

    def work(team: Any) -> tuple[Tensor, Tensor]:
        scope = Scope(team)
        layer = CounterDropout(0.4, scope, "encoder.dropout")
        scope.begin(0, 1, 2, 3)
        mine = share(ROWS, team)
        with scope.sliced(mine):
            first = layer(x[mine])
            # time folded into the rows, as some blocks do, and a second call of the same layer
            second = layer(x[mine].flatten(0, 1)).view(len(mine), 7, 5)
        return first, second

    whole = together(1, work)[0]
    parts = together(size, work)
    for call in (0, 1):
        assert torch.equal(torch.cat([p[call] for p in parts]), whole[call])
    assert not torch.equal(*whole)


def test_masks_keep_the_right_share_and_do_not_repeat() -> None:
    keys = [(0, 1, 0, 0, 7, 0), (1, 1, 0, 0, 7, 0), (0, 1, 0, 1, 7, 0), (0, 1, 0, 0, 8, 0)]
    rows, cpu = np.arange(64), torch.device("cpu")
    masks = [keep_mask(k, rows, 1000, 0.3, cpu).double() for k in keys]
    for mask in masks:
        assert abs(float(mask.mean()) - 0.7) < 0.01
        # neighbours, in a row and below each other, know nothing of each other
        for a, b in ((mask[:, 1:], mask[:, :-1]), (mask[1:], mask[:-1])):
            assert abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 0.02
    flat = torch.stack([m.flatten() for m in masks])
    off = torch.corrcoef(flat) - torch.eye(len(keys))
    assert float(off.abs().max()) < 0.02
    assert torch.equal(masks[0], keep_mask(keys[0], rows, 1000, 0.3, cpu).double())


def test_dropout_is_off_in_evaluation_and_refuses_rows_that_are_no_samples() -> None:
    scope = Scope(Alone())
    layer = CounterDropout(0.5, scope, "x")
    x = torch.ones(10, 4)
    scope.begin(0, 0, 0, 0)
    assert torch.equal(layer.eval()(x), x)
    with scope.sliced(np.arange(4)), pytest.raises(BadInput, match="10 rows for 4 samples"):
        layer.train()(x)


def test_conversion_keeps_names_parameters_and_what_reads_the_whole_batch() -> None:
    class Reader(nn.Module):
        scope: Scope | None = None

        def share(self, scope: Scope) -> None:
            self.scope = scope

    class Several(Alone):
        size = 2

    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.2), Reader())
    before = model.state_dict()
    weight = model[1].weight
    scope = Scope(Several())
    convert(model, scope, dropout=True)
    assert [type(m) for m in model] == [nn.Linear, SharedBatchNorm, CounterDropout, Reader]
    assert model[1].weight is weight and getattr(model[3], "scope") is scope  # noqa: B009
    assert list(model.state_dict()) == list(before)
    alone = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.2))
    convert(alone, Scope(Alone()), dropout=False)
    assert [type(m) for m in alone] == [nn.BatchNorm1d, nn.Dropout]


@pytest.mark.parametrize(
    "layer", [nn.AlphaDropout(0.1), nn.MultiheadAttention(4, 2, dropout=0.1)], ids=str
)
def test_a_layer_with_a_dropout_of_its_own_is_refused(layer: nn.Module) -> None:
    with pytest.raises(BadInput, match=r"layer '0'.*use nn\.Dropout"):
        convert(nn.Sequential(layer), Scope(Alone()), dropout=True)


def test_the_mean_of_the_global_batch_is_that_of_one_process() -> None:
    x = torch.randn(ROWS, 3, dtype=torch.float64)

    def work(team: Any) -> Tensor:
        scope = Scope(team)
        mine = share(ROWS, team)
        with scope.sliced(mine):
            return scope.mean(x[mine])

    for mean in together(3, work):
        assert torch.allclose(mean, x.mean(0), rtol=0, atol=1e-15)


def test_an_embedding_is_put_together_by_sample_and_the_rest_is_left() -> None:
    head, per_sample = torch.randn(ROWS, 4), torch.randn(ROWS, 2, 3)
    fixed = torch.randn(20, 4)

    def work(team: Any) -> Embedding:
        mine = share(ROWS, team)
        part = Embedding((head[mine],), {"phi": per_sample[mine], "fixed": fixed})
        return assembled_output(team, part, mine, ROWS)

    for found in together(3, work):
        assert torch.equal(found.heads[0], head)
        assert torch.equal(found.aux["phi"], per_sample)
        assert found.aux["fixed"] is fixed


def test_shares_are_a_partition_whose_sizes_differ_by_one_at_most() -> None:
    for size in SIZES:
        parts = together(size, lambda team: share(ROWS, team))
        assert np.concatenate(parts).tolist() == list(range(ROWS))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_an_error_of_the_first_process_ends_the_others_with_its_exit_code() -> None:
    def fail() -> None:
        raise BadInput("exists already")

    def work(team: Any) -> str:
        try:
            first_does(team, fail)
        except BadInput as error:
            return f"said {error}"
        except SystemExit as end:
            return f"ended {end.code}"
        return "went on"

    assert together(2, work) == ["said exists already", "ended 2"]
    assert together(2, lambda team: first_does(team, list)) == [None, None]


class Nearest(Averaged):
    """A model whose distances are those of its inputs, and that counts what it embeds."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.rows = 0

    def embed_words(self, vectors: Tensor) -> Tensor:
        return vectors

    def prepare(self, batch: AVBatch) -> Prepared:
        self.rows += len(batch)
        return Prepared(None, (batch.audio[:, 0], batch.video[:, 0]))

    def finish(self, trace: Trace | None, context: Any) -> Embedding:
        return Embedding(context, {})


@pytest.mark.parametrize("size", [1, 2, 4, 12])
def test_shared_evaluation_gives_the_bits_of_one_process_and_counts_no_sample_twice(
    size: int,
) -> None:
    from neurozsl.data.batch import Split, Stage
    from neurozsl.scoring.evaluation import collect

    generator = np.random.default_rng(0)

    def split(name: str, count: int, ids: list[int]) -> Split:
        x = generator.normal(size=(2, count, 1, 6)).astype(np.float32)
        label = np.array(ids)[np.arange(count) % len(ids)]
        mask = np.ones((count, 1), bool)
        return Split(name, x[0], x[1], label, mask, tuple(map(str, range(count))))

    seen, unseen = split("test_seen", 21, [0, 1, 2]), split("test_unseen", 10, [3, 4])
    stage = Stage(seen, seen, unseen, np.arange(3), np.arange(3), np.arange(3, 5))
    vectors = generator.normal(size=(5, 6)).astype(np.float32)
    wanted = collect(Nearest(), stage, vectors, batch=4)

    def work(team: Any) -> tuple[Any, int]:
        model = Nearest()
        return collect(model, stage, vectors, batch=4, team=team), model.rows

    parts = together(size, work)
    for found, _ in parts:
        assert np.array_equal(found.distance, wanted.distance)
        assert np.array_equal(found.problem.label, wanted.problem.label)
    # There are 9 batches; a process without one runs the first, for the shape of its answer.
    assert sum(rows for _, rows in parts) == 31 + 4 * max(0, size - 9)
