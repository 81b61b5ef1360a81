"""Data sets by the names that the face gives them."""

from neurozsl.data.sets.load import load as load_data

__all__ = ["load_data"]
