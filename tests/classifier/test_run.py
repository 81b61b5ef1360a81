"""A classifier's run: trained, continued to the same numbers, fine-tuned, refused when damaged."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import neurozsl as nz
from neurozsl.classifier import run as classifiers
from neurozsl.classifier.augment import Augment
from neurozsl.classifier.recipe import Recipe
from neurozsl.classifier.source import source_of
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import ChipInput
from neurozsl.data.events.recordings.build import EventGrid, write_event_set
from neurozsl.data.events.recordings.stored import load_event_set
from neurozsl.export.network.readout import answers
from neurozsl.export.nir import nirfile
from neurozsl.hardware.arithmetic.emulate import emulate
from neurozsl.hardware.arithmetic.quantize import quantize
from neurozsl.hardware.lower.lower import Lowered, lower
from neurozsl.training.economy import Sparsity
from neurozsl.training.qat import Rounding
from tests.classifier.conftest import OWN
from tests.factories.event_sets import recordings

Own = Callable[[str], str]
QUICK = Recipe(epochs=4, batch=2, lr=0.01, augment=Augment(shift=1, drop=0.1))


def _trained(out: Path, data: Path, network: str, recipe: Recipe = QUICK) -> classifiers.Classifier:
    classifiers.create(out, data=data, network=source_of(network), recipe=recipe)
    return classifiers.train(out, network=source_of(network))


def _lowered(path: Path) -> Lowered:
    return lower(nirfile.read(path / "network.nir"))


def _weights(path: Path) -> list[Any]:
    return [x.weight for x in _lowered(path).layers]


def test_a_run_that_was_stopped_goes_on_to_the_same_network(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    _trained(whole, event_set, own_network("make"))
    classifiers.create(
        stopped, data=event_set, network=source_of(own_network("make")), recipe=QUICK
    )

    def stop(done: int, of: int, text: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classifiers.train(stopped, network=source_of(own_network("make")), progress=stop)
    assert not (stopped / "result.json").exists()
    log = (stopped / "log.jsonl").read_text().splitlines()
    (stopped / "log.jsonl").write_text(log[0] + "\n")  # killed between checkpoint and log
    classifiers.train(stopped, network=source_of(own_network("make")))
    for one, other in zip(_weights(whole), _weights(stopped), strict=True):
        np.testing.assert_array_equal(one, other)
    lines = [json.loads(x) for x in (stopped / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    first, second = (
        json.loads((x / "result.json").read_text())["accuracy"] for x in (whole, stopped)
    )
    assert first == second


def test_it_learns_bars_that_move_left_or_right(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    recipe = replace(QUICK, epochs=60, augment=Augment())
    done = _trained(tmp_path / "run", event_set, own_network("make"), recipe)
    found = classifiers.accuracies(done.result)["float"]
    assert found["train"].percent == 100 and found["test"].percent == 100
    assert (found["val"].samples, found["test"].samples) == (2, 2)


def test_integers_that_were_trained_are_those_that_are_deployed(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    parent = _trained(tmp_path / "run", event_set, own_network("make"))
    tuned = replace(QUICK, rounding=Rounding("speck2f"), sparsity=Sparsity(0.3))
    done = _trained(tmp_path / "qat", event_set, str(parent.network), tuned)
    weights = _weights(tmp_path / "qat")
    density = sum(np.count_nonzero(w) for w in weights) / sum(w.size for w in weights)
    assert density == pytest.approx(0.3, abs=0.02)
    network = _lowered(tmp_path / "qat")
    program = quantize(network, "speck2f")
    with np.load(tmp_path / "qat" / "test.npz") as stored:
        codes, labels = stored["input"], stored["labels"]
    events = load_event_set(event_set)
    np.testing.assert_array_equal(codes, np.minimum(events.take(events.rows("test")), 1))
    held = ChipInput({"input": codes.reshape(*codes.shape[:2], -1)}, program.inputs)
    told = answers(emulate(program, held), network.layers[-1], "count").predicted
    found = classifiers.accuracies(done.result)
    assert found["speck2f, 8 bits"]["test"].right == int((told == labels).sum())
    # what was pruned stays so when it is trained on
    again = replace(QUICK, rounding=Rounding("speck2f"))
    _trained(tmp_path / "on", event_set, str(done.network), again)
    after = _weights(tmp_path / "on")
    for one, other in zip(weights, after, strict=True):
        assert np.count_nonzero(other) <= np.count_nonzero(one)
    assert any(not np.array_equal(a, b) for a, b in zip(weights, after, strict=True))


def test_counts_are_read_where_they_are_asked_for(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    _trained(tmp_path / "run", event_set, own_network("make"), replace(QUICK, values="counts"))
    [code] = _lowered(tmp_path / "run").inputs.values()
    most = int(load_event_set(event_set).frames.max())
    assert most > 1 and code.kind == "graded" and code.high >= most
    with np.load(tmp_path / "run" / "test.npz") as stored:
        assert stored["input"].max() > 1


def test_changed_files_are_refused_by_name(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    done = _trained(tmp_path / "run", event_set, own_network("make"))
    other = _trained(tmp_path / "other", event_set, own_network("make"), replace(QUICK, seed=1))
    for name in ("network.nir", "test.npz", "result.json", "run.json"):
        damaged = tmp_path / f"damaged-{name}"
        shutil.copytree(done.path, damaged)
        content = bytearray((damaged / name).read_bytes())
        place = len(content) // 2
        content[place] ^= 1
        (damaged / name).write_bytes(content)
        with pytest.raises(BadInput, match=name.replace(".", r"\.")):
            classifiers.open_classifier(damaged)
    shutil.copy(other.network, done.path / "network.nir")
    with pytest.raises(BadInput, match=r"network\.nir: was changed or damaged"):
        classifiers.open_classifier(done.path)


def test_a_checkpoint_of_another_run_is_refused(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    _trained(tmp_path / "run", event_set, own_network("make"))
    classifiers.create(
        tmp_path / "new",
        data=event_set,
        network=source_of(own_network("make")),
        recipe=replace(QUICK, seed=1),
    )
    shutil.copytree(tmp_path / "run" / "stage1", tmp_path / "new" / "stage1")
    with pytest.raises(BadInput, match="belongs to another run"):
        classifiers.train(tmp_path / "new", network=source_of(own_network("make")))


def test_a_python_file_is_run_because_it_is_named_and_never_because_a_folder_names_it(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    network = own_network("make")
    classifiers.create(tmp_path / "run", data=event_set, network=source_of(network), recipe=QUICK)
    file = Path(network.rpartition(":")[0])
    with pytest.raises(BadInput, match=r"run only where you name it: .*--network FILE\.py:make"):
        classifiers.train(tmp_path / "run")
    file.write_text(file.read_text() + "\n# changed\n")
    with pytest.raises(BadInput, match="is another or was changed; restore it"):
        classifiers.train(tmp_path / "run", network=source_of(network))
    assert not (tmp_path / "run" / "stage1").exists()


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("broken", r"net\.py, line \d+: RuntimeError: no weights today; mend the function"),
        ("nothing", r"nothing\(\) gave a int, expected a torch module"),
        ("absent", r"holds no function 'absent'; it has make, broken, nothing"),
        ("not a name", "'not a name' is no function name"),
    ],
)
def test_a_file_that_makes_no_network_is_told_where(
    network: str, said: str, event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=said):
        _trained(tmp_path / "run", event_set, own_network(network))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("resnet", "network 'resnet' is not known; choose conv-if, conv-lif"),
        ("absent.nir", "is not there"),
        ("absent.py:make", "is not there"),
        ("net.py", "say which function makes it"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused(network: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        source_of(network)


@pytest.mark.parametrize("name", ["conv-if", "conv-lif"])
def test_the_networks_by_name_train_and_fit_their_chip(
    name: str, event_set: Path, tmp_path: Path
) -> None:
    from neurozsl.hardware.place.place import place

    _trained(tmp_path / "run", event_set, name, replace(QUICK, epochs=1))
    chip = "speck2f" if name == "conv-if" else "loihi2"
    program = quantize(_lowered(tmp_path / "run"), chip)
    assert place(program, chip).parts


def test_integers_of_a_stack_ask_for_the_finished_run(event_set: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="train it first, then `neurozsl train --resume RUN --qat"):
        _trained(tmp_path / "run", event_set, "conv-if", replace(QUICK, rounding=Rounding()))


BESIDE = """
from __future__ import annotations

from dataclasses import dataclass

from layers_beside import stack


@dataclass
class Sizes:
    hidden: int = 4


def make(shape, classes):
    return stack(shape, classes)
"""


@pytest.mark.parametrize("takes", ["shape, classes", "**given"])
def test_a_network_file_runs_as_python_would_run_it(
    event_set: Path, tmp_path: Path, takes: str
) -> None:
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / "layers_beside.py").write_text(OWN.replace("def make", "def stack"))
    made = BESIDE.replace("make(shape, classes)", f"make({takes})")
    (folder / "net.py").write_text(made.replace("stack(shape, classes)", f"stack({takes})"))
    known, places = set(sys.modules), list(sys.path)
    source = source_of(f"{folder / 'net.py'}:make")
    classifiers.create(tmp_path / "run", data=event_set, network=source, recipe=QUICK)
    assert sys.path == places
    assert not [name for name in set(sys.modules) - known if name.startswith("network_")]


def test_a_file_that_ends_python_or_trains_itself_is_told(event_set: Path, tmp_path: Path) -> None:
    ends, itself = tmp_path / "ends.py", tmp_path / "itself.py"
    ends.write_text("import sys\nsys.exit('usage')\n")
    itself.write_text(
        f"{OWN}\nimport neurozsl as nz\n"
        f"nz.train_network({f'{itself}:make'!r}, {str(event_set)!r}, {str(tmp_path / 'run')!r})\n"
    )
    for file, said in ((ends, "line 2: SystemExit: usage"), (itself, "put what is to run under")):
        source = source_of(f"{file}:make")
        with pytest.raises(BadInput, match=said):
            classifiers.create(tmp_path / "run", data=event_set, network=source, recipe=QUICK)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_given_for_another_network_or_other_data(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    run, quick = tmp_path / "run", replace(QUICK, epochs=1)
    _trained(run, event_set, own_network("make"), quick)
    found, other = recordings(tmp_path / "recordings"), tmp_path / "other"
    write_event_set(found, found / "labels.csv", other, grid=EventGrid(6, size=(10, 10)))
    assert nz.train_network(own_network("make"), event_set, run, recipe=quick).path == run
    for network in ("conv-if", own_network("nothing")):
        with pytest.raises(BadInput, match="exists with other network;"):
            nz.train_network(network, event_set, run, recipe=quick)
    with pytest.raises(BadInput, match="exists with other recipe;"):
        nz.train_network(own_network("make"), event_set, run, recipe=QUICK)
    with pytest.raises(BadInput, match="exists with other data;"):
        nz.train_network(own_network("make"), other, run, recipe=quick)


def test_a_readout_that_the_network_has_not_leaves_no_run(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="readout membrane: the output layer spikes"):
        classifiers.create(
            tmp_path / "run",
            data=event_set,
            network=source_of(own_network("make")),
            recipe=replace(QUICK, readout="membrane"),
        )
    assert not (tmp_path / "run").exists()


def test_a_stack_that_cannot_run_or_learn_is_told(event_set: Path, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        OWN
        + """

def double(shape, classes):
    return make(shape, classes).double()


def frozen(shape, classes):
    return make(shape, classes).requires_grad_(False)
"""
    )
    for name, said in (("double", "cannot run frames of"), ("frozen", "no weights that may learn")):
        with pytest.raises(BadInput, match=said):
            classifiers.create(
                tmp_path / "run", data=event_set, network=source_of(f"{file}:{name}"), recipe=QUICK
            )
    assert not (tmp_path / "run").exists()


def test_the_network_says_how_long_a_step_of_the_recordings_is(
    event_set: Path, own_network: Own, tmp_path: Path
) -> None:
    _trained(tmp_path / "run", event_set, own_network("make"), replace(QUICK, epochs=1))
    # bars cross in 16 columns of 10 ms, seen in 8 steps
    assert _lowered(tmp_path / "run").dt_s == pytest.approx(0.16 / 8, rel=0.1)


def test_what_is_said_of_a_nir_file_is_how_it_is_read(event_set: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    net = nir.NIRGraph(
        nodes={
            "input": nir.Input(input_type={"input": np.array([200])}),
            "w": nir.Linear(weight=rng.normal(0, 0.3, (2, 200)).astype(np.float32)),
            "out": nir.IF(r=np.ones(2), v_threshold=np.ones(2)),
            "output": nir.Output(output_type={"output": np.array([2])}),
        },
        edges=[("input", "w"), ("w", "out"), ("out", "output")],
    )
    nir.write(tmp_path / "net.nir", net)
    quick, rules = replace(QUICK, epochs=1), []
    for reset in ("zero", "subtract"):
        run = nz.train_network(
            tmp_path / "net.nir", event_set, tmp_path / reset, recipe=quick,
            reset=reset, if_gain="step", dt_s=0.001,
        )  # fmt: skip
        rules.append(_lowered(run.path).layers[0].rule.reset)
    assert rules == ["zero", "subtract"]
    with pytest.raises(BadInput, match=r"'conv-if': reset: of .nir files alone"):
        nz.train_network("conv-if", event_set, tmp_path / "x", recipe=quick, reset="zero")
