"""The names that a clip is ranked against, each with its class vector and its role.

Without a choice they are the classes of the run's data set. Any other name takes its vector from a
file of vectors, else from the set's text encoder. What the run was not trained on is `unseen`: as
in evaluation, beta is added to the distance of every other name.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.data.batch import F32
from neurozsl.data.vectors import as_stored, read_vectors
from neurozsl.deploy.samples import asked_problem
from neurozsl.runs.run import Run

MAX_NAMES: Final = 100_000
TextEncoding = Callable[[Sequence[str]], F32]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Names to rank.

    Attributes:
        names: n of them, each once.
        vectors: (n, width) class vectors.
        seen: (n,) bool, whether beta is added: all that is not unseen.
        sources: per name `run`, `vectors` or `text`.
    """

    names: tuple[str, ...]
    vectors: F32
    seen: npt.NDArray[np.bool_]
    sources: tuple[str, ...]

    def digest(self) -> str:
        """Of all that the ranking depends on."""
        found = hashlib.sha256("\0".join(self.names).encode("utf-8", "surrogatepass"))
        found.update(np.ascontiguousarray(self.vectors, "<f4").tobytes())
        found.update(self.seen.tobytes())
        return found.hexdigest()


def own_candidates(run: Run) -> Candidates:
    """All classes of the run's data set."""
    names, problem = run.data.classes, asked_problem(run)
    seen = np.ones(len(names), np.bool_)
    seen[problem.unseen_ids] = False
    return Candidates(names, np.asarray(run.data.vectors, np.float32), seen, ("run",) * len(names))


def candidates_of(
    run: Run,
    classes: Sequence[str] | None = None,
    vectors: Path | None = None,
    text: TextEncoding | None = None,
) -> Candidates:
    """The names that are asked for.

    classes: None: those of the file, without one those of the run. vectors: NPZ of `names` and
    `vectors`. text: class vectors of names by the set's text encoder; None: it has none.

    Raises:
        BadInput: no name, one twice, one that nothing has a vector for, or vectors of another
            width.
    """
    own = own_candidates(run)
    if classes is None and vectors is None:
        return own
    table = {} if vectors is None else _table(run, vectors)
    names = list(table) if classes is None else [name.strip() for name in classes]
    _check(names)
    if classes is not None:
        _check_alike(names)
    known = {name: i for i, name in enumerate(own.names)}
    alike = _alike(own.names)
    rows: list[Any] = []
    seen, sources, absent = list[bool](), list[str](), list[str]()
    for name in names:
        place = known.get(name, alike.get(_plain(name)))
        if place is not None and name not in table:
            rows.append(own.vectors[place])
            sources.append("run")
        elif name in table:
            rows.append(table[name])
            sources.append("vectors")
        else:
            rows.append(None)
            sources.append("text")
            absent.append(name)
        seen.append(place is not None and bool(own.seen[place]))
    if absent:
        if text is None:
            raise BadInput(_missing(run, absent, names, vectors, (*own.names, *table)))
        made = iter(text(absent))
        rows = [next(made) if row is None else row for row in rows]
    return Candidates(
        tuple(names), np.stack(rows).astype(np.float32), np.array(seen, np.bool_), tuple(sources)
    )


def _table(run: Run, path: Path) -> dict[str, F32]:
    """Vectors of a file, of length 1 where those of the run are."""
    lengths = np.linalg.norm(np.asarray(run.data.vectors, np.float64), axis=1)
    unit = bool(np.allclose(lengths, 1.0, atol=1e-3))
    table = dict(read_vectors(path).table) if unit else as_stored(path)
    width, wanted = len(next(iter(table.values()))), run.data.vectors.shape[1]
    if width != wanted:
        raise BadInput(
            f"--vectors {path}: {width} values a vector, run '{run.path}' was trained with "
            f"{wanted}; give vectors of the embedding that its data set has"
        )
    return table


def _check(names: Sequence[str]) -> None:
    if not 1 <= len(names) <= MAX_NAMES:
        raise BadInput(f"--classes: {len(names)} names, 1 to {MAX_NAMES:,} are needed")
    if not all(names):
        raise BadInput("--classes: a name is empty; take the comma away")
    twice = sorted({name for name in names if names.count(name) > 1}) if len(names) < 1000 else []
    if twice or len(set(names)) < len(names):
        raise BadInput(f"--classes: {', '.join(map(repr, twice[:3]))} twice; give each name once")


def _check_alike(names: Sequence[str]) -> None:
    """Two spellings of one class would share its score."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(_plain(name), name)
        if other != name:
            raise BadInput(f"--classes: '{other}' and '{name}' are one name; give each class once")


def _plain(name: str) -> str:
    """How a name is compared: without case, and `_` as a space."""
    return " ".join(name.casefold().replace("_", " ").split())


def _alike(names: Sequence[str]) -> dict[str, int]:
    """Places of names as they are compared, of those that this does not confuse."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(_plain(name), []).append(place)
    return {name: places[0] for name, places in found.items() if len(places) == 1}


def _missing(
    run: Run, absent: list[str], names: list[str], vectors: Path | None, known: Sequence[str]
) -> str:
    first = ", ".join(map(repr, absent[:3]))
    more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
    near = difflib.get_close_matches(absent[0], known, 3)
    hint = f" (near {absent[0]!r}: {', '.join(map(repr, near))})" if near else ""
    where = f"run '{run.path}'" if vectors is None else f"run '{run.path}' nor {vectors}"
    return (
        f"--classes: {len(absent)} of {len(names)} names have no class vector in {where}: {first}"
        f"{more}{hint}; its data set '{run.data.name}' has no text encoder, so give --vectors "
        "FILE.npz with `names` and `vectors` of the same embedding, or train on a set that was "
        "built with --text-encoder"
    )
