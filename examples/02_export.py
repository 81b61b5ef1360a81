"""`python examples/02_export.py`: the spiking branch of a run as a checked bundle per target.

Needs the run of `01_train.py`. Each bundle is verified bit for bit on 16 test samples and the
whole model is scored with the branch in it:

    lava    PASS-WITH-LOSS
            emulator_vs_lava_fixed  every bit equal
            emulator_vs_norse       98.76 % in the worst layer
            HM trained (norse) 12.3 -> fixed-point (emulator) 12.3
            bundle in runs/examples/deploy/lava

PASS-WITH-LOSS: integers; emulator_vs_norse and the HM say what they lose. UNVERIFIED: the oracle
lava-nc is not set up here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import neurozsl as nz

# Targets of a branch with leaky neurons; `speck` takes one trained with --motion-profile speck.
LEAKY = ["nir", "lava", "sinabs"]


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Export a trained run to several targets.")
    parser.add_argument("--run", type=Path, default=Path("runs/examples"), help="run folder")
    parser.add_argument("--targets", nargs="+", default=LEAKY, help="which targets")
    parser.add_argument("--samples", type=int, default=16, help="golden samples to verify on")
    parser.add_argument("--max-hm-drop", type=float, default=2.0, help="allowed loss, HM points")
    return parser.parse_args()


def main() -> None:
    """Export to each target; a bundle that fails its verification is kept as `*.rejected`."""
    given = arguments()
    run = nz.load(given.run)
    failed = []
    for target in given.targets:
        try:
            bundle = nz.export(
                run, target=target, samples=given.samples, max_hm_drop=given.max_hm_drop
            )
        except nz.VerificationFailed as error:
            failed.append(target)
            print(f"{target:<7} FAIL  {error}")
            continue
        print(f"{target:<7} {bundle.manifest.verdict}")
        for name, found in bundle.manifest.verification["backends"].items():
            worst = min(layer["agree"] for layer in found["layers"])
            said = "every bit equal" if worst == 1 else f"{100 * worst:.2f} % in the worst layer"
            print(f"        {name:<23} {said}")
        steps = bundle.manifest.steps
        scores = " -> ".join(f"{step.step} ({step.backend}) {step.HM:.1f}" for step in steps)
        print(f"        HM {scores}")
        print(f"        bundle in {bundle.path}")
    if failed:
        raise SystemExit(f"no bundle for {', '.join(failed)}")


if __name__ == "__main__":
    main()
