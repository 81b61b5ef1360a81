"""Networks of a user's file, run with onnxruntime, or our own layers over other weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import Kind, brief, checked_object
from neurozsl.data.batch import F32, U8
from neurozsl.data.encoder_spec import EncoderSpec
from neurozsl.data.encoders.base import F64, LabelHead
from neurozsl.data.encoders.packages import missing_extra

AT_ONCE: Final = 16  # frames, blocks of sound or names; bounds memory
MAX_SIDE: Final = 2048
Array = npt.NDArray[Any]
_MEL: Final[Mapping[str, Kind]] = {
    "fft": int, "window": int, "hop": int, "bands": int, "low": float, "high": float,
    "floor": float,
}  # fmt: skip


class OnnxNetwork:
    """An open ONNX file: arrays by the names of its inputs -> one vector per row."""

    def __init__(self, path: Path, found: Mapping[str, Any], where: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise missing_extra(f"encoder '{where}'", "onnxruntime") from error
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1  # the bits of any machine; --jobs uses the others
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common type below it
            raise BadInput(
                f"{where}: {path.name} cannot be opened by onnxruntime ({brief(error)}); export it "
                "again"
            ) from error
        self.inputs = tuple(x.name for x in self._session.get_inputs())
        outputs = tuple(x.name for x in self._session.get_outputs())
        self._read = found.get("tensor", outputs[0])
        self.where = where
        asked = found.get("input", self.inputs[0])
        for what, name, known in (("input", asked, self.inputs), ("tensor", self._read, outputs)):
            if name not in known:
                raise BadInput(
                    f"{where}: {what} '{name}' is not in {path.name}, it has {', '.join(known)}"
                )
        self.fed = asked

    def __call__(self, arrays: Mapping[str, Array]) -> Array:
        """The tensor that is read, as it is."""
        try:
            return np.asarray(self._session.run([self._read], dict(arrays))[0])
        except Exception as error:  # as above
            shapes = ", ".join(f"{name} {x.dtype} {x.shape}" for name, x in arrays.items())
            raise BadInput(
                f"{self.where}: the network does not take {shapes} ({brief(error)}); correct the "
                "TOML"
            ) from error


def vectors_of(values: Array, where: str) -> F32:
    """(n, width) of a network's output: averaged over places, or over time.

    Raises:
        BadInput: values that are no numbers, or not finite.
    """
    if values.ndim == 4:  # (n, c, h, w)
        values = values.mean((2, 3))
    elif values.ndim == 3:  # (n, t, c)
        values = values.mean(1)
    if values.ndim != 2 or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise BadInput(
            f"{where}: the tensor read is {values.dtype} of shape {values.shape}; finite numbers "
            "(n, width), (n, time, width) or (n, width, height, width) are needed; choose another"
        )
    return values.astype(np.float32)


class OwnVideo:
    """An ONNX network of frames; keeps the contract `VideoEncoder`."""

    def __init__(
        self,
        spec: EncoderSpec,
        found: Mapping[str, Any],
        network: OnnxNetwork,
        labels: tuple[str, ...],
    ) -> None:
        where = network.where
        self.side = _bounded(found, "side", 8, MAX_SIDE, where)
        self.shorter = _bounded({"shorter": self.side, **found}, "shorter", self.side, 4096, where)
        self._mean = _three(found, "mean", 0.0, where)
        self._std = _three(found, "std", 1.0, where)
        layout = found.get("layout", "nchw")
        if layout not in ("nchw", "nhwc"):
            raise BadInput(f"{where}: layout {layout!r}; choose nchw or nhwc")
        self._last = layout == "nhwc"
        self._network, self._labels = network, labels
        width = self.frames(np.zeros((1, self.side, self.side, 3), np.uint8)).shape[1]
        self.spec = sized(spec, width, labels, where)

    def frames(self, frames: U8) -> F32:
        """Returns (n, width) of (n, side, side, 3) RGB."""
        return in_parts(self._some, frames)

    def head(self) -> LabelHead | None:
        """Scores themselves, where the TOML has labels."""
        return LabelHead(self._labels, ()) if self._labels else None

    def _some(self, frames: U8) -> F32:
        x = ((frames.astype(np.float32) - self._mean) / self._std).astype(np.float32)
        x = x if self._last else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        return vectors_of(self._network({self._network.fed: x}), self._network.where)


class OwnAudio:
    """An ONNX network of sound; keeps the contract `AudioEncoder`."""

    def __init__(
        self,
        spec: EncoderSpec,
        found: Mapping[str, Any],
        network: OnnxNetwork,
        labels: tuple[str, ...],
    ) -> None:
        where = network.where
        self.rate_hz = _bounded(found, "rate", 1000, 192_000, where)
        seconds = found.get("seconds", 1.0)
        if not 0.02 <= seconds <= 60:
            raise BadInput(f"{where}: seconds {seconds}; choose 0.02 to 60")
        self._samples = round(seconds * self.rate_hz)
        self._mel = None
        if "mel" in found:
            self._mel = checked_object(
                found["mel"], f"{where}: mel", remedy="state them all", keys=_MEL
            )
            if not 0 < self._mel["window"] <= self._mel["fft"] or self._mel["hop"] < 1:
                raise BadInput(f"{where}: mel needs 0 < window <= fft and hop of 1 or more")
        self._network, self._labels = network, labels
        silence = np.zeros(self._samples, np.float32)
        width = self.steps(silence, np.zeros(1), 0.1).shape[1]
        self.spec = sized(spec, width, labels, where)

    def steps(self, waveform: F32, start_s: F64, step_s: float) -> F32:
        """Returns (m, width) of the sound around the middle of each step; silence outside."""
        middle = np.round((start_s + step_s / 2) * self.rate_hz).astype(np.int64)
        half = self._samples // 2
        padded = np.pad(waveform, (half, self._samples))
        begin = np.clip(middle, 0, len(waveform))

        def some(rows: Array) -> F32:
            block = np.stack([padded[at : at + self._samples] for at in rows])
            x = block if self._mel is None else self._log_mel(block)
            return vectors_of(self._network({self._network.fed: x}), self._network.where)

        return in_parts(some, begin)

    def head(self) -> LabelHead | None:
        """Scores themselves, where the TOML has labels."""
        return LabelHead(self._labels, ()) if self._labels else None

    def _log_mel(self, block: F32) -> F32:
        """(n, frames, bands)."""
        import librosa
        from librosa.filters import mel as mel_bands

        assert self._mel is not None
        mel = self._mel
        bands = mel_bands(
            sr=self.rate_hz, n_fft=mel["fft"], n_mels=mel["bands"], fmin=mel["low"],
            fmax=mel["high"], htk=True, norm=None,
        )  # fmt: skip
        spectrum = np.abs(
            librosa.stft(
                block,
                n_fft=mel["fft"],
                win_length=mel["window"],
                hop_length=mel["hop"],
                center=False,
            )
        )
        energies: F32 = np.log(bands @ spectrum + mel["floor"]).astype(np.float32)
        return np.ascontiguousarray(energies.transpose(0, 2, 1))


class OwnText:
    """An ONNX network of tokens; keeps the contract `TextEncoder`."""

    def __init__(
        self, spec: EncoderSpec, found: Mapping[str, Any], network: OnnxNetwork, tokenizer: Any
    ) -> None:
        self._network, self._tokenizer = network, tokenizer
        self.spec = sized(spec, self.text(["a"]).shape[1], (), network.where)

    def text(self, names: Sequence[str]) -> F32:
        """Returns (n, width), rows of length 1; each name alone, so that others change nothing."""
        rows = [self._one(name) for name in names]
        vectors = np.stack(rows) if rows else np.zeros((0, self.spec.width), np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: F32 = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
        return unit

    def _one(self, name: str) -> F32:
        ids = np.array([self._tokenizer.encode(name).ids], np.int64)
        arrays = [ids, np.ones_like(ids), np.zeros_like(ids)]  # ids, mask, types
        fed = dict(zip(_in_order(self._network.inputs), arrays, strict=False))
        row: F32 = vectors_of(self._network(fed), self._network.where)[0]
        return row


def _in_order(inputs: Sequence[str]) -> list[str]:
    """Inputs as ids, mask, types.

    >>> _in_order(["attention_mask", "token_type_ids", "input_ids"])
    ['input_ids', 'attention_mask', 'token_type_ids']
    """
    types = [name for name in inputs if "type" in name]
    masks = [name for name in inputs if "mask" in name]
    ids = [name for name in inputs if name not in (*types, *masks)]
    return [*ids[:1], *masks[:1], *types[:1]]


def in_parts(some: Callable[[Any], F32], rows: Array) -> F32:
    """What a function gives for all rows, `AT_ONCE` of them at a time."""
    parts = [some(rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def sized(spec: EncoderSpec, width: int, labels: tuple[str, ...], where: str) -> EncoderSpec:
    """The spec with its width.

    Raises:
        BadInput: labels that are not one per value.
    """
    if labels and len(labels) != width:
        raise BadInput(
            f"{where}: {len(labels)} labels for a tensor of {width} values; one each is needed"
        )
    return replace(spec, width=width)


def own_onnx(
    spec: EncoderSpec,
    found: Mapping[str, Any],
    files: Mapping[str, Path],
    labels: tuple[str, ...],
    *,
    where: str,
) -> OwnVideo | OwnAudio | OwnText:
    """The encoder of an ONNX file."""
    network = OnnxNetwork(files["file"], found, where)
    if spec.part == "video":
        return OwnVideo(spec, found, network, labels)
    if spec.part == "audio":
        return OwnAudio(spec, found, network, labels)
    return OwnText(spec, found, network, _tokenizer(found, files, where))


def own_safetensors(
    spec: EncoderSpec, found: Mapping[str, Any], files: Mapping[str, Path], *, where: str
) -> Any:
    """The encoder of a safetensors file with weights for one of our networks."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from neurozsl.data.encoders.aisfx import AiSFX
    from neurozsl.data.encoders.bert import Bert
    from neurozsl.data.encoders.efficientnet_lite0 import EfficientNetLite0

    made: Any
    network = found.get("network", "")
    parts = {"efficientnet-lite0": "video", "aisfx": "audio", "bert": "text"}
    if parts.get(network) != spec.part:
        known = ", ".join(name for name, part in parts.items() if part == spec.part)
        raise BadInput(f"{where}: network '{network}'; a {spec.part} encoder has {known}")
    try:
        weights = load_file(files["file"])
        if network == "bert":
            width = weights["embeddings.word_embeddings.weight"].shape[1]
            heads = _bounded(found, "heads", 1, width, where)
            made = Bert(weights, _tokenizer(found, files, where), replace(spec, width=width), heads)
            made.text(["a"])
            return made
        if network == "aisfx":
            made = AiSFX(weights, spec.sha256)
        else:
            names = files.get("labels")
            labels = tuple(names.read_text(encoding="utf-8").splitlines()) if names else ()
            labels = labels or ("",) * len(weights["_fc.bias"])
            made = EfficientNetLite0(weights, labels, spec.sha256)
    except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
        raise BadInput(
            f"{where}: {files['file'].name} holds no weights of {network} ({brief(error)}); give "
            "the file of that network"
        ) from error
    told = {"name": spec.name, "licence": spec.licence, "source": spec.source}
    made.spec = replace(made.spec, **told)
    return made


def _tokenizer(found: Mapping[str, Any], files: Mapping[str, Path], where: str) -> Any:
    from neurozsl.data.encoders.bert import LONGEST, tokenizer_of

    if "tokenizer" not in files:
        raise BadInput(f"{where}: no tokenizer; name the tokenizer.json of the network")
    longest = _bounded({"longest": LONGEST, **found}, "longest", 2, 8192, where)
    return tokenizer_of(files["tokenizer"], longest)


def _bounded(found: Mapping[str, Any], key: str, low: int, high: int, where: str) -> int:
    value = found.get(key)
    if not isinstance(value, int) or not low <= value <= high:
        raise BadInput(f"{where}: {key} is {value}, expected {low} to {high}")
    return value


def _three(found: Mapping[str, Any], key: str, default: float, where: str) -> F32:
    values = found.get(key, [default] * 3)
    fits = len(values) == 3 and all(type(x) in (int, float) for x in values)
    if not fits or (key == "std" and 0 in values):
        raise BadInput(f"{where}: {key} is {values}, expected three numbers, of std none 0")
    return np.asarray(values, np.float32)
