"""Tables of cores in a chip's file: a right one is placed, a wrong one shows the line to mend."""

import re
from importlib.resources import files
from typing import get_args

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.hardware.arithmetic.registry import ARITHMETICS
from neurozsl.hardware.chips import CHIPS
from neurozsl.hardware.chips.arithmetics import ASKED
from neurozsl.hardware.chips.chip import load_chip, parse_chip
from neurozsl.hardware.chips.cores import ALLOWED, CORE, MEMORY, MESH, Rule
from neurozsl.hardware.chips.keys import LIMIT
from neurozsl.hardware.place.mapping import dense
from neurozsl.hardware.place.place import RULES, place
from neurozsl.hardware.speck.program import ARITHMETIC as SPECK
from tests.hardware.chip_text import MINIMAL, check, figure

CITED = 'source = "paper"\ngrade = "T"\n'
CORES = "[limit]\n" + figure("cores", "8", "1")
# Lines 9 and 10 are [limit]; [memory] opens on line 11, [mesh] on line 20.
EQUAL = f"""{MINIMAL}{CORES}[memory]
placement = "split"
list_word_bits = 64
list_header_bits = 10
list_weights = 64
weight_sizes = [1, 2, 4, 8]
list_index_bits = [0, 6, 7]
{CITED}[mesh]
width = 2
height = 2
cores_per_tile = 2
{CITED}"""
# [memory] opens on line 11, [allowed] on 15, the rows of [[core]] on 20 and 27.
UNEQUAL = f"""{MINIMAL}{CORES}[memory]
placement = "assign"
{CITED}[allowed]
stride = [1, 2]
square_kernel = true
{CITED}[[core]]
ids = [0, 1, 2, 3, 4, 5]
kernel_words = 1024
neuron_words = 256
bias_words = 64
{CITED}[[core]]
ids = [6, 7]
kernel_words = 64
neuron_words = 64
bias_words = 64
{CITED}"""


def changed(text: str, old: str, new: str) -> str:
    found = text.replace(old, new, 1)
    assert found != text
    return found


def test_equal_and_unequal_cores_of_a_file_are_placed() -> None:
    layers = [dense("a", "in", 20, 30), dense("b", "a", 30, 8)]
    assert [part.core for part in place(layers, parse_chip("mine", EQUAL)).parts] == [0, 1]
    assert [part.core for part in place(layers, parse_chip("mine", UNEQUAL)).parts] == [0, 1]
    row = parse_chip("mine", UNEQUAL).cores[1]
    assert row["source"] == "Author, Title, 2020, Table 1"


def test_every_name_of_a_rule_and_of_an_arithmetic_has_its_code() -> None:
    assert set(get_args(Rule)) == set(RULES)
    assert set(ASKED) == set(ARITHMETICS)


def test_every_part_of_the_tables_stands_in_a_registered_chip_or_is_a_remark() -> None:
    chips = [load_chip(key) for key in CHIPS]
    rows = {"memory": [c.memory for c in chips], "mesh": [c.mesh for c in chips]}
    rows |= {"allowed": [c.allowed for c in chips], "core": [r for c in chips for r in c.cores]}
    tables = {"memory": MEMORY, "mesh": MESH, "allowed": ALLOWED, "core": CORE}
    for name, parts in tables.items():
        assert set(parts) - {key for row in rows[name] for key in row} <= {"note"}, name
        assert all(len(part.meaning) > 12 for part in parts.values())


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        ('"split"', '"sprawl"', 12, ["memory.placement is 'sprawl'", "split, assign", "equal"]),
        ('"split"', "3", 12, ["memory.placement is 3", "printable text"]),
        ('placement = "split"\n', "", 11, ["memory.placement is missing", "leave the table out"]),
        ("list_weights", "list_wieghts", 15, ["is unknown", "did you mean 'list_weights'?"]),
        ("list_word_bits = 64", "list_word_bits = 0", 13, ["is 0", "whole number >= 1", "bits of"]),
        ("list_word_bits = 64", "list_word_bits = -8", 13, ["is -8", "whole number >= 1"]),
        ("list_word_bits = 64", "list_word_bits = 6.5", 13, ["is 6.5", "whole number"]),
        ("list_word_bits = 64", "list_word_bits = true", 13, ["is True", "whole number"]),
        ("list_word_bits = 64", 'list_word_bits = "64"', 13, ["is '64'", "whole number"]),
        ("list_word_bits = 64", "list_word_bits = 1000000000001", 13, ["up to 1,000,000,000,000"]),
        ("list_header_bits = 10", "list_header_bits = -1", 14, ["is -1", "whole number >= 0"]),
        ("list_header_bits = 10\n", "", 11, ["list_header_bits is missing", "or delete"]),
        ("weight_sizes = [1, 2, 4, 8]\n", "", 11, ["memory.weight_sizes is missing"]),
        ("[1, 2, 4, 8]", "8", 16, ["weight_sizes is 8", "a list of different whole numbers >= 1"]),
        ("[1, 2, 4, 8]", "[]", 16, ["weight_sizes is []", "write weight_sizes = [1, 2, 4]"]),
        ("[1, 2, 4, 8]", "[0, 8]", 16, ["weight_sizes is [0, 8]"]),
        ("[1, 2, 4, 8]", "[4, 4]", 16, ["weight_sizes is [4, 4]", "different"]),
        ("[1, 2, 4, 8]", "[[1], 2]", 16, ["weight_sizes is [[1], 2]"]),
        ("[0, 6, 7]", "[-1]", 17, ["list_index_bits is [-1]", ">= 0"]),
        ("list_weights", 'shares_kernels = "no"\nlist_weights', 15, ["'no'", "true or false"]),
        ("list_weights", 'kernel = "c * f"\nlist_weights', 15, ["'split'", "only 'assign' reads"]),
        (
            "list_weights",
            'sparse_rows = "maybe"\nlist_weights',
            15,
            ["'maybe'", "or leave the line"],
        ),
        (
            "list_index_bits = [0, 6, 7]",
            'sparse_rows = "published"',
            17,
            ["without list_index_bits", "number of each one's neuron"],
        ),
        ("list_weights", "left_out = 4\nlist_weights", 15, ["left_out is 4", "printable text"]),
        ("list_weights", 'note = "\\u001b"\nlist_weights', 15, ["memory.note is"]),
        ('source = "paper"\ngrade', 'source = "blog"\ngrade', 18, ["'blog'", "[source] holds"]),
        ('"paper"\ngrade = "T"\n[mesh]', '"paper"\n[mesh]', 11, ["memory.grade is missing"]),
        ('grade = "T"\n[mesh]', 'grade = "A"\n[mesh]', 19, ["grade is 'A'", "allowed are V, T"]),
        ("width = 2", "widht = 2", 21, ["mesh.widht is unknown", "did you mean 'width'?"]),
        ("width = 2", "width = 1", 21, ["mesh has room for 4 cores, limit.cores is 8", "mend"]),
        ("[mesh]", "[allowed]\nstride = [1]\n" + CITED + "[mesh]", 20, ["allowed stands beside"]),
        (
            "[mesh]",
            "[[core]]\nids = [0]\nkernel_words = 1\nneuron_words = 1\nbias_words = 1\n"
            + CITED
            + "[mesh]",
            20,
            ["core stands beside placement = 'split'", "only placement = 'assign' reads it"],
        ),
    ],
)
def test_a_wrong_table_of_equal_cores_is_refused_with_its_line(
    old: str, new: str, line: int, parts: list[str]
) -> None:
    check(changed(EQUAL, old, new), line, *parts)


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        ("ids = [6, 7]\n", "", 27, ["core.ids is missing", "numbers of the cores of this row"]),
        ("ids = [6, 7]", "ids = 6", 28, ["core.ids is 6", "different whole numbers >= 0"]),
        ("ids = [6, 7]", "ids = [5, 6]", 28, ["core.ids holds 5, which an earlier [[core]]"]),
        ("ids = [6, 7]", "ids = [6]", 10, ["limit.cores is 8, the rows of [[core]] name 7"]),
        ("kernel_words = 64", "kernel_words = -64", 29, ["core.kernel_words is -64", ">= 1"]),
        ("kernel_words = 64", "kernel_words = 0", 29, ["core.kernel_words is 0", "weights"]),
        ("kernel_words = 64\n", "", 27, ["core.kernel_words is missing"]),
        ("kernel_words = 64", "kernal_words = 64", 29, ["[[core]] knows ids", "'kernel_words'?"]),
        ("bias_words = 64\n" + CITED + "[[", "bias_words = 64\n[[", 20, ["core.source is missing"]),
        ("stride = [1, 2]", "strides = [1, 2]", 16, ["allowed.strides is unknown", "'stride'?"]),
        ("stride = [1, 2]", "stride = 1", 16, ["allowed.stride is 1", "list"]),
        ("square_kernel = true", "square_kernel = 1", 17, ["square_kernel is 1", "true or false"]),
        (
            '"assign"',
            '"assign"\nlist_weights = 64',
            13,
            ["placement = 'assign'", "only 'split' reads"],
        ),
        ("[memory]", "core = 3\n[memory]", 11, ["limit.core is no figure", "'cores'?"]),
    ],
)
def test_a_wrong_table_of_unequal_cores_is_refused_with_its_line(
    old: str, new: str, line: int, parts: list[str]
) -> None:
    check(changed(UNEQUAL, old, new), line, *parts)


def test_unequal_cores_without_a_row_and_a_rule_without_a_number_of_cores_are_refused() -> None:
    bare = UNEQUAL[: UNEQUAL.index("[[core]]")]
    check(
        bare, 12, "memory.placement is 'assign' and there is no row of [[core]]", "add a [[core]]"
    )
    text = changed(EQUAL, figure("cores", "8", "1"), "")
    check(text, 9, "limit.cores is missing", "placement = 'split' fills so many cores")
    row = UNEQUAL[UNEQUAL.index("[[core]]") :]
    check(MINIMAL + row, 9, "core stands beside no [memory] placement")


@pytest.mark.parametrize("name", ["memory", "mesh", "allowed"])
def test_a_table_that_is_none_is_refused(name: str) -> None:
    check(changed(MINIMAL, "[source]", f"{name} = 3\n[source]"), 5, f"{name} is 3", "a table")
    check(f"{MINIMAL}[{name}]\n", 9, f"{name}.", "is missing")


@pytest.mark.parametrize("key", sorted(LIMIT))
@pytest.mark.parametrize("value", ["0", "0.5", "-1"])
def test_a_limit_is_a_whole_number_with_room_for_one(key: str, value: str) -> None:
    text = MINIMAL + "[limit]\n" + figure(key, value, LIMIT[key].unit)
    if value == "0" and key in ("padding", "delay_steps"):
        assert parse_chip("mine", text).limit[key].value == 0
    else:
        check(text, 10, f"limit.{key}.value is {value}", "expected a")


def test_a_limit_may_be_written_as_a_power_of_ten_and_its_bounds_are_whole_too() -> None:
    text = MINIMAL + "[limit]\n" + figure("synapses", "1.2e8", "1")
    assert parse_chip("mine", text).limit["synapses"].value == 120_000_000
    check(changed(text, "1.2e8,", "1.2e8, low = 0.5,"), 10, "limit.synapses.low is 0.5", "whole")


def test_limits_that_contradict_each_other_are_refused() -> None:
    bits, room = (
        figure("synapse_bits_per_core", "8193", "bit"),
        figure("memory_bytes_per_core", "1024", "byte"),
    )
    check(MINIMAL + "[limit]\n" + room + bits, 11, "8,193 bits for synapses in 8,192 bits of")
    parse_chip("mine", MINIMAL + "[limit]\n" + room + bits.replace("8193", "8192"))
    core = figure("synapses_per_core", "11", "1")
    for key in ("synapses_per_chip", "synapses"):
        check(MINIMAL + "[limit]\n" + figure(key, "10", "1") + core, 11, f"{key} is 10", "no more")
    rate = "[rate]\n" + figure("synops_per_s_core0", "0.0", "1/s")
    check(MINIMAL + rate, 10, "rate.synops_per_s_core0.value is 0", "let nothing through")


def test_a_chip_inherits_the_cores_that_its_inherited_rule_needs() -> None:
    text = changed(MINIMAL, "[source]", 'inherits_limits = "speck2f"\n[source]')
    speck, mine = load_chip("speck2f"), parse_chip("mine", text)
    assert (mine.cores, mine.allowed, mine.memory) == (speck.cores, speck.allowed, speck.memory)
    layers = [dense("a", "in", 200, 129)]
    assert place(layers, mine).parts == place(layers, speck).parts
    equal = f'{text}[memory]\nplacement = "split"\n{CITED}'
    assert (parse_chip("mine", equal).cores, parse_chip("mine", equal).allowed) == ((), {})


def test_an_own_limit_that_contradicts_an_inherited_table_is_refused_on_its_own_line() -> None:
    for chip, message in (
        ("speck2f", "limit.cores is 200, the rows of [[core]] name 9"),
        ("loihi1", "the mesh has room for 128 cores, limit.cores is 200"),
    ):
        text = changed(MINIMAL, "[source]", f'inherits_limits = "{chip}"\n[source]')
        check(text + "[limit]\n" + figure("cores", "200", "1"), 11, message)
    row = UNEQUAL[UNEQUAL.rindex("[[core]]") :]
    text = changed(MINIMAL, "[source]", 'inherits_limits = "speck2f"\n[source]')
    check(text + row, 10, "limit.cores is 9, the rows of [[core]] name 2")
    small = "[mesh]\nwidth = 1\nheight = 1\ncores_per_tile = 2\n" + CITED
    check(text + small, 11, "the mesh has room for 2 cores, limit.cores is 9")


def test_an_arithmetic_is_known_and_finds_what_it_is_checked_against() -> None:
    text = changed(MINIMAL, "[source]", 'arithmetic = "speck"\n[source]')
    check(text, 5, "arithmetic is 'speck'", "loihi_cuba, speck_if")
    text = text.replace('"speck"', '"speck_if"')
    check(text, 5, "which needs cores, channels, kernel_side", "inherit the limits of 'speck2f'")
    mine = parse_chip("mine", text.replace("[source]", 'inherits_limits = "speck2f"\n[source]', 1))
    assert mine.arithmetic == SPECK
    speck = files("neurozsl.hardware.chips").joinpath("speck2f.toml").read_text(encoding="utf-8")
    without = re.sub(r"\npool = .*", "", speck, count=1)
    with pytest.raises(
        BadInput, match=r"arithmetic is 'speck_if', which needs pool in \[allowed\]"
    ):
        parse_chip("mine", without)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("leak = 3", ["leak is 3", "a text"]),
        ('reset_note = "a\\nb"', ["reset_note is", "one line of printable text"]),
        ('family = " "', ["family is ' '", "one line of printable text"]),
        ('identifiers = ["a\\u001b"]', ["identifiers is", "printable"]),
        ('layers = ["dense", ""]', ["layers is ['dense', '']", "a list of texts"]),
        ("one_layer_per_core = true", ["one_layer_per_core is unknown"]),
    ],
)
def test_a_wrong_remark_is_refused_with_its_line(line: str, parts: list[str]) -> None:
    check(changed(MINIMAL, "[source]", f"{line}\n[source]"), 5, *parts)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("note = 5", ["measurement.note is 5", "printable text"]),
        ("energy_j_low = 2\nenergy_j_high = 1", ["energy_j_low is 2, energy_j_high is 1"]),
        ("energy_j_low = [2]\nenergy_j_high = 1", ["energy_j_low is [2]", "finite number"]),
        ("power_w = []", ["power_w is []", "finite number"]),
    ],
)
def test_a_contradictory_measurement_is_refused_with_its_line(row: str, parts: list[str]) -> None:
    head = '[[measurement]]\ntask = "b"\ngrade = "T"\nsource = "paper"\n'
    check(f"{MINIMAL}{head}{row}\n", 13, *parts)
    check(f"{MINIMAL}{head}".replace('grade = "T"\nsource = "paper"\n', 'grade = "A"\n'), 11, "'A'")


def test_no_table_of_a_registered_chip_can_lose_a_needed_key() -> None:
    """Every line of the tables of cores that is needed, deleted, is missed."""
    tried = 0
    for key in CHIPS:
        text = files("neurozsl.hardware.chips").joinpath(f"{key}.toml").read_text(encoding="utf-8")
        for table, parts in (("memory", MEMORY), ("mesh", MESH), ("core", CORE)):
            for name in [*(x for x, part in parts.items() if part.needed), "source", "grade"]:
                pattern = rf"(\n\[+{table}\]+\n(?:[^\[\n].*\n)*?){name} = .*\n"
                less, found = re.subn(pattern, r"\1", text, count=1)
                if found:
                    tried += 1
                    with pytest.raises(BadInput, match=rf"{table}\.{name} is missing"):
                        parse_chip("mine", less)
    assert tried > 15
