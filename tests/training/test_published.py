"""Published recipes: every table makes a model and a training; what is given goes before it."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import ZSLData
from neurozsl.data.sets.load import load
from neurozsl.models.avca import PRESETS
from neurozsl.models.baselines import recipes
from neurozsl.training.protocol import PROTOCOLS, train_config, train_config_from
from neurozsl.training.published import planned

KEYS = ("", *PRESETS)


@pytest.fixture(scope="module")
def data(data_dir: Path) -> ZSLData:
    return load(data_dir)


def as_benchmark(data: ZSLData, name: str, split: str) -> ZSLData:
    return replace(data, name=name, meta={**data.meta, "split": split})


@pytest.mark.parametrize("model", recipes.names())
def test_every_recipe_makes_a_model_and_a_training_for_every_data_set(model: str) -> None:
    for key in KEYS:
        found = recipes.recipe(model, key)
        # SeLaVi's features are equally wide, C3D's and VGGish's are not
        width = 3 if key.endswith("main") else 4
        built = models.build(model, audio_dim=3, video_dim=width, **found.options)
        assert found.options.items() <= built.options().items()
        assert key.startswith(found.options.get("preset", key)) or not key
        config = train_config("published", recipe=found)
        changed = {**asdict(config.protocol), **asdict(config)}
        assert {**found.rules, **found.training}.items() <= changed.items()
        passes = found.options.get("passes", "joint")
        assert passes == "joint" or config.protocol.negatives == "drawn"
        assert found.source
        assert train_config_from(asdict(config)) == config


@pytest.mark.parametrize(
    ("model", "key", "options", "rules", "sizes"),
    [
        ("avca", "ucf_cls", {"momentum": 0.99, "passes": "apart"}, {}, (50, 256, 1e-3, 1e-5)),
        ("hyper-alignment", "vggsound_main", {"curvatures": 0, "drop_dec": 0.1},
         {"negatives": "drawn", "epoch_batches": 500}, (50, 64, 1e-3, 1e-5)),
        ("hyper-single", "vggsound_cls", {"curvatures": 1, "drop_dec": 0.0}, {},
         (50, 256, 1e-3, 1e-5)),
        ("hyper-multiple", "", {"curvatures": 2, "extra_passes": True}, {}, (50, 256, 1e-3, 1e-5)),
        ("avmst", "ucf_main", {"order": "public", "train_branch": False},
         {"negatives": "drawn"}, (50, 256, 1e-3, 1e-5)),
        ("avmst", "ucf_cls", {"order": "clean"}, {}, (50, 256, 1e-3, 1e-5)),
        ("tcaf", "vggsound_cls", {"heads": 8, "test_positions": "integers", "norm_rows": "all"},
         {"negatives": "in_batch", "epoch_batches": 300, "patience": 50}, (50, 64, 6e-5, 1e-5)),
        ("tcaf", "activitynet_main", {"head_width": 128}, {"patience": 3}, (50, 64, 7e-5, 1e-5)),
        ("tcaf", "ucf_cls", {"depth": 6}, {"patience": 3}, (50, 64, 7e-5, 1e-5)),
        ("tcaf", "", {"depth": 5}, {"patience": 50}, (50, 64, 5e-5, 1e-5)),
        ("clipclap", "ucf_main", {"preset": "ucf"},
         {"beta_max": 5.0, "beta_count": 76, "epoch_batches": 300}, (20, 64, 7e-5, 1e-5)),
        ("clipclap", "vggsound_cls", {"preset": "vggsound"}, {}, (15, 64, 1e-4, 1e-5)),
        ("fvaegan-d2", "vggsound_main",
         {"synthetic": 10_000, "batches": "first", "d2": "idle", "selection": "test"},
         {"stage2_epochs": "all", "beta_count": 1, "beta_max": 0.0, "negatives": "in_batch"},
         (50, 64, 1e-3, 0.0)),
        ("fvaegan-d2", "", {"synthetic": 1000}, {}, (50, 64, 1e-3, 0.0)),
    ],
)  # fmt: skip
def test_recipes_say_what_the_public_scripts_do(
    model: str, key: str, options: dict[str, Any], rules: dict[str, Any], sizes: tuple[float, ...]
) -> None:
    found = recipes.recipe(model, key)
    built = models.build(model, audio_dim=4, video_dim=4, **found.options).options()
    assert {name: built[name] for name in options} == options
    config = train_config("published", recipe=found)
    assert {name: asdict(config.protocol)[name] for name in rules} == rules
    assert (config.epochs, config.batch, config.lr, config.weight_decay) == sizes
    assert config.protocol.schedule == "plateau"


def test_a_constant_rate_is_a_plateau_that_no_training_waits_out() -> None:
    constant = [k for k in KEYS if recipes.recipe("tcaf", k).rules["patience"] != 3]
    assert constant == ["", "ucf_main", "vggsound_main", "vggsound_cls"]
    for key in constant:
        found = recipes.recipe("tcaf", key)
        assert found.rules["patience"] >= found.training["epochs"]


def test_tables_hold_known_keys_alone() -> None:
    text = files("neurozsl.models.baselines").joinpath("recipes.toml").read_text("utf-8")
    parts = {"source", "options", "rules", "training"}
    tables = tomllib.loads(text)
    assert len(tables) == 14
    for table in tables.values():
        assert "source" in table and set(table) <= parts | set(PRESETS)
        for key in set(table) & set(PRESETS):
            assert set(table[key]) <= parts


@pytest.mark.parametrize(
    ("model", "name", "split", "expected"),
    [
        ("ale", "vggsound cls_split", "cls_split", ("vggsound_cls", 0.0, 256)),
        ("ale", "activity main_split", "main_split", ("activitynet_main", 0.2, 256)),
        ("cjme", "ucf cls_split (synthetic stand-in)", "cls_split", ("ucf_cls", 0.2, 256)),
        ("cjme", "my clips", "", ("ucf_main", 0.2, 256)),
    ],
)
def test_the_data_set_chooses_the_options(
    data: ZSLData, model: str, name: str, split: str, expected: tuple[Any, ...]
) -> None:
    found = planned("published", model=model, data=as_benchmark(data, name, split))
    built = models.build(model, audio_dim=3, video_dim=4, **found.options).options()
    assert (built["preset"], built["dropout"], found.train.batch) == expected


def test_the_published_baselines_train_as_their_code_and_not_as_avca(data: ZSLData) -> None:
    cjme = planned("published", model="cjme").train
    sizes = (cjme.epochs, cjme.batch, cjme.lr, cjme.weight_decay, cjme.clip)
    assert sizes == (50, 256, 1e-3, 0.0, 0.0)
    assert cjme.protocol == replace(PROTOCOLS["avca"], name="published")
    assert planned("published", model="sje").train.protocol.negatives == "in_batch"
    vgg = planned("published", model="avca", data=as_benchmark(data, "vggsound x", "main_split"))
    assert (vgg.train.batch, vgg.train.weight_decay) == (64, 1e-5)


def test_what_is_given_goes_before_the_recipe() -> None:
    found = planned(
        "published",
        model="cjme",
        options={"passes": "joint", "hidden": 8},
        rules={"negatives": "in_batch"},
        epochs=2,
        lr=None,
    )
    assert found.options == {"passes": "joint", "hidden": 8}
    assert (found.train.epochs, found.train.lr) == (2, 1e-3)
    assert found.train.protocol.negatives == "in_batch"
    assert planned("avca", model="mdft", epochs=2).train == train_config("avca", epochs=2)
    assert planned("ours", model="cjme", options={"hidden": 8}).options == {"hidden": 8}


def test_a_model_without_a_recipe_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(BadInput, match=r"model 'mdft': no published recipe .* avca, ale, sje"):
        planned("published", model="mdft")
    with pytest.raises(BadInput, match="protocol 'published': is the recipe of a model"):
        train_config("published")
    with pytest.raises(BadInput, match="expected one of ours, avca, published"):
        planned("theirs", model="cjme")
