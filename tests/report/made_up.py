"""Parts of the example reports. Every number and name in it is made up; it describes no run."""

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from neurozsl.hardware.count.activity import LayerActivity
from neurozsl.hardware.energy import EnergyRow, EnergyTerm, SignRow, StepTime
from neurozsl.hardware.neurobench import Difference, NeuroBench
from neurozsl.hardware.place.placement import CoreUse, LayerCores, PlacedPart, Placement
from neurozsl.hardware.workloads.row import Calibration
from neurozsl.report.schema import (
    Baseline,
    BetaCurve,
    Comparison,
    Confusion,
    EmbeddedClass,
    EmbeddedSample,
    Embedding,
    Fit,
    Frame,
    Layer,
    Raster,
    RasterInput,
    Report,
    RunReport,
    raster,
)
from neurozsl.report.sections import registry
from neurozsl.report.sections.document import stored
from neurozsl.scoring.metrics import Scores

R = TypeVar("R", bound=Report)
HOSTILE = "<script>alert(1)</script> & 'co' $x_2$"
SIZES = {"0": (256, 256), "1": (256, 128), "2": (128, 64)}
STEPS = 10


def layers() -> tuple[Layer, ...]:
    """Two modalities of three layers."""
    made = []
    for modality in ("audio", "video"):
        for place, (inputs, neurons) in SIZES.items():
            rate = 0.031 + 0.043 * int(place) + (0.02 if modality == "video" else 0.0)
            made.append(
                Layer(
                    name=f"{modality}.{place}",
                    source="in",
                    fan_in=inputs,
                    nonzero_weights=inputs * neurons - 7,
                    steps=STEPS,
                    most_synops=inputs * STEPS * 0.95 * neurons,
                    leaky=True,
                    neurons=neurons,
                    parameters=inputs * neurons + neurons,
                    spike_rate=rate,
                    spikes=rate * neurons * STEPS,
                    effective_macs=2800.5 if place == "0" else 0.0,
                    effective_acs=inputs * STEPS * 0.09 * neurons,
                    synops_weighted=inputs * STEPS * 0.12 * neurons,
                    dense=float(inputs * neurons * STEPS),
                    input_events=inputs * STEPS * 0.11,
                    active_updates=neurons * STEPS * 0.93,
                    inactive_updates=neurons * STEPS * 0.07,
                    messages=rate * neurons * STEPS * 2,
                    hops=rate * neurons * STEPS * 5,
                    dead_neurons=3 if place == "2" else 0,
                    saturation=17 if place == "1" else 0,
                )
            )
    return tuple(made)


def activity(rows: Sequence[Layer]) -> tuple[LayerActivity, ...]:
    """Spikes that settle over the steps, more of them for unseen classes."""
    made = []
    for row in rows:
        for group, factor in (("all", 1.0), ("seen", 0.9), ("unseen", 1.12)):
            shape = 1 + 0.8 * np.exp(-np.arange(STEPS) / 2)
            samples = 500 if group == "all" else 250
            spikes = (samples * factor * row.spikes * shape / shape.sum()).astype(int).tolist()
            made.append(
                LayerActivity(
                    layer=row.name,
                    group=group,
                    samples=samples,
                    neurons=row.neurons,
                    spike_sums=tuple(spikes),
                    synop_sums=tuple(64 * x for x in spikes),
                    active_sums=(row.neurons * samples,) * STEPS,
                )
            )
    return tuple(made)


def neurobench() -> NeuroBench:
    """With two differences."""
    return NeuroBench(
        Footprint=812_345,
        ConnectionSparsity=0.0123,
        ActivationSparsity=0.9321,
        Effective_MACs=61_234.5,
        Effective_ACs=45_678.25,
        Dense=1_966_080.0,
        MembraneUpdates=8_765.5,
        differences=(
            Difference(
                metric="Effective_MACs",
                neurobench=61_234.5,
                exact=5_601.0,
                why="a batch that holds one graded code counts as multiplications in full",
            ),
            Difference(metric=HOSTILE, neurobench=1.5, exact=2.5, why=f"made up, {HOSTILE}"),
        ),
    )


def clip(rows: Sequence[Layer]) -> Raster:
    """Random spikes and codes, three grey frames."""
    rng = np.random.default_rng(0)
    spikes = {x.name: rng.random((STEPS, x.neurons)) < x.spike_rate for x in rows}
    made = raster(spikes, sample="example #7", true_class=HOSTILE, predicted_class="circling hum")
    inputs = []
    for name in dict.fromkeys(x.name.rpartition(".")[0] for x in rows):
        where = np.argwhere(rng.random((STEPS, 96)) < 0.11)
        codes = rng.integers(1, 5, len(where)) * rng.choice([-1, 1], len(where))
        events = tuple((int(t), int(c), int(v)) for (t, c), v in zip(where, codes, strict=True))
        inputs.append(RasterInput(name=name or "in", channels=96, events=events))
    frames = tuple(Frame(step=t, png=png(60 + 20 * t)) for t in (0, 4, 9))
    return made.model_copy(
        update={
            "inputs": tuple(inputs),
            "frames": frames,
            "frames_note": "Grey squares stand where pictures of a clip would.",
        }
    )


def png(grey: int, size: int = 48) -> str:
    """A grey square as PNG in base64, written by hand: chunks of length, name, data, checksum."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    lines = (b"\x00" + bytes([grey % 256]) * size) * size
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def placement() -> Placement:
    """Layers of 256, 128 and 64 neurons; the first on two cores that are used alike."""

    def use(neurons: int, cores: int) -> dict[str, CoreUse]:
        return {
            "neurons": CoreUse(used=neurons, limit=1024 * cores),
            "synapse_bits": CoreUse(used=neurons * 3072, limit=1048576 * cores),
            "in_axons": CoreUse(used=256, limit=None),
        }

    neurons = {"audio.0": (128, 128), "audio.1": (128,), HOSTILE: (64,)}
    held = [(name, size) for name, sizes in neurons.items() for size in sizes]
    return Placement(
        chip="chip_a",
        name="Chip A (made up)",
        cores=16,
        cores_used=4,
        layers=tuple(
            LayerCores(name=n, cores=len(s), neurons=sum(s), weights=9, nonzero=8, weight_bits=8)
            for n, s in neurons.items()
        ),
        parts=tuple(
            PlacedPart(core=core, layer=name, first=0, last=size - 1, use=use(size, 1))
            for core, (name, size) in enumerate(held)
        ),
        totals=use(448, 16),
        left_out="neuron state",
        notes=("a made-up note",),
    )


def wide_placement(cores: int) -> Placement:
    """Every core used differently, so that each has a row of its own."""
    use = [
        {
            "neurons": CoreUse(used=64 + core, limit=1024),
            "synapse_bits": CoreUse(used=524_288 + 4096 * core, limit=1_048_576),
            "out_axons": CoreUse(used=20 * core, limit=4096),
        }
        for core in range(cores)
    ]
    totals = {
        key: CoreUse(used=sum(x[key].used for x in use), limit=128 * (use[0][key].limit or 0))
        for key in use[0]
    }
    return Placement(
        chip="chip_w",
        name="Chip W (made up)",
        cores=128,
        cores_used=cores,
        layers=(),
        parts=tuple(
            PlacedPart(core=k, layer=f"layer.{k // 6}", first=0, last=63, use=use[k])
            for k in range(cores)
        ),
        totals=totals,
    )


def fits() -> tuple[Fit, ...]:
    """One chip that holds it, one that does not."""
    reason = f"layer '{HOSTILE}' needs 262,144 words, a core has 65,536"
    return (
        Fit(chip="chip_a", name="Chip A (made up)", cores=16, placement=placement()),
        Fit(chip="chip_z", name="Chip Z (made up)", cores=9, reason=reason),
    )


def energy() -> tuple[EnergyRow, ...]:
    """Every kind of row: point, interval, lower bound, inherited, all-in."""
    terms = (
        EnergyTerm(
            name="synaptic operations", cause="synapses", figure="synop", count=1e5,
            joules_each=2.1e-11, joules=2.1e-6, kind="simulated", source="Table 0",
        ),
        EnergyTerm(
            name="neuron updates", cause="neurons", figure="neuron_update", count=1e4,
            joules_each=1.3e-10, joules_low=0.9e-6, joules=1.3e-6, joules_high=2.2e-6,
            kind="fitted", source="Table 0",
        ),
    )  # fmt: skip
    return (
        EnergyRow(
            device="chip_a",
            key="chip_a",
            name="Chip A (made up)",
            joules=3.4e-6,
            static_joules_low=0.9e-3,
            static_joules=1.04e-3,
            static_joules_high=1.2e-3,
            step_s=0.001,
            latency_s=0.011,
            source="Nobody et al., Table 0",
            terms=terms,
            included=("synaptic operations", "neuron updates"),
            excluded=("static power", "host"),
            unknown=("energy of the host link", "input encoding"),
            warnings=("mean power of 2 W is outside of 30 to 500 mW, where measured rows lie",),
        ),
        EnergyRow(
            device="chip_b",
            key="chip_b",
            name="Chip B (made up)",
            joules_low=1.1e-6,
            joules=2.2e-6,
            joules_high=6.5e-6,
            interval="published",
            latency_s=0.002,
            source="Nobody et al., Table 1",
            inherited=True,
            terms=terms,
            excluded=("routing",),
            unknown=("energy of the host link",),
            note="figures of chip A",
        ),
        EnergyRow(
            device="chip_c",
            key="chip_c",
            name="Chip C (made up)",
            joules_low=0.4e-6,
            joules=0.4e-6,
            lower_bound=True,
            source="published as a minimum",
        ),
        EnergyRow(
            device="chip_e",
            key="chip_e/all_in",
            name="Chip E (made up), all in",
            joules_low=5e-6,
            joules=8e-6,
            joules_high=2e-5,
            interval="between sources",
            source="Nobody et al., Tables 3 and 4",
            scope="all_in",
        ),
    )


def baseline() -> Baseline:
    """A dense pass on two cost tables."""
    return Baseline(
        name="dense layers",
        description="The same layers as a network without spikes.",
        macs=1.2e6,
        energy=tuple(
            EnergyRow(
                device=key, key=key, name=f"{name} (made up)", joules=joules, source="Table 2"
            )
            for key, name, joules in (("mac45", "45 nm MAC", 9.9e-6), ("int8", "45 nm int8", 5e-7))
        ),
    )


def comparison() -> Comparison:
    """The sign depends on the table."""
    rows = []
    dense = {row.key: row.joules for row in baseline().energy}
    spiking = {row.key: row.joules for row in energy()[:2]} | {"chip_a static": 1.04e-3}
    for name, joules in spiking.items():
        for other, cost in dense.items():
            value = joules / cost
            unsure = name == "chip_b" and other == "mac45"
            rows.append(
                SignRow(
                    spiking=name.partition(" ")[0],
                    spiking_joules=joules,
                    dense=other,
                    dense_joules=cost,
                    with_static="static" in name,
                    ratio_low=value / 2 if unsure else None,
                    ratio=value,
                    ratio_high=value * 5 if unsure else None,
                    advantage="either" if unsure else "spiking" if value < 1 else "dense",
                    break_even_rate=None if "static" in name else 0.07 / value,
                )
            )
    return Comparison(
        sentence="Who costs less depends on the table: spikes win in 2 of 9 pairs, lose in 6, and "
        "one is open.",
        rows=tuple(rows),
        step_times=tuple(
            StepTime(
                device="chip_a",
                name="Chip A (made up)",
                step_s=step,
                latency_s=10 * step,
                dynamic_joules=3.4e-6,
                static_joules=1.04 * step,
            )
            for step in (1e-5, 1e-4, 1e-3)
        ),
    )


def calibration() -> tuple[Calibration, ...]:
    """One that holds, one that misses, one of which only a ratio is shown."""
    return (
        Calibration(
            device="Chip T (made up)", task="sweep at 20 Hz", quantity="power", published=0.071,
            low=None, estimate=0.0708, high=None, ratio=0.9972,
            figures_from="fit of the other rows",
            test="within 1 %", check="consistency", holds=True, source="Nobody 2014",
        ),
        Calibration(
            device="Chip S (made up)", task=f"gestures {HOSTILE}", quantity="energy",
            published=5.1e-3, low=2.9e-3, estimate=3.9e-3, high=4.8e-3, ratio=0.7647,
            figures_from="five other rows of the table", test="inside low to high",
            check="prediction", holds=False,
            source="Nobody 2024, Table 1", note="missed: the clip is longer",
        ),
        Calibration(
            device="Chip U (made up)", task="key words", quantity="energy", published=2.7e-4,
            low=None, estimate=None, high=None, ratio=None, figures_from="no figure",
            test="shown only", check="none", holds=None, source="Nobody 2019",
        ),
    )  # fmt: skip


def confusion(names: Sequence[str], samples: int = 20, seed: int = 0) -> Confusion:
    """Mostly right, some neighbours, some elsewhere."""
    rng = np.random.default_rng(seed)
    size = len(names)
    counts = np.zeros((size, size), int)
    elsewhere = np.zeros(size, int)
    for row in range(size):
        for kind in rng.choice(4, samples, p=(0.5, 0.2, 0.15, 0.15)):
            column = (row, (row + 1) % size, int(rng.integers(size)))
            if kind == 3:
                elsewhere[row] += 1
            else:
                counts[row, column[kind]] += 1
    return Confusion.model_validate(
        {"classes": tuple(names), "counts": counts, "elsewhere": elsewhere}
    )


def beta_curve() -> BetaCurve:
    """S falls and U rises."""
    points = []
    for beta in np.linspace(0, 1, 21):
        s, u = 70 * (1 - beta**2), 60 * beta
        points.append(Scores(s, u, 2 * s * u / (s + u) if s + u else 0.0, 50.0, beta=float(beta)))
    return BetaCurve(points=tuple(points), chosen=0.3)


def embedding(unseen: Sequence[str], seen: Sequence[str], samples: int = 240) -> Embedding:
    """Clouds around the class vectors."""
    rng = np.random.default_rng(2)
    names = (*seen, *unseen)
    centres = rng.normal(size=(len(names), 2)) * 2
    true = rng.integers(len(names), size=samples)
    wrong = rng.random(samples) < 0.35
    predicted = np.where(wrong, rng.integers(len(names), size=samples), true)
    where = centres[true] + rng.normal(size=(samples, 2)) * 0.45
    return Embedding(
        method="principal components of the embedded class vectors",
        explained=(0.41, 0.23),
        classes=tuple(
            EmbeddedClass(
                name=name, role="seen" if k < len(seen) else "unseen", x=float(x), y=float(y)
            )
            for k, (name, (x, y)) in enumerate(zip(names, centres, strict=True))
        ),
        samples=tuple(
            EmbeddedSample(x=float(x), y=float(y), true=int(t), predicted=int(p))
            for (x, y), t, p in zip(where, true, predicted, strict=True)
        ),
        total=500,
    )


def with_examples(report: R) -> R:
    """The report with the made-up fields that registered sections bring themselves."""
    filled: dict[str, Any] = {}
    for section in registry.SECTIONS:
        filled |= section.example()
    known, own = stored(type(report), filled)
    if isinstance(report, RunReport):
        del own["task"]  # a run has scores of its own; labels are given with a file alone
    return report.model_copy(update={**known, "sections": own})
