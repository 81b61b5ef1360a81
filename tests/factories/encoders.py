"""Small networks as ONNX files whose numbers are known, and encoders that count their work."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from neurozsl.data.batch import F32, U8
from neurozsl.data.encoder_spec import EncoderSpec
from neurozsl.data.encoders.base import F64, LabelHead

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def write_onnx(path: Path, nodes: list[onnx.NodeProto], inputs: dict[str, int], width: int) -> Path:
    """A network of free shapes that gives `out`, (n, width) or more axes."""
    fed = [helper.make_tensor_value_info(name, kind, None) for name, kind in inputs.items()]
    out = helper.make_tensor_value_info("out", FLOAT, None)
    table = np.arange(8 * width, dtype=np.float32).reshape(8, width)
    stored = [
        helper.make_tensor("axes", INT, [2], [2, 3]),
        helper.make_tensor("last", INT, [1], [1]),
        helper.make_tensor("table", FLOAT, table.shape, table.ravel()),
    ]
    graph = helper.make_graph(nodes, "tiny", fed, [out], stored)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(made, str(path))
    return path


def video_toml(folder: Path, **more: object) -> Path:
    """A network of frames that gives the mean red, green and blue, with labels."""
    node = helper.make_node("ReduceMean", ["pixels", "axes"], ["out"], keepdims=0)
    write_onnx(folder / "video.onnx", [node], {"pixels": FLOAT}, 3)
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    said = {"part": "video", "file": "video.onnx", "labels": "labels.txt", "side": 32, **more}
    return _toml(folder / "video.toml", said)


def audio_toml(folder: Path, **more: object) -> Path:
    """A network of sound that gives its largest sample."""
    node = helper.make_node("ReduceMax", ["wave", "last"], ["out"], keepdims=1)
    write_onnx(folder / "audio.onnx", [node], {"wave": FLOAT}, 1)
    said = {"part": "audio", "file": "audio.onnx", "rate": 8000, "seconds": 0.2, **more}
    return _toml(folder / "audio.toml", said)


def text_toml(folder: Path) -> Path:
    """A network of words that gives rows of a table: word k of the tokenizer is row k."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["out"])]
    write_onnx(folder / "text.onnx", nodes, {"input_ids": INT}, 4)
    words = {"[UNK]": 0, "dog": 1, "cat": 2, "cow": 3, "owl": 4, "red": 5}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    said = {"part": "text", "file": "text.onnx", "tokenizer": "tokenizer.json"}
    return _toml(folder / "text.toml", said)


def _toml(path: Path, said: Mapping[str, object]) -> Path:
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items()))
    return path


class CountingVideo:
    """Mean colours of frames; counts the frames that it was given."""

    shorter, side = 40, 32

    def __init__(self, sha256: str = "v1") -> None:
        self.spec = EncoderSpec("counting", "video", 3, sha256, "MIT", "made here")
        self.seen = 0

    def frames(self, frames: U8) -> F32:
        self.seen += len(frames)
        colours: F32 = frames.mean((1, 2)).astype(np.float32)
        return colours

    def head(self) -> LabelHead | None:
        return None


class CountingAudio:
    """Mean square of the samples of a step; counts the steps that it was given."""

    rate_hz = 8000

    def __init__(self, sha256: str = "a1") -> None:
        self.spec = EncoderSpec("counting", "audio", 2, sha256, "MIT", "made here")
        self.seen = 0

    def steps(self, waveform: F32, start_s: F64, step_s: float) -> F32:
        self.seen += len(start_s)
        rows = [
            waveform[round(s * self.rate_hz) : round((s + step_s) * self.rate_hz)] for s in start_s
        ]
        return np.array([[np.mean(x**2), 1.0] for x in rows], np.float32)

    def head(self) -> LabelHead | None:
        return None
