"""`python examples/01_train.py`: rendered clips -> an MDFT trained in two stages, and its scores.

The answer of a clip lies in its motion and sound, a tempting shortcut in its background scene. The
last line is one of numbers in percent (S seen, U unseen classes, HM their harmonic mean):

    data   runs/examples-data: 24 classes, 560 training and 500 test clips, synthetic
    epoch  20/20  stage 1, loss 1.234, val HM 12.3
    ...
    test   S 12.3  U 12.3  HM 12.3  ZSL 12.3  (chance HM 1.2)

Run it again after an interruption: it goes on from the last epoch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import neurozsl as nz


def arguments() -> argparse.Namespace:
    """The options; all defaults together take about a minute on one core."""
    parser = argparse.ArgumentParser(description="Train a small MDFT on synthetic clips.")
    parser.add_argument("--run", type=Path, default=Path("runs/examples"), help="run folder")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of stage 1")
    parser.add_argument("--batch", type=int, default=64, help="clips per batch")
    parser.add_argument("--train-per-class", type=int, default=40, help="training clips per class")
    parser.add_argument("--test-size", type=int, default=500, help="test clips")
    parser.add_argument("--scene-bias", type=float, default=0.9, help="0 no shortcut, 1 always")
    parser.add_argument("--seed", type=int, default=0, help="of clips, weights and batches")
    return parser.parse_args()


def told(done: int, total: int, text: str) -> None:
    """One line an epoch."""
    print(f"epoch  {done:2}/{total:2}  {text}")


def main() -> None:
    """Make the data where it is missing, then train, or go on with a run that was stopped."""
    given = arguments()
    folder = given.run.parent / f"{given.run.name}-data"
    if not folder.exists():
        config = nz.SyntheticConfig(
            scene_bias=given.scene_bias,
            seed=given.seed,
            train_per_class=given.train_per_class,
            val_unseen_per_class=given.train_per_class,
            val_seen_per_class=max(1, given.train_per_class // 5),
            test_size=given.test_size,
        )
        nz.write_synthetic(config, folder)
    data = nz.load_data(folder)
    train, test = len(data.splits["train"]), len(data.stage(2).seen) + len(data.stage(2).unseen)
    print(
        f"data   {folder}: {len(data.classes)} classes, {train} training and {test} test clips, "
        + ("synthetic" if data.synthetic else "recorded")
    )
    if (given.run / "run.json").exists():
        run = nz.resume(given.run, progress=told)
    else:
        how = nz.TrainConfig(epochs=given.epochs, batch=given.batch, seed=given.seed)
        run = nz.train(folder, given.run, model="mdft", config=how, progress=told)
    test_scores = run.result["test"]
    line = "  ".join(f"{key} {test_scores[key]:.1f}" for key in ("S", "U", "HM", "ZSL"))
    print(f"test   {line}  (chance HM {test_scores['chance']:.1f})")


if __name__ == "__main__":
    main()
