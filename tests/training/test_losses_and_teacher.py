"""Spike losses and distillation: their formulas, their gradients, and who teaches which stage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput, InputCode
from neurozsl.models.base import Embedding
from neurozsl.models.motion import SpikingBranch
from neurozsl.runs import run as runs
from neurozsl.training.economy import Distillation, Penalties
from neurozsl.training.penalties import penalties, synops
from neurozsl.training.protocol import TrainConfig
from neurozsl.training.teacher import Lesson, Teacher, taught

CODES = {"in": InputCode(6, "ternary", 1, True, 1.0)}
SMALL: dict[str, Any] = {"motion_widths": [16, 16, 16], "embed": 16, "hidden": 32}


def small() -> tuple[SpikingBranch, ChipInput]:
    torch.manual_seed(0)
    branch = SpikingBranch(CODES, (8, 4), steps=5, norm=False)
    with torch.no_grad():
        for layer in branch.named_layers().values():
            layer.synapse.weight.mul_(10)
            layer.synapse.weight[:, ::2] = 0
    codes = torch.randint(-1, 2, (3, 5, 6)).float().requires_grad_()
    return branch, ChipInput({"in": codes}, CODES)


def test_synops_are_events_times_the_nonzero_weights_behind_them() -> None:
    branch, given = small()
    with torch.no_grad():
        trace = branch(given)
        found = synops(branch, given, trace)
    layers = branch.named_layers()
    for sample in range(3):
        for name, source in (("in.0", given.codes["in"]), ("in.1", trace.spikes["in.0"])):
            weight = layers[name].synapse.weight
            wanted = sum(
                int(torch.count_nonzero(weight[:, i]))
                for t in range(5)
                for i in range(weight.shape[1])
                if source[sample, t, i] != 0
            )
            assert float(found[name][sample].detach()) == wanted


def test_the_rate_loss_pulls_towards_its_target_from_both_sides() -> None:
    branch, given = small()
    trace = branch(given)
    mean = {name: float(x.mean().detach()) for name, x in trace.spikes.items()}
    found = penalties(branch, given, trace, Penalties(rate=2.0, rate_target=0.1))
    wanted = 2.0 * sum((x - 0.1) ** 2 for x in mean.values())
    assert float(found["rate"].detach()) == pytest.approx(wanted, rel=1e-5)
    found["rate"].backward()  # type: ignore[no-untyped-call]
    gradient = branch.named_layers()["in.0"].synapse.weight.grad
    assert gradient is not None and bool((gradient != 0).any())


def test_the_synops_loss_is_that_of_sinabs_above_its_target_and_nothing_below() -> None:
    branch, given = small()
    trace = branch(given)
    total = float(torch.stack(list(synops(branch, given, trace).values())).sum(0).mean().detach())
    half = penalties(branch, given, trace, Penalties(synops=3.0, synops_target=total / 2))
    assert float(half["synops"].detach()) == pytest.approx(3.0)  # ((S - S/2) / (S/2))^2 = 1
    double = penalties(branch, given, trace, Penalties(synops=3.0, synops_target=2 * total))
    assert float(double["synops"].detach()) == 0
    share = penalties(branch, given, trace, Penalties(synops=1.0))
    assert float(share["synops"].detach()) == pytest.approx(total / (5 * (6 * 8 + 8 * 4)))
    half["synops"].backward()  # type: ignore[no-untyped-call]
    codes = given.codes["in"]
    # Fewer events lower it: the gradient points away from every nonzero code.
    assert bool((codes.grad * torch.sign(codes) >= 0).all()) and bool((codes.grad != 0).any())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rate": -1.0}, "0 or more"),
        ({"rate": 1.0, "rate_target": 2.0}, "share 0..1"),
        ({"synops": 1.0, "synops_target": 0.0}, "above 0"),
    ],
)
def test_losses_that_mean_nothing_are_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Penalties(**values)


def test_the_lesson_is_the_divergence_of_the_shares_of_both() -> None:
    rng = np.random.default_rng(0)
    head, words = rng.normal(size=(4, 3)), rng.normal(size=(6, 3))
    classes, target = np.array([0, 2, 5]), rng.normal(size=(9, 3))
    target = np.log(np.exp(target) / np.exp(target).sum(1, keepdims=True))
    rows = np.array([8, 1, 3, 3])
    lesson = Lesson(Distillation("x", 2.0, 0.7), torch.tensor(classes), torch.tensor(target))
    output = Embedding((torch.tensor(head),), {})
    found = float(lesson.loss(output, torch.tensor(words), rows))
    distance = np.linalg.norm(head[:, None] - words[classes][None], axis=2)
    own = np.exp(-distance / 0.7) / np.exp(-distance / 0.7).sum(1, keepdims=True)
    p = np.exp(target[rows])
    wanted = 2.0 * 0.7**2 * np.mean(np.sum(p * (target[rows] - np.log(own)), axis=1))
    assert found == pytest.approx(wanted, rel=1e-9)


def test_a_model_that_thinks_as_its_teacher_has_nothing_to_learn(
    tmp_path: Path, data_dir: Path
) -> None:
    path = tmp_path / "run"
    runs.create(path, data_dir=data_dir, model="mdft", options=SMALL, train=TrainConfig(epochs=1))
    run = runs.train(path)
    stage, asked = run.data.stage(2), Distillation("", temperature=0.5)
    for weight in (0.0, 1.0):
        lesson = taught(asked, Teacher(run.model, weight), stage, run.data.vectors, torch.float32)
        rows = np.arange(8)
        with torch.no_grad():
            from neurozsl.models.base import embed

            output = embed(run.model, stage.train.batch(rows))
            words = run.model.embed_words(torch.as_tensor(run.data.vectors))
        head = Embedding((output.heads[int(weight)],), {})
        other = Embedding((output.heads[1 - int(weight)],), {})
        assert float(lesson.loss(head, words, rows)) == pytest.approx(0.0, abs=1e-6)
        assert float(lesson.loss(other, words, rows)) > 1e-5

    student = tmp_path / "elsewhere" / "student"
    train = TrainConfig(epochs=2, distillation=Distillation(str(path)))
    runs.create(student, data_dir=data_dir, model="mdft", options=SMALL, train=train)
    made = runs.train(student)
    assert (student / made.settings.train.distillation.teacher).resolve() == path.resolve()  # type: ignore[union-attr]
    lines = [json.loads(x) for x in (student / "log.jsonl").read_text().splitlines()]
    assert all(line["teacher"] > 0 for line in lines)


def test_a_teacher_of_other_data_is_refused_before_a_folder_is_made(
    tmp_path: Path, data_dir: Path
) -> None:
    train = TrainConfig(distillation=Distillation(str(tmp_path / "none")))
    with pytest.raises(BadInput, match="none"):
        runs.create(tmp_path / "run", data_dir=data_dir, model="mdft", options=SMALL, train=train)
    assert not (tmp_path / "run").exists()
