"""On the frontier: the run beside the settings of a study of spiking and dense networks.

The joules are those of the study's first cost table of the run's own kind. Of a run of the study
they are its own point; of another spiking run the same figures price the counts of this report.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neurozsl.hardware.energy import estimate_all
from neurozsl.report.schema import Report
from neurozsl.report.schema.frontier import (
    DOCUMENT,
    FrontierPoint,
    OnFrontier,
    beside,
    read_frontier,
)
from neurozsl.report.sections.context import Context, Tested
from neurozsl.report.show import tables as t
from neurozsl.report.show.section import Line, Section

Document = Mapping[str, Any]
_KEY = "frontier"


def _fill(context: Context) -> Mapping[str, Any]:
    if context.test is None:
        return {}
    file = context.test.frontier or beside(context.test.run.path)
    if file is None:
        return {}
    file = file / DOCUMENT if file.is_dir() else file
    found = placed(read_frontier(file), context, context.test, file)
    return {} if found is None else {_KEY: found}


def placed(document: Document, context: Context, test: Tested, file: Path) -> OnFrontier | None:
    """The run on the frontier; None where no cost table of the study prices it."""
    own = _member(document, test.run.path)
    spiking = context.costs is not None
    table = _table(document, spiking)
    if table is None:
        return None
    if own is not None:
        joules, hm = own["energy"][table]["joules"], own["HM"]
    elif context.costs is not None:
        rows = {row.key: row.joules for row in estimate_all(context.costs.counts)}
        joules, hm = rows[table], test.result.scores.HM
    else:
        return None  # its products were not counted
    name = None if own is None else own["name"]
    others = [x for x in document["settings"] if table in x["energy"] and x["name"] != name]
    run = FrontierPoint(place="this run", name=test.run.path.name, hm=hm, joules=joules)
    points = (run, *neighbours(others, table, hm=hm, joules=joules))
    return OnFrontier(
        file=f"{file.resolve().parent.name}/{file.name}",
        table=document["tables"][table]["name"],
        points=points,
        sentences=tuple(_sentences(document)),
        notes=tuple(_notes(document, test, own)),
    )


def neighbours(
    settings: Sequence[Document], table: str, *, hm: float, joules: float
) -> Iterator[FrontierPoint]:
    """The best of the cheaper settings, and the cheapest of those with more HM."""
    cheaper = [x for x in settings if x["energy"][table]["mean"] < joules]
    better = [x for x in settings if x["HM"]["mean"] > hm]
    if cheaper:
        yield _point("cheaper", max(cheaper, key=lambda x: float(x["HM"]["mean"])), table)
    if better:
        yield _point("better", min(better, key=lambda x: _joules(x, table)), table)


def _point(place: str, row: Document, table: str) -> FrontierPoint:
    hm = row["HM"]
    return FrontierPoint(
        place=place,
        name=row["name"],
        hm=hm["mean"],
        hm_low=hm["min"],
        hm_high=hm["max"],
        joules=_joules(row, table),
    )


def _joules(row: Document, table: str) -> float:
    return float(row["energy"][table]["mean"])


def _member(document: Document, run: Path) -> Document | None:
    """The point of the study that is this very run."""
    return next((x for x in document["points"] if x["run"] == run.resolve().name), None)


def _table(document: Document, spiking: bool) -> str | None:
    tables = document["tables"].items()
    return next((k for k, x in tables if (x["method"] != "dense_pass") == spiking), None)


def _sentences(document: Document) -> Iterator[str]:
    """Those of the main pairs of tables, dynamic energy."""
    main = [tuple(pair) for pair in document["main"]]
    for one in document["statements"]:
        if (one["spiking"], one["dense"]) in main and not one["with_static"]:
            yield one["sentence"]


def _notes(document: Document, test: Tested, own: Document | None) -> Iterator[str]:
    seeds = document["seeds"]
    yield f"settings: mean over {seeds} seed{'s' * (seeds != 1)}; energy of the motion branch"
    if own is None:
        yield "the run is not one of the study: its training may be another one"
    if document["data"]["name"] != test.run.data.name:
        yield f"the study is on other data: {document['data']['name']}"


COLUMNS = (
    t.words("", "place"),
    t.words("setting", "name"),
    t.Column(
        "HM",
        lambda x, key: t.say(
            t.Number(x.hm, f"{key}.hm", "percent"), below=t.bounds(x, key, "hm", "percent")
        ),
        numeric=True,
    ),
    t.number("energy", "joules", "joules"),
)


def _tables(report: Report) -> Iterator[t.Table]:
    found = report.own(_KEY, OnFrontier)
    if found is not None:
        yield t.table(
            "points",
            f"The run on the frontier: {found.table}",
            COLUMNS,
            found.points,
            key=f"sections.{_KEY}.points",
            notes=found.notes,
        )


def _lines(report: Report) -> Iterator[Line]:
    found = report.own(_KEY, OnFrontier)
    for sentence in () if found is None else found.sentences:
        yield Line(sentence)


def _example() -> Mapping[str, Any]:
    return {
        _KEY: OnFrontier(
            file="made-up/frontier.json",
            table="a made-up chip",
            points=(
                FrontierPoint(place="this run", name="<b>run</b>", hm=88.0, joules=2e-6),
                FrontierPoint(
                    place="cheaper", name="snn", hm=85.0, hm_low=84.0, hm_high=86.5, joules=1e-6
                ),
            ),
            sentences=("one made-up chip against another: a tie",),
            notes=("a made-up frontier",),
        )
    }


SECTION = Section(
    _KEY, "On the frontier", (_KEY,), fill=_fill, tables=_tables, lines=_lines, example=_example
)
