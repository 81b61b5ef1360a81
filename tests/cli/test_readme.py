"""The README keeps its word: its Python runs, its tables are measured, its commands exist."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from torch import nn

from neurozsl import models
from neurozsl.cli import app
from neurozsl.core import errors
from neurozsl.core.signals import ChipInput
from neurozsl.export.backends.sinabs_layers import run_sinabs
from neurozsl.export.norse.graph import from_norse
from neurozsl.hardware.lower.lower import lower
from neurozsl.norse.cells import IAFCell, LIFBoxCell, LIFCell, SequentialState

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {
    page: (ROOT / page).read_text()
    for page in (
        "README.md",
        "export/README.md",
        "export/frameworks.md",
        "hardware/README.md",
        "examples/README.md",
    )
}
ALL = "\n".join(PAGES.values())
STEPS = 40
Command = Callable[..., Any]


def block(name: str) -> str:
    """The text between `<!-- name -->` and `<!-- /name -->`."""
    [found] = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", ALL, re.S)
    return str(found)


def test_the_readme_is_short_and_no_page_names_a_machine() -> None:
    assert len(README.splitlines()) < 170
    assert not re.search(r"/(home|root|work|tmp)/|localhost", ALL)


def test_what_the_pages_link_to_is_there() -> None:
    links = {
        (page, target)
        for page, text in PAGES.items()
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    }
    assert len(links) > 3
    assert [x for x in links if not (ROOT / x[0]).parent.joinpath(x[1]).exists()] == []


def test_the_table_of_targets_is_the_one_that_the_command_prints(neurozsl: Command) -> None:
    assert block("targets") == neurozsl("targets", "--markdown").out


def test_every_model_is_introduced() -> None:
    page = PAGES["examples/README.md"]
    section = page[page.index("## Models") : page.index("## Results")]
    assert {name for name in models.names() if f"`{name}`" not in section} == set()
    assert len(models.names()) > 3


def test_its_python_runs(
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a folder whose `runs/demo` is the tiny run of these tests."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(run_dir)
    monkeypatch.chdir(tmp_path)
    first, second = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(first, "README.md, In Python", "exec"), {})
    verdict, hm, *lines = capsys.readouterr().out.splitlines()
    assert verdict in ("PASS-WITH-LOSS", "UNVERIFIED")
    assert 0 <= float(hm) <= 100
    assert len(lines) == 4 and all(line.startswith("test_") for line in lines)
    torch.manual_seed(0)
    exec(compile(second, "README.md, A network", "exec"), {})
    rates, cores = capsys.readouterr().out.splitlines()
    assert re.match(r"\{'1': 0\.0*[1-9]\d*, '4': 0\.", rates)
    assert cores.endswith("cores of Loihi 2")
    assert (tmp_path / "own.nir").is_file()


def commands() -> set[str]:
    """Every command of the program: `train`, `data synth`, ..."""
    found = set()
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        found |= {f"{name} {part}" for part in getattr(command, "commands", ())} or {name}
    return found


def test_its_commands_exist_and_none_is_missing() -> None:
    known = commands()
    assert {"train", "data synth", "setup lava", "doctor"} <= known
    heads = {name.split()[0] for name in known}
    used = set(re.findall(r"(?:`|\$ )neurozsl (\w+)", ALL))
    assert len(used) > 8 and used <= heads
    table = README[README.index("## Commands") : README.index("## Limits")]
    mentioned = set(re.findall(r"\w+", table))
    assert {part for name in known for part in name.split()} <= mentioned


def test_its_exit_codes_are_those_of_the_errors() -> None:
    words = {
        errors.NeuroZSLError: "1 internal error",
        errors.BadInput: "2 usage or bad input",
        errors.VerificationFailed: "3 verification failed",
        errors.DoesNotFit: "4 does not fit the chip",
        errors.MissingPart: "5 an optional part is missing",
    }
    flat = " ".join(README.split())
    for error, text in words.items():
        assert text.startswith(str(error.exit_code)) and text in flat


def test_it_cites_what_the_citation_file_cites() -> None:
    [doi] = re.findall(r"doi: (\S+)", (ROOT / "CITATION.cff").read_text())
    assert f"https://doi.org/{doi}" in README


# What a user of the stock path sees once, and then nothing.
@pytest.mark.filterwarnings("ignore:nirtorch.* is being deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor:UserWarning")
@pytest.mark.parametrize("cell", [LIFCell, LIFBoxCell, IAFCell])
def test_its_table_of_stock_converters_is_measured(cell: Any) -> None:
    import sinabs.nir
    from norse.torch.utils.export_nir import to_nir as norse_to_nir

    torch.manual_seed(1)
    module = SequentialState(nn.Linear(8, 4), cell())
    with torch.no_grad():
        module[0].weight.mul_(4)
    codes = (np.random.default_rng(1).random((1, STEPS, 8)) < 0.5).astype(np.int16)
    x = torch.as_tensor(codes, dtype=torch.float32)
    state, steps = None, []
    with torch.no_grad():
        for t in range(STEPS):
            z, state = module(x[:, t], state)
            steps.append(z)
        wanted = torch.stack(steps, 1).numpy()
        graph = norse_to_nir(module, x[:, 0])
        output = sinabs.nir.from_nir(graph, batch_size=1)(x.flatten(0, 1))
    stock = (output[0] if isinstance(output, tuple) else output).reshape(wanted.shape).numpy()
    lowered = lower(from_norse(module, x))
    ours = run_sinabs(lowered, ChipInput({"input": codes}, lowered.inputs))

    def right(values: Any) -> float:
        """Percent of the steps in which all four neurons are right."""
        return float(100 * (values == wanted).all(axis=2).mean())

    [row] = [line for line in ALL.splitlines() if line.startswith(f"| {cell.__name__} |")]
    _, node, said, package = [part.strip() for part in row.strip("|").split("|")]
    assert node.split(",")[0] in {type(x).__name__ for x in graph.nodes.values()}
    assert float(said.split(" %")[0]) == pytest.approx(right(stock), abs=0.5)
    assert float(package.split(" %")[0]) == right(ours.spikes["1"]) == 100
