"""Small commands behind one name: every option of another one is refused, in one clear error."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from neurozsl.cli import benchmark, data_synth, export, profile, simulate
from neurozsl.cli import inspect as inspect_files
from neurozsl.cli.kinds import Form, kind
from tests.factories import network_files as files

Command = Callable[..., Any]
FORMS: Mapping[str, Mapping[str, Form]] = {
    "benchmark": benchmark.FORMS,
    "data synth": data_synth.FORMS,
    "export": export.FORMS,
    "inspect": inspect_files.FORMS,
    "profile": profile.FORMS,
    "simulate": simulate.FORMS,
}
# What stands behind the name so that this form runs; a path of what `places` holds.
BEGIN = {
    ("benchmark", "frontier"): ("--frontier",),
    ("benchmark", "list"): ("--list-tables",),
    ("benchmark", "models"): ("--data", "RUN"),
    ("benchmark", "pareto"): ("--pareto",),
    ("benchmark", "study"): (),
    ("benchmark", "table"): ("--table", "mdft.2"),
    ("data synth", "like"): ("--out", "NONE", "--like", "ucf"),
    ("data synth", "scenes"): ("--out", "NONE"),
    ("inspect", "files"): ("NETWORK",),
    ("inspect", "markdown"): ("NETWORK", "--markdown"),
    ("profile", "layers"): ("--layers", "8-8"),
    ("simulate", "order"): ("NETWORK", "--event-driven"),
}


def is_bool(option: inspect.Parameter) -> bool:
    return get_args(option.annotation)[0] is bool


def word(option: inspect.Parameter) -> str:
    """The option as it is written: the first name that its declaration gives, else its own."""
    given = get_args(option.annotation)[1].default
    own = "--" + option.name.replace("_", "-")
    return given.partition("/")[0] if isinstance(given, str) else own


def value(option: inspect.Parameter) -> str:
    """Something of its type: the first of its choices, else a number that is text and path too."""
    declared = get_args(option.annotation)[0]
    choices = [x for x in (declared, *get_args(declared)) if get_origin(x) is Literal]
    return str(get_args(choices[0])[0]) if choices else "1"


def foreign(forms: Mapping[str, Form], key: str) -> list[inspect.Parameter]:
    """Options of the other forms that this one does not take."""
    others = {name: x for form in forms.values() for name, x in form.options.items()}
    return [x for name, x in others.items() if name not in forms[key].options]


def of_a_file(folder: Path) -> Path:
    """What a bundle of a .nir file is told by: its manifest names the file."""
    folder.mkdir()
    (folder / "manifest.json").write_text('{"source": "net.nir"}')
    return folder


CASES = [(name, key) for name, forms in FORMS.items() for key in forms if foreign(forms, key)]


def test_every_command_has_options_that_do_not_apply() -> None:
    assert {name for name, _ in CASES} == set(FORMS)
    assert {("export", "run"), ("export", "network"), ("simulate", "bundle")} <= set(CASES)
    assert sum(len(foreign(FORMS[name], key)) for name, key in CASES) > 80


@pytest.mark.parametrize(("name", "key"), CASES, ids=lambda x: x)
def test_an_option_that_does_not_apply_is_refused(
    name: str, key: str, neurozsl: Command, run_dir: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    places = {
        "RUN": run_dir,
        "BUNDLE": lava_bundle,
        "NETWORK_BUNDLE": of_a_file(tmp_path / "deployed"),
        "NETWORK": files.write(tmp_path / "net.nir", files.dense()),
        "REPORT": tmp_path / "r.json",
        "NONE": tmp_path / "none",
    }
    begin = [places.get(x, x) for x in BEGIN.get((name, key), (key.upper(),))]
    if name == "export":
        begin += ["--target", "nir"]
    wrong = [x for x in foreign(FORMS[name], key) if word(x) not in begin]
    # The option that says which form it is belongs to the others alone.
    wrong = [x for x in wrong if x.name not in ("data", "layers", "like", "event_driven")]
    given = [part for x in wrong for part in ([word(x)] if is_bool(x) else [word(x), value(x)])]
    ran = neurozsl(*name.split(), *begin, *given)
    assert (ran.code, ran.out) == (2, ""), ran.err
    [line] = ran.err.splitlines()
    assert line.startswith("error: ") and "only with" in line
    assert wrong and [word(x) for x in wrong if word(x) not in line] == []


@pytest.mark.parametrize("name", FORMS)
def test_an_option_that_several_forms_take_is_declared_once(name: str) -> None:
    first: dict[str, inspect.Parameter] = {}
    shared = 0
    for form in FORMS[name].values():
        for option, found in form.options.items():
            known = first.setdefault(option, found)
            shared += known is not found or option in first
            assert get_args(known.annotation)[1] is get_args(found.annotation)[1], option
            assert known.default == found.default, option
    assert shared > len(first)


@pytest.mark.parametrize("name", FORMS)
def test_the_help_says_to_what_an_option_belongs(name: str, neurozsl: Command) -> None:
    ran = neurozsl(*name.split(), "--help")
    assert ran.code == 0
    panels = [line for line in ran.out.splitlines() if line.startswith("╭")]
    assert len(panels) > 1 and any(" Options " in line for line in panels)
    for key in FORMS[name]:
        called = FORMS[name][key].called
        alone = [
            x
            for x in FORMS[name][key].options
            if not any(x in other.options for k, other in FORMS[name].items() if k != key)
        ]
        named = [x for x in panels if x.startswith(f"╭─ {called[0].upper()}{called[1:]} ─")]
        assert bool(named) == bool(alone), key


def test_what_a_path_is_is_told_by_what_lies_there(
    run_dir: Path, lava_bundle: Path, tmp_path: Path
) -> None:
    every = ("run", "bundle", "network_bundle", "network", "report")
    network = files.write(tmp_path / "net.nir", files.dense())
    found = {
        run_dir: "run",
        lava_bundle: "bundle",
        of_a_file(tmp_path / "deployed"): "network_bundle",
        network: "network",
        tmp_path / "none.nir": "network",
        tmp_path / "none.json": "report",
        tmp_path / "none": "run",
    }
    assert {path: kind(path, every) for path in found} == found
    assert kind(lava_bundle, ("run", "network")) == "run"
    assert kind(run_dir, ("bundle", "network")) == "bundle"
    assert kind(tmp_path / "deployed", ("bundle", "network")) == "bundle"
    for damaged in ("{", "[]", "{}"):
        (tmp_path / "deployed" / "manifest.json").write_text(damaged)
        assert kind(tmp_path / "deployed", every) == "bundle"  # opening it says what is wrong
    assert kind(network.with_suffix(".json"), ("run", "network")) == "run"
