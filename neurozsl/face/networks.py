"""Event recordings, and networks that are trained on them, by the names that the face gives."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.classifier.loop import EpochProgress
    from neurozsl.classifier.recipe import Recipe
    from neurozsl.classifier.run import Classifier
    from neurozsl.export.nir.said import Saying

Folder = str | Path


def train_network(
    network: str | Path | Callable[..., Any],
    data: Folder,
    out: Folder,
    *,
    recipe: "Recipe | None" = None,
    progress: "EpochProgress | None" = None,
    **said: "Unpack[Saying]",
) -> "Classifier":
    """Train a spiking network of one's own as a classifier of event recordings.

    A run that was stopped goes on to the same numbers when this is called again.

    Args:
        network: a name (`conv-if`, `conv-lif`), a function that makes a Norse stack, which may take
            `shape` (channels, height, width) and `classes`, as `FILE.py:make` or itself, or a
            `.nir` file.
        data: a set of recordings, see `write_event_set`.
        out: run folder.
        recipe: `nz.Recipe(...)`: epochs, augmentation, sparsity, a chip's integers.
        progress: called after every epoch with epochs done, epochs in all, a line of text.
        said: of a `.nir` file what it does not say itself, as `nz.open_nir` takes it (dialect,
            reset, dt_s, ...); a run that goes on keeps what it began with.

    Raises:
        BadInput: network, data or recipe cannot be used, or the folder holds another run.

    Example::

        run = nz.train_network("conv-if", "runs/nmnist", "runs/nmnist-if")
        run.result["accuracy"]["float"]["test"], run.network  # a .nir file
    """
    from neurozsl.classifier import run as classifiers
    from neurozsl.classifier.recipe import Recipe
    from neurozsl.classifier.source import source_of
    from neurozsl.data.sets.fingerprint import fingerprint
    from neurozsl.export.nir.said import Said

    path, asked = Path(out), recipe or Recipe()
    source = source_of(str(network) if isinstance(network, str | Path) else _named(network))
    if said and source.kind != "nir":
        raise BadInput(
            f"network '{source.name}': {', '.join(said)}: of .nir files alone; leave out"
        )
    if not (path / "run.json").exists():
        classifiers.create(path, data=Path(data), network=source, recipe=asked, said=Said(**said))
    else:
        now = (classifiers.identity(source), asked, fingerprint(Path(data)))
        names = ("network", "recipe", "data")
        pairs = zip(names, classifiers.begun_with(path), now, strict=True)
        other = [name for name, before, after in pairs if before != after]
        if other:
            raise BadInput(
                f"run '{path}': exists with other {' and '.join(other)}; choose another "
                "folder, or continue it with `neurozsl train --resume`"
            )
    return classifiers.train(path, network=source, progress=progress)


def _named(function: Callable[..., Any]) -> str:
    """FILE.py:NAME of a function at the top of a file, by which a run finds it again."""
    try:
        file = inspect.getsourcefile(function)
    except TypeError:
        file = None
    name = getattr(function, "__qualname__", "")
    if file is None or not name.isidentifier():
        raise BadInput(
            f"network {function!r}: a run must find it again, so give a function at the top level "
            "of a Python file"
        )
    return f"{file}:{name}"
