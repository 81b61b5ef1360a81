"""`neurozsl benchmark --table KEY --data DIR`: rows of the papers' tables beside their figures."""

from pathlib import Path

from neurozsl.cli.benchmark_options import DataOptions, StudyOptions, TrainingOptions
from neurozsl.cli.console import emit_json, progress_bar, say, show_table
from neurozsl.cli.option_values import Json, listed, parse_options, per_model
from neurozsl.core.errors import BadInput


def benchmark_table(
    table: str, *, of: DataOptions, by: TrainingOptions, asked: StudyOptions
) -> None:
    """Train the rows of the tables that can be, print each table; `table`: keys, commas between.

    Raises:
        BadInput: a table is not known, options do not fit, or no row can be run on the data.
    """
    from neurozsl.studies.tables import catalogue, show
    from neurozsl.studies.tables import run as task
    from neurozsl.studies.tables.plan import TableSettings
    from neurozsl.training.crew import resolve_device

    found = catalogue.find(table)
    if of.data is None:
        raise BadInput("benchmark --table: give --data DIR, on which the rows are trained")
    if of.targets:
        raise BadInput("--targets: --table exports nothing; leave it out, or use --models")
    alignments = listed(by.label_alignment)
    if alignments not in (("by_name",), ("legacy",)):
        raise BadInput(
            f"--label-alignment '{by.label_alignment}': with --table one of by_name, legacy"
        )
    settings = TableSettings(
        data=of.data,
        tables=found,
        seeds=asked.seeds,
        protocol=by.protocol,
        alignment=alignments[0],
        epochs=asked.epochs,
        device=resolve_device(by.device),
        rules=parse_options(by.rule or [], "--rule"),
        options=per_model(of.option or []),
    )
    out = asked.out or Path(f"runs/tables-{of.data.resolve().name}")
    with progress_bar("tables") as update:
        results = task.run(settings, out=out, on=asked.workers(), progress=update)
    from neurozsl.report.show.table_figure import write_figures

    drawn = [path for result in results for path in write_figures(result, out)]
    if asked.as_json:
        emit_json({"tables": results})
        return
    for result in results:
        for shown in show.tables(result):
            show_table(shown.title, shown.columns, shown.rows)
        for note in show.footnotes(result):
            say(note)
    if drawn:
        say(f"figures: {', '.join(str(path) for path in drawn if path.suffix == '.svg')}, and .png")
    say(f"every run, and each table as JSON, are in {out}")


def list_tables(*, as_json: Json = False) -> None:
    """Name every table and figure of the papers, what it compares, and what is missing."""
    from neurozsl.studies.tables import catalogue, show

    known = catalogue.tables()
    if as_json:
        emit_json({"tables": show.listed_document(known)})
        return
    shown = show.listing(known)
    show_table(shown.title, shown.columns, shown.rows)
    for note in show.listing_notes(known):
        say(note)
