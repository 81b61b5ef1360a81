"""What every model of the registry keeps, a new one too."""

import pytest
from torch import nn

from neurozsl import models
from neurozsl.models.base import ZSLModel

CONTRACT = [name for name in vars(ZSLModel) if not name.startswith("_")]


def test_the_contract_was_found() -> None:
    assert {"calibrate", "prepare", "finish", "loss", "frozen", "branch_spec"} <= set(CONTRACT)


@pytest.mark.parametrize("name", models.names())
def test_every_registered_model_is_a_module_that_keeps_the_contract(name: str) -> None:
    model = models.build(name, audio_dim=32, video_dim=32)
    assert isinstance(model, nn.Module)
    assert [part for part in CONTRACT if not callable(getattr(model, part, None))] == []
    assert any(weight.requires_grad for weight in model.parameters())
