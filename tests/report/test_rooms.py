"""The rooms of a run's report against slow references, on made-up numbers and a tiny run."""

import base64
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.data.synthetic.scenes import SyntheticConfig, render
from neurozsl.export.bundle import manifest
from neurozsl.hardware.chips.chip import parse_chip
from neurozsl.report.schema import RunReport
from neurozsl.report.sections import pictures
from neurozsl.report.sections.build import build
from neurozsl.report.sections.confusion import confusion
from neurozsl.report.sections.costs import Devices
from neurozsl.report.sections.embedding import chosen_rows, embedding, plane
from neurozsl.report.sections.provenance import processor
from neurozsl.report.sections.stacking import beta_curve
from neurozsl.runs import run as runs
from neurozsl.scoring import metrics
from neurozsl.scoring.metrics import Problem
from neurozsl.scoring.samples import chip_input

NAMES = ("a", "b", "c", "d", "e")
SEEN, UNSEEN = np.array([0, 3]), np.array([1, 4])  # class 2 is in neither


@pytest.fixture
def problem() -> tuple[Problem, Any]:
    rng = np.random.default_rng(3)
    label = rng.choice([0, 1, 3, 4], 80)
    return Problem(label, SEEN, UNSEEN), rng.random((80, 5))


@pytest.fixture(scope="module")
def report(run_dir: Path, lava_bundle: Path) -> RunReport:
    return build(runs.open_run(run_dir), bundle=lava_bundle, command="neurozsl profile x")


def test_confusion_counts_every_unseen_sample_once(problem: tuple[Problem, Any]) -> None:
    given, distance = problem
    predicted = metrics.predict(distance, given, 0.1)
    found = confusion(predicted, given, NAMES)
    assert found.classes == ("b", "e")
    for place, true in enumerate((1, 4)):
        calls = [p for p, t in zip(predicted, given.label, strict=True) if t == true]
        assert found.counts[place] == (calls.count(1), calls.count(4))
        assert found.elsewhere[place] == calls.count(0) + calls.count(3)
        assert sum(found.counts[place]) + found.elsewhere[place] == len(calls)


def test_the_curve_over_beta_holds_the_grid_and_the_chosen_beta(
    problem: tuple[Problem, Any],
) -> None:
    given, distance = problem
    found = beta_curve(distance, given, 0.25)
    assert [p.beta for p in found.points] == sorted({*metrics.BETA_GRID, 0.25})
    for point in found.points:
        scores = metrics.score(distance, given, point.beta)
        assert (point.S, point.U, point.HM) == (scores.S, scores.U, scores.HM)
    assert len(beta_curve(distance, given, metrics.BETA_GRID[3]).points) == 16


def test_the_plane_holds_the_two_directions_of_largest_variance() -> None:
    rng = np.random.default_rng(5)
    classes = rng.standard_normal((12, 6)) * [5, 1, 0.1, 3, 0.1, 0.1]
    centre, axes, explained = plane(classes)
    values, vectors = np.linalg.eigh(np.cov(classes.T))
    for place in (0, 1):  # largest first; eigh sorts the other way, and its signs are free
        assert abs(axes[:, place] @ vectors[:, -1 - place]) == pytest.approx(1)
        assert explained[place] == pytest.approx(values[-1 - place] / values.sum())
        assert axes[np.abs(axes[:, place]).argmax(), place] > 0
    assert centre == pytest.approx(classes.mean(axis=0))


def test_two_classes_have_a_line_and_no_second_direction() -> None:
    _, axes, explained = plane(np.array([[0.0, 0.0, 1.0], [0.0, 2.0, 1.0]]))
    assert explained == pytest.approx((1.0, 0.0), abs=1e-12)
    assert axes[:, 0].tolist() == [0.0, 1.0, 0.0]


def test_samples_lie_where_their_projection_says_and_name_their_classes(
    problem: tuple[Problem, Any],
) -> None:
    given, distance = problem
    rng = np.random.default_rng(7)
    classes, samples = rng.random((5, 6)), rng.random((80, 6))
    predicted = metrics.predict(distance, given, 0.1)
    found = embedding(samples, classes, given, predicted, NAMES)
    assert found is not None
    assert [(c.name, c.role) for c in found.classes] == [
        ("a", "seen"), ("b", "unseen"), ("d", "seen"), ("e", "unseen"),
    ]  # fmt: skip
    centre, axes, _ = plane(classes[[0, 1, 3, 4]])
    assert found.total == len(found.samples) == 80
    for shown, sample, label, called in zip(
        found.samples, samples, given.label, predicted, strict=True
    ):
        assert (shown.x, shown.y) == pytest.approx(tuple((sample - centre) @ axes), abs=1e-5)
        assert found.classes[shown.true].name == NAMES[label]
        assert found.classes[shown.predicted].name == NAMES[called]
    assert embedding(samples * np.nan, classes, given, predicted, NAMES) is None


@pytest.mark.parametrize(
    ("limit", "of_each"), [(600, (500, 40, 1)), (90, (49, 40, 1)), (3, (1, 1, 1))]
)
def test_no_more_samples_are_drawn_than_asked_and_every_class_is(
    limit: int, of_each: tuple[int, ...]
) -> None:
    label = np.repeat([4, 7, 9], [500, 40, 1])
    rows = chosen_rows(label, limit)
    assert len(rows) <= limit and len(set(rows.tolist())) == len(rows)
    assert tuple(np.bincount(label[rows], minlength=10)[[4, 7, 9]]) == of_each


def test_a_picture_reads_back_and_a_large_one_is_thinned() -> None:
    rng = np.random.default_rng(1)
    for side, shown in ((32, 32), (96, 96), (200, 67)):
        picture = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
        found = matplotlib.image.imread(io.BytesIO(pictures.png(picture)), format="png")
        assert found.shape == (shown, shown, 3)
        every = -(-side // 96)
        assert np.array_equal((found * 255).round().astype(np.uint8), picture[::every, ::every])


def test_the_rendered_clip_of_the_sample_is_rendered_again(
    report: RunReport, run_dir: Path
) -> None:
    assert report.raster is not None and "rendered again" in report.raster.frames_note
    split, _, row = report.raster.sample.partition("/")
    data = runs.open_run(run_dir).data
    config = SyntheticConfig(**data.meta["config"])  # type: ignore[arg-type]
    clip = render(config, split, int(row) // 50)[int(row) % 50]
    assert clip.name == report.raster.sample
    assert [f.step for f in report.raster.frames] == list(range(10))
    for frame in report.raster.frames:
        found = matplotlib.image.imread(io.BytesIO(base64.b64decode(frame.png)), format="png")
        expected = clip.frames[2 * frame.step + 1]  # 20 frames, 10 steps: the second of each two
        assert np.array_equal((found * 255).round().astype(np.uint8), expected)


def test_features_without_pictures_say_so(run_dir: Path) -> None:
    data = runs.open_run(run_dir).data
    for meta, said in (
        ({}, "none, the data are features"),
        ({"source": "neurozsl.data.clips"}, "--clips"),
    ):
        found, note = pictures.frames(replace(data, meta=meta), "a.mp4#1s", 10, None)
        assert found == () and said in note


def test_a_recorded_clip_is_read_again_where_its_folder_is_named(
    run_dir: Path, shared_data: Path, tmp_path: Path
) -> None:
    [file] = sorted((shared_data / "clips" / "playing_cello").glob("*.mp4"))[:1]
    data = runs.open_run(run_dir).data
    meta = {"source": "neurozsl.data.clips", "windows": {"window_s": 2.0}}
    known = replace(data, meta=meta)
    for folder in (file.parent, file.parent.parent):  # beside, or below
        found, note = pictures.frames(known, f"{file.name}#1s", 10, folder)
        assert len(found) == 10 and "read again" in note
    one = matplotlib.image.imread(io.BytesIO(base64.b64decode(found[0].png)), format="png")
    assert one.shape == (64, 64, 3) and one.std() > 0.01
    missing, note = pictures.frames(known, f"{file.name}#1s", 10, tmp_path)
    assert missing == () and "0 files" in note


def test_input_events_of_the_raster_are_the_codes_of_that_sample(
    report: RunReport, run_dir: Path
) -> None:
    run = runs.open_run(run_dir)
    stage = run.data.stage(2)
    assert report.raster is not None
    row = stage.unseen.names.index(report.raster.sample)
    chip = chip_input(run.model, stage.unseen, [row])
    assert {x.name for x in report.raster.inputs} == set(chip.codes)
    for given in report.raster.inputs:
        codes = np.zeros((10, given.channels), np.int64)
        for step, channel, code in given.events:
            codes[step, channel] = code
        assert np.array_equal(codes, chip.codes[given.name][0])
        assert all(code != 0 for *_, code in given.events)


def test_the_report_agrees_with_itself_about_who_was_recognised(report: RunReport) -> None:
    assert report.confusion is not None and report.embedding is not None
    unseen = [c for c in report.classes if c.role == "unseen"]
    assert report.confusion.classes == tuple(c.name for c in unseen)
    for place, known in enumerate(unseen):
        right = report.confusion.counts[place][place]
        assert 100 * right / known.samples == pytest.approx(known.recall)
    assert report.embedding.total == report.accuracy.samples == len(report.embedding.samples)
    names = [c.name for c in report.embedding.classes]
    for row in report.classes:
        mine = [s for s in report.embedding.samples if names[s.true] == row.name]
        right = sum(s.true == s.predicted for s in mine)
        assert 100 * right / len(mine) == pytest.approx(row.recall)
    assert report.beta_curve is not None
    [chosen] = [p for p in report.beta_curve.points if p.beta == report.beta_curve.chosen]
    assert (chosen.S, chosen.HM) == (report.accuracy.S, report.accuracy.HM)


def test_every_step_of_a_deployment_has_its_spikes_and_joules(
    report: RunReport, lava_bundle: Path
) -> None:
    stored = manifest.read(lava_bundle).steps
    assert [s.step for s in report.deployment] == [s.step for s in stored]
    for step, kept in zip(report.deployment, stored, strict=True):
        assert kept.operations is not None
        assert step.operations is not None
        assert step.operations.spikes == pytest.approx(kept.operations.spikes, rel=1e-12)
        assert step.device == "loihi1" and step.joules is not None and step.joules > 0
    [loihi] = [row for row in report.energy if row.key == "loihi1"]
    last = report.deployment[-1]
    unfit = {x.chip for x in report.fits if x.placement is None}  # graded codes need a payload
    assert "loihi1" in unfit and all(x.as_if for x in report.deployment)
    assert loihi.as_if and any("does not fit" in text for text in loihi.warnings)
    assert last.joules == pytest.approx(loihi.joules)
    assert last.latency_s == loihi.latency_s
    assert last.operations is not None
    assert last.operations.spikes == pytest.approx(sum(x.spikes for x in report.layers))


def test_a_bundle_of_an_earlier_version_has_scores_and_the_spikes_of_its_last_step(
    run_dir: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    old = tmp_path / "lava"
    shutil.copytree(lava_bundle, old)
    found = manifest.read(old)
    steps = tuple(s.model_copy(update={"operations": None}) for s in found.steps)
    manifest.write(old, found.model_copy(update={"steps": steps}))
    assert "operations" not in (old / "manifest.json").read_text()
    report = build(runs.open_run(run_dir), bundle=old)
    *before, last = report.deployment
    assert before and all(s.operations is None and s.joules is None for s in before)
    assert last.operations is not None and last.joules is not None


def test_provenance_holds_the_digest_of_everything_that_was_read(
    report: RunReport, run_dir: Path, lava_bundle: Path
) -> None:
    files = report.provenance.files
    assert files["run/model.safetensors"] == sha256(run_dir / "model.safetensors")
    assert files["data/dataset.h5"] == sha256(run_dir.parent / "data" / "dataset.h5")
    assert files["bundle/lava/program.npz"] == sha256(lava_bundle / "program.npz")
    assert report.provenance.command == "neurozsl profile x"
    assert processor() in report.provenance.machine and "thread" in report.provenance.machine


def test_two_devices_of_one_key_or_one_name_are_refused() -> None:
    text = """
schema = 1
name = "{}"
scope = "per_term"
energy_methods = ["per_term"]
[source]
paper = "Synthetic"
[energy]
synop = {{ value = 2e-12, unit = "J", kind = "measured", grade = "T", source = "paper" }}
"""
    one, same_key = (parse_chip("mine", text.format(name)) for name in ("One", "Two"))
    same_name = parse_chip("other", text.format("One"))
    with pytest.raises(BadInput, match=r"'mine': 2 devices of this name.*rename one"):
        _ = Devices((one, same_key)).chips
    with pytest.raises(BadInput, match="'other': its name 'One' is that of 'mine'"):
        _ = Devices((one, same_name)).chips
    with pytest.raises(BadInput, match="'Intel Loihi' is that of 'loihi1'"):
        _ = Devices((parse_chip("mine", text.format("Intel Loihi")),)).chips
    assert Devices((one,)).chips[-1] is one
