"""A slow and obvious interpreter of flat NIR graphs: one node, one step, one sample at a time.

Nothing is folded: every node computes its own equation, as the NIR paper writes it, in its explicit
Euler form with a step of dt. Convolutions and pools are loops over positions.
"""

from typing import Any

import numpy as np

from neurozsl.hardware.network.neuron import NeuronRule


def interpret(
    graph: Any, x: dict[str, Any], order: list[str], dt: float, rule: NeuronRule
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Spikes and membranes `(time, ...)` of every neuron node, and values of every output node.

    Args:
        x: per Input node, values `(time, *shape)`.
        order: neuron nodes as they run in a step; one that comes later is seen a step late.
    """
    steps = len(next(iter(x.values())))
    feeding: dict[str, list[str]] = {}
    for a, b in dict.fromkeys(map(tuple, graph.edges)):
        feeding.setdefault(b, []).append(a)
    state: dict[str, Any] = {}
    spikes: dict[str, list[Any]] = {name: [] for name in order}
    record: dict[str, list[Any]] = {name: [] for name in order}
    read: dict[str, list[Any]] = {
        k: [] for k, n in graph.nodes.items() if type(n).__name__ == "Output"
    }
    history: dict[str, list[Any]] = {}

    for t in range(steps):
        now: dict[str, Any] = {}

        def value(name: str, t: int = t, now: dict[str, Any] = now) -> Any:
            node = graph.nodes[name]
            kind = type(node).__name__
            if name in now:
                return now[name]
            if kind == "Input":
                now[name] = np.asarray(x[name][t], np.float64)
            elif name in spikes:
                return spikes[name][-1] if spikes[name] else None  # of the step before
            else:
                total = gather(name)
                if total is None:
                    return None
                now[name] = linear(node, kind, name, total, t)
            return now[name]

        def gather(name: str) -> Any:
            parts = [value(source) for source in feeding[name]]
            known = [part for part in parts if part is not None]
            return sum(known) if known else None

        def linear(node: Any, kind: str, name: str, v: Any, t: int) -> Any:
            if kind == "Delay":
                kept = history.setdefault(name, [])
                while len(kept) < t:
                    kept.append(np.zeros_like(v))
                kept.append(v)
                late = np.broadcast_to(np.rint(np.asarray(node.delay) / dt).astype(int), v.shape)
                out = np.zeros_like(v)
                for index in np.ndindex(v.shape):
                    if t - late[index] >= 0:
                        out[index] = kept[t - late[index]][index]
                return out
            return static(node, kind, v)

        for name in order:
            node = graph.nodes[name]
            total = gather(name)
            z, v, state[name] = neuron(node, total, state.get(name), dt, rule)
            now[name] = z
            spikes[name].append(z)
            record[name].append(v)
        for name in read:
            read[name].append(sum(value(source) for source in feeding[name]))
    return {k: np.array(v) for k, v in spikes.items()}, {
        **{k: np.array(v) for k, v in record.items()},
        **{k: np.array(v) for k, v in read.items()},
    }


def static(node: Any, kind: str, v: Any) -> Any:
    if kind in ("Affine", "Linear"):
        made = np.asarray(node.weight, np.float64) @ v.ravel()
        return made + np.asarray(node.bias, np.float64) if kind == "Affine" else made
    if kind == "Scale":
        return v * np.asarray(node.scale, np.float64)
    if kind == "Flatten":
        rank = v.ndim
        a, b = int(node.start_dim) % rank, int(node.end_dim) % rank
        return v.reshape(*v.shape[:a], -1, *v.shape[b + 1 :])
    if kind in ("SumPool2d", "AvgPool2d"):
        (kh, kw), (sh, sw), (ph, pw) = (
            np.ravel(k) for k in (node.kernel_size, node.stride, node.padding)
        )
        v = np.pad(v, ((0, 0), (ph, ph), (pw, pw)))
        rows = (v.shape[1] - kh) // sh + 1
        columns = (v.shape[2] - kw) // sw + 1
        out = np.zeros((len(v), rows, columns))
        for c, i, j in np.ndindex(out.shape):
            out[c, i, j] = v[c, i * sh : i * sh + kh, j * sw : j * sw + kw].sum()
        return out / (kh * kw) if kind == "AvgPool2d" else out
    assert kind in ("Conv1d", "Conv2d"), kind
    weight = np.asarray(node.weight, np.float64)
    flat = kind == "Conv1d"
    if flat:
        weight, v = weight[:, :, None], v[:, None]

    def two(value: Any, other: int) -> tuple[int, int]:
        found = [int(k) for k in np.ravel(value)]
        return (other, found[0]) if flat else (found[0], found[-1])

    (sh, sw), (dh, dw) = two(node.stride, 1), two(node.dilation, 1)
    spans = [dh * (weight.shape[2] - 1), dw * (weight.shape[3] - 1)]
    if isinstance(node.padding, str):
        pads = [(s // 2, s - s // 2) if node.padding == "same" else (0, 0) for s in spans]
    else:
        pads = [(p, p) for p in two(node.padding, 0)]
    v = np.pad(v, ((0, 0), *pads))
    rows = (v.shape[1] - spans[0] - 1) // sh + 1
    columns = (v.shape[2] - spans[1] - 1) // sw + 1
    out = np.zeros((len(weight), rows, columns))
    per_in, per_out = weight.shape[1], len(weight) // int(node.groups)
    for o, i, j in np.ndindex(out.shape):
        for c, a, b in np.ndindex(weight.shape[1:]):
            source = (o // per_out) * per_in + c
            out[o, i, j] += weight[o, c, a, b] * v[source, i * sh + a * dh, j * sw + b * dw]
    out += np.asarray(node.bias, np.float64)[:, None, None]
    return out[:, 0] if flat else out


def neuron(node: Any, total: Any, state: Any, dt: float, rule: NeuronRule) -> tuple[Any, Any, Any]:
    """One step: spikes, membrane after it, new state."""
    kind = type(node).__name__
    if kind == "Threshold":
        return (total > node.threshold).astype(float), total, None
    reset = _reset(node)
    if state is None:
        zero = np.zeros(np.shape(total))
        state = (zero, zero + (reset if not kind.endswith("I") else 0.0))
    i, v = state
    r = np.asarray(node.r, np.float64)
    rest = np.asarray(getattr(node, "v_leak", 0.0), np.float64)
    if kind.startswith("Cuba"):
        i = i + dt / np.asarray(node.tau_syn, np.float64) * (node.w_in * total - i)
        v = v + dt / np.asarray(node.tau_mem, np.float64) * (rest - v + r * i)
    elif kind in ("LIF", "LI"):
        v = v + dt / np.asarray(node.tau, np.float64) * (rest - v + r * total)
    else:
        v = v + r * total
    if kind in ("LI", "CubaLI", "I"):
        return np.zeros(np.shape(v)), v, (i, v)
    theta = np.asarray(node.v_threshold, np.float64)
    fired = v >= theta if rule.compare == ">=" else v > theta
    if rule.max_spikes > 1:
        z = np.where(fired, np.minimum(np.floor(v / theta), rule.max_spikes), 0.0)
    else:
        z = fired.astype(float)
    v = v - z * theta if rule.reset == "subtract" else np.where(z > 0, reset, v)
    if rule.low is not None:
        v = np.maximum(v, rule.low)
    return z, v, (i, v)


def _reset(node: Any) -> Any:
    found = getattr(node, "v_reset", None)
    return 0.0 if found is None else np.asarray(found, np.float64)
