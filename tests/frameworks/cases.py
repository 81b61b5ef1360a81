"""Networks that other frameworks build, export and run: one `Case` each, as plain data.

A case names a writer, one of its cells, what the cell is built with, and a network around it
(`networks.draw`). `said` holds the fields of `Said` with which neurozsl has to give every spike of
that framework.

Left out, because the framework itself does not do it:

    snnTorch      RSynaptic with reset_delay=False fails in its own forward (it reads a local `spk`
                  that is None); scalar parameters of Leaky and Synaptic, and a single value of V,
                  fail in its exporter with nir 1.0.8 (issue 410)
    SpikingJelly  a soft reset is refused by its exporter
    sinabs        a scalar tau or threshold of LIF gives a node of one neuron beside 16
    Norse         Conv2d is written without a shape, which `nir.write` refuses; v_reset and the
                  time-wrapped LIF are dropped without a word
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

Writer = Literal["snntorch", "spikingjelly", "sinabs", "norse"]
Topology = Literal["dense", "conv"]
Environment = Literal["peers", "main"]  # nir 1.0.8, or the pinned 1.0.4
# Factor on all weights. "high" drives a neuron over several thresholds in a step.
DRIVE: Final[Mapping[str, float]] = {"low": 1.0, "high": 4.0}
# Steps of 1/8 of the weights and thresholds where ties are asked for: exact in float32, so that
# v == theta happens and > differs from >=.
GRID: Final = 8


@dataclass(frozen=True)
class Case:
    """A network of a framework; see the module docstring.

    cell: name of the class. built: its arguments, and those of its exporter (`dt_s`). gain: factor
    on all weights that makes cells comparable, the inverse of what one unit of input adds to v.
    ties: weights and thresholds on a grid.
    """

    name: str
    writer: Writer
    cell: str
    built: Mapping[str, Any]
    said: Mapping[str, Any]
    topology: Topology = "dense"
    drive: str = "low"
    seed: int = 0
    gain: float = 1.0
    ties: bool = False
    environment: Environment = "peers"


def _snntorch() -> Iterator[Case]:
    gains = {"Leaky": 1.0, "Synaptic": 0.5, "RLeaky": 1.0, "RSynaptic": 0.5}
    for cell, reset, delay in product(gains, ("subtract", "zero", "none"), (True, False)):
        if cell == "RSynaptic" and not delay:
            continue
        word = {"subtract": "snntorch", "zero": "snntorch:zero", "none": "snntorch:none"}[reset]
        if not delay and reset != "none":  # without a reset there is nothing to delay
            word = f"snntorch:{reset}-nodelay"
        every: tuple[bool, ...] = (True, False) if cell.startswith("R") else (True,)
        seeds = (0,) if cell.startswith("R") or (reset == "none" and not delay) else (0, 1)
        for all_to_all, drive, seed in product(every, DRIVE, seeds):
            built: dict[str, Any] = {"reset_mechanism": reset, "reset_delay": delay}
            if cell.startswith("R"):
                built["all_to_all"] = all_to_all
            kind = cell if all_to_all else f"{cell}-one"
            name = f"{kind}-{reset}-{'delay' if delay else 'nodelay'}-{drive}-{seed}"
            yield Case(
                name, "snntorch", cell, built, {"dialect": word}, "dense", drive, seed, gains[cell]
            )
    for cell, reset in product(("RLeaky", "RSynaptic"), ("subtract", "zero")):
        built = {"reset_mechanism": reset, "reset_delay": True, "all_to_all": True, "scalar": True}
        said = {"dialect": "snntorch" if reset == "subtract" else "snntorch:zero"}
        name = f"{cell}-{reset}-delay-scalar"
        yield Case(name, "snntorch", cell, built, said, "dense", "low", 2, gains[cell])
    for cell, (reset, delay) in product(
        ("Leaky", "Synaptic"), (("subtract", True), ("zero", True), ("subtract", False))
    ):
        built = {"reset_mechanism": reset, "reset_delay": delay}
        word = f"snntorch:{reset}" + ("" if delay else "-nodelay")
        said = {"dialect": word.replace("snntorch:subtract", "snntorch") if delay else word}
        name = f"{cell}-{reset}-{'delay' if delay else 'nodelay'}-conv"
        yield Case(name, "snntorch", cell, built, said, "conv", "low", 2, gains[cell])


def _spikingjelly() -> Iterator[Case]:
    tau = {"tau": 2.5, "v_threshold": 0.9}
    lif = [
        {**tau, "decay_input": decay, "v_reset": reset}
        for decay, reset in product((True, False), (0.0, -0.2))
    ]
    cuba = [
        {"c_decay": 0.5, "v_decay": 0.7, "v_threshold": 0.9, "v_reset": reset}
        for reset in (0.0, -0.2)
    ]
    table: list[tuple[str, list[dict[str, Any]], tuple[int, ...]]] = [
        ("IFNode", [{"v_threshold": 0.9, "v_reset": reset} for reset in (0.0, -0.2)], (0, 1)),
        ("LIFNode", lif, (0, 1)),
        ("ParametricLIFNode", lif, (0,)),
        ("CUBALIFNode", cuba, (0, 1)),
    ]
    for cell, options, seeds in table:
        for built, drive, seed in product(options, DRIVE, seeds):
            gain = {"CUBALIFNode": 0.5}.get(cell, 2.5 if built.get("decay_input") else 1.0)
            kind = f"{cell}-{built['v_reset']:g}" + {
                None: "", True: "-decay_input", False: "-whole_input",
            }[built.get("decay_input")]  # fmt: skip
            said = {"dialect": "spikingjelly"}
            step = {"step_mode": "m" if seed else "s"}
            yield Case(
                f"{kind}-{drive}-{seed}", "spikingjelly", cell, built | step, said,
                "dense", drive, seed, gain,
            )  # fmt: skip
    said = {"dialect": "spikingjelly"}
    for cell, built in (("IFNode", table[0][1][1]), ("LIFNode", lif[1]), ("CUBALIFNode", cuba[1])):
        more = {"dt_s": 1e-3, "step_mode": "m"}
        gain = {"IFNode": 1.0, "LIFNode": 2.5, "CUBALIFNode": 0.5}[cell]
        name = f"{cell}-dt1e-3"
        slower: dict[str, Any] = said | ({"dt_s": 1e-3} if cell == "LIFNode" else {})
        yield Case(name, "spikingjelly", cell, built | more, slower, gain=gain, seed=2)
        name = f"{cell}-conv"
        step = {"step_mode": "m"}
        yield Case(name, "spikingjelly", cell, built | step, said, "conv", gain=gain, seed=2)
    for reset in (0.0, -0.25):
        built = {"v_threshold": 1.0, "v_reset": reset, "step_mode": "m"}
        said = {"dialect": "spikingjelly"}
        name = f"IFNode-{reset:g}-ties"
        yield Case(name, "spikingjelly", "IFNode", built, said, seed=3, ties=True)


def _sinabs() -> Iterator[Case]:
    spikes: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("multi", {"spike_fn": "MultiSpike"}, {}),
        ("single", {"spike_fn": "SingleSpike"}, {"max_spikes": 1}),
        ("low", {"spike_fn": "MultiSpike", "min_v_mem": -0.4}, {"low": -0.4}),
    ]
    for (kind, built, said), drive, seed in product(spikes, DRIVE, (0, 1)):
        name = f"IAF-{kind}-{drive}-{seed}"
        yield Case(
            name, "sinabs", "IAF", built, {"dialect": "sinabs", **said}, drive=drive, seed=seed
        )
    taus = {"equal": 6.0, "each": None}
    for (kind, built, said), norm, tau, drive in product(spikes, (True, False), taus, DRIVE):
        word = "sinabs" if norm else "sinabs:no-norm"
        yield Case(
            f"LIF-{'norm' if norm else 'whole'}-{tau}-{kind}-{drive}", "sinabs", "LIF",
            {**built, "norm_input": norm, "tau_mem": taus[tau]}, {"dialect": word, **said},
            drive=drive, seed=1, gain=6.0 if norm else 1.0,
        )  # fmt: skip
    multi = {"spike_fn": "MultiSpike"}
    lif = {**multi, "norm_input": True, "tau_mem": None}
    zero = {"dialect": "sinabs", "reset": "zero"}
    for drive in DRIVE:
        more = {"reset_fn": "MembraneReset"}
        yield Case(f"IAF-zero-{drive}", "sinabs", "IAF", multi | more, zero, drive=drive, seed=2)
        yield Case(
            f"LIF-zero-{drive}", "sinabs", "LIF", lif | more, zero, drive=drive, seed=2, gain=6.0
        )
    plain = {"dialect": "sinabs"}
    yield Case("IAF-conv", "sinabs", "IAF", multi, plain, "conv", seed=2)
    yield Case("LIF-conv", "sinabs", "LIF", lif, plain, "conv", seed=2, gain=6.0)
    for kind, built, said in spikes[:2]:
        said = {"dialect": "sinabs", **said}
        yield Case(f"IAF-{kind}-ties", "sinabs", "IAF", built, said, seed=3, ties=True)
    for cell, built, gain in (("IAF", multi, 1.0), ("LIF", lif, 6.0)):
        yield Case(
            f"{cell}-nir104", "sinabs", cell, built, plain, drive="high", seed=3, gain=gain,
            environment="main",
        )  # fmt: skip


def _norse() -> Iterator[Case]:
    # What to_nir calls tau is its argument dt times tau; of 1e-3 s where it is not given.
    steps = {"default": None, "dt1": 1.0}
    gains = {"LIFBoxCell": 3.0, "LIFCell": 2.0}
    for cell, step, drive, seed in product(gains, steps, DRIVE, (0, 1)):
        yield Case(
            f"{cell}-{step}-{drive}-{seed}", "norse", cell, {"dt_s": steps[step]},
            {"dialect": "norse"}, drive=drive, seed=seed, gain=gains[cell], environment="main",
        )  # fmt: skip
    for drive, seed in product(DRIVE, (0, 1)):
        said: dict[str, Any] = {"dialect": "norse"}
        yield Case(
            f"IAFCell-{drive}-{seed}", "norse", "IAFCell", {"dt_s": None}, said,
            drive=drive, seed=seed, environment="main",
        )  # fmt: skip
    yield Case(
        "IAFCell-ties", "norse", "IAFCell", {"dt_s": None}, {"dialect": "norse"}, seed=3,
        ties=True, environment="main",
    )  # fmt: skip
    for drive in DRIVE:
        yield Case(
            f"LIFBoxCell-subtract-{drive}", "norse", "LIFBoxCell",
            {"dt_s": 1.0, "reset_method": "reset_subtract"},
            {"dialect": "norse", "reset": "subtract"}, drive=drive, seed=2,
            gain=3.0, environment="main",
        )  # fmt: skip
        yield Case(
            f"LIFBoxCell-leak-{drive}", "norse", "LIFBoxCell", {"dt_s": 1.0, "v_leak": 0.3},
            {"dialect": "norse"}, drive=drive, seed=2, gain=3.0, environment="main",
        )  # fmt: skip


def _all() -> tuple[Case, ...]:
    cases = (*_snntorch(), *_spikingjelly(), *_sinabs(), *_norse())
    assert len({(x.writer, x.name) for x in cases}) == len(cases)
    return cases


CASES: Final = _all()
