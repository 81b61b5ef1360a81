"""What the motion branch is worth: the paper's Table 2 asked again on the synthetic set.

Every variant is trained with the same seeds on the same data sets (seed s makes data set s and
run s). Results are means with the smallest and largest seed; the difference to the model without
motion is paired by seed. Finished runs in the study's folder are kept, so a stopped study goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from neurozsl.errors import BadInput, NeuroZSLError

Progress = Callable[[int, int, str], None]

# variant -> model options on top of the preset `deploy`
STUDIES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "motion": {
        "no motion": {"motion": False},
        "SNN, paper's fused head": {"motion_head": False, "gate": "sigmoid"},
        "SNN, motion head": {},
        "MLP, motion head": {"neuron": "mlp"},
        # Control: how much of the head's gain is sound that no scene can bias.
        "SNN on audio alone, motion head": {"motion_inputs": ["audio"]},
    },
}


@dataclass(frozen=True)
class Study:
    """What to train."""

    name: str
    scene_biases: tuple[float, ...]
    seeds: int
    epochs: int
    test_size: int

    def __post_init__(self) -> None:
        if self.name not in STUDIES:
            raise BadInput(
                f"ablation '{self.name}' is not known; choose one of {', '.join(STUDIES)}"
            )
        if self.seeds < 1:
            raise BadInput(f"ablation: {self.seeds} seeds, expected at least 1")


@dataclass(frozen=True)
class Job:
    """One training of the study."""

    variant: str
    bias: float
    seed: int
    data: Path
    out: Path
    options: Mapping[str, Any]


def run(
    study: Study, *, out: Path, jobs: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Make the data sets, train what is missing, and summarise; writes `out/study.json`.

    Raises:
        BadInput: the folder holds another study.
        NeuroZSLError: a training failed; its message is in the error.
    """
    _claim(study, out)
    planned = plan(study, out)
    done = 0
    total = len(planned)
    for data_dir, bias, seed in sorted({(j.data, j.bias, j.seed) for j in planned}):
        _make_data(data_dir, bias, seed, study.test_size)
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        waiting = {pool.submit(_train, job, study.epochs): job for job in planned}
        for finished in as_completed(waiting):
            finished.result()
            done += 1
            if progress is not None:
                job = waiting[finished]
                progress(done, total, f"{job.variant}, bias {job.bias}, seed {job.seed}")
    result = {"study": asdict(study), "rows": summarise(study, planned)}
    _write(out / "study.json", result)
    return result


def plan(study: Study, out: Path) -> list[Job]:
    """All trainings of a study, in the order of its variants."""
    jobs = []
    for bias in study.scene_biases:
        for seed in range(study.seeds):
            for variant, options in STUDIES[study.name].items():
                slug = "".join(c if c.isalnum() else "-" for c in variant)
                jobs.append(
                    Job(
                        variant,
                        bias,
                        seed,
                        out / f"data-bias{bias}-seed{seed}",
                        out / f"{slug}-bias{bias}-seed{seed}",
                        options,
                    )
                )
    return jobs


def _claim(study: Study, out: Path) -> None:
    """Write the study's definition; refuse a folder with another one."""
    out.mkdir(parents=True, exist_ok=True)
    path, wanted = out / "definition.json", json.loads(json.dumps(asdict(study)))
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise BadInput(
            f"study folder '{out}': holds another study ({path.read_text().strip()}); choose "
            "another --out"
        )
    _write(path, wanted)


def _make_data(folder: Path, bias: float, seed: int, test_size: int) -> None:
    from neurozsl.data.synthetic import SyntheticConfig, write_synthetic

    if not folder.exists():
        write_synthetic(SyntheticConfig(scene_bias=bias, seed=seed, test_size=test_size), folder)


def _train(job: Job, epochs: int) -> None:
    """Train in a process of its own, with one thread, so that jobs do not disturb each other."""
    if (job.out / "result.json").exists():
        return
    command = [sys.executable, "-m", "neurozsl", "train"]
    if (job.out / "run.json").exists():
        command += ["--resume", str(job.out)]
    else:
        command += ["--data", str(job.data), "--out", str(job.out), "--seed", str(job.seed)]
        command += ["--epochs", str(epochs)]
        for key, value in job.options.items():
            command += ["--set", f"{key}={json.dumps(value)}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise NeuroZSLError(
            f"training '{job.out}' ended with exit code {ran.returncode}: "
            f"{ran.stderr.strip()[-500:]}"
        )


def summarise(study: Study, jobs: list[Job]) -> list[dict[str, Any]]:
    """Mean, extremes and standard deviation per variant and bias, and the paired gain in HM."""
    rows: list[dict[str, Any]] = []
    for bias in study.scene_biases:
        reference: dict[int, float] = {}
        for variant in STUDIES[study.name]:
            tests = {
                j.seed: json.loads((j.out / "result.json").read_text())["test"]
                for j in jobs
                if j.variant == variant and j.bias == bias
            }
            row: dict[str, Any] = {"variant": variant, "scene_bias": bias}
            for key in ("S", "U", "HM", "ZSL"):
                values = [t[key] for t in tests.values()]
                row[key] = {
                    "mean": mean(values),
                    "min": min(values),
                    "max": max(values),
                    "sd": stdev(values) if len(values) > 1 else None,
                    "values": values,
                }
            reference = reference or {s: t["HM"] for s, t in tests.items()}
            gains = [t["HM"] - reference[s] for s, t in tests.items()]
            row["hm_gain"] = mean(gains) if rows and rows[-1]["scene_bias"] == bias else None
            row["hm_gain_sd"] = stdev(gains) if len(gains) > 1 else None
            rows.append(row)
    return rows


def _write(path: Path, value: Any) -> None:
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(temporary, path)
