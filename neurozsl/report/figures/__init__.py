"""The figures of a report, by what they show; each returns figure, title, description."""

from neurozsl.report.figures.accuracy import beta_curve as beta_curve
from neurozsl.report.figures.accuracy import confusion as confusion
from neurozsl.report.figures.accuracy import deployment as deployment
from neurozsl.report.figures.activity import activity as activity
from neurozsl.report.figures.activity import spike_rate as spike_rate
from neurozsl.report.figures.chip import cores as cores
from neurozsl.report.figures.embedding import embedding as embedding
from neurozsl.report.figures.energy import advantage as advantage
from neurozsl.report.figures.energy import energy as energy
from neurozsl.report.figures.energy import energy_split as energy_split
from neurozsl.report.figures.energy import step_time as step_time
from neurozsl.report.figures.raster import raster as raster
from neurozsl.report.figures.stopped import stopped as stopped
