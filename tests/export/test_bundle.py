"""Bundles appear whole or not at all, know when they were changed, and give their spikes again."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from neurozsl.cli import main
from neurozsl.core.errors import BadInput, DoesNotFit, VerificationFailed
from neurozsl.core.signals import BranchSpec, ChipInput
from neurozsl.deploy import deploy
from neurozsl.export.bundle import build_branch as module
from neurozsl.export.bundle.build_branch import StepScore, build_bundle
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.bundle.operations import ScoredStep
from neurozsl.export.bundle.policy import apply_policy
from neurozsl.export.targets import lava as lava_target
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.place.place import place
from neurozsl.hardware.place.placement import placement
from neurozsl.runs import run as runs

MakeBranch = Callable[..., BranchSpec]
MakeInput = Callable[..., ChipInput]


@pytest.fixture(name="no_lava")
def _no_lava(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_target, "locate", lambda: None)


def _build(spec: BranchSpec, chip: ChipInput, out: Path, **options: object) -> object:
    settings: dict[str, object] = {"target": "nir", "calibration": chip, "samples": chip}
    return build_bundle(spec, out_dir=out, **{**settings, **options})  # type: ignore[arg-type]


def _scores(*values: float) -> Callable[[Mapping[str, ScoredStep]], Mapping[str, StepScore]]:
    """The HM of every step in their order; asked once."""
    left = [values]

    def score(steps: Mapping[str, ScoredStep]) -> Mapping[str, StepScore]:
        return {
            name: StepScore({"S": 50.0, "U": 40.0, "HM": hm, "ZSL": 45.0})
            for name, hm in zip(steps, left.pop(), strict=True)
        }

    return score


def test_a_bundle_holds_what_its_manifest_says_and_opens_again(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch()
    chip = make_input(spec, 16)
    out = tmp_path / "deploy" / "nir"
    _build(spec, chip, out)
    assert sorted(p.name for p in out.iterdir()) == ["golden.npz", "manifest.json", "motion.nir"]
    assert [p.name for p in out.parent.iterdir()] == ["nir"]
    document = json.loads((out / "manifest.json").read_text())
    assert (document["schema"], document["verdict"], document["T"]) == (1, "PASS", 10)
    assert (document["reset"], document["compare"], document["policy"]) == ("zero", ">", "fixed")
    assert set(document["files"]) == {"golden.npz", "motion.nir"}
    assert document["versions"]["nir"] == "1.0.4"
    bundle = open_bundle(out)
    spikes = bundle.backend("norse")(bundle.golden).to_numpy().spikes
    for name, wanted in bundle.golden_trace.to_numpy().spikes.items():
        assert np.array_equal(spikes[name], wanted)
    assert bundle.verify().verdict == "PASS"


@pytest.mark.usefixtures("no_lava")
def test_a_lava_bundle_without_the_oracle_says_so(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch()
    _build(spec, make_input(spec, 16), tmp_path / "lava", target="lava", bits=6)
    bundle = open_bundle(tmp_path / "lava")
    assert (bundle.manifest.verdict, bundle.manifest.oracle) == ("UNVERIFIED", "none")
    assert bundle.manifest.weight_bits == 6 and len(bundle.manifest.quantisation) == 6
    assert bundle.program is not None and bundle.program.chip == "loihi2"
    assert bundle.backend()(bundle.golden).rates()["audio.0"] > 0


@pytest.mark.parametrize("name", ["motion.nir", "golden.npz", "manifest.json"])
def test_a_changed_truncated_or_missing_file_is_found(
    name: str, make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch((4, 3))
    _build(spec, make_input(spec, 4), tmp_path / "nir")
    path = tmp_path / "nir" / name
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], content[:-2] + b"  "):
        path.write_bytes(broken)
        with pytest.raises(BadInput, match=name):
            open_bundle(tmp_path / "nir")
    path.unlink()
    with pytest.raises(BadInput, match=name):
        open_bundle(tmp_path / "nir")


def test_an_edited_verdict_is_found(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch((4, 3))
    _build(spec, make_input(spec, 4), tmp_path / "nir")
    path = tmp_path / "nir" / "manifest.json"
    path.write_text(path.read_text().replace('"PASS"', '"PASS-WITH-LOSS"'))
    with pytest.raises(BadInput, match="digest differs"):
        open_bundle(tmp_path / "nir")


def test_a_failed_export_is_kept_as_rejected_and_the_older_bundle_stays(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch()
    chip, out = make_input(spec, 16), tmp_path / "nir"
    _build(spec, chip, out)
    before = (out / "manifest.json").read_text()
    dead = replace(spec.layers[-1], threshold=np.full(6, 90.0))
    with pytest.raises(VerificationFailed, match=r"'video\.2' is dead") as caught:
        _build(replace(spec, layers=(*spec.layers[:-1], dead)), chip, out)
    assert caught.value.exit_code == 3
    assert (out / "manifest.json").read_text() == before
    assert open_bundle(tmp_path / "nir.rejected").manifest.verdict == "FAIL"
    _build(spec, chip, out)  # a good export clears what was rejected
    assert [p.name for p in tmp_path.iterdir()] == ["nir"]


def test_an_export_that_breaks_off_leaves_nothing(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    spec = make_branch((4, 3))
    monkeypatch.setattr(module, "verify", stop)
    with pytest.raises(KeyboardInterrupt):
        _build(spec, make_input(spec, 4), tmp_path / "nir")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(name="three_cores")
def _three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Placement as on a Loihi 2 with three cores."""
    whole = load_chip("loihi2")
    cores = replace(whole.limit["cores"], value=3, low=None)
    small = replace(whole, limit={**whole.limit, "cores": cores})
    monkeypatch.setattr(module, "place", lambda program, chip: place(program, small))


@pytest.mark.usefixtures("no_lava")
def test_the_manifest_says_which_core_holds_what(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch()
    _build(spec, make_input(spec, 16), tmp_path / "lava", target="lava", bits=6)
    bundle = open_bundle(tmp_path / "lava")
    assert bundle.program is not None and bundle.manifest.mapping is not None
    found = placement(place(bundle.program, "loihi2")).as_json()
    assert bundle.manifest.mapping is not None
    assert bundle.manifest.mapping == json.loads(json.dumps(found))
    assert bundle.manifest.mapping["cores_used"] == len(spec.layers) == 6


def test_a_bundle_without_integers_has_no_mapping(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch((4, 3))
    _build(spec, make_input(spec, 4), tmp_path / "nir")
    assert "mapping" not in json.loads((tmp_path / "nir" / "manifest.json").read_text())
    assert open_bundle(tmp_path / "nir").manifest.mapping is None


@pytest.mark.usefixtures("no_lava", "three_cores")
def test_integers_that_do_not_fit_leave_nothing_and_the_older_bundle_stays(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    out = tmp_path / "lava"
    small = make_branch((4, 3))
    _build(small, make_input(small, 16), out, target="lava")
    before = (out / "manifest.json").read_text()
    spec = make_branch()  # six layers, a core each
    with pytest.raises(DoesNotFit, match=r"6 cores, the chip has 3 \(3 too many\)"):
        _build(spec, make_input(spec, 16), out, target="lava")
    assert (out / "manifest.json").read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["lava"]


def _export(spec: BranchSpec, chip: ChipInput, run: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit code of `neurozsl export RUN --target lava` where the branch of RUN is `spec`."""

    def instead(opened: object, *, target: str, **options: object) -> object:
        return _build(spec, chip, run / "deploy" / target, target=target)

    opened = SimpleNamespace(model=None, data=None)
    monkeypatch.setattr(runs, "open_run", lambda path, data=None: opened)
    monkeypatch.setattr(deploy, "deploy", instead)
    monkeypatch.setattr("sys.argv", ["neurozsl", "export", str(run), "--target", "lava"])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.usefixtures("no_lava")
def test_export_prints_the_use_of_every_core_on_stderr(
    make_branch: MakeBranch,
    make_input: MakeInput,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = make_branch()
    assert _export(spec, make_input(spec, 16), tmp_path, monkeypatch) == 0
    out, text = capsys.readouterr()
    assert out == ""
    assert "Intel Loihi 2: 6 of 128 cores (4.69 %)" in text
    for layer in spec.layers:
        assert layer.name in text
    assert "synapse memory" in text and "not counted: neuron state" in text


@pytest.mark.usefixtures("no_lava", "three_cores")
def test_export_of_what_does_not_fit_exits_4_with_the_limit(
    make_branch: MakeBranch,
    make_input: MakeInput,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = make_branch()
    assert _export(spec, make_input(spec, 16), tmp_path, monkeypatch) == 4
    text = capsys.readouterr().err
    assert "6 cores, the chip has 3 (3 too many)" in text
    assert "what would fit: only the first 3 layers" in text
    assert not (tmp_path / "deploy").exists()


def test_a_folder_that_is_no_bundle_is_never_replaced(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch((4, 3))
    (tmp_path / "nir").mkdir()
    (tmp_path / "nir" / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="is not a bundle"):
        _build(spec, make_input(spec, 4), tmp_path / "nir")
    assert (tmp_path / "nir" / "thesis.txt").exists()
    with pytest.raises(BadInput, match="no bundle here"):
        open_bundle(tmp_path / "nir")


@pytest.mark.usefixtures("no_lava")
def test_accuracy_is_recorded_at_every_step_and_a_large_drop_fails(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch(policy="dynamic")
    chip = make_input(spec, 16)
    options: dict[str, object] = {"target": "lava", "threshold": "frozen"}
    _build(spec, chip, tmp_path / "a", score=_scores(40.0, 39.5, 39.0), **options)
    steps = open_bundle(tmp_path / "a").manifest.steps
    assert [(s.step, s.backend, s.HM) for s in steps] == [
        ("trained", "norse", 40.0),
        ("frozen", "norse", 39.5),
        ("fixed-point", "emulator", 39.0),
    ]
    with pytest.raises(VerificationFailed, match=r"HM drops by 2\.50 points"):
        _build(spec, chip, tmp_path / "b", score=_scores(40.0, 39.5, 37.5), **options)
    known = {"S": 50.0, "U": 40.0, "HM": 38.0, "ZSL": 45.0}
    score = _scores(37.9, 37.5)
    _build(spec, chip, tmp_path / "b", score=score, reference_score=known, **options)
    assert open_bundle(tmp_path / "b").manifest.steps[0].HM == 38.0


def test_freezing_uses_the_calibration_mean_and_is_named_as_a_loss(
    make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch(policy="dynamic")
    chip = make_input(spec, 16)
    assert chip.theta is not None
    frozen, loss = apply_policy(spec, "frozen", chip)
    mean = np.float32(np.mean(chip.theta["audio.1"]))
    assert (frozen.layers[1].threshold == mean).all() and frozen.policy == "frozen"
    assert "no longer follow the sample" in loss
    table, _ = apply_policy(spec, "table", chip)
    assert table.layers[1].theta_table is not None
    np.testing.assert_allclose(table.layers[1].theta_table, chip.theta["audio.1"].mean(axis=0))
    _build(spec, chip, tmp_path / "nir", threshold="frozen")
    bundle = open_bundle(tmp_path / "nir")
    assert bundle.manifest.verdict == "PASS-WITH-LOSS" and bundle.manifest.losses == (loss,)
    assert (bundle.manifest.trained_policy, bundle.spec.policy) == ("dynamic", "frozen")
    assert bundle.golden.theta is None
    assert bundle.verify().verdict == "PASS-WITH-LOSS"


@pytest.mark.parametrize(("trained", "wanted"), [("dynamic", "fixed"), ("fixed", "dynamic")])
def test_a_policy_is_never_switched_silently(
    trained: str, wanted: str, make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path
) -> None:
    spec = make_branch(policy=trained)
    with pytest.raises(BadInput, match=f"'{wanted}' cannot be made from .* '{trained}'"):
        _build(spec, make_input(spec, 4), tmp_path / "nir", threshold=wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.lava
@pytest.mark.parametrize("threshold", [pytest.param("frozen", marks=pytest.mark.slow), "dynamic"])
def test_the_script_of_a_bundle_runs_alone_and_gives_the_golden_spikes(
    threshold: str, make_branch: MakeBranch, make_input: MakeInput, tmp_path: Path, lava: Path
) -> None:
    spec = make_branch((16, 12, 10, 8), policy="dynamic")
    _build(spec, make_input(spec, 16), tmp_path / "lava", target="lava", threshold=threshold)
    bundle = open_bundle(tmp_path / "lava")
    assert bundle.manifest.verdict == "PASS-WITH-LOSS"
    assert bundle.manifest.oracle == "lava-nc 0.10.0"
    elsewhere = shutil.copytree(tmp_path / "lava", tmp_path / "copy")
    done = subprocess.run(
        [str(lava), "run_lava.py"], cwd=elsewhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "equal bits" in line]
    assert len(rows) == 6 and all("100.0000 %" in row for row in rows)
