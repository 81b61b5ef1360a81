"""`export/frameworks.md` holds what the recorded networks give, and its recipes run."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.cli.conftest import run_command
from tests.frameworks import record, table
from tests.frameworks.cases import CASES, Environment
from tests.frameworks.conftest import Folder, require_peers

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "export" / "frameworks.md").read_text()
README = (ROOT / "README.md").read_text()
TITLES = {
    "snntorch": "snnTorch",
    "spikingjelly": "SpikingJelly",
    "sinabs": "Sinabs",
    "norse": "Norse",
}
SAMPLES, STEPS = 3, 50
# Weights as after training, before the recipe: uniform in -0.3..1 times this, so that neurons fire.
SCALE: Final = {"snntorch": 0.15, "spikingjelly": 1.5, "sinabs": 0.5, "norse": 3.0}
BEFORE: Final = """
import numpy as np, torch
torch.manual_seed(3)
torch.nn.init.kaiming_uniform_ = lambda w, a=0: w.data.uniform_(-0.3, 1).mul_({scale})
"""
# One sample after the other, step by step: what the framework itself sends.
AFTER: Final = {
    "snntorch": "cell.reset_mem(); y = [net(x) for x in sample]",
    "spikingjelly": "from spikingjelly.activation_based import functional\n"
    "    functional.reset_net(net); y = [net(x) for x in sample]",
    "sinabs": "net[1].reset_states(); y = [net(x) for x in sample]",
    "norse": "y, state = [], None\n"
    "    for x in sample:\n"
    "        z, state = net(x, state); y.append(z)",
}


@pytest.fixture(scope="module", name="blocks")
def _blocks(recorded: Folder) -> Any:
    return table.blocks(table.run_cases({writer: recorded(writer) for writer in record.WRITERS}))


def test_the_page_holds_what_the_recorded_networks_give(blocks: dict[str, str]) -> None:
    found = dict(re.findall(r"<!-- ([\w:]+) -->\n(.*?)<!-- /\1 -->", PAGE, re.S))
    assert found == dict(blocks)
    assert f"{len(CASES)} of {len(CASES)} recorded networks" in found["summary"]


def test_every_option_and_reset_of_the_page_exists() -> None:
    told = run_command("simulate", "--help").out
    options = set(re.findall(r"`?(--[a-z][a-z-]+)", PAGE))
    assert len(options) > 6
    help_text = re.sub(r"\s+", "", told)
    assert {option for option in options if option not in help_text} == set()


def _recipe(writer: str) -> tuple[str, str]:
    """The Python and the command of a framework."""
    part = PAGE[PAGE.index(f"### {TITLES[writer]}\n") :]
    [python] = re.findall(r"```python\n(.*?)```", part, re.S)[:1]
    [line] = re.findall(r"```console\n\$ neurozsl (.*?)\n```", part, re.S)[:1]
    return str(python), str(line)


@pytest.mark.parametrize("writer", record.WRITERS)
def test_the_readme_gives_the_command_of_every_framework(writer: str) -> None:
    line = _recipe(writer)[1]
    assert line == f"simulate net.nir --input x.npz --dialect {writer}"
    assert f"`neurozsl {line}`" in README


@pytest.mark.peers
@pytest.mark.parametrize("writer", record.WRITERS)
def test_a_recipe_gives_every_spike_of_the_framework(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment: Environment = "main" if writer == "norse" else "peers"
    if environment == "peers":
        require_peers()
    spikes = np.random.default_rng(2).random((SAMPLES, STEPS, 12)) < 0.3
    np.savez(tmp_path / "x.npz", input=spikes.astype(np.uint8))
    python, line = _recipe(writer)
    after = f"""
given = torch.tensor(np.load("x.npz")["input"], dtype=torch.float32)[:, :, None]
found = []
for sample in given:
    {AFTER[writer]}
    found.append(torch.cat(y).detach().numpy())
np.save("y.npy", np.stack(found))
"""
    (tmp_path / "recipe.py").write_text(BEFORE.format(scale=SCALE[writer]) + python + after)
    done = subprocess.run(
        [str(record.interpreter(environment)), "-W", "ignore", "recipe.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=record.TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    wanted = np.load(tmp_path / "y.npy")
    assert wanted.shape == (SAMPLES, STEPS, 16) and 0.05 < (wanted > 0).mean() < 0.95
    monkeypatch.chdir(tmp_path)
    for command in (line, line.partition(" --dialect")[0]):
        ran = run_command(*command.split(), "--out", "trace.npz", "--json")
        assert ran.code == 0, ran.err
        assert ran.document["dialect"] == writer
        with np.load("trace.npz") as trace:
            [counts] = [trace[name] for name in trace.files if name.startswith("spikes/")]
        np.testing.assert_array_equal(counts, wanted)
