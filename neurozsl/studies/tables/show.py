"""Results of tables for people: own figures, printed ones in brackets, sources, what is missing."""

from collections.abc import Mapping
from typing import Any, Final

from neurozsl.core.quantities import si
from neurozsl.studies.base import Table
from neurozsl.studies.measured import SCORES
from neurozsl.studies.row_cells import WORK_COLUMNS, score_cell, work_cells, work_notes
from neurozsl.studies.tables.catalogue import PaperTable

_PRINTED_AS: Final = {"weights": "parameters"}  # our column -> the paper's


def tables(result: Mapping[str, Any]) -> tuple[Table, Table]:
    """The result of `run` of one table: its scores, and what an inference takes."""
    data, mark = result["data"], "" if result["comparable"] else "*"
    kind = "synthetic data, " if data["synthetic"] else ""
    about = f"{result['table']}, {result['title']}: {data['name']}, {kind}{result['seeds']} seeds"
    return (
        Table(
            f"{about}, percent, mean±sd (printed{mark})",
            ("row", *SCORES),
            tuple(_cells(row, SCORES, _scores(row), mark) for row in result["rows"]),
        ),
        Table(
            f"{result['table']}: one inference, and what the paper says of it{mark}",
            ("row", *WORK_COLUMNS),
            tuple(_cells(row, WORK_COLUMNS, _work(row), mark) for row in result["rows"]),
        ),
    )


def _scores(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple("-" if row["missing"] else score_cell(row[key]) for key in SCORES)


def _work(row: Mapping[str, Any]) -> tuple[str, ...]:
    return ("-",) * len(WORK_COLUMNS) if row["missing"] else work_cells(row)


def _cells(
    row: Mapping[str, Any], columns: tuple[str, ...], own: tuple[str, ...], mark: str
) -> tuple[str, ...]:
    """Label, then every own cell with what is printed in brackets."""
    cells = [row["label"]]
    for key, cell in zip(columns, own, strict=True):
        figure = row["published"].get(_PRINTED_AS.get(key, key))
        if figure is not None:
            told = f"{figure:.2f}" if key in SCORES else si(figure, "").strip()
            cell = f"{cell} ({told}{mark})"
        cells.append(cell)
    return tuple(cells)


def footnotes(result: Mapping[str, Any]) -> list[str]:
    """Where the printed figures stand, what a row is, what is missing; one line each."""
    source = f"printed: {result['paper']}, {result['printed']}, columns {result['column']}"
    notes = [source + (f"; {result['note']}" if result["note"] else "")]
    if not result["comparable"]:
        notes.append(
            "* real features of that data set; not comparable with the data of this table"
            + (", which are synthetic" if result["data"]["synthetic"] else "")
        )
    trained = [row for row in result["rows"] if not row["missing"]]
    notes += work_notes((row["label"], row) for row in trained)
    notes += [f"{x['label']} is missing: {x['missing']}" for x in result["rows"] if x["missing"]]
    notes += [f"{x['label']}: {x['reading']}" for x in result["rows"] if x["reading"]]
    sources = dict.fromkeys((x["model"], x["trained_as"]) for x in trained if x["trained_as"])
    return notes + [f"{model} is trained as in {source}" for model, source in sources]


def listing(known: Mapping[str, PaperTable]) -> Table:
    """Every table, and how many of its rows can be run."""
    return Table(
        "tables and figures of the papers: neurozsl benchmark --table KEY --data DIR",
        ("key", "in the paper", "what it compares", "printed for", "rows"),
        tuple(
            (x.key, x.printed, x.title, ", ".join(x.datasets) or "-", _ready(x))
            for x in known.values()
        ),
    )


def _ready(x: PaperTable) -> str:
    ready = sum(not row.missing for row in x.rows)
    return "none" if x.nothing else f"{ready} of {len(x.rows)}"


def listing_notes(known: Mapping[str, PaperTable]) -> list[str]:
    """Why tables or rows cannot be run, one line per reason."""
    why: dict[str, list[str]] = {}
    for x in known.values():
        for row in x.rows:
            if row.missing:
                why.setdefault(row.missing, []).append(f"{x.key} {row.label}")
    notes = [f"{x.key}: nothing to run, {x.nothing}" for x in known.values() if x.nothing]
    return notes + [f"missing: {reason}: {', '.join(rows)}" for reason, rows in why.items()]


def listed_document(known: Mapping[str, PaperTable]) -> list[dict[str, Any]]:
    """The same for programs, with the rows."""
    return [
        {
            "table": x.key,
            "paper": x.paper,
            "printed": x.printed,
            "title": x.title,
            "columns": list(x.columns),
            "datasets": list(x.datasets),
            "features": x.features,
            "nothing": x.nothing,
            "rows": [
                {
                    "label": row.label,
                    "model": row.model,
                    "options": dict(row.options),
                    "published": {key: dict(value) for key, value in row.published.items()},
                    "missing": row.missing,
                }
                for row in x.rows
            ],
        }
        for x in known.values()
    ]
