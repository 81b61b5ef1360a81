"""What a bundle may hold: files x damage -> the one message, though its seal was made anew.

Every damage of the tables is followed by a new list of digests and a new seal, as whoever changes a
bundle can make them. `manifest.json` itself is damaged as a text as well.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.version import __version__
from neurozsl.export.bundle import manifest as manifests
from neurozsl.export.bundle import sealed_files
from neurozsl.export.bundle.build_branch import build_bundle
from neurozsl.export.bundle.bundle import open_bundle
from neurozsl.export.bundle.manifest import Manifest
from neurozsl.export.targets import lava as lava_target
from neurozsl.hardware.arithmetic.registry import load_program
from tests.cli.conftest import run_command
from tests.export.conftest import branch, chip_input

Damage = Callable[[Path], None]


@pytest.fixture(scope="module", name="built")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`lava`, without its oracle, and `nir`; never written to."""
    folder = tmp_path_factory.mktemp("bundles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lava_target, "locate", lambda: None)
        spec = branch((8, 6, 4))
        chip = chip_input(spec, 16)
        for target in ("lava", "nir"):
            build_bundle(
                spec, target=target, out_dir=folder / target, calibration=chip, samples=chip
            )
    return folder


@pytest.fixture
def bundle(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built / "lava", tmp_path / "lava")


def reseal(folder: Path, **changes: Any) -> None:
    """The list of files and the seal made anew; fields of the manifest changed on the way."""
    content = json.loads((folder / "manifest.json").read_text()) | changes
    if "files" not in changes:
        names = [name for name in content["files"] if (folder / name).exists()]
        content["files"] = {name: sha256(folder / name) for name in names}
    manifests.write(folder, Manifest.model_validate(content))


def _verification(folder: Path, **changes: Any) -> dict[str, Any]:
    content = json.loads((folder / "manifest.json").read_text())
    return {**content["verification"], **changes}


# ---------------------------------------------------------------- fields of the manifest

FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "T, far too large": ({"T": 10**9}, "T is 1000000000, motion.nir has 10"),
    "T, one more": ({"T": 11}, "T is 11, motion.nir has 10"),
    "T, below 0": ({"T": -1}, "T is -1"),
    "dt_s, below 0": ({"dt_s": -1.0}, r"dt_s is -1.0, motion.nir has 0.001"),
    "dt_s, 0": ({"dt_s": 0.0}, r"dt_s is 0.0, motion.nir has"),
    "chip, another": ({"chip": "speck2f"}, "chip is speck2f, target lava has loihi2"),
    "chip, unknown": ({"chip": "toaster"}, "chip is toaster, target lava has loihi2"),
    "chip, none": ({"chip": None}, "chip is None, target lava has loihi2"),
    "target, another": ({"target": "nir"}, "chip is loihi2, target nir has None"),
    "target, unknown": ({"target": "abacus"}, "target 'abacus' is unknown"),
    "fidelity": ({"fidelity": ["float"]}, "fidelity is .*float.*, target lava has"),
    "policy": ({"policy": "dynamic"}, "policy is dynamic, motion.nir has fixed"),
    "reset": ({"reset": "subtract"}, "reset is subtract, motion.nir has zero"),
    "compare": ({"compare": ">="}, "compare is >=, motion.nir has >"),
    "weight_bits": ({"weight_bits": 2}, "weight_bits is 2, program.npz has 8"),
    "quantisation": ({"quantisation": []}, r"quantisation is \(\), program.npz has"),
    "trained_forward": ({"trained_forward": "integers"}, "trained_forward in integers is True"),
    "verdict": ({"verdict": "PASS"}, "verdict is PASS, its verification has UNVERIFIED"),
    "mapping": ({"mapping": {"chip": "speck2f"}}, "mapping.chip is speck2f, program.npz has"),
    "dead neurons": (
        {
            "dead_neurons": {
                "neurons": 1,
                "updates": 10,
                "cores": 0,
                "layers": [{"layer": "audio.0", "neurons": 9, "silent": [], "unread": []}],
            }
        },
        "dead_neurons.audio.0 is 9, motion.nir has 6",
    ),
    "dead layer": (
        {
            "dead_neurons": {
                "neurons": 1,
                "updates": 10,
                "cores": 0,
                "layers": [{"layer": "x", "neurons": 9, "silent": [1], "unread": []}],
            }
        },
        "dead_neurons.x is 8, motion.nir has None",
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_is_not_that_of_the_files_is_refused_by_name(name: str, bundle: Path) -> None:
    changes, message = FIELDS[name]
    reseal(bundle, **changes)
    with pytest.raises(BadInput, match=message) as caught:
        open_bundle(bundle)
    assert str(bundle / "manifest.json") in str(caught.value)


def test_a_number_of_samples_that_golden_does_not_hold_is_refused(bundle: Path) -> None:
    reseal(bundle, verification=_verification(bundle, samples=10_000))
    with pytest.raises(BadInput, match=r"samples is 10000, golden.npz has 16"):
        open_bundle(bundle)


def test_a_bundle_that_nobody_changed_opens_without_a_note(built: Path, bundle: Path) -> None:
    reseal(bundle)
    for folder in (built / "lava", built / "nir", bundle):
        assert open_bundle(folder).notes == ()


# ---------------------------------------------------------------- files


def _replace(name: str, content: bytes) -> Damage:
    return lambda folder: _write(folder / name, content)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _golden(change: Callable[[dict[str, Any]], None]) -> Damage:
    def damage(folder: Path) -> None:
        with np.load(folder / "golden.npz") as file:
            arrays = {key: file[key] for key in file.files}
        change(arrays)
        np.savez_compressed(folder / "golden.npz", **arrays)

    return damage


def _other_integers(folder: Path) -> None:
    """The integers of another network, sealed in the place of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lava_target, "locate", lambda: None)
        spec = branch((8, 5, 4))
        chip = chip_input(spec, 16)
        other = folder.parent / "other"
        build_bundle(spec, target="lava", out_dir=other, calibration=chip, samples=chip)
    shutil.copy(other / "program.npz", folder)


def _other_steps(folder: Path) -> None:
    from dataclasses import replace

    program = load_program(folder / "program.npz", "loihi2")
    replace(program, steps=10**9).save(folder / "program.npz")


def _other_unit(folder: Path) -> None:
    from dataclasses import replace

    program = load_program(folder / "program.npz", "loihi2")
    code = replace(program.inputs["audio"], scale=0.5)
    replace(program, inputs={**program.inputs, "audio": code}).save(folder / "program.npz")


def _script(folder: Path) -> None:
    with (folder / "run_lava.py").open("a") as file:
        file.write("\nprint('hello')\n")


FILES: dict[str, tuple[Damage, str]] = {
    "motion.nir empty": (_replace("motion.nir", b""), "motion.nir"),
    "motion.nir text": (_replace("motion.nir", b"hello" * 50), "motion.nir"),
    "motion.nir gone": (lambda x: (x / "motion.nir").unlink(), "does not list motion.nir"),
    "golden empty": (_replace("golden.npz", b""), "golden.npz"),
    "golden text": (_replace("golden.npz", b"hello" * 50), "golden.npz"),
    "golden gone": (lambda x: (x / "golden.npz").unlink(), "does not list golden.npz"),
    "golden without an input": (
        _golden(lambda x: x.pop("codes/audio")),
        "golden.npz.*expected codes of audio, video",
    ),
    "golden without spikes": (
        _golden(lambda x: x.pop("spikes/audio.0")),
        "shapes of spikes is .*, golden.npz has",
    ),
    "golden with fewer neurons": (
        _golden(lambda x: x.update({"spikes/audio.0": x["spikes/audio.0"][:, :, 1:]})),
        "shapes of spikes is",
    ),
    "golden of fewer steps": (
        _golden(lambda x: x.update({k: v[:, 1:] for k, v in x.items()})),
        "T is 10, golden.npz has 9",
    ),
    "golden of other widths": (
        _golden(lambda x: x.update({"codes/audio": x["codes/audio"][:, :, 1:]})),
        "golden.npz|audio",
    ),
    "program empty": (_replace("program.npz", b""), "program.npz"),
    "program text": (_replace("program.npz", b"hello" * 50), "program.npz"),
    "program gone": (lambda x: (x / "program.npz").unlink(), "does not list program.npz"),
    "program of another network": (_other_integers, "layers is .*, program.npz has|quantisation"),
    "program of other steps": (_other_steps, "T is 10, program.npz has 1000000000"),
    "program of another input": (_other_unit, "inputs is .*, program.npz has"),
    "script changed": (
        _script,
        rf"not the script that this version \({re.escape(__version__)}\) puts",
    ),
    "script empty": (_replace("run_lava.py", b""), "run_lava.py: is not the script"),
    "script gone": (lambda x: (x / "run_lava.py").unlink(), "does not list run_lava.py"),
    "a module beside": (_replace("numpy.py", b"1"), "numpy.py: is not part of the bundle"),
    "a library beside": (_replace("lava.so", b"1"), "lava.so: is not part of the bundle"),
    "a package beside": (lambda x: (x / "lava").mkdir(), "lava: is not part of the bundle"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_does_not_belong_is_refused_though_it_was_sealed_anew(
    name: str, bundle: Path
) -> None:
    damage, message = FILES[name]
    damage(bundle)
    reseal(bundle)
    done = run_command("verify", bundle)
    assert done.code == 2 and "Traceback" not in done.err
    with pytest.raises(BadInput, match=message):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "name", ["motion.nir", "golden.npz", "program.npz", "run_lava.py", "manifest.json"]
)
def test_a_link_in_the_place_of_a_file_is_refused(name: str, bundle: Path) -> None:
    (bundle / name).rename(bundle.parent / name)
    (bundle / name).symlink_to(bundle.parent / name)
    with pytest.raises(BadInput, match=f"{re.escape(name)}: is a link"):
        open_bundle(bundle)
    assert open_bundle_of_link(bundle.parent / "link", bundle, name)


def open_bundle_of_link(link: Path, bundle: Path, name: str) -> bool:
    """The folder itself may be a link."""
    (bundle / name).unlink()
    (bundle.parent / name).rename(bundle / name)
    link.symlink_to(bundle, target_is_directory=True)
    return open_bundle(link).notes == ()


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hosts", "", ".", "..", "a/b", "manifest.json", "x" * 300, "a\0b"]
)
def test_a_name_in_the_list_that_leads_elsewhere_is_refused(name: str, bundle: Path) -> None:
    (bundle.parent / "outside").write_text("x")
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    reseal(bundle, files={**files, name: "0" * 64})
    with pytest.raises(BadInput, match=r"listed in manifest.json but not there"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["motion.nir", "manifest.json"])
def test_a_file_beyond_the_limit_is_refused_before_it_is_read(
    name: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_files, "MAX_FILE", 1000)
    monkeypatch.setattr(sealed_files, "MAX_MANIFEST", 1 << 20)
    if name == "manifest.json":
        os.truncate(bundle / name, 1 << 21)
    files = {"motion.nir": "0" * 64}
    if name == "motion.nir":
        reseal(bundle, files=files)
    with pytest.raises(BadInput, match=f"{re.escape(name)}: [0-9,]+ bytes, at most"):
        open_bundle(bundle)


def test_a_script_of_another_version_is_said_and_not_refused(bundle: Path) -> None:
    _script(bundle)
    versions = json.loads((bundle / "manifest.json").read_text())["versions"]
    reseal(bundle, versions={**versions, "neurozsl": "0.0.9"})
    [note] = open_bundle(bundle).notes
    assert note.startswith("run_lava.py is that of version 0.0.9 and could not be compared")


def test_files_beside_a_bundle_are_named(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine")
    (bundle / "__pycache__").mkdir()
    assert open_bundle(bundle).notes == ("not part of the bundle, and not read: notes.txt",)


# ---------------------------------------------------------------- manifest.json as a text

TEXTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda x: b"",
    "half": lambda x: x[: len(x) // 2],
    "no JSON": lambda x: b"hello",
    "a list": lambda x: b"[]",
    "null": lambda x: b"null",
    "a number": lambda x: b"7",
    "an empty object": lambda x: b"{}",
    "not UTF-8": lambda x: x.replace(b'"lava"', b'"\xff\xfe"', 1),
    "a byte of zero": lambda x: x.replace(b'"lava"', b'"\x00"', 1),
    "deep lists": lambda x: b"[" * 200_000,
    "a deep field": lambda x: x.replace(b'"losses": [', b'"losses": [' + b"[" * 200_000, 1),
    "a long number": lambda x: x.replace(b'"T": 10', b'"T": ' + b"9" * 10_000, 1),
    "no number": lambda x: x.replace(b'"T": 10', b'"T": NaN', 1),
    "an endless number": lambda x: x.replace(b'"dt_s": 0.001', b'"dt_s": Infinity', 1),
    "another schema": lambda x: x.replace(b'"schema": 1', b'"schema": 2', 1),
    "another type": lambda x: x.replace(b'"T": 10', b'"T": "ten"', 1),
    "a key more": lambda x: x.replace(b'"T": 10', b'"T": 10, "extra": 1', 1),
    "a key less": lambda x: x.replace(b'"T": 10,', b"", 1),
    "another value": lambda x: x.replace(b'"T": 10', b'"T": 12', 1),
    "no files": lambda x: re.sub(rb'"files": \{[^}]*\}', b'"files": {}', x),
    "no digest": lambda x: re.sub(rb'"digest": "[0-9a-f]+"', b'"digest": ""', x),
    "half a character": lambda x: x.replace(b'"lava"', b'"\\ud800"', 1),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_manifest_that_is_damaged_in_any_way_is_one_message(name: str, bundle: Path) -> None:
    path = bundle / "manifest.json"
    before = path.read_bytes()
    path.write_bytes(TEXTS[name](before))
    assert path.read_bytes() != before
    with pytest.raises(BadInput, match=re.escape(str(path))):
        open_bundle(bundle)


def test_every_byte_of_a_manifest_counts(bundle: Path) -> None:
    path = bundle / "manifest.json"
    content = bytearray(path.read_bytes())
    for at in range(0, len(content), 211):
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        same = _value(bytes(damaged)) == _value(bytes(content))
        if same:  # white space between values
            continue
        with pytest.raises(BadInput, match=r"manifest|listed"):
            open_bundle(bundle)


def _value(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


# ---------------------------------------------------------------- few samples


@pytest.mark.parametrize("target", ["nir", "lava"])
def test_one_golden_sample_is_enough(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lava_target, "locate", lambda: None)
    spec = branch((8, 6, 4))
    chip = chip_input(spec, 1)
    build_bundle(spec, target=target, out_dir=tmp_path / "b", calibration=chip, samples=chip)
    opened = open_bundle(tmp_path / "b")
    assert opened.golden.batch == 1 and opened.verify().verdict in ("PASS", "UNVERIFIED")


def test_a_run_is_exported_and_opened_with_one_golden_sample(run_dir: Path, tmp_path: Path) -> None:
    options = ("--target", "nir", "--samples", "1", "--max-hm-drop", "100")
    done = run_command("export", run_dir, *options, "--out", tmp_path / "b")
    assert (done.code, open_bundle(tmp_path / "b").golden.batch) == (0, 1)
