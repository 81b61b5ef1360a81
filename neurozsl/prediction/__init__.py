"""Clips -> names: a trained run on videos that no data set holds."""
