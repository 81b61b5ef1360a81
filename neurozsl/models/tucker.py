"""Temporal-semantic Tucker fusion of one modality (STFT Eq. 10-13).

    r = R U_s,  s = S U_t;   y = sum_{q=1..rank} (r M_q) * (s N_q);   Y = y U_k

Every output is bilinear in R (Transformer) and S (spikes). The core tensor G of Eq. 11 is a sum of
`rank` slices of rank one, as in MUTAN (the paper's [59]), which is where its "rank constraint" is.
Readings: Eq. 12 exchanges U^s and U^t against 11 and 13, R meets U^s here; Eq. 13 drops U^k though
Y has K entries, it is kept. r and s have a constant term, so that a silent branch (S = 0) does not
also silence R; `literal=True` leaves it out, as printed.
"""

from torch import Tensor, nn


class TuckerFusion(nn.Module):
    """Bilinear map of `(batch, time, semantic)` and `(batch, temporal)`.

    width: size of r, s and y. rank: number of slices of the core.
    """

    def __init__(
        self,
        semantic: int,
        temporal: int,
        outputs: int,
        *,
        width: int,
        rank: int,
        literal: bool = False,
    ) -> None:
        super().__init__()
        self.rank, self.width = rank, width
        self.from_semantic = nn.Linear(semantic, width, bias=not literal)  # U_s
        self.from_temporal = nn.Linear(temporal, width, bias=not literal)  # U_t
        self.semantic_core = nn.Linear(width, rank * width, bias=False)  # M_1 .. M_rank
        self.temporal_core = nn.Linear(width, rank * width, bias=False)  # N_1 .. N_rank
        self.to_output = nn.Linear(width, outputs, bias=False)  # U_k

    def forward(self, semantic: Tensor, temporal: Tensor) -> Tensor:
        """R `(batch, time, semantic)`, S `(batch, temporal)` -> `(batch, time, outputs)`."""
        slices = (self.rank, self.width)
        m = self.semantic_core(self.from_semantic(semantic)).unflatten(-1, slices)
        n = self.temporal_core(self.from_temporal(temporal)).unflatten(-1, slices)
        fused: Tensor = self.to_output((m * n.unsqueeze(1)).sum(-2))
        return fused
