"""The hyperbolic maps of Hyper-alignment against their inverse, edges, and wrong options."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.models.baselines.hyper import BALL, alignment, build_multiple, tangent


def test_the_exponential_map_leads_back_from_the_tangent_space() -> None:
    x = torch.randn(40, 6, dtype=torch.float64)
    curvature = 0.001 + 0.01 * torch.rand(40, 1, dtype=torch.float64)
    found, root = tangent(x, curvature), curvature.sqrt()
    length = found.norm(dim=1, keepdim=True)
    back = torch.tanh(root * length) * found / (root * length)
    assert torch.allclose(back, x, atol=1e-12)
    assert (found.norm(dim=1) > x.norm(dim=1)).all()  # distances grow away from the origin


def test_rows_outside_of_the_ball_are_clipped_to_its_edge() -> None:
    x = torch.tensor([[1e3, 0.0], [0.0, -1e6]], dtype=torch.float64)
    curvature = torch.full((2, 1), 0.25, dtype=torch.float64)
    edge = torch.atanh(torch.tensor(BALL, dtype=torch.float64)) / 0.5
    expected = edge * torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    assert torch.allclose(tangent(x, curvature), expected)


def test_alignment_is_that_of_cosines_and_a_row_of_zeros_has_none() -> None:
    x = torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1.0, 1.0], [0.0, 5.0], [4.0, 0.0]], dtype=torch.float64)
    curvature = torch.full((3, 1), 0.01, dtype=torch.float64)
    half = 0.5**0.5
    by_x = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=torch.float64)
    by_y = torch.tensor([[1, half, half], [half, 1, 0], [half, 0, 1]], dtype=torch.float64)
    found = alignment(x, y, curvature)
    assert found.item() == pytest.approx(((by_x - by_y) ** 2).mean().item(), abs=1e-12)
    found.backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and bool(x.grad.isfinite().all()) and bool(x.grad.any())


def test_options_rebuild_each_of_the_three_with_its_own_number_of_curvatures() -> None:
    found = {}
    for name in ("hyper-alignment", "hyper-single", "hyper-multiple"):
        model = models.build(name, audio_dim=4, video_dim=4, embed=6, hidden=8)
        again = models.build(name, **json.loads(json.dumps(model.options())))
        again.load_state_dict(model.state_dict())
        found[name] = model.options()["curvatures"]
    assert found == {"hyper-alignment": 0, "hyper-single": 1, "hyper-multiple": 2}
    more = build_multiple(audio_dim=4, video_dim=4, curvatures=5)
    assert more.curve is not None and more.curve.out_features == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curvature": 0.0}, "model 'hyper-multiple': curvature=0.0, expected a number above 0"),
        ({"curvatures": -1}, "curvatures=-1, expected 0"),
        ({"weight_align": -1.0}, "weight_align=-1.0, expected 0 or more"),
        ({"bend": 1}, "model 'hyper-multiple': unknown option bend"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        build_multiple(audio_dim=4, video_dim=4, **options)
