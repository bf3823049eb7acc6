"""Demonstration data: surfaces, engineers' functions, formulas, digits, and samples of them.

NumPy float64 throughout.
"""

from data.expressions import parse_expression as parse_expression
from data.functions import FUNCTIONS as FUNCTIONS
from data.images import LabelledImages as LabelledImages
from data.images import images_of as images_of
from data.surfaces import SURFACES as SURFACES
from data.surfaces import Samples as Samples
from data.surfaces import Surface as Surface
from data.surfaces import Task as Task
from data.surfaces import sample_surface as sample_surface
from data.surfaces import surface as surface
from data.surfaces import uniform_points as uniform_points
