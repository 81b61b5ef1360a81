"""What a synapse computes, in the type that values and weights promote to: int64 stays int64."""

from neurozsl.hardware.network.synapse import Array, Synapse, pooled, shifted, weigh


def apply(synapse: Synapse, values: Array) -> Array:
    """Weighted sums over time of values `(batch, time, size_in)`, `(batch, time, size_out)`."""
    batch, steps = values.shape[:2]
    rows = shifted(values, synapse.link.delay).reshape(batch * steps, -1)
    return weigh(synapse, pooled(synapse.link, rows)).reshape(batch, steps, -1)
