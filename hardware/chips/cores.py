"""What a chip's file may say of its cores: [memory], [mesh], [allowed] and the rows of [[core]].

    split    equal cores; [memory] may hold how a core stores lists of weights
    assign   unequal cores; a [[core]] row for each group of equal ones, [allowed] for what any does

In: the text of a file. Out: `CoreTables`, every key of it known, of the right type and size. A key
that no code would read under the rule of the file is refused like a misspelt one: its author
believes that it counts. Whether the tables agree is the question of `contradictions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, get_args

from neurozsl.hardware.chips.figures import check_grade, cited
from neurozsl.hardware.chips.text import ChipText, Place, closest, is_line, shorten

Rule = Literal["split", "assign"]
Form = Literal["text", "flag", "whole", "list"]
Sureness = Literal["published", "assumed"]
Row = Mapping[str, Any]

_MOST: Final = 10**12  # no chip comes near; and every integer below it is exact in a float
_LIST: Final = ("list_word_bits", "list_header_bits", "list_weights", "weight_sizes")
_FORMS: Final[Mapping[Form, tuple[str, str]]] = {
    "text": ("one line of printable text", '"..."'),
    "flag": ("true or false", "true"),
    "whole": ("a whole number", "64"),
    "list": ("a list of different whole numbers", "[1, 2, 4]"),
}


@dataclass(frozen=True)
class Part:
    """One key of a table: its meaning, its form, its smallest number, whether it may be absent.

    rule: the placement rule that reads it; None: every one does.
    """

    meaning: str
    form: Form = "whole"
    least: int = 1
    needed: bool = False
    rule: Rule | None = None


_CITED: Final = {
    "source": Part("key of a reference in [source]", "text"),
    "grade": Part("how it was read", "text"),
    "note": Part("what else to know", "text"),
}
MEMORY: Final[Mapping[str, Part]] = {
    "placement": Part("the rule by which layers come to cores", "text", needed=True),
    "left_out": Part("what takes memory and is not counted", "text"),
    "shares_kernels": Part("whether a kernel is stored once per core", "flag", rule="split"),
    "list_word_bits": Part("bits of a word of synapse memory", rule="split"),
    "list_header_bits": Part("bits in front of a block of weights", least=0, rule="split"),
    "list_weights": Part("weights of one block", rule="split"),
    "weight_sizes": Part("bits that a stored weight can take", "list", rule="split"),
    "list_index_bits": Part("bits that a target's number can take", "list", 0, rule="split"),
    "sparse_rows": Part(
        "how sure it is that a core stores lists of nonzeros", "text", rule="split"
    ),
    "kernel": Part("words of a kernel as its source counts them", "text", rule="assign"),
    "neuron": Part("words of states as its source counts them", "text", rule="assign"),
    **_CITED,
}
MESH: Final[Mapping[str, Part]] = {
    "width": Part("tiles from west to east", needed=True),
    "height": Part("tiles from north to south", needed=True),
    "cores_per_tile": Part("cores of one tile", needed=True),
    **_CITED,
}
ALLOWED: Final[Mapping[str, Part]] = {
    "stride": Part("strides of a kernel", "list"),
    "pool": Part("sides of a pooling window", "list"),
    "dilation": Part("dilations of a kernel", "list"),
    "groups": Part("groups of channels", "list"),
    "square_kernel": Part("whether kernels are as high as they are wide", "flag"),
    **_CITED,
}
CORE: Final[Mapping[str, Part]] = {
    "ids": Part("numbers of the cores of this row", "list", 0, needed=True),
    "kernel_words": Part("words for weights in one core", needed=True),
    "neuron_words": Part("words for states in one core", needed=True),
    "bias_words": Part("words for biases in one core", needed=True),
    **_CITED,
}


@dataclass(frozen=True)
class CoreTables:
    """Tables of the cores; each empty where it is unpublished. Sources are in full."""

    memory: Row = field(default_factory=dict)
    mesh: Row = field(default_factory=dict)
    allowed: Row = field(default_factory=dict)
    cores: tuple[Row, ...] = ()

    @property
    def rule(self) -> str:
        """The rule of [memory], "" where it is unpublished."""
        return str(self.memory.get("placement", ""))

    def completed_by(self, other: Self) -> "CoreTables":
        """What is absent here, as `other` has it; sizes of cores go with the rule they serve."""
        same = not self.memory or self.rule == other.rule
        return CoreTables(
            self.memory or other.memory,
            self.mesh or other.mesh,
            self.allowed or (other.allowed if same else {}),
            self.cores or (other.cores if same else ()),
        )


def read_cores(read: ChipText) -> CoreTables:
    """The tables of one file, each part of them checked by itself.

    Raises:
        BadInput: a part is unknown, missing, or of the wrong type or size.
    """
    memory = _read_table(read, ("memory",), MEMORY)
    rules = get_args(Rule)
    if memory and memory["placement"] not in rules:
        found, allowed = f"is {shorten(memory['placement'])}", f"allowed are {', '.join(rules)}"
        raise read.refuse(
            ("memory", "placement"), found, allowed, "equal cores are 'split', unequal 'assign'"
        )
    for name in memory:
        if MEMORY[name].rule not in (None, memory["placement"]):
            raise read.refuse(
                ("memory", name),
                f"stands beside placement = '{memory['placement']}'",
                f"only '{MEMORY[name].rule}' reads {MEMORY[name].meaning}",
                "delete the line, or mend the placement",
            )
    _check_lists(read, memory)
    _check_sparse(read, memory)
    rows = read.table.get("core", ())
    cores = tuple(_read_table(read, ("core", at), CORE) for at in range(len(rows)))
    _check_ids(read, cores)
    return CoreTables(
        memory, _read_table(read, ("mesh",), MESH), _read_table(read, ("allowed",), ALLOWED), cores
    )


def _read_table(read: ChipText, place: Place, parts: Mapping[str, Part]) -> Row:
    """One table, or one row of an array of them."""
    name = str(place[0])
    if name not in read.table:
        return {}
    if len(place) == 1:
        raw, header = read.table[name], f"[{name}]"
    else:
        raw, header = read.table[name][place[1]], f"[[{name}]]"
    for key in raw if isinstance(raw, dict) else ():
        if key not in parts:
            allowed = f"{header} knows {', '.join(parts)}"
            raise read.refuse((*place, key), "is unknown", allowed, closest(key, parts))
    row = cited(read, place, raw)
    for key, part in parts.items():
        if part.needed or key in raw:
            _check_part(read, (*place, key), part, raw.get(key))
    check_grade(read, place, raw)
    return row


def _check_part(read: ChipText, place: Place, part: Part, said: object) -> None:
    if _is_form(part, said):
        return
    words, example = _FORMS[part.form]
    least = f" >= {part.least}, up to {_MOST:,}" if part.form in ("whole", "list") else ""
    raise read.refuse(
        place,
        "is missing" if said is None else f"is {shorten(said)}",
        f"expected {words}{least}: {part.meaning}",
        f"write {place[-1]} = {example} (with its own value), or leave "
        + ("the table" if part.needed else "the line")
        + " out where it is unpublished",
    )


def _is_form(part: Part, said: object) -> bool:
    if part.form == "text":
        return is_line(said)
    if part.form == "flag":
        return isinstance(said, bool)
    if part.form == "list":
        numbers = said if isinstance(said, list) else []
        return (
            bool(numbers)
            and all(_is_whole(number, part.least) for number in numbers)
            and len(set(numbers)) == len(numbers)
        )
    return _is_whole(said, part.least)


def _is_whole(said: object, least: int) -> bool:
    return isinstance(said, int) and not isinstance(said, bool) and least <= said <= _MOST


def _check_lists(read: ChipText, memory: Row) -> None:
    """The layout of synapse lists is known as a whole or not at all."""
    given = [name for name in (*_LIST, "list_index_bits") if name in memory]
    missing = [name for name in _LIST if name not in memory]
    if given and missing:
        raise read.refuse(
            ("memory", missing[0]),
            "is missing",
            f"{given[0]} is of use only beside {', '.join(x for x in _LIST if x != given[0])}",
            f"add {MEMORY[missing[0]].meaning}, or delete {' and '.join(given)}",
        )


def _check_sparse(read: ChipText, memory: Row) -> None:
    """How sure it is, in a word that is known; where lists are published, so are their indices."""
    said, words = memory.get("sparse_rows"), get_args(Sureness)
    if said is None:
        return
    if said not in words:
        raise read.refuse(
            ("memory", "sparse_rows"),
            f"is {shorten(said)}",
            f"allowed are {', '.join(words)}",
            "write 'assumed' where no source says it, or leave the line out: every weight counts",
        )
    if "list_word_bits" in memory and "list_index_bits" not in memory:
        raise read.refuse(
            ("memory", "sparse_rows"),
            "stands without list_index_bits",
            "a list of nonzeros holds the number of each one's neuron",
            f"add {MEMORY['list_index_bits'].meaning}, or delete the line",
        )


def _check_ids(read: ChipText, cores: tuple[Row, ...]) -> None:
    seen: set[int] = set()
    for at, row in enumerate(cores):
        twice = sorted(seen & set(row["ids"]))
        if twice:
            raise read.refuse(
                ("core", at, "ids"),
                f"holds {twice[0]}, which an earlier [[core]] holds too",
                "every core has one row",
                "give each core a number of its own",
            )
        seen |= set(row["ids"])
