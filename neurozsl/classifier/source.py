"""Where a network to train comes from: a name, a function of the user's, a `.nir` file.

    conv-if            a network of `neurozsl.networks`
    FILE.py:make       `make()` or `make(shape, classes)` in a Python file of the user's
    FILE.nir           any network that lowers, with what the caller says of it

A Python file is the user's own program and is executed when it is named on the command line, and
never because a run folder names it: to continue such a run it is named again, unchanged.
"""

import importlib.util
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import nn

from neurozsl import networks
from neurozsl.classifier.learner import Learner, StackLearner, TwinLearner
from neurozsl.classifier.twin import Twin
from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.signals import InputCode
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.foreign import from_graph
from neurozsl.export.nir.graph_reading import graph_inputs
from neurozsl.export.nir.said import Said
from neurozsl.hardware.lower import metadata as graph_metadata
from neurozsl.training.qat import Rounding

Kind = Literal["name", "file", "nir"]


@dataclass(frozen=True)
class NetworkSource:
    """A network as it is named.

    Attributes:
        kind: what stands behind the name.
        name: of the network, of the function, or of the file.
        path: of the Python or `.nir` file; "" for a name.
        digest: SHA-256 of the file.
    """

    kind: Kind
    name: str
    path: str = ""
    digest: str = ""


@dataclass(frozen=True)
class EventTask:
    """What a network is for: steps and their length, shape of a step, classes, code of the input.

    step_s: mean length of a step, s; None where the set does not note it.
    """

    steps: int
    shape: tuple[int, int, int]
    classes: int
    code: InputCode
    said: Said = field(default_factory=Said)
    step_s: float | None = None


def source_of(text: str) -> NetworkSource:
    """What a command line names.

    Raises:
        BadInput: no such network, file or function name.
    """
    if text.endswith(".nir"):
        path = _file(text, "a .nir file")
        return NetworkSource("nir", path.name, str(path.resolve()), sha256(path))
    head, colon, function = text.rpartition(":")
    if colon and head.endswith(".py"):
        path = _file(head, "a Python file")
        if not function.isidentifier():
            raise BadInput(f"network '{text}': '{function}' is no function name; as in net.py:make")
        return NetworkSource("file", function, str(path.resolve()), sha256(path))
    if text.endswith(".py"):
        raise BadInput(f"network '{text}': say which function makes it, as in {text}:make")
    if text not in networks.NETWORKS:
        raise BadInput(
            f"network '{text}' is not known; choose {', '.join(networks.NETWORKS)}, a function "
            "that makes one (FILE.py:make), or a .nir file"
        )
    return NetworkSource("name", text)


def learner_of(
    source: NetworkSource,
    task: EventTask,
    rounding: Rounding | None,
    *,
    without_clock: bool = False,
) -> Learner:
    """A fresh network of a source, ready to learn; weights from torch's random state.

    Raises:
        BadInput: the file changed or fails, the network does not fit the task, or integers are
            asked of a stack whose BatchNorm is still free (fine-tune the finished run).
    """
    if source.kind == "nir":
        return TwinLearner(_twin(source, task, rounding, without_clock))
    stack = _stack(source, task)
    if rounding is not None:
        raise BadInput(
            f"network '{source.name}': integers are trained from a finished float network, whose "
            "BatchNorm is folded; train it first, then `neurozsl train --resume RUN --qat CHIP`"
        )
    example = torch.zeros(1, task.steps, *task.shape)
    learner = StackLearner(stack, example, task.code, task.step_s, without_clock=without_clock)
    if not any(x.requires_grad for x in stack.parameters()):
        raise BadInput(f"network '{source.name}': has no weights that may learn (requires_grad)")
    try:
        with torch.no_grad():
            stack.eval()
            seen = learner.see(torch.zeros(1, 1, *task.shape))
            stack.train()
    except RuntimeError as error:  # other types, other devices
        raise BadInput(
            f"network '{source.name}': cannot run frames of {task.shape} in float32 on the CPU: "
            f"{str(error)[:200]}; mend the function"
        ) from error
    _check_classes(source, seen.read.shape[2], task)
    return learner


def _twin(
    source: NetworkSource, task: EventTask, rounding: Rounding | None, without_clock: bool
) -> Twin:
    path = _unchanged(source)
    graph = nirfile.read(path)
    declared = bool(graph_metadata.read(graph))  # a file that says it is not overruled
    said = task.said if declared else replace(task.said, steps=task.steps)
    network = from_graph(graph, path.name, said)
    [(name, code), *others] = network.lowered.inputs.items()
    if not others and code.size != math.prod(task.shape):
        raise BadInput(
            f"{path.name}: reads {code.size} values a step, frames of {task.shape} have "
            f"{math.prod(task.shape)}; build the set with another --size"
        )
    if not declared and not others:
        network = from_graph(graph, path.name, replace(said, inputs={name: task.code}))
    elif task.code.high > code.high * code.scale:
        raise BadInput(
            f"{path.name}: its input has {code.words}, the frames have counts up to "
            f"{task.code.high}; train with --values binary"
        )
    lowered = replace(network.lowered, steps=task.steps)
    shapes = graph_inputs(network.graph)
    twin = Twin(lowered, shapes=shapes, rounding=rounding, without_clock=without_clock)
    _check_classes(source, twin.output.size, task)
    if rounding is not None:
        twin.program()  # what does not go into these integers is not begun
    return twin


def _check_classes(source: NetworkSource, neurons: int, task: EventTask) -> None:
    if neurons != task.classes:
        raise BadInput(
            f"network '{source.name}': ends with {neurons} neurons, the set has {task.classes} "
            "classes; it needs one neuron a class"
        )


def _stack(source: NetworkSource, task: EventTask) -> nn.Module:
    if source.kind == "name":
        return networks.build(source.name, task.shape, task.classes)
    with _executed(source) as module:
        make = _function(source, module)
        try:
            wanted = inspect.signature(make).parameters
            given = {"shape": task.shape, "classes": task.classes}
            anything = any(x.kind is inspect.Parameter.VAR_KEYWORD for x in wanted.values())
            made = make(**{key: value for key, value in given.items() if anything or key in wanted})
        except (Exception, SystemExit) as error:
            raise BadInput(_failed(source, error)) from error
    if not isinstance(made, nn.Module):
        raise BadInput(
            f"{source.path}: {source.name}() gave a {type(made).__name__}, expected a torch module "
            "(nn.Sequential of layers and Norse's cells)"
        )
    return made


@contextmanager
def _executed(source: NetworkSource) -> Iterator[ModuleType]:
    """The file as a module, as Python would run it: files beside it can be imported."""
    path = _unchanged(source)
    name = f"network_{path.stem}_{source.digest[:12]}"
    if name in sys.modules:
        raise BadInput(
            f"{path}: trains itself while it is read for its network; put what is to run under "
            '`if __name__ == "__main__":`'
        )
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))
    try:
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise BadInput(_failed(source, error)) from error
        yield module
    finally:
        sys.path.remove(str(path.parent))
        del sys.modules[name]


def _function(source: NetworkSource, module: ModuleType) -> Callable[..., Any]:
    make = getattr(module, source.name, None)
    if not callable(make):
        there = [n for n, x in vars(module).items() if inspect.isfunction(x)]
        raise BadInput(
            f"{source.path}: holds no function '{source.name}'; it has {', '.join(there) or 'none'}"
        )
    found: Callable[..., Any] = make
    return found


def _failed(source: NetworkSource, error: BaseException) -> str:
    """What went wrong in the user's file, and where."""
    lines = [x for x in traceback.extract_tb(error.__traceback__) if x.filename == source.path]
    where = f", line {lines[-1].lineno}" if lines else ""
    return (
        f"{source.path}{where}: {type(error).__name__}: {str(error)[:300]}; mend the function "
        f"'{source.name}', which may take shape (channels, height, width) and classes"
    )


def _file(text: str, what: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise BadInput(f"network '{text}': {what} is not there; check the path")
    return path


def _unchanged(source: NetworkSource) -> Path:
    path = Path(source.path)
    if not path.is_file():
        raise BadInput(
            f"{path}: is not there any more, the network of this run comes from it; put it back, "
            "or train a new run"
        )
    if sha256(path) != source.digest:
        raise BadInput(
            f"{path}: changed since the run began (sha256 {sha256(path)[:12]}, the run notes "
            f"{source.digest[:12]}); restore it, or train a new run"
        )
    return path
