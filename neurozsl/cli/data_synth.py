"""`neurozsl data synth`: the synthetic set, or with --like stand-ins for a benchmark."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from neurozsl.cli.console import emit_json, next_commands, progress_bar, say
from neurozsl.cli.data_tables import show_set
from neurozsl.cli.kinds import Form, call, takes
from neurozsl.cli.option_values import Json
from neurozsl.core.errors import BadInput
from neurozsl.core.places import check_place
from neurozsl.core.shell import command, words

Out = Annotated[Path, typer.Option("--out", help="Folder to write; an older data set is replaced.")]


@dataclass(frozen=True, kw_only=True)
class SynthOptions:
    """What both take."""

    out: Out
    seed: Annotated[int, typer.Option(help="Seed of the clips.")] = 0
    json_out: Json = False


def synth_scenes(
    *,
    asked: SynthOptions,
    scene_bias: Annotated[
        float, typer.Option(help="Probability in training that a clip shows its class's scene.")
    ] = 0.9,
    test_size: Annotated[int, typer.Option(help="Test clips, half seen and half unseen.")] = 500,
    camera_shake: Annotated[float, typer.Option(help="Largest picture shift per frame, px.")] = 0.0,
    unbiased_val: Annotated[
        bool, typer.Option("--unbiased-val/--biased-val", help="Scene bias in validation too?")
    ] = False,
    train_per_class: Annotated[int, typer.Option(help="Training clips per class.")] = 40,
    noise: Annotated[float, typer.Option(help="Pixel noise, of full scale.")] = 0.03,
) -> None:
    """Render and encode the set "scenes and motions"."""
    from neurozsl.data.synthetic.scenes import SyntheticConfig, write_synthetic

    config = SyntheticConfig(
        scene_bias=scene_bias,
        unbiased_val=unbiased_val,
        camera_shake=camera_shake,
        seed=asked.seed,
        train_per_class=train_per_class,
        test_size=test_size,
        noise=noise,
    )
    check_place(asked.out, "data set")
    with progress_bar("rendering and encoding") as step:
        data = write_synthetic(config, asked.out, progress=step)
    show_set(data, asked.out, asked.json_out)


def synth_like(
    *,
    asked: SynthOptions,
    like: Annotated[
        str, typer.Option(help="Instead: stand-in for a benchmark; ucf, activitynet or vggsound.")
    ] = "",
    splits: Annotated[
        Path | None, typer.Option(help="Folder of the benchmark's class lists.")
    ] = None,
    vectors: Annotated[Path | None, typer.Option(help="Its class vectors, .npy or .npz.")] = None,
    features: Annotated[str, typer.Option(help="main or cls.")] = "main",
    videos_per_class: Annotated[
        int | None, typer.Option(help="At most so many per class and split.")
    ] = None,
) -> None:
    """Write stand-in features and say what of them is invented."""
    from neurozsl.data.synthetic.standin_set import write_stand_ins
    from neurozsl.data.synthetic.standins import StandInConfig

    if splits is None or vectors is None:
        raise BadInput(f"data synth --like {like}: give --splits and --vectors too")
    config = StandInConfig(like, features, seed=asked.seed, videos_per_class=videos_per_class)
    out = asked.out
    check_place(out, "data set")
    with progress_bar("generating") as step:
        facts = write_stand_ins(config, splits, vectors, out, progress=step)
    if asked.json_out:
        emit_json(facts)
        return
    counts, invented = facts["counts"], facts["invented"]
    assert isinstance(counts, dict) and isinstance(invented, dict)
    say(f"{facts['dataset']}, stand-in: synthetic features")
    for subsplit, count in counts.items():
        origin = "names invented" if subsplit in invented["video_names"] else "names as listed"
        say(f"  {subsplit:<20} {count:>6} videos, {origin}")
    say("  scores on these features compare code with code, never with a paper")
    next_commands(
        command("data check", out),
        command("data convert", out, words({"out": Path(f"{out}-packed")})),
    )


FORMS: Final = {
    "scenes": Form("the set of scenes and motions", synth_scenes),
    "like": Form("--like", synth_like),
}


@takes(FORMS)
def synth(context: typer.Context, **options: Any) -> None:
    """Make the synthetic set "scenes and motions", or with --like stand-ins for a benchmark.

    Stand-ins lie in the benchmark's own layout: class lists and class vectors are the given ones,
    features are drawn around the vectors, and whatever reads them says that they are synthetic.
    """
    key, where = "scenes", "--like is not given"
    if options["like"]:
        key, where = "like", "--like is given"
    call(context, FORMS, key, options=options, where=where)
