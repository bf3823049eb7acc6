"""Demonstration data: surfaces, engineers' functions, formulas, digits, and samples of them.

NumPy float64 throughout.
"""

from data.expressions import parse_expression as parse_expression
from data.functions import FUNCTIONS as FUNCTIONS
from data.functions import Function as Function
from data.images import LabelledImages as LabelledImages
from data.images import digit_images as digit_images
from data.images import mnist_images as mnist_images
from data.surfaces import SURFACES as SURFACES
from data.surfaces import Surface as Surface
from data.surfaces import surface as surface
from data.tasks import Samples as Samples
from data.tasks import Task as Task
from data.tasks import sample_surface as sample_surface
from data.tasks import uniform_points as uniform_points
