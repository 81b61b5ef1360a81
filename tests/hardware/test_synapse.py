"""Synapses against torch, and against their own matrix."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from neurozsl.core.errors import BadInput
from neurozsl.hardware.network.synapse import (
    Conv,
    Link,
    Pool,
    Synapse,
    apply,
    check_synapse,
    link_from_json,
    matrix,
    sum_range,
)
from neurozsl.hardware.network.wiring import check_wiring

CASES = [
    # shape, kernel (out, in/groups, h, w), stride, padding, dilation, groups
    ((2, 7, 9), (4, 2, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ((2, 7, 9), (4, 2, 5, 3), (2, 1), (1, 1, 2, 2), (1, 1), 1),
    ((4, 6, 6), (6, 2, 2, 3), (2, 2), (0, 1, 1, 0), (2, 1), 2),
    ((3, 5, 5), (3, 1, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 3),
    ((2, 1, 12), (5, 2, 1, 4), (1, 3), (0, 0, 2, 2), (1, 2), 1),
]


def conv_synapse(case: Any, rng: np.random.Generator) -> Synapse:
    shape, kernel, stride, padding, dilation, groups = case
    weight = rng.integers(-9, 10, kernel)
    return Synapse("x", weight, Link(Conv(shape, stride, padding, dilation, groups)))


@pytest.mark.parametrize("case", CASES)
def test_a_convolution_is_torchs_in_float64_and_in_integers(case: Any) -> None:
    rng = np.random.default_rng(0)
    shape, _, stride, (top, bottom, left, right), dilation, groups = case
    synapse = conv_synapse(case, rng)
    x = rng.integers(0, 3, (2, 4, synapse.size_in))
    padded = functional.pad(
        torch.from_numpy(x.reshape(8, *shape)).double(), (left, right, top, bottom)
    )
    wanted = functional.conv2d(
        padded, torch.from_numpy(synapse.weight).double(), None, stride, 0, dilation, groups
    )
    assert synapse.out_shape == tuple(wanted.shape[1:])
    got = apply(synapse, x)
    assert got.dtype == np.int64
    assert np.array_equal(got, wanted.numpy().reshape(2, 4, -1))


def test_pools_sum_windows_as_torch_averages_them() -> None:
    rng = np.random.default_rng(1)
    pool = Pool((3, 7, 8), (2, 3), (2, 2), (1, 1))
    weight = rng.normal(size=(4, int(np.prod(pool.out_shape))))
    x = rng.integers(0, 2, (2, 3, 3 * 7 * 8)).astype(float)
    sums = 6 * functional.avg_pool2d(
        torch.from_numpy(x.reshape(6, 3, 7, 8)), (2, 3), (2, 2), (1, 1), count_include_pad=True
    )
    wanted = sums.numpy().reshape(2, 3, -1) @ weight.T
    assert np.allclose(apply(Synapse("x", weight, Link(pools=(pool,))), x), wanted, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_synapse_is_its_matrix_and_stays_within_its_range(case: Any) -> None:
    rng = np.random.default_rng(2)
    plain = conv_synapse(case, rng)
    pool = Pool((case[0][0], 2 * case[0][1], 2 * case[0][2]), (2, 2), (2, 2))
    synapse = Synapse("x", plain.weight, Link(plain.link.conv, (pool,)))
    x = rng.integers(-2, 4, (50, 1, synapse.size_in))
    sums = apply(synapse, x)
    assert np.array_equal(sums[:, 0], x[:, 0] @ matrix(synapse).T)
    low, high = sum_range(synapse, -2, 3)
    assert np.all(low <= sums) and np.all(sums <= high)
    rows = np.where(matrix(synapse) > 0, 3, -2)  # each row pushes one neuron to its highest sum
    assert np.array_equal(np.diag(apply(synapse, rows[:, None])[:, 0]), high)


def test_a_delay_shifts_the_spikes_and_starts_with_silence() -> None:
    x = np.arange(1.0, 5.0).reshape(1, 4, 1)
    late = Synapse("x", np.array([[2.0]]), Link(delay=3))
    assert apply(late, x)[0, :, 0].tolist() == [0, 0, 0, 2]
    assert not apply(Synapse("x", np.array([[2.0]]), Link(delay=9)), x).any()


def test_a_link_survives_json() -> None:
    for link in (Link(), Link(Conv((2, 3, 4), groups=2), (Pool((2, 6, 8), (2, 2), (2, 2)),), 3)):
        assert link_from_json(link.as_json()) == link


@pytest.mark.parametrize(
    ("shape", "link", "message"),
    [
        ((3,), Link(), r"weight has shape \(3,\)"),
        ((3, 2), Link(delay=-1), "delay -1 steps"),
        ((3, 2, 3, 3), Link(Conv((4, 5, 5))), "in 1 groups on 4 channels"),
        ((3, 2, 3, 3), Link(Conv((2, 2, 2))), "leaves nothing of a map"),
        ((3, 5), Link(pools=(Pool((1, 4, 4), (2, 2), (2, 2)),)), "5 columns, the pool before"),
        ((3, 5), Link(pools=(Pool((1, 1, 4), (2, 2), (2, 2)),)), "leaves nothing of a map"),
    ],
)
def test_geometry_that_does_not_fit_is_refused(shape: Any, link: Link, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_synapse("layer 'a'", Synapse("x", np.zeros(shape), link))


class Fake:
    """A layer with names and synapses only."""

    def __init__(self, name: str, *synapses: Synapse) -> None:
        self.name, self.synapses, self.size = name, synapses, synapses[0].size_out


def test_feedback_needs_a_delay_and_everything_else_a_source() -> None:
    forward, back = Synapse("x", np.zeros((3, 2))), np.zeros((3, 3))
    check_wiring("test", {"x": 2}, [Fake("a", forward, Synapse("a", back, Link(delay=1)))])
    with pytest.raises(BadInput, match="comes later needs a delay"):
        check_wiring("test", {"x": 2}, [Fake("a", forward, Synapse("a", back))])
    with pytest.raises(BadInput, match="source 'y' is no input"):
        check_wiring("test", {"x": 2}, [Fake("a", Synapse("y", back))])
    with pytest.raises(BadInput, match="reaches 4 neurons, the layer has 3"):
        check_wiring("test", {"x": 2}, [Fake("a", forward, Synapse("x", np.zeros((4, 2))))])
