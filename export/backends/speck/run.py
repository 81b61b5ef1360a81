"""Host side of sinabs' DYNAP-CNN backend: networks out to a process of its own, integers back.

This process never imports `sinabs.backend.dynapcnn` nor samna. Without a device the worker puts a
stand-in in place of the closed module (see `worker/run_dynapcnn.py`): what is compared is sinabs'
discretisation and the forward of its discretised layers, not a chip and not samna's validation.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import numpy as np

from neurozsl.core import children
from neurozsl.core.errors import BadInput, MissingPart, NeuroZSLError, VerificationFailed
from neurozsl.core.folders import temporary_folder
from neurozsl.core.npz import read_npz
from neurozsl.core.signals import ChipInput, Trace
from neurozsl.hardware.chips.chip import load_chip
from neurozsl.hardware.lower.lower import Lowered
from neurozsl.hardware.speck.cores import core_shapes
from neurozsl.hardware.speck.program import WEIGHT_BITS, SpeckProgram

WORKER = Path(__file__).parent / "worker" / "run_dynapcnn.py"
_START_S, _SAMPLE_S = 120.0, 0.5
_TAIL_LINES: Final = 8
_BINARIES: Final = (".so", ".pyd", ".dylib")


class SinabsRunFailed(NeuroZSLError):
    """The worker ended without a result; the message holds the end of what it printed."""


def run_discretised(
    lowered: Lowered,
    program: SpeckProgram,
    chip_input: ChipInput,
    *,
    timeout_s: float | None = None,
) -> Trace:
    """Spikes of sinabs' own discretised layers, after a check that its integers are ours.

    sinabs discretises `lowered`, `program` holds our integers of it; the input is binary codes
    `(batch, time, size)`. Without a limit the run may take 2 minutes and half a second a sample.

    Raises:
        VerificationFailed: an integer of sinabs differs from ours.
        SinabsRunFailed: the worker failed or took too long.
    """
    checked = program.check(chip_input)
    limit = _START_S + _SAMPLE_S * checked.batch if timeout_s is None else timeout_s
    with temporary_folder("neurozsl-speck") as folder:
        out = folder / "out.npz"
        save_floats(folder / "network.npz", lowered, program)
        np.savez(folder / "input.npz", **{f"codes/{k}": v for k, v in checked.codes.items()})
        arguments = ["--network", str(folder / "network.npz"), "--out", str(out)]
        _run([*arguments, "--input", str(folder / "input.npz")], limit)
        found = _read(out)
    _compare_integers(program, found)
    return Trace({layer.name: found[f"{layer.name}/spikes"] for layer in program.layers})


def save_floats(
    path: Path, lowered: Lowered, program: SpeckProgram, cores: Mapping[str, int] | None = None
) -> None:
    """What the worker reads: the float network, and what the program says beside its integers.

    Every layer is a convolution: a dense one has a kernel as large as the map that it reads.
    """
    arrays: dict[str, Any] = {}
    layers = []
    shapes = core_shapes(lowered)
    parts = zip(lowered.layers, program.layers, shapes, strict=True)
    for number, (layer, integers, shape) in enumerate(parts):
        top, bottom, left, right = shape.padding
        if (top, left) != (bottom, right):
            raise BadInput(f"layer '{layer.name}': pads {shape.padding}, sinabs pads sides alike")
        code = lowered.inputs.get(layer.source)
        kernel = layer.weight.reshape(shape.outputs, -1, *shape.kernel)
        arrays[f"{layer.name}/weight"] = np.asarray(
            kernel * (1.0 if code is None else code.scale), np.float32
        )
        channels = layer.bias.reshape(shape.outputs, -1)[:, 0]
        arrays[f"{layer.name}/bias"] = np.asarray(channels, np.float32)
        layers.append(
            {
                "name": layer.name,
                "source": layer.source,
                "threshold": float(layer.threshold[0]),
                "min_v": integers.low * integers.unit,
                "reset": integers.reset,
                "max_spikes": integers.max_spikes,
                "bits": program.loss[number].weight_bits if program.loss else WEIGHT_BITS,
                "core": None if cores is None else cores[layer.name],
                "source_map": shape.pools[0].shape if shape.pools else None,
                "pool": shape.pool,
                "map": (shape.inputs, *shape.input_map),
                "stride": shape.stride,
                "padding": (top, left),
                "dilation": shape.dilation,
                "groups": shape.groups,
                "destinations": {x.name: x.pool for x in shapes if x.source == layer.name},
            }
        )
    np.savez(path, json=np.array(json.dumps({"layers": layers})), **arrays)


def samna_version() -> str | None:
    """Version of a samna that is really installed, without importing it; None for none.

    The package of that name on the public index is a stub of one Python file that starts an
    installer when it is imported; the real one carries compiled modules.
    """
    try:
        found = distribution("samna")
    except PackageNotFoundError:
        return None
    compiled = any(str(file).endswith(_BINARIES) for file in found.files or ())
    return found.version if compiled else None


def require_device(device: str, chip: str) -> None:
    """Refuse a device before anything is exported for it.

    Raises:
        BadInput: not a device of this chip.
        MissingPart: samna is not installed, or it is the stub.
    """
    known = load_chip(chip).identifiers
    if device.partition(":")[0] not in known:
        raise BadInput(f"device '{device}': {chip} is known as {', '.join(known)}")
    if samna_version() is None:
        raise MissingPart(
            f"device '{device}': samna is not installed (the package of the public index is a stub "
            "that installs it when imported); install SynSense's samna as its manual says, or "
            "leave out --device"
        )


def hand_over(
    lowered: Lowered, program: SpeckProgram, device: str, *, cores: Mapping[str, int] | None = None
) -> None:
    """Configure a connected chip through sinabs and samna, in the worker's process.

    sinabs builds the configuration of every core from the same layers that `run_discretised`
    compares, samna validates it, and it is applied. `DynapcnnNetwork` itself takes one input;
    the branch has one per modality, so its configuration builder is called directly. A device is
    for example speck2fdevkit:0; without `cores`, one per layer, sinabs chooses them.

    Raises:
        BadInput: not a device of this chip.
        MissingPart: samna is not installed.
        SinabsRunFailed: samna refused the configuration, or no such device is connected.
    """
    require_device(device, program.chip)
    with temporary_folder("neurozsl-speck") as folder:
        path = folder / "network.npz"
        save_floats(path, lowered, program, cores)
        _run(["--network", str(path), "--device", device], _START_S)


def _run(arguments: list[str], limit_s: float) -> None:
    """Run the worker to its end; it is killed at the limit and on Ctrl-C."""
    command = [sys.executable, str(WORKER), *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **children.environment()},
        )
    except subprocess.TimeoutExpired:
        raise SinabsRunFailed(
            f"the sinabs worker took longer than {limit_s:g} s and was ended; use fewer samples"
        ) from None
    if done.returncode:
        tail = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-_TAIL_LINES:])
        raise SinabsRunFailed(
            f"the sinabs worker ended with exit code {done.returncode}:\n  {tail}"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(read_npz(path, remedy="run it again"))
    except BadInput as error:
        raise SinabsRunFailed(f"the sinabs worker left no readable result ({error})") from error


def _compare_integers(program: SpeckProgram, found: dict[str, Any]) -> None:
    """Every integer of every layer; the message lists how many differ."""
    differ = []
    for layer in program.layers:
        for key in ("weight", "bias", "threshold", "low"):
            ours, theirs = np.asarray(getattr(layer, key)), found[f"{layer.name}/{key}"]
            if key == "bias":  # sinabs has one per channel
                theirs = np.repeat(theirs, ours.size // theirs.size)
            count = int(np.count_nonzero(ours != theirs.reshape(ours.shape)))
            if count:
                differ.append(f"{layer.name}: {count} of {ours.size} in {key}")
    if differ:
        raise VerificationFailed(
            f"our integers are not those of sinabs' discretisation: {'; '.join(differ)}; the "
            "versions differ from sinabs 3.1.3, or the quantiser is wrong"
        )
