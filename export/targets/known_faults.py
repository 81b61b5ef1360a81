"""Known faults of the foreign simulators that deployments are compared with, as data.

An oracle has faults, too. Without this list a difference that one of them makes would be called
ours. `standing` says what each does to a comparison:

    stands         it can make a bit differ: `layers` says where (read by `bundle.oracle_faults`)
    worked around  our runner asks the oracle in such a way that it does not show
    refused        networks in which it would show never reach the oracle
    copied         our side computes the same, because the oracle is what is reproduced
    gone           reported of an earlier version; the one named here does not have it

Each was seen in the source and in a run of that version (`tests/export/test_known_faults.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from neurozsl.export.backends.registry import Parts
    from neurozsl.hardware.loihi.program import ProgramLayer
    from neurozsl.hardware.speck.program import SpeckLayer

LAVA: Final = "lava-nc 0.10.0"
SINABS: Final = "sinabs 3.1.3"
_REGISTER: Final = 1 << 31  # where a signed 32-bit number ends


@dataclass(frozen=True)
class KnownFault:
    """One fault.

    oracle: whose, with the version in which it was seen. does: what happens. shows: in which
    networks. here: what we do about it. source: where it can be read. backends: those whose spikes
    it can change. layers: names of the layers of a deployment in which it can start; these two
    belong to faults that stand, others have none.
    """

    key: str
    oracle: str
    does: str
    shows: str
    standing: Literal["stands", "worked around", "refused", "copied", "gone"]
    here: str
    source: str
    backends: tuple[str, ...] = ()
    layers: "Callable[[Parts], frozenset[str]]" = lambda parts: frozenset()


def _over_the_register(parts: "Parts") -> frozenset[str]:
    """Layers whose current or membrane can pass 2^31 before it is folded or clipped."""
    from neurozsl.hardware.loihi.program import Program, accumulator_bound
    from neurozsl.hardware.network.ranges import value_ranges

    program = parts.program
    if not isinstance(program, Program):
        return frozenset()
    reach = value_ranges(program.inputs, program.layers)
    return frozenset(
        layer.name
        for layer in program.layers
        if max(_registers(layer, accumulator_bound(layer, reach), program.steps)) >= _REGISTER
    )


def _registers(layer: "ProgramLayer", most: int, steps: int) -> Iterator[int]:
    """Step by step the largest |D(u) + (a << 6)|, then |D(v) + u + bias|, for |a| up to `most`."""
    from neurozsl.hardware.loihi import fixedpoint as fp

    keep = fp.DECAY_MAX - layer.du  # 4096 - (du + 1)
    bias = int(abs(layer.bias).max()) if layer.bias_to == "membrane" else 0
    u, before = 0, -1
    for _ in range(steps):
        if u == before:
            break
        before, x = u, (u * keep >> fp.DECAY_BITS) + (most << fp.ALIGN_BITS)
        u = min(x, max(fp.STATE_LIMIT, x - 2 * fp.STATE_LIMIT))  # one fold
        yield x
        yield fp.STATE_LIMIT + u + bias


def _over_the_state(parts: "Parts") -> frozenset[str]:
    """Layers of Speck whose state can pass 2^15 - 1 where that changes what is left after it."""
    from neurozsl.hardware.network.ranges import value_ranges
    from neurozsl.hardware.network.synapse import sum_range
    from neurozsl.hardware.speck.program import STATE_MAX, SpeckProgram

    program = parts.program
    if not isinstance(program, SpeckProgram):
        return frozenset()
    reach = value_ranges(program.inputs, program.layers)
    found = set()
    for layer in program.layers:
        _, top = sum_range(layer.synapses[0], *reach[layer.source])
        if max(_states(layer, int((top + layer.bias).max()), program.steps)) > STATE_MAX:
            found.add(layer.name)
    return frozenset(found)


def _states(layer: "SpeckLayer", most: int, steps: int) -> Iterator[int]:
    """Step by step the largest state before the comparison, for sums up to `most`.

    0 where it does not matter: a neuron that sends one spike and starts again from zero.
    """
    yield 0
    if layer.reset == "zero" and layer.max_spikes == 1:
        return
    v, before = 0, -1
    for _ in range(steps):
        if v == before:
            break
        before, x = v, v + most
        left = 0 if layer.reset == "zero" else x - layer.max_spikes * layer.threshold
        v = max(min(x, layer.threshold - 1), left)
        yield x


KNOWN_FAULTS: Final[tuple[KnownFault, ...]] = (
    KnownFault(
        "lava-register",
        LAVA,
        "keeps current and membrane in 32 bits while it adds, and they overflow at 2^31",
        "sums of 2^17 and more in a layer with synaptic memory; no program that quantize makes",
        "stands",
        "layers where it can happen, and what reads them, are left undecided",
        "lava/proc/lif/models.py, subthr_dynamics: np.int32(decayed_curr) += activation_in",
        ("lava",),
        _over_the_register,
    ),
    KnownFault(
        "lava-current-end",
        LAVA,
        "folds a current once, which leaves 2^23, no number of 24 bits, as it is",
        "weighted sums that reach 2^17",
        "copied",
        "the emulator folds alike and counts it (Trace.overflow)",
        "lava/proc/lif/models.py, subthr_dynamics: wrapped_curr",
    ),
    KnownFault(
        "lava-bias-overflow",
        LAVA,
        "of lava-nc 0.4.0: bias_mant 4095 with bias_exp 5 gave -32, 16 bits of 131040",
        "nowhere in 0.10.0, which widens the mantissa before it shifts",
        "gone",
        "nothing to do",
        "lava-nc/lava issue 329 (open); lava/proc/lif/models.py, scale_bias",
    ),
    KnownFault(
        "lava-conv-flip",
        LAVA,
        "Conv flips its kernel: it convolves where networks correlate",
        "kernels that are not symmetric",
        "worked around",
        "the runner flips the kernel first",
        "lava/proc/conv/utils.py, conv",
    ),
    KnownFault(
        "lava-conv-exponent",
        LAVA,
        "Conv takes a weight_exp and ignores it",
        "convolutions with weight_exp other than 0",
        "worked around",
        "they run as Sparse",
        "lava/proc/conv/models.py, AbstractPyConvModel.run_spk",
    ),
    KnownFault(
        "lava-conv-wrap",
        LAVA,
        "fixed-point Conv wraps its sums at 24 bits, before the neuron does",
        "convolutions whose sums reach 2^23",
        "worked around",
        "they run as Sparse",
        "lava/proc/conv/utils.py, signed_clamp",
    ),
    KnownFault(
        "lava-message-bits",
        LAVA,
        "synapses turn every value into 0 or 1 unless they are given num_message_bits",
        "graded and ternary inputs",
        "worked around",
        "the runner gives the bits of the code",
        "lava/proc/dense/models.py, run_spk: recv().astype(bool)",
    ),
    KnownFault(
        "lava-sign-mode",
        LAVA,
        "deduces the grid of weights from their signs: odd ones stay odd where none is negative",
        "layers whose weights happen to have one sign",
        "worked around",
        "the runner says SignMode.MIXED",
        "lava/utils/weightutils.py, determine_sign_mode",
    ),
    KnownFault(
        "lava-right-shift",
        LAVA,
        "each synapse shifts its own sum to the right, so several lose more than their sum",
        "weight_exp below 0 in a layer with several synapses",
        "refused",
        "limits.check_network refuses the network",
        "lava/proc/dense/models.py, PyDenseModelBitAcc.run_spk",
    ),
    KnownFault(
        "lava-threshold-set",
        LAVA,
        "a threshold that is set between two runs of a fixed-point neuron has no effect",
        "thresholds that change with time",
        "worked around",
        "a Process of ours receives the threshold at a port",
        "lava/proc/lif/models.py, isthrscaled",
    ),
    KnownFault(
        "lava-float-exponent",
        LAVA,
        "floating-point neurons take a bias_exp and ignore it",
        "biases written as mantissa and exponent",
        "worked around",
        "float networks give the whole bias as the mantissa",
        "lava/proc/lif/models.py, AbstractPyLifModelFloat.subthr_dynamics",
    ),
    KnownFault(
        "lava-neighbours",
        LAVA,
        "executes every .py file beside the definition of a Process",
        "Processes of one's own",
        "worked around",
        "the worker is alone in its folder",
        "lava/magma/compiler/compiler_graphs.py, search for ProcessModels",
    ),
    KnownFault(
        "sinabs-state-end",
        f"{SINABS} discretisation",
        "its discretised neurons have no end of the 16-bit state of the chip",
        "sums beyond 32767 in neurons that subtract, or send several spikes",
        "stands",
        "layers where it can happen, and what reads them, are left undecided",
        "sinabs/layers/functional/lif.py; sinabs/backend/dynapcnn/discretize.py",
        ("sinabs_discretised",),
        _over_the_state,
    ),
    KnownFault(
        "sinabs-no-bound",
        f"{SINABS} discretisation",
        "reads a lower bound of None as -32768 float units: the weights of the layer round to 0",
        "neurons without a lower bound",
        "worked around",
        "the quantiser chooses a bound in integers",
        "sinabs/backend/dynapcnn/discretize.py",
    ),
    KnownFault(
        "sinabs-reset-value",
        SINABS,
        "MembraneReset(c) adds c to every neuron in every step, spike or not",
        "resets to a value other than 0",
        "worked around",
        "lowering counts v from its reset, so that c is 0",
        "sinabs/activation/reset_mechanism.py, MembraneReset",
    ),
    KnownFault(
        "sinabs-lower-bound",
        SINABS,
        "keeps v above a bound as relu(v - low) + low, which rounds every v",
        "neurons with a lower bound, in float",
        "copied",
        "the float simulator computes it in the same order",
        "sinabs/layers/functional/lif.py, lif_forward_single",
    ),
    KnownFault(
        "sinabs-batch-states",
        SINABS,
        "draws random states of the batch before when the size of the batch changes",
        "layers that are used twice",
        "worked around",
        "every run builds its layers anew",
        "sinabs/layers/stateful_layer.py, handle_state_batch_size_mismatch",
    ),
    KnownFault(
        "sinabs-from-nir",
        SINABS,
        "from_nir drops Linear, CubaLIF and the gain of LIF, in short chains without an error",
        "most graphs of other frameworks",
        "worked around",
        "layers are built here, one by one",
        "sinabs/nir.py, _import_sinabs_module",
    ),
)


def fault_table() -> tuple[dict[str, str], ...]:
    """One row a fault, as in `export/README.md`.

    >>> fault_table()[0]["fault"]
    'lava-register'
    """
    return tuple(
        {
            "fault": x.key,
            "oracle": x.oracle,
            "what it does": x.does,
            "where it shows": x.shows,
            "here": f"{x.standing}: {x.here}",
        }
        for x in KNOWN_FAULTS
    )
