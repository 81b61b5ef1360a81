"""`Lowered` -> `BranchSpec`: the way back from chip form, with the input gain unfolded again.

The float twin of a chip's integers (`arithmetic.quantize.dequantize`) becomes a branch that Norse
runs and a NIR file holds: W = W' / kappa, b = b' / kappa with the kappa that lowering folds in (1
for a neuron without leak), so that `lower(to_nir(unfolded(x)))` is x to float32 precision.
"""

import numpy as np

from neurozsl.core.errors import BadInput
from neurozsl.core.signals import BranchSpec, LayerSpec
from neurozsl.hardware.lower.lower import Lowered, LoweredLayer


def unfolded(lowered: Lowered) -> BranchSpec:
    """The branch that lowers to `lowered`.

    Raises:
        BadInput: a bias that differs within a channel.
    """
    return BranchSpec(
        inputs=dict(lowered.inputs),
        layers=tuple(_layer(layer) for layer in lowered.layers),
        outputs=lowered.outputs,
        dt_s=lowered.dt_s,
        steps=lowered.steps,
        policy=lowered.policy,
    )


def _layer(layer: LoweredLayer) -> LayerSpec:
    channels = layer.weight.shape[0]
    gain = np.where(layer.leak > 0, layer.leak, 1.0).reshape(channels, -1)
    bias = layer.bias.reshape(channels, -1) / gain
    if np.any(gain != gain[:, :1]) or np.any(bias != bias[:, :1]):
        raise BadInput(
            f"layer '{layer.name}': bias or decay differ within a channel of its convolution, "
            "which a branch cannot hold; export without bias correction"
        )
    over = gain[:, 0].reshape(-1, *(1,) * (layer.weight.ndim - 1))
    return LayerSpec(
        name=layer.name,
        source=layer.source,
        weight=(layer.weight / over).astype(np.float32),
        bias=bias[:, 0].astype(np.float32),
        kappa=layer.leak,
        threshold=layer.threshold.astype(np.float32),
        syn_kappa=None if layer.bias_to == "membrane" else layer.syn_leak,
        theta_table=layer.theta_table,
        conv=layer.link.conv,
        pools=layer.link.pools,
    )
