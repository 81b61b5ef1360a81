"""What the verdict rests on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from neurozsl.report.schema.value import Value

Verdict = Literal["PASS", "PASS-WITH-LOSS", "FAIL", "UNVERIFIED"]


class LayerAgreement(Value):
    """One layer on two backends: `agree` share of equal bits, `matched` F1 of the spikes."""

    name: str
    agree: float = Field(ge=0, le=1)
    matched: float = Field(ge=0, le=1)
    spikes: int
    rate: float = Field(ge=0, le=1)


class BackendAgreement(Value):
    """All layers of one pair of backends."""

    layers: tuple[LayerAgreement, ...]


class Verification(Value):
    """The verdict and what it rests on; `oracle` is the reference simulator, None without one."""

    verdict: Verdict
    samples: int
    backends: dict[str, BackendAgreement] = Field(default_factory=dict)
    oracle: str | None = None
    notes: tuple[str, ...] = ()
