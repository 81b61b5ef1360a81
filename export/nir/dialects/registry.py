"""The table of dialects: by the word after `--dialect`, and by what a file shows."""

from dataclasses import dataclass
from typing import Final

import nir

from neurozsl.core.errors import BadInput
from neurozsl.export.nir.dialects.base import Dialect, evidence
from neurozsl.export.nir.dialects.lava import LAVA
from neurozsl.export.nir.dialects.literal import NIR
from neurozsl.export.nir.dialects.norse import NORSE
from neurozsl.export.nir.dialects.sinabs import SINABS
from neurozsl.export.nir.dialects.snntorch import SNNTORCH
from neurozsl.export.nir.dialects.spikingjelly import SPIKINGJELLY

# Lava first: its gains are those of snnTorch, its numbers lie on coarser grids.
DIALECTS: Final[dict[str, Dialect]] = {
    one.key: one for one in (LAVA, SNNTORCH, SPIKINGJELLY, SINABS, NORSE, NIR)
}


@dataclass(frozen=True)
class Spoken:
    """The dialect that a file is read in, its variant, and why: what was said, or the signs.

    said: the caller named it. stated: the variant too (or there is none), so nothing about it is
    assumed.
    """

    dialect: Dialect
    variant: str
    why: str
    said: bool
    stated: bool

    @property
    def word(self) -> str:
        """As after `--dialect`."""
        key = self.dialect.key
        return key if self.variant == self.dialect.default else f"{key}:{self.variant}"


def spoken(graph: nir.NIRGraph, word: str | None) -> Spoken | None:
    """The dialect that was named, else the one that the graph shows, else None.

    Raises:
        BadInput: no such word.
    """
    seen = evidence(graph)
    shown = {one.key: signs for one in DIALECTS.values() if (signs := one.wrote(seen))}
    if word is None:
        for key, signs in shown.items():
            one = DIALECTS[key]
            return Spoken(one, one.default, f"recognised by {signs}", False, not one.variants)
        return None
    key, colon, variant = str(word).partition(":")
    if key not in DIALECTS or (colon and variant not in DIALECTS[key].variants):
        known = ", ".join(word for one in DIALECTS.values() for word in one.words())
        raise BadInput(f"dialect '{word}' is unknown; use one of {known}")
    found, why = DIALECTS[key], "as said"
    if key not in shown and key != "nir":
        why += "".join(f", although it looks like {x} ({signs})" for x, signs in shown.items())
    return Spoken(found, variant or found.default, why, True, bool(variant) or not found.variants)
