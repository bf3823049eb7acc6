"""Data: surfaces, functions and formulas to sample, tables, images, standardizing. NumPy float64 throughout."""

from jaxbp.data.expressions import parse_expression
from jaxbp.data.functions import FUNCTIONS, Function
from jaxbp.data.grids import Domain, Grid, uniform_points
from jaxbp.data.images import LabelledImages, digit_images, mnist_images
from jaxbp.data.standardizing import Standardizer, standardizer
from jaxbp.data.surfaces import SURFACES, Surface, surface
from jaxbp.data.tables import read_table
from jaxbp.data.tasks import Samples, Task, sample_surface, sample_table

__all__ = [
    "FUNCTIONS",
    "SURFACES",
    "Domain",
    "Function",
    "Grid",
    "LabelledImages",
    "Samples",
    "Standardizer",
    "Surface",
    "Task",
    "digit_images",
    "mnist_images",
    "parse_expression",
    "read_table",
    "sample_surface",
    "sample_table",
    "standardizer",
    "surface",
    "uniform_points",
]
