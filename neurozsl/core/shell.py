"""Commands to paste: every path and value in them is one word for the shell, whatever it holds."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from neurozsl.core.printable import UNSEEN, written_out


def word(value: object) -> str:
    r"""One word for the shell.

    Characters that a terminal would act on are written out, as bash, zsh and ksh read them.

    >>> print(word("runs/demo"), word("$(touch x) y"), word("a\nb"))
    runs/demo '$(touch x) y' $'a\nb'
    """
    text = str(value)
    if not UNSEEN.search(text):
        return quote(text)
    shown = text.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + UNSEEN.sub(written_out, shown) + "'"


def place(path: object) -> str:
    """A path as one word that is no option.

    >>> place("-rf"), place("a b")
    ('./-rf', "'a b'")
    """
    text = str(path)
    return word(f"./{text}" if text.startswith("-") else text)


def command(name: str, what: object, more: str = "") -> str:
    """A command of ours on a file or folder. more: options, as `words` makes them.

    >>> command("profile", "my run", words({"bundle": Path("-b"), "margin": None, "dt": 0.1}))
    "neurozsl profile 'my run' --bundle ./-b --dt 0.1"
    """
    return f"neurozsl {name} {place(what)}{more}"


def words(values: Mapping[str, Any]) -> str:
    """Options with their values, to paste behind a command; what is None was not given.

    >>> words({"dt": 0.001, "tau_unit": None, "compare": ">=", "device": ["a.toml", "b.toml"]})
    " --dt 0.001 --compare '>=' --device a.toml --device b.toml"
    """
    return "".join(
        f" --{name.replace('_', '-')} {place(each) if isinstance(each, Path) else word(each)}"
        for name, value in values.items()
        if value is not None
        for each in (value if isinstance(value, list) else [value])
    )
