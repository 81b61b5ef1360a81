import math
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from neurozsl.errors import BadInput
from neurozsl.hardware.chip import load_chip, parse_chip
from neurozsl.hardware.chips import CHIPS

# The device table names a precision that our key `mac` means by itself.
RENAMED = {"mac_fp32": "mac"}

MINIMAL = """
schema = 1
name = "Test"
scope = "per_term"
[source]
paper = "Author, Title, 2020, Table 1"
[energy]
synop = { value = 2e-12, kind = "measured", grade = "T", source = "paper" }
"""


def test_every_registered_chip_loads_and_every_file_is_registered() -> None:
    names = [f.name for f in files("neurozsl.hardware.chips").iterdir() if f.name.endswith(".toml")]
    assert sorted(name.removesuffix(".toml") for name in names) == sorted(CHIPS)
    for key in CHIPS:
        chip = load_chip(key)
        figures = [
            *chip.limit.values(),
            *chip.energy.values(),
            *chip.power.values(),
            *chip.time.values(),
            *chip.rate.values(),
        ]
        assert figures, key
        for figure in figures:
            assert len(figure.source) > 15, "the reference in full, not a key"
            assert math.isfinite(figure.value)


@pytest.mark.parametrize(
    ("chip", "group", "key", "value", "low", "high", "grade"),
    [
        ("loihi1", "energy", "synop", 23.6e-12, 23.6e-12, None, "Q"),
        ("loihi1", "energy", "neuron_active", 81e-12, None, None, "Q"),
        ("loihi1", "energy", "neuron_inactive", 52e-12, None, None, "Q"),
        ("loihi1", "power", "static_chip", 0.104, 0.029, 0.104, "Q"),
        ("loihi1_sanafe", "energy", "synop_dense", 35.5e-12, None, None, "V"),
        ("loihi1_sanafe", "limit", "cores", 128, None, None, "Q"),
        ("speck2f", "energy", "dynamic_per_spike", 4.6e-9, 2.9e-9, 7.6e-9, "D"),
        ("speck2f", "power", "static_chip", 0.42e-3, None, None, "T"),
        ("cmos45_fp32", "energy", "mac", 4.6e-12, None, None, "V"),
        ("cmos45_int8", "energy", "ac", 0.03e-12, None, None, "V"),
    ],
)
def test_figures_are_those_of_the_fact_sheet(
    chip: str,
    group: str,
    key: str,
    value: float,
    low: float | None,
    high: float | None,
    grade: str,
) -> None:
    figure = getattr(load_chip(chip), group)[key]
    assert (figure.value, figure.low, figure.high, figure.grade) == (value, low, high, grade)


def test_loihi2_has_no_energy_per_operation_of_its_own() -> None:
    chip = load_chip("loihi2")
    assert not chip.energy
    assert chip.inherits_energy == "loihi1"


def test_chip_files_agree_with_the_shared_device_table(shared_data: Path) -> None:
    table = tomllib.loads((shared_data.parent / "facts" / "devices.toml").read_text("utf-8"))
    assert set(table["device"]) == set(CHIPS)
    compared = 0
    for key in CHIPS:
        for group in ("limit", "energy", "power", "time", "rate"):
            for name, raw in table["device"][key].get(group, {}).items():
                figure = getattr(load_chip(key), group)[RENAMED.get(name, name)]
                found = (figure.value, figure.low, figure.high, figure.kind, figure.grade)
                expected = (
                    raw["value"],
                    raw.get("low"),
                    raw.get("high"),
                    raw["kind"],
                    raw["grade"],
                )
                assert found == expected, f"{key}.{group}.{name}"
                compared += 1
    assert compared > 85


def test_loihi_1_is_a_mesh_of_32_tiles_and_the_topology_of_loihi_2_is_unpublished() -> None:
    for key in ("loihi1", "loihi1_sanafe"):  # the second inherits it
        chip = load_chip(key)
        mesh = chip.mesh
        assert (mesh["width"], mesh["height"], mesh["cores_per_tile"]) == (8, 4, 4)
        assert mesh["width"] * mesh["height"] * mesh["cores_per_tile"] == chip.limit["cores"].value
        assert (mesh["grade"], "loihi.yaml at c55bfa8" in mesh["source"]) == ("V", True)
    assert [key for key in CHIPS if load_chip(key).mesh] == ["loihi1", "loihi1_sanafe"]


@pytest.mark.parametrize("count", ["0", "-4", "2.5", '"4"', "true"])
def test_a_mesh_has_whole_tiles_and_cores(count: str) -> None:
    mesh = f'[mesh]\nwidth = 4\nheight = 2\ncores_per_tile = {count}\nsource = "paper"\n'
    with pytest.raises(BadInput, match=r"mesh\.cores_per_tile is .* whole number >= 1"):
        parse_chip("mine", MINIMAL + mesh)


def test_two_cost_tables_of_one_silicon_share_a_family() -> None:
    families = {key: load_chip(key).family for key in CHIPS}
    assert [key for key, family in families.items() if family == "loihi1"] == [
        "loihi1",
        "loihi1_sanafe",
    ]
    assert families["speck2f"] == "speck2f"


def test_an_unknown_chip_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"chip 'loihi9' is unknown.*loihi1.*speck2f"):
        load_chip("loihi9")


def test_a_new_chip_is_data_alone() -> None:
    chip = parse_chip("mine", MINIMAL)
    assert chip.energy["synop"].source == "Author, Title, 2020, Table 1"
    assert chip.energy["synop"].low is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("value = 2e-12", "value = -1.0", "finite number >= 0"),
        ("value = 2e-12", "value = nan", "finite number"),
        ("value = 2e-12", 'value = "2"', "expected a number"),
        ("value = 2e-12", "value = 2e-12, low = 3e-12", "not between"),
        ("value = 2e-12", "value = 2e-12, high = 1e-12", "not between"),
        ("value = 2e-12", "value = 2e-12, colour = 1", "unknown keys colour"),
        ("measured", "guessed", "kind 'guessed'"),
        ('grade = "T"', 'grade = "A"', "grade 'A'"),
        ('source = "paper"', 'source = "blog"', "source 'blog' has no line"),
        ("schema = 1", "schema = 2", "schema 2"),
        ("per_term", "sometimes", "scope 'sometimes'"),
        ("[energy]", "[joules]", "unknown keys joules"),
        ('name = "Test"', "", "'name' is missing"),
        ("[energy]", "energy = 3\n[power]", "'energy' is"),
        ("schema", "schema = = ", "not TOML"),
    ],
)
def test_an_invalid_figure_is_refused_with_its_place(old: str, new: str, message: str) -> None:
    text = MINIMAL.replace(old, new)
    assert text != MINIMAL
    if "energy = 3" in new:
        text = "energy = 3\n" + MINIMAL.replace("[energy]", "[power]")
    with pytest.raises(BadInput, match=message):
        parse_chip("mine", text)
