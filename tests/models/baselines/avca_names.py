"""The public names of AVCA's parts in ours, for the golden files of models that build on it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_PARTS = {
    "A_enc": "encode_audio",
    "V_enc": "encode_video",
    "A_proj": "project_audio",
    "V_proj": "project_video",
    "W_proj": "project_word",
    "D": "decode",
    "A_rec": "reconstruct_audio",
    "V_rec": "reconstruct_video",
}
_BLOCKS = {
    "0": "first.linear",
    "1": "first.norm.norm",
    "4": "second.linear",
    "5": "second.norm.norm",
}
_BLOCK = {"0": "linear", "1": "norm.norm"}
_ONE_BLOCK = ("W_proj", "D", "A_rec", "V_rec")
_ATTENTION = {
    "cross_attention.layers.0.0.norm": "cross_attention.norm_attend",
    "cross_attention.layers.0.0.fn.to_out.0": "cross_attention.attend.out",
    "cross_attention.layers.0.1.norm": "cross_attention.norm_feed",
    "cross_attention.layers.0.1.fn.net.0": "cross_attention.feed.0",
    "cross_attention.layers.0.1.fn.net.3": "cross_attention.feed.3",
}
_QKV = "cross_attention.layers.0.0.fn.to_qkv.weight"


def ours(key: str) -> str:
    """Our name of a public tensor; `to_qkv` is three of ours, see `renamed`."""
    part, _, rest = key.partition(".fc.")
    if part in _PARTS:
        number, _, leaf = rest.partition(".")
        block = (_BLOCK if part in _ONE_BLOCK else _BLOCKS)[number]
        return f"{_PARTS[part]}.{block}.{leaf}"
    if key == "pos_emb1D":
        return "cross_attention.position"
    owner, _, leaf = key.rpartition(".")
    return f"{_ATTENTION[owner]}.{leaf}"


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under our names, the joint map of query, key and value taken apart."""
    found = {ours(key): value for key, value in tensors.items() if key != _QKV}
    if _QKV in tensors:
        parts = zip(("query", "key", "value"), tensors[_QKV].chunk(3), strict=True)
        found |= {f"cross_attention.attend.to_{name}.weight": part for name, part in parts}
    return found


def joined(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """L2 norms of our gradients under the public names' partition: q, k and v as one."""
    norms = {name: float(x.norm()) for name, x in tensors.items()}
    attend = [f"cross_attention.attend.to_{name}.weight" for name in ("query", "key", "value")]
    norms[_QKV] = sum(norms.pop(name) ** 2 for name in attend) ** 0.5
    return norms
