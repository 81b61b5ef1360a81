"""One statement per pair of cost tables: from settings over seeds and their prices to sentences."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from neurozsl.hardware.energy import EnergyRow
from neurozsl.hardware.energy.advantage import rivals, spiking_rows, with_static
from neurozsl.studies.frontier_prices import ZEROS
from neurozsl.studies.frontier_sentence import sentence
from neurozsl.studies.frontier_statement import Offer, Verdict, verdict

Rows = Sequence[Mapping[str, Any]]
ARITHMETIC: Final = "cmos45_fp32"
"""The table whose dense passes the sentences are shown for."""


def statements(settings: Rows, tables: Iterable[EnergyRow]) -> list[dict[str, Any]]:
    """Of every spiking cost table against every dense one that it may be compared with.

    settings: of the document, with `seeds`, `HM` and `energy`. tables: a row of each table, for
    what it is. The pairs of a table come in the order of the tables, dynamic energy first, and
    once more with static energy where it is published. None where a family is missing.
    """
    tables = tuple(tables)
    found = []
    for spiking in spiking_rows(tables):
        for static in with_static(spiking):
            for dense in rivals(spiking, tables):
                first = offers(settings, spiking.key, static=static)
                second = offers(settings, dense.key, static=False)
                if first and second:
                    found.append(_statement(spiking, dense, static, verdict(first, second)))
    return found


def offers(settings: Rows, table: str, *, static: bool) -> list[Offer]:
    """The settings that a cost table prices; static: with static energy."""
    found = []
    for row in settings:
        if table not in row["energy"]:
            continue
        joules = row["energy"][table]
        more = (joules["static_joules"] or 0.0) if static else 0.0
        bounds = [None if joules[x] is None else joules[x] + more for x in _BOUNDS]
        hm = dict(zip(row["seeds"], row["HM"]["values"], strict=True))
        found.append(Offer(row["name"], joules["mean"] + more, hm, *bounds))
    return found


_BOUNDS: Final = ("joules_low", "joules_high")


def _statement(
    spiking: EnergyRow, dense: EnergyRow, static: bool, found: Verdict
) -> dict[str, Any]:
    added = ", as-if" * spiking.as_if
    added += ", with static energy," * (static and spiking.scope != "all_in")
    told = sentence(f"{spiking.name}{added} against {dense.name}", found)
    levels = [{**asdict(level), "ratio": level.ratio} for level in found.levels]
    document: dict[str, Any] = json.loads(json.dumps({**asdict(found), "levels": levels}))
    return {
        "spiking": spiking.key,
        "dense": dense.key,
        "zeros_skipped": dense.key.endswith(ZEROS),
        "with_static": static,
        "sentence": told,
        **document,
    }


def main_pairs(found: Rows) -> list[tuple[str, str]]:
    """(spiking, dense) keys that the figure shows: the first chip against 45 nm arithmetic.

    Dense products, then zeros skipped, then the spiking network's additions on that arithmetic too.

    found: of `statements`.
    """
    pairs = [(x["spiking"], x["dense"]) for x in found if not x["with_static"]]
    wanted = [
        next((p for p in pairs if _is(p[1], ARITHMETIC, zeros=False)), None),
        next((p for p in pairs if _is(p[1], ARITHMETIC, zeros=True)), None),
        next((p for p in pairs if p[0].startswith(ARITHMETIC) and p[1].endswith(ZEROS)), None),
    ]
    shown = dict.fromkeys(x for x in wanted if x is not None)
    return list(shown) or pairs[:1]


def _is(key: str, device: str, *, zeros: bool) -> bool:
    return key.startswith(device) and key.endswith(ZEROS) == zeros
