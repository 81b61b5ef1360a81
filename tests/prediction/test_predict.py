"""Clips of no set: names as a slow loop ranks them, spikes of the emulator, files that go on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neurozsl as nz
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import AVBatch
from neurozsl.data.clips.encode import encoders_of
from neurozsl.prediction import many
from neurozsl.prediction.files import clips_of
from neurozsl.prediction.predict import Predictor, predictor
from neurozsl.prediction.score import score_scale
from neurozsl.runs.kept import KeptData
from neurozsl.runs.run import open_run
from neurozsl.scoring.evaluation import Collected
from neurozsl.scoring.metrics import Problem
from neurozsl.scoring.scale import ScoreScale, chosen_scale, softmax, temperature_of
from neurozsl.training.stage_loop import Selected
from tests.cli.conftest import run_command
from tests.factories.videos import write_video


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos that can be used, one copy, and one that cannot."""
    folder = tmp_path_factory.mktemp("clips")
    for name, seconds, hertz in (("a", 4.0, 440.0), ("b", 3.0, 900.0), ("sub/c", 3.0, 200.0)):
        write_video(folder / f"{name}.mkv", seconds, hertz=hertz)
    shutil.copy(folder / "a.mkv", folder / "copy.mkv")
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def ready(run_dir: Path) -> Predictor:
    """The run with the integers of its bundle."""
    return predictor(open_run(run_dir), bundle=Path("lava"))


def by_hand(run: Any, bundle: Any, clip: Path) -> tuple[Any, Any]:
    """Mean distance of every class, beta in it, and spikes: window by window, class by class."""
    batch = encoders_of(run.data.meta).encode(clip)
    unseen = set(run.data.splits["test_unseen"].label.tolist())
    with torch.no_grad():
        words = run.model.embed_words(torch.as_tensor(run.data.vectors))
    weight, sums, spikes = run.selected.head_weight, np.zeros(len(words)), 0
    for i in range(len(batch)):
        one = AVBatch(
            batch.audio[i : i + 1], batch.video[i : i + 1], batch.mask[i : i + 1],
            batch.label[i : i + 1], None if batch.events is None else batch.events[i : i + 1],
        )  # fmt: skip
        with torch.no_grad():
            prepared = run.model.prepare(one)
            trace = nz.emulate(bundle.program, prepared.chip_input.to_numpy())
            heads = run.model.finish(trace, prepared.context).heads
        spikes += sum(int(x.sum()) for x in trace.spikes.values())
        for c in range(len(words)):
            each = [float(torch.linalg.vector_norm(head[0] - words[c])) for head in heads]
            both = each[0] if len(each) == 1 else (1 - weight) * each[0] + weight * each[1]
            sums[c] += both + (0 if c in unseen else run.selected.beta)
    return sums / len(batch), spikes


def test_ranking_scores_and_spikes_are_those_of_a_loop_by_hand(
    run_dir: Path, lava_bundle: Path, clips: Path, ready: Predictor
) -> None:
    run = open_run(run_dir)
    distance, spikes = by_hand(run, nz.open_bundle(lava_bundle), clips / "a.mkv")
    found = ready.predict(clips / "a.mkv")
    order = np.argsort(distance, kind="stable")[:5]
    assert [x.name for x in found.names] == [run.data.classes[i] for i in order]
    np.testing.assert_allclose([x.distance for x in found.names], distance[order], rtol=1e-4)
    raised = np.exp(-distance / ready.scale.temperature)
    wanted = (raised / raised.sum())[order]
    np.testing.assert_allclose([x.score for x in found.names], wanted, rtol=0.05)
    assert found.cost is not None and sum(found.cost.spikes.values()) == spikes > 0
    assert found.windows == 3 and found.candidates == len(run.data.classes)


def test_joules_are_those_that_profile_would_count_for_these_windows(
    clips: Path, ready: Predictor
) -> None:
    batch = encoders_of(ready.run.data.meta).encode(clips / "a.mkv")
    with torch.no_grad():
        chip = ready.run.model.prepare(batch).chip_input.to_numpy()  # type: ignore[union-attr]
    assert ready.opened is not None and ready.opened.program is not None
    program = ready.opened.program
    counts = nz.count(program, chip, nz.emulate(program, chip))
    found = ready.predict(clips / "a.mkv").cost
    assert found is not None and found.shown == "loihi2"
    assert found.synops == pytest.approx(3 * sum(x.synops for x in counts.layers))
    priced = {row.device: row for row in found.energy}
    # A row without messages between cores is the same sum as without a placement.
    wanted = [x for x in nz.estimate_all(counts) if x.method == "per_synop"]
    assert wanted
    for row in wanted:
        assert priced[row.key].dynamic_j == pytest.approx(3 * row.joules) and row.joules > 0
    assert {"loihi1", "loihi2"} <= priced.keys()
    assert not any("dense" in row.device for row in found.energy)


def test_the_temperature_makes_the_mean_first_score_the_share_that_was_right() -> None:
    rng = np.random.default_rng(0)
    distance = rng.uniform(1, 2, (40, 7))
    label = distance.argmin(1)
    label[:10] = (label[:10] + 1) % 7
    found = temperature_of(distance, label)
    assert (found.right, found.samples) == (30, 40)
    assert softmax(distance, found.temperature).max(1).mean() == pytest.approx(31 / 42, abs=1e-6)
    assert found.scores(distance[0]).sum() == pytest.approx(1)
    flat = temperature_of(np.ones((5, 4)), np.zeros(5, np.int64))  # no temperature parts them
    np.testing.assert_allclose(flat.scores(np.ones(4)), 0.25)


def test_the_scale_ranks_validation_samples_among_the_classes_that_they_are_asked_for() -> None:
    rng = np.random.default_rng(1)
    seen, unseen = np.array([1, 4]), np.array([2, 6])
    label = rng.choice(np.union1d(seen, unseen), 30)
    distance = rng.uniform(1, 2, (2, 30, 8))
    found = chosen_scale(Collected(distance, Problem(label, seen, unseen)), 0.25, 0.3)
    # By hand: two heads weighed, seen classes handicapped, the four columns that count.
    ranked = 0.7 * distance[0] + 0.3 * distance[1] + 0.25 * np.isin(np.arange(8), seen)
    columns = [1, 2, 4, 6]
    wanted = temperature_of(ranked[:, columns], np.array([columns.index(x) for x in label]))
    assert found == wanted and found.chosen_on == "validation"


def test_a_run_is_scaled_on_validation_and_an_older_one_on_the_samples_that_it_keeps(
    run_dir: Path,
) -> None:
    run = nz.load(run_dir)
    scale = score_scale(run, None)
    chosen = run.selected
    assert scale == ScoreScale(chosen.temperature, chosen.val_samples, chosen.val_right)
    stage = run.data.stage(1)
    assert chosen.val_samples == len(stage.seen) + len(stage.unseen)
    older = replace(run, selected=Selected(5, chosen.beta, chosen.head_weight, chosen.val_hm))
    kept = score_scale(older, None)
    assert (kept.samples, kept.chosen_on) == (16, "kept test")


def test_other_names_take_vectors_of_a_file_and_are_unseen(
    run_dir: Path, clips: Path, tmp_path: Path
) -> None:
    run = nz.load(run_dir)
    rng = np.random.default_rng(3)
    width = run.data.vectors.shape[1]
    table = rng.normal(size=(2, width)).astype(np.float32)
    np.savez(tmp_path / "v.npz", names=np.array(["zebra", "comma, name"]), vectors=table)
    trained = int(run.data.splits["train"].label[0])
    own = run.data.classes[trained]
    asked = ["zebra", own, "comma, name"]
    found = run.predict(clips / "a.mkv", asked, vectors=tmp_path / "v.npz")
    assert {x.name: x.unseen for x in found.names} == {
        "zebra": True, own: False, "comma, name": True
    }  # fmt: skip
    alone = run.predict(clips / "a.mkv")
    same = {x.name: x.distance for x in run.predict(clips / "a.mkv", top=99).names}
    assert {x.name: x.distance for x in found.names}[own] == pytest.approx(same[own])
    assert len(alone.names) == 5
    whole = run.predict(clips / "a.mkv", vectors=tmp_path / "v.npz")
    assert whole.candidates == 2
    said = f'zebra,"comma, name","{own.upper()}"'
    ran = run_command("predict", run_dir, clips / "a.mkv", "--classes", said, "--vectors",
                      tmp_path / "v.npz", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert len(ran.document["clips"][0]["names"]) == 3


def test_names_without_a_vector_are_named_with_the_remedy(
    run_dir: Path, clips: Path, tmp_path: Path
) -> None:
    ran = run_command("predict", run_dir, clips / "a.mkv", "--classes", "a dog barks,zebra")
    assert ran.code == 2
    for said in ("2 of 2 names", "'a dog barks', 'zebra'", "--vectors", "--text-encoder"):
        assert said in ran.err.replace("\n", " ")
    np.savez(tmp_path / "v.npz", names=np.array(["zebra"]), vectors=np.ones((1, 7), np.float32))
    wide = run_command("predict", run_dir, clips / "a.mkv", "--vectors", tmp_path / "v.npz")
    assert wide.code == 2 and "7 values a vector" in wide.err
    for text, told in (
        ("a,,b", "empty"),
        ("", "empty"),
        ("zebra,zebra", "twice"),
        ("the_Zebra,the zebra", "are one name"),
    ):
        ran = run_command("predict", run_dir, clips / "a.mkv", f"--classes={text}")
        assert ran.code == 2 and told in ran.err
    ran = run_command("predict", run_dir, clips / "a.mkv", "--bundle", "nowhere")
    assert ran.code == 2 and "neurozsl export" in ran.err
    assert all(name in ran.err for name in ("lava", "sinabs"))


def test_json_has_scores_spikes_joules_encoders_and_the_digest_of_the_run(
    run_dir: Path, clips: Path
) -> None:
    ran = run_command("predict", run_dir, clips, "--bundle", "lava", "--json")
    assert ran.code == 0, ran.err
    found = ran.document
    assert found["settings"]["run"] == open_run(run_dir).digest and found["encoders"] == {}
    assert found["settings"]["backend"] == "emulator" and len(found["encoder_statistics"]) == 64
    assert [Path(x["clip"]).name for x in found["clips"]] == ["a.mkv", "b.mkv", "copy.mkv", "c.mkv"]
    assert [Path(x["clip"]).name for x in found["failed"]] == ["broken.mp4"]
    for line in found["clips"]:
        assert line["spikes_total"] == sum(line["spikes"].values())
        assert all(row["dynamic_j"] >= 0 and row["kind"] for row in line["energy"])
        assert "probabilit" not in json.dumps(line)
    shown = run_command("predict", run_dir, clips, "--bundle", "lava")
    assert shown.code == 0 and shown.out == "" and "no probabilities" in shown.err
    assert "broken.mp4" in shown.err and "Loihi 2" in shown.err and "neurozsl profile" in shown.err
    none = run_command("predict", run_dir, clips / "broken.mp4", clips / "gone.mp4")
    assert none.code == 2 and "0 of 2 clips" in none.err


def test_a_file_of_results_goes_on_to_that_of_one_start(
    clips: Path, ready: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, whole, begun = clips_of([clips]), tmp_path / "whole.jsonl", tmp_path / "begun.jsonl"
    done: list[str] = []
    real = Predictor.predict

    def counted(self: Predictor, clip: Path, content: str = "") -> Any:
        if len(done) == stop:
            raise KeyboardInterrupt
        done.append(clip.name)
        return real(self, clip, content)

    monkeypatch.setattr(Predictor, "predict", counted)
    stop = 99
    many.predict_all(ready, files, whole)
    assert done == ["a.mkv", "b.mkv", "broken.mp4", "c.mkv"]  # the copy is not computed
    done.clear()
    stop = 1
    with pytest.raises(KeyboardInterrupt):
        many.predict_all(ready, files, begun)
    with begun.open("ab") as file:
        file.write(b'{"settings": "half of a li')
    stop = 99
    found = many.predict_all(ready, files, begun)
    assert done == ["a.mkv", "b.mkv", "broken.mp4", "c.mkv"]
    assert begun.read_bytes() == whole.read_bytes() and len(whole.read_bytes().splitlines()) == 4
    assert [x.again for x in found] == [True, False, False, True, False]
    many.predict_all(ready, files, begun)
    assert begun.read_bytes() == whole.read_bytes() and not (tmp_path / ".lock").exists()


def test_a_file_of_other_settings_or_of_something_else_is_left_as_it_is(
    run_dir: Path, clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    assert run_command("predict", run_dir, clips / "b.mkv", "--out", out).code == 0
    before = out.read_bytes()
    ran = run_command("predict", run_dir, clips / "b.mkv", "--out", out, "--top", 2)
    assert ran.code == 2 and "other settings" in ran.err and out.read_bytes() == before
    for content in (b"my notes", b"my notes\n", b'{"settings": 1}\n'):
        out.write_bytes(content)
        ran = run_command("predict", run_dir, clips / "b.mkv", "--out", out)
        assert ran.code == 2 and "another --out" in ran.err and out.read_bytes() == content


def test_a_run_without_its_data_says_the_same(
    run_dir: Path, clips: Path, tmp_path: Path, ready: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROZSL_DATA", raising=False)
    copy = Path(shutil.copytree(run_dir, tmp_path / "alone" / "run"))
    run = open_run(copy)
    assert isinstance(run.data, KeptData)
    alone = predictor(run, bundle=Path("lava"))
    assert alone.settings == ready.settings
    assert alone.predict(clips / "b.mkv").as_json() == ready.predict(clips / "b.mkv").as_json()


def test_lists_folders_and_files_are_taken_once_in_order(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text(f"# mine\n{clips / 'b.mkv'}\n\n{clips / 'a.mkv'}\n")
    found = clips_of([tmp_path / "l.txt", clips])
    names = ["b.mkv", "a.mkv", "broken.mp4", "copy.mkv", "c.mkv"]
    assert [x.name for x in found] == names
    (tmp_path / "empty").mkdir()
    (tmp_path / "e.txt").write_text("# nothing\n")
    for path, told in ((tmp_path / "empty", "0 videos"), (tmp_path / "e.txt", "0 usable")):
        with pytest.raises(BadInput, match=told):
            clips_of([path])


def test_simulate_of_a_video_says_predict(clips: Path) -> None:
    ran = run_command("simulate", clips / "a.mkv")
    assert ran.code == 2 and "neurozsl predict RUN" in ran.err


def test_calibration_says_that_a_score_is_no_probability() -> None:
    assert "not a probability" in ScoreScale(1.0, 16, 8).as_json()["meaning"]
