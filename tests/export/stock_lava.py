"""Stock lava-nc in its own environment (Python 3.10), asked plainly: its faults as JSON.

    python stock_lava.py FOLDER

One fixed-point and one floating-point run; every case is a few Processes beside the others. FOLDER
takes a Process of its own and the neighbour that Lava executes. No Process is defined here.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from lava.utils.weightutils import SignMode

STEPS, MORE = 4, 3
MINE = """
import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

class Mine(AbstractProcess):
    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.a_in = InPort(shape=(1,))

@implements(proc=Mine, protocol=LoihiProtocol)
@requires(CPU)
class PyMine(PyLoihiProcessModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    def run_spk(self):
        self.a_in.recv()
"""
NEIGHBOUR = "import pathlib\npathlib.Path(__file__).with_name('executed').touch()\n"


def constant(values: Any) -> Any:
    """A source that sends the same values in every step."""
    return Source(data=np.asarray(values)[..., None])


def fixed(folder: Path) -> dict[str, Any]:
    """The bit-accurate models."""
    sinks: dict[str, Any] = {}

    def record(name: str, process: Any) -> None:
        sinks[name] = Sink(shape=process.a_out.shape, buffer=STEPS)
        process.a_out.connect(sinks[name].a_in)

    one_hot = constant(np.array([1, 0, 0]).reshape(3, 1, 1))
    million = constant(np.full((3, 1, 1), 1 << 20))
    for name, source, settings in (
        ("flip", one_hot, {"weight": [1, 2, 3], "padding": (1, 0)}),
        ("exponent 4", one_hot, {"weight": [3], "weight_exp": 4}),
        ("sum", million, {"weight": [4, 4, 4], "num_message_bits": 24}),
    ):
        weight = np.asarray(settings.pop("weight")).reshape(1, -1, 1, 1)
        conv = Conv(weight=weight, input_shape=(3, 1, 1), **settings)
        source.s_out.connect(conv.s_in)
        record(name, conv)
    ones, seven, large = constant([1, 1]), constant([7, 0]), constant([1024, 262143])
    for name, source, weights, settings in (
        ("no bits", seven, [[10, 4]], {"sign_mode": SignMode.MIXED}),
        ("8 bits", seven, [[10, 4]], {"sign_mode": SignMode.MIXED, "num_message_bits": 8}),
        ("deduced", ones, [[3, 5]], {}),
        ("mixed", ones, [[3, 5]], {"sign_mode": SignMode.MIXED}),
        ("whole", ones, [[2, 2]], {"sign_mode": SignMode.MIXED, "weight_exp": -2}),
        ("part 0", ones, [[2, 0]], {"sign_mode": SignMode.MIXED, "weight_exp": -2}),
        ("part 1", ones, [[0, 2]], {"sign_mode": SignMode.MIXED, "weight_exp": -2}),
    ):
        dense = Dense(weights=np.array(weights), **settings)
        source.s_out.connect(dense.s_in)
        record(name, dense)
    neurons = {
        "end": LIF(shape=(1,), du=4095, dv=0, vth=131071),
        "register": LIF(shape=(1,), du=0, dv=0, vth=131071),
        "bias": LIF(shape=(1,), du=4095, dv=0, vth=131071, bias_mant=4095, bias_exp=5),
        "threshold": LIF(shape=(1,), du=4095, dv=4095, vth=10, bias_mant=100, bias_exp=6),
    }
    for name, weights in (("end", [[128, 0]]), ("register", [[0, 128]])):
        dense = Dense(weights=np.array(weights), sign_mode=SignMode.MIXED, num_message_bits=24)
        large.s_out.connect(dense.s_in)
        dense.a_out.connect(neurons[name].a_in)
    fired = Sink(shape=(1,), buffer=STEPS + MORE)
    neurons["threshold"].s_out.connect(fired.a_in)
    (folder / "mine.py").write_text(MINE)
    (folder / "neighbour.py").write_text(NEIGHBOUR)
    sys.path.insert(0, str(folder))
    together = importlib.import_module("mine").Mine()  # all of them read by one Process: one run
    for source, flat in (
        (one_hot, one_hot.s_out.flatten()),
        (million, million.s_out.flatten()),
        *((x, x.s_out) for x in (ones, seven, large)),
    ):
        nothing = Dense(weights=np.zeros((1, int(np.prod(source.s_out.shape)))))
        flat.connect(nothing.s_in)
        nothing.a_out.connect(together.a_in)
    for neuron in ("bias", "threshold"):
        nothing = Dense(weights=np.zeros((1, 2)))
        ones.s_out.connect(nothing.s_in)
        nothing.a_out.connect(neurons[neuron].a_in)
    one_hot.run(condition=RunSteps(STEPS), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    found: dict[str, Any] = {
        name: np.asarray(sink.data.get())[..., 2].ravel().tolist() for name, sink in sinks.items()
    }
    found |= {f"u {name}": cell.u.get().tolist() for name, cell in neurons.items()}
    found |= {f"v {name}": cell.v.get().tolist() for name, cell in neurons.items()}
    neurons["threshold"].vth.set(np.array([131071]))
    one_hot.run(condition=RunSteps(MORE), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    found["fired"] = np.asarray(fired.data.get()).ravel().tolist()
    one_hot.stop()
    found["neighbour executed"] = (folder / "executed").exists()
    return found


def floating() -> dict[str, Any]:
    """The floating-point models."""
    cell = LIF(shape=(1,), du=1.0, dv=0.0, vth=1e6, bias_mant=3.0, bias_exp=6)
    cell.run(condition=RunSteps(1), run_cfg=Loihi2SimCfg(select_tag="floating_pt"))
    found = {"v float": cell.v.get().tolist()}
    cell.stop()
    return found


if __name__ == "__main__":
    print(json.dumps(fixed(Path(sys.argv[1])) | floating()))
