"""`pack`: a finished run as one file, with all that it needs where its data set is not.

In: a run folder, of a zero-shot model or of a classifier. Out: a zip (`core.archive`) of the files
in `members`, after a check that each is the one that was trained, scored, exported; the same folder
gives the same bytes. What `profile` would show is measured first where that was not done and the
data are here, and laid into the run folder, so that a copy of it has it as well.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neurozsl.classifier.run import open_classifier
from neurozsl.core.archive import SUFFIX, Content, write_archive
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place
from neurozsl.core.progress import Progress
from neurozsl.core.version import __version__
from neurozsl.deploy.belonging import check_belongs
from neurozsl.export.bundle import manifest as manifests
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.models.base import branch_of
from neurozsl.portable import members
from neurozsl.portable.measured import as_bytes, kept_report, measure, measured_file, write_measured
from neurozsl.runs.kept import KEPT, KeptData
from neurozsl.runs.kind import CLASSIFIER, is_classifier
from neurozsl.runs.run import Run, open_run
from neurozsl.runs.seal import check_file

ZERO_SHOT: Final = "zero-shot"
Bars = Callable[[str], Progress | None]


@dataclass(frozen=True)
class Packed:
    """What was written.

    files: bytes by name. left_out: files of the folder that stayed, by name. notes: what the packed
    run cannot do, a sentence each.
    """

    path: Path
    bytes: int
    files: Mapping[str, int]
    left_out: Mapping[str, int]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """What `neurozsl pack --json` prints."""
        return {**vars(self), "path": str(self.path), "notes": list(self.notes)}


def pack(
    path: Path,
    out: Path | None = None,
    *,
    bundles: bool = True,
    checkpoints: bool = False,
    data: Path | None = None,
    progress: Bars | None = None,
) -> Packed:
    """Write a run as one zip.

    Args:
        path: a finished run.
        out: of the zip, which replaces an older one; None: the folder's name with `.zip`.
        bundles: with those in `deploy`.
        checkpoints: with those of the training, which are larger than all else.
        data: where the data set lies; None: as `open_run` finds it.
        progress: gives the bar of what is measured, by its name.

    Raises:
        BadInput: no finished run, a damaged file of it or of a bundle, or a place that takes none.
    """
    path = Path(path)
    place = _place(path, out)
    if is_classifier(path):
        if data is not None:
            raise BadInput(f"--data {data}: a classifier needs none to be packed; leave it out")
        made = _classifier(path, bundles)
    else:
        made = _zero_shot(open_run(path, data=data), bundles, progress)
    on_disk = {name: path / name for name in made.names if (path / name).is_file()}
    if checkpoints:
        stages = sorted(path.glob("stage*/*.safetensors"))
        found = ((str(x.relative_to(path)), x) for x in stages)
        on_disk |= {name: x for name, x in found if members.is_checkpoint(name)}
    content: dict[str, Content] = {**on_disk, **made.content}
    left = {
        str(x.relative_to(path)): x.stat().st_size
        for x in sorted(path.rglob("*"))
        if x.is_file() and str(x.relative_to(path)) not in content and x.name != ".lock"
    }
    about = {"kind": made.kind, "made_by": __version__, "result": made.digest, "data": made.data}
    written = write_archive(place, content, about)
    return Packed(place, written.bytes, written.files, left, tuple(made.notes))


@dataclass
class _Made:
    """names: files of the folder. content: of files that it does not hold."""

    kind: str
    digest: str
    data: Mapping[str, str]
    names: list[str]
    content: dict[str, bytes]
    notes: list[str]


def _place(path: Path, out: Path | None) -> Path:
    place = path.resolve().with_name(path.resolve().name + SUFFIX) if out is None else Path(out)
    if place.suffix != SUFFIX:
        raise BadInput(f"pack --out '{place}': a zip is written; let its name end in {SUFFIX}")
    if place.is_dir():
        raise BadInput(f"pack --out '{place}': is a folder; name a file")
    if path.resolve() in place.resolve().parents:
        raise BadInput(f"pack --out '{place}': lies in the run itself; choose a place beside it")
    check_place(place, "packed run")
    return place


def _named(settings: Any) -> dict[str, str]:
    return {"name": Path(settings.data).name, "fingerprint": settings.data_fingerprint}


def _classifier(path: Path, bundles: bool) -> _Made:
    done = open_classifier(path)
    for name in done.result["files"]:
        check_file(path, name, done.result["files"], "result.json")
    names = list(members.CLASSIFIER)
    if bundles:
        for folder in _bundles(path):
            names += _files_of(path, folder)
    return _Made(CLASSIFIER, str(done.result["digest"]), _named(done.settings), names, {}, [])


def _zero_shot(run: Run, bundles: bool, progress: Bars | None) -> _Made:
    made = _Made(ZERO_SHOT, run.digest, _named(run.settings), [*members.ZERO_SHOT], {}, [])
    if not (run.path / KEPT).is_file():
        made.notes.append(
            "the run was made by an earlier version and keeps nothing of its data set: only verify "
            "and simulate work without that"
        )
    folders = _bundles(run.path) if bundles else []
    for folder in folders:
        check_belongs(run, open_bundle(folder))
        made.names += _files_of(run.path, folder)
    for bundle in (None, *folders):
        _measured(run, bundle, made, progress)
    return made


def _measured(run: Run, bundle: Path | None, made: _Made, progress: Bars | None) -> None:
    """The measurement of a branch: kept already, made now, or noted as missing."""
    if (kept := kept_report(run, bundle)) is not None:
        made.names.append(str(kept[0].relative_to(run.path)))
        return
    file = measured_file(run.path, bundle)
    name = str(file.relative_to(run.path))
    what = "the trained branch" if bundle is None else bundle.name
    if branch_of(run.model) is None:
        what = "the trained model"
    if isinstance(run.data, KeptData):
        made.notes.append(f"{what} was not measured, so `profile` of it needs the data set")
        return
    content = measure(run, bundle, None if progress is None else progress(f"measuring {what}"))
    with suppress(OSError):  # a folder that this user may only read
        write_measured(file, content)
        made.names.append(name)
        return
    made.content[name] = as_bytes(content)


def _bundles(path: Path) -> list[Path]:
    """Bundles in `deploy`, without those that were rejected."""
    found = sorted(x.parent for x in path.glob(f"deploy/*/{manifests.NAME}"))
    kept = [x for x in found if not x.name.endswith(".rejected")]
    for folder in kept:
        if not members.NAME.fullmatch(folder.name):
            raise BadInput(
                f"bundle '{folder}': its name does not go into every file system; let it be "
                "letters, digits and . _ + -, or leave bundles out (--without-bundles)"
            )
    return kept


def _files_of(path: Path, folder: Path) -> list[str]:
    """Files of a bundle whose manifest they match."""
    opened = open_bundle(folder)
    inside = folder.relative_to(path)
    return [str(inside / name) for name in (manifests.NAME, *sorted(opened.manifest.files))]
