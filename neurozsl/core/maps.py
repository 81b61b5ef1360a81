"""How weights lie on maps `(C, H, W)`: convolutions, and the sums in front of weights.

Values are flat, in the order of a `(C, H, W)` array; one-dimensional maps are `(C, 1, L)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MapShape = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True)
class Conv:
    """Geometry of a convolution (cross-correlation, as torch and NIR define it).

    shape: map that is read. padding: zeros at the top, bottom, left, right.
    """

    shape: MapShape
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def out_shape(self, weight_shape: Sequence[int]) -> MapShape:
        """Map that a kernel `(C_out, C_in / groups, height, width)` makes."""
        rows, columns = (self._extent(weight_shape[2 + axis], axis) for axis in (0, 1))
        return int(weight_shape[0]), rows, columns

    def _extent(self, kernel: int, axis: int) -> int:
        before, after = self.padding[2 * axis : 2 * axis + 2]
        span = self.dilation[axis] * (kernel - 1) + 1
        return int((self.shape[1 + axis] + before + after - span) // self.stride[axis] + 1)


@dataclass(frozen=True)
class Pool:
    """Sums over windows of each channel; shape is the map that is read.

    >>> Pool((8, 16, 16), (2, 2), (2, 2)).out_shape
    (8, 8, 8)
    """

    shape: MapShape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    @property
    def out_shape(self) -> MapShape:
        """Map of the sums; a window that does not fit whole is left out."""
        rows, columns = (
            (self.shape[1 + i] + 2 * self.padding[i] - self.kernel[i]) // self.stride[i] + 1
            for i in (0, 1)
        )
        return self.shape[0], rows, columns
