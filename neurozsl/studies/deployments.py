"""What runs where: the spiking part of trained models on several targets, one row a model.

Every run is exported to every target as `neurozsl export` does it, with the thresholds that the
target takes (as trained, else a table, else frozen; the cell names what was changed). Nothing is
scored, the verdict says whether the spikes arrived. A model without a spiking part, a branch that
cannot be exported or that a chip cannot run or hold, and a failed verification are results here,
with their reason, not errors.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from neurozsl.core import markdown as md
from neurozsl.core.errors import BadInput, DoesNotFit, MissingPart, VerificationFailed
from neurozsl.core.progress import Progress
from neurozsl.deploy.branch import branch_spec
from neurozsl.deploy.deploy import deploy
from neurozsl.export.bundle.manifest import Manifest
from neurozsl.export.targets import target as find_target
from neurozsl.models.base import branch_of, host_parts
from neurozsl.runs import run as runs

SAMPLES: Final = 16
_FAILED: Final[Mapping[type[Exception], str]] = {
    VerificationFailed: "FAIL",
    DoesNotFit: "too large",
    MissingPart: "not installed",
    BadInput: "cannot run it",
}


def deploy_all(
    folders: Mapping[str, Path], targets: Sequence[str], *, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Export every run, in `folders` by model, to every target; progress counts exports.

    Returns:
        Per model its name, parameters, the layers of its spiking part (empty where there is none),
        what stays on the host, and per target `verdict`, `reason`, `policy`, `changed`,
        `cores` and `bundle`.

    Raises:
        BadInput: an unknown target, or a folder that holds no finished run.
    """
    for name in targets:
        find_target(name)
    rows, done = [], 0
    for model, folder in folders.items():
        run = runs.open_run(folder)
        branch, refusal, host = branch_of(run.model), _refusal(run), "the whole model"
        if refusal is None:
            host = "; ".join(host_parts(run.model)) or "all but the spiking layers"
        row: dict[str, Any] = {
            "model": model,
            "parameters": sum(p.numel() for p in run.model.parameters()),
            "spiking": [] if branch is None else list(branch.spiking_layers()),
            "host": host,
            "targets": {},
        }
        for name in targets:
            if refusal is None:
                row["targets"][name] = _one(run, name)
            else:
                verdict = "cannot be exported" if row["spiking"] else "-"
                row["targets"][name] = _none(refusal, verdict)
            done += 1
            if progress is not None:
                progress(done, len(folders) * len(targets))
        rows.append(row)
    return rows


def table(rows: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> list[tuple[str, ...]]:
    """Header and rows as text."""
    body = [
        (
            row["model"],
            f"{row['parameters']:,}",
            str(len(row["spiking"]) or "none"),
            *(_cell(row["targets"][name]) for name in targets),
        )
        for row in rows
    ]
    return [("model", "weights", "spiking layers", *targets), *body]


def markdown(rows: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> str:
    """The table for the README."""
    header, *body = table(rows, targets)
    return "\n".join(md.table(header, body))


def reasons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why a cell is not a verdict, one line each."""
    return [
        f"{row['model']} on {name}: {found['reason']}"
        for row in rows
        for name, found in row["targets"].items()
        if found["reason"]
    ]


def _refusal(run: runs.Run) -> str | None:
    """Why no target gets the branch: there is none, or it cannot be described."""
    try:
        branch_spec(run)
    except BadInput as error:
        return str(error)
    return None


def _one(run: runs.Run, target: str) -> dict[str, Any]:
    out = run.path / "deploy" / target
    policy = branch_spec(run).policy
    # A chip that holds one constant per layer gets that; the others what they take by default.
    constant = policy in ("dynamic", "table") and find_target(target).features["table"] == "no"
    try:
        manifest: Manifest = deploy(
            run,
            target=target,
            threshold="frozen" if constant else None,
            samples=SAMPLES,
            max_hm_drop=100.0,  # nothing is asked of the accuracy here
        )
    except tuple(_FAILED) as error:
        word = next(word for kind, word in _FAILED.items() if isinstance(error, kind))
        return _none(str(error), word)
    cores = None if manifest.mapping is None else manifest.mapping["cores_used"]
    deployed = {"policy": manifest.policy, "changed": manifest.policy != policy}
    return {**_none("", manifest.verdict), **deployed, "cores": cores, "bundle": str(out)}


def _none(reason: str, verdict: str) -> dict[str, Any]:
    without = {"policy": None, "changed": False, "cores": None, "bundle": None}
    return {"verdict": verdict, "reason": reason, **without}


def _cell(found: Mapping[str, Any]) -> str:
    words = [str(found["verdict"])]
    if found["changed"]:
        words.append(f"{found['policy']} thresholds")
    if found["cores"] is not None:
        words.append(f"{found['cores']} core{'s' * (found['cores'] != 1)}")
    return ", ".join(words)
