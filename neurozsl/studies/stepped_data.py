"""The data sets of studies that vary the time steps T: one per T, and of synthetic ones per seed.

T steps come from the data, `Steps`:

    synthetic        the same clips, described in T steps
    repeated         features without time: shown T times
    joined           T_0 steps in the data: neighbours are averaged, T divides T_0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from neurozsl.studies import base
from neurozsl.studies.base import StudyProgress
from neurozsl.studies.kept import check_data

if TYPE_CHECKING:
    from neurozsl.data.batch import ZSLData

Steps = Literal["synthetic", "repeated", "joined"]
STEPS: Final[Mapping[Steps, str]] = {
    "synthetic": "T: the same clips, described in T steps",
    "repeated": "T: the features have no time axis and are shown T times; motion is nearly absent",
    "joined": "T: steps of the data, neighbours averaged where T is smaller",
}


@dataclass(frozen=True)
class SteppedData:
    """Data sets in a study's folder.

    folder: of the study. source: data to read, `loaded`; None makes the synthetic set with
    `scene_bias`, `test_size` and `unbiased_val` (`data.synthetic.scenes.SyntheticConfig`).
    """

    folder: Path
    source: Path | None
    loaded: ZSLData | None
    scene_bias: float
    test_size: int
    unbiased_val: bool

    @property
    def kind(self) -> Steps:
        """How T steps come about."""
        if self.loaded is None:
            return "synthetic"
        return "repeated" if self._found == 1 else "joined"

    @property
    def halved(self) -> tuple[int, ...]:
        """Its own number of steps and half of it; 5 and 10 where there is none."""
        if self.kind != "joined":
            return (5, 10)
        return (self._found // 2, self._found) if self._found % 2 == 0 else (self._found,)

    def options(self, steps: int) -> dict[str, Any]:
        """Of a model that reads the data in `steps` steps."""
        return {"steps": steps} if self.kind == "repeated" else {}

    def at(self, steps: int, seed: int, progress: StudyProgress | None = None) -> Path:
        """The folder of the data in `steps` steps, made where it is missing.

        Raises:
            BadInput: the data cannot have so many steps.
        """
        from neurozsl.data import store
        from neurozsl.data.resample import in_steps
        from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic

        if self.loaded is None:
            made = self.folder / f"data-T{steps}-seed{seed}"
            config = SyntheticConfig(
                scene_bias=self.scene_bias,
                seed=seed,
                test_size=self.test_size,
                unbiased_val=self.unbiased_val,
                steps=steps,
            )
            if made.exists():
                check_data(made, config)
            else:
                write_synthetic(config, made, progress=base.named(progress, made.name))
            return made
        assert self.source is not None
        if self._found in (1, steps):
            return self.source
        made = self.folder / f"data-T{steps}"
        if not made.exists():
            store.save(in_steps(self.loaded, steps), made)
        return made

    @property
    def _found(self) -> int:
        assert self.loaded is not None
        return self.loaded.splits["train"].steps
