"""Models whose loss compares a sample with the classes that are trained on, and with no others.

`loss` receives the vectors of all classes, those of the tests among them. `train_on` tells which
are trained on (`models.base.ComparesClasses`); before it does, they are all rows of the vectors.
"""

import torch
from torch import Tensor, nn


class TrainedClasses(nn.Module):
    """Base of such a model."""

    classes: Tensor  # ids of the classes that are trained on, ascending; none: not told

    def __init__(self) -> None:
        super().__init__()
        # Not in the state: a stored model is not trained on, and a new one is told again.
        self.register_buffer("classes", torch.empty(0, dtype=torch.long), persistent=False)

    def train_on(self, classes: Tensor) -> None:
        """Take the ids of the classes that are trained on, see `models.base.ComparesClasses`."""
        self.classes = classes.to(self.classes.device).sort().values

    def trained(self, vectors: Tensor) -> Tensor:
        """Vectors of the classes that are trained on, of all `(classes, words)`."""
        return vectors[self.classes] if len(self.classes) else vectors

    def target(self, label: Tensor) -> Tensor:
        """Rows of `trained` that the labels `(batch,)`, rows of all vectors, are."""
        return torch.searchsorted(self.classes, label) if len(self.classes) else label
