"""What `export/frameworks.md` says of the recorded cases: `python -m tests.frameworks.table`.

Runs every golden case with the options that it names and prints, each between its markers, the
table of equal spikes, what the files of every writer show and cannot say, and the resets. The page
holds the same; `test_page` compares.
"""

import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from neurozsl.export.network.nearest_rule import words
from neurozsl.export.nir import nirfile
from neurozsl.export.nir.dialects.base import Dialect
from neurozsl.export.nir.dialects.registry import DIALECTS, spoken
from neurozsl.export.nir.foreign import from_graph
from neurozsl.export.nir.said import Said
from neurozsl.hardware.network import neuron
from tests.frameworks import record
from tests.frameworks.cases import CASES, Case
from tests.frameworks.run import simulated

OPTIONS: Final[Mapping[str, str]] = {
    "dialect": "--dialect",
    "dt_s": "--dt",
    "reset": "--reset",
    "max_spikes": "--max-spikes",
    "low": "--lower-bound",
}


@dataclass(frozen=True)
class Result:
    """A case that was run: the rule of its neurons in words, neuron-steps equal and of how many.

    signs: by which its file is recognised without options, "" where it is not.
    """

    case: Case
    rule: str
    equal: int
    of: int
    signs: str


def run_cases(folders: Mapping[str, Path]) -> tuple[Result, ...]:
    """Every recorded case with its options."""
    return tuple(_run(case, folders[case.writer]) for case in CASES)


def _run(case: Case, folder: Path) -> Result:
    path, stored = folder / f"{case.name}.nir", record.read_spikes(folder, case)
    layers = simulated(path, case.said, stored["input"])
    pairs = [(counts, stored[f"layer{depth}"]) for depth, counts in enumerate(layers)]
    graph = nirfile.read(path)
    options: dict[str, Any] = dict(case.said)
    lowered = from_graph(graph, case.name, Said(**options)).lowered
    [rule] = {words(layer.rule) for layer in lowered.layers if layer.rule.spiking}
    found = spoken(graph, None)
    own = found is not None and found.dialect.key == case.writer
    return Result(
        case,
        rule,
        equal=sum(int(np.count_nonzero(mine == theirs)) for mine, theirs in pairs),
        of=sum(theirs.size for _, theirs in pairs),
        signs=found.why if found is not None and own else "",
    )


def table(results: Sequence[Result]) -> str:
    """A row for each writer, rule and set of options, with the cells that it holds for."""
    lines = [
        "| framework | cells (networks) | at a spike | option needed | not in the file | "
        "networks equal | neuron-steps equal |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows: dict[tuple[str, str, str, str], list[Result]] = {}
    for result in results:
        case = result.case
        key = (case.writer, result.rule, _needed(case), _lost(case))
        rows.setdefault(key, []).append(result)
    for (writer, rule, needed, lost), found in rows.items():
        cells = Counter(result.case.cell for result in found)
        named = ", ".join(f"{cell} ({number})" for cell, number in cells.items())
        whole = sum(result.equal == result.of for result in found)
        equal, of = (sum(getattr(x, key) for x in found) for key in ("equal", "of"))
        title = DIALECTS[writer].title
        lines.append(
            f"| {title} | {named} | {rule.removeprefix('reset ')} | {needed} | {lost} | "
            f"{whole} of {len(found)} | {equal:,} of {of:,} |"
        )
    return "\n".join(lines) + "\n"


def summary(results: Sequence[Result]) -> str:
    """The table in two sentences."""
    whole = sum(result.equal == result.of for result in results)
    steps = sum(result.of for result in results)
    shown = sum(bool(result.signs) for result in results)
    bare = sum(_needed(result.case) == "none" for result in results)
    return (
        f"{whole} of {len(results)} recorded networks give every spike of both layers "
        f"({steps:,} neuron-steps).\n{shown} of the files show who wrote them, and {bare} "
        "networks need no option at all.\n"
    )


def about(writer: str, results: Sequence[Result]) -> str:
    """How files of a writer are recognised, and what they cannot say."""
    own = [result for result in results if result.case.writer == writer]
    signs = list(dict.fromkeys(result.signs for result in own if result.signs))
    lines = [f"- {sign[0].upper()}{sign[1:]}." for sign in signs]
    lines += [f"- Not in its files: {text}." for text in DIALECTS[writer].cannot_say]
    return "\n".join(lines) + "\n"


def resets() -> str:
    """The equations of `hardware.network.neuron`, as they stand there."""
    text = str(neuron.__doc__)
    part = text[text.index("    n = number") : text.index("Who means what")]
    return "```text\n" + part.rstrip() + "\n```\n"


def blocks(results: Sequence[Result]) -> Mapping[str, str]:
    """Every generated part of the page, by the name of its markers."""
    writers = {f"about:{writer}": about(writer, results) for writer in record.WRITERS}
    return {"summary": summary(results), **writers, "resets": resets(), "table": table(results)}


def _needed(case: Case) -> str:
    """Options beyond the bare dialect, which the file shows."""
    said = [f"{OPTIONS[key]} {_text(value)}" for key, value in _beyond(case)]
    return f"`{' '.join(said)}`" if said else "none"


def _beyond(case: Case) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in case.said.items() if value != case.writer)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _lost(case: Case) -> str:
    """What the dialect says of every option that is needed."""
    dialect = DIALECTS[case.writer]
    return ", ".join(_meant(dialect, key, value) for key, value in _beyond(case)) or "-"


def _meant(dialect: Dialect, key: str, value: Any) -> str:
    if key == "dialect":
        return dialect.variants[str(value).partition(":")[2]]
    [text] = [text for text in dialect.cannot_say if f"{OPTIONS[key]} " in _closed(text)]
    return text.partition(" (")[0]


def _closed(text: str) -> str:
    """An option ends with a blank."""
    return text.replace(")", " ").replace(",", " ")


def main() -> None:
    """Print what the page holds."""
    with tempfile.TemporaryDirectory() as place:
        folders: dict[str, Path] = {writer: Path(place) / writer for writer in record.WRITERS}
        for writer, folder in folders.items():
            with tarfile.open(record.GOLDEN / f"{writer}.tar.xz") as archive:
                archive.extractall(folder, filter="data")
        for name, text in blocks(run_cases(folders)).items():
            print(f"<!-- {name} -->\n{text}<!-- /{name} -->\n")


if __name__ == "__main__":
    main()
