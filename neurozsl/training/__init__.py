"""Data + model -> weights: protocol, samples, stages, checkpoints, fine-tuning in integers."""
