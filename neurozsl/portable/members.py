"""Which files of a run folder travel, by name; everything else in it is the user's own.

run.json, result.json, ...        what opening reads, and the log
measured/NAME.json                `profile` without data (`measured`)
deploy/NAME/FILE                  bundles
stageN/best|last.safetensors      checkpoints of the training: to go on, for `--margin auto`
"""

import re
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
"""Of a bundle folder, and of a file in it: letters that every file system takes."""
ZERO_SHOT: Final = (
    "run.json",
    "result.json",
    "model.json",
    "model.safetensors",
    "program.npz",
    "start.json",
    "start.safetensors",
    "kept.npz",
    "log.jsonl",
)
CLASSIFIER: Final = ("run.json", "result.json", "network.nir", "test.npz", "start.nir", "log.jsonl")
_CHECKPOINT: Final = re.compile(r"stage[1-9]/(?:best|last)\.safetensors")


def is_checkpoint(name: str) -> bool:
    """Whether a file, by its path in the run folder, is one of the training's."""
    return _CHECKPOINT.fullmatch(name) is not None


def is_member(name: str) -> bool:
    """Whether a packed run may hold a file of this name.

    >>> is_member("run.json"), is_member("deploy/lava/motion.nir"), is_member("deploy/../x")
    (True, True, False)
    """
    first, *rest = name.split("/")
    if not rest:
        return name in ZERO_SHOT or name in CLASSIFIER
    if is_checkpoint(name):
        return True
    length = {"measured": 1, "deploy": 2}.get(first)
    return len(rest) == length and all(NAME.fullmatch(part) for part in rest)
