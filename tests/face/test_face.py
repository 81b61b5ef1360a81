"""`import neurozsl as nz`: every name is there, is documented, and costs nothing before its use."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import neurozsl as nz
from tests.source_tree import ROOT, imports

STUB = ROOT / "neurozsl" / "__init__.pyi"
VERBS = (
    "load", "train", "resume", "export", "evaluate", "profile", "simulate", "open_bundle",
    "from_norse", "open_nir", "read_nir", "write_nir", "lower", "quantize", "emulate", "place",
    "count", "accuracy",
)  # fmt: skip


def stubbed() -> dict[str, str]:
    """Name -> the module it comes from."""
    found: dict[str, str] = {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1
            found |= {x.name: f"neurozsl.{node.module}" for x in node.names}
    return found


def test_the_face_shows_what_its_stub_says_and_nothing_else() -> None:
    names = stubbed()
    assert len(names) > 30 and set(VERBS) <= set(names)
    assert set(names) - {"__version__"} <= set(dir(nz))
    for name, module in names.items():
        assert module in imports(), name
        assert getattr(nz, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        nz.nonsense  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_goes_in_what_comes_out_and_what_fails(verb: str) -> None:
    function = getattr(sys.modules[stubbed()[verb]], verb)
    text = inspect.getdoc(function) or ""
    wanted = ["Args:"] if verb != "resume" else ["Args:", "as in `train`"]
    assert [part for part in [*wanted, "Raises:"] if part not in text] == []
    assert ">>>" in text or "Example::" in text or verb == "resume", verb


def test_importing_the_face_imports_nothing_heavy() -> None:
    code = (
        "import json, sys\n"
        "import neurozsl as nz\n"
        "first = sorted({'torch', 'norse', 'numba', 'matplotlib', 'numpy'} & set(sys.modules))\n"
        "nz.lower, nz.quantize, nz.place, nz.read_nir\n"
        "print(json.dumps([first, 'torch' in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == [[], False]


def test_export_is_the_verb_and_the_package_of_the_same_name(run_dir: Path, tmp_path: Path) -> None:
    """The folder `export/` is the user's, the verb is the field's: one object is both."""
    import neurozsl.export as package

    assert isinstance(package, ModuleType) and nz.export is package  # type: ignore[comparison-overlap]
    bundle = nz.export(run_dir, target="nir", out=tmp_path / "nir", samples=1)
    assert bundle.manifest.target == "nir" and (tmp_path / "nir" / "motion.nir").is_file()
    scored = nz.evaluate(run_dir, bundle)
    assert scored.HM == nz.evaluate(nz.load(run_dir), tmp_path / "nir").HM
    assert scored.as_json()["bundle"] == str(tmp_path / "nir")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run, out: nz.export(run, target="nir", out=out, samples=0), "0 golden samples"),
        (lambda run, out: nz.evaluate(run, backend="emulator"), "'emulator': runs a bundle"),
        (lambda run, out: nz.simulate(run / "deploy" / "nir", limit=0), "limit 0, expected 1"),
        (lambda run, out: nz.simulate(run / "deploy" / "nir", limit=-1), "limit -1, expected 1"),
        (lambda run, out: nz.profile(run, step_s=-1.0), "step_s=-1.0"),
    ],
)
def test_a_number_out_of_range_is_refused_before_any_work(
    call: Callable[[Path, Path], object], message: str, run_dir: Path, tmp_path: Path
) -> None:
    nz.export(run_dir, target="nir", samples=2)
    with pytest.raises(nz.BadInput, match=message):
        call(run_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bundle_is_simulated_on_the_first_backend_of_its_target(run_dir: Path) -> None:
    bundle = nz.export(run_dir, target="nir", samples=2)
    assert nz.simulate(bundle, limit=2).backend == nz.evaluate(run_dir, bundle).motion_backend


def test_signatures_name_what_a_user_may_give() -> None:
    assert {"run", "target", "bits", "max_hm_drop"} <= set(inspect.signature(nz.export).parameters)
    assert list(inspect.signature(nz.write_report).parameters) == ["report", "path", "plot_folder"]
