"""The `>>>` examples in docstrings print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The Lava worker is a program of another Python, not a module of the package.
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for top in ("neurozsl", "export", "hardware")
    for path in (ROOT / top).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8") and "worker" not in path.parts
    if not (top == "neurozsl" and path.relative_to(ROOT).parts[1] in ("export", "hardware"))
)


def test_examples_were_found() -> None:
    assert len(MODULES) >= 3


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_hold(name: str) -> None:
    module = importlib.import_module(name if name.startswith("neurozsl.") else f"neurozsl.{name}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
