"""One clip of a build as a task: here, or on a worker that opens the encoders itself.

A worker gets the place of the clip and the names and digests of the encoders, never their weights.
What it makes it keeps in its cache by the content of the clip (hand-made features too), so that a
second start finds it. With one thread, so that the bits are those of any other number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from neurozsl.cluster.run import run
from neurozsl.cluster.tasks import Call, Workers, key_of, one_thread, see_here
from neurozsl.core.errors import BadInput
from neurozsl.data.clips.cache import ClipCache
from neurozsl.data.clips.encode import REVISION, ClipEncoders
from neurozsl.data.clips.limits import ClipLimits
from neurozsl.data.clips.windows import WindowSpec
from neurozsl.data.encoder_spec import EncoderSpec
from neurozsl.data.encoders.features import Described
from neurozsl.data.encoders.registry import same_encoder

Specs = tuple[EncoderSpec, ...]


@dataclass(frozen=True)
class ClipFile:
    """name: as the labels have it. path: absolute, the same on every machine."""

    name: str
    path: Path


@dataclass(frozen=True, eq=False)
class ClipWindows:
    """What became of a clip: its windows, or the reason why there are none.

    read, made: parts that the cache had, and had not.
    """

    described: Described | None = None
    names: tuple[str, ...] = ()
    reason: str = ""
    read: int = 0
    made: int = 0


def describe_all(
    files: Sequence[ClipFile],
    spec: WindowSpec,
    limits: ClipLimits | None,
    encoders: ClipEncoders,
    on: Workers,
) -> Iterator[tuple[int, ClipWindows]]:
    """Yields (index of the file, what became of it) as they are ready.

    Raises:
        BadInput: a worker does not see a clip, or has another version of an encoder.
        MissingPart, NeuroZSLError: as `neurozsl.cluster.run.run`.
    """
    if on.alone:
        calls = [Call(x.name, x.name, _windows, (encoders, x, spec, limits, False)) for x in files]
        yield from run(calls)
        return
    used: Specs = tuple(encoders.specs[part] for part in encoders.pretrained)
    calls = []
    for x in files:
        facts = x.path.stat()
        key = key_of(REVISION, x, facts.st_size, facts.st_mtime_ns, spec, limits, used)
        calls.append(Call(x.name, key, _on_worker, (used, x, spec, limits)))
    for index, found in run(calls, on):
        encoders.cache.read += found.read
        encoders.cache.made += found.made
        yield index, found


def _on_worker(
    used: Specs, file: ClipFile, spec: WindowSpec, limits: ClipLimits | None
) -> ClipWindows:
    see_here(file.path, what="the clips")
    encoders = replace(_opened(used), cache=ClipCache())
    found = _windows(encoders, file, spec, limits, True)
    return replace(found, read=encoders.cache.read, made=encoders.cache.made)


@cache
def _opened(used: Specs) -> ClipEncoders:
    """The encoders of a worker, opened once."""
    with one_thread():
        made = {spec.part: same_encoder(spec, where="--scheduler, --jobs") for spec in used}
    return ClipEncoders(made.get("video"), made.get("audio"))


def _windows(
    encoders: ClipEncoders, file: ClipFile, spec: WindowSpec, limits: ClipLimits | None, keep: bool
) -> ClipWindows:
    try:
        with one_thread():
            return ClipWindows(*encoders.describe(file.path, spec, limits, file.name, keep=keep))
    except BadInput as error:
        return ClipWindows(reason=str(error))
    except MemoryError:
        return ClipWindows(reason="needs more memory than there is; use a shorter clip")
