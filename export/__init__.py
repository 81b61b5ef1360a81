"""Carries a spiking branch to other tools and chips, and proves that it arrived unchanged.

    nir/       graphs and .nir files, ours and foreign ones: read, repaired, written
    norse/     Norse stacks -> graphs; the branch in Norse cells, the reference
    backends/  what runs a branch, as functions ChipInput -> Trace
    targets/   one file a target: what it takes, what runs it, who checks it
    bundle/    the folder that is shipped, its manifest and verdict
    network/   the network of a `.nir` file: its input, run, inspection and bundle

The package is also the verb, `bundle = nz.export(run, target="lava")`: its arguments are those of
`neurozsl.face.runs.export`, and `help` of that tells them. Importing it imports no torch.
"""

import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurozsl.export.bundle.bundle import Bundle


class _Verb(ModuleType):
    """A package that can be called: its name is the verb of the face, and the user's folder."""

    def __call__(self, run: Any, **options: Any) -> "Bundle":
        """Export a run; see `export` of `neurozsl.face`."""
        from neurozsl.face.runs import export

        return export(run, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        """Of the verb, for tools that complete arguments."""
        from neurozsl.face.runs import export

        return inspect.signature(export)


sys.modules[__name__].__class__ = _Verb
