"""Models by name. A new model is one file and one line in `_BUILDERS`.

Packages outside register theirs by an entry point of the same form, in their own `pyproject.toml`::

    [project.entry-points."neurozsl.models"]
    mymodel = "mypackage.mymodel:build"

Importing this package loads no torch; `build` does.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from neurozsl.core.errors import BadInput

if TYPE_CHECKING:
    from neurozsl.models.base import ZSLModel

GROUP: Final = "neurozsl.models"
_BUILDERS = {
    "ale": "neurozsl.models.baselines.bilinear:build_ale",
    "apn": "neurozsl.models.baselines.apn:build",
    "avca": "neurozsl.models.avca:build",
    "avgzslnet": "neurozsl.models.baselines.avgzslnet:build",
    "avmst": "neurozsl.models.baselines.avmst:build",
    "cjme": "neurozsl.models.baselines.cjme:build",
    "clipclap": "neurozsl.models.baselines.clipclap:build",
    "conse": "neurozsl.models.conse:build",
    "devise": "neurozsl.models.baselines.bilinear:build_devise",
    "fvaegan-d2": "neurozsl.models.baselines.fvaegan:build",
    "hyper-alignment": "neurozsl.models.baselines.hyper:build_alignment",
    "hyper-multiple": "neurozsl.models.baselines.hyper:build_multiple",
    "hyper-single": "neurozsl.models.baselines.hyper:build_single",
    "mdft": "neurozsl.models.mdft:build",
    "mdst": "neurozsl.models.mdft:build",  # the journal's name of MDFT
    "mdst++": "neurozsl.models.mdstpp:build",
    "sje": "neurozsl.models.baselines.bilinear:build_sje",
    "stft": "neurozsl.models.stft:build",
    "tcaf": "neurozsl.models.baselines.tcaf:build",
}
_TITLES = {"mdst++": "mdst++ (MDST++-style reading)"}


def names() -> tuple[str, ...]:
    """Names that `build` knows: ours, then those of packages outside.

    Raises:
        BadInput: a package outside registers a name that is taken.

    >>> {"ale", "avca", "conse", "mdft", "mdst", "mdst++", "stft"} <= set(names())
    True
    """
    return tuple(_table())


def title(name: str) -> str:
    """How a report calls the model.

    >>> title("mdft"), title("mdst++")
    ('mdft', 'mdst++ (MDST++-style reading)')
    """
    return _TITLES.get(name, name)


def asks_for(name: str, fact: str) -> bool:
    """Whether a model's `build` names a place for a fact of the data set that not all models need.

    `encoders`: what the set notes of its encoders; `step_s`: seconds that one step stands for;
    `classes`: how many classes it has.

    >>> asks_for("conse", "encoders"), asks_for("mdft", "encoders"), asks_for("tcaf", "step_s")
    (True, False, True)
    """
    table = _table()
    if name not in table:
        return False
    try:
        return fact in signature(table[name].load()).parameters
    except (ImportError, AttributeError, ValueError):  # `build` says what is wrong
        return False


def build(name: str, *, audio_dim: int, video_dim: int, **options: Any) -> "ZSLModel":
    """Make a model, one of `names()`, for features of these widths.

    The options are the model's own, see its configuration class; `conse=True` puts what the set's
    pretrained encoders know beside it (`models.beside_conse`).

    Raises:
        BadInput: unknown name or option; the message lists what there is. Or what a package
            outside made does not keep the contract `models.base.ZSLModel`.
    """
    if "conse" in options:
        from neurozsl.models import beside_conse

        return beside_conse.build(name, audio_dim=audio_dim, video_dim=video_dim, **options)
    table = _table()
    if name not in table:
        raise BadInput(f"model '{name}' is not known; choose one of {', '.join(table)}")
    try:
        builder = table[name].load()
    except (ImportError, AttributeError) as error:
        raise BadInput(
            f"model '{name}': its builder '{table[name].value}' cannot be imported ({error}); "
            "install or repair the package that registers it"
        ) from error
    given = {"audio_dim": audio_dim, "video_dim": video_dim, **options}
    _check_taken(name, builder, given)
    return _kept(name, builder(**given))


def _check_taken(name: str, builder: Callable[..., object], given: Mapping[str, object]) -> None:
    """Refuse options that the builder has no place for; it refuses their values itself."""
    try:
        takes = signature(builder)
    except ValueError:  # a builtin does not tell
        return
    try:
        takes.bind(**given)
    except TypeError as error:
        raise BadInput(f"model '{name}': {error}; it takes {', '.join(takes.parameters)}") from None


def _table() -> dict[str, EntryPoint]:
    """Every model by name; nothing is imported yet."""
    table = {name: EntryPoint(name, value, GROUP) for name, value in _BUILDERS.items()}
    for point in entry_points(group=GROUP):
        if point.name in table:
            origin = "a package" if point.dist is None else f"package '{point.dist.name}'"
            raise BadInput(
                f"model '{point.name}': {origin} registers it as '{point.value}', but the "
                f"name belongs to '{table[point.name].value}'; remove that package or rename its "
                "entry point"
            )
        table[point.name] = point
    return table


def _kept(name: str, model: object) -> "ZSLModel":
    """The model, if it keeps the contract."""
    from torch import nn

    from neurozsl.models.base import BranchModel, ZSLModel

    contract = BranchModel if hasattr(model, "motion_branch") else ZSLModel
    if isinstance(model, nn.Module) and isinstance(model, contract):
        return model
    asked = [part for part in (*vars(ZSLModel), *vars(contract)) if not part.startswith("_")]
    missing = [part for part in asked if not hasattr(model, part)] or ["torch.nn.Module"]
    raise BadInput(
        f"model '{name}': {type(model).__name__} does not keep the contract "
        f"neurozsl.models.base.{contract.__name__}, it lacks {', '.join(dict.fromkeys(missing))}"
    )
