"""Audio-visual zero-shot learning with a spiking motion branch, deployed bit for bit.

Importing this package imports no torch: model names live in `neurozsl.models`, chips in
`neurozsl.hardware`, converters in `neurozsl.export`.
"""
