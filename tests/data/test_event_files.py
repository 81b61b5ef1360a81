"""Files of event cameras: every event as a slow decoder reads it, and every damage by its name."""

from __future__ import annotations

import hashlib
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.data.events.arrays import streams_of, to_events
from neurozsl.data.events.files.open import open_events, read_events, write_events
from neurozsl.data.events.files.registry import FORMATS
from neurozsl.data.events.stream import EVENT, EventStream
from tests.factories import event_files as made
from tests.factories.event_files import Events, random_events, written

SIZE = (64, 48)


def rows(events: Events) -> list[tuple[int, ...]]:
    return events.tolist()  # type: ignore[no-any-return]


@pytest.fixture
def events() -> Events:
    return random_events(5_000, SIZE)


# ---------------------------------------------------------------- real files


def test_the_real_aedat4_recording_gives_its_events_and_nothing_of_other_streams(
    shared_data: Path,
) -> None:
    stream = read_events(shared_data / "events" / "dvxplorer_sample.aedat4")
    assert (len(stream), stream.width, stream.height) == (111_954, 320, 240)
    assert not stream.repairs
    assert rows(stream.events[:2]) == [
        (1605537493718345, 154, 204, 0),
        (1605537493718348, 149, 206, 0),
    ]


def test_the_real_evt3_recording_is_what_a_slow_decoder_reads_event_for_event(
    shared_data: Path,
) -> None:
    path = shared_data / "events" / "evt3_sample.raw"
    stream = read_events(path)
    assert (len(stream), stream.width, stream.height) == (219_596, 1280, 720)
    data = path.read_bytes()
    words = np.frombuffer(data[166:], dtype="<u2").tolist()
    assert rows(stream.events) == made.slow_evt3(words)


def test_the_real_evt3_recording_has_the_published_events_and_the_times_of_its_own_words(
    shared_data: Path,
) -> None:
    """The published decoder adds 4096 us whenever the low 12 bits fall; here they fall ten times
    between two words of one time (811, then 800) under an unchanged high part. The file's own high
    part ends at 2863, the published times at 2874.
    """
    folder = shared_data / "events"
    reference = np.load(folder / "evt3_sample_decoded.npy", allow_pickle=False)
    stream = read_events(folder / "evt3_sample.raw")
    for name in ("x", "y", "p"):
        np.testing.assert_array_equal(stream.events[name], reference[name])
    ahead = reference["t"] - stream.events["t"]
    assert (ahead[0], ahead[-1]) == (0, 11 * 4096)
    assert set(np.diff(ahead).tolist()) == {0, 4096}
    assert stream.events["t"][-1] >> 12 == 2863


def test_every_nmnist_recording_is_read_and_every_tenth_is_what_a_slow_decoder_reads(
    shared_data: Path,
) -> None:
    folder = shared_data / "events"
    paths = [folder / "nmnist_sample.bin", *sorted((folder / "nmnist").glob("*.bs2"))]
    assert len(paths) == 301
    for number, path in enumerate(paths):
        stream = read_events(path)
        assert (stream.width, stream.height, len(stream) * 5) == (34, 34, path.stat().st_size)
        if number % 10 == 0:
            assert rows(stream.events) == made.slow_atis(path.read_bytes())


# ---------------------------------------------------------------- round trips


@pytest.mark.parametrize("vectors", [False, True])
def test_evt3_words_are_read_back(events: Events, tmp_path: Path, vectors: bool) -> None:
    if vectors:
        events = np.sort(random_events(20_000, SIZE, last_us=900), order=["t", "y", "p", "x"])
    path = written(tmp_path / "a.raw", made.evt3(events, SIZE, vectors=vectors))
    stream = read_events(path)
    assert rows(stream.events) == rows(events)
    assert (stream.width, stream.height) == SIZE


def test_evt3_counts_on_when_its_24_bits_begin_again(tmp_path: Path) -> None:
    events = random_events(4_000, SIZE, last_us=70_000_000)  # four times around
    assert rows(read_events(written(tmp_path / "a.raw", made.evt3(events, SIZE))).events) == rows(
        events
    )


def test_evt2_words_are_read_back_and_counted_on_after_34_bits(tmp_path: Path) -> None:
    events = random_events(3_000, SIZE, last_us=2**35)
    path = written(tmp_path / "a.raw", made.evt2(events, SIZE))
    assert rows(read_events(path).events) == rows(events)
    assert made.slow_evt2(made.evt2_words(events)) == rows(events)


@pytest.mark.parametrize("evt", ["2.0", "3.0"])
def test_random_known_words_are_read_as_the_slow_decoder_reads_them(
    evt: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    if evt == "3.0":
        kinds = rng.choice([0, 2, 3, 4, 5, 6, 7, 8, 0xA, 0xE, 0xF], 20_000)
        words = (kinds << 12 | rng.integers(0, 4096, 20_000)).astype("<u2")
        slow = made.slow_evt3(words.tolist())
    else:
        kinds = rng.choice([0, 1, 8, 0xA, 0xE, 0xF], 20_000)
        words = (kinds << 28 | rng.integers(0, 2**28, 20_000)).astype("<u4")
        slow = made.slow_evt2(words.tolist())
    size = (2048 + 12 * 40, 2048)
    path = written(tmp_path / "a.raw", made.header(evt, size) + words.tobytes())
    inside = sum(x < size[0] for _, x, _, _ in slow)
    got = read_events(path, repair=True)
    # Times jump about: all that is read is counted, and what is kept is what the slow one has.
    assert len(got) + got.repairs.count("too late") + got.repairs.count("off sensor") == len(slow)
    assert inside == len(slow) - got.repairs.count("off sensor")
    assert not set(rows(got.events)) - set(slow)


@pytest.mark.parametrize("suffix", [".bin", ".bs2"])
def test_atis_words_are_read_back_with_their_overflows(suffix: str, tmp_path: Path) -> None:
    events = random_events(2_000, (34, 34), last_us=8_000)
    data = made.atis(events[:1000]) + bytes((0, 240, 0, 0, 0)) + made.atis(events[1000:])
    stream = read_events(written(tmp_path / f"a{suffix}", data))
    assert rows(stream.events) == made.slow_atis(data)
    assert stream.events["t"][-1] == events["t"][-1] + 8192


def test_aedat4_without_compression_is_read_back(events: Events, tmp_path: Path) -> None:
    data = made.aedat4((events[:1700], events[1700:]), SIZE)
    stream = read_events(written(tmp_path / "a.aedat4", data))
    assert rows(stream.events) == rows(events)
    assert (stream.width, stream.height) == SIZE


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_what_is_written_is_read_back_from_a_stream_and_from_blocks(
    events: Events, tmp_path: Path, suffix: str
) -> None:
    stream = EventStream(events, *SIZE)
    whole, parts = tmp_path / f"whole{suffix}", tmp_path / f"parts{suffix}"
    write_events(stream, whole)
    write_events((stream.slice(a, a + 60_000) for a in range(0, 300_000, 60_000)), parts)
    for path in (whole, parts):
        got = read_events(path)
        assert rows(got.events) == rows(events)
        assert (got.width, got.height) == SIZE
    with np.load(whole) if suffix == ".npz" else h5py.File(whole) as file:
        assert sorted(file) == ["events", "height", "width"]


def test_equal_events_give_equal_archives(events: Events, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_events(EventStream(events, *SIZE), tmp_path / name)
    digests = {hashlib.sha256(p.read_bytes()).digest() for p in tmp_path.iterdir()}
    assert len(digests) == 1


@pytest.mark.parametrize("kind", ["npz columns", "npz signed", "h5 columns", "h5 group", "h5 CD"])
def test_arrays_as_other_programs_store_them_are_read(
    events: Events, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"a.{kind[:3].strip()}"
    columns: dict[str, Any] = {"ts": events["t"].astype("<u4"), "x": events["x"], "y": events["y"]}
    sign = np.where(events["p"] == 1, 1, -1).astype(np.int8)
    if kind == "npz columns":
        np.savez(path, polarity=events["p"].astype(bool), **columns)
    elif kind == "npz signed":
        other = np.empty(len(events), [("p", "i1"), ("y", "<i4"), ("x", "<i8"), ("t", "<u8")])
        for name in ("t", "x", "y"):
            other[name] = events[name]
        other["p"] = sign
        np.savez(path, events=other)
    else:
        with h5py.File(path, "w") as file:
            place = {"h5 columns": "", "h5 group": "events/"}.get(kind)
            if place is None:
                file["CD/events"] = events
            else:
                for name, values in {**columns, "p": sign}.items():
                    file[place + name] = values
    assert rows(read_events(path, size=SIZE).events) == rows(events)


def test_a_data_set_object_gives_its_recordings_with_labels(events: Events) -> None:
    class Recordings(list[Any]):
        sensor_size = (*SIZE, 2)

    foreign = np.empty(len(events), [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
    for name in ("x", "y", "t", "p"):
        foreign[name] = events[name]
    found = list(streams_of(Recordings([(foreign, 3), (foreign[:7], 1)])))
    assert [(len(stream), label) for stream, label in found] == [(5_000, 3), (7, 1)]
    assert rows(found[0][0].events) == rows(events)
    with pytest.raises(BadInput, match=r"list: has no sensor_size; give size=\(width, height\)"):
        next(streams_of([(foreign, 3)]))
    with pytest.raises(BadInput, match=r"recording 0: is Tensor|recording 0: is int, \(events,"):
        next(streams_of([3], size=SIZE))  # type: ignore[list-item]


# ---------------------------------------------------------------- the value


def changed(events: Events, at: int, **values: int) -> Events:
    events = events.astype([("t", "<i8"), ("x", "<i4"), ("y", "<i4"), ("p", "i1")])
    for name, value in values.items():
        events[name][at] = value
    return events


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"t": -5}, "event 9 has t -5 us, 0 or more is needed"),
        ({"t": 1}, "event 9 has t 1 us, at least 40 .* is needed; sort"),
        ({"x": 64}, "event 9 has x 64, the sensor has 64x48 px; give the size"),
        ({"x": -1}, "event 9 has x -1, the sensor has"),
        ({"y": 48}, "event 9 has y 48, the sensor has 64x48 px"),
        ({"p": 2}, r"event 9 has polarity 2, 0 \(OFF\) or 1 \(ON\) is needed"),
        ({"p": -2}, "event 9 has polarity -2"),
    ],
)
def test_the_first_wrong_event_is_told_with_value_limit_and_remedy(
    values: dict[str, int], told: str
) -> None:
    events = random_events(30, SIZE)
    events["t"] = np.arange(30) * 5
    wrong = changed(events, 9, **values)
    wrong["y"][20] = 99  # a later one is not told
    with pytest.raises(BadInput, match=f"a file: {told}"):
        to_events(wrong, SIZE, where="a file")


def test_a_stream_is_sliced_by_time_and_joined_again(events: Events) -> None:
    stream = EventStream(events, *SIZE, "a")
    parts = [stream.slice(start, start + 100_000) for start in (0, 100_000, 200_000)]
    assert sum(map(len, parts)) == len(stream)
    assert all(100_000 * i <= part.start_us for i, part in enumerate(parts))
    assert rows(EventStream.join(parts).events) == rows(events)
    assert stream.seconds == (events["t"][-1] - events["t"][0]) / 1e6
    assert len(stream.slice(5, 5)) == len(stream.slice(9, 2)) == 0
    with pytest.raises(BadInput, match=r"a: event 1\d+ has t 1\d+ us, at least 2\d+ .* sort"):
        EventStream.join(reversed(parts))
    with pytest.raises(BadInput, match=r"a: sensor of 65x48 px, .* 64x48; join parts of one"):
        EventStream.join((stream, EventStream(events, 65, 48, "a")))
    with pytest.raises(ValueError, match="read-only"):
        stream.events["t"][0] = 3


@pytest.mark.parametrize("size", [(0, 4), (4, 70_000), (-1, 4)])
def test_an_impossible_sensor_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="sides of 1 to 65535 are possible"):
        EventStream(np.empty(0, EVENT), *size)


# ---------------------------------------------------------------- damage


def h5(path: Path, write: Callable[[Any], object]) -> bytes:
    with h5py.File(path, "w") as file:
        write(file)
    return path.read_bytes()


def compound_with_text(file: Any) -> None:
    file["events"] = np.zeros(4, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "S4")])


def huge(file: Any) -> None:
    file.create_dataset("events", (2**40,), EVENT, chunks=(2**16,))


EVENTS = random_events(400, SIZE)
RANDOM = np.random.default_rng(5).bytes(3_000)
EVT3, EVT2, AEDAT4 = (
    made.evt3(EVENTS, SIZE),
    made.evt2(EVENTS, SIZE),
    made.aedat4((EVENTS[:200], EVENTS[200:]), SIZE),
)
ATIS = made.atis(random_events(400, (34, 34)))
HEAD3 = len(made.header("3.0", SIZE))
CLAIMS = made.aedat4_head(b"<dv/>") + (0).to_bytes(4, "little") + b"\xff\xff\xff\x7f" + bytes(90)
BACK = np.concatenate((EVENTS[200:], EVENTS[:200]))
DAMAGES: dict[str, tuple[str, bytes, str]] = {
    "random": ("a.xyz", RANDOM, "not an event file we know, known are AEDAT 4"),
    "random as raw": ("a.raw", RANDOM, "which no Prophesee EVT 3.0 or Prophesee EVT 2.0 file does"),
    "random as aedat4": ("a.aedat4", RANDOM, "is named .aedat4 and begins"),
    "random as npz": ("a.npz", RANDOM, "which no NumPy archive of events file does"),
    "random as h5": ("a.h5", RANDOM, "which no HDF5 file of events file does"),
    "random as bin": ("a.bin", RANDOM, "event 0 has"),
    "empty": ("a.raw", b"", "holds 0 bytes"),
    "evt3 cut": ("a.raw", EVT3[:-1], f"ends at byte {len(EVT3) - 1} in the middle of a word of 2"),
    "evt2 cut": ("a.raw", EVT2[:-3], "in the middle of a word of 4 bytes that begins at byte"),
    "atis cut": ("a.bin", ATIS[:-2], "in the middle of a word of 5 bytes that begins at byte 1995"),
    "evt3 swapped": (
        "a.raw",
        EVT3[:HEAD3] + np.frombuffer(EVT3[HEAD3:], "<u2").byteswap().tobytes(),
        "which EVT 3.0 does not have; check",
    ),
    "evt2 swapped": (
        "a.raw",
        made.header("2.0", SIZE)
        + np.array(made.evt2_words(EVENTS), "<u4").byteswap().tobytes(),
        "EVT 2.0 has 0x0, 0x1, 0x8, 0xa, 0xe, 0xf; check that the file",
    ),
    "evt3 named evt2": ("a.raw", EVT3.replace(b"evt 3.0", b"evt 2.0"), "word of type 0x"),
    "evt 2.1": ("a.raw", EVT3.replace(b"evt 3.0", b"evt 2.1"), "is EVT 2.1, of which 2.0 and 3.0"),
    "evt 4": ("a.raw", b"% format EVT4;height=720;width=1280\n% end\n" + RANDOM, "is EVT 4.0, of"),
    "evt of rubbish": ("a.raw", b"% evt 3\x08xxxxxxxxxxxxxx\n", "is EVT '3\\x08xxxxxxxxxx', of"),
    "no version": ("a.raw", b"% Date 2026\n% end\n" + RANDOM, "states no EVT version, of which"),
    "dat": ("a.dat", b"% Data file containing CD events.\n% Version 2\n", "a Prophesee DAT file"),
    "no size": ("a.raw", made.evt3(EVENTS, None), "states no size of its sensor; give size=(w"),
    "bad size": ("a.raw", EVT3.replace(b"64x48", b"64,48"), "header has geometry '64,48'; WIDTH"),
    "off sensor": ("a.raw", EVT3.replace(b"64x48", b"64x24"), "has y "),
    "aedat 2 named 4": ("a.aedat4", b"#!AER-DAT2.0\r\n" + RANDOM, "is AEDAT 2.0, of which version"),
    "aedat 3.1": ("a.aedat", b"#!AER-DAT3.1\r\n" + RANDOM, "is AEDAT 3.1, of which version 4 is"),
    "aedat 1": ("a.dat", b"#!AER-DAT1.0\r\n" + RANDOM, "is AEDAT 1.0, of which version 4 is read"),
    "aedat4 cut": ("a.aedat4", AEDAT4[:-9], "packet 1 at byte "),
    "aedat4 cut head": ("a.aedat4", AEDAT4[:100], "claims a header of"),
    "aedat4 magic alone": ("a.aedat4", AEDAT4[:14], "claims a header of 0 bytes"),
    "aedat4 claims": ("a.aedat4", CLAIMS, "no stream|describes|damaged|output"),
    "aedat4 claims packet": (
        "a.aedat4",
        AEDAT4 + b"\0\0\0\0\xff\xff\xff\x7f" + bytes(90),
        "claims 2147483647 bytes, 90 follow in the file; copy the file again",
    ),
    "aedat4 header": ("a.aedat4", AEDAT4.replace(b"<node", b"<nude", 1), "header is damaged"),
    "aedat4 entities": (
        "a.aedat4",
        made.aedat4_head(b'<!DOCTYPE x [<!ENTITY a "aaaa">]><dv>&a;</dv>'),
        "header is damaged (its XML has a declaration)",
    ),
    "aedat4 no events": (
        "a.aedat4",
        made.aedat4((), SIZE, kinds=("TRIG",)),
        "has no stream of events but triggers; record events as well",
    ),
    "aedat4 content": ("a.aedat4", AEDAT4.replace(b"EVTS", b"EVXS").replace(b">EVXS", b">EVTS", 1),
                       "packet 0 is damaged"),
    "out of order": ("a.raw", made.evt2(BACK, SIZE), "event 200 has t "),
    "zip of nothing": ("a.npz", b"PK\5\6" + bytes(18), "no t among no names"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_named_with_what_is_wrong(name: str, tmp_path: Path) -> None:
    file, content, told = DAMAGES[name]
    path = written(tmp_path / file, content)
    with pytest.raises(BadInput) as refused:
        read_events(path)
    text = str(refused.value)
    assert str(path) in text and any(part in text for part in told.split("|")), text
    assert len(text) < 700


def test_archives_and_hdf5_files_that_hold_no_events_are_refused(tmp_path: Path) -> None:
    t = EVENTS["t"]
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "objects": ({"events": np.array([{}])}, "has type object, expected numbers or text"),
        "nested": ({"events": np.zeros(3, [("t", "<i8", (2,))])}, "expected numbers or text"),
        "two": ({"events": EVENTS, "more": EVENTS}, "one named 'events' is read"),
        "other": ({"a": EVENTS}, "holds structured arrays a, one named 'events' is read"),
        "no p": ({"t": t, "x": t, "y": t}, "no p among 't', 'x', 'y'; fields t, x, y, p"),
        "two t": ({"t": t, "ts": t, "x": t, "y": t, "p": t}, "2 of t (t, ts) among"),
        "reals": ({"t": t / 1e6, "x": t, "y": t, "p": t}, "store whole microseconds"),
        "lengths": ({"t": t, "x": t[1:], "y": t, "p": t}, "'x' is int64 of shape (399,)"),
        "polarity": ({"events": changed(EVENTS, 3, p=2)}, "event 3 has polarity 2"),
        "width": ({"events": EVENTS, "width": 64}, "store one whole number each"),
        "side": ({"events": EVENTS, "width": 0, "height": 48}, "sensor of 0x48 px"),
    }
    for name, (arrays, told) in cases.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, **arrays)
        with pytest.raises(BadInput) as refused:
            read_events(path, size=None if "width" in arrays else SIZE)
        assert told in str(refused.value), name
    for number, (write, told) in enumerate(
        (
            (compound_with_text, "expected numbers or text"),
            (huge, "has 16777216 chunks, limit 1048576"),
            (lambda file: file.create_dataset("events", data=t), "'events' holds no records"),
            (lambda file: file.create_group("events"), "'events': no t among no names"),
            (lambda file: file.__setitem__("events", h5py.SoftLink("/x")), "points elsewhere"),
        )
    ):
        path = tmp_path / f"{number}.h5"
        h5(path, write)
        with pytest.raises(BadInput) as refused:
            read_events(path, size=SIZE)
        assert any(part in str(refused.value) for part in told.split("|")), str(refused.value)


def test_any_byte_that_is_changed_or_missing_gives_events_or_an_error_of_ours(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(11)
    stream = EventStream(EVENTS, *SIZE)
    for name in ("a.npz", "a.h5"):
        write_events(stream, tmp_path / name)
    files = {"a.raw": EVT3, "b.raw": EVT2, "a.bin": ATIS, "a.aedat4": AEDAT4}
    files |= {name: (tmp_path / name).read_bytes() for name in ("a.npz", "a.h5")}
    met: dict[str, int] = {}
    for name, content in files.items():
        for number in range(60):
            damaged = bytearray(content)
            at = int(rng.integers(0, len(damaged)))
            if number % 3:
                damaged[at] ^= 1 << int(rng.integers(0, 8))
            else:
                del damaged[at:]
            path = written(tmp_path / f"x{Path(name).suffix}", bytes(damaged))
            for repair in (False, True):
                try:
                    read_events(path, repair=repair)
                except BadInput as error:
                    assert str(path) in str(error)
                    met[name] = met.get(name, 0) + 1
    assert set(met) == set(files)  # each kind met some


def test_the_size_of_the_sensor_comes_from_the_file_or_the_caller(tmp_path: Path) -> None:
    plain = written(tmp_path / "a.raw", made.evt3(EVENTS, None))
    assert read_events(plain, size=SIZE).width == 64
    stated = written(tmp_path / "b.raw", EVT3)
    with pytest.raises(BadInput, match="size 34x34 was given, the file states 64x48; leave size"):
        open_events(stated, size=(34, 34))
    named = b"% evt 3.0\n% plugin_name hal_plugin_gen31_fx3\n"
    with open_events(written(tmp_path / "c.raw", named + EVT3[HEAD3:])) as recording:
        assert (recording.width, recording.height) == (640, 480)


def test_aedat4_without_its_decoder_says_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(MissingPart, match=r"pip install 'neurozsl\[events\]'") as missing:
        read_events(written(tmp_path / "a.aedat4", AEDAT4))
    assert missing.value.exit_code == 5


# ---------------------------------------------------------------- repair


def test_a_repair_leaves_out_what_is_wrong_and_lists_it(tmp_path: Path) -> None:
    columns = changed(EVENTS, 7, p=3)
    columns["p"][9] = 2
    columns["x"][20] = 70
    columns["t"][0] = -4
    columns["t"][100] = columns["t"][90]  # late, by less than what is held back
    np.savez(tmp_path / "a.npz", events=columns, width=64, height=48)
    stream = read_events(tmp_path / "a.npz", repair=True)
    kept = np.delete(columns, [0, 7, 9, 20])
    kept = kept[np.argsort(kept["t"], kind="stable")]
    assert rows(stream.events) == rows(kept)
    assert {(x.kind, x.count, x.first) for x in stream.repairs.found} == {
        ("polarity", 2, 7),
        ("off sensor", 1, 20),
        ("time", 1, 0),
        ("out of order", 1, 100),
    }
    assert "2 x polarity neither 0 nor 1, left out (first at event 7)" in stream.repairs.lines


@pytest.mark.parametrize(
    ("file", "content", "kept", "kind"),
    [
        ("a.raw", EVT3[:-1], 399, "truncated"),
        ("a.raw", EVT2[:-1], 399, "truncated"),
        ("a.bin", ATIS[:-1], 399, "truncated"),
        ("a.aedat4", AEDAT4[:-1], 200, "truncated"),
        ("a.raw", EVT3[:HEAD3] + b"\0\x10" + EVT3[HEAD3:], 400, "damaged"),
    ],
)
def test_a_repair_cuts_what_is_no_whole_word_or_packet(
    file: str, content: bytes, kept: int, kind: Any, tmp_path: Path
) -> None:
    stream = read_events(written(tmp_path / file, content), repair=True)
    assert (len(stream), stream.repairs.count(kind)) == (kept, 1)
    assert stream.repairs.found[0].first == (kept if kind == "truncated" else 0)


def test_what_was_sent_before_the_first_time_is_left_out_and_told(tmp_path: Path) -> None:
    words = np.array([0x2003, 0x8000, 0x2004, 0x0005, 0x2006], dtype="<u2").tobytes()
    stream = read_events(written(tmp_path / "a.raw", made.header("3.0", SIZE) + words))
    assert rows(stream.events) == [(0, 6, 5, 0)]
    assert stream.repairs.lines == (
        "2 x sent before the camera's first time or row, left out (first at event 0)",
    )


def test_events_that_come_too_late_to_be_sorted_in_are_left_out(tmp_path: Path) -> None:
    events = random_events(500_000, SIZE, last_us=10**7)
    moved = np.concatenate((events[10:], events[:10]))
    path = written(tmp_path / "a.raw", made.header("2.0", SIZE))
    np.savez(tmp_path / "a.npz", events=moved, width=64, height=48)
    stream = read_events(tmp_path / "a.npz", repair=True)
    assert rows(stream.events) == rows(events[10:])
    assert stream.repairs.count("too late") == 10
    assert path.exists()


# ---------------------------------------------------------------- memory


def long_file(path: Path, evt: str, times: int) -> int:
    """Half a million events, `times` times, by times that go on."""
    events = random_events(200_000, SIZE, last_us=2**22)
    part = 0
    with path.open("wb") as file:
        file.write(made.header(evt, SIZE))
        for _ in range(times):
            moved = events.copy()
            moved["t"] += part
            part += 2**22
            if evt == "2.0":
                high = moved["t"] >> 6
                words = moved["p"].astype("<u4") << 28 | (moved["t"] & 63).astype("<u4") << 22
                words |= moved["x"].astype("<u4") << 11 | moved["y"]
                pairs = np.stack((0x8 << 28 | high.astype("<u4"), words), axis=1)
            else:
                high, low = moved["t"] >> 12 & 0xFFF, moved["t"] & 0xFFF
                columns = (0x8000 | high, 0x6000 | low, moved["y"], 0x2000 | moved["x"])
                pairs = np.stack(columns, axis=1).astype("<u2")
            file.write(pairs.tobytes())
    return times * len(events)


def peak_bytes(path: Path) -> tuple[int, int]:
    tracemalloc.start()
    count = sum(len(block) for block in open_events(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return count, peak


@pytest.mark.parametrize("evt", ["2.0", "3.0"])
def test_memory_does_not_grow_with_the_length_of_a_recording(evt: str, tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    peaks = []
    for times in (3, 3, 15):  # the first compiles
        count = long_file(path, evt, times)
        read, peak = peak_bytes(path)
        assert read == count
        peaks.append(peak)
    print(
        f"EVT {evt}: peak {peaks[1] / 1e6:.1f} MB of 600,000 events, {peaks[2] / 1e6:.1f} MB of 5x"
    )
    assert peaks[2] < 1.3 * peaks[1]


def test_blocks_have_the_size_that_is_promised(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    count = long_file(path, "3.0", 4)
    lengths = [len(block) for block in open_events(path)]
    assert sum(lengths) == count
    assert all(2**17 <= length <= 2**20 for length in lengths[:-1])


def test_every_format_has_its_own_name_and_an_extension() -> None:
    assert len({each.name for each in FORMATS}) == len(FORMATS) >= 6
    assert all(each.extensions for each in FORMATS)
