"""An encoder of the user's own: a TOML file that says how to read an ONNX or safetensors file.

    part = "video"                  # video, audio or text
    file = "clip-visual.onnx"       # beside the TOML; .onnx, or .safetensors with `network`
    network = "efficientnet-lite0"  # safetensors: whose layers these are (also aisfx, bert)
    licence = "MIT"                 # licence, source: for people
    source = "https://..."
    input = "pixel_values"          # ONNX: tensor that is fed; default: the only one
    tensor = "image_embeds"         # ONNX: tensor that is read; default: the first
    labels = "labels.txt"           # a name per line: the tensor read is scores of these
    # video
    side = 224                      # px of the square that is cut out of the centre
    shorter = 256                   # px that the shorter side is resized to before; default: side
    mean = [123.675, 116.28, 103.53]  # of pixel values 0..255, subtracted; default 0
    std = [58.395, 57.12, 57.375]   # divided by; default 1
    layout = "nchw"                 # or nhwc
    # audio
    rate = 16000                    # Hz
    seconds = 0.96                  # of sound around the middle of a step
    mel = { fft = 512, window = 400, hop = 160, bands = 64, low = 125, high = 7500, floor = 0.01 }
    # text
    tokenizer = "tokenizer.json"    # `tokenizers`; ONNX: fed ids, mask and, where asked, types
    heads = 12                      # bert: of the attention
    longest = 77                    # tokens

Without `mel` an audio network reads the waveform (n, samples); with it the natural logarithm of
magnitudes in mel bands (HTK) plus `floor`, as (n, frames, bands). An output of more than two axes
is averaged over all but the first and, of pictures (n, c, h, w), the second; text is averaged over
its tokens. Paths may not lead out of the folder of the TOML.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from neurozsl.core.digest import sha256
from neurozsl.core.errors import BadInput
from neurozsl.core.reading import Kind, brief, checked_object, read_bytes
from neurozsl.data.encoder_spec import PARTS, EncoderSpec, Part
from neurozsl.data.encoders.own_network import own_onnx, own_safetensors

REVISION: Final = 1  # of the code that reads it; counts in the digest
MAX_BYTES: Final = 2**16
MAX_LABEL_BYTES: Final = 2**22
REMEDY: Final = "see the head of neurozsl/data/encoders/own_file.py for what it may hold"
_COMMON: Final[Mapping[str, Kind]] = {
    "part": str, "file": str, "network": str, "licence": str, "source": str, "input": str,
    "tensor": str, "labels": str,
}  # fmt: skip
_OF_PART: Final[Mapping[str, Mapping[str, Kind]]] = {
    "video": {"side": int, "shorter": int, "mean": list, "std": list, "layout": str},
    "audio": {"rate": int, "seconds": float, "mel": dict},
    "text": {"tokenizer": str, "heads": int, "longest": int},
}
_FILES: Final = ("file", "labels", "tokenizer")


def open_own(path: Path, part: Part) -> Any:
    """The encoder that a TOML describes.

    Raises:
        BadInput: the file or one that it names is missing, damaged or says what cannot be.
        MissingPart: onnxruntime or tokenizers is not installed.
    """
    found = _read(path, part)
    files: dict[str, Path] = {k: _beside(path, k, found[k]) for k in _FILES if k in found}
    labels = _labels(files["labels"]) if "labels" in files else ()
    # What decides the numbers: the TOML's own words and the content of every file it names.
    digest = hashlib.sha256(f"revision {REVISION} {sorted(found.items())}".encode())
    for key in sorted(files):
        digest.update(f"{key} {sha256(files[key])}".encode())
    spec = EncoderSpec(
        str(path.resolve()),
        part,
        width=1,  # known when it is open
        sha256=digest.hexdigest(),
        licence=found.get("licence", "not stated"),
        source=found.get("source", "not stated"),
        labels=len(labels),
    )
    suffix = files["file"].suffix
    if suffix == ".onnx":
        return own_onnx(spec, found, files, labels, where=str(path))
    if suffix == ".safetensors":
        return own_safetensors(spec, found, files, where=str(path))
    raise BadInput(
        f"{path}: file '{found['file']}' is neither .onnx nor .safetensors; export the network to "
        "one of them"
    )


def _read(path: Path, part: Part) -> dict[str, Any]:
    data = read_bytes(path, remedy=REMEDY, max_bytes=MAX_BYTES)
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: is no TOML ({brief(error)}); {REMEDY}") from error
    needed: dict[str, Kind] = {"part": str, "file": str}
    checked_object(found, str(path), remedy=REMEDY, keys=needed)
    if found["part"] not in PARTS or found["part"] != part:
        raise BadInput(
            f"{path}: part is {found['part']!r}, an encoder of {part} is needed here; {REMEDY}"
        )
    known = {**_COMMON, **_OF_PART[part]}
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise BadInput(
            f"{path}: unknown key {', '.join(unknown)}; {part} encoders have "
            f"{', '.join(sorted(known))}"
        )
    for key in found:
        checked_object(found, str(path), remedy=REMEDY, keys={key: known[key]})
    return found


def _beside(path: Path, key: str, name: str) -> Path:
    """A file that the TOML names, inside of its folder."""
    folder = path.resolve().parent
    there = (folder / name).resolve()
    if not there.is_relative_to(folder) or not there.is_file():
        raise BadInput(
            f"{path}: {key} '{name}' is no file beside it or below its folder; put it there"
        )
    return there


def _labels(path: Path) -> tuple[str, ...]:
    data = read_bytes(path, remedy="write one name per line", max_bytes=MAX_LABEL_BYTES)
    try:
        return tuple(line.strip() for line in data.decode("utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: is no UTF-8 text; write one name per line") from error
