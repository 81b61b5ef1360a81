import math
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.hardware.chips import CHIPS
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.chips.keys import ENERGY, KEYS

# The device table names a precision that our key `mac` means by itself.
RENAMED = {"mac_fp32": "mac"}
# The table calls it by its brief, a data sheet; the file says that it is the least a step can take.
BOUNDS = {("loihi2", "step"): "peak_bound"}


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


def test_every_figure_has_the_unit_of_its_key_and_every_key_says_what_it_pays_for() -> None:
    units = {"energy": {"J", "1"}, "power": {"W"}, "time": {"s"}, "rate": {"1/s"}}
    units["limit"] = {"1", "bit", "byte"}
    seen = set()
    for chip in map(load_chip, CHIPS):
        for group, known in KEYS.items():
            for key, figure in getattr(chip, group).items():
                assert figure.unit == known[key].unit, f"{chip.key}.{group}.{key}"
                seen.add((group, key))
    assert len(seen) > 60
    for group, known in KEYS.items():
        assert {key.unit for key in known.values()} <= units[group]
        assert all(len(key.meaning) > 8 for key in known.values())
    assert {key for key, entry in ENERGY.items() if entry.cause is None} == {"relative_error"}
    # Everything else counted in joules; what is not in any file is there for the user's own.
    unused = {key for key in ENERGY if ("energy", key) not in seen}
    assert unused <= {"input_event", "link_byte", "mac_int8"}


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
    chip: str, group: str, key: str, value: float, low: float | None, high: float | None, grade: str
) -> None:
    figure = getattr(load_chip(chip), group)[key]
    assert (figure.value, figure.low, figure.high, figure.grade) == (value, low, high, grade)


def test_loihi2_has_no_energy_per_operation_of_its_own() -> None:
    chip = load_chip("loihi2")
    assert not chip.energy
    assert chip.inherits_energy == "loihi1"


def test_chip_files_agree_with_the_shared_device_table(shared_data: Path) -> None:
    table = tomllib.loads((shared_data.parent / "facts" / "devices.toml").read_text("utf-8"))
    assert set(table["device"]) <= set(CHIPS)  # chips that came later stand in their files alone
    compared = 0
    for key in table["device"]:
        for group in ("limit", "energy", "power", "time", "rate"):
            for name, raw in table["device"][key].get(group, {}).items():
                figure = getattr(load_chip(key), group)[RENAMED.get(name, name)]
                found = (figure.value, figure.low, figure.high, figure.kind, figure.grade)
                expected = (
                    raw["value"],
                    raw.get("low"),
                    raw.get("high"),
                    BOUNDS.get((key, name), raw["kind"]),
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
    assert not load_chip("loihi2").mesh


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
