"""Which weights of a matrix are not zero, and what lists of them take of a core.

A core stores the weights of an in-axon whole, one for each neuron of the part, or as a list of
those that are not zero, each beside the number of its neuron::

    sparse_bits = sum over in-axons of list_bits(nonzeros of the axon, weight bits + index bits)

`list_bits` is the block format of the chip (`core_use`); where it is unpublished, blocks and
headers count nothing. `index bits` hold the numbers 0..n - 1 of the part's neurons, in the smallest
of `list_index_bits`. An axon without a weight has no list.

What is published (grade V, nengo-loihi 1.1.0): `SynapseConfig.bits_per_axon` with `compression` 0
stores an index beside every weight, 3 none. nengo-loihi writes sparse matrices with `compression`
3, whose sum has no index; here the index counts, which is the larger figure. For Loihi 2 nothing
is published: its file says `assumed`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

FEWEST_ZEROS: Final = 0.1  # share; with fewer, one more bit a weight outweighs them


@dataclass(frozen=True, eq=False)
class Pattern:
    """nonzero: bool `(out, in)`, true where a weight is not zero."""

    nonzero: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, weight: npt.NDArray[Any]) -> "Pattern | None":
        """The pattern of a matrix; None where too few are zero for an index beside the others.

        >>> Pattern.of(np.ones((2, 3))) is None
        True
        """
        nonzero = np.asarray(weight) != 0
        return None if nonzero.mean() > 1 - FEWEST_ZEROS else cls(nonzero)

    @property
    def count(self) -> int:
        """Weights that are not zero."""
        return int(np.count_nonzero(self.nonzero))

    def cut(self, outputs: int, inputs: int) -> "Pattern":
        """Of the first neurons and in-axons."""
        return Pattern(self.nonzero[:outputs, :inputs])

    def lists(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Lists of the neurons `first..end - 1`: (weights, how many in-axons have as many).

        >>> list(Pattern(np.array([[1, 0, 0], [1, 0, 1]], bool)).lists(0, 2))
        [(1, 1), (2, 1)]
        """
        lengths = np.count_nonzero(self.nonzero[first:end], axis=0)
        for length, axons in enumerate(np.bincount(lengths)):
            if length and axons:
                yield length, int(axons)
