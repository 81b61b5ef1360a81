"""Stand-in features: the benchmark's layout, marked synthetic, learnable, the same each time."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from neurozsl.cli.data import app
from neurozsl.core.errors import BadInput
from neurozsl.data.benchmark.avca import load_avca
from neurozsl.data.benchmark.avca_layout import DATASETS, SUBSPLITS, read_table
from neurozsl.data.sets.load import load
from neurozsl.data.synthetic.standin_set import write_stand_ins
from neurozsl.data.synthetic.standins import FeatureMaker, StandInConfig


def files(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


def test_the_layout_is_the_benchmarks(stand_in: Path) -> None:
    path = stand_in / "features" / "main_features" / "video" / "stage_1_train" / "Archery.h5"
    with h5py.File(path) as file:
        assert file["data"].dtype == np.float32 and file["data"].shape == (4, 512)
        assert file["video_urls"].dtype == np.dtype("S80")
        assert isinstance(file["video_urls"][0], bytes)
    for part in ("audio", "video"):
        found = {p.name for p in (stand_in / "features" / "main_features" / part).iterdir()}
        assert found == set(SUBSPLITS.values())
    assert {p.name for p in stand_in.iterdir()} == {"class-split", "features", "synthetic.json"}
    # videos in the same order in both modalities, as the published loader demands
    for audio in (stand_in / "features" / "main_features" / "audio").rglob("*.h5"):
        video = Path(str(audio).replace("/audio/", "/video/"))
        with h5py.File(audio) as a, h5py.File(video) as v:
            assert a["video_urls"][:].tolist() == v["video_urls"][:].tolist()


def test_synthetic_travels_into_everything_that_reads_it(stand_in: Path) -> None:
    data = load(stand_in)
    assert data.synthetic and "synthetic stand-in" in data.name
    (stand_in / "synthetic.json").unlink()  # the files say it too
    assert load(stand_in).synthetic
    (stand_in / "synthetic.json").write_text("{")
    with pytest.raises(BadInput, match=r"synthetic\.json: is not readable JSON"):
        load(stand_in)


def test_the_marker_says_what_was_invented_and_how_much(stand_in: Path) -> None:
    facts = json.loads((stand_in / "synthetic.json").read_text())
    assert facts["synthetic"] is True and facts["config"]["seed"] == 0
    assert facts["invented"]["video_names"] == list(SUBSPLITS.values())
    assert facts["counts"] == {
        "stage_1_train": 12,
        "stage_1_val_seen": 12,
        "stage_1_val_unseen": 4,
        "stage_2_test_seen": 16,
        "stage_2_test_unseen": 8,
    }
    data = load(stand_in)
    assert [len(data.splits[name]) for name in SUBSPLITS] == list(facts["counts"].values())
    with (stand_in / "class-split" / "main_split" / "stage_2_train.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 28 and all(row["filename"].startswith("synthetic_") for row in rows)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_features(
    class_lists: Path, class_vectors: Path, tmp_path: Path
) -> None:
    config = StandInConfig("ucf", videos_per_class=2, seed=3)
    for name, each in (("a", config), ("b", config), ("c", replace(config, seed=4))):
        write_stand_ins(each, class_lists, class_vectors, tmp_path / name)
    a, b, c = (load(tmp_path / name).splits["train"] for name in "abc")
    np.testing.assert_array_equal(a.video, b.video)
    assert a.names == c.names and not np.any(a.video == c.video)


def test_a_class_can_be_made_alone_with_the_same_numbers(class_vectors: Path) -> None:
    table = read_table(class_vectors)
    maker = FeatureMaker.make(StandInConfig("ucf"), np.stack(list(table.values())))
    alone = maker.features(3, 1, 7)
    maker.features(0, 0, 50)
    for left, right in zip(alone, maker.features(3, 1, 7), strict=True):
        np.testing.assert_array_equal(left, right)


def test_cls_features_have_the_widths_ranges_and_classes_of_the_real_ones(
    class_lists: Path, class_vectors: Path, tmp_path: Path
) -> None:
    config = StandInConfig("ucf", "cls", videos_per_class=3)
    write_stand_ins(config, class_lists, class_vectors, tmp_path / "set")
    data = load(tmp_path / "set")
    train = data.splits["train"]
    assert train.audio.shape[2] == 128 and train.video.shape[2] == 4096
    assert 0 <= train.audio.min() and 200 < train.audio.max() <= 255
    assert train.video.min() == 0.0 and 0.3 < np.mean(train.video == 0) < 0.7
    assert [data.classes[i] for i in data.splits["test_unseen"].classes()] == ["Diving"]


def test_a_linear_map_learnt_on_seen_classes_names_unseen_ones(shared_data: Path) -> None:
    """Ridge regression of the class vectors on the features, UCF's real classes and vectors."""
    base = shared_data / "class_vectors"
    from neurozsl.data.benchmark.avca_layout import class_key, read_lines, vector_keys

    lists = base / "class_splits" / "UCF"
    classes = sorted(read_lines(lists / "all_class.txt"))
    table = read_table(base / "word2vec_ucf_safe.npz")
    words = np.stack([table[key] for key in vector_keys(lists, "ucf", classes)])
    ids = {class_key(name, "ucf"): i for i, name in enumerate(classes)}

    def labels(name: str) -> list[int]:
        lines = read_lines(lists / "main_split" / f"{name}.txt")
        return [ids[class_key(line, "ucf")] for line in lines]

    seen, unseen = labels("stage_2_train"), labels("stage_2_test_unseen")
    maker = FeatureMaker.make(StandInConfig("ucf"), words)
    known = np.concatenate([np.concatenate(maker.features(c, 0, 40), axis=1) for c in seen])
    new = np.concatenate([np.concatenate(maker.features(c, 4, 40), axis=1) for c in unseen])
    target = words - words[seen].mean(axis=0)
    centre = known.mean(axis=0)
    gram = (known - centre).T @ (known - centre)
    ridge = gram + 0.01 * np.trace(gram) / len(gram) * np.eye(len(gram))
    weight = np.linalg.solve(ridge, (known - centre).T @ target[np.repeat(seen, 40)])

    def zsl(vectors: np.ndarray) -> float:
        unit = vectors[unseen] / np.linalg.norm(vectors[unseen], axis=1, keepdims=True)
        named = ((new - centre) @ weight @ unit.T).argmax(axis=1)
        return float(np.mean(named == np.repeat(np.arange(len(unseen)), 40)))

    right = zsl(target)
    wrong = np.mean([zsl(target[np.random.default_rng(i).permutation(101)]) for i in range(20)])
    assert 0.3 < right < 0.9  # chance is 1 / 9
    assert wrong < 0.5 * right


def test_given_video_lists_are_used_and_copied_byte_for_byte(
    shared_data: Path, tmp_path: Path
) -> None:
    base = shared_data / "class_vectors"
    vectors = base / "word_embeddings_ucf_normed.npy"
    facts = write_stand_ins(StandInConfig("ucf"), base / "class_splits", vectors, tmp_path / "set")
    assert list(facts["counts"].values()) == list(DATASETS["ucf"].counts)  # type: ignore[attr-defined]
    assert facts["invented"]["video_names"] == []  # type: ignore[index]
    text = tmp_path / "set" / "features" / "main_features" / "text"
    assert (text / vectors.name).read_bytes() == vectors.read_bytes()
    original = files(base / "class_splits" / "UCF")
    copied = files(tmp_path / "set" / "class-split")
    assert {name: copied[name] for name in original} == original
    data = load_avca(tmp_path / "set")
    assert "v_Archery_g01_c01" in data.splits["train"].names
    assert data.meta["label_alignment"] == "by_name"
    legacy = load_avca(tmp_path / "set", label_alignment="legacy")
    assert legacy.meta["classes_with_another_vector"] == 79


def test_invented_lists_have_the_published_counts_and_header(
    shared_data: Path, tmp_path: Path
) -> None:
    base = shared_data / "class_vectors"
    config = StandInConfig("activitynet", videos_per_class=2)
    write_stand_ins(
        config, base / "class_splits", base / "word2vec_activity_safe.npz", tmp_path / "set"
    )
    path = tmp_path / "set" / "class-split" / "main_split" / "stage_1_val_unseen.csv"
    with path.open() as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames or ()) == DATASETS["activity"].columns
    assert set(Counter(row["label"] for row in rows).values()) == {2} and len(rows) == 102
    data = load(tmp_path / "set")
    for row in rows[:20]:
        assert data.classes[int(row["label_code"])] == row["label"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"like": "kinetics"}, "choose one of ucf, activitynet, vggsound"),
        ({"features": "clip"}, "choose main or cls"),
        ({"videos_per_class": 1}, "at least 2 per class"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        StandInConfig(**{"like": "ucf", **change})  # type: ignore[arg-type]


def test_a_folder_with_other_content_is_never_replaced(
    class_lists: Path, class_vectors: Path, stand_in: Path
) -> None:
    config = StandInConfig("ucf", videos_per_class=2)
    write_stand_ins(config, class_lists, class_vectors, stand_in)  # an older stand-in set may be
    assert len(load(stand_in).splits["train"]) == 6
    (stand_in / "thesis.txt").write_text("x")
    with pytest.raises(BadInput, match="is not replaced"):
        write_stand_ins(config, class_lists, class_vectors, stand_in)
    (stand_in / "thesis.txt").unlink()
    (stand_in / "synthetic.json").unlink()  # then it may be real features
    with pytest.raises(BadInput, match="is not replaced"):
        write_stand_ins(config, class_lists, class_vectors, stand_in)


def test_lists_of_another_data_set_are_refused(class_lists: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no vggsound_w2v_class_names\.csv"):
        write_stand_ins(StandInConfig("vggsound"), class_lists, tmp_path / "v.npz", tmp_path / "o")
    with pytest.raises(BadInput, match=r"no all_class\.txt"):
        write_stand_ins(StandInConfig("ucf"), tmp_path, tmp_path / "v.npz", tmp_path / "o")


def test_a_failing_generation_leaves_nothing_behind(
    class_lists: Path, class_vectors: Path, tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_stand_ins(
            StandInConfig("ucf", videos_per_class=2),
            class_lists,
            class_vectors,
            tmp_path / "set",
            progress=stop,
        )
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_is_invented(
    class_lists: Path, class_vectors: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    more = ["--splits", str(class_lists), "--vectors", str(class_vectors), "--out", str(out)]
    made = CliRunner().invoke(
        app, ["synth", "--like", "ucf", "--videos-per-class", "2", "--seed", "5", *more]
    )
    assert made.exit_code == 0, made.output
    assert made.stdout == "" and "synthetic features" in made.stderr
    assert made.stderr.count("names invented") == 5 and "never with a paper" in made.stderr
    shown = CliRunner().invoke(app, ["inspect", str(out), "--json"])
    assert json.loads(shown.stdout)["synthetic"] is True
    forgotten = CliRunner().invoke(app, ["synth", "--like", "ucf", "--out", str(out)])
    assert isinstance(forgotten.exception, BadInput)


MEASURE = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from neurozsl.data.sets.load import convert, load
from neurozsl.data.synthetic.standin_set import write_stand_ins
from neurozsl.data.synthetic.standins import StandInConfig
{job}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"peak_mb": peak, **found}}))
"""


def measured(job: str) -> dict[str, float]:
    """Runs a job in a process of its own and returns its peak memory and what it found."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(job=job)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="resource exists on POSIX alone")
def test_memory_is_bounded_by_a_class_not_by_the_set(shared_data: Path, tmp_path: Path) -> None:
    """VGGSound's classes, wide features, 40 videos each: 400 MB of features on disk."""
    base = shared_data / "class_vectors"
    raw, one = tmp_path / "set", tmp_path / "packed"
    idle = measured("found = {}")["peak_mb"]
    made = measured(
        f"write_stand_ins(StandInConfig('vggsound', 'cls', videos_per_class=40), "
        f"Path({str(base / 'class_splits')!r}), Path({str(base / 'word2vec_vggsound_safe.npz')!r}),"
        f" Path({str(raw)!r}))\nfound = {{}}"
    )
    packed = measured(f"convert(Path({str(raw)!r}), Path({str(one)!r}))\nfound = {{}}")
    size = (one / "dataset.h5").stat().st_size / 2**20
    assert size > 350
    read = measured(
        f"data = load(Path({str(one)!r}))\n"
        "train = data.stage(2).train\n"
        "rng = np.random.default_rng(0)\n"
        "for _ in range(2 * len(train) // 256):\n"
        "    train.batch(rng.integers(len(train), size=256))\n"
        "found = {'samples': len(train)}"
    )
    assert read["samples"] > 8000
    assert made["peak_mb"] - idle < 0.4 * size
    assert packed["peak_mb"] - idle < 0.4 * size
    assert read["peak_mb"] - idle < 0.2 * size
