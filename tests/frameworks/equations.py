"""The frameworks' update equations in slow float64 numpy, one step of one cell a line.

`expected(case, drawn)` gives the spike counts that the framework sends. It computes with the drawn
values, never with a file, so it says what is true where a file has lost something.

    x_t  weighted input with bias;  H(y) = 1 where y > 0, H1(y) = 1 where y >= 0;  states start at 0

    snnTorch, r_t = H(v_{t-1} - theta) of the membrane as the step before left it:
        Leaky, u_t = x_t; Synaptic, u_t = alpha u_{t-1} + x_t, which no reset touches;
        RLeaky and RSynaptic, x_t + V s_{t-1} + c in the place of x_t
        subtract           v_t = beta v_{t-1} + u_t - theta r_t
        zero (Leaky)       v_t = beta (1 - r_t) v_{t-1} + u_t
        zero (all others)  v_t = (1 - r_t) (beta v_{t-1} + u_t)    the whole next step is dropped
        none               v_t = beta v_{t-1} + u_t
        s_t = H(v_t - theta)
        reset_delay=False, after s_t:  d = s_t - r_t
        subtract           v_t <- v_t - d theta        (adds theta back where r_t = 1 and s_t = 0)
        zero               v_t <- v_t - d v_t          (doubles v_t where r_t = 1 and s_t = 0)

    SpikingJelly, v_0 = v_reset:
        IFNode             v* = v + x
        LIFNode, PLIF      v* = v + (v_reset - v + x) / tau         decay_input
                           v* = v + (v_reset - v) / tau + x         without
        CUBALIFNode        c_t = c_decay c_{t-1} + x_t;  v* = v_decay v + c_t
        s = H1(v* - theta);  v = v_reset where s

    sinabs, a = exp(-1 / tau):
        IAF                v* = v + x
        LIF                v* = a v + (1 - a) x          norm_input
                           v* = a v + x                  without
        n = trunc(v* / theta) where v* > 0 (SingleSpike: H1(v* - theta))
        v = v* - n theta (MembraneReset: 0 where n > 0);  then v = max(v, min_v_mem)

    Norse, k = dt / tau_mem, ks = dt / tau_syn, v_reset = 0, v_0 = v_leak:
        IAFCell            v* = v + x
        LIFBoxCell         v* = v + k (v_leak - v + x)
        LIFCell            j = i + x;  v* = v + k (v_leak - v + j);  i = j - ks j
        s = H(v* - theta);  v = 0 where s (reset_subtract: v* - theta)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.frameworks.cases import Case
from tests.frameworks.networks import DT_S, Drawn, Layer, draw

Array = npt.NDArray[np.float64]
Step = Callable[
    [Array], Array
]  # weighted input (samples, neuron) -> spike counts of the same shape


def expected(case: Case, drawn: Drawn | None = None) -> list[npt.NDArray[np.uint8]]:
    """Spike counts of both layers, `(samples, steps, neuron)`."""
    drawn = draw(case) if drawn is None else drawn
    values: Any = drawn.spikes.astype(np.float64)
    found = []
    for depth, layer in enumerate(drawn.layers):
        if depth and drawn.pool:
            values = values.reshape(*values.shape[:2], 4, 4, 2, 4, 2).sum(axis=(4, 6))
            values = values / 4 if drawn.pool == "average" else values
        if layer.weight.ndim == 2:
            values = values.reshape(*values.shape[:2], -1)
        step = STEPS[case.writer](case, layer, depth)
        counts = [
            step(_weighted(layer, values[:, t]).reshape(len(values), -1))
            for t in range(values.shape[1])
        ]
        values = np.stack(counts, axis=1).reshape(*values.shape[:2], *layer.shape)
        found.append(values.reshape(*values.shape[:2], -1).astype(np.uint8))
    return found


def _weighted(layer: Layer, x: Array) -> Array:
    """A Linear, or a 3x3 convolution with padding 1."""
    weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
    if weight.ndim == 2:
        return np.asarray(x @ weight.T + bias)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    total = np.zeros((len(x), *layer.shape)) + bias[:, None, None]
    _, height, width = layer.shape
    for i in range(3):
        for j in range(3):
            rows = slice(i, i + height * layer.stride, layer.stride)
            columns = slice(j, j + width * layer.stride, layer.stride)
            part = padded[:, :, rows, columns]
            total += np.einsum("bihw,oi->bohw", part, weight[:, :, i, j])
    return total


def _flat(layer: Layer, name: str, low: float, high: float) -> Array:
    return layer.spread(name, low, high).astype(np.float64).reshape(-1)


def _snntorch(case: Case, layer: Layer, _depth: int) -> Step:
    def parameter(name: str, low: float, high: float) -> Array:
        each = _flat(layer, name, low, high)
        mean = float(np.mean(each, dtype=np.float32))
        return 0 * each + mean if case.built.get("scalar") else each

    beta, theta = parameter("leak", 0.6, 0.95), parameter("theta", 0.7, 1.3)
    alpha: Any = parameter("syn_leak", 0.3, 0.7) if "Synaptic" in case.cell else 0.0
    recurrent: Any = np.zeros((len(beta), len(beta)))
    constant: Any = np.zeros(len(beta))
    if case.built.get("all_to_all"):
        recurrent = layer.recurrent.astype(np.float64)
        constant = layer.recurrent_bias.astype(np.float64)
    elif case.cell.startswith("R"):
        recurrent = np.diag(layer.one_to_one.astype(np.float64))
    how, delay = case.built["reset_mechanism"], case.built["reset_delay"]
    v: Any = np.zeros(len(beta))
    u = s = v

    def step(x: Array) -> Any:
        nonlocal v, u, s
        r = (v - theta > 0) * 1.0
        u = alpha * u + x + s @ recurrent.T + constant
        if how == "subtract":
            v = beta * v + u - r * theta
        elif how == "zero" and case.cell == "Leaky":
            v = beta * (1 - r) * v + u
        elif how == "zero":
            v = (1 - r) * (beta * v + u)
        else:
            v = beta * v + u
        s = (v - theta > 0) * 1.0
        if not delay and how == "subtract":
            v = v - (s - r) * theta
        elif not delay and how == "zero":
            v = v - (s - r) * v
        return s

    return step


def _spikingjelly(case: Case, _layer: Layer, depth: int) -> Step:
    built = case.built
    tau, rest, theta = built.get("tau", 0.0) + 0.7 * depth, built["v_reset"], built["v_threshold"]
    v: Any = rest
    c: Any = 0.0

    def step(x: Array) -> Any:
        nonlocal v, c
        if case.cell == "IFNode":
            v = v + x
        elif case.cell == "CUBALIFNode":
            c = built["c_decay"] * c + x
            v = built["v_decay"] * v + c
        elif built["decay_input"]:
            v = v + (rest - v + x) / tau
        else:
            v = v + (rest - v) / tau + x
        s = (v - theta >= 0) * 1.0
        v = np.where(s > 0, rest, v)
        return s

    return step


def _sinabs(case: Case, layer: Layer, _depth: int) -> Step:
    built = case.built
    theta = _flat(layer, "theta", *((0.75, 1.25) if case.ties else (0.7, 1.3)))
    decay, gain = np.ones(len(theta)), np.ones(len(theta))
    if case.cell == "LIF":
        each = _flat(layer, "leak", 3.0, 12.0)
        decay = np.exp(-1 / (each if built["tau_mem"] is None else 0 * each + built["tau_mem"]))
        gain = 1 - decay if built["norm_input"] else gain
    low = built.get("min_v_mem", -np.inf)
    v = np.zeros(len(theta))

    def step(x: Array) -> Any:
        nonlocal v
        v = decay * v + gain * x
        n = np.trunc(v / theta) * (v > 0)
        if built["spike_fn"] == "SingleSpike":
            n = (v - theta >= 0) * 1.0
        v = v * (n == 0) if "reset_fn" in built else v - n * theta
        v = np.maximum(v, low)
        return n

    return step


def _norse(case: Case, layer: Layer, _depth: int) -> Step:
    theta = _flat(layer, "theta", *((0.75, 1.25) if case.ties else (0.7, 1.3)))
    k = layer.spread("leak", 0.2, 0.5).reshape(-1) / DT_S * DT_S
    ks = layer.spread("syn_leak", 0.3, 0.7).reshape(-1) / DT_S * DT_S
    leak = case.built.get("v_leak", 0.0)
    v, i = np.zeros(len(theta)) + leak, np.zeros(len(theta))

    def step(x: Array) -> Any:
        nonlocal v, i
        if case.cell == "IAFCell":
            v = v + x
        elif case.cell == "LIFBoxCell":
            v = v + k * (leak - v + x)
        else:
            j = i + x
            v = v + k * (leak - v + j)
            i = j - ks * j
        s = (v - theta > 0) * 1.0
        v = v - s * theta if "reset_method" in case.built else v * (1 - s)
        return s

    return step


STEPS = {"snntorch": _snntorch, "spikingjelly": _spikingjelly, "sinabs": _sinabs, "norse": _norse}
