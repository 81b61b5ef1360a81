"""`neurozsl pack` and `unpack`: a run as one file, and as a folder again."""

from pathlib import Path
from typing import Annotated

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say
from neurozsl.cli.option_values import Data, Json
from neurozsl.core.progress import Progress
from neurozsl.core.shell import command, words


def pack(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="The zip; an older one is replaced. Default RUN.zip.")
    ] = None,
    with_bundles: Annotated[
        bool,
        typer.Option("--with-bundles/--without-bundles", help="Bundles in RUN/deploy go along."),
    ] = True,
    with_checkpoints: Annotated[
        bool,
        typer.Option(
            "--with-checkpoints/--without-checkpoints",
            help="Checkpoints of the training go along: `--margin auto` and --teacher ask for one.",
        ),
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write a finished run as one file that is of use without its data set.

    What `profile` shows is measured first, where that was not done, and laid into RUN/measured.
    """
    from contextlib import ExitStack

    from neurozsl.portable.pack import pack as pack_run

    with ExitStack() as bars:

        def bar(title: str) -> Progress:
            bars.close()
            return bars.enter_context(progress_bar(title))

        packed = pack_run(
            run, out, bundles=with_bundles, checkpoints=with_checkpoints, data=data, progress=bar
        )
    if as_json:
        emit_json(packed.as_json())
        return
    say(f"{packed.path}: {len(packed.files)} files, {_size(packed.bytes)}, SHA-256 of each inside")
    if packed.left_out:
        total = _size(sum(packed.left_out.values()))
        largest = sorted(packed.left_out.items(), key=lambda x: -x[1])[:4]
        named = ", ".join(f"{name} {_size(size)}" for name, size in largest)
        more = ", ..." if len(packed.left_out) > len(largest) else ""
        say(f"left out: {len(packed.left_out)} files, {total} ({named}{more})")
    for note in packed.notes:
        say(f"note: {note}")
    next_commands(command("unpack", packed.path, words({"out": Path("RUN")})))


def unpack(
    archive: Annotated[Path, typer.Argument(metavar="ZIP", help="What `neurozsl pack` wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="Run folder, empty or new; default ZIP without .zip.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the run folder of a packed run, every file checked; nothing where one is not right."""
    from neurozsl.portable.unpack import unpack as unpack_run

    made = unpack_run(archive, out)
    if as_json:
        emit_json(made.as_json())
        return
    say(f"{made.path}: {made.kind} run, {made.files} files, all as they were packed")
    if made.kind == "classifier":
        next_commands(command("simulate", made.path))
        return
    name, found = made.data.get("name"), str(made.data.get("fingerprint"))[:12]
    say(f"`evaluate` needs its data set '{name}' (fingerprint {found}): --data DIR")
    next_commands(command("profile", made.path))


def _size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
