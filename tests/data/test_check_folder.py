"""`neurozsl data check`: every deviation is named with its place, and nothing is executed."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from neurozsl.cli.data import app
from neurozsl.core.errors import BadInput
from neurozsl.data.benchmark.avca import load_avca
from neurozsl.data.benchmark.check_folder import check_folder
from neurozsl.data.benchmark.findings import Finding
from neurozsl.data.sets.load import convert
from tests.data.trap import Trap

MAIN = Path("features") / "main_features"
LISTS = Path("class-split") / "main_split"


def found(root: Path, what: str) -> list[Finding]:
    return [each for each in check_folder(root).findings if each.what == what]


def change(path: Path, do: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        do(file)


def replace(file: h5py.File, name: str, value: object) -> None:
    del file[name]
    file[name] = value


def test_a_clean_set_has_notes_alone(stand_in: Path) -> None:
    report = check_folder(stand_in)
    assert report.usable and report.synthetic and report.kind == "benchmark"
    assert {each.level for each in report.findings} == {"note"}
    assert {each.what for each in report.findings} == {"count", "vector-form", "label-alignment"}
    assert [(row.split, row.wrong, row.total) for row in report.alignment] == [
        ("all_class", 4, 6),
        ("main_split/stage_1_train", 1, 3),
        ("main_split/stage_1_val_seen", 1, 3),
        ("main_split/stage_1_val_unseen", 1, 1),
        ("main_split/stage_2_test_seen", 2, 4),
        ("main_split/stage_2_test_unseen", 2, 2),
    ]


def missing_class(root: Path) -> None:
    (root / MAIN / "video" / "stage_1_train" / "Fencing.h5").unlink()


def one_sample(root: Path) -> None:
    for part in ("audio", "video"):

        def keep_first(file: h5py.File) -> None:
            data, urls = file["data"][:1], file["video_urls"][:1]
            replace(file, "data", data)
            replace(file, "video_urls", urls)

        change(root / MAIN / part / "stage_1_train" / "Archery.h5", keep_first)


def other_order(root: Path) -> None:
    def reverse(file: h5py.File) -> None:
        data, urls = file["data"][:][::-1], file["video_urls"][:][::-1]
        replace(file, "data", data)
        replace(file, "video_urls", urls)

    change(root / MAIN / "video" / "stage_1_val_seen" / "Archery.h5", reverse)


def one_side(root: Path) -> None:
    def rename(file: h5py.File) -> None:
        urls = file["video_urls"][:]
        urls[2] = b"other"
        replace(file, "video_urls", urls)

    change(root / MAIN / "video" / "stage_2_test_seen" / "Archery.h5", rename)


def not_finite(root: Path) -> None:
    def spoil(file: h5py.File) -> None:
        file["data"][1, 5] = np.nan
        file["data"][3, 0] = np.inf

    change(root / MAIN / "audio" / "stage_2_test_seen" / "Fencing.h5", spoil)


def other_width(root: Path) -> None:
    def cut(file: h5py.File) -> None:
        replace(file, "data", file["data"][:, :100])

    change(root / MAIN / "audio" / "stage_2_test_unseen" / "Typing.h5", cut)


def double_url(root: Path) -> None:
    def twice(file: h5py.File) -> None:
        urls = file["video_urls"][:]
        urls[1] = urls[0]
        replace(file, "video_urls", urls)

    for part in ("audio", "video"):
        change(root / MAIN / part / "stage_2_test_unseen" / "Diving.h5", twice)


def damaged(root: Path) -> None:
    path = root / MAIN / "audio" / "stage_1_val_unseen" / "CleanAndJerk.h5"
    path.write_bytes(path.read_bytes()[:700])


def unknown_class(root: Path) -> None:
    with (root / LISTS / "stage_1_val_unseen.txt").open("a") as file:
        file.write("\nJuggling")


def stale_cache(root: Path) -> None:
    cache = root / "_features_processed" / "main_features" / "trainingmain_split.pkl"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"never read")
    os.utime(cache, ns=(1, 1))


def list_without_class(root: Path) -> None:
    path = root / LISTS / "stage_1_train.csv"
    kept = [line for line in path.read_text().splitlines() if "Fencing" not in line]
    path.write_text("\n".join(kept))


def wrong_code(root: Path) -> None:
    path = root / LISTS / "stage_2_test_unseen.csv"
    path.write_text(path.read_text().replace("Diving,3", "Diving,4"))


def listed_twice(root: Path) -> None:
    path = root / LISTS / "stage_1_val_seen.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]))


def missing_folder(root: Path) -> None:
    shutil.rmtree(root / MAIN / "audio" / "stage_1_val_seen")


def unseen_is_seen(root: Path) -> None:
    with (root / LISTS / "stage_2_test_seen.txt").open("a") as file:
        file.write("\nDiving")


def vector_lost(root: Path) -> None:
    path = root / MAIN / "text" / "word_embeddings_ucf_normed.npz"
    with np.load(path) as file:
        names, vectors = file["names"], file["vectors"]
    np.savez(path, names=names[:-1], vectors=2 * vectors[:-1])


DAMAGES: list[tuple[Callable[[Path], None], str, str, str, tuple[str, ...]]] = [
    (missing_class, "error", "missing-class", "main_features/video/stage_1_train", ("Fencing",)),
    (one_sample, "error", "one-sample", "main_features/stage_1_train", ("Archery",)),
    (
        other_order,
        "warning",
        "order",
        "main_features/stage_1_val_seen/Archery",
        tuple(f"synthetic_stage_1_val_seen_000_{i:04d}" for i in range(4)),
    ),
    (
        not_finite,
        "error",
        "not-finite",
        "main_features/audio/stage_2_test_seen/Fencing.h5",
        tuple(f"row {i} (synthetic_stage_2_test_seen_004_{i:04d})" for i in (1, 3)),
    ),
    (other_width, "error", "width", "main_features", ("audio/stage_2_test_unseen/Typing.h5",)),
    (damaged, "error", "damaged", "main_features/audio/stage_1_val_unseen/CleanAndJerk.h5", ()),
    (unknown_class, "error", "unknown-class", "main_split/stage_1_val_unseen.txt", ("Juggling",)),
    (list_without_class, "error", "csv-txt", "main_split/stage_1_train.csv", ("Fencing",)),
    (
        wrong_code,
        "warning",
        "label-code",
        "main_split/stage_2_test_unseen.csv",
        ("Diving has 4, not 3",),
    ),
    (
        listed_twice,
        "error",
        "duplicate-video",
        "main_split/stage_1_val_seen.csv",
        ("synthetic_stage_1_val_seen_000_0000",),
    ),
    (missing_folder, "error", "missing-folder", "main_features/audio/stage_1_val_seen", ()),
    (unseen_is_seen, "error", "role", "main_split/stage_2_test_unseen.txt", ("diving",)),
    (
        vector_lost,
        "error",
        "vectors",
        "features/main_features/text/word_embeddings_ucf_normed.npz",
        ("Typing (Typing)",),
    ),
]


@pytest.mark.parametrize(
    ("damage", "level", "what", "where", "items"), DAMAGES, ids=lambda x: getattr(x, "__name__", "")
)
def test_a_deviation_is_named_with_its_place(
    damage: Callable[[Path], None],
    level: str,
    what: str,
    where: str,
    items: tuple[str, ...],
    stand_in: Path,
) -> None:
    before = {each.what for each in check_folder(stand_in).findings}
    assert what not in before
    damage(stand_in)
    report = check_folder(stand_in)
    named = [(f.level, f.where, f.items) for f in report.findings if f.what == what]
    assert (level, where, items) in named
    assert report.usable == (level != "error")
    assert report.findings[0].level == level  # errors come first


def test_videos_of_one_side_alone_are_named_for_each_side(stand_in: Path) -> None:
    one_side(stand_in)
    missing = {each.text: each.items for each in found(stand_in, "missing-video")}
    assert missing == {
        "1 url(s) missing in the video file": ("synthetic_stage_2_test_seen_000_0002",),
        "1 url(s) missing in the audio file": ("other",),
    }


def test_urls_twice_in_a_file_are_named_for_both_files(stand_in: Path) -> None:
    double_url(stand_in)
    assert [each.where for each in found(stand_in, "duplicate-video")] == [
        f"main_features/{part}/stage_2_test_unseen/Diving.h5" for part in ("audio", "video")
    ]


def test_a_stale_cache_is_a_warning_and_is_not_opened(stand_in: Path) -> None:
    stale_cache(stand_in)
    [cache] = found(stand_in, "stale-cache")
    assert cache.level == "warning" and len(cache.items) == 1
    os.utime(cache.items[0])
    assert not found(stand_in, "stale-cache") and len(found(stand_in, "cache")) == 1


def test_features_outside_the_lists_are_noted(stand_in: Path) -> None:
    folder = stand_in / MAIN / "audio" / "stage_1_train"
    shutil.copy(folder / "Archery.h5", folder / "Juggling.h5")
    shutil.copy(folder / "Archery.h5", folder / "Typing.h5")
    [unknown] = found(stand_in, "unknown-class")
    assert (unknown.level, unknown.items) == ("warning", ("Juggling.h5",))
    [extra] = found(stand_in, "additional-file")
    assert (extra.level, extra.items) == ("note", ("Typing.h5",))
    load_avca(stand_in)


def test_a_video_in_two_splits_is_a_warning(stand_in: Path) -> None:
    for part in ("audio", "video"):
        base = stand_in / MAIN / part
        shutil.copy(base / "stage_1_train" / "Archery.h5", base / "stage_2_test_seen")
    [shared] = found(stand_in, "shared-video")
    assert shared.where == "main_features/stage_2_test_seen" and len(shared.items) == 4
    assert "stage_1_train" in shared.text


def test_many_damages_are_all_named_at_once(stand_in: Path) -> None:
    for damage in (missing_class, other_order, one_side, not_finite, other_width, double_url):
        damage(stand_in)
    damaged(stand_in)
    stale_cache(stand_in)
    whats = {each.what for each in check_folder(stand_in).findings}
    assert whats >= {
        "missing-class",
        "order",
        "missing-video",
        "not-finite",
        "width",
        "duplicate-video",
        "damaged",
        "stale-cache",
    }


def test_what_check_calls_an_error_the_reader_refuses(stand_in: Path, tmp_path: Path) -> None:
    damages = (missing_class, one_sample, one_side, not_finite, other_width, damaged, vector_lost)
    for number, damage in enumerate(damages):
        root = Path(shutil.copytree(stand_in, tmp_path / str(number)))
        damage(root)
        assert not check_folder(root).usable
        with pytest.raises(BadInput):
            load_avca(root)


def test_hostile_pickles_among_the_features_are_refused_and_not_executed(
    stand_in: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    text = stand_in / MAIN / "text"
    (text / "word_embeddings_ucf_normed.npz").unlink()
    vectors = text / "word_embeddings_ucf_normed.npy"
    np.save(vectors, np.array({"Archery": Trap(trap)}, dtype=object), allow_pickle=True)
    hidden = stand_in / MAIN / "audio" / "stage_1_train" / "Archery.pkl"
    with hidden.open("wb") as file:
        pickle.dump(Trap(trap), file)
    np.save(stand_in / MAIN / "more.npy", np.array([Trap(trap)], dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match=r"normed\.npy: is not a plain .*refused"):
        load_avca(stand_in)
    with pytest.raises(BadInput, match="refused"):
        convert(stand_in, tmp_path / "one")
    report = check_folder(stand_in)
    assert not report.usable
    refused = [each.where for each in report.findings if "refused" in each.text]
    assert refused == [
        "main_features/audio/stage_1_train/Archery.pkl",
        "main_features/more.npy",
        "features/main_features/text/word_embeddings_ucf_normed.npy",
    ]
    assert not trap.exists()
    with hidden.open("rb") as file:  # the trap does work
        pickle.load(file)
    assert trap.exists()


def test_a_class_that_is_there_as_a_pickle_alone_is_missing_and_not_executed(
    stand_in: Path, tmp_path: Path
) -> None:
    folder = stand_in / MAIN / "audio" / "stage_1_train"
    (folder / "Archery.h5").unlink()
    with (folder / "Archery.pkl").open("wb") as file:
        pickle.dump(Trap(tmp_path / "trap"), file)
    with pytest.raises(BadInput, match=r"no \.h5 for 1 class.*archery"):
        load_avca(stand_in)
    assert not (tmp_path / "trap").exists()


def test_the_command_prints_everything_and_ends_with_2_on_errors(stand_in: Path) -> None:
    clean = CliRunner().invoke(app, ["check", str(stand_in)])
    assert clean.exit_code == 0 and clean.stdout == ""
    assert "0 error(s), 0 warning(s)" in clean.stderr and "main_split/stage_1_train" in clean.stderr
    missing_class(stand_in)
    shown = CliRunner().invoke(app, ["check", str(stand_in), "--json"])
    assert shown.exit_code == 2
    report = json.loads(shown.stdout)
    assert report["usable"] is False and report["alignment"][0]["wrong"] == 4
    assert report["findings"][0]["items"] == ["Fencing"]


def test_a_written_set_is_hashed_and_its_values_looked_at(stand_in: Path, tmp_path: Path) -> None:
    convert(stand_in, tmp_path / "one")
    report = check_folder(tmp_path / "one")
    assert report.usable and report.synthetic and report.kind == "memory-mapped"
    path = tmp_path / "one" / "dataset.h5"
    state = path.stat()
    change(path, lambda file: file["audio"].write_direct(np.ones((52, 1, 512), np.float32)))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # looks as it was
    assert path.stat().st_size == state.st_size
    report = check_folder(tmp_path / "one")
    assert not report.usable and "changed since written" in report.findings[0].text


def test_a_folder_of_no_known_kind_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        check_folder(tmp_path / "no")
    with pytest.raises(BadInput, match=r"neither dataset\.h5"):
        check_folder(tmp_path)
