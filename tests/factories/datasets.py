"""Synthetic data sets on disk."""

from __future__ import annotations

from pathlib import Path

from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic


def small_set(folder: Path) -> Path:
    """A set that is small enough to train on in seconds, written to `folder`."""
    config = SyntheticConfig(
        train_per_class=8, val_seen_per_class=2, val_unseen_per_class=4, test_size=96
    )
    write_synthetic(config, folder)
    return folder
