"""One name, several small commands: which of them runs depends on what stands behind the name.

A `Form` is one of them, a function with options of its own; a parameter whose type is a dataclass
stands for the options that its fields are, so that options which several forms take are declared
once. `takes` gives the public command the options of all its forms, in the help grouped by the
forms that take them; `call` runs one form and refuses what is not in its signature.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass, is_dataclass
from functools import cache
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import typer

from neurozsl.core.archive import is_archive
from neurozsl.core.errors import BadInput
from neurozsl.core.shell import command

Kind = Literal["run", "bundle", "network_bundle", "network", "report"]
_MAX_MANIFEST: Final = 64 << 20  # bytes
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Form:
    """One small command behind a name.

    called: what it belongs to, as help and errors name it. run: takes what stands behind the name,
    then its options by keyword. instead: the remedy where its options are given to another form.
    """

    called: str
    run: Callable[..., Any]
    instead: str = "leave out"

    @property
    def options(self) -> Mapping[str, Parameter]:
        """Its options by the name of the parameter."""
        return _options(self.run)

    def __call__(self, *what: object, options: Mapping[str, Any]) -> Any:
        """Run it with those of the options that are its own."""
        return self.run(*what, **_arguments(self.run, options))


def kind(path: Path, among: Collection[str]) -> Kind:
    """What a path is, by what lies there, of the kinds that a command takes."""
    if is_archive(path):
        raise BadInput(
            f"{path}: is a packed run or another archive; open it first with "
            f"`{command('unpack', path)}`"
        )
    if path.suffix == ".json" and not path.is_dir() and "report" in among:
        return "report"
    if path.is_file() or (path.suffix == ".nir" and not path.is_dir()):
        return "network"
    is_bundle = (path / "manifest.json").is_file() and not (path / "run.json").is_file()
    if "network_bundle" in among and is_bundle and _is_of_a_file(path / "manifest.json"):
        return "network_bundle"
    return "bundle" if "run" not in among or ("bundle" in among and is_bundle) else "run"


def _is_of_a_file(manifest: Path) -> bool:
    """Whether a manifest names the file that its network came as; what is damaged is told later."""
    from neurozsl.core.reading import read_object

    try:
        return bool(read_object(manifest, remedy="", max_bytes=_MAX_MANIFEST).get("source"))
    except BadInput:
        return False


def takes(forms: Mapping[str, Form]) -> Callable[[Command], Command]:
    """A command that takes `**options`, with the options of all forms in its signature."""

    def add(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [x for x in signature.parameters.values() if x.kind is not Parameter.VAR_KEYWORD]
        first = [x for x in own if x.kind is not Parameter.KEYWORD_ONLY]
        merged = {name: x for form in forms.values() for name, x in form.options.items()}
        every = [*first, *(_in_panel(x, forms) for x in merged.values()), *own[len(first) :]]
        command.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]
        return command

    return add


def call(
    context: typer.Context,
    forms: Mapping[str, Form],
    key: str,
    *what: object,
    options: Mapping[str, Any],
    where: str = "",
) -> Any:
    """Run one form of a command on `what` stands behind its name; options: of all forms.

    where: why the form is this one; by default that `what` is nothing else.

    Raises:
        BadInput: an option was given that the form does not take.
    """
    refuse(context, forms, (key,), where or f"{what[0]} is none")
    return forms[key](*what, options=options)


def refuse(
    context: typer.Context, forms: Mapping[str, Form], keys: Collection[str], where: str
) -> None:
    """An error that names every given option that no form of `keys` takes.

    Raises:
        BadInput: with the forms that take it.
    """
    known = {name for key in keys for name in forms[key].options}
    wrong: dict[str, list[str]] = {}
    remedy = ""
    for parameter in context.command.params:
        owners = _owners(parameter.name, forms)
        if owners and parameter.name not in known and _is_given(context, parameter.name):
            wrong.setdefault(_either(owners), []).append(parameter.opts[0])
            remedy = remedy or owners[0].instead
    if wrong:
        told = "; ".join(f"{', '.join(names)}: only with {to}" for to, names in wrong.items())
        raise BadInput(f"{told}, and {where}; {remedy}")


@cache
def _options(taker: Callable[..., Any]) -> dict[str, Parameter]:
    """Keyword parameters, those of a dataclass in its place."""
    found: dict[str, Parameter] = {}
    for each in inspect.signature(taker, eval_str=True).parameters.values():
        if is_dataclass(each.annotation):
            found |= _options(each.annotation)  # type: ignore[arg-type]  # the class, no instance
        elif each.kind is Parameter.KEYWORD_ONLY:
            found[each.name] = each
    return found


def _arguments(taker: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a function, or the dataclass of a parameter, is called with."""
    found: dict[str, Any] = {}
    for each in inspect.signature(taker, eval_str=True).parameters.values():
        made = each.annotation
        if is_dataclass(made):
            found[each.name] = made(**_arguments(made, options))  # type: ignore[operator, arg-type]
        elif each.kind is Parameter.KEYWORD_ONLY:
            found[each.name] = options[each.name]
    return found


def _owners(name: str | None, forms: Mapping[str, Form]) -> list[Form]:
    return [form for form in forms.values() if name in form.options]


def _either(forms: Collection[Form]) -> str:
    """What the forms are called.

    >>> _either([Form("a run", print), Form("a bundle", print), Form("--layers", print)])
    'a run, a bundle or --layers'
    """
    *first, last = (form.called for form in forms)
    return f"{', '.join(first)} or {last}" if first else last


def _in_panel(option: Parameter, forms: Mapping[str, Form]) -> Parameter:
    """The option, in the help under the forms that take it where not all do."""
    owners = _owners(option.name, forms)
    base, info = get_args(option.annotation)
    if len(owners) < len(forms) and info.rich_help_panel is None:
        info, title = copy(info), _either(owners)
        info.rich_help_panel = title[0].upper() + title[1:]
    return option.replace(annotation=Annotated[base, info])


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
