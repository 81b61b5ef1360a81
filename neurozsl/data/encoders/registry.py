"""Encoders by name. A new one is a file that makes a `Packaged`, and one line in `ENCODERS`.

Packages outside register theirs by an entry point of the same form, in their own `pyproject.toml`::

    [project.entry-points."neurozsl.encoders"]
    mine = "mypackage.mine:PACKAGED"

Any other network is a file of the user's, described by a TOML (`own_file`).
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from neurozsl.core.errors import BadInput
from neurozsl.data.encoder_spec import EncoderSpec, Part
from neurozsl.data.encoders.base import AudioEncoder, TextEncoder, VideoEncoder
from neurozsl.data.encoders.packages import Packaged

GROUP: Final = "neurozsl.encoders"
ENCODERS: Final = {
    "efficientnet-lite0": "neurozsl.data.encoders.efficientnet_lite0:PACKAGED",
    "aisfx": "neurozsl.data.encoders.aisfx:PACKAGED",
    "minilm": "neurozsl.data.encoders.bert:PACKAGED",
}
_CONTRACTS: Final[Mapping[Part, type]] = {
    "video": VideoEncoder,
    "audio": AudioEncoder,
    "text": TextEncoder,
}


def packaged() -> tuple[Packaged, ...]:
    """Every encoder whose weights come in packages.

    Raises:
        BadInput: a package outside registers a name that is taken.
    """
    table = {name: EntryPoint(name, value, GROUP) for name, value in ENCODERS.items()}
    for point in entry_points(group=GROUP):
        if point.name in table:
            raise BadInput(
                f"encoder '{point.name}': a package registers it as '{point.value}', but the name "
                f"belongs to '{table[point.name].value}'; remove that package or rename its entry "
                "point"
            )
        table[point.name] = point
    return tuple(point.load() for point in table.values())


def names(part: Part) -> tuple[str, ...]:
    """Names of the encoders of a part.

    >>> names("video"), names("audio"), names("text")
    (('efficientnet-lite0',), ('aisfx',), ('minilm',))
    """
    return tuple(each.name for each in packaged() if each.part == part)


def open_encoder(given: str, part: Part) -> Any:
    """The encoder of a name of `names(part)`, or of a TOML file; it keeps the contract of `base`.

    Raises:
        BadInput: no such name or file, an encoder of another part, or a damaged file.
        MissingPart: its weights are not set up, or a package that runs it is not installed.
    """
    if given.endswith(".toml"):
        from neurozsl.data.encoders.own_file import open_own

        made = open_own(Path(given), part)
    else:
        made = _opener(given, part)()
    contract = _CONTRACTS[part]
    if not isinstance(made, contract):
        raise BadInput(
            f"{part} encoder '{given}': {type(made).__name__} does not keep the contract "
            f"neurozsl.data.encoders.base.{contract.__name__}"
        )
    return made


def _opener(given: str, part: Part) -> Callable[[], Any]:
    for each in packaged():
        if each.name == given and each.part == part:
            return each.open
    known = ", ".join(names(part))
    of = [each.part for each in packaged() if each.name == given]
    what = f"is of {of[0]}, not of {part}" if of else "is not known"
    raise BadInput(
        f"{part} encoder '{given}': {what}; choose {known}, or give a TOML file that describes one"
    )


def same_encoder(spec: EncoderSpec, *, where: str) -> Any:
    """The encoder that a data set names, if this machine has that very one.

    Raises:
        BadInput: it has another one of that name.
        MissingPart: it has none.
    """
    made = open_encoder(spec.name, spec.part)
    if made.spec.sha256 != spec.sha256:
        raise BadInput(
            f"{where}: was made with {spec.part} encoder '{spec.name}' of digest "
            f"{spec.sha256[:12]}, the one here has {made.spec.sha256[:12]}; use that version of "
            "it, or build the set again with this one"
        )
    return made
