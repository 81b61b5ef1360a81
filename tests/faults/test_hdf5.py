"""Data sets in HDF5: plain hard-linked arrays alone, and no claim is believed unchecked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from neurozsl.cli.data import app
from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import SPLITS, Split, ZSLData
from neurozsl.data.benchmark import averaged, packed
from neurozsl.data.benchmark.check_folder import check_folder
from neurozsl.data.encoders.features import ENCODER_SCHEMA, FeatureEncoder
from neurozsl.data.hdf5 import opened
from neurozsl.data.index import index_of
from neurozsl.data.sets.load import load
from neurozsl.data.store import save
from neurozsl.training.train import make_model

CLASSES = ("walk", "läuft", "c", "d")
ROLES = {
    "train": (0, 1),
    "val_seen": (0,),
    "val_unseen": (2,),
    "test_seen": (1,),
    "test_unseen": (3,),
}
Damage = Callable[[Any], object]


def made(name: str, ids: tuple[int, ...], seed: int) -> Split:
    rng = np.random.default_rng(seed)
    n = 3 * len(ids)
    return Split(
        name=name,
        audio=rng.normal(size=(n, 4, 5)).astype(np.float32),
        video=rng.normal(size=(n, 4, 6)).astype(np.float32),
        label=np.repeat(np.array(ids, dtype=np.int64), 3),
        mask=np.ones((n, 4), dtype=np.bool_),
        names=tuple(f"{name}/ä {i}" for i in range(n)),
        events=rng.integers(0, 256, (n, 4, 8), dtype=np.uint8),
    )


def data() -> ZSLData:
    vectors = np.random.default_rng(9).normal(size=(4, 30))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    splits = {name: made(name, ids, i) for i, (name, ids) in enumerate(ROLES.items())}
    return ZSLData("toy", CLASSES, vectors.astype(np.float32), splits, True, 0.2, {"note": "x"})


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    save(data(), tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    packed.write(index_of(data()), tmp_path / "one")
    return tmp_path / "one"


def replaced(name: str, make: Callable[[Any, str], object]) -> Damage:
    """The dataset is taken away and something else made in its place."""

    def damage(file: Any) -> None:
        del file[name]
        make(file, name)

    return damage


def other_file(file: Any) -> Path:
    path = Path(file.filename).with_name("outside.h5")
    with h5py.File(path, "w") as outside:
        outside["x"] = np.zeros((6, 4, 5), np.float32)
    return path


def external_link(file: Any, name: str) -> None:
    file[name] = h5py.ExternalLink(str(other_file(file)), "x")


def soft_link(file: Any, name: str) -> None:
    file[name] = h5py.SoftLink("/train/video/sequence")


def virtual(file: Any, name: str) -> None:
    layout = h5py.VirtualLayout((6, 4, 5), "<f4")
    layout[:] = h5py.VirtualSource(other_file(file), "x", (6, 4, 5))
    file.create_virtual_dataset(name, layout)


def external_storage(file: Any, name: str) -> None:
    path = Path(file.filename).with_name("outside.raw")
    path.write_bytes(bytes(480))
    file.create_dataset(name, (6, 4, 5), "<f4", external=[(str(path), 0, 480)])


def never_written(shape: tuple[int, ...]) -> Callable[[Any, str], object]:
    return lambda file, name: file.create_dataset(name, shape, "<f4", chunks=None)


def huge_chunks(file: Any, name: str) -> None:
    file.create_dataset(name, (2**30, 4, 5), "<f4", chunks=(2**20, 4, 5), compression="gzip")


def as_array(values: Any, **options: Any) -> Callable[[Any, str], object]:
    return lambda file, name: file.create_dataset(name, data=values, **options)


def group(file: Any, name: str) -> None:
    file.create_group(name)


AUDIO, LABEL = "train/audio/sequence", "train/label"
ZEROS = np.zeros((6, 4, 5), np.float32)
DAMAGES: dict[str, tuple[Damage, str]] = {
    "external link": (replaced(AUDIO, external_link), f"'{AUDIO}' is a ExternalLink, which points"),
    "soft link": (replaced(AUDIO, soft_link), f"'{AUDIO}' is a SoftLink, which points elsewhere"),
    "group by external link": (replaced("train", external_link), "is a ExternalLink"),
    "virtual": (replaced(AUDIO, virtual), f"'{AUDIO}' keeps its values in other files"),
    "external storage": (replaced(AUDIO, external_storage), "keeps its values in other files"),
    "names elsewhere": (replaced("classes", external_link), "'classes' is a ExternalLink"),
    "missing": (replaced(AUDIO, lambda file, name: None), f"'{AUDIO}' is missing"),
    "no group": (replaced("train/audio", as_array(ZEROS)), f"'{AUDIO}' lies in what is no group"),
    "a group": (replaced(AUDIO, group), f"'{AUDIO}' is no dataset"),
    "4 TB never written": (replaced(AUDIO, never_written((2**35, 4, 8))), "is 2"),
    "40 GB never written": (replaced(AUDIO, never_written((2**26, 4, 40))), "the file stores 0 of"),
    "20 GB of chunks never written": (replaced(AUDIO, huge_chunks), "the file stores 0 of them"),
    "text as numbers": (
        replaced(AUDIO, as_array(["a"])),
        "is object of shape (1,), expected type f",
    ),
    "numbers as text": (replaced("classes", as_array([1, 2])), "expected text (n,)"),
    "complex": (replaced(AUDIO, as_array(ZEROS * 1j)), "has type complex64, expected numbers"),
    "records": (replaced(AUDIO, as_array(np.zeros(3, [("a", "<f4")]))), "expected numbers or text"),
    "references": (
        lambda file: replaced(AUDIO, as_array(np.array([file.ref]), dtype=h5py.ref_dtype))(file),
        "expected numbers or text",
    ),
    "lists of numbers": (
        replaced(AUDIO, lambda f, n: f.create_dataset(n, (3,), h5py.vlen_dtype(np.float32))),
        "expected numbers or text",
    ),
    "nothing": (replaced(AUDIO, as_array(h5py.Empty("f"))), "holds no value"),
    "one number": (
        replaced(LABEL, as_array(np.int64(3))),
        "of shape (), expected type iu of shape",
    ),
    "a matrix of labels": (replaced(LABEL, as_array(ZEROS.astype(int)[0])), "of shape (any)"),
    "real labels": (replaced(LABEL, as_array(np.zeros(6))), "is float64 of shape (6,), expected"),
    "wide events": (
        replaced("train/events", as_array(np.zeros((6, 4, 8), np.uint16))),
        "is uint16 of shape (6, 4, 8), expected type u1",
    ),
    "truth as numbers": (replaced("train/mask", as_array(np.ones((6, 4)))), "expected type b"),
    "a filter of others": (
        replaced(AUDIO, lambda f, n: f.create_dataset(n, data=ZEROS, chunks=True, scaleoffset=2)),
        "is packed by filters",
    ),
    "text that is not UTF-8": (
        replaced("classes", as_array(np.array([b"a", b"\xff", b"c", b"d"]))),
        "'classes' holds text that is not UTF-8",
    ),
    "fewer labels": (replaced(LABEL, as_array(np.zeros(5, int))), "is needed"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_of_a_data_set_has_its_words_and_takes_no_memory(
    name: str, stored: Path
) -> None:
    damage, said = DAMAGES[name]
    path = stored / "dataset.h5"
    with h5py.File(path, "r+") as file:
        damage(file)
    tracemalloc.start()
    with pytest.raises(BadInput) as caught:
        load(stored)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(caught.value)
    assert str(path) in message and said in message
    assert "\n" not in message
    assert peak < 30_000_000


PACKED_DAMAGES: dict[str, tuple[Damage, str]] = {
    "external link": (replaced("audio", external_link), "'audio' is a ExternalLink"),
    "virtual": (replaced("audio", virtual), "'audio' keeps its values in other files"),
    "external storage": (replaced("audio", external_storage), "keeps its values in other files"),
    "in chunks": (
        replaced("audio", as_array(np.zeros((18, 4, 5), np.float32), chunks=(3, 4, 5))),
        "'audio' is no contiguous array of <f4",
    ),
    "other numbers": (replaced("audio", as_array(np.zeros((18, 4, 5)))), "'audio' is float64"),
    "fewer samples": (replaced("audio", as_array(ZEROS)), "of shape (6, 4, 5), expected"),
    "labels elsewhere": (replaced("label", external_link), "'label' is a ExternalLink"),
    "vectors elsewhere": (replaced("vectors", external_link), "'vectors' is a ExternalLink"),
    "no vectors": (replaced("vectors", group), "no by_name vectors"),
}


@pytest.mark.parametrize("name", PACKED_DAMAGES)
def test_each_damage_of_a_memory_mapped_set_has_its_words(name: str, one_file: Path) -> None:
    damage, said = PACKED_DAMAGES[name]
    path = one_file / "dataset.h5"
    with h5py.File(path, "r+") as file:
        damage(file)
    seal(one_file)
    with pytest.raises(BadInput) as caught:
        load(one_file)
    assert "toy" in str(caught.value) or str(path) in str(caught.value)
    assert said in str(caught.value)


def seal(folder: Path) -> None:
    """Note size, time and hash of the file as it is now."""
    facts = json.loads((folder / "dataset.json").read_text())
    state = (folder / "dataset.h5").stat()
    facts["arrays"] |= {
        "sha256": sha256(folder / "dataset.h5"),
        "bytes": state.st_size,
        "mtime_ns": state.st_mtime_ns,
    }
    (folder / "dataset.json").write_text(json.dumps(facts))


def heap_of(path: Path, name: str) -> tuple[int, bytearray]:
    """Where the claims of a dataset of text lie, and the file."""
    with h5py.File(path) as file:
        at = file[name].id.get_offset()
    return at, bytearray(path.read_bytes())


def test_an_entry_of_size_zero_in_a_store_of_text_does_not_hang(stored: Path) -> None:
    path = stored / "dataset.h5"
    at, content = heap_of(path, "classes")
    heap = int.from_bytes(content[at + 4 : at + 12], "little")
    assert content[heap : heap + 4] == b"GCOL"
    whole = bytes(content)
    for size, said in (
        (0, "is damaged, a stored string claims"),
        (2**40, "claims 1099511627776 bytes"),
    ):
        content[heap + 24 : heap + 32] = size.to_bytes(8, "little")
        path.write_bytes(content)
        with pytest.raises(BadInput, match=said):
            load(stored)
    content = bytearray(whole)
    content[heap + 16 : heap + 32] = bytes(16)  # free space of size 0, where libhdf5 stays
    path.write_bytes(content)
    with pytest.raises(BadInput, match="'classes' is damaged, a stored string claims 0 bytes"):
        load(stored)


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (0, 2**32 - 2, "claims 42949"),
        (0, 5_000, "claims text of 5000 bytes, stored 4"),
        (4, 64, "names a store of text at 64, where none is"),
        (4, 2**31, "names a store of text at 2147483648"),
        (12, 900, "claims text of 4 bytes, stored -1"),
    ],
)
def test_a_name_that_claims_what_is_not_stored_is_refused(
    offset: int, value: int, said: str, stored: Path
) -> None:
    path = stored / "dataset.h5"
    at, content = heap_of(path, "classes")
    content[at + offset : at + offset + 4] = value.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(BadInput, match=said):
        load(stored)


def test_text_is_read_as_h5py_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "text.h5"
    words = ["walk", "", "läuft", "x" * 70_000, *map(str, range(3_000))]
    with h5py.File(path, "w") as file:
        file.create_dataset("plain", data=words, dtype=h5py.string_dtype())
        packing = {"chunks": (700,), "compression": "gzip"}
        file.create_dataset("packed", data=words, dtype=h5py.string_dtype(), **packing)
        file.create_dataset("resized", data=words, dtype=h5py.string_dtype(), maxshape=(None,))
        file.create_dataset("fixed", data=np.array([w.encode()[:9] for w in words]))
        file.create_dataset("none", shape=(0,), dtype=h5py.string_dtype())
    with opened(path, remedy="-") as read, h5py.File(path) as file:
        for name in file:
            assert read.texts(name) == tuple(x.decode() for x in file[name][:])


def test_flipped_bits_of_a_set_never_raise_anything_else(stored: Path) -> None:
    path = stored / "dataset.h5"
    sound, rng, refused = path.read_bytes(), np.random.default_rng(2), 0
    wanted = load(stored)
    # Headers and heaps are what a flip can mislead; values have no checksum in this file.
    with h5py.File(path) as file:
        taken = set()
        for split in SPLITS:
            for name in ("audio/data", "audio/sequence", "video/data", "video/sequence", "label"):
                item = file[f"{split}/{name}"]
                taken |= set(range(item.id.get_offset(), item.id.get_offset() + item.nbytes))
    places = np.array([i for i in range(len(sound)) if i not in taken])
    for _ in range(250):
        content = bytearray(sound)
        for at in rng.choice(places, 3):
            content[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(content[: rng.integers(len(content))] if rng.random() < 0.1 else content)
        try:
            found = load(stored)
        except BadInput as error:
            refused += 1
            assert str(path) in str(error)
        else:
            np.testing.assert_array_equal(found.splits["train"].label, wanted.splits["train"].label)
    assert refused > 50


def test_class_files_of_the_benchmark_are_read_as_strictly(tmp_path: Path) -> None:
    path = tmp_path / "Archery.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.ones((2, 3), np.float32)
        file["video_urls"] = np.array([b"one", b"two"])
        file.attrs["synthetic"] = True
    header = averaged.read_header(path)
    assert (header.urls, header.width, header.synthetic) == (("one", "two"), 3, True)
    for name, make, said in (
        ("data", external_link, "'data' is a ExternalLink"),
        ("data", never_written((2**30, 3)), "the file stores 0 of them"),
        ("data", as_array(["x", "y"]), "data"),
        ("video_urls", soft_link, "'video_urls' is a SoftLink"),
    ):
        whole = path.read_bytes()
        with h5py.File(path, "r+") as file:
            replaced(name, make)(file)
        with pytest.raises(BadInput, match=said):
            averaged.read_header(path)
        path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file.attrs["synthetic"] = np.zeros(3)
    with pytest.raises(BadInput, match="'synthetic' is an attribute of float64"):
        averaged.read_header(path)


FACTS: dict[str, tuple[Any, str]] = {
    "name": (7, "'name' is 7, expected text"),
    "synthetic": (1, "'synthetic' is 1, expected true or false"),
    "step_s": ("0.2", "'step_s' is \"0.2\", expected a finite number"),
    "meta": ([], "'meta' is a list of 0, expected an object"),
    "counts": ({"train": 6}, "counts of 'train', expected train, val_seen"),
    "schema": ("1", "'schema' is \"1\", expected a whole number"),
}


@pytest.mark.parametrize("key", FACTS)
def test_wrong_values_of_dataset_json_are_named(key: str, stored: Path, one_file: Path) -> None:
    for folder in (stored, one_file):
        path = folder / "dataset.json"
        facts = json.loads(path.read_text())
        value, said = FACTS[key]
        for changed, words in (
            ({**facts, key: value}, said),
            ({k: v for k, v in facts.items() if k != key}, f"'{key}' missing"),
            ({**facts, key: None}, f"'{key}' is null"),
        ):
            path.write_text(json.dumps(changed))
            with pytest.raises(BadInput) as caught:
                load(folder)
            assert str(path) in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step_s": 0.0}, "step_s is 0.0, expected a time above 0 s"),
        ({"step_s": -1}, "step_s is -1"),
        ({"step_s": float("nan")}, "NaN is not JSON"),
        ({"counts": dict.fromkeys(SPLITS, -3)}, "count of train is -3, expected 0 or more"),
        ({"counts": dict.fromkeys(SPLITS, 1.5)}, "count of train is 1.5, expected a whole number"),
        ({"counts": dict.fromkeys(SPLITS, 10**30)}, "says 1000000000000000000000000000000"),
        ({"arrays": []}, "'arrays' is a list of 0, expected an object"),
        ({"arrays": {"sha256": "x", "bytes": "9", "mtime_ns": 1}}, "'bytes' is \"9\", expected"),
        ({"arrays": {"sha256": "x", "bytes": 9}}, "'mtime_ns' missing"),
    ],
)
def test_impossible_values_of_dataset_json_are_named(
    change: dict[str, Any], said: str, one_file: Path, stored: Path
) -> None:
    for folder in (one_file, stored):
        if folder == stored and "arrays" in change:
            continue
        path = folder / "dataset.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        with pytest.raises(BadInput) as caught:
            load(folder)
        message = str(caught.value)
        assert "dataset.json" in message and (said in message or "says 1000" in said)


def test_a_change_that_keeps_size_and_time_is_named_by_a_deep_check(one_file: Path) -> None:
    assert check_folder(one_file, deep=True).findings == ()
    path = one_file / "dataset.h5"
    with h5py.File(path) as file:
        at = file["video"].id.get_offset()
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[at + 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    load(one_file)  # opens: size and time are those noted
    report = check_folder(one_file, deep=True)
    assert not report.usable
    [changed] = [each for each in report.findings if each.what == "changed"]
    assert changed.where == "dataset.h5/video" and "holds other values" in changed.text
    ran = CliRunner().invoke(app, ["check", str(one_file), "--deep", "--json"])
    assert ran.exit_code == 2 and "dataset.h5/video" in ran.stdout


def test_arrays_that_were_added_or_taken_away_are_named_by_a_deep_check(one_file: Path) -> None:
    with h5py.File(one_file / "dataset.h5", "r+") as file:
        file["more"] = np.zeros(3)
        del file["events"]
    seal(one_file)
    assert packed.changed_arrays(one_file) == {"events": "is missing", "more": "was added"}


CLAIMING = """
import resource, sys
from pathlib import Path
from neurozsl.core.errors import BadInput
from neurozsl.data.sets.load import load
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for folder in sys.argv[1:]:
    try:
        load(Path(folder))
    except BadInput:
        continue
    raise SystemExit(f"{folder} was read")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_claims_take_no_memory_of_the_libraries_either(tmp_path: Path) -> None:
    folders = []
    for name in ("4 TB never written", "40 GB never written", "20 GB of chunks never written"):
        folder = tmp_path / name
        save(data(), folder)
        with h5py.File(folder / "dataset.h5", "r+") as file:
            DAMAGES[name][0](file)
        folders.append(folder)
    for value in (2**32 - 2, 2**30):
        folder = tmp_path / f"text {value}"
        save(data(), folder)
        at, content = heap_of(folder / "dataset.h5", "classes")
        content[at : at + 4] = value.to_bytes(4, "little")
        (folder / "dataset.h5").write_bytes(content)
        folders.append(folder)
    command = [sys.executable, "-c", CLAIMING, *map(str, folders)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    unit = 1024 if sys.platform == "linux" else 1  # macOS counts bytes
    assert int(ran.stdout) * unit < 100_000_000


@pytest.mark.parametrize("command", ["inspect", "check", "convert"])
def test_the_commands_name_the_file_and_end_with_2(
    command: str, stored: Path, tmp_path: Path
) -> None:
    path = stored / "dataset.h5"
    with h5py.File(path, "r+") as file:
        replaced(AUDIO, external_link)(file)
    out = ["--out", str(tmp_path / "new")] if command == "convert" else []
    line = [sys.executable, "-m", "neurozsl", "data", command, str(stored), *out]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 2
    said = " ".join((ran.stdout + ran.stderr).split())
    assert "is a ExternalLink" in said and "Traceback" not in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"skipped": 5}, "meta 'skipped' is 5, expected a list"),
        ({"skipped": ["a"]}, "meta 'skipped': holds \"a\", expected an object"),
        ({"features": 3}, "meta 'features' is 3, expected text"),
        ({"source": None}, "meta 'source' is null, expected text"),
        ({"config": []}, "meta 'config' is a list of 0, expected an object"),
        ({"windows": "2 s"}, "meta 'windows' is \"2 s\", expected an object"),
    ],
)
def test_wrong_values_of_meta_are_named(
    meta: dict[str, Any], said: str, stored: Path, one_file: Path
) -> None:
    for folder in (stored, one_file):
        path = folder / "dataset.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "meta": meta}))
        with pytest.raises(BadInput) as caught:
            load(folder)
        assert str(path) in str(caught.value) and said in str(caught.value)


ENCODER = {
    "schema": ENCODER_SCHEMA,
    "steps": 10,
    "window_s": 2.0,
    "audio_mean": [0.0],
    "audio_scale": [1.0],
    "video_mean": [0.0],
    "video_scale": [1.0],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": "10"}, "'steps' is \"10\", expected a whole number"),
        ({"window_s": None}, "'window_s' is null, expected a finite number"),
        ({"audio_mean": 3}, "'audio_mean' is 3, expected a list"),
        ({"audio_mean": ["x"]}, "statistics are no numbers"),
        ({"audio_mean": [[1], 2]}, "statistics are no numbers"),
        ({"audio_mean": [1, 2]}, "expected finite numbers of one shape"),
        ({"audio_mean": [1e300]}, "expected finite numbers of one shape"),
    ],
)
def test_an_encoder_of_wrong_values_is_refused(change: dict[str, Any], said: str) -> None:
    assert FeatureEncoder.from_meta({"encoder": ENCODER}).steps == 10
    with pytest.raises(BadInput, match=said):
        FeatureEncoder.from_meta({"encoder": ENCODER | change})


def test_vectors_are_read_as_wide_as_they_are_and_another_width_is_refused() -> None:
    with pytest.raises(BadInput, match=r"'toy': class vectors are 30 wide, model 'mdft' takes 300"):
        make_model("mdft", data(), {"word_dim": 300})
    assert make_model("mdft", data(), {}).options()["word_dim"] == 30
