"""The document that a profile is: subject, accuracy, activity, placement, energy.

Values of `hardware` stand in it as they are; what is here is what only a report has.
"""

from neurozsl.report.schema.accuracy import Accuracy as Accuracy
from neurozsl.report.schema.accuracy import BetaCurve as BetaCurve
from neurozsl.report.schema.accuracy import ClassRecall as ClassRecall
from neurozsl.report.schema.accuracy import Confusion as Confusion
from neurozsl.report.schema.accuracy import DeploymentStep as DeploymentStep
from neurozsl.report.schema.accuracy import EmbeddedClass as EmbeddedClass
from neurozsl.report.schema.accuracy import EmbeddedSample as EmbeddedSample
from neurozsl.report.schema.accuracy import Embedding as Embedding
from neurozsl.report.schema.activity import Frame as Frame
from neurozsl.report.schema.activity import Layer as Layer
from neurozsl.report.schema.activity import Raster as Raster
from neurozsl.report.schema.activity import RasterInput as RasterInput
from neurozsl.report.schema.activity import RasterLayer as RasterLayer
from neurozsl.report.schema.activity import modality as modality
from neurozsl.report.schema.activity import raster as raster
from neurozsl.report.schema.energy import Baseline as Baseline
from neurozsl.report.schema.energy import Comparison as Comparison
from neurozsl.report.schema.energy import Energy as Energy
from neurozsl.report.schema.energy import Host as Host
from neurozsl.report.schema.placement import Fit as Fit
from neurozsl.report.schema.report import NetworkReport as NetworkReport
from neurozsl.report.schema.report import Provenance as Provenance
from neurozsl.report.schema.report import Report as Report
from neurozsl.report.schema.report import RunReport as RunReport
from neurozsl.report.schema.report import json_schema as json_schema
from neurozsl.report.schema.report import read_report as read_report
from neurozsl.report.schema.report import to_json as to_json
from neurozsl.report.schema.subject import ClassNames as ClassNames
from neurozsl.report.schema.subject import DataSummary as DataSummary
from neurozsl.report.schema.subject import ModelSummary as ModelSummary
from neurozsl.report.schema.subject import Parameters as Parameters
from neurozsl.report.schema.verification import Verification as Verification
