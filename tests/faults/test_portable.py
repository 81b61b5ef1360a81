"""What a run keeps of its data set (`kept.npz`) and of its test (`measured/`), damaged.

Refused where it was changed, and where a forger sealed it again, where its parts do not fit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from neurozsl.core.errors import BadInput
from neurozsl.portable.pack import pack
from neurozsl.runs.kept import KEPT, KeptData, read_kept
from neurozsl.runs.run import open_run
from neurozsl.runs.seal import own_digest
from tests.cli.conftest import run_command
from tests.factories import runs as run_folders


@pytest.fixture(scope="module")
def source(run_dir: Path, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(workspace / "data", folder / "data")
    run = shutil.copytree(run_dir, folder / "run", ignore=shutil.ignore_patterns("deploy"))
    pack(Path(run), folder / "run.zip")  # measures it
    return Path(run)


# ---------------------------------------------------------------- kept.npz


@pytest.fixture
def alone(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run without its data; a test may damage it."""
    monkeypatch.delenv("NEUROZSL_DATA", raising=False)
    return Path(shutil.copytree(source, tmp_path / "elsewhere" / "run"))


Arrays = dict[str, Any]


def facts(change: Callable[[dict[str, Any]], object]) -> Callable[[Arrays], object]:
    def damage(arrays: Arrays) -> None:
        content = json.loads(arrays["facts"].tobytes())
        change(content)
        arrays["facts"] = np.frombuffer(json.dumps(content).encode(), np.uint8)

    return damage


FORGED: Final[dict[str, Callable[[Arrays], object]]] = {
    "no facts": lambda x: x.pop("facts"),
    "facts are text": lambda x: x.update(facts=np.frombuffer(b"hello", np.uint8)),
    "facts are a list": lambda x: x.update(facts=np.frombuffer(b"[1]", np.uint8)),
    "another schema": facts(lambda x: x.update(schema=2)),
    "a class less": facts(lambda x: x["classes"].pop()),
    "classes are numbers": facts(lambda x: x.update(classes=list(range(len(x["classes"]))))),
    "no sizes": facts(lambda x: x.update(sizes={})),
    "a size of text": facts(lambda x: x["sizes"].update(test_seen="many")),
    "fewer samples than rows": facts(lambda x: x["sizes"].update(test_seen=3)),
    "an unknown code": facts(lambda x: x["inputs"]["audio"].update(kind="odd")),
    "a code of more fields": facts(lambda x: x["inputs"]["audio"].update(more=1)),
    "an input without codes": lambda x: x.pop("calibration/codes/audio"),
    "codes out of range": lambda x: x["calibration/codes/audio"].fill(99),
    "codes of other lengths": lambda x: x.update(
        {"calibration/codes/audio": x["calibration/codes/audio"][:3]}
    ),
    "vectors in a row": lambda x: x.update(vectors=x["vectors"].ravel()),
    "a role of no class": lambda x: x["roles/test_seen"].fill(10_000),
    "no role": lambda x: x.pop("roles/train"),
    "a label of no class": lambda x: x["test_seen/label"].fill(-1),
    "rows that fall": lambda x: x.update({"test_seen/rows": x["test_seen/rows"][::-1]}),
    "no mask": lambda x: x.pop("test_seen/mask"),
    "a mask of numbers": lambda x: x.update(
        {"test_seen/mask": x["test_seen/mask"].astype(np.int64)}
    ),
    "features of fewer samples": lambda x: x.update({"test_seen/audio": x["test_seen/audio"][:2]}),
    "flat features": lambda x: x.update({"test_seen/video": x["test_seen/video"][0]}),
}


@pytest.mark.parametrize("forged", FORGED)
def test_kept_parts_that_do_not_fit_are_refused_although_they_are_sealed(
    forged: str, alone: Path
) -> None:
    with np.load(alone / KEPT) as file:
        arrays = {name: file[name] for name in file.files}
    FORGED[forged](arrays)
    np.savez(alone / KEPT, **arrays)
    with pytest.raises(BadInput, match="damaged"):
        open_run(alone)
    run_folders.sealed_again(alone)
    with pytest.raises(BadInput, match=KEPT) as told:
        open_run(alone)
    assert "\n" not in str(told.value) and len(str(told.value)) < 600


def test_kept_parts_that_fit_are_read(alone: Path) -> None:
    with np.load(alone / KEPT) as file:
        arrays = {name: file[name] for name in file.files}
    facts(lambda x: x["meta"].update(encoders={"audio": "one that a later version notes"}))(arrays)
    np.savez(alone / KEPT, **arrays)
    run_folders.sealed_again(alone)
    data = open_run(alone).data
    assert isinstance(data, KeptData)
    assert data.meta["encoders"] == {"audio": "one that a later version notes"}
    assert read_kept(alone).calibration is not None


# ---------------------------------------------------------------- measured/


def resealed(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return json.dumps({**document, "digest": own_digest(document)}).encode()

    return damage


MEASURED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty": lambda _: b"",
    "cut": lambda x: x[: len(x) // 2],
    "a list": lambda _: b"[]",
    "nested": lambda _: b"[" * 50_000,
    "an edited score": lambda x: x.replace(b'"HM":', b'"HM":1', 1),
    "no report": resealed(lambda x: x.update(report={})),
    "a report of text": resealed(lambda x: x.update(report="good")),
    "a report of another version": resealed(lambda x: x["report"].update(schema_version=2)),
}


@pytest.mark.parametrize("damage", MEASURED)
def test_a_damaged_measurement_is_named_and_not_shown(damage: str, alone: Path) -> None:
    file = alone / "measured" / "trained.json"
    file.write_bytes(MEASURED[damage](file.read_bytes()))
    ran = run_command("profile", alone, "--json")
    assert (ran.code, ran.out) == (2, "") and "Traceback" not in ran.err
    [line] = ran.err.splitlines()
    assert str(file) in line and len(line) < 1000


def test_a_measurement_of_another_run_is_not_shown(alone: Path) -> None:
    file = alone / "measured" / "trained.json"
    file.write_bytes(resealed(lambda x: x.update(result="0" * 64))(file.read_bytes()))
    ran = run_command("profile", alone, "--json")
    assert (ran.code, ran.out) == (2, "") and "with the fingerprint" in ran.err
