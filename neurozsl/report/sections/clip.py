"""One sample, spike by spike: pictures, the codes that came in, and what the layers made of them.

The raster is made where the samples are (`pictures`, `network`).
"""

from neurozsl.report import figures
from neurozsl.report.show.section import Section

SECTION = Section(
    "clip", "One sample, spike by spike", ("raster",),
    fill=lambda context: {"raster": context.raster},
    figures={"raster": lambda x: figures.raster(x.raster) if x.raster.layers else None},
)  # fmt: skip
