"""Pickles and class vectors: plain values alone, counted; widths and values checked on reading."""

from __future__ import annotations

import pickle
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.data.benchmark.avca_layout import read_table
from neurozsl.data.benchmark.plain_pickle import MAX_DEPTH
from neurozsl.data.benchmark.safe_pickle import load_pickle
from neurozsl.data.benchmark.tcaf import read_class
from neurozsl.data.vectors import find_vector, read_vectors

RNG = np.random.default_rng(5)
PLAIN: dict[str, Any] = {
    "text": ["walk", "läuft", b"raw", b"", ""],
    "numbers": [0, -1, 255, 65_536, 2**40, -(2**63), 2**63, 1.5, float("inf"), True, None],
    "nested": ({"a": [1, (2, (3, (4, 5)))], 7: {}, b"k": (), None: [[]]},),
    "array": RNG.normal(size=(3, 4)).astype(np.float32),
    "columns": np.asfortranarray(RNG.normal(size=(3, 4))),
    "big ends": np.arange(5, dtype=">i2"),
    "empty": np.zeros((0, 7)),
    "words": np.array(["a", "läuft"]),
    "objects": np.array([np.ones(2), {"a": 1}], dtype=object),
    "scalars": [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("w")],
    "many": list(range(2_000)),
}
shared = np.ones(5)
PLAIN["shared"] = {"one": shared, "two": [shared, shared]}


def assert_same(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, np.ndarray) and left.dtype == object:
        assert left.shape == right.shape
        for one, other in zip(left.flat, right.flat, strict=True):
            assert_same(one, other)
    elif isinstance(left, np.ndarray):
        np.testing.assert_array_equal(left, right, strict=True)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        assert_same(list(left.values()), list(right.values()))
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    else:
        assert left == right


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", PLAIN)
def test_plain_values_come_out_as_pickle_reads_them(
    name: str, protocol: int, tmp_path: Path
) -> None:
    path = tmp_path / "value.pkl"
    path.write_bytes(pickle.dumps(PLAIN[name], protocol=protocol))
    found = load_pickle(path)
    assert_same(found, PLAIN[name])
    if isinstance(found, np.ndarray):
        assert found.flags.writeable


def test_a_shared_part_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "value.pkl"
    path.write_bytes(pickle.dumps(PLAIN["shared"]))
    found: Any = load_pickle(path)
    assert found["one"] is found["two"][0] is found["two"][1]


def laughs(levels: int) -> bytes:
    """Lists of two of the list before."""
    out = b"\x80\x04]\x94"
    for i in range(levels):
        out += b"](" + 2 * (b"h" + bytes([i])) + b"e\x94"
    return out + b"."


def inside_itself() -> bytes:
    value: list[Any] = []
    value.append(value)
    return pickle.dumps(value)


def deep(levels: int) -> bytes:
    return b"]" * levels + b"a" * (levels - 1) + b"."


def keys_in_keys() -> bytes:
    """A dict whose key is a tuple of 2^40 tuples: to hash it would never end."""
    out = b"\x80\x04}(" + b")\x94"
    for i in range(40):
        out += 2 * (b"h" + bytes([i])) + b"\x86\x94"
    return out + b"Nu."


def array_claim(old: bytes, new: bytes) -> bytes:
    """A pickled array with a part of what it says of itself replaced."""
    data = pickle.dumps(np.ones(4), protocol=2)
    assert old in data
    return data.replace(old, new)


class Own:
    pass


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "0 bytes, expected 1 to"),
    "text": (b"hello", "is not a plain array"),
    "no end": (b"]", "it is cut short"),
    "nothing left": (b".", "is not a plain array"),
    "lists of the list before, 30 levels": (laughs(30), "values of 0 bytes when shared parts"),
    "a list inside itself": (inside_itself(), "a list inside itself"),
    "many levels": (deep(MAX_DEPTH + 2), f"more than {MAX_DEPTH} levels"),
    "a hundred thousand levels": (deep(100_000), f"more than {MAX_DEPTH} levels"),
    "tuples as keys": (keys_in_keys(), "a tuple as key of a dict"),
    "a set": (pickle.dumps({1, 2}), "opcode EMPTY_SET"),
    "memo 2^31": (b"]r\xff\xff\xff\x7f.", ""),
    "a text of 4 GB": (b"X\xff\xff\xff\xff", "is not a plain array"),
    "bytes of 2^60": (b"\x80\x04\x8e" + b"\0" * 7 + b"\x10abc.", "is not a plain array"),
    "a number of 10 kB": (b"\x8b\x10\x27\0\0" + b"\x7f" * 10_000 + b".", "bits, limit 64"),
    "a class": (pickle.dumps(Own()), "refused: "),
    "a function": (b"cos\nsystem\n(S'true'\ntR.", "refused: os.system"),
    "a function by name": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "refused: os.system"),
    "a name inside a module": (b"cnumpy\ncore.multiarray.scalar\n.", "refused: numpy.core"),
    "the class of arrays": (b"cnumpy\nndarray\n.", "a value that is object"),
    "a persistent object": (b"Phello\n.", "opcode PERSID"),
    "an extension": (b"\x82\x01.", "opcode EXT1"),
    "half a letter": (b"\x8c\x03\xed\xa0\x80.", "surrogates not allowed"),
    "marks alone": (b"((((.", ""),
    "an array of more values": (array_claim(b"K\x04\x85", b"K\x05\x85"), "reshape"),
    "an array of 2^60 values": (
        array_claim(b"K\x04\x85", b"\x8a\x08" + b"\0" * 7 + b"\x10\x85"),
        "reshape",
    ),
    "an array of no known type": (array_claim(b"f8", b"q8"), "is not a plain array"),
    "an array of pointers": (array_claim(b"f8", b"O8"), "object array without a list"),
    "an array of records": (array_claim(b"f8", b"V8"), "dtype 'V8'"),
    "code points": (array_claim(b"f8", b"U2"), "text that is no Unicode"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_each_hostile_pickle_is_refused_in_bounds(name: str, tmp_path: Path) -> None:
    path = tmp_path / "value.pkl"
    content, said = HOSTILE[name]
    path.write_bytes(content)
    started = time.monotonic()
    tracemalloc.start()
    if name == "memo 2^31":  # the number of a memo costs nothing
        assert load_pickle(path) == []
    elif name == "marks alone":
        with pytest.raises(BadInput):
            load_pickle(path)
    else:
        with pytest.raises(BadInput) as caught:
            load_pickle(path)
        message = str(caught.value)
        assert str(path) in message and said in message
        assert message.endswith("; get the file from its first source")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000
    assert time.monotonic() - started < 20


def test_a_shared_array_is_counted_each_time_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "value.pkl"
    value: Any = np.zeros(1_000_000)
    for _ in range(10):
        value = [value] * 3
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(BadInput, match=r"values of 5832000000 bytes when shared"):
        load_pickle(path)


def test_flipped_bits_of_a_pickle_give_plain_values_or_one_refusal(tmp_path: Path) -> None:
    rng, refused = np.random.default_rng(11), 0
    value = {
        "features": [PLAIN["array"]] * 3,
        "video_names": [b"a", b"b", b"c"],
        "x": PLAIN["nested"],
    }
    path = tmp_path / "value.pkl"
    for i in range(600):
        content = bytearray(pickle.dumps(value, protocol=i % 6))
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            load_pickle(path)
        except BadInput as error:
            refused += 1
            assert str(path) in str(error)
        try:
            read_class(path)
        except BadInput as error:
            assert str(path) in str(error)
    assert 100 < refused < 600


def test_the_shared_pickle_that_never_ended_is_refused(shared_data: Path) -> None:
    with pytest.raises(BadInput, match=r"laughs30\.pkl: .*when shared parts are written out"):
        load_pickle(shared_data / "faults" / "laughs30.pkl")


def test_every_shared_file_of_vectors_is_refused_by_name_without_its_memory(
    shared_data: Path,
) -> None:
    found = sorted((shared_data / "faults").glob("vectors-*.npz"))
    assert len(found) >= 6
    for path in found:
        tracemalloc.start()
        with pytest.raises(BadInput) as caught:
            read_vectors(path)
        assert str(path) in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "a dict name -> vector is needed"),
        ({"a": np.ones(3), "b": np.ones(4), "c": np.ones(3)}, "vector of 'b' is 4 wide, 2 others"),
        ({"a": np.ones(0)}, "first 'a'"),
        ({"a": np.ones(3), "b": np.ones(3) * 1j}, "first 'b'"),
        ({"a": np.array([1, np.nan])}, "first 'a'"),
        ({"a": np.array([1, 1e300])}, "first 'a'"),
        ({"a": np.array(["x"])}, "first 'a'"),
        ({"a": [1.0, 2.0]}, "first 'a'"),
        ({7: np.ones(3)}, "first '7'"),
    ],
)
def test_a_table_of_pickled_vectors_is_checked_on_reading(
    value: Any, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "word_embeddings_ucf_normed.npy"
    np.save(path, value, allow_pickle=True)
    with pytest.raises(BadInput, match=said) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


NAMES, VECTORS = np.array(["walk", "run"]), RNG.normal(size=(2, 5))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"names": None}, "no array 'names', it holds vectors"),
        ({"vectors": VECTORS * 1j}, "vectors complex128, expected text and real numbers"),
        ({"vectors": NAMES}, "vectors <U4"),
        ({"names": np.arange(2)}, "names are int64"),
        ({"names": np.array([["walk", "run"]])}, r"names \(1, 2\) and vectors"),
        ({"names": NAMES[:1]}, r"names \(1,\) and vectors \(2, 5\)"),
        ({"names": NAMES[:0], "vectors": VECTORS[:0]}, "one row of 1 value or more per name"),
        ({"vectors": VECTORS[:, :0]}, "one row of 1 value or more per name"),
        ({"vectors": np.array([[1.0, np.nan], [1, 1]])}, "vector of 'walk' has length nan"),
        ({"vectors": np.array([[1.0, 1], [1, 1e300]])}, "vector of 'run' has length inf"),
        ({"vectors": VECTORS * 0}, "vector of 'walk' has length 0"),
        ({"names": np.array(["walk", "walk"])}, "1 name.s. appear twice"),
        ({"names": np.array(["walk", " "])}, "a name is empty"),
        ({"names": np.array([b"walk", b"\xff"])}, "is not UTF-8"),
    ],
)
def test_a_file_of_vectors_is_checked_on_reading(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "vectors.npz"
    arrays = {"names": NAMES, "vectors": VECTORS} | changes
    np.savez(path, **{name: x for name, x in arrays.items() if x is not None})
    for read in (read_vectors, read_table):
        with pytest.raises(BadInput, match=said) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_files_of_two_widths_are_refused_together(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", names=NAMES, vectors=VECTORS)
    np.savez(tmp_path / "b.npz", names=NAMES, vectors=VECTORS[:, :4])
    files = [read_vectors(tmp_path / f"{name}.npz") for name in "ab"]
    assert find_vector(files[:1], "walk") is not None
    with pytest.raises(BadInput, match=r"widths differ \(.*a\.npz 5, .*b\.npz 4\)"):
        find_vector(files, "walk")
