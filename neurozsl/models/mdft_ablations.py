"""The ablations of MDFT's paper as model options: Tables 2 to 4 and Fig. 5, one row each.

`--set ablation=NAME` puts a row's options under those that the user sets; `markdown` prints the
table. All of them are switches of `MDFTConfig`, so a row can also be written out. Where the
paper does not say what takes the place of what it removes, the row's reading does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurozsl.core.errors import BadInput


@dataclass(frozen=True)
class Ablation:
    """One row.

    source: table or figure. label: as printed there. options: of `MDFTConfig`. reading: ours.
    published: S, U, HM, ZSL in percent on UCF-GZSL, real features; None where only drawn.
    """

    source: str
    label: str
    options: Mapping[str, Any]
    reading: str
    published: tuple[float, float, float, float] | None = None


_NO_EGM = "both pathways read the features, coded as graded integers; no events, so no DAB"
_FIXED = "the threshold is fixed, because Eq. 7 needs what was removed"
_NO_SPIKES = "Linear - ReLU in place of Linear - LIF, which has no threshold"

ABLATIONS: Mapping[str, Ablation] = {
    "mlp": Ablation(
        "Table 2",
        "MLP",
        {"egm": False, "neuron": "mlp", "threshold": "fixed"},
        f"{_NO_SPIKES}; {_NO_EGM}",
        (52.28, 14.98, 23.29, 13.65),
    ),
    "egm_mlp": Ablation(
        "Table 2",
        "EGM+MLP",
        {"neuron": "mlp", "threshold": "fixed"},
        _NO_SPIKES,
        (46.52, 16.34, 24.19, 18.93),
    ),
    "snn": Ablation("Table 2", "SNN", {"egm": False}, _NO_EGM, (45.29, 19.46, 27.23, 26.65)),
    "no_mim": Ablation(
        "Table 3",
        "W/o MIM",
        {"motion": False, "threshold": "fixed"},
        "no motion stream at all: no events, DAB, spiking branch, motion head",
        (50.64, 17.74, 26.34, 22.78),
    ),
    "no_rjlu": Ablation(
        "Table 3",
        "W/o RJLN",
        {"rjlu": False, "threshold": "fixed"},
        f"no joint knowledge among the keys of Eq. 11; {_FIXED}",
        (38.79, 20.11, 26.44, 23.14),
    ),
    "no_crm": Ablation(
        "Table 3",
        "W/o CRM",
        {"crm": False},
        "streams are concatenated, mixed by one linear map and averaged over time",
        (44.72, 21.92, 29.44, 27.67),
    ),
    "no_ln_lr": Ablation(
        "Table 4",
        "W/o L_n + L_r",
        {"weight_n": 0.0, "weight_r": 0.0},
        "L_p alone",
        (28.71, 8.52, 13.14, 10.11),
    ),
    "no_ln_lp": Ablation(
        "Table 4",
        "W/o L_n + L_c",
        {"weight_n": 0.0, "weight_p": 0.0},
        "L_r alone; L_c is not defined in the paper, we read L_p",
        (34.17, 10.14, 15.64, 13.19),
    ),
    "no_ln": Ablation(
        "Table 4", "W/o L_n", {"weight_n": 0.0}, "Eq. 13 left out", (40.77, 16.79, 23.78, 16.98)
    ),
    "no_lr": Ablation(
        "Table 4", "W/o L_r", {"weight_r": 0.0}, "Eq. 15 left out", (42.78, 16.96, 24.29, 19.82)
    ),
    "no_lp": Ablation(
        "Table 4", "W/o L_p", {"weight_p": 0.0}, "Eq. 14 left out", (43.17, 19.27, 26.65, 23.11)
    ),
    "fixed_threshold": Ablation(
        "Fig. 5",
        "fixed threshold",
        {"threshold": "fixed"},
        "set its value with theta, for example theta=0.5; the values are not printed",
    ),
    "audio_only": Ablation(
        "Fig. 5",
        "audio input",
        {"inputs": ("audio",)},
        "audio stands in wherever both modalities are joined; E_v = 0 in Eq. 6",
    ),
    "video_only": Ablation(
        "Fig. 5",
        "visual input",
        {"inputs": ("video",)},
        "video stands in wherever both modalities are joined; no DAB",
    ),
}


def ablation_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the row `name`; {} for the name "". What the user gave must not undo the row.

    Raises:
        BadInput: unknown name, or a given option contradicts the row.

    >>> ablation_options("no_ln", {})
    {'weight_n': 0.0}
    """
    if not name:
        return {}
    if name not in ABLATIONS:
        raise BadInput(
            f"model 'mdft': ablation '{name}' is not known; choose one of {', '.join(ABLATIONS)}"
        )
    options = dict(ABLATIONS[name].options)
    for key, value in options.items():
        found = tuple(given[key]) if isinstance(given.get(key), list) else given.get(key, value)
        if found != value:
            raise BadInput(
                f"model 'mdft': ablation={name} means {key}={value!r}, {key}={found!r} was given; "
                "leave one of the two out"
            )
    return options


def markdown() -> str:
    """The table of all rows, for documents."""
    head = ("ablation", "paper", "options", "what it means here", "S / U / HM / ZSL, UCF")
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for name, row in ABLATIONS.items():
        options = ", ".join(f"{k}={_text(v)}" for k, v in row.options.items())
        published = "" if row.published is None else " / ".join(f"{x:.2f}" for x in row.published)
        cells = (f"`{name}`", f"{row.source}, {row.label}", f"`{options}`", row.reading, published)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, tuple):
        return "[" + ",".join(f'"{x}"' for x in value) + "]"
    return str(value).lower() if isinstance(value, bool) else f"{value}"
