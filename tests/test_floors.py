"""A folder imports lower floors only, lazy imports included, so no two folders form a circle.

`python -m tests.test_floors` prints the floors and the figures of the house.
"""

from __future__ import annotations

import ast
import re
from collections import Counter

import pytest

from tests import source_tree
from tests.source_tree import ROOT, folders

# From the ground up; folders of one row do not read each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("neurozsl.core",),
    ("neurozsl.meters", "neurozsl.norse", "neurozsl.cluster"),
    ("neurozsl.data",),
    ("neurozsl.data.events", "neurozsl.data.benchmark"),
    ("neurozsl.data.encoders", "neurozsl.data.sets", "neurozsl.data.events.files"),
    ("neurozsl.data.clips", "neurozsl.data.synthetic"),
    ("neurozsl.data.events.recordings",),
    ("neurozsl.hardware.chips", "neurozsl.hardware.network"),
    ("neurozsl.hardware.lower", "neurozsl.hardware.place"),
    ("neurozsl.hardware.floatsim",),
    ("neurozsl.hardware.loihi",),
    ("neurozsl.hardware.loihi.emulator", "neurozsl.hardware.speck"),
    ("neurozsl.hardware.arithmetic",),
    ("neurozsl.hardware.count",),
    ("neurozsl.hardware.energy", "neurozsl.hardware.neurobench", "neurozsl.hardware.workloads"),
    ("neurozsl.export.nir.dialects",),
    ("neurozsl.export.nir",),
    ("neurozsl.export.norse",),
    ("neurozsl.export.backends.lava", "neurozsl.export.backends.speck"),
    ("neurozsl.export.backends",),
    ("neurozsl.export.targets",),
    ("neurozsl.export.bundle",),
    ("neurozsl.export.network",),
    ("neurozsl.models", "neurozsl.networks"),
    ("neurozsl.models.baselines",),
    ("neurozsl.parallel",),
    ("neurozsl.scoring",),
    ("neurozsl.training",),
    ("neurozsl.runs",),
    ("neurozsl.classifier", "neurozsl.deploy"),
    ("neurozsl.report.schema", "neurozsl.report.page"),
    ("neurozsl.report.figures",),
    ("neurozsl.report.show",),
    ("neurozsl.simulation", "neurozsl.report.sections"),
    ("neurozsl.report",),
    ("neurozsl.portable", "neurozsl.prediction"),
    ("neurozsl.face", "neurozsl.studies"),
    ("neurozsl.studies.tables",),
    ("neurozsl.cli",),
    ("neurozsl", "neurozsl.export", "neurozsl.hardware"),  # the faces
)
FLOOR = {folder: number for number, row in enumerate(FLOORS) for folder in row}


def wrong_floors(read: dict[str, set[str]], floor: dict[str, int]) -> list[str]:
    """Every import that does not lead down."""
    return sorted(
        f"{folder} (floor {floor[folder]}) imports {other} (floor {floor[other]})"
        for folder, others in read.items()
        for other in others
        if floor[other] >= floor[folder]
    )


def circles(read: dict[str, set[str]]) -> list[str]:
    """Folders that are left when those that read none, or that none reads, are taken away."""
    left = {folder: set(others) for folder, others in read.items()}
    while ends := [
        folder
        for folder, others in left.items()
        if not others & left.keys() or not any(folder in x for x in left.values())
    ]:
        for folder in ends:
            del left[folder]
    return sorted(left)


def test_every_folder_has_a_floor_and_every_floor_a_folder() -> None:
    assert set(folders()) == set(FLOOR)


def test_a_folder_imports_lower_floors_only() -> None:
    read = folders()
    edges = sum(map(len, read.values()))
    print(f"{len(read)} folders, {edges} imports between them, {len(circles(read))} in circles")
    assert edges > 100
    assert wrong_floors(read, FLOOR) == []
    assert circles(read) == []


def test_a_folder_on_a_wrong_floor_is_told() -> None:
    read = {"ground": {"roof"}, "roof": {"ground"}, "side": set[str]()}
    assert circles(read) == ["ground", "roof"]
    floor = {"ground": 0, "roof": 1, "side": 1}
    assert wrong_floors(read, floor) == ["ground (floor 0) imports roof (floor 1)"]


@pytest.mark.parametrize("root", ["neurozsl", "export", "hardware"])
def test_a_root_folder_holds_its_face_and_no_loose_module(root: str) -> None:
    assert {x.name for x in (ROOT / root).glob("*.py")} <= {"__init__.py", "__main__.py"}


# ---------------------------------------------------------------- figures of the house


def test_the_house_keeps_its_figures() -> None:
    found = figures()
    print(found, "twice:", [name for name, number in class_names().items() if number > 1])
    del found["product lines"]  # told by `main`, not held: new features need lines
    assert {name: now for name, (now, limit) in found.items() if now > limit} == {}


def class_names() -> Counter[str]:
    """How many modules of the product define a class of each name."""
    found: Counter[str] = Counter()
    for inside, path in source_tree.files(".py"):
        if "/worker/" not in inside:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found.update({x.name for x in ast.walk(tree) if isinstance(x, ast.ClassDef)})
    return found


def matches(pattern: str) -> int:
    """Lines of the product that a pattern matches."""
    texts = [path.read_text(encoding="utf-8") for _, path in source_tree.files(".py")]
    return sum(len(re.findall(pattern, text, re.M)) for text in texts)


def face_modules() -> set[str]:
    """Modules of neurozsl that README and examples import from."""
    found = set()
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.py"))]
    texts += re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(texts) > 4
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neurozsl"):
                found.add(str(node.module))
            elif isinstance(node, ast.Import):
                found |= {x.name for x in node.names if x.name.startswith("neurozsl")}
    return found


def product_lines() -> int:
    """Lines of Python of the product and the examples."""
    paths = [path for _, path in source_tree.files(".py")] + list((ROOT / "examples").glob("*.py"))
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def figures() -> dict[str, tuple[int, int]]:
    """What is counted: (now, limit)."""
    twice = [name for name, number in class_names().items() if number > 1]
    return {
        "class names defined twice": (len(twice), 5),
        "aliases of Progress": (matches(r"^Progress(?:: TypeAlias)? = "), 1),
        "model: Any": (matches(r"\bmodel: Any\b"), 0),
        "modules that README and examples import from": (len(face_modules()), 3),
        "product lines": (product_lines(), 45_500),
    }


def main() -> None:
    """Print the floors from the roof down, and the figures."""
    for number, row in reversed(list(enumerate(FLOORS))):
        print(f"{number:3}  {'  '.join(row)}")
    read = folders()
    print(f"{len(read)} folders, {len(circles(read))} of them in circles")
    for name, (now, limit) in figures().items():
        print(f"{name}: {now} (at most {limit}{', not held' * (name == 'product lines')})")


if __name__ == "__main__":
    main()
