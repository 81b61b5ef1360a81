"""Every figure that a chip's file may hold: what it is, its unit, and what it pays for.

    [energy] count x figure -> J        [power] x duration -> J        [time] s
    [rate]   upper bounds, 1/s          [limit] sizes: counts, bits or bytes

A name that is not in this table is refused when a file is read: a misspelt `synops` would
otherwise vanish, and the energy with it. A new figure is a line here and a reader for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["J", "W", "s", "1/s", "bit", "byte", "1"]
Cause = Literal["synapses", "neurons", "routing", "static", "input", "link", "arithmetic", "whole"]
Group = Literal["limit", "energy", "power", "time", "rate"]

UNIT_NAMES: Final[Mapping[str, str]] = {
    "J": "joules",
    "W": "watts",
    "s": "seconds",
    "1/s": "a number per second",
    "bit": "bits",
    "byte": "bytes",
    "1": "a count or a ratio",
}
# What one figure of an all-in table may be counted by; the other causes are inside it already.
ALL_IN_CAUSES: Final = ("synapses", "arithmetic", "whole")


@dataclass(frozen=True)
class Key:
    """One figure: its meaning, its unit, and the cause of the joules that it gives (None: none).

    least: of a limit, the smallest that means anything: padding may be 0, a core without neurons
    is none.
    """

    meaning: str
    unit: Unit
    cause: Cause | None = None
    least: int = 1


ENERGY: Final[Mapping[str, Key]] = {
    "synop": Key("one synaptic operation", "J", "synapses"),
    "synop_dense": Key("one synaptic operation of a dense layer", "J", "synapses"),
    "synop_sparse": Key("one synaptic operation through a list with indices", "J", "synapses"),
    "synop_conv": Key("one synaptic operation of a convolution", "J", "synapses"),
    "stdp_update": Key("one weight changed by learning on the chip", "J", "synapses"),
    "neuron_active": Key("one step of a neuron that received input in it", "J", "neurons"),
    "neuron_inactive": Key("one step of a neuron that received none", "J", "neurons"),
    "neuron_access": Key("one step of any neuron: its state read and written", "J", "neurons"),
    "neuron_update": Key(
        "one step of a neuron; beside neuron_access, of one that received input", "J", "neurons"
    ),
    "spike_out": Key("one spike made by a neuron", "J", "routing"),
    "spike_in_tile": Key("one spike carried inside its tile", "J", "routing"),
    "message_out": Key("one message: a spike to one core that reads it", "J", "routing"),
    "hop_ew": Key("one message, one tile further east or west", "J", "routing"),
    "hop_ns": Key("one message, one tile further north or south", "J", "routing"),
    "dynamic_per_spike": Key("one spike with all that it sets off", "J", "whole"),
    "input_event": Key("one event that enters the chip", "J", "input"),
    "link_byte": Key("one byte between host and chip", "J", "link"),
    "ac": Key("one addition of a weight", "J", "arithmetic"),
    "mac": Key("one multiply-accumulate in the precision that `name` says", "J", "arithmetic"),
    "mac_int8": Key("one multiply-accumulate of 8-bit integers", "J", "arithmetic"),
    "mac_bf16": Key("one multiply-accumulate in bfloat16", "J", "arithmetic"),
    "mac_fp16_tensor": Key("one multiply-accumulate in fp16, tensor cores", "J", "arithmetic"),
    "sram_8kb_64bit": Key("64 bits read from 8 kB of SRAM", "J", "arithmetic"),
    "relative_error": Key("error of the model, a fraction of its dynamic energy", "1"),
}

POWER: Final[Mapping[str, Key]] = {
    "static_chip": Key("drawn by the chip whatever it does", "W", "static"),
    "idle": Key("drawn while it waits", "W"),
    "typical": Key("drawn at work, as its vendor says", "W"),
    "board": Key("drawn by the board at most", "W"),
    "dynamic_kws": Key("drawn above idle while spotting keywords", "W"),
    "workload_mean": Key("energy over latency of published workloads", "W"),
    "plausible_mean": Key("an estimate outside low..high gets a warning", "W"),
}

TIME: Final[Mapping[str, Key]] = {
    "step": Key("one time step", "s"),
    "synop": Key("one synaptic operation", "s"),
    "barrier": Key("waiting for all cores at the end of a step", "s"),
    "sync_max": Key("waiting for all cores at the end of a step, at most", "s"),
    "layer_latency": Key("an event through one layer", "s"),
    "nine_layer_latency": Key("an event through nine layers", "s"),
}

RATE: Final[Mapping[str, Key]] = {
    "synops_per_s_core0": Key("synaptic operations of core 0 per second, at most", "1/s"),
    "synops_per_s_other": Key("synaptic operations of any other core per second, at most", "1/s"),
}

LIMIT: Final[Mapping[str, Key]] = {
    "cores": Key("cores of one chip", "1"),
    "neurons_per_core": Key("neurons in one core", "1"),
    "hidden_neurons": Key("hidden neurons of one chip", "1"),
    "output_neurons": Key("output neurons of one chip", "1"),
    "input_channels": Key("input channels of one chip", "1"),
    "synapses": Key("weights of one chip", "1"),
    "synapses_per_core": Key("weights in one core", "1"),
    "synapses_per_chip": Key("weights of one chip, shared by its cores", "1"),
    "synapse_bits_per_core": Key("memory for synapses in one core", "bit"),
    "memory_bytes_per_core": Key("memory of one core, shared by all uses", "byte"),
    "in_axons_per_core": Key("sources that one core can tell apart", "1"),
    "out_axons_per_core": Key("cores that one core can send to, summed over its neurons", "1"),
    "destinations_per_core": Key("layers that one core can feed", "1"),
    "fan_in": Key("inputs of one neuron", "1"),
    "fan_out": Key("targets of one neuron", "1"),
    "spikes_per_step": Key("spikes of one neuron in one step", "1"),
    "weight_bits": Key("width of a weight, with its sign", "bit"),
    "state_bits": Key("width of a neuron's state", "bit"),
    "threshold_bits": Key("width of a threshold", "bit"),
    "decay_bits": Key("width of a decay", "bit"),
    "spike_payload_bits": Key("width of the value that a spike carries", "bit"),
    "delay_steps": Key("longest delay of a synapse, in steps", "1", least=0),
    "channels": Key("channels of a map", "1"),
    "input_side": Key("longer side of the input map", "1"),
    "map_side": Key("longer side of an output map", "1"),
    "kernel_side": Key("longer side of a kernel", "1"),
    "padding": Key("padding on one side", "1", least=0),
    "readout_classes": Key("classes that the read-out tells apart", "1"),
}

KEYS: Final[Mapping[Group, Mapping[str, Key]]] = {
    "limit": LIMIT,
    "energy": ENERGY,
    "power": POWER,
    "time": TIME,
    "rate": RATE,
}

_MEASURED: Final[Mapping[Unit | Literal["text"], tuple[str, ...]]] = {
    "text": ("task", "network", "grade", "source", "note"),
    "1": ("accuracy", "chips", "neurons", "synapses", "spikes"),
    "1/s": ("rate_hz",),
    "s": ("window_s", "latency_s", "latency_s_low", "latency_s_high"),
    "J": ("energy_j", "energy_j_low", "energy_j_high", "energy_dynamic_j"),
    "W": ("power_w", "power_w_high", "power_dynamic_w", "power_idle_w", "rest_w"),
}
# Parts of a [[measurement]] row: "text", or the unit of a number (or of a list of numbers).
MEASUREMENT: Final = {name: unit for unit, names in _MEASURED.items() for name in names}
