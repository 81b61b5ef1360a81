"""`setup encoders`: exact wheels, checked before they are read; folders whole or not at all."""

import hashlib
import importlib.metadata
import json
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from neurozsl.cli.data import app
from neurozsl.core.errors import BadInput, MissingPart
from neurozsl.data.encoder_spec import Part
from neurozsl.data.encoders import aisfx, efficientnet_lite0, folder, setup
from neurozsl.data.encoders.packages import Packaged, Pin, member
from neurozsl.data.encoders.registry import open_encoder, packaged

ROOT = Path(__file__).resolve().parents[2]
FILE = "tiny_weights-0.1.0-py3-none-any.whl"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one wheel in the place of the package index."""
    place = tmp_path / "index"
    place.mkdir()
    with zipfile.ZipFile(place / FILE, "w") as wheel:
        info = "tiny_weights-0.1.0.dist-info"
        wheel.writestr("tiny_weights/weights.bin", b"weights")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 0.1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    monkeypatch.setenv("NEUROZSL_ENCODERS", str(tmp_path / "encoders"))
    return place


def tiny(index: Path) -> Packaged:
    digest = hashlib.sha256((index / FILE).read_bytes()).hexdigest()

    def make(wheels: Mapping[str, Path], out: Path) -> None:
        data = member(wheels["tiny-weights"], "tiny_weights/weights.bin")
        (out / "weights.bin").write_bytes(data)

    pin = Pin("tiny-weights", "0.1.0", digest, 7, "weights", "MIT")
    return Packaged("tiny", "video", (pin,), make, lambda: None)


def test_a_wheel_becomes_a_folder_once(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each, lines = tiny(index), list[str]()
    assert setup.missing([each]) == [each]
    setup.create([each], report=lines.append)
    assert setup.missing([each]) == []
    there = folder.require("tiny", each.packages)
    assert there.file("weights.bin").read_bytes() == b"weights"
    assert [line for line in lines if "downloading tiny-weights==0.1.0" in line]
    monkeypatch.setattr(setup, "_download", lambda *_: pytest.fail("downloaded again"))
    setup.create([each])
    with pytest.raises(MissingPart, match="run: neurozsl setup encoders"):
        folder.require("tiny", {"tiny-weights==0.2.0": "other"})


def test_another_file_than_the_pinned_one_is_named_and_not_read(index: Path) -> None:
    each = tiny(index)
    wrong = replace(each, pins=(replace(each.pins[0], sha256="0" * 64),))
    found = each.pins[0].sha256
    with pytest.raises(BadInput, match=rf"{FILE}: sha256 {found}, 0{{64}} is pinned"):
        setup.create([wrong])
    assert not (folder.home() / "tiny").exists()
    assert [x.name for x in folder.home().iterdir()] == []


def test_what_cannot_be_downloaded_says_so(index: Path) -> None:
    each = tiny(index)
    absent = replace(each, pins=(replace(each.pins[0], version="9.9"),))
    with pytest.raises(MissingPart, match=r"tiny-weights==9.9: could not be downloaded \(ERROR"):
        setup.create([absent])


def test_an_error_in_the_middle_leaves_nothing(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = tiny(index)

    def half(_: Mapping[str, Path], out: Path) -> None:
        (out / "weights.bin").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "_download", lambda pin, into: index / FILE)
    with pytest.raises(KeyboardInterrupt):
        setup.create([replace(each, make=half)])
    assert list(folder.home().iterdir()) == [] and setup.missing([each]) == [each]
    setup.create([each])
    assert setup.missing([each]) == []


def test_weights_that_were_changed_are_refused(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = tiny(index)
    monkeypatch.setattr(setup, "_download", lambda pin, into: index / FILE)
    setup.create([each])
    (folder.home() / "tiny" / "weights.bin").write_bytes(b"other")
    with pytest.raises(BadInput, match="was changed since it was set up"):
        folder.require("tiny", each.packages).file("weights.bin")


def test_every_package_is_pinned_with_a_permissive_licence() -> None:
    pins = [pin for each in packaged() for pin in each.pins]
    assert len(pins) == 4
    for pin in pins:
        assert len(pin.sha256) == 64 and pin.size > 0
        assert pin.licence in ("Apache-2.0", "MIT", "CC-BY-4.0")
    page = (ROOT / "README.md").read_text()
    for pin in pins:
        assert pin.package in page and pin.licence in page


def test_labels_of_sound_effects_are_one_per_output_and_mostly_known() -> None:
    labels = [x.strip() for x in aisfx.LABELS.split(",")]
    assert len(labels) == 79 and labels.count("") == 3
    named = [x for x in labels if x]
    assert named == sorted(named) and len(set(named)) == 76


def test_a_checkpoint_that_would_run_something_is_refused(tmp_path: Path) -> None:
    """The allow-list lets scalars of numpy in, and no call."""

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save(
        ({"embedding_net.x": torch.zeros(1)}, {"a": (np.int64(0), 3), "b": Trap()}), tmp_path / "c"
    )
    wheel = tmp_path / "w.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "c", "aisfx/models/checkpoint.pth")
    with pytest.raises(Exception, match="Weights only load failed"):
        aisfx.PACKAGED.make({"aisfx": wheel}, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_the_extra_names_packages_of_permissive_licences() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = [Requirement(x) for x in project["optional-dependencies"]["encoders"]]
    assert {x.name for x in extra} == {"onnxruntime", "tokenizers"}
    for requirement in extra:
        files = importlib.metadata.files(requirement.name) or ()
        [meta] = [x for x in files if x.match("*.dist-info/METADATA")]
        said = [
            line
            for line in meta.read_text().splitlines()
            if line.startswith(("License", "Classifier: License"))
        ]
        assert any("MIT" in x or "Apache" in x for x in said), requirement.name
        assert not any("GPL" in x for x in said)


# ---------------------------------------------------------------- the real ones


def real(name: str, part: Part) -> object:
    """An encoder of this machine's own folder of encoders."""
    try:
        return open_encoder(name, part)
    except MissingPart as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_efficientnet_sees_what_a_picture_shows() -> None:
    encoder = real("efficientnet-lite0", "video")
    assert isinstance(encoder, efficientnet_lite0.EfficientNetLite0)
    grey = np.full((1, 224, 224, 3), 127, np.uint8)
    features = encoder.frames(np.concatenate([grey, grey]))
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)
    assert features.shape == (2, 1280) and features.min() >= 0
    assert len(encoder.head().labels) == 1000 and encoder.head().labels[486] == "cello"


@pytest.mark.slow
def test_aisfx_is_the_same_in_any_cut_and_its_spectrogram_is_librosas() -> None:
    import librosa

    encoder = real("aisfx", "audio")
    assert isinstance(encoder, aisfx.AiSFX)
    sound = np.random.default_rng(0).normal(0, 0.1, 44_100 * 8).astype(np.float32)
    mel = librosa.feature.melspectrogram(
        y=sound, sr=44_100, n_fft=2048, n_mels=96, norm=1.0, htk=True, hop_length=1024
    )
    expected = (np.log10(mel * 1e4 + 1) / aisfx.LARGEST).T
    np.testing.assert_allclose(aisfx.log_mel(sound, 0, len(expected)), expected, atol=1e-5)
    whole = np.concatenate(list(encoder.frames(sound)))
    aisfx_at_once, aisfx.AT_ONCE = aisfx.AT_ONCE, 64  # type: ignore[misc]
    try:
        cut = np.concatenate(list(encoder.frames(sound)))
    finally:
        aisfx.AT_ONCE = aisfx_at_once  # type: ignore[misc]
    np.testing.assert_allclose(whole, cut, atol=1e-4)


@pytest.mark.slow
def test_minilm_puts_like_meanings_together() -> None:
    encoder = real("minilm", "text")
    names = ["dog barking", "a dog barks", "playing piano", "someone plays the piano"]
    vectors = encoder.text(names)  # type: ignore[attr-defined]
    like = vectors @ vectors.T
    np.testing.assert_allclose(np.diag(like), 1.0, atol=1e-5)
    assert like[0, 1] > 0.8 and like[2, 3] > 0.8 and like[:2, 2:].max() < 0.3
    np.testing.assert_allclose(encoder.text(names[:1])[0], vectors[0], atol=1e-5)  # type: ignore[attr-defined]


def test_doctor_and_json_tell_of_encoders() -> None:
    from neurozsl.cli.setup import _encoders

    [first, *others] = _encoders()
    assert first.name == "encoders" and {x.name for x in others} == {"onnxruntime", "tokenizers"}
    assert json.dumps([vars(x) for x in others])


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    ("option", "name"), [("--video-encoder", "efficientnet-lite0"), ("--audio-encoder", "aisfx")]
)
def test_building_without_the_weights_ends_with_the_line_that_gets_them(
    option: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROZSL_ENCODERS", str(tmp_path / "none"))
    given = ["build", "--clips", str(tmp_path), "--labels", str(tmp_path / "x.csv")]
    result = CliRunner().invoke(app, [*given, option, name, "--out", str(tmp_path / "set")])
    assert isinstance(result.exception, MissingPart) and result.exception.exit_code == 5
    assert "run: neurozsl setup encoders" in str(result.exception)
    assert not (tmp_path / "set").exists()


def test_a_missing_package_ends_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.factories.encoders import text_toml, video_toml

    paths = {"onnxruntime": video_toml(tmp_path), "tokenizers": text_toml(tmp_path)}
    for package, path in paths.items():
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, package, None)
            part: Part = "video" if package == "onnxruntime" else "text"
            with pytest.raises(MissingPart, match=r"pip install 'neurozsl\[encoders\]'") as error:
                open_encoder(str(path), part)
            assert package in str(error.value)
