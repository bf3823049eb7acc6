"""Figures, films and pages from plain arrays and typed results.

This is the only package that imports matplotlib, inside its functions. A drawing function returns a
`Drawing`, changes no global state, uses no pyplot and never calls `show`. Functions of one panel
take the `ax` to draw in.
"""

from jaxbp.viz.curves import draw_curves as draw_curves
from jaxbp.viz.curves import draw_panels as draw_panels
from jaxbp.viz.dots import draw_dots as draw_dots
from jaxbp.viz.errors import draw_error_detail as draw_error_detail
from jaxbp.viz.errors import draw_kink_lines as draw_kink_lines
from jaxbp.viz.films import Film as Film
from jaxbp.viz.films import animate_training as animate_training
from jaxbp.viz.films import animate_walk as animate_walk
from jaxbp.viz.films import save_film as save_film
from jaxbp.viz.fits import draw_fit as draw_fit
from jaxbp.viz.graphs import draw_graph as draw_graph
from jaxbp.viz.graphs import graph_dot as graph_dot
from jaxbp.viz.graphs import graph_mermaid as graph_mermaid
from jaxbp.viz.grid import Domain as Domain
from jaxbp.viz.grid import Grid as Grid
from jaxbp.viz.images import draw_images as draw_images
from jaxbp.viz.language import translate as translate
from jaxbp.viz.layers import draw_gradient_flow as draw_gradient_flow
from jaxbp.viz.layers import draw_weights as draw_weights
from jaxbp.viz.page import make_page as make_page
from jaxbp.viz.page import save_page as save_page
from jaxbp.viz.planes import draw_decision_map as draw_decision_map
from jaxbp.viz.planes import draw_heatmap as draw_heatmap
from jaxbp.viz.planes import draw_paths as draw_paths
from jaxbp.viz.regression import draw_regression as draw_regression
from jaxbp.viz.style import Drawing as Drawing
from jaxbp.viz.style import save_figure as save_figure
from jaxbp.viz.style import style as style
from jaxbp.viz.surfaces import draw_samples as draw_samples
from jaxbp.viz.surfaces import draw_surface_comparison as draw_surface_comparison
from jaxbp.viz.units import draw_unit_maps as draw_unit_maps
from jaxbp.viz.walk import draw_walk as draw_walk
