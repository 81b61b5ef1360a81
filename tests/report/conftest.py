"""An example report. Every number and name in it is made up; it describes no run."""

import numpy as np
import pytest

from neurozsl.report.schema import (
    Accuracy,
    BackendAgreement,
    Baseline,
    ClassNames,
    ClassRecall,
    CorePart,
    CoreUse,
    DataSummary,
    DeploymentStep,
    Energy,
    EnergyTerm,
    Host,
    Layer,
    LayerAgreement,
    LayerCores,
    ModelSummary,
    Parameters,
    Placement,
    Provenance,
    RunReport,
    Scores,
    Verification,
    raster,
)

HOSTILE = "<script>alert(1)</script> & 'co' $x_2$"
SIZES = {"0": (256, 256), "1": (256, 128), "2": (128, 64)}
STEPS = 10


def _layers() -> tuple[Layer, ...]:
    made = []
    for modality in ("audio", "video"):
        for place, (inputs, neurons) in SIZES.items():
            rate = 0.031 + 0.043 * int(place) + (0.02 if modality == "video" else 0.0)
            spikes = rate * neurons * STEPS
            made.append(
                Layer(
                    name=f"{modality}.{place}",
                    modality=modality,
                    inputs=inputs,
                    neurons=neurons,
                    parameters=inputs * neurons + neurons,
                    spike_rate=rate,
                    spikes=spikes,
                    synops=inputs * STEPS * 0.11 * neurons,
                    effective_macs=2800.5 if place == "0" else 0.0,
                    effective_acs=inputs * STEPS * 0.09 * neurons,
                    dense=float(inputs * neurons * STEPS),
                    neuron_updates=float(neurons * STEPS),
                    dead_neurons=3 if place == "2" else 0,
                    saturation=17 if place == "1" else 0,
                )
            )
    return tuple(made)


def _placement() -> Placement:
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
            CorePart(core=core, layer=name, first=0, last=size - 1, use=use(size, 1))
            for core, (name, size) in enumerate(held)
        ),
        totals=use(448, 16),
        left_out="neuron state",
        notes=("a made-up note",),
    )


def _energy() -> tuple[Energy, ...]:
    terms = (
        EnergyTerm(
            name="synaptic operations", cause="synapses", figure="synop", count=1e5,
            joules_each=2.1e-11, joules=2.1e-6, kind="simulated", source="Table 0",
        ),
        EnergyTerm(
            name="neuron updates", cause="neurons", figure="neuron_update", count=1e4,
            joules_each=1.3e-10, joules=1.3e-6, kind="fitted", source="Table 0",
        ),
    )  # fmt: skip
    return (
        Energy(
            device="chip_a",
            name="Chip A (made up)",
            joules=3.4e-6,
            latency_s=0.011,
            source="Nobody et al., Table 0",
            terms=terms,
            included=("synaptic operations", "neuron updates"),
            excluded=("static power", "host"),
        ),
        Energy(
            device="chip_b",
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
            note="figures of chip A",
        ),
        Energy(
            device="chip_c",
            name="Chip C (made up)",
            joules_low=0.4e-6,
            joules=0.4e-6,
            source="published as a minimum",
        ),
        Energy(device="chip_d", name="Chip D (made up)", joules=None, source="no figure printed"),
    )


@pytest.fixture
def example() -> RunReport:
    """A complete report with every section; all of it made up."""
    rng = np.random.default_rng(0)
    layers = _layers()
    spikes = {x.name: rng.random((STEPS, x.neurons)) < x.spike_rate for x in layers}
    host = Energy(
        device="gpu_x",
        name="GPU X (made up)",
        joules=4.2e-3,
        latency_s=0.0031,
        source="counter of the driver",
        scope="all_in",
        estimate=False,
    )
    dense = Energy(device="mac45", name="45 nm MAC (made up)", joules=9.9e-6, source="Table 2")
    pairs = ("emulator_vs_lava_fixed", "norse_vs_sinabs")
    agreement = tuple(
        LayerAgreement(name=x.name, agree=1.0, matched=0.9871, spikes=1311, rate=x.spike_rate)
        for x in layers
    )
    return RunReport(
        created="2000-01-01T00:00:00+00:00",
        versions={"neurozsl": "0.1.0", "python": "3.11"},
        provenance=Provenance(command="neurozsl profile made-up", seed=3),
        data=DataSummary(
            name="made-up example",
            synthetic=True,
            classes=ClassNames(
                train=("circling hum", "falling click"), seen=("circling hum",), unseen=(HOSTILE,)
            ),
            samples={"train": 700, "test_seen": 250, "test_unseen": 250},
            steps=STEPS,
            step_s=0.2,
            skipped=2,
            notes=("Scenes are drawn, not filmed.",),
        ),
        model=ModelSummary(
            name="mdft",
            preset="deploy",
            options={"threshold": "dynamic", "sizes": [256, 128, 64]},
            seed=1,
            parameters=Parameters(total=500_000, motion=200_000, host=300_000),
            host_flops=1.25e6,
        ),
        accuracy=Accuracy(
            S=61.25, U=38.5, HM=47.280701754385966, ZSL=55.125, beta=0.3, chance=11.0625,
            samples=500,
        ),
        deployment=(
            DeploymentStep(
                step="trained", backend="norse", policy="dynamic", S=63.1, U=39.9, HM=48.9, ZSL=56.2
            ),
            DeploymentStep(
                step="frozen thresholds", backend="norse", policy="frozen",
                S=61.9, U=38.8, HM=47.7, ZSL=55.5,
            ),
            DeploymentStep(
                step="8-bit fixed point", backend="emulator", policy="frozen",
                S=61.25, U=38.5, HM=47.280701754385966, ZSL=55.125,
            ),
        ),
        verification=Verification(
            verdict="PASS-WITH-LOSS",
            samples=16,
            oracle="a made-up oracle",
            backends={pair: BackendAgreement(layers=agreement) for pair in pairs},
        ),
        mapping=_placement(),
        layers=layers,
        energy=_energy(),
        host=Host(
            device="GPU X (made up)",
            motion_backend="emulator",
            flops=1.25e6,
            energy=(host,),
            seconds_per_inference=0.00123,
        ),
        baseline=Baseline(
            name="dense layers",
            description="The same layers as a network without spikes.",
            macs=1.2e6,
            energy=(dense,),
            accuracy=Scores(S=62.0, U=39.0, HM=47.88, ZSL=55.0),
        ),
        raster=raster(
            spikes, sample="example #7", true_class=HOSTILE, predicted_class="circling hum"
        ),
        classes=(
            ClassRecall(name="circling hum", role="seen", recall=61.25, samples=250),
            ClassRecall(name=HOSTILE, role="unseen", recall=38.5, samples=250),
        ),
        notes=("Everything on this page is made up to test the layout.",),
    )  # fmt: skip
