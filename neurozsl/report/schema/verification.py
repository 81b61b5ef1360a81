"""What the verdict rests on."""

from typing import Literal

from pydantic import Field

from neurozsl.export.bundle.agreement import LayerAgreement
from neurozsl.report.schema.value import Value

Verdict = Literal["PASS", "PASS-WITH-LOSS", "FAIL", "UNVERIFIED"]


class Verification(Value):
    """The verdict and what it rests on: every layer of each pair of backends.

    oracle: the reference simulator, None without one.
    """

    verdict: Verdict
    samples: int
    backends: dict[str, tuple[LayerAgreement, ...]] = Field(default_factory=dict)
    oracle: str | None = None
    notes: tuple[str, ...] = ()
