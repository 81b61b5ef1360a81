"""The product's files as modules, and what each of them imports, lazy imports included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOPS = {"neurozsl": "neurozsl", "export": "neurozsl.export", "hardware": "neurozsl.hardware"}


def files(*suffixes: str) -> Iterator[tuple[str, Path]]:
    """(path inside the package, path on disk) of every file, links not followed."""
    for top, package in TOPS.items():
        for path in sorted((ROOT / top).rglob("*")):
            inside = Path(*package.split("."), *path.relative_to(ROOT / top).parts)
            linked = top == "neurozsl" and inside.parts[1] in ("export", "hardware")
            if path.suffix in suffixes and "__pycache__" not in path.parts and not linked:
                yield inside.as_posix(), path


def module_of(inside: str) -> str:
    """Dotted name of a file inside the package.

    >>> module_of("neurozsl/models/__init__.py")
    'neurozsl.models'
    """
    return inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def imports() -> dict[str, set[str]]:
    """Module -> every module and name that its file imports, anywhere in it, as dotted paths."""
    found = {module_of(inside): _imports(path, module_of(inside)) for inside, path in files(".py")}
    assert len(found) > 30
    assert sum(map(len, found.values())) > 200
    return found


def _imports(path: Path, module: str) -> set[str]:
    found = set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            found |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return found


@cache
def folders() -> dict[str, set[str]]:
    """Folder -> the folders whose files it reads, itself left out.

    `from a.b import c` reads the file of `a.b.c` where that is one, else the face of `a.b`.
    """
    packages = {module_of(x) for x, path in files(".py") if path.name == "__init__.py"}

    def folder(module: str) -> str:
        while module not in packages:
            module = module.rpartition(".")[0]
        return module

    known = imports().keys()
    read: dict[str, set[str]] = {package: set() for package in packages}
    for module, names in imports().items():
        parts = {x for x in names if x in known}
        # The face of a package is read where a name of it is asked for that is no file.
        through = {x.rpartition(".")[0] for x in parts} - {
            x.rpartition(".")[0] for x in names if x not in known
        }
        read[folder(module)] |= {folder(x) for x in parts - through} - {folder(module)}
    return read
