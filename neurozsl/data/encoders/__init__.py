"""Clips -> features of sound and picture per window."""
