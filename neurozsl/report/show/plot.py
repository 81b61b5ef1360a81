"""One plot: a figure in our style, and its forms for a page and as files.

In the HTML page it is an inline SVG (colours as CSS variables, so they follow dark mode; ids unique
per figure; no metadata, no namespace, same bytes every time); as files, an SVG and a PNG. Text
stays text (`svg.fonttype` none), which halves the size and lets readers search it.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from neurozsl.core.folders import whole_files
from neurozsl.report.figures import drawing
from neurozsl.report.show import svg

_FONT = "DejaVu Sans"  # comes with matplotlib: the same measures everywhere
_COLOURS = ("INK", "SOFT", "GRID", "BLUE", "ORANGE", "GREEN", "PURPLE", "PAGE")
_CSS_VARIABLES = {getattr(drawing, name): f"--{name.lower()}" for name in _COLOURS}

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "neurozsl",
    "path.simplify": False,
    "text.parse_math": False,  # a '$' in a class or layer name is a '$'
    "font.family": "sans-serif",
    "font.sans-serif": [_FONT],
    "font.size": 10,
    "text.color": drawing.INK,
    "axes.edgecolor": drawing.SOFT,
    "axes.labelcolor": drawing.INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": drawing.SOFT,
    "ytick.color": drawing.SOFT,
    "xtick.labelcolor": drawing.INK,
    "ytick.labelcolor": drawing.INK,
    "grid.color": drawing.GRID,
    "grid.linewidth": 0.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Plot:
    """One finished plot: `title` and `description` are read by people who do not see it."""

    name: str
    title: str
    description: str
    svg: str  # for inlining in HTML
    svg_file: str  # stands alone
    figure: Figure = field(compare=False, repr=False)

    def png(self) -> bytes:
        """The plot as a picture."""
        image = io.BytesIO()
        with style():
            self.figure.savefig(image, format="png", dpi=160, metadata={"Software": None})
        return image.getvalue()

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write `NAME.svg` and `NAME.png` into `folder`, which is made where missing."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = folder / f"{self.name}.svg", folder / f"{self.name}.png"
        with whole_files(paths) as parts:
            parts[paths[0]].write_text(self.svg_file, encoding="utf-8")
            parts[paths[1]].write_bytes(self.png())
        return paths


@contextmanager
def style() -> Iterator[None]:
    """Our settings alone, whatever the user's matplotlibrc says; names may hold any script."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


def finish(name: str, figure: Figure, title: str, description: str) -> Plot:
    """Render a figure to its forms."""
    text = io.StringIO()
    no_metadata = {"Creator": None, "Date": None, "Format": None, "Type": None}
    figure.savefig(text, format="svg", metadata=no_metadata)
    whole = svg.titled(svg.rounded(text.getvalue()), name, title, description)
    inline = svg.inlined(whole, _CSS_VARIABLES, _FONT)
    return Plot(name, title, description, inline, whole, figure)
