"""Example reports of both kinds. Every number and name in them is made up; they describe no run."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from neurozsl.export.bundle.agreement import LayerAgreement
from neurozsl.export.bundle.manifest import Operations
from neurozsl.hardware.energy import EnergyRow
from neurozsl.report import plots, render
from neurozsl.report.schema import (
    Accuracy,
    ClassNames,
    ClassRecall,
    DataSummary,
    DeploymentStep,
    Host,
    ModelSummary,
    NetworkReport,
    Parameters,
    Provenance,
    RunReport,
    Verification,
)
from tests.report import made_up
from tests.report.made_up import HOSTILE, STEPS

AnyReport = RunReport | NetworkReport
_SEEN = ("circling hum", "falling click")
_UNSEEN = (HOSTILE, "rising tone", "shaking noise", "a very long class name that goes on and on",
           "rest")  # fmt: skip


def _operations(spikes: float, synops: float) -> Operations:
    return Operations(spikes=spikes, synops=synops, active_updates=320.5, inactive_updates=64.5)


def _once(make: Callable[[AnyReport], Any]) -> Callable[[AnyReport], Any]:
    known: dict[int, tuple[AnyReport, Any]] = {}

    def made(report: AnyReport) -> Any:
        if id(report) not in known:  # the report is kept, so that no other one gets its id
            known[id(report)] = (report, make(report))
        return known[id(report)][1]

    return made


@pytest.fixture(scope="session")
def rendered() -> Callable[[AnyReport], str]:
    """The page of a report, made once for all tests that only read it."""
    return _once(render)


@pytest.fixture(scope="session")
def drawn_once() -> Callable[[AnyReport], Any]:
    """The plots of a report, made once for all tests that only read them."""
    return _once(plots)


@pytest.fixture(scope="session")
def example() -> RunReport:
    """A complete report of a run, with every section."""
    layers = made_up.layers()
    host = EnergyRow(
        device="gpu_x",
        key="gpu_x",
        name="GPU X (made up)",
        joules=4.2e-3,
        latency_s=0.0031,
        source="counter of the driver",
        scope="all_in",
        estimate=False,
    )
    pairs = ("emulator_vs_lava_fixed", "norse_vs_sinabs")
    agreement = tuple(
        LayerAgreement(x.name, 1.0, 0.9871, spikes=1311, rate=x.spike_rate, differing=0)
        for x in layers
    )
    report = RunReport(
        created="2000-01-01T00:00:00+00:00",
        versions={"neurozsl": "0.1.0", "python": "3.11"},
        provenance=Provenance(
            command="neurozsl profile made-up --report r.html",
            seed=3,
            files={"run/weights.safetensors": "ab" * 32, HOSTILE: "cd" * 32},
            machine="a made-up processor",
        ),
        data=DataSummary(
            name="made-up example",
            synthetic=True,
            classes=ClassNames(train=_SEEN, seen=_SEEN, unseen=_UNSEEN),
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
                operations=_operations(1212.5, 105_000.0),
            ),
            DeploymentStep(
                step="8-bit fixed point", backend="emulator", policy="frozen",
                S=61.25, U=38.5, HM=47.280701754385966, ZSL=55.125,
                operations=_operations(1201.25, 104_321.5), joules=3.4e-6, latency_s=0.011,
                device="Chip A (made up)",
            ),
        ),
        verification=Verification(
            verdict="PASS-WITH-LOSS",
            samples=16,
            oracle="a made-up oracle",
            backends=dict.fromkeys(pairs, agreement),
        ),
        mapping=made_up.placement(),
        layers=layers,
        activity=made_up.activity(layers),
        neurobench=made_up.neurobench(),
        fits=made_up.fits(),
        energy=made_up.energy(),
        host=Host(
            device="GPU X (made up)",
            motion_backend="emulator",
            flops=1.25e6,
            encoding_flops=1.5e4,
            bytes_moved=2.5e6,
            link_bytes=4321.0,
            energy=(host,),
            seconds_per_inference=0.00123,
        ),
        baseline=made_up.baseline(),
        comparison=made_up.comparison(),
        calibration=made_up.calibration(),
        raster=made_up.clip(layers),
        classes=(
            ClassRecall(name=_SEEN[0], role="seen", recall=61.25, samples=250),
            *(
                ClassRecall(name=name, role="unseen", recall=38.5 - 7 * k, samples=50)
                for k, name in enumerate(_UNSEEN)
            ),
        ),
        confusion=made_up.confusion(_UNSEEN),
        beta_curve=made_up.beta_curve(),
        embedding=made_up.embedding(_UNSEEN, _SEEN),
        notes=("Everything on this page is made up to test the layout.",),
    )  # fmt: skip
    return made_up.with_examples(report)


@pytest.fixture(scope="session")
def network_example() -> NetworkReport:
    """A complete report of the network of a file."""
    layers = tuple(
        replace(x, name=f"{place}.{x.name}".replace(".", "_"))
        for place, x in enumerate(made_up.layers()[:3])
    )
    report = NetworkReport(
        created="2000-01-01T00:00:00+00:00",
        versions={"neurozsl": "0.1.0", "nir": "1.0.4"},
        provenance=Provenance(
            command=f"neurozsl profile '{HOSTILE}.nir' --poisson 0.05",
            seed=0,
            files={f"{HOSTILE}.nir": "ab" * 32},
            machine="a made-up processor",
        ),
        file=f"{HOSTILE}.nir",
        sha256="ab" * 32,
        backend="floatsim",
        chip=None,
        samples=8,
        steps=STEPS,
        dt_s=0.001,
        assumptions=("reset: the file does not say how; to zero is assumed", HOSTILE),
        repairs=("node 'b': a time constant of 0 was taken as none",),
        input_notes=("synthetic Poisson input of rate 0.05: it says nothing about a task",),
        readouts=(layers[-1].name,),
        layers=layers,
        activity=tuple(x for x in made_up.activity(layers) if x.group == "all"),
        neurobench=made_up.neurobench(),
        fits=made_up.fits(),
        energy=made_up.energy(),
        baseline=made_up.baseline(),
        comparison=made_up.comparison(),
        calibration=made_up.calibration(),
        raster=made_up.clip(layers).model_copy(update={"true_class": "-", "predicted_class": "-"}),
        notes=("Everything on this page is made up to test the layout.",),
    )
    return made_up.with_examples(report)


@pytest.fixture(scope="session")
def large_example(example: RunReport) -> RunReport:
    """70 unseen classes, 60 rows of cores, a raster of 100 steps."""
    unseen = tuple(f"unseen class number {k}" for k in range(70))
    seen = tuple(f"seen class number {k}" for k in range(30))
    rows = [("seen", x) for x in seen] + [("unseen", x) for x in unseen]
    return example.model_copy(
        update={
            "mapping": made_up.wide_placement(60),
            "confusion": made_up.confusion(unseen, samples=60),
            "embedding": made_up.embedding(unseen, seen, samples=600),
            "classes": tuple(
                ClassRecall.model_validate(
                    {"name": name, "role": role, "recall": float(k % 100), "samples": 60}
                )
                for k, (role, name) in enumerate(rows)
            ),
        }
    )
