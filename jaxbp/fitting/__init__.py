"""From samples to a function in the units of the data, in one call: `fit_model` and the candidates that it tries."""

from jaxbp.fitting.bands import choose_band
from jaxbp.fitting.effort import EFFORTS, Effort
from jaxbp.fitting.model_fit import MOST_INPUTS_OF_BANDS, fit_model
from jaxbp.fitting.rows import Rows, Trial
from jaxbp.fitting.standardizing import Standardizer, standardizer
from jaxbp.fitting.tables import read_table

__all__ = [
    "EFFORTS",
    "MOST_INPUTS_OF_BANDS",
    "Effort",
    "Rows",
    "Standardizer",
    "Trial",
    "choose_band",
    "fit_model",
    "read_table",
    "standardizer",
]
