"""Data: surfaces and formulas to sample, tables to read, standardizing. NumPy float64 on the host throughout."""

from jaxbp.data.expressions import parse_expression
from jaxbp.data.images import LabelledImages, digit_images, mnist_images
from jaxbp.data.sampling import grid_points, uniform_points
from jaxbp.data.standardizing import Standardizer, standardizer
from jaxbp.data.surfaces import SURFACES, Surface, surface, terrain_samples
from jaxbp.data.tables import read_table

__all__ = [
    "SURFACES",
    "LabelledImages",
    "Standardizer",
    "Surface",
    "digit_images",
    "grid_points",
    "mnist_images",
    "parse_expression",
    "read_table",
    "standardizer",
    "surface",
    "terrain_samples",
    "uniform_points",
]
