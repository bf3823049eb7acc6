"""From samples to a function in the units of the data, in one call: `fit_model`."""

from jaxbp.fitting.effort import EFFORTS, Effort
from jaxbp.fitting.model import Model, load
from jaxbp.fitting.model_fit import fit_model
from jaxbp.fitting.standardizing import Standardizer, standardizer
from jaxbp.fitting.tables import read_table

__all__ = [
    "EFFORTS",
    "Effort",
    "Model",
    "Standardizer",
    "fit_model",
    "load",
    "read_table",
    "standardizer",
]
