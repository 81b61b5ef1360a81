"""Files by the names that the face gives them; no torch."""

from neurozsl.data.sets.load import load as load_data
from neurozsl.export.nir.nirfile import read as read_nir
from neurozsl.export.nir.nirfile import write as write_nir

__all__ = ["load_data", "read_nir", "write_nir"]
