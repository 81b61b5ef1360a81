"""AVCA from its weights alone: one sample, head and term at a time, in numpy and plain Python."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurozsl import models
from neurozsl.data.batch import AVBatch
from neurozsl.models.avca import AVCA

F64 = Any  # numpy arrays of float64
SMALL: dict[str, Any] = {
    "embed": 12,
    "hidden": 20,
    "proj": 8,
    "heads": 3,
    "head_width": 4,
    "mlp": 6,
    "drop_enc": 0.0,
    "drop_proj": 0.0,
    "drop_dec": 0.0,
}


def build(**options: Any) -> AVCA:
    model = models.build("avca", **options)
    assert isinstance(model, AVCA)
    return model


def batch(
    n: int = 12, steps: int = 5, seed: int = 0, dtype: torch.dtype = torch.float32
) -> AVBatch:
    g = torch.Generator().manual_seed(seed)
    mask = torch.ones(n, steps, dtype=torch.bool)
    mask[::3, 1 + steps // 2 :] = False
    return AVBatch(
        torch.rand(n, steps, 10, generator=g, dtype=dtype) * 2,
        torch.rand(n, steps, 14, generator=g, dtype=dtype) * 2,
        mask,
        torch.arange(n) % 3,
    )


def small(**options: Any) -> AVCA:
    torch.manual_seed(0)
    return build(audio_dim=10, video_dim=14, **{**SMALL, **options})


def vectors(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(3, 300, generator=torch.Generator().manual_seed(1), dtype=dtype)


def negatives(n: int) -> Tensor:
    return (torch.arange(n) + 1) % n


def _relu(x: F64) -> F64:
    return np.maximum(x, 0)


def _gelu(x: F64) -> F64:
    return np.asarray(x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2)


def _layer_norm(x: F64, weight: F64, bias: F64) -> F64:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(var + 1e-5) * weight + bias)


class Slow:
    """The forward pass in evaluation mode from the weights alone, one sample and head at a time."""

    def __init__(self, model: AVCA) -> None:
        self.c = model.config
        self.w = {k: v.numpy().astype(np.float64) for k, v in model.state_dict().items()}

    def block(self, name: str, x: F64) -> F64:
        w = self.w
        y = x @ w[f"{name}.linear.weight"].T + w[f"{name}.linear.bias"]
        n = f"{name}.norm.norm"
        y = (y - w[f"{n}.running_mean"]) / np.sqrt(w[f"{n}.running_var"] + 1e-5)
        return _relu(y * w[f"{n}.weight"] + w[f"{n}.bias"])

    def two(self, name: str, x: F64) -> F64:
        return self.block(f"{name}.second", self.block(f"{name}.first", x))

    def attend(self, tokens: F64) -> F64:
        w, d = self.w, self.c.head_width
        name = "cross_attention.attend"
        q, k, v = (tokens @ w[f"{name}.to_{x}.weight"].T for x in ("query", "key", "value"))
        heads = []
        for h in range(self.c.heads):
            part = slice(h * d, (h + 1) * d)
            scores = np.array(
                [[sum(q[i, part] * k[j, part]) / math.sqrt(d) for j in (0, 1)] for i in (0, 1)]
            )
            share = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
            heads.append(share @ v[:, part])
        return np.concatenate(heads, 1) @ w[f"{name}.out.weight"].T + w[f"{name}.out.bias"]

    def feed(self, x: F64) -> F64:
        w, name = self.w, "cross_attention.feed"
        up = _gelu(x @ w[f"{name}.0.weight"].T + w[f"{name}.0.bias"])
        return up @ w[f"{name}.3.weight"].T + w[f"{name}.3.bias"]

    def norm(self, which: str, x: F64) -> F64:
        name = f"cross_attention.norm_{which}"
        return _layer_norm(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def cross(self, phi_a: F64, phi_v: F64) -> F64:
        """(2, embed): the tokens of one sample after attention."""
        x = np.stack([phi_a, phi_v]) + self.w["cross_attention.position"]
        if self.c.attention == "pre_norm":
            x = x + self.attend(self.norm("attend", x))
            return x + self.feed(self.norm("feed", x))
        x = self.norm("attend", x + self.attend(x))
        return self.norm("feed", x + self.feed(x))

    def thetas(self, b: AVBatch) -> tuple[F64, F64]:
        theta_a, theta_v = [], []
        for i in range(len(b)):
            real = b.mask[i].numpy()
            phi_a = self.two("encode_audio", b.audio[i].numpy()[real].mean(0))
            phi_v = self.two("encode_video", b.video[i].numpy()[real].mean(0))
            attended = self.cross(phi_a, phi_v)
            if self.c.residual == "double":
                attended = attended + np.stack([phi_a, phi_v])
            theta_a.append(self.two("project_audio", attended[0]))
            theta_v.append(self.two("project_video", attended[1]))
        return np.stack(theta_a), np.stack(theta_v)


def trained_a_little(**options: Any) -> AVCA:
    """A double-precision model whose running statistics have left 0 and 1."""
    model = small(**options).double()
    for seed in range(5):
        model(batch(n=24, seed=seed, dtype=torch.float64))
    return model.eval()


def _distance(x: list[float], y: list[float]) -> float:
    return math.sqrt(sum((a - b + 1e-6) ** 2 for a, b in zip(x, y, strict=True)))


def triplet(anchor: Any, positive: Any, negative: Any, margin: float) -> float:
    hinges = [
        max(_distance(a, p) - _distance(a, n) + margin, 0.0)
        for a, p, n in zip(anchor, positive, negative, strict=True)
    ]
    return sum(hinges) / len(hinges)


def mse(x: Any, y: Any) -> float:
    squares = [(a - b) ** 2 for p, q in zip(x, y, strict=True) for a, b in zip(p, q, strict=True)]
    return float(sum(squares) / len(squares))


def plain(group: Any) -> list[Any]:
    """Tensors as lists of Python floats."""
    return [x.tolist() for x in group]


def slow_losses(
    theta: Any, rho: Any, phi: Any, rec: Any, w: Any, minus: list[int], margin: float
) -> dict[str, float]:
    """Eq. 5 and 7 to 10 term by term, in plain Python."""
    (ta, tv, tw), (ra, rv, rw) = theta, rho
    na, nv, nw = ([x[i] for i in minus] for x in theta)
    ma, mv = [ra[i] for i in minus], [rv[i] for i in minus]

    def t(anchor: Any, positive: Any, negative: Any) -> float:
        return triplet(anchor, positive, negative, margin)

    return {
        "l_t": t(ta, tw, na) + t(tv, tw, nv) + t(tw, ta, nw) + t(tw, tv, nw),
        "l_rec": mse(w, rv) + mse(w, ra) + mse(w, rw),
        "l_ct": t(rw, rv, mv) + t(rw, ra, ma),
        "l_w": t(tw, ta, na) + t(tw, tv, nv) + t(ta, tw, nw) + t(tv, tw, nw),
        "l_r": mse(rec[1], phi[1]) + mse(rec[0], phi[0]) + mse(tv, tw) + mse(ta, tw),
    }
