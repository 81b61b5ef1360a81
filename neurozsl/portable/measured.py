"""What `profile` says of a run, kept in the run: shown where its data set is not.

A profile is one pass over the test splits, so it needs them. `pack` makes it while they are there,
of the trained branch and of every bundle, and lays it into the run folder::

    measured/trained.json, measured/deploy-NAME.json
        report    the document of `profile RUN --report x.json`
        result    digest of the run's result     bundle   SHA-256 of the bundle's manifest, or null
        digest    of all this (`seal.own_digest`)

It is shown for this run and this bundle alone. What the report does not hold cannot be asked of it:
other chips, another step time, stopped samples, pictures.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.folders import whole_file
from neurozsl.core.progress import Progress
from neurozsl.core.reading import Kind, read_object
from neurozsl.core.shell import command, words
from neurozsl.deploy.belonging import check_belongs
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.bundle.manifest import NAME as MANIFEST
from neurozsl.report.schema import RunReport
from neurozsl.report.schema.report import MAX_REPORT_BYTES, parse_report
from neurozsl.report.sections import build as report_build
from neurozsl.runs.kept import KeptData
from neurozsl.runs.run import Run
from neurozsl.runs.seal import check_digest, own_digest
from neurozsl.runs.settings import DataElsewhere

MEASURED: Final = "measured"
TRAINED: Final = "trained.json"
_SCHEMA: Final = 1
_REMEDY: Final = "restore it from the packed run, or remove it and pack again where the data lie"
_OPTIONS: Final = {  # of `sections.build.build`, as the command line calls them
    "devices": "--device",
    "step_s": "--step-time",
    "clips": "--clips",
    "margin": "--margin",
    "frontier": "--frontier",
}
_KEYS: Final[Mapping[str, Kind]] = {
    "schema": int,
    "result": str,
    "bundle": (str, type(None)),
    "report": dict,
    "digest": str,
}


def profile(
    run: Run, *, bundle: Path | None = None, asked: Mapping[str, Any], **how: Any
) -> RunReport:
    """The report of a run: measured now, or where its data set is not here, as it was kept.

    asked: arguments of `sections.build.build` (`_OPTIONS`) that a kept report cannot answer: where
    they are given, the data set is needed. how: its further arguments.

    Raises:
        DataElsewhere: the data set is not here, and this was not measured.
        BadInput: as `build`, or the kept report is damaged.
    """
    if not isinstance(run.data, KeptData):
        return report_build.build(run, bundle=bundle, **asked, **how)
    given = [_OPTIONS[name] for name, value in asked.items() if value not in (None, (), [])]
    if given:
        raise DataElsewhere(
            f"{', '.join(given)}: was not measured when the run was packed; leave it out, or: "
            f"{run.data.why}"
        )
    found = kept_report(run, bundle)
    if found is None:
        what = "its trained branch" if bundle is None else f"bundle '{bundle}'"
        raise DataElsewhere(
            f"{run.data.why}. Without them {what} is shown as it was measured by "
            f"`{command('pack', run.path)}`, which was not done where the data lie"
        )
    _, report = found
    note = (
        f"Measured when the run was packed ({report.created}), with its data set, which is not on "
        "this machine: times are those of the machine named."
    )
    return report.model_copy(update={"notes": (*report.notes, note)})


def measure(run: Run, bundle: Path | None, progress: Progress | None = None) -> dict[str, Any]:
    """A report of this run or of a bundle of it, as it is kept."""
    given = {} if bundle is None else {"bundle": Path("deploy") / bundle.name}
    again = command("profile", ".", words(given))  # in the run folder, wherever that lies
    report = report_build.build(run, bundle=bundle, command=again, progress=progress)
    content = {
        "schema": _SCHEMA,
        "result": run.digest,
        "bundle": _manifest_of(bundle),
        "report": report.model_dump(mode="json"),
    }
    return {**content, "digest": own_digest(content)}


def as_bytes(content: Mapping[str, Any]) -> bytes:
    """What the file of a measurement holds."""
    return (json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n").encode()


def write_measured(file: Path, content: Mapping[str, Any]) -> None:
    """Lay a measurement into the run folder."""
    file.parent.mkdir(exist_ok=True)
    with whole_file(file) as part:
        part.write_bytes(as_bytes(content))


def measured_file(run: Path, bundle: Path | None) -> Path:
    """Where the measurement of a run, or of a bundle in its `deploy`, lies."""
    return run / MEASURED / (TRAINED if bundle is None else f"deploy-{bundle.name}.json")


def kept_report(run: Run, bundle: Path | None) -> tuple[Path, RunReport] | None:
    """The report that was kept of this run, or of this bundle, and its file; None without one.

    Raises:
        BadInput: it is damaged, or the bundle is, or is another run's.
    """
    wanted = _manifest_of(bundle)
    if bundle is not None:
        check_belongs(run, open_bundle(bundle))
    for file in sorted((run.path / MEASURED).glob("*.json")):
        found = read_object(file, remedy=_REMEDY, keys=_KEYS, max_bytes=MAX_REPORT_BYTES)
        check_digest(file, own_digest(found), found["digest"], "it")
        if found["schema"] == _SCHEMA and (found["result"], found["bundle"]) == (
            run.digest,
            wanted,
        ):
            return file, _report(file, found["report"])
    return None


def _report(file: Path, document: Mapping[str, Any]) -> RunReport:
    found = parse_report(file, json.dumps(document))
    if not isinstance(found, RunReport):
        raise BadInput(f"{file}: holds the report of a network, one of a run is kept; {_REMEDY}")
    return found


def _manifest_of(bundle: Path | None) -> str | None:
    if bundle is None:
        return None
    if not (bundle / MANIFEST).is_file():
        open_bundle(bundle)  # says what is missing
    return sha256(bundle / MANIFEST)
