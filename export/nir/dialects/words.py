"""The words of what NIR leaves open; nothing heavy is imported, so that `--help` stays quick."""

from typing import Literal

Discretisation = Literal["euler", "exponential"]
IfGain = Literal["step", "rate"]
Start = Literal["reset", "rest"]
