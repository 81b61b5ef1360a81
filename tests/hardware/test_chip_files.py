"""Files of chips: a good one of the user's own is read, a bad one shows the line to mend."""

import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurozsl.core.errors import BadInput
from neurozsl.hardware import chips
from neurozsl.hardware.chips import CHIPS
from neurozsl.hardware.chips.chip import find_chip, load_chip, parse_chip
from neurozsl.hardware.chips.keys import ENERGY
from neurozsl.hardware.count.traffic import Mesh
from tests.hardware.chip_text import MINIMAL, check, figure

ALL_IN = MINIMAL.replace("per_term", "all_in")


def example() -> str:
    """The file to copy that the documentation of `hardware.chips` shows."""
    assert chips.__doc__ is not None
    lines = chips.__doc__.split("\n")
    block = [line for line in lines if line.startswith("    ") or not line]
    return textwrap.dedent("\n".join(block))


# ---------------------------------------------------------------- a chip of the user's own


def test_the_example_of_the_documentation_is_a_chip(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(example(), encoding="utf-8")
    chip = find_chip(str(path))
    assert (chip.key, chip.name, chip.family) == ("my", "My chip, first silicon", "my")
    synop = chip.energy["synop"]
    assert (synop.value, synop.low, synop.high, synop.unit) == (2.4e-11, 2e-11, 3e-11, "J")
    assert (synop.note, synop.source[:13]) == ("at 0.8 V", "Author et al.")
    assert chip.power["static_chip"].low is None
    loihi = load_chip("loihi1")
    assert (chip.limit, chip.memory, chip.mesh) == (loihi.limit, loihi.memory, loihi.mesh)


def test_a_new_chip_is_data_alone() -> None:
    chip = parse_chip("mine", MINIMAL)
    assert chip.energy["synop"].source == "Author, Title, 2020, Table 1"
    assert chip.energy["synop"].low is None


def test_a_registered_chip_is_found_by_its_key_and_an_unknown_one_lists_them() -> None:
    assert find_chip("speck2f") is load_chip("speck2f")
    with pytest.raises(BadInput, match=r"chip 'loihi9' is unknown.*loihi1.*speck2f.*\.toml"):
        find_chip("loihi9")
    with pytest.raises(BadInput, match=r"chip 'loihi9' is unknown.*loihi1.*speck2f"):
        load_chip("loihi9")


def test_windows_ends_of_lines_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert find_chip(path) == parse_chip("mine", MINIMAL)
    path.write_bytes(MINIMAL.replace('"J"', '"cal"').replace("\n", "\r\n").encode())
    with pytest.raises(BadInput, match=r"line 8: energy\.synop\.unit is 'cal'"):
        find_chip(path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("missing.toml", None, "there is no such file"),
        ("loihi1.toml", MINIMAL.encode(), "'loihi1' is a registered chip; give the file another"),
        ("big.toml", b"#" * (2**18 + 1), "262,145 bytes, at most 262,144"),
        ("latin.toml", MINIMAL.replace("Author", "Aut\xf6r").encode("latin-1"), "line 6: not UTF"),
        ("bad\n.toml", MINIMAL.encode(), "letters, digits"),
        (".toml", MINIMAL.encode(), "letters, digits"),
        ("wrong.toml", MINIMAL.replace("2e-12", "-1").encode(), "line 8: energy.synop.value is -1"),
    ],
)
def test_a_file_that_is_no_chip_is_refused_by_its_path(
    tmp_path: Path, name: str, data: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        find_chip(str(path))
    assert f"chip file '{path}'" in str(caught.value)


def test_a_folder_and_a_name_with_a_separator_are_paths(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    for path in (tmp_path / "folder.toml", tmp_path / "speck2f"):
        with pytest.raises(BadInput, match="chip file '"):
            find_chip(str(path))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('unit = "J", ', "", ["energy.synop.unit is missing", "expected 'J', joules", "write"]),
        ('"J"', '"W"', ["energy.synop.unit is 'W'", "expected 'J'"]),
        ('"J"', '"pJ"', ["unit is 'pJ'", 'write value = 2e-24, unit = "J"']),
        ('"J"', '"pW"', ["unit is 'pW'", 'write unit = "J" and the value in joules']),
        ('"J"', "1", ["unit is 1", "expected 'J'"]),
        ("measured", "guessed", ["energy.synop.kind is 'guessed'", "measured", "peak_bound"]),
        ('kind = "measured", ', "", ["energy.synop.kind is missing", "simulated, measured"]),
        ('grade = "T"', 'grade = "A"', ["energy.synop.grade is 'A'", "allowed are V, T, Q, D"]),
        ("2e-12", "-1.0", ["energy.synop.value is -1.0", "finite number >= 0"]),
        ("2e-12", "nan", ["value is nan"]),
        ("2e-12", "inf", ["value is inf"]),
        ("2e-12", "true", ["value is True"]),
        ("2e-12", '"2"', ["value is '2'"]),
        ("2e-12", "2020-01-01", ["value is datetime.date(2020, 1, 1)"]),
        ("2e-12", "0x" + "f" * 300, ["expected a finite number"]),
        ("value = 2e-12, ", "", ["energy.synop.value is missing"]),
        ("2e-12", "0.0", ["value is 0", "is free; absent means unknown", "delete the line"]),
        ("2e-12,", "2e-12, low = 3e-12,", ["low 3e-12", "expected low <= value <= high"]),
        ("2e-12,", "2e-12, high = 1e-12,", ["high 1e-12", "expected low <= value <= high"]),
        ("2e-12,", '2e-12, low = "a",', ["energy.synop.low is 'a'"]),
        ("2e-12,", "2e-12, colour = 1,", ["energy.synop.colour is no part of a figure"]),
        ("2e-12,", "2e-12, hihg = 1,", ["did you mean 'high'?"]),
        ('source = "paper"', 'source = "blog"', ["source is 'blog'", "[source] holds paper"]),
        (', source = "paper"', "", ["energy.synop.source is missing"]),
        ("2e-12,", '2e-12, scope = "all_in",', ["synop.scope is 'all_in'", "cannot be mixed"]),
        ("synop =", "synops =", ["energy.synops is no figure", "did you mean 'synop'?"]),
        ("synop =", "caffeine =", ["[energy] knows synop, synop_dense", "delete the line"]),
        ("2e-12,", "2e-12, low = 0,", ["energy.synop.low is 0", "leave the bound out"]),
        ("2e-12", "1e31", ["value is 1e+31", "finite number"]),
        ("2e-12,", "2e-12, note = 5,", ["energy.synop.note is 5", "printable text"]),
        ("2e-12,", '2e-12, note = "\\u001b[2J",', ["energy.synop.note is", "printable text"]),
    ],
)
def test_a_wrong_figure_is_refused_with_its_line(old: str, new: str, parts: list[str]) -> None:
    text = MINIMAL.replace(old, new)
    assert text != MINIMAL
    if len(new) > 200:
        with pytest.raises(BadInput, match=f"line 8: .*{parts[0]}"):
            parse_chip("mine", text)
    else:
        check(text, 8, *parts)


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        ("schema = 1", "schema = 2", 2, ["schema is 2", "this version reads 1"]),
        ("schema = 1", "", 1, ["schema is missing"]),
        ('name = "Synthetic"', "", 1, ["name is missing", "above the first [table]"]),
        ('"Synthetic"', "3", 3, ["name is 3", "a text"]),
        ('"Synthetic"', '" "', 3, ["name is ' '", "one line of printable text"]),
        ('"Synthetic"', '"a\\u001b[31m"', 3, ["name is 'a", "one line of printable text"]),
        ('"Synthetic"', '"a\\nb"', 3, ["name is 'a", "without line breaks"]),
        ("Title,", "Title\\u202e,", 6, ["source.paper is", "printable text"]),
        ('"per_term"', '"sometimes"', 4, ["scope is 'sometimes'", "per_term, all_in"]),
        ("[source]", 'time_model = "fast"\n[source]', 5, ["time_model is 'fast'", "asynchronous"]),
        ("[source]", 'reset = "zero"\n[source]', 5, ["reset is 'zero'", "a list of texts"]),
        ("[source]", "measurement = 3\n[source]", 5, ["measurement is 3", "[[measurement]]"]),
        ("[energy]", "[joules]", 7, ["joules is unknown", "energy"]),
        ("[energy]", "[enrgy]", 7, ["did you mean 'energy'?"]),
        ("[source]", "power = 3\n[source]", 5, ["power is 3", "expected a table of figures"]),
        ("[energy]", '[energy]\nneuron_update = "1 nJ"', 8, ["neuron_update is '1 nJ'", "value"]),
        ('"Author, Title, 2020, Table 1"', '""', 6, ["source.paper is ''", "author, title"]),
        ("[source]", 'inherits_limits = "x"\n[source]', 5, ["inherits_limits is 'x'", "loihi1"]),
        ("[source]", 'inherits_energy = "loihi1"\n[source]', 8, ["energy stands beside"]),
        ("[source]", 'energy_methods = ["a"]\n[source]', 5, ["holds 'a'", "per_term"]),
        (
            "[source]",
            'energy_methods = ["per_term", "per_term"]\n[source]',
            5,
            ["holds 'per_term' twice", "name it once"],
        ),
        (
            "[source]",
            'energy_methods = ["per_term", "dense_pass"]\n[source]',
            5,
            ["holds 'dense_pass', which needs mac or mac_int8", "[energy] holds synop"],
        ),
        ("[energy]", "[mesh]\nwidth = 2\n[energy]", 7, ["mesh.source is missing"]),
        ("[energy]", '[mesh]\nsource = "paper"\n[energy]', 7, ["mesh.width is missing"]),
        ("[source]", "measurement = [1]\n[source]", 5, ["measurement is [1]", "[[measurement]]"]),
        ("[energy]", '[mesh]\nsource = "paper"\nwidth = 0\n[energy]', 9, ["mesh.width is 0"]),
        ("[energy]", '[mesh]\nsource = "paper"\nwidth = 2.5\n[energy]', 9, ["width is 2.5"]),
        ("[energy]", '[mesh]\nsource = "paper"\nwidth = true\n[energy]', 9, ["width is True"]),
        ("[energy]", "[memory]\n[energy]\nhop = 3", 9, ["energy.hop is no figure", "'hop_ns'?"]),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    old: str, new: str, line: int, parts: list[str]
) -> None:
    text = MINIMAL.replace(old, new)
    assert text != MINIMAL
    check(text, line, *parts)


def test_a_mesh_may_be_one_tile_of_one_core() -> None:
    mesh = (
        '[mesh]\nsource = "paper"\ngrade = "T"\nwidth = 1\nheight = 1\ncores_per_tile = 1\n[energy]'
    )
    found = Mesh.of(parse_chip("mine", MINIMAL.replace("[energy]", mesh)))
    assert found == Mesh(1, 1, 1) and found.cores == 1


@pytest.mark.parametrize("error", ["1.0", "11.7"])
def test_the_error_of_a_model_is_a_fraction_below_1(error: str) -> None:
    text = MINIMAL + figure("relative_error", error, "1")
    check(text, 9, f"energy.relative_error.value is {error}", "write 11.7 % as 0.117")


@pytest.mark.parametrize("key", ["neuron_active", "neuron_update", "hop_ew", "spike_out"])
def test_an_all_in_file_holds_no_term_that_its_figure_pays_for_already(key: str) -> None:
    assert parse_chip("mine", ALL_IN).scope == "all_in"
    check(ALL_IN + figure(key), 9, f"energy.{key} stands in", "all_in", "cannot be mixed")
    assert parse_chip("mine", MINIMAL + figure(key)).energy[key].value == 1e-12


def test_an_all_in_file_holds_no_static_power_and_no_figure_declared_per_term() -> None:
    check(
        ALL_IN + "[power]\n" + figure("static_chip", unit="W"),
        10,
        "power.static_chip stands in",
        "static",
        "delete",
    )
    parse_chip("mine", ALL_IN + "[power]\n" + figure("typical", unit="W"))
    text = ALL_IN.replace("2e-12,", '2e-12, scope = "per_term",')
    check(text, 8, "energy.synop.scope is 'per_term'", "the scope of this file is 'all_in'")


def test_energies_are_inherited_from_a_chip_of_the_same_scope_only() -> None:
    bare = MINIMAL[: MINIMAL.index("[energy]")]
    lent = bare.replace("[source]", 'inherits_energy = "truenorth_allin"\n[source]')
    check(lent, 5, "inherits_energy is 'truenorth_allin', whose scope is 'all_in'", "'per_term'")
    chip = parse_chip("mine", lent.replace("truenorth_allin", "loihi1"))
    assert (chip.inherits_energy, chip.energy) == ("loihi1", {})


@pytest.mark.parametrize(
    ("row", "line", "parts"),
    [
        ('energy_j = "1 mJ"', 12, ["measurement.energy_j is '1 mJ'", "finite number"]),
        ("energy_mj = 1", 12, ["measurement.energy_mj is unknown", "did you mean 'energy_j'?"]),
        ("power_w = [0.1, -0.1]", 12, ["measurement.power_w is -0.1"]),
    ],
)
def test_a_wrong_measurement_is_refused_with_its_line(
    row: str, line: int, parts: list[str]
) -> None:
    good = '[[measurement]]\ntask = "a"\ngrade = "T"\nenergy_j = 1e-3\nsource = "paper"\n'
    text = f'{MINIMAL}[[measurement]]\ntask = "b"\ngrade = "T"\n{row}\nsource = "paper"\n'
    check(text, line, *parts)
    check(text.replace("[[meas", good + "[[meas", 1), line + 5, *parts)
    check(f"{MINIMAL}{good}".replace('task = "a"\n', ""), 9, "measurement.task is missing")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("schema = = 1\n", 1),
        ("schema = 1\nname = 'never ends\n[source]\n", 2),
        ("schema = 1\n[source]\n[source]\n", 3),
    ],
)
def test_a_text_that_is_not_toml_shows_the_line(text: str, line: int) -> None:
    with pytest.raises(BadInput, match="chip file 'mine': not TOML") as caught:
        parse_chip("mine", text)
    assert str(caught.value).endswith(f"    {line} | {text.split(chr(10))[line - 1]}")


def test_what_cannot_be_read_at_all_is_bad_input() -> None:
    for text in ("x = " + "[" * 20_000, "x = " + "9" * 5000, 'x = "\x1b[31m"', 'x = """\nopen\n'):
        with pytest.raises(BadInput, match="not TOML") as caught:
            parse_chip("mine", text)
        assert "\x1b" not in str(caught.value)


def test_a_line_is_found_behind_values_of_many_lines_and_in_tables_of_any_style() -> None:
    head = MINIMAL[: MINIMAL.index("[energy]")]
    notes = 'identifiers = [\n  "a", # [energy]\n  "b",\n]\n'
    head = head.replace("[source]", notes + '[source]\ntext = """\n[energy]\nsynop = 1\n"""')
    table = '[energy.synop]\nvalue = 1e-12\nunit = "pJ"\n'
    check(head + table, 17, "energy.synop.unit is 'pJ'")
    check(head + table.replace("energy.synop", ' "energy" . synop '), 17, "unit is 'pJ'")
    check(head + '[energy]\nsynop.value = 1\nsynop.unit = "pJ"\n', 17, "unit is 'pJ'")


def test_a_line_behind_a_value_of_hundreds_of_lines_is_not_guessed() -> None:
    long = "identifiers = [\n" + '"a",\n' * 300 + "]\n"
    with pytest.raises(BadInput, match=r"line 1: energy\.synop\.unit is 'pJ'"):
        parse_chip("mine", MINIMAL.replace("[source]", long + "[source]").replace('"J"', '"pJ"'))


@given(st.text(alphabet="[]={}\"'#.\nab1 ,\\", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(BadInput, match="chip file 'mine'"):
        parse_chip("mine", text)


@pytest.mark.parametrize(("number", "meant"), [("23.6", "2.36e-11"), ("0.9", "9e-13")])
def test_picojoules_that_call_themselves_joules_are_refused(number: str, meant: str) -> None:
    found = f"energy.mac.value is {number} J"
    text = MINIMAL + figure("mac", value=number)
    check(text, 9, found, "takes less than 1e-06 J", f"write {meant}")


def test_no_published_operation_comes_near_the_bound_on_joules() -> None:
    own = [x for name in CHIPS for x in load_chip(name).energy.values() if x.unit == "J"]
    assert 26e-9 <= max(x.value for x in own) < 1e-7


@given(st.sampled_from(sorted(ENERGY)), st.integers(0, len(CHIPS) - 1))
def test_a_missing_unit_is_refused_for_every_key(key: str, blank_lines: int) -> None:
    text = MINIMAL + "\n" * blank_lines + figure(key, unit="kg")
    if key == "synop":
        text = text.replace(MINIMAL.split("\n")[7], "")
    check(text, 9 + blank_lines, f"energy.{key}.unit is 'kg'", f"expected '{ENERGY[key].unit}'")
