"""NIR files by the names that the face gives them; no torch."""

from neurozsl.export.nir.nirfile import read as read_nir
from neurozsl.export.nir.nirfile import write as write_nir

__all__ = ["read_nir", "write_nir"]
